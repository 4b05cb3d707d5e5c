"""Tables of stage 05: systems side by side, by field and decoding, in pairs, by cost, beside published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from helpers.data import read as data
from helpers.errors import UserError
from helpers.evaluation.scoring import untrained_names
from helpers.evaluation.slices import row_parts
from helpers.evaluation.systems import best_of
from helpers.evaluation.vote import Records
from helpers.files import read_json
from helpers.run import Run
from helpers.tasks import metrics
from helpers.tasks.base import Example, Task
from helpers.tasks.statistics import compare

Scores = dict[str, dict[str, Any]]  # system → its scores, as metrics.json holds them
COSTS = {
    "train_seconds": "train_seconds",
    "predict_seconds": "seconds",
    "size_mb": "megabytes",
    "train_peak_memory_mb": "train_memory_mb",
    "predict_peak_memory_mb": "memory_mb",
}


# -- scores -----------------------------------------------------------------------------------------------
def comparison_table(task: Task, variants: Scores, names: Sequence[str]) -> pd.DataFrame:
    """All scores by variant, the task's headline first with its interval as `low` and `high`."""
    lines = {name: (variants[name][task.headline], *variants[name]["ci95"][task.headline]) for name in names}
    first = pd.DataFrame.from_dict(lines, orient="index", columns=[task.headline, "low", "high"])
    others = metrics.score_table(task, {name: variants[name] for name in names})
    return first.join(others.drop(columns=task.headline)).rename_axis("variant")


def field_matrix(variants: Scores, names: Sequence[str] | None = None, column: str = "f1") -> pd.DataFrame:
    """One per-field score of all or some systems: index field, a column a system; NaN where nothing fills a field."""
    table = {
        name: {field: cells[column] for field, cells in variants[name]["fields"].items()}
        for name in names or variants
    }
    return pd.DataFrame(table, dtype=float).rename_axis("field").rename_axis(columns="variant")


def best_baseline(task: Task, variants: Scores) -> str:
    """The strongest system that was not trained; a UserError where there is none.

    It is picked on the scored rows, which favours the baseline and so makes the comparison a strict one.
    """
    names = untrained_names(task, variants)
    if not names:
        raise UserError(f"no baseline predictions: run notebook 03_baseline (./run_all.sh {task.name}) first")
    return best_of(task, variants, names)


# -- pairs, votes, costs ----------------------------------------------------------------------------------
def compare_variants(
    run: Run, gold: Sequence[Example], predictions: dict[str, Records], pairs: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Paired comparison of the headline score for pairs of variants: index `left vs right`, columns of `compare`."""
    names = {name for pair in pairs for name in pair}
    rows = {name: row_parts(run.task, gold, predictions[name]) for name in names}
    lines = [compare(rows[left], rows[right], seed=run.seed) for left, right in pairs]
    index = pd.Index([f"{left} vs {right}" for left, right in pairs], name="comparison")
    return pd.DataFrame(lines, index=index)


def cost_table(run: Run, variants: Scores) -> pd.DataFrame:
    """What each trained variant and each vote costs, from costs.json, beside its score: index variant.

    Columns train_seconds, seconds (decoding the scored part), megabytes (weights on disk), train_memory_mb and
    memory_mb (peak of the process in training and decoding), trainable, total (parameters), score (the task's
    headline). NaN where costs.json says nothing.
    """
    costs, lines = read_json(run.path("costs.json")), {}
    for name in (name for name in (*run.task.variants, *run.task.variants.votes) if name in variants):
        spent, counts = costs.get(name, {}), variants[name]["parameters"]
        lines[name] = {column: spent.get(cost) for cost, column in COSTS.items()}
        lines[name] |= {what: counts[what] for what in ("trainable", "total")}
        lines[name]["score"] = variants[name][run.task.headline]
    return pd.DataFrame.from_dict(lines, orient="index").astype(float).rename_axis("variant")


def published_table(run: Run, variants: Scores, best: str) -> pd.DataFrame | None:
    """Published results beside the best variant, or None where the run is not on that public data."""
    if not run.task.public.published or not data.is_public(run):
        return None
    before = variants.get("base_zero_shot", {}).get("loss")
    ours = {"system": f"this run: {best}", **variants[best], "loss_before": before}
    lines = pd.DataFrame([ours, *run.task.public.published]).set_index("system")
    scores = [*metrics.scores_of(run.task), "token_accuracy", "loss_before", "loss"]
    reported = [name for name in scores if name in lines and lines[name].iloc[1:].notna().any()]
    return lines[reported]
