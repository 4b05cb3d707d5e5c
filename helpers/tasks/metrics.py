"""Scores of predictions against gold labels: pure functions on a task, its examples and prediction records.

Every headline score is a ratio of two per-row sums (hits over rows, twice the hits over predicted plus gold values, …).
:func:`row_results` gives those columns, so that one bootstrap over rows serves exact match and micro F1 alike.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from rapidfuzz import fuzz, process
from scipy.optimize import linear_sum_assignment

from helpers.tasks.base import Task, Values
from helpers.tasks.fields import Kind
from helpers.tasks.records import Example
from helpers.tasks.statistics import ratio, score_ci
from helpers.tasks.text import normalise

# score name -> (numerator, denominator) columns of row_results
SCORES: dict[str, tuple[str, str]] = {
    "exact_match": ("exact", "rows"),
    "field_accuracy": ("right", "fields"),
    "exact_f1": ("twice_hits", "values"),
    "precision": ("hits", "predicted_values"),
    "recall": ("hits", "gold_values"),
    "fuzzy_f1": ("twice_fuzzy", "values"),
    "token_f1": ("token_f1", "token_pairs"),
    "presence_f1": ("twice_present", "present"),
    "empty_accuracy": ("right_empty", "empty"),
    "json_validity": ("valid_fields", "fields"),
    "complete_fields": ("complete", "rows"),
}
# headline -> the score in its place that forgives spelling
SOFT_HEADLINE = {"exact_match": "soft_exact_match", "exact_f1": "soft_f1", "f1": "soft_f1"}
FUZZY = 85  # least rapidfuzz ratio (0-100) of two values that count as alike


def comparable(task: Task, target: Any) -> Values:
    """Values of a target or prediction as they are compared: normalised text, a tuple for every field."""
    values = task.values(target) if target is not None else {}
    return {name: tuple(normalise(str(value)) for value in values.get(name, ())) for name in task.fields}


def align(gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Prediction records in the order of the gold rows."""
    by_id: dict[int, dict[str, Any]] = {}
    for record in records:
        if record["id"] in by_id:
            raise ValueError(f"two predictions for row {record['id']}")
        by_id[record["id"]] = record
    wanted = {example.id for example in gold}
    for problem, ids in (
        ("no prediction", wanted - set(by_id)),
        ("a prediction without a label", set(by_id) - wanted),
    ):
        if ids:
            raise ValueError(f"{problem} for {len(ids)} rows, first {min(ids)}")
    return [by_id[example.id] for example in gold]


def tokens(values: Iterable[str]) -> Counter[str]:
    """Bag of lower-case words of the values; punctuation is left out, as in the SQuAD evaluation."""
    return Counter(word for value in values for word in re.findall(r"\w+", value.casefold()))


def token_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Word-overlap F1 of one field of one row (Rajpurkar et al. 2016), articles kept; NaN where both are empty.

    Words are compared without case or punctuation; values that hold no word at all (an emoji) are compared whole.
    """
    if not gold and not predicted:
        return math.nan
    left, right = tokens(gold) or Counter(gold), tokens(predicted) or Counter(predicted)
    shared = sum((left & right).values())
    return 2 * shared / (left.total() + right.total())


def fuzzy_hits(gold: Sequence[str], predicted: Sequence[str]) -> int:
    """Most pairs of a gold and a predicted value that are alike (ratio of :data:`FUZZY` or more), each used once."""
    left, right = sorted(set(gold)), sorted(set(predicted))
    if not left or not right:
        return 0
    alike = process.cdist(left, right, scorer=fuzz.ratio) >= FUZZY
    return int(alike[linear_sum_assignment(alike, maximize=True)].sum())


def soft_hits(kind: Kind, gold: Sequence[str], predicted: Sequence[str]) -> int:
    """Pairs of a gold and a predicted value that mean the same (:meth:`Kind.equivalent`), each used once.

    Case, punctuation, a leading article, the spelling of a date, time or duration, and the order do not count.
    """
    left = list(gold)
    for value in predicted:
        match = next((other for other in left if other == value or kind.equivalent(other, value)), None)
        if match is not None:
            left.remove(match)
    return len(gold) - len(left)


def soft_right(kind: Kind, gold: Sequence[str], predicted: Sequence[str]) -> bool:
    """Whether two lists of values of a field mean the same."""
    return len(gold) == len(predicted) == soft_hits(kind, gold, predicted)


def soft_scores(task: Task, results: pd.DataFrame) -> dict[str, float]:
    """Scores that forgive spelling, from the `field_results` of a task that writes or tags (there entities count as strings).

    `soft_exact_match` is the share of rows all of whose fields are right in meaning, `soft_f1` the F1 over values that are.
    """
    lines = [
        (
            line.id,
            line.valid and soft_right(kind, line.gold, line.predicted),
            soft_hits(kind, line.gold, line.predicted),
        )
        for line in results.itertuples()
        for kind in [task.kinds[line.field]]
    ]
    frame = pd.DataFrame(lines, columns=["id", "right", "hits"])
    values = results["gold"].map(len).sum() + results["predicted"].map(len).sum()
    return {
        "soft_exact_match": float(frame.groupby("id")["right"].all().mean()),
        "soft_f1": float(ratio(2 * frame["hits"].sum(), values)),
    }


def unseen_f1(task: Task, train: Iterable[Example], results: pd.DataFrame) -> float:
    """F1 over values that no train row has in their field, case aside; NaN where there are none."""
    seen = {
        (name, value.lower())
        for row in train
        for name, values in comparable(task, row.target).items()
        for value in values
    }
    hits = total = 0
    for line in results.itertuples():
        new = [
            Counter(value for value in values if (line.field, value.lower()) not in seen)
            for values in (line.gold, line.predicted)
        ]
        hits, total = hits + (new[0] & new[1]).total(), total + new[0].total() + new[1].total()
    return float(ratio(2 * hits, total))


def field_results(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """One line for every row and field: what was wanted, what came, and the counts behind the scores.

    `right` asks for the same values in the same order (the order in which people are named is part of the label);
    `hits` counts values as sets, which is what precision, recall and F1 are made from. A row whose prediction is None
    is wrong in every field, also in those that are empty in the label, and predicts no value; where fields are answered
    one by one, the same holds for a field without a valid answer.

    Returns
    -------
    DataFrame
        Columns id, field, gold and predicted (tuples of normalised text), valid, right (bool), hits, fuzzy_hits,
        gold_values, predicted_values (counts of distinct values), token_f1 (NaN where both sides are empty).
    """
    lines = []
    for example, record in zip(gold, align(gold, records)):
        failed = task.chat.failed_fields(record)
        wanted, found = comparable(task, example.target), comparable(task, record["prediction"])
        for name in task.fields:
            left, right, valid = wanted[name], found[name], name not in failed
            lines.append(
                (
                    example.id,
                    name,
                    left,
                    right,
                    valid,
                    valid and left == right,
                    len(set(left) & set(right)),
                    fuzzy_hits(left, right),
                    len(set(left)),
                    len(set(right)),
                    token_f1(left, right),
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
            "fuzzy_hits",
            "gold_values",
            "predicted_values",
            "token_f1",
        ],
    )


def _counted(results: pd.DataFrame) -> pd.DataFrame:
    """Numbers of every (row, field) line from which sums make the scores."""
    has_gold, has_predicted = results["gold_values"] > 0, results["predicted_values"] > 0
    return pd.DataFrame(
        {
            "id": results["id"],
            "field": results["field"],
            "right": results["right"].astype(float),
            "fields": 1.0,
            "hits": results["hits"],
            "gold_values": results["gold_values"],
            "predicted_values": results["predicted_values"],
            "empty": (~has_gold).astype(float),
            "right_empty": (results["right"] & ~has_gold).astype(float),
            "twice_hits": 2.0 * results["hits"],
            "twice_fuzzy": 2.0 * results["fuzzy_hits"],
            "values": results["gold_values"] + results["predicted_values"],
            "token_f1": results["token_f1"].fillna(0.0),
            "token_pairs": (has_gold | has_predicted).astype(float),
            "twice_present": 2.0 * (has_gold & has_predicted),
            "present": has_gold.astype(float) + has_predicted,
            "unfilled": (has_gold & ~has_predicted).astype(float),
            "valid_fields": results["valid"].astype(float),
        }
    )


def row_results(results: pd.DataFrame) -> pd.DataFrame:
    """Per-row sums of :func:`field_results`, in its row order, index `id`, with the columns that :data:`SCORES` names.

    `exact` and `complete` are 0 or 1: a row is complete when every field that the label fills is filled by a valid
    prediction, with whatever value.
    """
    rows = _counted(results).drop(columns="field").groupby("id", sort=False).sum()
    rows["rows"] = 1.0
    rows["exact"] = (rows["right"] == rows["fields"]).astype(float)
    rows["complete"] = ((rows["unfilled"] == 0) & (rows["valid_fields"] > 0)).astype(float)
    return rows


def row_sums(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """The columns of every row that :data:`SCORES` names, as :func:`row_results` gives them."""
    return row_results(field_results(task, gold, records))


def exact_match(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> np.ndarray:
    """Whether each row is right in all fields, order of list values included.

    Returns
    -------
    ndarray of bool, shape (rows,)
    """
    matches = [
        not task.chat.failed_fields(record)
        and comparable(task, example.target) == comparable(task, record["prediction"])
        for example, record in zip(gold, align(gold, records))
    ]
    return np.array(matches, dtype=bool)


def row_scores(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> np.ndarray:
    """What each row gets: 0 or 1 for an exact match, or its share of right fields, as the headline asks."""
    if task.headline == "exact_match":
        return exact_match(task, gold, records).astype(float)
    return field_results(task, gold, records).groupby("id", sort=False)["right"].mean().to_numpy(float)


def field_table(results: pd.DataFrame) -> pd.DataFrame:
    """Scores of each field, from :func:`field_results`.

    Returns
    -------
    DataFrame
        Index field; columns accuracy (share of rows right, empty on both sides counts), precision, recall and f1 over
        the set of values, token_f1 (mean over rows where either side has a value), presence_f1 (is the field filled),
        support (distinct gold values). NaN where there is nothing to divide by.
    """
    sums = _counted(results).drop(columns="id").groupby("field", sort=False).sum()
    return pd.DataFrame(
        {
            "accuracy": ratio(sums["right"], sums["fields"]),
            "precision": ratio(sums["hits"], sums["predicted_values"]),
            "recall": ratio(sums["hits"], sums["gold_values"]),
            "f1": ratio(sums["twice_hits"], sums["values"]),
            "token_f1": ratio(sums["token_f1"], sums["token_pairs"]),
            "presence_f1": ratio(sums["twice_present"], sums["present"]),
            "support": sums["gold_values"].astype(int),
        },
        index=sums.index,
    )


def parse_errors(task: Task, records: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Kinds of failure among outputs (or answers) that are not valid, and how often each came, most frequent first."""
    kinds = Counter(kind for record in records for kind in task.chat.error_kinds(record))
    return dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0])))


def response_length(records: Iterable[dict[str, Any]]) -> float | None:
    """Mean length of the model's text in characters; None where no record holds text (rules write none)."""
    lengths = [len(record["raw"]) for record in records if record.get("raw")]
    return float(np.mean(lengths)) if lengths else None


def score(task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All scores of one variant, ready for metrics.json but for rounding.

    Parameters
    ----------
    task : Task
    gold : sequence of Example
        The scored rows.
    records : sequence of dict
        One prediction record a row: `id`, `prediction`, `raw`, `confidence`.

    Returns
    -------
    dict
        The names in :data:`SCORES` (shares in 0..1), `response_length` (characters or None), `fields` (field to the
        columns of :func:`field_table`) and `parse_errors` (kind to count).

    Raises
    ------
    ValueError
        If records and rows do not belong together, or there are no rows.
    """
    if not gold:
        raise ValueError("no rows to score")
    results = field_results(task, gold, records)
    rows = row_results(results)
    scores: dict[str, Any] = {
        name: float(ratio(rows[top].sum(), rows[bottom].sum())) for name, (top, bottom) in SCORES.items()
    }
    scores["response_length"] = response_length(records)
    scores["fields"] = field_table(results).to_dict(orient="index")
    scores["parse_errors"] = parse_errors(task, records)
    return scores


def intervals(
    task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]], seed: int, resamples: int = 2000
) -> dict[str, list[float]]:
    """Bootstrap 95 % intervals over rows of every score in :data:`SCORES`.

    Returns
    -------
    dict of str to [low, high]
    """
    rows = row_sums(task, gold, records)
    return {
        name: list(score_ci(rows[top], rows[bottom], seed=seed, resamples=resamples))
        for name, (top, bottom) in SCORES.items()
    }


def score_table(scores: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Headline scores of several variants side by side: index variant, the columns of :data:`SCORES`."""
    columns = [*SCORES, "response_length"]
    return pd.DataFrame(
        {name: {column: one.get(column) for column in columns} for name, one in scores.items()}, dtype=float
    ).T[columns]
