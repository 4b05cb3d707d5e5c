"""Single rows under the glass: entities in their text, label beside prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from helpers.tasks.base import Task
from helpers.tasks.metrics import align, comparable, exact_match
from helpers.tasks.records import Example
from helpers.tasks.text import places


def entity_spans(task: Task, example: Example, target: Any) -> list[tuple[int, int, str]]:
    """Places (start, end, field) of the values of a label or prediction that stand in the row's text.

    A value takes the first place that no other value has taken; a value that is not in the text has no place. Of tagged
    tokens the place is known.
    """
    if not task.writes and target is not None:
        marked = task.spans(Example(example.id, example.text, target)).items()
        return sorted((start, end, name) for name, found in marked for start, end in found or ())
    taken: list[tuple[int, int, str]] = []
    for name, values in comparable(task, target).items():
        for value in values:
            free = [
                (start, end)
                for start, end in places(value, example.text, ignore_case=True)
                if all(end <= low or start >= high for low, high, _ in taken)
            ]
            if free:
                taken.append((*free[0], name))
    return sorted(taken)


def label_and_prediction(task: Task, example: Example, prediction: Any) -> pd.DataFrame:
    """Values of one row: index field, columns label, prediction (text, empty where absent), right (yes or no)."""
    wanted, found = comparable(task, example.target), comparable(task, prediction)
    lines = [
        ("; ".join(wanted[name]), "; ".join(found[name]), "yes" if wanted[name] == found[name] else "no")
        for name in task.fields
    ]
    return pd.DataFrame(
        lines, index=pd.Index(task.fields, name="field"), columns=["label", "prediction", "right"]
    )


def wrong_rows(
    task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]], count: int = 1
) -> list[tuple[Example, Any]]:
    """The first rows with a valid but wrong prediction: (example, prediction)."""
    pairs = zip(gold, align(gold, records), exact_match(task, gold, records))
    return [
        (row, record["prediction"])
        for row, record, right in pairs
        if not right and record["prediction"] is not None
    ][:count]
