"""What the crime task adds to its schema: its file format, rules, layouts, made reports, and what labels make of a place."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from helpers.tasks import dates
from helpers.tasks.base import Example, Hooks, Task
from helpers.tasks.crime import conversation, rules
from helpers.tasks.crime.made import synthesise
from helpers.tasks.crime.report import is_headed, means_nothing, normalise_report, sections
from helpers.tasks.crime.spans import Conventions, learn_conventions, value_spans, values_of_spans
from helpers.tasks.crime.variation import AUGMENTERS, PERTURBATIONS
from helpers.tasks.variation import how_many, thirds


def hooks(task: Task) -> Hooks:
    """Hooks of the task."""
    return Hooks(
        rules=lambda text: task.canonical(rules.extract(text)),
        augmenters=lambda train: AUGMENTERS,
        synthesise=synthesise,
        perturbations=lambda: PERTURBATIONS,
        surface_formats=surface_formats,
        slices=slices,
        spans=value_spans,
        learn_conventions=lambda train: asdict(learn_conventions(train)),
        values_of_spans=lambda text, spans, learnt: values_of_spans(text, spans, Conventions(**learnt)),
        reading=normalise_report,
        read_row=lambda row: conversation.read_row(task.chat, row),
        write_row=lambda example: conversation.write_row(task.chat, example),
        row_parts=conversation.row_parts,
        split_public=split_public,
        test_only=lambda example: "style" in example.extra,
    )


def split_public(files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """`dataset.jsonl` shuffled with seed 42, 25 rows for validation and 225 for train; its test file as it is."""
    rows, test = (
        [json.loads(line) for line in files[name].splitlines() if line.strip()]
        for name in ("dataset.jsonl", "test_dataset.jsonl")
    )
    random.Random(42).shuffle(rows)
    return {"train": rows[25:], "validation": rows[:25], "test": test}


def _layout(example: Example) -> str:
    return "notice" if "style" in example.extra else "headed" if is_headed(example.text) else "narrative"


def surface_formats(example: Example) -> dict[str, str]:
    """Ways in which a report is written: layout, headings, first date and time, and its word for "nothing there"."""
    text, parts = example.text, sections(example.text)
    days, times = dates.find_dates(text), dates.find_times(text)
    nothing = [part.content for part in parts if part.content and means_nothing(part.content)]
    bold = bool(parts) and parts[0].lines.startswith("**")
    return {
        "layout": _layout(example),
        "headings": "bold" if bold else "plain" if parts else "none",
        "date format": days[0].style if days else "other",
        "time format": times[0].style if times else "none",
        "nothing there": nothing[0].strip(" .-") if nothing else "not said",
    }


def slices(examples: Sequence[Example]) -> list[dict[str, str]]:
    """Layout, length and victims of each report, and the style of a notice."""
    lengths = thirds([len(example.text) for example in examples], ("short", "medium", "long"))
    found = []
    for example, length in zip(examples, lengths):
        business = any(example.target[role] for role in ("Victim_Owner", "Victim_Manager", "Victim_CEO"))
        found.append(
            {
                "layout": _layout(example),
                "length": length,
                "victims": how_many(example.target["Victim_Name"]),
                "victim": "business" if business else "other",
                "style": example.extra.get("style", "report"),
            }
        )
    return found
