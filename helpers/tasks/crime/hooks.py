"""What the crime task adds to its schema: its file format, rules, layouts, made reports, and what labels make of a place."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from helpers.tasks.base import Hooks, Task
from helpers.tasks.crime.augment import augmenters
from helpers.tasks.crime.perturb import PERTURBATIONS
from helpers.tasks.crime.rules import extract
from helpers.tasks.crime.spans import (
    conventions_from_json,
    conventions_to_json,
    learn_conventions,
    value_spans,
    values_of_spans,
)
from helpers.tasks.crime.style import surface_formats
from helpers.tasks.crime.synthetic import synthesise
from helpers.tasks.crime.text import (
    Conversation,
    is_headed,
    normalise_report,
    parse_conversation,
    raw_answers,
    write_conversation,
)
from helpers.tasks.records import Example
from helpers.tasks.variation import how_many, thirds


def hooks(task: Task) -> Hooks:
    """Hooks of the task."""

    def rules(text: str) -> dict[str, list[str]]:
        return task.canonical(extract(text))

    def write_row(example: Example) -> dict[str, Any]:
        asked = example.extra.get("asked", task.chat.questions)
        return {
            "conversation": write_conversation(
                Conversation(example.text, {n: example.target[n] for n in asked})
            )
        }

    return Hooks(
        rules=rules,
        augmenters=augmenters,
        synthesise=synthesise,
        perturbations=lambda: dict(PERTURBATIONS),
        surface_formats=surface_formats,
        slices=slices,
        spans=value_spans,
        learn_conventions=lambda train: conventions_to_json(learn_conventions(train)),
        values_of_spans=lambda text, spans, learnt: values_of_spans(
            text, spans, conventions_from_json(learnt)
        ),
        reading=normalise_report,
        read_row=read_row,
        write_row=write_row,
        row_parts=lambda row: raw_answers(row["conversation"]),
        split_public=split_public,
    )


def read_row(row: dict[str, Any]) -> tuple[str, dict[str, list[str]], dict[str, Any]]:
    """The report and the answers of a conversation, and what it asks for."""
    unknown = sorted(set(row) - {"conversation"})
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}")
    if not isinstance(row.get("conversation"), str):
        raise ValueError(
            "'conversation' should be a string" if "conversation" in row else "missing key 'conversation'"
        )
    found = parse_conversation(row["conversation"])
    return found.report, found.answers, {"asked": tuple(found.answers)}


def split_public(files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """`dataset.jsonl` shuffled with seed 42, 25 rows for validation and 225 for train; its test file as it is."""
    rows, test = (
        [json.loads(line) for line in files[name].splitlines() if line.strip()]
        for name in ("dataset.jsonl", "test_dataset.jsonl")
    )
    random.Random(42).shuffle(rows)
    return {"train": rows[25:], "validation": rows[:25], "test": test}


def slices(examples: Sequence[Example]) -> list[dict[str, str]]:
    """Layout, length and victims of each report."""
    lengths = thirds([len(example.text) for example in examples], ("short", "medium", "long"))
    found = []
    for example, length in zip(examples, lengths):
        business = any(example.target[role] for role in ("Victim_Owner", "Victim_Manager", "Victim_CEO"))
        found.append(
            {
                "layout": "headed" if is_headed(example.text) else "narrative",
                "length": length,
                "victims": how_many(example.target["Victim_Name"]),
                "victim": "business" if business else "other",
            }
        )
    return found
