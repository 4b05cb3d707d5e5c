"""What transfers, sweeps and the benchmark measured, as tables: light, so that showing them and choosing load no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data.read import data_name, is_public
from helpers.files import read_json
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.metrics import scores_of
from helpers.tasks.text import words

TRANSFER, SWEEPS = ROOT / "results" / "transfer", ROOT / "results" / "sweeps"
BENCHMARK = ROOT / "results" / "benchmark.json"
HOME = "home"  # the set that chooses: the validation part of what is trained on
SCORED = "scored"  # the set of a sweep beside it; without a test part home is what is scored
SCORES = ("exact_match", "field_accuracy", "exact_f1", "f1", "json_validity")
Line = dict[str, Any]


# -- away from home ---------------------------------------------------------------------------------------
def transfer_path(run: Run, out: Path | None = None) -> Path:
    """File of what :mod:`helpers.evaluation.transfer` measured for a task and the data that is home."""
    return (out or TRANSFER) / f"{run.task.name}{f'-{data_name(run)}' * (data_name(run) != 'sample')}.json"


def read_transfer(run: Run) -> dict[str, Any]:
    """What was measured away from home with the profile and the models of a run; empty where nothing was."""
    found = read_json(transfer_path(run))
    models = {name: run.settings.get(name) for name in found.get("models", {})}
    return found if (found.get("profile"), found.get("models")) == (run.profile, models) else {}


def transfer_table(content: dict[str, Any]) -> pd.DataFrame:
    """Home and away side by side, a line for each case and set, a column a system.

    The score is the headline, or the one that forgives spelling where the set is another source's. Index (trained on,
    scored on, score); columns rows and the systems in the order in which they were measured.
    """
    cells: dict[tuple[str, str, str], dict[str, Any]] = {}
    for line in content["lines"]:
        for name, found in line["sets"].items():
            score = content["soft" if line["group"] == "source" and name != HOME else "headline"]
            cell = cells.setdefault((line["case"], name, score), {"rows": found["rows"]})
            cell[line["variant"]] = found.get(score)
    table = pd.DataFrame.from_dict(cells, orient="index")
    return table.rename_axis(["trained on", "scored on", "score"])


def home_and_away(content: dict[str, Any]) -> pd.DataFrame:
    """Mean score of the systems that have been measured in every set, forgiving spelling.

    Index variant; columns home (the validation part of the rows that the study trains on), away (mean of the cases, a case
    being the mean of its sets), low and high (the extremes of these) and mean of home and away; the columns' name is that
    of the score.
    """
    columns = pd.Index(["home", "away", "low", "high", "mean"], name=words(content.get("soft", "")))
    lines = [
        (line["variant"], line["case"], name, found[content["soft"]])
        for line in content.get("lines", ())
        for name, found in line["sets"].items()
    ]
    frame = pd.DataFrame(lines, columns=["variant", "case", "set", "score"])
    wide = frame.pivot(index="variant", columns=["case", "set"], values="score").dropna()
    away = wide.drop(columns=[one for one in wide.columns if one[1] == HOME])
    if away.empty or (HOME, HOME) not in wide:  # one of the two is not measured
        return pd.DataFrame(columns=columns, dtype=float)
    home, cases = wide[HOME, HOME], away.T.groupby(level="case").mean()
    found = [home, cases.mean(), cases.min(), cases.max(), (home + cases.mean()) / 2]
    return pd.concat(found, axis=1).set_axis(columns, axis=1)


def away_lines(content: dict[str, Any]) -> list[Line]:
    """Every test away from home of systems that are trained on the rows of home, or on a part of them.

    Returns
    -------
    list of dict
        system, group (`batch`: held out whole; `source`: rows of another source), set, rows, score (the headline), soft (the
        one that forgives spelling), home (the headline on the validation part of that training).
    """
    headline, soft = content.get("headline"), content.get("soft")
    return [
        {
            "system": line["variant"],
            "group": line["group"],
            "set": name,
            "rows": found["rows"],
            "score": found[headline],
            "soft": found[soft],
            "home": line["sets"].get(HOME, {}).get(headline),
        }
        for line in content.get("lines", ())
        if line["group"] == "batch" or line["case"] == HOME
        for name, found in line["sets"].items()
        if name != HOME
    ]


# -- sweeps -----------------------------------------------------------------------------------------------
def _spread(values: pd.Series) -> str:
    """Mean ± standard deviation (n − 1); the value alone where there is one."""
    text = f"{values.mean():.3f}"
    return f"{text} ± {values.std():.3f}" if len(values) > 1 else text


def sweep_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Mean ± standard deviation over the seeds and folds of a sweep, or the scores of single trainings, with a caption.

    Index (settings, variant); columns runs, scores on the scored rows and the headline on validation, and the mean of the
    seconds of training.
    """
    about = read_json(path)
    sweep, headline, lines = about["sweep"], about["headline"], []
    for line in about["lines"]:
        home, scored = line["sets"][HOME], line["sets"].get(SCORED, line["sets"][HOME])
        known = {name: scored[name] for name in (headline, *SCORES) if name in scored}
        lines.append({"settings": line["group"], "variant": line["variant"], **known})
        lines[-1] |= {f"{headline} validation": home[headline], "train_seconds": line["train_seconds"]}
    frame = pd.DataFrame(lines).astype({"train_seconds": float})
    groups = frame.groupby(["settings", "variant"], sort=False)
    scores = frame.columns.drop(["settings", "variant", "train_seconds"]).tolist()
    seconds = groups["train_seconds"].mean()
    table = pd.concat([groups.size().rename("runs"), groups[scores].agg(_spread), seconds], axis=1)
    seeds = ", ".join(map(str, sweep["seeds"]))
    over = f"mean ± standard deviation over seeds {seeds}"
    over += f" and {sweep['folds']} folds of the train part" * bool(sweep["folds"])
    if table["runs"].eq(1).all():
        over = f"one training a line (seed {seeds}), so no spread is known"
    return table, (
        f"{path.stem.replace('_', ' ')}: {over} ({sweep['profile']} profile; {about['hardware']['cpu']})."
    )


def complete_sweeps(task: str, folder: Path = SWEEPS) -> dict[Path, dict[str, Any]]:
    """File → content of the sweeps of a task that have measured every setting, seed and fold."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        about = read_json(path)
        if about.get("task") == task:
            sweep = about["sweep"]
            count = len(sweep["settings"]) * len(sweep["seeds"]) * max(1, sweep["folds"])
            if len({line["case"] for line in about["lines"]}) == count:
                found[path] = about
    return found


# -- beside a run -----------------------------------------------------------------------------------------
def benchmark_table(path: Path = BENCHMARK) -> tuple[pd.DataFrame, str] | None:
    """The table of the benchmark with its caption, None where it has not run."""
    content = read_json(path)
    if not content:
        return None
    about, machine = content["manifest"], content["manifest"]["hardware"]
    frame = pd.DataFrame(content["lines"]).set_index(["part", "ours", "against"])
    return frame[["unit", "rate", "other_rate", "ratio", "low", "high"]], (
        f"How fast each part is beside another way: median rates, and median, smallest and largest ratio of "
        f"{about['repeats']} turns. {about['model']}, {about['data']} {about['task']} rows, decoded by "
        f"{about['decoded by']}; {machine['cpu']}, {machine['cores']} cores, "
        f"{about['gemm_gflops']:.0f} GFLOP/s in fp32."
    )


def published_table(run: Run, variants: dict[str, Line], best: str) -> pd.DataFrame | None:
    """Published results beside the best variant, or None where the run is not on that public data."""
    if not run.task.public.published or not is_public(run):
        return None
    before = variants.get("base_zero_shot", {}).get("loss")
    ours = {"system": f"this run: {best}", **variants[best], "loss_before": before}
    lines = pd.DataFrame([ours, *run.task.public.published]).set_index("system")
    scores = [*scores_of(run.task), "token_accuracy", "loss_before", "loss"]
    return lines[[name for name in scores if name in lines and lines[name].iloc[1:].notna().any()]]


def elsewhere(
    run: Run, scores: dict[str, Line], best: str, sweeps: Path = SWEEPS
) -> dict[str, tuple[pd.DataFrame, str]]:
    """Name → (table, caption) of what was measured beside this run: published results, away from home, complete sweeps of its
    data, the benchmark."""
    found, theirs, away = {}, published_table(run, scores, best), read_transfer(run)
    if theirs is not None:
        found["published"] = theirs, "This run beside published results on the same data."
    if away:
        caption = "Home and away side by side: a line a test, a column a system."
        found["transfer"] = transfer_table(away), caption
    for path, about in complete_sweeps(run.task.name, sweeps).items():
        if about["data"] == data_name(run):
            found[f"sweep_{path.stem}"] = sweep_table(path)
    if speed := benchmark_table():
        found["benchmark"] = speed
    return found
