"""What sweeps and the benchmark measured, as tables: light, so that showing them loads no model."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data import read as data
from helpers.files import read_json
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.text import words

SWEEPS, BENCHMARK = ROOT / "results" / "sweeps", ROOT / "results" / "benchmark.json"
TRANSFER, HOME = ROOT / "results" / "transfer", "home"
SCORES = ("exact_match", "field_accuracy", "exact_f1", "f1", "json_validity")
Line = dict[str, Any]


def data_name(run: Run) -> str:
    """`sample`, `public` (also where a folder holds the public rows), or the name of the folder."""
    own = run.data if run.data == "sample" else re.sub(r"[^\w.-]+", "-", Path(run.data).name) or "data"
    return "public" if data.is_public(run) else own


def _scores_of(line: Line, headline: str) -> dict[str, float | None]:
    """The scores of a line under the names of :func:`means`."""
    scored = list(line["scores"]["scored"].values())
    chosen = list(line["scores"].get("validation", {}).values())
    free = scored[0] if len(scored) > 1 else {}
    return {
        headline: scored[-1][headline],
        f"{headline} free": free.get(headline),
        f"{headline} validation": chosen[-1][headline] if chosen else None,
        **{name: scored[-1].get(name) for name in SCORES if name != headline},
        "json_validity free": free.get("json_validity"),
    }


def _spread(values: pd.Series) -> str | None:
    """Mean ± standard deviation (n − 1); the value alone where there is one."""
    known = values.dropna().astype(float)
    text = f"{known.mean():.3f}" if len(known) else None
    return f"{text} ± {known.std():.3f}" if len(known) > 1 else text


def means(lines: list[Line], headline: str) -> pd.DataFrame:
    """Mean ± standard deviation over seeds and folds, a line for each setting and system of a sweep.

    Returns
    -------
    DataFrame
        Index (settings, variant); columns runs, scores on the scored rows in the default decoding (the
        headline also in free decoding and on validation), and the means of rows and seconds.
    """
    frame = pd.DataFrame([line | _scores_of(line, headline) for line in lines])
    groups = frame.groupby(["settings", "variant"], sort=False)
    scores = groups[list(_scores_of(lines[0], headline))].agg(_spread)
    costs = groups[["train_rows", "train_seconds", "predict_seconds"]].agg(lambda of: of.astype(float).mean())
    return pd.concat([groups.size().rename("runs"), scores, costs], axis=1).dropna(axis=1, how="all")


def sweep_table(path: Path) -> tuple[pd.DataFrame, str]:
    """The table of a complete sweep from its `.jsonl`, with a caption from the manifest beside it."""
    about = read_json(path.with_suffix(".json"))
    sweep, parts = about["sweep"], (f"{count} {part}" for part, count in about["rows"].items())
    over = f"seeds {', '.join(map(str, sweep['seeds']))}"
    over += f" and {sweep['folds']} folds of the train part" * bool(sweep["folds"])
    mixed = f"; {len(about['code'])} versions of the code" * (len(about["code"]) > 1)
    return means(data.read_jsonl(path), about["headline"]), (
        f"{path.stem.replace('_', ' ')}: mean ± standard deviation over {over} ({', '.join(parts)} rows; "
        f"{sweep['profile']} profile; {about['hardware']['cpu']}{mixed})."
    )


def sweep_tables(run: Run, folder: Path = SWEEPS) -> dict[str, tuple[pd.DataFrame, str]]:
    """Name → (table, caption) of the complete sweeps of the run's task and data source."""
    wanted = (run.task.name, data_name(run))
    found = [
        path
        for path in sorted(folder.glob("*.json"))
        if (read_json(path).get("task"), read_json(path).get("data")) == wanted
    ]
    return {path.stem: sweep_table(path.with_suffix(".jsonl")) for path in found}


# -- away from home ---------------------------------------------------------------------------------------
def transfer_path(run: Run, out: Path | None = None) -> Path:
    """File of what :mod:`helpers.evaluation.transfer` measured for a task and the data that is home."""
    return (out or TRANSFER) / f"{run.task.name}{f'-{data_name(run)}' * (data_name(run) != 'sample')}.json"


def read_transfer(run: Run) -> dict[str, Any]:
    """What was measured away from home with the profile and the models of a run; empty where nothing was."""
    found = read_json(transfer_path(run))
    models = {name: run.settings.get(name) for name in found.get("models", {})}
    return found if (found.get("profile"), found.get("models")) == (run.profile, models) else {}


def transfer_table(content: dict[str, Any], score: str = "") -> pd.DataFrame:
    """Home and away side by side, a line for each case and set, a column a system.

    Parameters
    ----------
    score : str
        A score of the lines, by default the one that forgives spelling where the set is another source's.

    Returns
    -------
    DataFrame
        Index (trained on, scored on, score); columns rows and the systems in the order in which they were measured.
    """
    cells: dict[tuple[str, str, str], dict[str, Any]] = {}
    for line in content["lines"]:
        for name, found in line["sets"].items():
            soft = line["kind"] == "source" and name != HOME
            which = score or (content["soft"] if soft else content["headline"])
            cell = cells.setdefault((line["case"], name, which), {"rows": found["rows"]})
            cell[line["variant"]] = found.get(which)
    table = pd.DataFrame.from_dict(cells, orient="index")
    return table.rename_axis(["trained on", "scored on", "score"])


def home_and_away(content: dict[str, Any]) -> pd.DataFrame:
    """Mean score of the systems that have been measured in every set, forgiving spelling.

    Returns
    -------
    DataFrame
        Index variant; columns home (the validation part of the rows that the study trains on), away (mean of the cases,
        a case being the mean of its sets) and mean of both; the columns' name is that of the score.
    """
    columns = pd.Index(["home", "away", "mean"], name=words(content.get("soft", "")))
    if not content:
        return pd.DataFrame(columns=columns, dtype=float)
    frame = pd.DataFrame(
        [
            (line["variant"], line["case"], name, found[content["soft"]])
            for line in content["lines"]
            for name, found in line["sets"].items()
        ],
        columns=["variant", "case", "set", "score"],
    )
    wide = frame.pivot(index="variant", columns=["case", "set"], values="score").dropna()
    away = wide.drop(columns=[one for one in wide.columns if one[1] == HOME])
    means = away.T.groupby(level="case").mean().mean()
    home = wide[HOME, HOME]
    return pd.DataFrame({"home": home, "away": means, "mean": (home + means) / 2}).set_axis(columns, axis=1)


# -- speed ------------------------------------------------------------------------------------------------
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
