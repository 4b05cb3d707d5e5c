"""What is kept beside the report of a task, and what its numbers are read from: files of its run and of `results/`."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data.read import data_name, is_public
from helpers.errors import UserError
from helpers.evaluation.comparisons import compare_variants
from helpers.evaluation.measured import (
    BENCHMARK,
    HOME,
    SWEEPS,
    away_lines,
    complete_sweeps,
    home_and_away,
    read_transfer,
    sweep_table,
)
from helpers.evaluation.scoring import bound
from helpers.evaluation.systems import deployed, predictions_path, read_predictions
from helpers.files import digest, read_json
from helpers.paths import ROOT
from helpers.report.study import Study
from helpers.run import Run
from helpers.tasks import load_task
from helpers.tasks.statistics import LEVEL
from helpers.views.findings import harder_slices

SOURCES = ("sample", "public")
BESIDE = ("system", "data", "setting", "score", "runs")  # columns of the table of other runs
DECIMALS = 6


def results_of(task: str, folder: Path = SWEEPS.parent) -> dict[str, str]:
    """Path under `results/` → hash of every file there that a task's report shows."""
    files = sorted(folder.rglob("*.json"))
    shown = [path for path in files if path == BENCHMARK or read_json(path).get("task") == task]
    return {path.relative_to(folder).as_posix(): digest(path.read_bytes()) for path in sorted(shown)}


def sweeps_of(run: Run, folder: Path = SWEEPS) -> list[dict[str, Any]]:
    """A line for each setting and system of the task's complete sweeps: system, data, setting, score, runs, same.

    `same` are lines of one training with the data, the settings and the seed of the run.
    """
    own = (data_name(run), run.profile, [run.seed], run.settings)
    found = []
    for path, about in complete_sweeps(run.task.name, folder).items():
        sweep, default = about["sweep"], run.task.settings(about["sweep"]["profile"])
        for (setting, name), row in sweep_table(path)[0].iterrows():
            line = dict(zip(BESIDE, (name, about["data"], setting, row[about["headline"]], row["runs"])))
            made = (about["data"], sweep["profile"], sweep["seeds"], default | sweep["settings"][setting])
            found.append(line | {"same": bool(made == own and row["runs"] == 1)})
    return found


def paired_tests(run: Run, pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, dict[str, float]]:
    """`one vs other` → difference of the headline score with its interval, and p; of pairs whose predictions are there."""

    def there(name: str | None) -> bool:
        return bool(name) and predictions_path(run, name).exists()

    asked = [(one, other) for one, other in dict.fromkeys(pairs) if there(one) and there(other)]
    asked = [(one, other) for one, other in asked if one != other]
    if not asked or not (run.dir / "splits").exists():
        return {}
    rows = run.load("scored")
    records = {name: bound(run.task, rows, read_predictions(run, name)) for pair in asked for name in pair}
    table = compare_variants(run, rows, records, asked)
    kept = table[["difference", "low", "high", "p_permutation"]].rename(columns={"p_permutation": "p"})
    return kept.round(DECIMALS).to_dict("index")


def _table(run: Run, name: str, **options: Any) -> pd.DataFrame:
    """One of the run's tables; empty where it was not saved."""
    path = run.dir / "tables" / f"{name}.csv"
    full = path.exists() and path.read_text(encoding="utf-8").strip()
    return pd.read_csv(path, **options) if full else pd.DataFrame()


def evidence(run: Run) -> dict[str, Any]:
    """What the numbers of a task's report are read from, to be kept beside it: the fields of :class:`Study`.

    Returns
    -------
    dict
        metrics and costs (the files), test_part (whether the scored rows are one), tests (paired, of the pairs that are
        spoken of), journeys (tests away from home), hinted (variants that are shown what the rules propose), drops
        (perturbation → change of the score), published (whether published results are on these rows), models (settings
        that name them), command, beside (sweeps and published results), hard (slices that are harder for certain; None
        where none was looked at), checks (what was looked for → found, of how many), code and results (fingerprints).
    """
    metrics = {"profile": run.profile, "data": {"source": run.data}, **read_json(run.dir / "metrics.json")}
    source = metrics["data"].get("source")
    if source not in (None, *SOURCES):  # where a folder lay says nothing elsewhere
        metrics["data"] = {**metrics["data"], "source": Path(source).name}
    splits, headline = run.dir / "splits", run.task.headline
    published = bool(run.task.public.published) and is_public(run)
    theirs = [
        dict(zip(BESIDE, (one["system"], "public", "published", f"{one[headline]:.3f}", None)))
        for one in (run.task.public.published if published else ())
        if one.get(headline) is not None
    ]
    perturbed, slices, checks = _table(run, "robustness", index_col=0), _table(run, "slices"), {}
    variants = metrics.get("variants", {})
    overall = variants.get(metrics.get("best"), {}).get(headline)
    if (audit := _table(run, "leakage_audit")).size:
        after = audit[audit.iloc[:, 0] == "after"][["exact", "near"]].to_numpy()
        checks["rows of one part repeated in another"] = [int(after.sum()), None]
    if tuned := [one for name, one in variants.items() if name in run.task.variants]:
        invalid = sum(sum((one.get("parse_errors") or {}).values()) for one in tuned)
        checks["answers of fine-tuned systems that are not valid"] = [invalid, None]
    hard = None
    if overall is not None and slices.size:
        compared, harder = harder_slices(slices, overall)
        hard = harder.to_dict("records")
        checks["slices of the rows that are harder, corrected for their number"] = [len(hard), compared]
    if perturbed.size:
        # the interval as well as the test, as the sentence about perturbations counts
        corrected = perturbed["p"] * len(perturbed)
        harmful = ((perturbed["difference_high"] < 0) & (corrected < 1 - LEVEL)).sum()
        checks["changes of the input that cost more than chance would"] = [int(harmful), len(perturbed)]
    transfer = read_transfer(run)
    away, (deploy, why) = home_and_away(transfer), (None, "")
    if len(away) and variants:
        deploy, why = deployed(run, [name for name in variants if "@" not in name])
    spread = away[["home", "away", "low", "high"]].to_dict("index")
    home = [line for line in transfer.get("lines", ()) if line["case"] == HOME]
    at_home = {line["variant"]: line["sets"][HOME].get(headline) for line in home if HOME in line["sets"]}
    study = Study(run.task, metrics, {}, deploy=deploy)
    spoken_of = [(study.deploy, study.baseline), (study.marker, study.writer), (study.writer, study.baseline)]
    return {
        "metrics": metrics,
        "costs": read_json(run.dir / "costs.json"),
        "test_part": (splits / "test.jsonl").exists() or not splits.exists(),
        "drops": perturbed["difference"].dropna().to_dict() if perturbed.size else {},
        "published": published,
        "models": {name: run.settings.get(name) for name in ("base_model", "encoder_model")},
        "command": command(run),
        "beside": [*sweeps_of(run), *theirs],
        "hard": hard,
        "checks": checks,
        "away": {name: {**line, "score": at_home.get(name)} for name, line in spread.items()},
        "journeys": [one for one in away_lines(transfer) if one["system"] in away.index],
        "tests": paired_tests(run, spoken_of),
        "hinted": [name for name in study.trained if run.settings.get(f"{name}.hints")],
        "deploy": deploy,
        "why": why.replace("`", ""),
        "code": read_json(run.dir / "manifest.json").get("code", {}).get("shared", ""),
        "results": results_of(run.task.name),
    }


def read_run(root: Path, name: str) -> Run:
    """The run of a task, by its name or its folder, whose files are under `root/artifacts/`."""
    manifest = read_json(root / "artifacts" / load_task(name).name / "manifest.json")
    kept = {key: manifest[key] for key in ("profile", "settings", "seed") if key in manifest}
    try:
        return Run(task=name, out=str(root), data=manifest.get("data", {}).get("source", "sample"), **kept)
    except UserError:  # its data or settings are gone
        return Run(task=name, out=str(root))


def command(run: Run) -> str:
    """The command line that makes this run again; settings are named where they differ from the profile's.

    The folder of a task of the user's own is named from the repository on, and only its name where it lies elsewhere.
    """
    own = run.own_folder
    task = run.task.name if own is None else str(own.relative_to(ROOT)) if own.is_relative_to(ROOT) else own.name
    line = ["./run_all.sh", task, "--profile", run.profile, "--data", str(run.data)]
    defaults = run.task.settings(run.profile)
    for name, value in run.settings.items():
        if value != defaults[name]:
            text = json.dumps(value) if isinstance(value, (list, dict, bool)) else value
            line += ["--set", f"{name}={text}"]
    return shlex.join(line)
