"""The script for the day a GPU is there runs here, with narrow models and few steps."""

import gpu_check
import pytest

from helpers.files import read_json
from helpers.training import common


@pytest.mark.parametrize("only", ["calendar/lora", "calendar/qlora", "crime/qlora", "it_ner/full"])
def test_a_variant_is_trained_and_asked_and_measured(only, tmp_path, monkeypatch):
    monkeypatch.setattr(
        common.StudyMixin, "training_step", common.StudyMixin.training_step
    )  # put back afterwards
    assert gpu_check.main(out=tmp_path / "found.json", steps=2, tiny=True, only=only) == 0
    found = read_json(tmp_path / "found.json")
    numbers = found["variants"][only]
    assert list(found["variants"]) == [only] and found["device"] == "cpu"
    assert numbers["steps"] >= 2 and numbers["answers"] == 2 and all(loss > 0 for loss in numbers["loss"])
    assert numbers["tokens_per_second"] > 0 and numbers["share_of_matrix_product"] > 0
    assert numbers["peak_memory_mb"] > 0 and numbers["answer_seconds"] > 0
