"""The script for the day a GPU is there runs here, with narrow models and few steps."""

import gpu_check
import pytest

from helpers.files import read_json
from helpers.training import common


@pytest.mark.parametrize("only", ["calendar/qlora", "crime/qlora", "it_ner/full"])
def test_a_variant_is_trained_and_asked_and_measured(only, tmp_path, monkeypatch):
    given = common.StudyMixin.training_step
    monkeypatch.setattr(common.StudyMixin, "training_step", given)  # put back afterwards
    assert gpu_check.main(out=tmp_path / "found.json", steps=2, tiny=True, only=only) == 0
    found = read_json(tmp_path / "found.json")
    numbers = found["variants"][only]
    assert list(found["variants"]) == [only] and found["device"] == "cpu"
    assert numbers["steps"] >= 2 and numbers["answers"] == 2 and all(loss > 0 for loss in numbers["loss"])
    for name in ("tokens_per_second", "share_of_matrix_product", "peak_memory_mb", "answer_seconds"):
        assert numbers[name] > 0, name
