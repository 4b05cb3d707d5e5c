"""The notebooks: all of them run in the smoke profile, and each keeps to the form that makes it readable."""
from __future__ import annotations

import ast
import json
from pathlib import Path
from statistics import median

import pytest
from conftest import ROOT, SmokeRun, run_study

from helpers.stages import find_stages

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STAGES = [stage.notebook for stage in find_stages() if stage.notebook]
MINUTES = 2


def cells(path: Path, kind: str) -> list[dict]:
    return [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def lines(cell: dict) -> int:
    return sum(bool(line.strip()) for line in "".join(cell["source"]).splitlines())


# -- the whole run ----------------------------------------------------------------------------------------------------
@pytest.mark.whole_run
def test_smoke_profile_runs_every_notebook_within_its_time(smoke_run: SmokeRun):
    assert smoke_run.status == 0, smoke_run.output
    assert smoke_run.seconds < MINUTES * 60, smoke_run.output
    executed = {path.name for path in (smoke_run.artifacts / "notebooks").glob("*.ipynb")}
    assert executed == {path.name for path in STAGES}


@pytest.mark.whole_run
def test_smoke_run_leaves_predictions_for_every_scored_row_metrics_and_report(smoke_run: SmokeRun):
    metrics = json.loads((smoke_run.artifacts / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["task"], metrics["profile"], metrics["data"]["source"]) == ("calendar", "smoke", "sample")
    assert metrics["best"] in metrics["variants"]
    scored = (smoke_run.artifacts / "splits" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    ids = sorted(json.loads(line)["id"] for line in scored)
    assert metrics["data"]["rows"] == len(ids)
    files = list((smoke_run.artifacts / "predictions").glob("*.jsonl"))
    assert {path.stem for path in files} >= set(metrics["variants"]) and files
    for path in files:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        assert sorted(row["id"] for row in rows) == ids, path.name
        assert all({"id", "prediction", "raw", "confidence"} <= set(row) for row in rows), path.name
    manifest = json.loads((smoke_run.artifacts / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["stages"]) == {path.stem for path in STAGES} | {"report"}
    for page in ("index.html", "calendar.html"):
        assert (smoke_run.out / "report" / page).stat().st_size > 1000


@pytest.mark.whole_run
def test_second_smoke_run_skips_every_stage_and_changes_nothing(smoke_run: SmokeRun):
    def state() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in sorted(smoke_run.out.rglob("*"))
                if path.is_file() and path.name != ".lock"}

    before = state()
    status, _, output = run_study("calendar", "--profile", "smoke", "--out", smoke_run.out)
    assert status == 0 and output.count("unchanged, skipped") == len(STAGES) + 1
    assert state() == before


@pytest.mark.whole_run
def test_smoke_run_of_crime_reports_keeps_to_its_time_and_answers_every_question(crime_smoke_run: SmokeRun):
    run = crime_smoke_run
    assert run.status == 0 and run.seconds < MINUTES * 60, run.output
    metrics = json.loads((run.artifacts / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["task"] == "crime" and {"full", "full@free", "lora", "qlora", "rules"} <= set(metrics["variants"])
    assert all(metrics["variants"][name]["json_validity"] == 1 for name in ("full", "lora", "qlora", "full@schema"))
    assert 0 < metrics["variants"]["full"]["token_accuracy"] < 1
    scored = (run.artifacts / "splits" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in (run.artifacts / "predictions" / "full.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == [json.loads(line)["id"] for line in scored]
    assert all(row["raw"].count("\n") == 17 and len(row["prediction"]) == 18 for row in rows)
    assert (run.out / "report" / "crime.html").stat().st_size > 1000


# -- form -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path):
    assert not [cell for cell in cells(path, "code") if cell["outputs"] or cell["execution_count"] is not None]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_readable_cells(path: Path):
    code, prose = cells(path, "code"), cells(path, "markdown")
    assert 15 <= len(code) <= 35
    assert median(map(lines, code)) <= 5
    assert max(map(lines, code)) <= 25
    assert 0.7 <= len(prose) / len(code) <= 2
    assert "".join(prose[0]["source"]).startswith("# ")
    definitions = [node.name for cell in code for node in ast.walk(ast.parse("".join(cell["source"])))
                   if isinstance(node, ast.ClassDef)]
    assert not definitions  # classes live in helpers/


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_takes_the_parameters_that_the_runner_gives(path: Path):
    tagged = [cell for cell in cells(path, "code") if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    values = {node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse("".join(tagged[0]["source"])).body}
    assert values == {"task": "calendar", "profile": "cpu", "data": "sample", "out": None, "settings": "{}", "seed": 42}
