"""The notebooks: all of them run in the smoke profile, and each keeps to the form that makes it readable."""

import ast
import json
import re
import sys
from pathlib import Path

import pytest
from conftest import ROOT, SmokeRun, run_study

from helpers.errors import UserError
from helpers.pipeline.stages import find_stages

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
STAGES = [stage.notebook for stage in find_stages() if stage.notebook]


def cells(path: Path, kind: str) -> list[dict]:
    every = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell | {"source": "".join(cell["source"])} for cell in every if cell["cell_type"] == kind]


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def metrics_of(run: SmokeRun) -> dict:
    """The metrics of a run whose every notebook has run, and which has predicted every scored row."""
    assert run.status == 0, run.output
    executed = {path.name for path in (run.artifacts / "notebooks").glob("*.ipynb")}
    assert executed == {path.name for path in STAGES}
    metrics = json.loads((run.artifacts / "metrics.json").read_text(encoding="utf-8"))
    assert (metrics["task"], metrics["profile"]) == (run.task, "smoke")
    assert metrics["best"] in metrics["variants"]
    ids = sorted(row["id"] for row in rows_of(run.artifacts / "splits" / "test.jsonl"))
    assert metrics["data"]["rows"] == len(ids)
    files = {path.stem: rows_of(path) for path in (run.artifacts / "predictions").glob("*.jsonl")}
    assert set(files) >= set(metrics["variants"])
    for name, rows in files.items():
        assert sorted(row["id"] for row in rows) == ids, name
        assert all({"id", "prediction", "raw", "confidence"} <= set(row) for row in rows), name
    return metrics


# -- the whole run ----------------------------------------------------------------------------------------------------
@pytest.mark.whole_run
def test_smoke_profile_runs_every_notebook_and_leaves_predictions_metrics_and_report(smoke_run: SmokeRun):
    assert metrics_of(smoke_run)["data"]["source"] == "sample"
    manifest = json.loads((smoke_run.artifacts / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest["stages"]) == {path.stem for path in STAGES} | {"report"}
    assert manifest["seed"] == 42 and {"hardware", "environment"} <= set(manifest)
    assert len(manifest["code"]["sha256"]) == len(manifest["data"]["sha256"]) == 64
    for page in ("index.html", "calendar.html"):
        assert (smoke_run.out / "report" / page).stat().st_size > 1000


@pytest.mark.whole_run
def test_second_smoke_run_skips_every_stage_and_changes_nothing(smoke_run: SmokeRun):
    def state() -> dict[Path, tuple[int, int]]:
        files = (path for path in smoke_run.out.rglob("*") if path.is_file() and path.name != ".lock")
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in files}

    before = state()
    status, output = run_study("calendar", "--profile", "smoke", "--out", smoke_run.out)
    assert status == 0 and output.count("unchanged, skipped") == len(STAGES) + 1
    assert state() == before


@pytest.mark.whole_run
def test_smoke_run_of_own_crime_reports_answers_every_question(crime_smoke_run: SmokeRun):
    metrics = metrics_of(crime_smoke_run)
    variants = metrics["variants"]
    assert {"lora", "lora@free", "qlora", "tagger", "rules"} <= set(variants)
    assert all(variants[name]["json_validity"] == 1 for name in ("lora", "qlora", "tagger"))
    assert 0 <= variants["lora"]["token_accuracy"] < 1
    rows = rows_of(crime_smoke_run.artifacts / "predictions" / "lora.jsonl")
    assert all(row["raw"].count("\n") == 17 and len(row["prediction"]) == 18 for row in rows)
    # the rows came in a folder, and all that is shown is about them
    assert Path(metrics["data"]["source"]).name == "my-data" and len(rows) == 2
    report = (crime_smoke_run.out / "report" / "crime.html").read_text(encoding="utf-8")
    assert "own rows from the folder" in report and "--data" in report


@pytest.mark.whole_run
def test_smoke_run_of_it_sentences_tags_every_token(it_ner_smoke_run: SmokeRun):
    run, metrics = it_ner_smoke_run, metrics_of(it_ner_smoke_run)
    trained, untrained = "full lora enhanced decoder distilled", "majority rules dictionary untuned"
    assert set(metrics["variants"]) == {*trained.split(), *untrained.split()}
    assert metrics["best"] in trained
    scored, rows = (rows_of(run.artifacts / name) for name in ("splits/test.jsonl", "predictions/lora.jsonl"))
    assert [len(row["prediction"]) for row in rows] == [len(one["row"]["tokens"]) for one in scored]
    forms = (run.artifacts / "tables" / "compression.csv").read_text(encoding="utf-8")
    assert all(form in forms for form in ("PyTorch fp32", "ONNX fp32", "ONNX int8"))
    report = (run.out / "report" / "it_ner.html").read_text(encoding="utf-8")
    copies = run.out / "report" / "notebooks" / "it_ner"
    assert {path.name for path in copies.iterdir()} == {path.name for path in STAGES}
    for page in (report, (copies / "03_baseline.ipynb").read_text(encoding="utf-8")):
        assert "One prompt and its answer" not in page


# -- form -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_stored_without_outputs_and_starts_as_the_runner_and_hosted_machines_need_it(path: Path):
    code = cells(path, "code")
    assert not [cell for cell in code if cell["outputs"] or cell["execution_count"] is not None]
    tagged = {tag: cell["source"] for cell in code for tag in cell["metadata"].get("tags", [])}
    default = {"task": "calendar", "profile": "cpu", "data": "sample", "out": None, "settings": "{}"}
    given = ast.parse(tagged["parameters"]).body
    assert {one.targets[0].id: ast.literal_eval(one.value) for one in given} == default | {"seed": 42}
    project = (ROOT / "pyproject.toml").read_text("utf-8")
    address = re.search(r'Repository = "https://github.com/([^"]+)"', project)[1]
    first = cells(NOTEBOOKS[0], "code")[1]["source"]
    here = first.replace('ready("01"', f'ready("{path.stem[:2]}"')
    assert tagged["bootstrap"] == here and f'"https://github.com/{address}"' in here, "alike everywhere"
    title = cells(path, "markdown")[0]["source"]
    for place in ("colab.research.google.com/github", "kaggle.com/kernels/welcome?src=https://github.com"):
        assert f"](https://{place}/{address}/blob/main/notebooks/{path.name})" in title


# the first two read the data themselves
@pytest.mark.parametrize("path", NOTEBOOKS[2:], ids=lambda path: path.stem)
def test_notebook_says_which_stage_must_have_run_before(path: Path, tmp_path: Path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "path", list(sys.path))
    variables: dict[str, object] = {}
    with pytest.raises(UserError, match=r"run notebook 0\d_\w+"):
        for cell in cells(path, "code")[:6]:
            exec(compile(cell["source"], path.stem, "exec"), variables)
            if "parameters" in cell["metadata"].get("tags", []):
                variables |= {"out": str(tmp_path), "profile": "smoke"}


def helpers_of(code: list[str]) -> set[str]:
    """Functions, classes and values of our package that cells name: imported ones, and those of imported modules."""
    nodes = list(ast.walk(ast.parse("\n".join(code))))
    imports = [one for one in nodes if isinstance(one, ast.ImportFrom) and one.module.startswith("helpers")]
    names = {alias.asname or alias.name for one in imports for alias in one.names}
    parts = [one for one in nodes if isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name)]
    used = {f"{one.value.id}.{one.attr}" for one in parts if one.value.id in names}
    return names - {one.partition(".")[0] for one in used} | used


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_can_be_read_in_small_steps(path: Path):
    """The method is in the cells: short ones, few helpers, a question before each and what it means behind it."""
    code, words = ([cell["source"] for cell in cells(path, kind)] for kind in ("code", "markdown"))
    sizes = sorted(sum(bool(line.strip()) for line in source.splitlines()) for source in code)
    assert 5 <= sizes[len(sizes) // 2] <= 8 and sizes[9 * len(sizes) // 10] <= 20 and sizes[-1] <= 30
    assert max(len(line) for source in code for line in source.splitlines()) <= 100
    assert 1.0 <= len(words) / len(code) <= 1.6
    assert len(helpers_of(code)) <= 25, sorted(helpers_of(code))
    assert sum("### Exercise" in text for text in words) == 1
    assert "<summary>Answer</summary>" in "".join(words)


def test_all_tasks_share_the_story():
    everything = [cell for path in NOTEBOOKS for kind in ("code", "markdown") for cell in cells(path, kind)]
    tagged = [cell for cell in everything if "only-" in str(cell["metadata"])]
    assert len(tagged) <= len(everything) / 10
