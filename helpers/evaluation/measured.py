"""What sweeps and the benchmark measured, as tables: light, so that showing them loads no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data import read as data
from helpers.evaluation.away import HOME, read_transfer, transfer_table
from helpers.evaluation.comparisons import published_table
from helpers.files import read_json
from helpers.paths import ROOT
from helpers.run import Run

SWEEPS, BENCHMARK = ROOT / "results" / "sweeps", ROOT / "results" / "benchmark.json"
SCORED = "scored"  # the set of a sweep beside `home`; without a test part home is what is scored
SCORES = ("exact_match", "field_accuracy", "exact_f1", "f1", "json_validity")
Line = dict[str, Any]


def _spread(values: pd.Series) -> str:
    """Mean ± standard deviation (n − 1); the value alone where there is one."""
    text = f"{values.mean():.3f}"
    return f"{text} ± {values.std():.3f}" if len(values) > 1 else text


def sweep_table(path: Path) -> tuple[pd.DataFrame, str]:
    """Mean ± standard deviation over the seeds and folds of a sweep, with a caption.

    Returns
    -------
    DataFrame
        Index (settings, variant); columns runs, scores on the scored rows and the headline on validation, and the
        mean of the seconds of training.
    """
    about = read_json(path)
    sweep, headline, lines = about["sweep"], about["headline"], []
    for line in about["lines"]:
        scored = line["sets"].get(SCORED, line["sets"][HOME])
        known = {name: scored[name] for name in (headline, *SCORES) if name in scored}
        chosen = {f"{headline} validation": line["sets"][HOME][headline]}
        lines.append({"settings": line["group"], "variant": line["variant"], **known, **chosen})
        lines[-1]["train_seconds"] = line["train_seconds"]
    groups = pd.DataFrame(lines).groupby(["settings", "variant"], sort=False)
    names = [name for name in lines[0] if name not in ("settings", "variant", "train_seconds")]
    seconds = groups["train_seconds"].agg(lambda each: each.astype(float).mean())
    table = pd.concat([groups.size().rename("runs"), groups[names].agg(_spread), seconds], axis=1)
    over = f"seeds {', '.join(map(str, sweep['seeds']))}"
    over += f" and {sweep['folds']} folds of the train part" * bool(sweep["folds"])
    return table, (
        f"{path.stem.replace('_', ' ')}: mean ± standard deviation over {over} ({sweep['profile']} profile; "
        f"{about['hardware']['cpu']})."
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


def sweep_tables(run: Run, folder: Path = SWEEPS) -> dict[str, tuple[pd.DataFrame, str]]:
    """Name → (table, caption) of the complete sweeps of the run's task and data source."""
    found, name = complete_sweeps(run.task.name, folder), data.data_name(run)
    return {path.stem: sweep_table(path) for path, about in found.items() if about["data"] == name}


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


def elsewhere(run: Run, scores: dict[str, Line], best: str) -> dict[str, tuple[pd.DataFrame, str]]:
    """Name → (table, caption) of what was measured beside this run: published results, sweeps of its data, the benchmark."""
    beside = published_table(run, scores, best)
    found = (
        {}
        if beside is None
        else {"published": (beside, "This run beside published results on the same data.")}
    )
    away = read_transfer(run)
    if away:
        found["transfer"] = (
            transfer_table(away),
            "Home and away side by side: a line a test, a column a system.",
        )
    found |= {f"sweep_{name}": one for name, one in sweep_tables(run).items()}
    speed = benchmark_table()
    return found | ({"benchmark": speed} if speed else {})
