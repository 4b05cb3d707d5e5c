"""The flat row format of crime reports: system line, report, and a chat of questions and answers, a line each."""

from __future__ import annotations

import json
import re
from typing import Any

from helpers.tasks.chat import Interview
from helpers.tasks.crime.report import normalise_report
from helpers.tasks.records import Example
from helpers.tasks.text import normalise

Answers = dict[str, list[str]]


def read_row(chat: Interview, row: dict[str, Any]) -> tuple[str, Answers, dict[str, Any]]:
    """The report and the answers of a row, and what it asks for.

    Raises
    ------
    ValueError
        With one line that names the key or the turn that is not as it should be.
    """
    if unknown := sorted(set(row) - {"conversation"}):
        raise ValueError(f"unknown key {unknown[0]!r}")
    if "conversation" not in row:
        raise ValueError("missing key 'conversation'")
    if not isinstance(row["conversation"], str):
        raise ValueError("'conversation' should be a string")
    report, turns = _report_and_turns(chat, row["conversation"])
    answers: Answers = {}
    for at in range(0, len(turns), 2):
        name = _asked(chat, turns[at], at + 3)
        if name in answers:
            raise ValueError(f"turn {at + 3} asks for {name} a second time")
        answers[name] = _answered(chat, turns[at + 1 : at + 2], at + 4, name)
    return report, answers, {"asked": tuple(answers)}


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
    if not report:
        raise ValueError("turn 1 holds no report")
    turns = [line.strip() for line in lines[end + 1 :] if line.strip()]
    if not turns:
        raise ValueError("turn 3 is missing: no question is asked")
    return report, turns


def _asked(chat: Interview, turn: str, number: int) -> str:
    """The type that a question turn asks for."""
    pattern = re.escape(f"User: {chat.question('TYPE')}").replace("TYPE", "(.+)")
    found = re.fullmatch(pattern, turn)
    if not found:
        raise ValueError(f"turn {number} should be 'User: {chat.question('TYPE')}', got {turn[:60]!r}")
    if found[1] not in chat.questions:
        raise ValueError(f"turn {number} asks for the unknown type {found[1]!r}")
    return found[1]


def _answered(chat: Interview, turns: list[str], number: int, name: str) -> list[str]:
    """The values of an answer turn, the only one of `turns`."""
    where = f"turn {number}, the answer to {name},"
    if not turns:
        raise ValueError(f"{where} is missing")
    if not turns[0].startswith("Assistant: "):
        raise ValueError(f"{where} should begin with 'Assistant: '")
    values, error = chat.parse_answer(name, turns[0].removeprefix("Assistant: "))
    if values is None:
        raise ValueError(f'{where} should be {{"{name}": [values]}}: {error}')
    return values


def write_row(chat: Interview, example: Example) -> dict[str, str]:
    """Inverse of :func:`read_row`: the questions that the row asked, all of them for a made one."""
    system, *turns = chat.conversation(example, example.extra.get("asked", ()))
    lines = [f"{turn['role'].title()}: {turn['content']}" for turn in turns]
    return {"conversation": "\n".join([system["content"], *lines])}


def row_parts(row: dict[str, Any]) -> dict[str, str]:
    """The values of each answer of a row as JSON text, to tell what the canonical form changed."""
    lines = (line.strip() for line in row["conversation"].split("\n"))
    answers = [
        json.loads(line.removeprefix("Assistant: ")) for line in lines if line.startswith('Assistant: {"')
    ]
    return {
        name: json.dumps(values, ensure_ascii=False) for answer in answers for name, values in answer.items()
    }
