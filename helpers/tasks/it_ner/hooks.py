"""What the IT task adds to its labels: file formats, finer labels, a dictionary, weak labels and weights of rows."""

from __future__ import annotations

from helpers.tasks.base import Hooks, Task
from helpers.tasks.it_ner import augment, dictionary, sources


def hooks(task: Task) -> Hooks:
    """Hooks of the task."""
    return Hooks(
        rules=dictionary.rules,
        baselines={"rules": dictionary.predict_rules, "dictionary": dictionary.predict_dictionary},
        label_weakly=augment.weak_rows,
        resample=augment.oversample,
        augmentation_tables=augment.augmentation_tables,
        relabel=sources.relabel,
        row_of_line=sources.row_of_line,
        split_public=lambda files: sources.split_public(task.rows.headings, files),
        split_hub=sources.split_hub,
    )
