"""Tables of stage 05: systems side by side, by field, in pairs, by cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from helpers.evaluation.slices import row_parts
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
    "run_mb": "run_megabytes",
    "train_peak_memory_mb": "train_memory_mb",
    "predict_peak_memory_mb": "memory_mb",
}


def comparison_table(task: Task, variants: Scores, names: Sequence[str]) -> pd.DataFrame:
    """All scores by variant, the task's headline first with its interval as `low` and `high`."""
    table = metrics.score_table(task, {name: variants[name] for name in names})
    first = table.pop(task.headline)
    low, high = zip(*(variants[name]["ci95"][task.headline] for name in names))
    bounds = pd.DataFrame({task.headline: first, "low": low, "high": high}, index=table.index)
    return bounds.join(table)


def field_matrix(variants: Scores, column: str = "f1") -> pd.DataFrame:
    """One per-field score of all systems: index field, a column a system; NaN where nothing fills a field."""
    table = {
        name: {field: cells[column] for field, cells in one["fields"].items()}
        for name, one in variants.items()
    }
    return pd.DataFrame(table, dtype=float).rename_axis("field").rename_axis(columns="variant")


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

    Columns train_seconds, seconds (decoding the scored part), megabytes (weights on disk), run_megabytes (with those of
    the base where an adapter needs it), train_memory_mb and memory_mb (peak of the process in training and decoding), trainable, total (parameters), score (the task's
    headline). NaN where costs.json says nothing.
    """
    costs, lines = read_json(run.path("costs.json")), {}
    for name in (name for name in (*run.task.variants, *run.task.variants.votes) if name in variants):
        spent, counts = costs.get(name, {}), variants[name]["parameters"]
        lines[name] = {column: spent.get(cost) for cost, column in COSTS.items()}
        lines[name] |= {what: counts[what] for what in ("trainable", "total")}
        lines[name]["score"] = variants[name][run.task.headline]
    return pd.DataFrame.from_dict(lines, orient="index").astype(float).rename_axis("variant")
