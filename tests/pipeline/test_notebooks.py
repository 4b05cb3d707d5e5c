"""The notebooks: all of them run in the smoke profile, and each keeps to the form that makes it readable."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path
from statistics import median

import pytest
from conftest import ROOT, SmokeRun, run_study

from helpers.errors import UserError
from helpers.pipeline.stages import find_stages

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STAGES = [stage.notebook for stage in find_stages() if stage.notebook]


def cells(path: Path, kind: str) -> list[dict]:
    return [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind
    ]


def lines(cell: dict) -> int:
    return sum(bool(line.strip()) for line in "".join(cell["source"]).splitlines())


# -- the whole run ----------------------------------------------------------------------------------------------------
@pytest.mark.whole_run
def test_smoke_profile_runs_every_notebook(smoke_run: SmokeRun):
    assert smoke_run.status == 0, smoke_run.output
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
        return {
            path: (path.stat().st_mtime_ns, path.stat().st_size)
            for path in sorted(smoke_run.out.rglob("*"))
            if path.is_file() and path.name != ".lock"
        }

    before = state()
    status, _, output = run_study("calendar", "--profile", "smoke", "--out", smoke_run.out)
    assert status == 0 and output.count("unchanged, skipped") == len(STAGES) + 1
    assert state() == before


@pytest.mark.whole_run
def test_smoke_run_of_own_crime_reports_answers_every_question(crime_smoke_run: SmokeRun):
    run = crime_smoke_run
    assert run.status == 0, run.output
    metrics = json.loads((run.artifacts / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["task"] == "crime" and {"lora", "lora@free", "qlora", "tagger", "rules"} <= set(
        metrics["variants"]
    )
    assert all(metrics["variants"][name]["json_validity"] == 1 for name in ("lora", "qlora", "tagger"))
    assert 0 < metrics["variants"]["lora"]["token_accuracy"] < 1
    scored = (run.artifacts / "splits" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [
        json.loads(line)
        for line in (run.artifacts / "predictions" / "lora.jsonl").read_text("utf-8").splitlines()
    ]
    assert [row["id"] for row in rows] == [json.loads(line)["id"] for line in scored]
    assert all(row["raw"].count("\n") == 17 and len(row["prediction"]) == 18 for row in rows)
    # the rows came in a folder, and all that is shown is about them
    assert Path(metrics["data"]["source"]).name == "my-data" and metrics["data"]["rows"] == len(rows) == 2
    report = (run.out / "report" / "crime.html").read_text(encoding="utf-8")
    assert "own rows from the folder" in report and "--data" in report


@pytest.mark.whole_run
def test_smoke_run_of_it_sentences_tags_every_token(it_ner_smoke_run: SmokeRun):
    run = it_ner_smoke_run
    assert run.status == 0, run.output
    metrics = json.loads((run.artifacts / "metrics.json").read_text(encoding="utf-8"))
    trained, untrained = (
        {"full", "lora", "enhanced", "distilled"},
        {"majority", "rules", "dictionary", "untuned"},
    )
    assert (
        metrics["task"] == "it_ner"
        and set(metrics["variants"]) == trained | untrained
        and metrics["best"] in trained
    )
    assert all(0 <= one["f1"] <= 1 and len(one["ci95"]["f1"]) == 2 for one in metrics["variants"].values())
    scored = [
        json.loads(line) for line in (run.artifacts / "splits" / "test.jsonl").read_text("utf-8").splitlines()
    ]
    rows = [
        json.loads(line)
        for line in (run.artifacts / "predictions" / "lora.jsonl").read_text("utf-8").splitlines()
    ]
    assert [(row["id"], len(row["prediction"])) for row in rows] == [
        (one["id"], len(one["row"]["tokens"])) for one in scored
    ]
    forms = (run.artifacts / "tables" / "compression.csv").read_text(encoding="utf-8")
    assert all(form in forms for form in ("PyTorch fp32", "ONNX fp32", "ONNX int8"))
    report = (run.out / "report" / "it_ner.html").read_text(encoding="utf-8")
    assert "Compression" in report and "Seen and never seen" in report
    assert "Three decodings" not in report and "Where does it look?" not in report
    assert "it_ner.html" in (run.out / "report" / "index.html").read_text(encoding="utf-8")


# -- form -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs(path: Path):
    assert not [
        cell for cell in cells(path, "code") if cell["outputs"] or cell["execution_count"] is not None
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_has_readable_cells(path: Path):
    code, prose = cells(path, "code"), cells(path, "markdown")
    assert 15 <= len(code) <= 35
    assert median(map(lines, code)) <= 5
    assert max(map(lines, code)) <= 25
    assert 0.7 <= len(prose) / len(code) <= 2
    assert "".join(prose[0]["source"]).startswith("# ")
    definitions = [
        node.name
        for cell in code
        for node in ast.walk(ast.parse("".join(cell["source"])))
        if isinstance(node, ast.ClassDef)
    ]
    assert not definitions  # classes live in helpers/


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_starts_with_badges_and_the_one_bootstrap_cell(path: Path):
    address = re.search(
        r'Repository = "https://github.com/([^"]+)"', (ROOT / "pyproject.toml").read_text("utf-8")
    )[1]
    title = "".join(cells(path, "markdown")[0]["source"])
    assert re.findall(r"\.svg\)\]\((\S+)\)", title) == [
        f"https://colab.research.google.com/github/{address}/blob/main/notebooks/{path.name}",
        f"https://kaggle.com/kernels/welcome?src=https://github.com/{address}/blob/main/notebooks/{path.name}",
    ]
    tagged = [
        "".join(cell["source"])
        for cell in cells(path, "code")
        if "bootstrap" in cell["metadata"].get("tags", [])
    ]
    first = ["".join(cell["source"]) for cell in cells(NOTEBOOKS[0], "code")][1]
    assert tagged == [first.replace('ready("01"', f'ready("{path.stem[:2]}"')], (
        "one cell, alike in all notebooks"
    )
    assert f'"https://github.com/{address}"' in first


@pytest.mark.parametrize(
    "path", NOTEBOOKS[2:], ids=lambda path: path.stem
)  # the first two read the data themselves
def test_notebook_says_which_stage_must_have_run_before(path: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    variables: dict[str, object] = {}
    with pytest.raises(UserError, match=r"run notebook 0\d_\w+"):
        for cell in cells(path, "code")[:6]:
            exec(compile("".join(cell["source"]), path.stem, "exec"), variables)
            if "parameters" in cell["metadata"].get("tags", []):
                variables |= {"out": str(tmp_path), "profile": "smoke"}


def test_every_notebook_lets_the_reader_try():
    trying = [
        path.stem[:2]
        for path in NOTEBOOKS
        if any("try_it(run, text, " in "".join(cell["source"]) for cell in cells(path, "code"))
    ]
    assert trying == ["01", "02", "03", "04", "05", "06"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_takes_the_parameters_that_the_runner_gives(path: Path):
    tagged = [cell for cell in cells(path, "code") if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1
    values = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse("".join(tagged[0]["source"])).body
    }
    assert values == {
        "task": "calendar",
        "profile": "cpu",
        "data": "sample",
        "out": None,
        "settings": "{}",
        "seed": 42,
    }
