"""What goes wrong: the class of every error, slices of rows, frequent patterns, and scores that forgive spelling."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.tasks.base import Task, Values
from helpers.tasks.metrics import align, comparable, exact_match, field_results, row_scores
from helpers.tasks.records import Example
from helpers.tasks.statistics import proportion_ci, score_ci
from helpers.tasks.text import normalise, places

PARSE, SUSPECT, WRONG_FIELD = "parse", "suspected label error", "wrong field"
NORMALISATION, MISSING, INVENTED = "normalisation", "missing", "invented"
NOTHING = "word for nothing"
BOUNDARY, OTHER = "boundary", "other value"
ERROR_CLASSES = (PARSE, MISSING, INVENTED, BOUNDARY, NORMALISATION, NOTHING, WRONG_FIELD, OTHER, SUSPECT)
Suspects = Collection[tuple[int, str]]


# -- one error --------------------------------------------------------------------------------------------------------
def same_values(task: Task, name: str, gold: Sequence[str], predicted: Sequence[str]) -> bool:
    """Whether two lists of values of a field mean the same: each value pairs off with an equivalent, in any order."""
    left = list(gold)
    for value in predicted:
        match = next(
            (other for other in left if other == value or task.kinds[name].equivalent(other, value)), None
        )
        if match is None:
            return False
        left.remove(match)
    return not left


def _words(value: str) -> list[str]:
    """Lower-case words without the punctuation at their ends."""
    return [word for word in (part.strip(".,;:!?()[]\"'").casefold() for part in value.split()) if word]


def _within(short: list[str], long: list[str]) -> bool:
    """Whether the first words stand in the second, in one piece."""
    return bool(short) and any(
        long[at : at + len(short)] == short for at in range(len(long) - len(short) + 1)
    )


def _touches(task: Task, name: str, gold: str, predicted: str) -> bool:
    """Whether two values are the same find with other edges: one lies in the other, or two spans share a word."""
    left, right = _words(gold), _words(predicted)
    if _within(left, right) or _within(right, left):
        return True
    return task.kinds[name].verbatim and bool(set(left) & set(right))


def error_class(
    task: Task, name: str, gold: Values, predicted: Values, valid: bool = True, suspect: bool = False
) -> str | None:
    """Class of what one field of one row got wrong; the first that applies, None where the field is right.

    Parameters
    ----------
    name : str
        The field.
    gold, predicted : dict of str to tuple of str
        All fields of the row, as :func:`helpers.tasks.metrics.comparable` gives them.
    valid : bool
        False where nothing valid came out of the model.
    suspect : bool
        True where the label is under suspicion, see :mod:`helpers.evaluation.label_errors`.

    Returns
    -------
    str or None
        `parse`: no valid output. `suspected label error`: the label is doubtful. `normalisation`: means the same,
        written or ordered otherwise. `word for nothing`: a value that says "none" against no value. `wrong field`: a
        value that the label has in another field, or the wanted value landed in one. `missing`: nothing, or too few
        values. `invented`: something, or too many values. `boundary`: the right place with words too many or too few.
        `other value`: none of these.
    """
    wanted, found = gold[name], predicted[name]
    if not valid:
        return PARSE
    if wanted == found:
        return None
    if suspect:
        return SUSPECT
    if same_values(task, name, wanted, found):
        return NORMALISATION
    told = [
        [value for value in values if not task.kinds[name].says_nothing(value)] for values in (wanted, found)
    ]
    if same_values(task, name, *told):
        return NOTHING
    lacking = [value for value in wanted if value not in found]
    extra = [value for value in found if value not in wanted]
    others = [other for other in task.fields if other != name]
    taken = any(value in gold[other] and value not in predicted[other] for value in extra for other in others)
    strayed = any(
        value in predicted[other] and value not in gold[other] for value in lacking for other in others
    )
    if taken or strayed:
        return WRONG_FIELD
    if not extra:
        return MISSING
    if not lacking:
        return INVENTED
    if any(_touches(task, name, left, right) for left in lacking for right in extra):
        return BOUNDARY
    return OTHER


def classify_errors(
    task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]], suspects: Suspects = frozenset()
) -> pd.DataFrame:
    """Every wrong field of every row with its class.

    Parameters
    ----------
    task : Task
    gold : sequence of Example
    records : sequence of dict
        Prediction records of one variant.
    suspects : collection of (id, field)
        Labels under suspicion.

    Returns
    -------
    DataFrame
        Columns id, field, kind (one of :data:`ERROR_CLASSES`), gold, predicted (tuples of text), text. An output that
        could not be parsed counts once for every field of its row, an answer of a dialogue for its own.
    """
    suspects, lines = set(suspects), []
    for example, record in zip(gold, align(gold, records)):
        wanted, found = comparable(task, example.target), comparable(task, record["prediction"])
        failed = task.chat.failed_fields(record)
        for name in task.fields:
            kind = error_class(task, name, wanted, found, name not in failed, (example.id, name) in suspects)
            if kind:
                lines.append((example.id, name, kind, wanted[name], found[name], example.text))
    return pd.DataFrame(lines, columns=["id", "field", "kind", "gold", "predicted", "text"])


def error_counts(task: Task, errors: pd.DataFrame) -> pd.DataFrame:
    """Number of errors: index field (all of the task), columns the classes that occur."""
    counts = pd.crosstab(errors["field"], errors["kind"])
    kinds = [kind for kind in ERROR_CLASSES if kind in counts]
    return counts.reindex(index=list(task.fields), columns=kinds, fill_value=0).rename_axis(columns=None)


def first_slice(task: Task, gold: Sequence[Example]) -> pd.Series:
    """Value of the slice that the task names first (the layout of a report, say), by row id; its name is the slice's."""
    slices = task.hooks.slices(gold)
    which = next(iter(slices[0]))
    return pd.Series({example.id: own[which] for example, own in zip(gold, slices)}, name=which)


def errors_by_slice(task: Task, gold: Sequence[Example], errors: pd.DataFrame) -> pd.DataFrame:
    """Errors per 100 rows in each value of the task's first slice (the layout of a report, say).

    Returns
    -------
    DataFrame
        Index value of the slice (its name is the slice's), columns `rows` and the classes that occur.
    """
    of_row = first_slice(task, gold)
    rows = of_row.value_counts().sort_index()
    counts = pd.crosstab(errors["id"].map(of_row), errors["kind"])
    kinds = [kind for kind in ERROR_CLASSES if kind in counts]
    rates = counts.reindex(index=rows.index, columns=kinds, fill_value=0).div(rows, axis=0).mul(100)
    return pd.concat([rows.rename("rows"), rates], axis=1).rename_axis(index=of_row.name, columns=None)


def excerpt(text: str, values: Iterable[str] = (), room: int = 240) -> str:
    """A piece of a long text around the first place of a value, cut between words; a short text as it is.

    Where none of the values stands in the text it is the beginning; `room` is about its length in characters.
    """
    if len(text) <= room:
        return text
    starts = [start for value in values if value for start, _ in places(value, text, ignore_case=True)]
    first = min(starts, default=0)
    left = max(0, min(first - room // 3, len(text) - room))
    right = left + room
    if left and " " in text[left:first]:
        left = text.index(" ", left) + 1
    if right < len(text):
        right = max(text.rfind(" ", left, right), left + 1)
    return "… " * (left > 0) + text[left:right].strip() + " …" * (right < len(text))


def error_examples(errors: pd.DataFrame, each: int = 1) -> pd.DataFrame:
    """The first `each` errors of every class, as text: kind, field, text (of a long one the place), gold, predicted."""
    first = errors.groupby("kind", sort=False).head(each).copy()
    first["text"] = [excerpt(line.text, (*line.gold, *line.predicted)) for line in first.itertuples()]
    first["kind"] = pd.Categorical(first["kind"], ERROR_CLASSES)
    for column in ("gold", "predicted"):
        first[column] = first[column].map("; ".join)
    return first.sort_values(["kind", "id"])[["kind", "field", "text", "gold", "predicted"]].reset_index(
        drop=True
    )


def values_not_in_text(
    task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]
) -> pd.DataFrame:
    """Predicted values that are neither in the label nor anywhere in the text: what the model made up.

    Returns
    -------
    DataFrame
        Columns id, field, value.
    """
    lines = []
    for example, record in zip(gold, align(gold, records)):
        wanted, found = comparable(task, example.target), comparable(task, record["prediction"])
        lines += [
            (example.id, name, value)
            for name in task.fields
            for value in found[name]
            if value not in wanted[name] and not places(value, normalise(example.text), ignore_case=True)
        ]
    return pd.DataFrame(lines, columns=["id", "field", "value"])


# -- patterns ---------------------------------------------------------------------------------------------------------
def frequent_pairs(errors: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """The commonest confusions: field, gold, predicted (text, empty where absent), count."""
    pairs = Counter(
        (line.field, "; ".join(line.gold), "; ".join(line.predicted))
        for line in errors.itertuples()
        if line.kind != PARSE
    )
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:top]
    return pd.DataFrame(
        [(*pair, count) for pair, count in ranked], columns=["field", "gold", "predicted", "count"]
    )


def _edge(gold: list[str], predicted: list[str]) -> Iterable[tuple[str, str, str]]:
    """(edge, kept or dropped, words) that set two overlapping word lists apart at their ends."""
    for long, short, change in ((predicted, gold, "kept"), (gold, predicted, "dropped")):
        if len(long) > len(short) and _within(short, long):
            at = next(at for at in range(len(long)) if long[at : at + len(short)] == short)
            if at:
                yield "start", change, " ".join(long[:at])
            if at + len(short) < len(long):
                yield "end", change, " ".join(long[at + len(short) :])


def edge_words(errors: pd.DataFrame, top: int = 10) -> pd.DataFrame:
    """Words that a prediction kept or dropped at the edges of an otherwise right value.

    Returns
    -------
    DataFrame
        Columns field, edge (start or end), change (kept or dropped by the prediction), words, count.
    """
    found: Counter[tuple[str, ...]] = Counter()
    for line in errors[errors["kind"] == BOUNDARY].itertuples():
        lacking = [value for value in line.gold if value not in line.predicted]
        extra = [value for value in line.predicted if value not in line.gold]
        found.update(
            (line.field, *edge)
            for left in lacking
            for right in extra
            for edge in _edge(_words(left), _words(right))
        )
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:top]
    return pd.DataFrame(
        [(*pattern, count) for pattern, count in ranked],
        columns=["field", "edge", "change", "words", "count"],
    )


# -- slices -----------------------------------------------------------------------------------------------------------
def slice_table(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Mean row score in every slice that the task names, with Wilson 95 % intervals.

    Where each field of a row counts, the interval takes the fields for independent: it is a little too narrow.

    Returns
    -------
    DataFrame
        Columns slice, value, n (rows), score, low, high; slices in the task's order, values by name.
    """
    lines = pd.DataFrame(
        [
            (name, value, right)
            for own, right in zip(task.hooks.slices(gold), row_scores(task, gold, records))
            for name, value in own.items()
        ],
        columns=["slice", "value", "right"],
    )
    units = 1 if task.headline == "exact_match" else len(task.fields)
    table = []
    for (name, value), group in lines.groupby(["slice", "value"], sort=True):
        hits, count = round(units * group["right"].sum()), units * len(group)
        table.append((name, value, len(group), hits / count, *proportion_ci(hits, count)))
    order = {name: at for at, name in enumerate(dict.fromkeys(lines["slice"]))}
    table.sort(key=lambda line: order[line[0]])
    return pd.DataFrame(table, columns=["slice", "value", "n", "score", "low", "high"])


# -- the most that can be reached -------------------------------------------------------------------------------------
def oracle_match(task: Task, train: Iterable[Example], gold: Sequence[Example]) -> np.ndarray | None:
    """Whether an oracle that is told the pieces of the text, and writes as train usually does, is right.

    What it misses is lost to uneven writing alone. A value that is no piece of the text counts as not found. None for a
    task without spans.
    """
    try:
        places = [task.spans(row) for row in gold]
    except NotImplementedError:
        return None
    seen = {row.text for row in gold}
    learnt = task.hooks.learn_conventions(
        [row for row in train if row.origin == "gold" and row.text not in seen]
    )
    told = [{name: found or [] for name, found in spans.items()} for spans in places]
    records = [
        {"id": row.id, "prediction": task.from_spans(row.text, spans, learnt)}
        for row, spans in zip(gold, told)
    ]
    return exact_match(task, gold, records)


# -- equivalence ------------------------------------------------------------------------------------------------------
def equivalent_match(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> np.ndarray:
    """Whether each row is right in meaning: every field equal or equivalent, list values in any order."""
    matches = []
    for example, record in zip(gold, align(gold, records)):
        wanted, found = comparable(task, example.target), comparable(task, record["prediction"])
        matches.append(
            record["prediction"] is not None
            and all(same_values(task, name, wanted[name], found[name]) for name in task.fields)
        )
    return np.array(matches, dtype=bool)


def equivalence_table(
    task: Task, gold: Sequence[Example], predictions: dict[str, list[dict[str, Any]]], seed: int
) -> pd.DataFrame:
    """Strict and meaning-aware exact match of several variants.

    Returns
    -------
    DataFrame
        Index variant; columns exact_match, equivalent_match, low, high (95 % of equivalent_match), convention_share:
        the share of rows that are wrong in form only. Where a good model and the labels merely write things
        differently, this is an estimate of how many rows follow another convention than the rest of the labels.
    """
    lines = {}
    for name, records in predictions.items():
        strict, loose = exact_match(task, gold, records), equivalent_match(task, gold, records)
        low, high = score_ci(loose, seed=seed)
        lines[name] = (strict.mean(), loose.mean(), low, high, (loose & ~strict).mean())
    columns = ["exact_match", "equivalent_match", "low", "high", "convention_share"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("variant")


def equivalence_by_field(
    task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]]
) -> pd.DataFrame:
    """Accuracy of each field, strict and in meaning: index field, columns strict, equivalent, forgiven (rows)."""
    results = field_results(task, gold, records)
    means = [
        line.valid and same_values(task, line.field, line.gold, line.predicted)
        for line in results.itertuples()
    ]
    by_field = results.assign(means=means).groupby("field", sort=False)[["right", "means"]]
    shares = by_field.mean().set_axis(["strict", "equivalent"], axis=1)
    return shares.assign(forgiven=by_field.sum().diff(axis=1)["means"].astype(int))
