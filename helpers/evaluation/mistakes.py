"""What goes wrong, field by field: the class of every error, frequent patterns, and scores that forgive spelling.

The entities of a tagging task are values too: a label is a field, the words that it marks are its values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.tasks.base import Example, Task, Values
from helpers.tasks.metrics import align, comparable, exact_match, field_results, soft_right
from helpers.tasks.statistics import score_ci
from helpers.tasks.text import normalise, places

PARSE, WRONG_FIELD = "parse", "wrong field"
NORMALISATION, MISSING, INVENTED = "normalisation", "missing", "invented"
NOTHING, BOUNDARY, OTHER = "word for nothing", "boundary", "other value"
ERROR_CLASSES = (PARSE, MISSING, INVENTED, BOUNDARY, NORMALISATION, NOTHING, WRONG_FIELD, OTHER)
Records = Sequence[dict[str, Any]]


# -- one error --------------------------------------------------------------------------------------------
def _words(value: str) -> str:
    """Lower-case words without the punctuation at their ends, a space around each."""
    words = (part.strip(".,;:!?()[]\"'").casefold() for part in value.split())
    return f" {' '.join(filter(None, words))} "


def _touches(task: Task, name: str, gold: str, predicted: str) -> bool:
    """Whether two values are the same find with other edges: one lies in the other, or two spans share a word."""
    left, right = _words(gold), _words(predicted)
    if min(left, right, key=len).strip() and (left in right or right in left):
        return True
    return task.kinds[name].verbatim and bool(set(left.split()) & set(right.split()))


def error_class(task: Task, name: str, gold: Values, predicted: Values, valid: bool = True) -> str | None:
    """Class of what field `name` of one row got wrong; the first that applies, None where the field is right.

    `gold` and `predicted` are all fields of the row, as :func:`helpers.tasks.metrics.comparable` gives them. `parse`: no
    valid output. `normalisation`: means the same, written or ordered otherwise. `word for nothing`: a value that says "none"
    against no value. `wrong field`: a value that the label has in another field, or the wanted value landed in one.
    `missing`: nothing, or too few values. `invented`: something, or too many values. `boundary`: the right place with words
    too many or too few. `other value`: none of these.
    """
    wanted, found = gold[name], predicted[name]
    if not valid:
        return PARSE
    if wanted == found:
        return None
    if soft_right(task.kinds[name], wanted, found):
        return NORMALISATION
    kind = task.kinds[name]
    if soft_right(
        kind, *([one for one in values if not kind.says_nothing(one)] for values in (wanted, found))
    ):
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


# -- all of them ------------------------------------------------------------------------------------------
def classify_errors(task: Task, gold: Sequence[Example], records: Records) -> pd.DataFrame:
    """Every wrong field of every row with its class.

    Returns
    -------
    DataFrame
        Columns id, field, kind (one of :data:`ERROR_CLASSES`), gold, predicted (tuples of text), text. An output that
        could not be parsed counts once for every field of its row, an answer of a dialogue for its own.
    """
    lines = []
    for example, record in zip(gold, align(gold, records)):
        wanted, found = comparable(task, example.target), comparable(task, record["prediction"])
        failed = task.chat.failed_fields(record)
        for name in task.fields:
            kind = error_class(task, name, wanted, found, name not in failed)
            if kind:
                lines.append((example.id, name, kind, wanted[name], found[name], example.text))
    return pd.DataFrame(lines, columns=["id", "field", "kind", "gold", "predicted", "text"])


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
    columns = ["kind", "field", "text", "gold", "predicted"]
    return first.sort_values(["kind", "id"])[columns].reset_index(drop=True)


def values_not_in_text(task: Task, gold: Sequence[Example], records: Records) -> pd.DataFrame:
    """Predicted values that are neither in the label nor anywhere in the text, made up: columns id, field, value.

    In the text is what its kind finds there in whatever writing; kinds without a place (truth values, choices) are left out.
    """
    texts = {example.id: normalise(example.text) for example in gold}

    def stands(line: Any, value: str) -> bool:
        text = texts[line.id]
        return bool(places(value, text, ignore_case=True) or task.kinds[line.field].find(value, text))

    lines = [
        (line.id, line.field, value)
        for line in field_results(task, gold, records).itertuples()
        for value in line.predicted
        if value not in line.gold and task.kinds[line.field].placed and not stands(line, value)
    ]
    return pd.DataFrame(lines, columns=["id", "field", "value"])


# -- the most that can be reached -------------------------------------------------------------------------
def oracle_match(task: Task, train: Iterable[Example], gold: Sequence[Example]) -> np.ndarray | None:
    """Whether an oracle that is told the pieces of the text, and writes as train usually does, is right.

    What it misses is lost to uneven writing alone. A value that is no piece of the text counts as not found. None for a
    task without spans.
    """
    try:
        told = [{name: spans or [] for name, spans in task.spans(row).items()} for row in gold]
    except NotImplementedError:
        return None
    seen = {row.text for row in gold}
    rows = [row for row in train if row.origin == "gold" and row.text not in seen]
    learnt = task.hooks.learn_conventions(rows)
    made = [task.from_spans(row.text, spans, learnt) for row, spans in zip(gold, told)]
    return exact_match(task, gold, [{"id": row.id, "prediction": one} for row, one in zip(gold, made)])


def equivalence_table(
    task: Task, gold: Sequence[Example], predictions: dict[str, Records], seed: int
) -> pd.DataFrame:
    """Strict and meaning-aware exact match of several systems.

    Returns
    -------
    DataFrame
        Index variant; columns exact_match, equivalent_match, low, high (95 % of equivalent_match), convention_share:
        the share of rows that are wrong in form only. Where a good model and the labels merely write things
        differently, this is an estimate of how many rows follow another convention than the rest of the labels.
    """
    lines = {}
    for name, records in predictions.items():
        results = field_results(task, gold, records)
        results["means"] = [
            line.valid and soft_right(task.kinds[line.field], line.gold, line.predicted)
            for line in results.itertuples()
        ]
        strict, loose = results.groupby("id", sort=False)[["right", "means"]].all().T.to_numpy()
        low, high = score_ci(loose, seed=seed)
        lines[name] = (strict.mean(), loose.mean(), low, high, (loose & ~strict).mean())
    columns = ["exact_match", "equivalent_match", "low", "high", "convention_share"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("variant")
