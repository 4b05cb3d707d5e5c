"""Tasks of the user's own in the smoke profile: from an empty folder to the report, with random models of two layers."""

import json

import pytest
from conftest import run_smoke
from own_tasks import write_dishes, write_rooms
from tiny_encoder import save_tiny_encoder
from tiny_model import save_tiny_base

TRAINED = {"rooms": {"lora", "tagger", "vote"}, "dishes": {"full", "lora", "majority", "dictionary"}}


@pytest.mark.whole_run
@pytest.mark.parametrize("write, models", [(write_rooms, ("base", "encoder")), (write_dishes, ("encoder",))])
def test_a_folder_becomes_a_report(write, models, tmp_path):
    folder = write(tmp_path / write.__name__.removeprefix("write_"))
    made = {"base": save_tiny_base, "encoder": save_tiny_encoder}
    given = [f"{name}_model={made[name](tmp_path / name)}" for name in models]
    run = run_smoke(str(folder), tmp_path / "out", "--set", *given)
    assert run.status == 0, run.output
    artifacts = tmp_path / "out" / "artifacts" / folder.name
    metrics = json.loads((artifacts / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["task"] == folder.name and TRAINED[folder.name] <= set(metrics["variants"])
    scored = (artifacts / "splits" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    for name in metrics["variants"]:
        lines = (artifacts / "predictions" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        assert [json.loads(one)["id"] for one in lines] == [json.loads(one)["id"] for one in scored], name
    report = (tmp_path / "out" / "report" / f"{folder.name}.html").read_text(encoding="utf-8")
    assert metrics["best"] in report and "it_ner" not in report and "calendar" not in report
