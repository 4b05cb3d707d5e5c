"""Scores of predictions against gold labels: pure functions on a task, its examples and prediction records.

Tasks differ in one step, what the units of a field are: of answers that are written its values, as normalised text; of tags the
entities of a label, first and last token both (as seqeval counts in its strict IOB2 mode; a test holds both against each
other). Every score is a ratio of two sums over rows (hits over rows, twice the hits over predicted plus gold units, …),
so that one bootstrap over rows serves exact match and micro F1 alike.
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

from helpers.tasks.base import Example, Task, Values
from helpers.tasks.bio import spans_of
from helpers.tasks.fields import Kind
from helpers.tasks.statistics import ratio, score_ci
from helpers.tasks.text import normalise

Records = Iterable[dict[str, Any]]
# score name → (numerator, denominator) columns of row_sums: of answers that are written, and of tags
WRITTEN = {
    "exact_match": ("exact", "rows"),
    "field_accuracy": ("right", "fields"),
    "exact_f1": ("twice_hits", "values"),
    "precision": ("hits", "predicted_values"),
    "recall": ("hits", "gold_values"),
    "fuzzy_f1": ("twice_fuzzy", "values"),
    "token_f1": ("token_f1", "token_pairs"),
    "presence_f1": ("twice_present", "present"),
    "empty_accuracy": ("right_empty", "empty"),
    "json_validity": ("valid", "fields"),
    "complete_fields": ("complete", "rows"),
}
TAGGED = {
    "f1": ("twice_hits", "values"),
    "precision": ("hits", "predicted_values"),
    "recall": ("hits", "gold_values"),
    "accuracy": ("right_tokens", "tokens"),
    "exact_match": ("exact", "rows"),
    "field_accuracy": ("right", "fields"),
}
FUZZY = 85  # least rapidfuzz ratio (0-100) of two values that count as alike
# headline → the score in its place that forgives spelling
SOFT_HEADLINE = {"exact_match": "soft_exact_match", "exact_f1": "soft_f1", "f1": "soft_f1"}


def scores_of(task: Task) -> dict[str, tuple[str, str]]:
    """Names of a task's scores and the columns of :func:`row_sums` that they are ratios of."""
    return WRITTEN if task.writes else TAGGED


def comparable(task: Task, target: Any) -> Values:
    """Values of a target or prediction as they are compared: normalised text, a tuple for every field."""
    values = task.values(target) if target is not None else {}
    return {name: tuple(normalise(str(value)) for value in values.get(name, ())) for name in task.fields}


def align(gold: Sequence[Example], records: Records) -> list[dict[str, Any]]:
    """Prediction records in the order of the gold rows; ValueError where they do not belong together."""
    records = list(records)
    by_id = {record["id"]: record for record in records}
    for problem, ids in (
        ("no prediction", {example.id for example in gold} - set(by_id)),
        ("a prediction without a label", set(by_id) - {example.id for example in gold}),
        (
            "more than one prediction",
            {one for one, count in Counter(record["id"] for record in records).items() if count > 1},
        ),
    ):
        if ids:
            raise ValueError(f"{problem} for {len(ids)} rows, first {min(ids)}")
    return [by_id[example.id] for example in gold]


# -- two lists of values ----------------------------------------------------------------------------------
def token_f1(gold: Sequence[str], predicted: Sequence[str]) -> float:
    """Word-overlap F1 of one field of one row (Rajpurkar et al. 2016), articles kept; NaN where both are empty.

    Words are compared without case or punctuation; values that hold no word at all (an emoji) are compared whole.
    """
    if not gold and not predicted:
        return math.nan
    left, right = (
        Counter(word for value in values for word in re.findall(r"\w+", value.casefold())) or Counter(values)
        for values in (gold, predicted)
    )
    return 2 * (left & right).total() / (left.total() + right.total())


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


# -- one field of one row -----------------------------------------------------------------------------------
def _units(task: Task, example: Example, target: Any) -> dict[str, tuple[Any, ...]]:
    """Field → its units: values, or of tags (first token, token after the last, words)."""
    if task.writes:
        return comparable(task, target)
    found: dict[str, tuple[Any, ...]] = dict.fromkeys(task.fields, ())
    for start, end, label in spans_of(target.tags) if target else ():
        found[label] += ((start, end, normalise(" ".join(example.target.tokens[start:end]))),)
    return found


def field_results(task: Task, gold: Sequence[Example], records: Records) -> pd.DataFrame:
    """One line for every row and field: what was wanted, what came, and the counts behind the scores.

    `right` asks for the same units in the same order (the order in which people are named is part of the label); `hits`
    counts them as sets. A written answer that is not valid is wrong in every field, also in those that are empty in the
    label, and predicts no value; where fields are answered one by one, the same holds for a field without a valid
    answer. Tokens without valid tags are outside.

    Returns
    -------
    DataFrame
        Columns id, field, gold and predicted (tuples of normalised text), valid, right (bool), hits, gold_values,
        predicted_values (counts of distinct units); of written answers fuzzy_hits and token_f1 (NaN where both sides
        are empty), of tags right_tokens and tokens (those of the row, in the line of its first label).
    """
    lines = []
    for example, record in zip(gold, align(gold, records)):
        failed, found = task.chat.failed_fields(record), task.bind(record["prediction"], example)
        wanted, given = _units(task, example, example.target), _units(task, example, found)
        for name in task.fields:
            left, right, valid = wanted[name], given[name], name not in failed
            line = {
                "id": example.id,
                "field": name,
                "gold": left if task.writes else tuple(words for *_, words in left),
                "predicted": right if task.writes else tuple(words for *_, words in right),
                "valid": valid,
                "right": (valid or not task.writes) and left == right,
                "hits": len(set(left) & set(right)),
                "gold_values": len(set(left)),
                "predicted_values": len(set(right)),
            }
            if task.writes:
                line |= {"fuzzy_hits": fuzzy_hits(left, right), "token_f1": token_f1(left, right)}
            else:
                tags = example.target.tags if name == task.fields[0] else ()
                got = found.tags if found else ("O",) * len(tags)
                line |= {"right_tokens": sum(map(str.__eq__, tags, got)), "tokens": len(tags)}
            lines.append(line)
    return pd.DataFrame(lines)


# -- sums and their ratios ----------------------------------------------------------------------------------
def _counted(results: pd.DataFrame) -> pd.DataFrame:
    """Numbers of every (row, field) line from which sums make the scores."""
    has_gold, has_predicted = results["gold_values"] > 0, results["predicted_values"] > 0
    counted = results.drop(columns=["gold", "predicted"]).assign(
        right=results["right"].astype(float),
        valid=results["valid"].astype(float),
        fields=1.0,
        empty=(~has_gold).astype(float),
        right_empty=(results["right"] & ~has_gold).astype(float),
        twice_hits=2.0 * results["hits"],
        values=results["gold_values"] + results["predicted_values"],
        token_pairs=(has_gold | has_predicted).astype(float),
        twice_present=2.0 * (has_gold & has_predicted),
        present=has_gold.astype(float) + has_predicted,
        unfilled=(has_gold & ~has_predicted).astype(float),
    )
    if "fuzzy_hits" in results:
        counted["twice_fuzzy"] = 2.0 * results["fuzzy_hits"]
        counted["token_f1"] = results["token_f1"].fillna(0.0)
    return counted


def row_results(results: pd.DataFrame) -> pd.DataFrame:
    """Per-row sums of :func:`field_results`, in its row order, index `id`, with the columns that :func:`scores_of` names.

    `exact` and `complete` are 0 or 1: a row is complete when every field that the label fills is filled by a valid
    prediction, with whatever value.
    """
    rows = _counted(results).drop(columns="field").groupby("id", sort=False).sum()
    rows["rows"] = 1.0
    rows["exact"] = (rows["right"] == rows["fields"]).astype(float)
    rows["complete"] = ((rows["unfilled"] == 0) & (rows["valid"] > 0)).astype(float)
    return rows


def row_sums(task: Task, gold: Sequence[Example], records: Records) -> pd.DataFrame:
    """:func:`row_results` of prediction records."""
    return row_results(field_results(task, gold, records))


def exact_match(task: Task, gold: Sequence[Example], records: Records) -> np.ndarray:
    """Whether each row is right in all fields, ndarray of bool, shape (rows,)."""
    return row_sums(task, gold, records)["exact"].to_numpy(bool)


def field_table(task: Task, results: pd.DataFrame) -> pd.DataFrame:
    """Scores of each field, from :func:`field_results`: index field.

    Columns accuracy (share of rows right, empty on both sides counts), precision, recall and f1 over the set of units,
    support (distinct gold units); of written answers also token_f1 (mean over rows where either side has a value) and
    presence_f1 (is the field filled). NaN where there is nothing to divide by; of a label with entities on one side only
    the scores are 0.
    """
    sums = _counted(results).drop(columns="id").groupby("field", sort=False).sum()
    table = {
        "accuracy": ratio(sums["right"], sums["fields"]),
        "precision": ratio(sums["hits"], sums["predicted_values"]),
        "recall": ratio(sums["hits"], sums["gold_values"]),
        "f1": ratio(sums["twice_hits"], sums["values"]),
        "support": sums["gold_values"].astype(int),
    }
    if task.writes:
        table["token_f1"] = ratio(sums["token_f1"], sums["token_pairs"])
        table["presence_f1"] = ratio(sums["twice_present"], sums["present"])
        return pd.DataFrame(table, index=sums.index)
    found = pd.DataFrame(table, index=sums.index)
    return found.where(found.notna() | (sums["values"] == 0).to_numpy()[:, None], 0.0).astype(
        {"support": int}
    )


def score(task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All scores of one system, ready for metrics.json but for rounding.

    Parameters
    ----------
    records : sequence of dict
        One prediction record a row: `id`, `prediction`, `raw`, `confidence`; ValueError where rows have none or others.

    Returns
    -------
    dict
        The names of :func:`scores_of` (shares in 0..1, NaN where there is nothing to divide by) and `fields` (field to the
        columns of :func:`field_table`); of written answers `response_length` (mean characters, None where no record
        holds text) and `parse_errors` (kind to count, most frequent first), of tags `invalid` (rows without a valid
        prediction).
    """
    if not gold:
        raise ValueError("no rows to score")
    results = field_results(task, gold, records)
    sums = row_results(results).sum()
    scores: dict[str, Any] = {
        name: float(ratio(sums[top], sums[bottom])) for name, (top, bottom) in scores_of(task).items()
    }
    scores["fields"] = field_table(task, results).to_dict(orient="index")
    if not task.writes:
        if sums["values"]:
            scores |= {name: float(np.nan_to_num(scores[name])) for name in ("precision", "recall")}
        return scores | {"invalid": sum(record["prediction"] is None for record in records)}
    lengths = [len(record["raw"]) for record in records if record.get("raw")]
    kinds = Counter(kind for record in records for kind in task.chat.error_kinds(record))
    return scores | {
        "response_length": float(np.mean(lengths)) if lengths else None,
        "parse_errors": dict(sorted(kinds.items(), key=lambda item: (-item[1], item[0]))),
    }


def intervals(
    task: Task, gold: Sequence[Example], records: Records, seed: int, resamples: int = 2000
) -> dict[str, list[float]]:
    """Bootstrap 95 % intervals over rows of every score of :func:`scores_of`: name → [low, high]."""
    rows = row_sums(task, gold, records)
    return {
        name: list(score_ci(rows[top], rows[bottom], seed=seed, resamples=resamples))
        for name, (top, bottom) in scores_of(task).items()
    }


def score_table(task: Task, scores: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Scores of several systems side by side: index variant, the columns of :func:`scores_of`, and response_length."""
    columns = [*scores_of(task), *["response_length"] * task.writes]
    cells = {name: {column: one.get(column) for column in columns} for name, one in scores.items()}
    return pd.DataFrame(cells, dtype=float).T[columns].rename_axis("variant")


# -- other ways to count ------------------------------------------------------------------------------------
def soft_scores(task: Task, results: pd.DataFrame) -> dict[str, float]:
    """Scores that forgive spelling, from :func:`field_results`; entities of tags count as strings.

    `soft_exact_match` is the share of rows all of whose fields are right in meaning, `soft_f1` the F1 over values that are.
    """
    pairs = [(task.kinds[line.field], line.gold, line.predicted) for line in results.itertuples()]
    right = results["valid"] & np.array([soft_right(*pair) for pair in pairs])
    hits = sum(soft_hits(*pair) for pair in pairs)
    values = sum(len(gold) + len(found) for _, gold, found in pairs)
    by_row = right.groupby(results["id"]).all()
    return {"soft_exact_match": float(by_row.mean()), "soft_f1": float(ratio(2 * hits, values))}


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


def entity_f1(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Micro F1 over entities of tags alone: what training and decoding ask for many times."""
    right = total = 0
    for wanted, found in zip(gold, predicted):
        one, other = set(spans_of(wanted)), set(spans_of(found))
        right, total = right + 2 * len(one & other), total + len(one) + len(other)
    return float(ratio(right, total)) if total else 0.0
