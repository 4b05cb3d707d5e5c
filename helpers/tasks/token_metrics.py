"""Scores of tagged sentences: entity precision, recall and F1 in seqeval's strict IOB2 mode, and token accuracy.

An entity counts where its first token, its last token and its label are all right. :func:`score` asks seqeval; the
bootstrap needs the counts of each sentence, which :func:`row_counts` makes of the same spans. Functions that
:mod:`helpers.tasks.metrics` has too take and give the same, so that a task can name either module.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from seqeval.metrics import accuracy_score, classification_report
from seqeval.scheme import IOB2

from helpers.tasks.base import Task
from helpers.tasks.bio import spans_of
from helpers.tasks.metrics import align
from helpers.tasks.records import Example
from helpers.tasks.statistics import ratio, score_ci
from helpers.tasks.text import normalise

# score name -> (numerator, denominator) columns of row_counts
SCORES: dict[str, tuple[str, str]] = {
    "f1": ("twice_right", "gold_and_predicted"),
    "precision": ("right", "predicted"),
    "recall": ("right", "gold"),
    "accuracy": ("right_tokens", "tokens"),
    "exact_match": ("exact", "rows"),
    "field_accuracy": ("right_fields", "fields"),
}
AVERAGE = "micro avg"


def predicted_tags(
    task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]
) -> list[tuple[str, ...]]:
    """Predicted tags in the order of the gold rows; a row without a valid prediction is outside throughout."""
    bound = [task.bind(record["prediction"], example) for example, record in zip(gold, align(gold, records))]
    return [
        ("O",) * len(example.target.tags) if found is None else found.tags
        for example, found in zip(gold, bound)
    ]


def report(
    gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Each of the labels and `micro avg` → precision, recall, f1 and support, by seqeval in strict IOB2 mode.

    Labels without any gold or predicted entity have support 0 and NaN scores.
    """
    if all(
        set(tags) <= {"O"} for tags in (*gold, *predicted)
    ):  # seqeval has no answer where there is no entity at all
        table: dict[str, Any] = {}
    else:
        table = classification_report(
            list(map(list, gold)),
            list(map(list, predicted)),
            output_dict=True,
            mode="strict",
            scheme=IOB2,
            zero_division=0,
        )
    nothing = {"precision": np.nan, "recall": np.nan, "f1-score": np.nan, "support": 0}
    cells = {name: table.get(name, nothing) for name in (AVERAGE, *labels)}
    return {
        name: {
            "precision": float(one["precision"]),
            "recall": float(one["recall"]),
            "f1": float(one["f1-score"]),
            "support": int(one["support"]),
        }
        for name, one in cells.items()
    }


def score(task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
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
        The names in :data:`SCORES` (shares in 0..1), `fields` (label to precision, recall, f1, support, and
        accuracy: the share of rows with all its entities right) and `invalid` (rows without a valid prediction).

    Raises
    ------
    ValueError
        If records and rows do not belong together, or there are no rows.
    """
    if not gold:
        raise ValueError("no rows to score")
    wanted, found = [example.target.tags for example in gold], predicted_tags(task, gold, records)
    cells = report(wanted, found, task.fields)
    overall, rows = cells.pop(AVERAGE), row_counts(gold, found, task.fields)
    for label, accuracy in field_table(field_results(task, gold, records))["accuracy"].items():
        cells[label]["accuracy"] = float(accuracy)
    return {
        "f1": overall["f1"],
        "precision": overall["precision"],
        "recall": overall["recall"],
        "accuracy": float(accuracy_score(list(map(list, wanted)), list(map(list, found)))),
        "exact_match": float(rows["exact"].mean()),
        "field_accuracy": float(rows["right_fields"].sum() / rows["fields"].sum()),
        "fields": cells,
        "invalid": sum(record["prediction"] is None for record in records),
    }


def field_results(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One line for every row and label.

    Returns
    -------
    DataFrame
        Columns id, field, gold and predicted (tuples of the entities' words), valid, right (bool: the same entities at the
        same places, also where there are none), hits, gold_values, predicted_values (numbers of entities).
    """
    records, lines = align(gold, records), []
    for example, record, tags in zip(gold, records, predicted_tags(task, gold, records)):
        words, valid = example.target.tokens, record["prediction"] is not None
        wanted, found = spans_of(example.target.tags), spans_of(tags)
        for label in task.fields:
            left, right = ([span for span in spans if span[2] == label] for spans in (wanted, found))
            texts = (
                tuple(normalise(" ".join(words[start:end])) for start, end, _ in spans)
                for spans in (left, right)
            )
            lines.append(
                (
                    example.id,
                    label,
                    *texts,
                    valid,
                    left == right,
                    len(set(left) & set(right)),
                    len(left),
                    len(right),
                )
            )
    return pd.DataFrame(
        lines,
        columns=[
            "id",
            "field",
            "gold",
            "predicted",
            "valid",
            "right",
            "hits",
            "gold_values",
            "predicted_values",
        ],
    )


def field_table(results: pd.DataFrame) -> pd.DataFrame:
    """Scores of each label, from :func:`field_results`: index field; accuracy, precision, recall, f1, support."""
    sums = results.groupby("field", sort=False)[["hits", "gold_values", "predicted_values"]].sum()
    table = {
        "accuracy": results.groupby("field", sort=False)["right"].mean(),
        "precision": ratio(sums["hits"], sums["predicted_values"]),
        "recall": ratio(sums["hits"], sums["gold_values"]),
        "f1": ratio(2 * sums["hits"], sums["gold_values"] + sums["predicted_values"]),
        "support": sums["gold_values"].astype(int),
    }
    return pd.DataFrame(table, index=sums.index)


def row_counts(
    gold: Sequence[Example], predicted: Sequence[Sequence[str]], labels: Sequence[str]
) -> pd.DataFrame:
    """Counts of each sentence, one row each, index `id`: the columns that :data:`SCORES` names."""
    lines = []
    for example, tags in zip(gold, predicted):
        wanted, found = set(spans_of(example.target.tags)), set(spans_of(tags))
        right, wrong_labels = len(wanted & found), {label for _, _, label in wanted ^ found}
        lines.append(
            (
                example.id,
                right,
                2 * right,
                len(wanted),
                len(found),
                len(wanted) + len(found),
                sum(map(str.__eq__, example.target.tags, tags)),
                len(tags),
                tuple(tags) == example.target.tags,
                1,
                len(labels) - len(wrong_labels),
                len(labels),
            )
        )
    columns = [
        "id",
        "right",
        "twice_right",
        "gold",
        "predicted",
        "gold_and_predicted",
        "right_tokens",
        "tokens",
        "exact",
        "rows",
        "right_fields",
        "fields",
    ]
    return pd.DataFrame(lines, columns=columns).set_index("id").astype(float)


def row_sums(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """:func:`row_counts` of prediction records."""
    return row_counts(gold, predicted_tags(task, gold, records), task.fields)


def exact_match(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> np.ndarray:
    """Whether each row has all its tags right, ndarray of bool."""
    return row_sums(task, gold, records)["exact"].to_numpy(bool)


def row_scores(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> np.ndarray:
    """F1 of each row by itself, 1 where there is no entity and none was found: what paired tests compare."""
    rows = row_sums(task, gold, records)
    return np.nan_to_num(ratio(rows["twice_right"], rows["gold_and_predicted"]), nan=1.0)


def intervals(
    task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]], seed: int, resamples: int = 2000
) -> dict[str, list[float]]:
    """Bootstrap 95 % intervals over sentences of every score in :data:`SCORES`: name → [low, high]."""
    rows = row_sums(task, gold, records)
    return {
        name: list(score_ci(rows[top], rows[bottom], seed=seed, resamples=resamples))
        for name, (top, bottom) in SCORES.items()
    }


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 over entities, from counts: what training and decoding ask for many times (seqeval takes seconds)."""
    right = total = 0
    for wanted, found in zip(gold, predicted):
        one, other = set(spans_of(wanted)), set(spans_of(found))
        right, total = right + 2 * len(one & other), total + len(one) + len(other)
    return float(ratio(right, total)) if total else 0.0


def score_table(scores: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Headline scores of several systems side by side: index variant, the columns of :data:`SCORES`."""
    return (
        pd.DataFrame(
            {name: {column: one.get(column) for column in SCORES} for name, one in scores.items()},
            dtype=float,
        )
        .T[list(SCORES)]
        .rename_axis("variant")
    )


# -- sentences that train has seen -------------------------------------------------------------------------------------
def seen_in(scored: Sequence[Example], train: Sequence[Example]) -> list[Example]:
    """The scored rows whose text stands in train word for word."""
    texts = {normalise(example.text) for example in train}
    return [example for example in scored if normalise(example.text) in texts]


def with_and_without(
    task: Task,
    gold: Sequence[Example],
    train: Sequence[Example],
    predictions: dict[str, Sequence[dict[str, Any]]],
) -> pd.DataFrame:
    """F1 on all scored rows and on those whose text does not stand in the source's train part.

    Parameters
    ----------
    train : sequence of Example
        Train as it came, before repeats were left out.
    predictions : dict
        System → records.

    Returns
    -------
    DataFrame
        Index variant; columns all, unseen (F1), difference, and rows, seen (numbers of sentences).
    """
    seen = {example.id for example in seen_in(gold, train)}
    unseen = [example for example in gold if example.id not in seen]
    lines = {}
    for name, records in predictions.items():
        left = [record for record in records if record["id"] not in seen]
        both = [
            entity_f1([example.target.tags for example in rows], predicted_tags(task, rows, kept))
            for rows, kept in ((gold, records), (unseen, left))
        ]
        lines[name] = (*both, both[1] - both[0], len(gold), len(seen))
    return pd.DataFrame.from_dict(
        lines, orient="index", columns=["all", "unseen", "difference", "rows", "seen"]
    ).rename_axis("variant")
