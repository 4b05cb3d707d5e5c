"""What the crime task adds to its schema: its file format, rules, layouts, made reports, and what labels make of a place."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import asdict
from itertools import count
from typing import Any

from helpers.tasks import dates
from helpers.tasks.base import Example, Hooks, Task
from helpers.tasks.chat import Interview
from helpers.tasks.crime import rules
from helpers.tasks.crime.made import synthesise
from helpers.tasks.crime.report import is_headed, means_nothing, normalise_report, sections
from helpers.tasks.crime.schema import Target
from helpers.tasks.crime.spans import Conventions, learn_conventions, value_spans, values_of_spans
from helpers.tasks.crime.variation import AUGMENTERS, PERTURBATIONS
from helpers.tasks.text import normalise
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
        read_row=lambda row: read_row(task.chat, row),
        write_row=lambda example: write_row(task.chat, example),
        row_parts=row_parts,
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
    roles = ("Victim_Owner", "Victim_Manager", "Victim_CEO")
    return [
        {
            "layout": _layout(example),
            "length": length,
            "victims": how_many(example.target["Victim_Name"]),
            "victim": "business" if any(example.target[role] for role in roles) else "other",
            "style": example.extra.get("style", "report"),
        }
        for example, length in zip(examples, lengths)
    ]


# -- the flat form of rows: system line, report, and a chat of questions and answers, a line each ------------------------
def read_row(chat: Interview, row: dict[str, Any]) -> tuple[str, Target, dict[str, Any]]:
    """The report and the answers of a row, what it asks for, and the style that it names (a press release, say).

    Raises
    ------
    ValueError
        With one line that names the key or the turn that is not as it should be.
    """
    if unknown := sorted(set(row) - {"conversation", "style"}):
        raise ValueError(f"unknown key {unknown[0]!r}")
    if not isinstance(row.get("conversation"), str):
        raise ValueError("'conversation' is missing or no string")
    report, turns = _report_and_turns(chat, row["conversation"])
    answers: Target = {}
    for number, question, answer in zip(count(3, 2), turns[::2], [*turns[1::2], ""]):
        asked = re.fullmatch(re.escape(f"User: {chat.question('TYPE')}").replace("TYPE", "(.+)"), question)
        if not asked:
            raise ValueError(
                f"turn {number} should be 'User: {chat.question('TYPE')}', got {question[:60]!r}"
            )
        name = asked[1]
        if name not in chat.questions:
            raise ValueError(f"turn {number} asks for the unknown type {name!r}")
        if name in answers:
            raise ValueError(f"turn {number} asks for {name} a second time")
        where = f"turn {number + 1}, the answer to {name},"
        if not answer.startswith("Assistant: "):
            raise ValueError(f"{where} is missing or does not begin with 'Assistant: '")
        values, error = chat.parse_answer(name, answer.removeprefix("Assistant: "))
        if values is None:
            raise ValueError(f'{where} should be {{"{name}": [values]}}: {error}')
        answers[name] = values
    style = {key: row[key] for key in ("style",) if key in row}
    return report, answers, {"asked": tuple(answers)} | style


def _report_and_turns(chat: Interview, text: str) -> tuple[str, list[str]]:
    """The report, and the turns after it."""
    lines = text.replace("\r\n", "\n").strip("\n").split("\n")
    given = f"User: {chat.given.rstrip()}"
    if normalise(lines[0]) != chat.system:
        raise ValueError(f"line 1 should be {chat.system!r}")
    if len(lines) < 2 or not lines[1].startswith(given):
        raise ValueError(f"turn 1 should begin with {given!r}")
    read = f"Assistant: {chat.read}"
    end = next((at for at, line in enumerate(lines) if normalise(line) == normalise(read)), None)
    if end is None:
        raise ValueError(f"turn 2 is missing: no line is {read!r}")
    report = normalise_report("\n".join([lines[1].removeprefix(given), *lines[2:end]]))
    turns = [line.strip() for line in lines[end + 1 :] if line.strip()]
    if not report or not turns:
        raise ValueError("turn 3 is missing: no question is asked" if report else "turn 1 holds no report")
    return report, turns


def write_row(chat: Interview, example: Example) -> dict[str, str]:
    """Inverse of :func:`read_row`: the questions that the row asked, all of them for a made one."""
    system, *turns = chat.conversation(example, example.extra.get("asked", ()))
    lines = [f"{turn['role'].title()}: {turn['content']}" for turn in turns]
    style = {key: example.extra[key] for key in ("style",) if key in example.extra}
    return {"conversation": "\n".join([system["content"], *lines])} | style


def row_parts(row: dict[str, Any]) -> dict[str, str]:
    """The values of each answer of a row as JSON text, to tell what the canonical form changed."""
    answers = (
        json.loads(line) for line in re.findall(r'^\s*Assistant: (\{".*)', row["conversation"], re.MULTILINE)
    )
    return {
        name: json.dumps(values, ensure_ascii=False) for answer in answers for name, values in answer.items()
    }
