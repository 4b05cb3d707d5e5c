"""What sweeps and the benchmark measured, as tables: light, so that showing them loads no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data import read as data
from helpers.files import read_json
from helpers.paths import ROOT
from helpers.run import Run

SWEEPS, BENCHMARK = ROOT / "results" / "sweeps", ROOT / "results" / "benchmark.json"
SCORES = ("exact_match", "field_accuracy", "exact_f1", "f1", "json_validity")
Line = dict[str, Any]


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
    wanted = (run.task.name, data.data_name(run))
    found = [
        path
        for path in sorted(folder.glob("*.json"))
        if (read_json(path).get("task"), read_json(path).get("data")) == wanted
    ]
    return {path.stem: sweep_table(path.with_suffix(".jsonl")) for path in found}


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
