"""Scores of tagged sentences: entity precision, recall and F1, and token accuracy.

An entity counts where its first token, its last token and its label are all right, as seqeval counts in its strict IOB2
mode (a test holds both against each other). Every score is a ratio of two sums over sentences, so that one bootstrap
serves all. Functions that :mod:`helpers.tasks.metrics` has too take and give the same, so that a task can name either.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.tasks.base import Task
from helpers.tasks.bio import spans_of
from helpers.tasks.metrics import align
from helpers.tasks.records import Example
from helpers.tasks.statistics import ratio, score_ci
from helpers.tasks.text import normalise

Records = Sequence[dict[str, Any]]
# score name -> (numerator, denominator) columns of row_counts
SCORES: dict[str, tuple[str, str]] = {
    "f1": ("twice_right", "gold_and_predicted"),
    "precision": ("right", "predicted"),
    "recall": ("right", "gold"),
    "accuracy": ("right_tokens", "tokens"),
    "exact_match": ("exact", "rows"),
    "field_accuracy": ("right_fields", "fields"),
}


def predicted_tags(task: Task, gold: Sequence[Example], records: Iterable[dict]) -> list[tuple[str, ...]]:
    """Predicted tags in the order of the gold rows; a row without a valid prediction is outside throughout."""
    bound = [task.bind(record["prediction"], example) for example, record in zip(gold, align(gold, records))]
    return [found.tags if found else ("O",) * len(example.target.tags) for example, found in zip(gold, bound)]


# -- sentences --------------------------------------------------------------------------------------------------------
def row_counts(
    gold: Sequence[Example], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> pd.DataFrame:
    """Counts of each sentence, one row each, index `id`: the columns that :data:`SCORES` names."""
    lines = []
    for example, tags in zip(gold, predicted):
        wanted, found = set(spans_of(example.target.tags)), set(spans_of(tags))
        right, wrong_labels = len(wanted & found), {label for _, _, label in wanted ^ found}
        lines.append(
            {
                "id": example.id,
                "right": right,
                "twice_right": 2 * right,
                "gold": len(wanted),
                "predicted": len(found),
                "gold_and_predicted": len(wanted) + len(found),
                "right_tokens": sum(map(str.__eq__, example.target.tags, tags)),
                "tokens": len(tags),
                "exact": tuple(tags) == example.target.tags,
                "rows": 1,
                "right_fields": len(labels) - len(wrong_labels),
                "fields": len(labels),
            }
        )
    return pd.DataFrame(lines).set_index("id").astype(float)


def row_sums(task: Task, gold: Sequence[Example], records: Iterable[dict]) -> pd.DataFrame:
    """:func:`row_counts` of prediction records."""
    return row_counts(gold, predicted_tags(task, gold, records), task.fields)


def exact_match(task: Task, gold: Sequence[Example], records: Iterable[dict]) -> np.ndarray:
    """Whether each row has all its tags right, ndarray of bool."""
    return row_sums(task, gold, records)["exact"].to_numpy(bool)


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 over entities of tags alone: what training and decoding ask for many times."""
    right = total = 0
    for wanted, found in zip(gold, predicted):
        one, other = set(spans_of(wanted)), set(spans_of(found))
        right, total = right + 2 * len(one & other), total + len(one) + len(other)
    return float(ratio(right, total)) if total else 0.0


def intervals(
    task: Task, gold: Sequence[Example], records: Records, seed: int, resamples: int = 2000
) -> dict[str, list[float]]:
    """Bootstrap 95 % intervals over sentences of every score in :data:`SCORES`: name → [low, high]."""
    rows = row_sums(task, gold, records)
    return {
        name: list(score_ci(rows[top], rows[bottom], seed=seed, resamples=resamples))
        for name, (top, bottom) in SCORES.items()
    }


# -- labels -----------------------------------------------------------------------------------------------------------
def field_results(task: Task, gold: Sequence[Example], records: Iterable[dict]) -> pd.DataFrame:
    """One line for every row and label.

    Returns
    -------
    DataFrame
        Columns id, field, gold and predicted (tuples of the entities' words), valid, right (bool: the same entities at the
        same places, also where there are none), hits, gold_values, predicted_values (numbers of entities).
    """
    records, lines = align(gold, records), []
    for example, record, tags in zip(gold, records, predicted_tags(task, gold, records)):
        words, wanted, found = example.target.tokens, spans_of(example.target.tags), spans_of(tags)
        for label in task.fields:
            left, right = ([span for span in spans if span[2] == label] for spans in (wanted, found))
            lines.append(
                {
                    "id": example.id,
                    "field": label,
                    "gold": tuple(normalise(" ".join(words[start:end])) for start, end, _ in left),
                    "predicted": tuple(normalise(" ".join(words[start:end])) for start, end, _ in right),
                    "valid": record["prediction"] is not None,
                    "right": left == right,
                    "hits": len(set(left) & set(right)),
                    "gold_values": len(left),
                    "predicted_values": len(right),
                }
            )
    return pd.DataFrame(lines)


def field_table(results: pd.DataFrame) -> pd.DataFrame:
    """Scores of each label, from :func:`field_results`.

    Returns
    -------
    DataFrame
        Index field; columns accuracy (share of rows with all its entities right), precision, recall, f1, support. A label
        without any gold or predicted entity has NaN scores; with entities on one side only they are 0.
    """
    groups = results.groupby("field", sort=False)
    sums = groups[["hits", "gold_values", "predicted_values"]].sum()
    both = sums["gold_values"] + sums["predicted_values"]
    table = pd.DataFrame(
        {
            "accuracy": groups["right"].mean(),
            "precision": ratio(sums["hits"], sums["predicted_values"]),
            "recall": ratio(sums["hits"], sums["gold_values"]),
            "f1": ratio(2 * sums["hits"], both),
            "support": sums["gold_values"].astype(int),
        },
        index=sums.index,
    )
    return table.where(table.notna() | (both == 0).to_numpy()[:, None], 0.0).astype({"support": int})


def score(task: Task, gold: Sequence[Example], records: Records) -> dict[str, Any]:
    """All scores of one system, ready for metrics.json but for rounding.

    Parameters
    ----------
    task : Task
    gold : sequence of Example
        The scored rows.
    records : sequence of dict
        One prediction record a row: `id`, `prediction` (list of tags or None).

    Returns
    -------
    dict
        The names in :data:`SCORES` (shares in 0..1, entity scores NaN where there is no entity at all), `fields` (label to
        the columns of :func:`field_table`) and `invalid` (rows without a valid prediction).

    Raises
    ------
    ValueError
        If records and rows do not belong together, or there are no rows.
    """
    if not gold:
        raise ValueError("no rows to score")
    sums = row_sums(task, gold, records).sum()
    scores: dict[str, Any] = {name: float(ratio(sums[top], sums[low])) for name, (top, low) in SCORES.items()}
    if sums["gold_and_predicted"]:
        scores |= {name: float(np.nan_to_num(scores[name])) for name in ("precision", "recall")}
    scores["fields"] = field_table(field_results(task, gold, records)).to_dict(orient="index")
    scores["invalid"] = sum(record["prediction"] is None for record in records)
    return scores


def score_table(scores: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Headline scores of several systems side by side: index variant, the columns of :data:`SCORES`."""
    cells = {name: {column: one.get(column) for column in SCORES} for name, one in scores.items()}
    return pd.DataFrame(cells, dtype=float).T[list(SCORES)].rename_axis("variant")


# -- sentences that train has seen ------------------------------------------------------------------------------------
def seen_in(scored: Sequence[Example], train: Sequence[Example]) -> list[Example]:
    """The scored rows whose text stands in train word for word."""
    texts = {normalise(example.text) for example in train}
    return [example for example in scored if normalise(example.text) in texts]
