"""Tables of stage 05: systems side by side, by field and decoding, in pairs, by cost, beside published ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from helpers.data import read as data
from helpers.errors import UserError
from helpers.evaluation.scoring import prediction_name, untrained_names
from helpers.evaluation.systems import best_of, read_predictions, trained
from helpers.evaluation.vote import Records, agreement_table, vote_names
from helpers.files import read_json
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.tasks.metrics import align, exact_match
from helpers.tasks.records import Example
from helpers.tasks.scores import metrics_of
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
def score_frame(variants: Scores, names: Sequence[str], metric: str) -> pd.DataFrame:
    """One metric with its 95 % interval: index variant, columns score, low, high."""
    lines = {name: (variants[name][metric], *variants[name]["ci95"][metric]) for name in names}
    table = pd.DataFrame.from_dict(lines, orient="index", columns=["score", "low", "high"])
    return table.rename_axis("variant")


def comparison_table(task: Task, variants: Scores, names: Sequence[str]) -> pd.DataFrame:
    """All scores by variant, the task's headline first with its interval as `low` and `high`."""
    first = score_frame(variants, names, task.headline).rename(columns={"score": task.headline})
    others = metrics_of(task).score_table({name: variants[name] for name in names})
    return first.join(others.drop(columns=task.headline)).rename_axis("variant")


def field_matrix(variants: Scores, names: Sequence[str] | None = None, column: str = "f1") -> pd.DataFrame:
    """One per-field score of all or some systems: index field, a column a system; NaN where nothing fills a field."""
    table = {
        name: {field: cells[column] for field, cells in variants[name]["fields"].items()}
        for name in names or variants
    }
    return pd.DataFrame(table, dtype=float).rename_axis("field")


def parse_error_table(variants: Scores) -> pd.DataFrame:
    """Kinds of parse error: index variant, a column a kind, counts; variants without any are left out."""
    found = {name: one["parse_errors"] for name, one in variants.items() if one.get("parse_errors")}
    return pd.DataFrame(found).T.fillna(0).astype(int).rename_axis("variant").sort_index(axis=1)


def best_baseline(task: Task, variants: Scores) -> str:
    """The strongest system that was not trained; a UserError where there is none.

    It is picked on the scored rows, which favours the baseline and so makes the comparison a strict one.
    """
    names = untrained_names(task, variants)
    if not names:
        raise UserError(f"no baseline predictions: run notebook 03_baseline (./run_all.sh {task.name}) first")
    return best_of(task, variants, names)


# -- decodings --------------------------------------------------------------------------------------------
def decoding_table(task: Task, variants: Scores, metric: str) -> pd.DataFrame:
    """One metric under each decoding (columns) of each trained variant (index) that has them all."""
    names = [
        name
        for name in task.variants
        if name in variants and task.variants.decodings_of(name) == task.variants.decodings
    ]
    cells = {
        way: [variants[prediction_name(task, name, way)][metric] for name in names]
        for way in task.variants.decodings
    }
    return pd.DataFrame(cells, index=pd.Index(names, name="variant"))


def decodings_of_row(
    task: Task, gold: Sequence[Example], predictions: dict[str, Records], variant: str
) -> tuple[Example, pd.DataFrame]:
    """One row under each decoding, the first that the decodings score differently, else the first.

    Its table has index decoding; columns output (the model's text), valid, exact_match.
    """
    files = {way: predictions[prediction_name(task, variant, way)] for way in task.variants.decodings}
    right = pd.DataFrame({way: exact_match(task, gold, records) for way, records in files.items()})
    at = int((right.nunique(axis=1) > 1).to_numpy().argmax())
    ones = {way: align(gold, records)[at] for way, records in files.items()}
    table = {
        "output": {way: one["raw"] for way, one in ones.items()},
        "valid": {way: "yes" if one["prediction"] is not None else "no" for way, one in ones.items()},
        "exact_match": {way: "yes" if right.loc[at, way] else "no" for way in ones},
    }
    return gold[at], pd.DataFrame(table).rename_axis("decoding")


# -- pairs, votes, costs ----------------------------------------------------------------------------------
def compare_variants(
    run: Run, gold: Sequence[Example], predictions: dict[str, Records], pairs: Sequence[tuple[str, str]]
) -> pd.DataFrame:
    """Paired comparison of row scores for pairs of variants: index `left vs right`, columns of `compare`."""
    names = {name for pair in pairs for name in pair}
    rows = {name: metrics_of(run.task).row_scores(run.task, gold, predictions[name]) for name in names}
    lines = [compare(rows[left], rows[right], seed=run.seed) for left, right in pairs]
    index = pd.Index([f"{left} vs {right}" for left, right in pairs], name="comparison")
    return pd.DataFrame(lines, index=index)


def vote_agreement(run: Run) -> dict[str, pd.DataFrame]:
    """Vote → :func:`agreement_table` on the validation part, for the votes whose members stage 04 has all trained."""
    gold, votes = run.load("validation"), run.task.variants.votes
    return {
        vote: agreement_table(
            run.task,
            gold,
            [read_predictions(run, name, "validation") for name in votes[vote]],
            read_predictions(run, vote, "validation"),
        )
        for vote in vote_names(run.task, trained(run))
    }


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
    scores = [*metrics_of(run.task).SCORES, "token_accuracy", "loss_before", "loss"]
    reported = [name for name in scores if name in lines and lines[name].iloc[1:].notna().any()]
    return lines[reported]
