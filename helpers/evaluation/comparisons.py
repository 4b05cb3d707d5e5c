"""Tables of stage 05: systems side by side, by slice and field, in pairs, by cost, beside published ones."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pandas as pd

from helpers.data import read as data
from helpers.errors import UserError
from helpers.evaluation.mistakes import first_slice
from helpers.evaluation.scoring import prediction_name, untrained_names
from helpers.evaluation.systems import best_of, read_predictions, trained
from helpers.evaluation.vote import Records, agreement_table, vote_names
from helpers.files import read_json
from helpers.run import Run
from helpers.tasks import metrics
from helpers.tasks.base import Task
from helpers.tasks.metrics import align, exact_match
from helpers.tasks.records import Example
from helpers.tasks.scores import metrics_of
from helpers.tasks.statistics import compare


def decodings_of_row(
    task: Task, gold: Sequence[Example], predictions: dict[str, Records], variant: str
) -> tuple[Example, pd.DataFrame]:
    """One row under each decoding: the first that the decodings score differently, else the first.

    Returns
    -------
    example : Example
    table : DataFrame
        Index decoding; columns output (the model's text), valid, exact_match.
    """
    files = {way: predictions[prediction_name(task, variant, way)] for way in task.decodings}
    right = {way: exact_match(task, gold, records) for way, records in files.items()}
    at = next((at for at in range(len(gold)) if len({matches[at] for matches in right.values()}) > 1), 0)
    lines = {way: align(gold, records)[at] for way, records in files.items()}
    table = pd.DataFrame(
        [
            (one["raw"], "yes" if one["prediction"] is not None else "no", "yes" if right[way][at] else "no")
            for way, one in lines.items()
        ],
        index=pd.Index(lines, name="decoding"),
        columns=["output", "valid", "exact_match"],
    )
    return gold[at], table


def comparison_table(
    variants: dict[str, dict[str, Any]],
    names: Sequence[str] | None = None,
    metric: str = "exact_match",
    metrics: ModuleType = metrics,
) -> pd.DataFrame:
    """Scores by variant, one first with its interval as `low` and `high`; `metrics` is the task's module."""
    chosen = {name: variants[name] for name in names or variants}
    table = metrics.score_table(chosen)
    table.insert(0, metric, table.pop(metric))
    table.insert(1, "low", [one["ci95"][metric][0] for one in chosen.values()])
    table.insert(2, "high", [one["ci95"][metric][1] for one in chosen.values()])
    return table.rename_axis("variant")


def score_frame(
    variants: dict[str, dict[str, Any]], names: Sequence[str], metric: str = "exact_match"
) -> pd.DataFrame:
    """One metric with its interval: index variant, columns score, low, high."""
    return pd.DataFrame(
        [(variants[name][metric], *variants[name]["ci95"][metric]) for name in names],
        index=pd.Index(names, name="variant"),
        columns=["score", "low", "high"],
    )


def decoding_table(
    task: Task, variants: dict[str, dict[str, Any]], metric: str = "exact_match"
) -> pd.DataFrame:
    """One metric under each decoding (columns) of each trained variant (index) that has them all."""
    trained = [
        name for name in task.variants if name in variants and task.decodings_of(name) == task.decodings
    ]
    cells = {
        decoding: [variants[prediction_name(task, name, decoding)][metric] for name in trained]
        for decoding in task.decodings
    }
    return pd.DataFrame(cells, index=pd.Index(trained, name="variant"))


def slice_scores(
    task: Task, gold: Sequence[Example], predictions: dict[str, Records], names: Sequence[str]
) -> pd.DataFrame:
    """F1 over values or entities of several systems in the slices that the task names first.

    Returns
    -------
    DataFrame
        Index slice, columns rows and one a system.
    """
    of_row = first_slice(task, gold)
    columns: dict[str, Any] = {"rows": of_row.value_counts()}
    for name in names:
        results = metrics_of(task).field_results(task, gold, predictions[name])
        sums = results.groupby(results["id"].map(of_row))[["hits", "gold_values", "predicted_values"]].sum()
        columns[name] = 2 * sums["hits"] / (sums["gold_values"] + sums["predicted_values"])
    return pd.DataFrame(columns).rename_axis(of_row.name)


def field_matrix(
    variants: dict[str, dict[str, Any]], names: Sequence[str] | None = None, column: str = "f1"
) -> pd.DataFrame:
    """One per-field score of all or some systems: index field, a column a system; NaN where nothing fills a field."""
    table = {
        name: {field: cells[column] for field, cells in variants[name]["fields"].items()}
        for name in names or variants
    }
    return pd.DataFrame(table, dtype=float).rename_axis("field")


def parse_error_table(variants: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Kinds of parse error: index variant, a column a kind, counts; variants without any are left out."""
    found = {name: one["parse_errors"] for name, one in variants.items() if one.get("parse_errors")}
    return pd.DataFrame(found).T.fillna(0).astype(int).rename_axis("variant").sort_index(axis=1)


def best_baseline(task: Task, variants: dict[str, dict[str, Any]]) -> str:
    """The strongest system that was not trained: best headline score, then field accuracy, then first name.

    It is picked on the scored rows, which favours the baseline and so makes the comparison a strict one.

    Raises
    ------
    UserError
        If no baseline has predictions.
    """
    names = untrained_names(task, variants)
    if not names:
        raise UserError(f"no baseline predictions: run notebook 03_baseline (./run_all.sh {task.name}) first")
    return best_of(task, variants, names)


def compare_variants(
    run: Run, gold: Sequence[Example], predictions: dict[str, Records], pairs: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Paired comparison of row scores for pairs of variants: index `left vs right`, columns of `compare`."""
    row_scores = metrics_of(run.task).row_scores
    matches = {
        name: row_scores(run.task, gold, predictions[name]) for name in {n for pair in pairs for n in pair}
    }
    return pd.DataFrame(
        [compare(matches[left], matches[right], seed=run.seed) for left, right in pairs],
        index=pd.Index([f"{left} vs {right}" for left, right in pairs], name="comparison"),
    )


def cost_table(run: Run, variants: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """What each trained variant and each vote costs, from costs.json, beside its score.

    Returns
    -------
    DataFrame
        Index variant; columns train_seconds, seconds (decoding the scored part), megabytes (weights on disk),
        train_memory_mb and memory_mb (peak of the process in training and decoding), trainable, total
        (parameters), score (the task's headline). NaN where costs.json says nothing.
    """
    costs, lines = read_json(run.path("costs.json")), {}
    for name in (name for name in (*run.task.variants, *run.task.votes) if name in variants):
        cost, counts = costs.get(name, {}), variants[name]["parameters"]
        lines[name] = {
            "train_seconds": cost.get("train_seconds"),
            "seconds": cost.get("predict_seconds"),
            "megabytes": cost.get("size_mb"),
            "train_memory_mb": cost.get("train_peak_memory_mb"),
            "memory_mb": cost.get("predict_peak_memory_mb"),
            "trainable": counts["trainable"],
            "total": counts["total"],
            "score": variants[name][run.task.headline],
        }
    return pd.DataFrame.from_dict(lines, orient="index").astype(float).rename_axis("variant")


def published_table(run: Run, variants: dict[str, dict[str, Any]], best: str) -> pd.DataFrame | None:
    """Published results beside the best variant, or None where the run is not on that public data."""
    if not run.task.published or not data.is_public(run):
        return None
    ours = {
        "system": f"this run: {best}",
        **variants[best],
        "loss_before": variants.get("base_zero_shot", {}).get("loss"),
    }
    lines = pd.DataFrame([ours, *run.task.published])
    shown = metrics_of(run.task).SCORES
    reported = [
        "system",
        *(
            name
            for name in (*shown, "token_accuracy", "loss_before", "loss")
            if name in lines and lines[name].iloc[1:].notna().any()
        ),
    ]
    return lines[reported].set_index("system")


def vote_agreement(run: Run) -> dict[str, pd.DataFrame]:
    """Vote → :func:`agreement_table` on the validation part, for the votes whose members stage 04 has all trained."""
    return {
        vote: agreement_table(
            run.task,
            run.load("validation"),
            [read_predictions(run, name, part="validation") for name in run.task.votes[vote]],
        )
        for vote in vote_names(run.task, trained(run))
    }
