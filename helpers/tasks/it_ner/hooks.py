"""What the IT task adds to its labels: file formats, finer labels, a dictionary, weak labels and weights of rows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from helpers.tasks.base import Hooks, Task
from helpers.tasks.it_ner import augment, dictionary, sources
from helpers.tasks.records import Example

_NUMBER_FORMS = {"dotted": r"v?\d+(\.\d+)+\S*", "number": r"v?\d+", "named": r".*"}
_ERROR_FORMS = {
    "hexadecimal code": r".*\b0x[0-9a-f]+.*",
    "number": r".*\b\d{2,}\b.*",
    "one name": r"\S+",
    "phrase": r".*",
}


def hooks(task: Task) -> Hooks:
    """Hooks of the task."""

    def surface_formats(example: Example) -> dict[str, str]:
        values = task.values(example.target)
        return {
            "version format": _form(values["VERSION"], _NUMBER_FORMS),
            "error format": _form(values["ERROR"], _ERROR_FORMS),
        }

    return Hooks(
        rules=dictionary.rules,
        baselines={"rules": dictionary.predict_rules, "dictionary": dictionary.predict_dictionary},
        label_weakly=augment.weak_rows,
        resample=augment.oversample,
        augmentation_tables=augment.augmentation_tables,
        surface_formats=surface_formats,
        relabel=sources.relabel,
        row_of_line=sources.row_of_line,
        split_public=lambda files: sources.split_public(task.rows.headings, files),
        split_hub=sources.split_hub,
    )


def _form(values: Sequence[str], forms: dict[str, str]) -> str:
    """How the first of the values is written."""
    if not values:
        return "none"
    return next(name for name, form in forms.items() if re.fullmatch(form, values[0], re.IGNORECASE))
