"""The flat row format of crime reports: system line, report, and a chat of questions and answers, a line each."""

from __future__ import annotations

import json
import re
from typing import Any

from helpers.tasks.base import Example
from helpers.tasks.chat import Interview
from helpers.tasks.crime.report import normalise_report
from helpers.tasks.text import normalise

Answers = dict[str, list[str]]


def read_row(chat: Interview, row: dict[str, Any]) -> tuple[str, Answers, dict[str, Any]]:
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
    answers: Answers = {}
    for at, turn in enumerate(turns[::2]):
        number = 2 * at + 3
        asked = re.fullmatch(re.escape(f"User: {chat.question('TYPE')}").replace("TYPE", "(.+)"), turn)
        if not asked:
            raise ValueError(f"turn {number} should be 'User: {chat.question('TYPE')}', got {turn[:60]!r}")
        name = asked[1]
        if name not in chat.questions:
            raise ValueError(f"turn {number} asks for the unknown type {name!r}")
        if name in answers:
            raise ValueError(f"turn {number} asks for {name} a second time")
        where = f"turn {number + 1}, the answer to {name},"
        answer = turns[2 * at + 1] if 2 * at + 1 < len(turns) else ""
        if not answer.startswith("Assistant: "):
            raise ValueError(f"{where} is missing or does not begin with 'Assistant: '")
        values, error = chat.parse_answer(name, answer.removeprefix("Assistant: "))
        if values is None:
            raise ValueError(f'{where} should be {{"{name}": [values]}}: {error}')
        answers[name] = values
    return report, answers, {"asked": tuple(answers)} | _style(row)


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
    return {"conversation": "\n".join([system["content"], *lines])} | _style(example.extra)


def _style(given: dict[str, Any]) -> dict[str, Any]:
    return {"style": given["style"]} if "style" in given else {}


def row_parts(row: dict[str, Any]) -> dict[str, str]:
    """The values of each answer of a row as JSON text, to tell what the canonical form changed."""
    answers = (
        json.loads(line) for line in re.findall(r'^\s*Assistant: (\{".*)', row["conversation"], re.MULTILINE)
    )
    return {
        name: json.dumps(values, ensure_ascii=False) for answer in answers for name, values in answer.items()
    }
