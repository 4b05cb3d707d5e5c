"""What the calendar task adds to its schema: rules, made rows, conventions of labels, the public split, a calendar file."""

from __future__ import annotations

import json
import random
import re
from functools import partial
from typing import Any

from helpers.tasks import variation
from helpers.tasks.base import Example, Hooks, Task
from helpers.tasks.calendar import conventions, made, rules
from helpers.tasks.calendar.file import calendar_file


def hooks(task: Task) -> Hooks:
    """Hooks of the task."""

    def surface_formats(example: Example) -> dict[str, str]:
        joiner = re.search(r"\bw/|\bwith\b", example.text, re.IGNORECASE)
        formats = variation.surface_formats(task, example)
        return {**formats, "introduces people": joiner.group().lower() if joiner else "neither"}

    return Hooks(
        rule_spans=rules.find,
        synthesise=partial(made.synthesise, task),
        surface_formats=surface_formats,
        learn_conventions=partial(conventions.learn_conventions, task),
        values_of_spans=partial(conventions.values_of_spans, task),
        split_public=split_public,
        downloads=lambda prediction, text: {"event.ics": calendar_file(prediction, text)},
    )


def split_public(files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """The published rows have no split: shuffled with seed 42, 119 for test, 119 for validation, the rest train."""
    rows = [json.loads(line) for line in files["event_text_mapping.jsonl"].splitlines() if line.strip()]
    random.Random(42).shuffle(rows)
    return {"train": rows[238:], "validation": rows[119:238], "test": rows[:119]}
