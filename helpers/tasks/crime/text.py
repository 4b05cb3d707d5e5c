"""Crime conversations as text: the flat row format, the report's lines, its headings and the words for "nothing there"."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

from helpers.tasks.text import normalise

FIELDS = (
    "Location",
    "Officer_Name",
    "Officer_BadgeNumber",
    "Victim_Name",
    "Victim_Age",
    "Victim_AgeRange",
    "Victim_Owner",
    "Victim_Manager",
    "Victim_CEO",
    "Victim_Email",
    "Crime_Type",
    "Crime_Date",
    "Crime_Time",
    "Crime_Status",
    "Crime_Summary",
    "Evidence_Type",
    "Witness_Name",
    "Suspect_Description",
)
# the order in which conversations ask
QUESTIONS = (
    "Location",
    "Officer_BadgeNumber",
    "Officer_Name",
    "Victim_Name",
    "Victim_Age",
    "Victim_AgeRange",
    "Victim_Owner",
    "Victim_Manager",
    "Victim_CEO",
    "Victim_Email",
    "Crime_Time",
    "Crime_Type",
    "Crime_Summary",
    "Crime_Date",
    "Crime_Status",
    "Evidence_Type",
    "Witness_Name",
    "Suspect_Description",
)
SYSTEM = "A virtual assistant answers questions from a user based on the provided text."
GIVEN = "Text:\n"
READ = "I’ve read this text."
NOTHING_THERE = ("Not provided", "None identified", "N/A")
"""What headed reports write where there is nothing to report, and what labels then give as the value."""

_QUESTION = re.compile(r"User: What describes (.+) in the text\?")
_READ_LINES = (f"Assistant: {READ}", f"Assistant: {READ.replace('’', chr(39))}")
_NOTHING = re.compile(
    r"(?:not (?:provided|applicable|available|identified|known|stated)|none(?: \w+)?|n/?a|unknown"
    r"|no (?:information|witness(?:es)?|suspects?)(?: \w+)?|-|–)\.?",
    re.IGNORECASE,
)

Target = dict[str, list[str]]


# -- the row format ---------------------------------------------------------------------------------------------------
class Conversation(NamedTuple):
    """What a row holds: the report and, in the order of the questions, what each was answered with."""

    report: str
    answers: dict[str, list[str]]


def normalise_report(text: str) -> str:
    """The text with every line normalised: headings stand on lines of their own, so that line breaks are kept."""
    lines = "\n".join(normalise(line) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def question_text(name: str) -> str:
    """How a type is asked for."""
    return f"What describes {name} in the text?"


def answer_text(name: str, values: list[str]) -> str:
    """How the answer is written."""
    return json.dumps({name: list(values)}, ensure_ascii=False)


def read_answer(name: str, raw: str) -> list[str]:
    """Values of an answer `{"Type": [values]}` as text; numbers become text, empty values are left out.

    Raises
    ------
    ValueError
        With one of the short reasons `empty`, `truncated`, `not json`, `not an object`, `wrong key`, `extra keys`,
        `not a list`, `wrong type`.
    """
    raw = raw.strip()
    if not raw:
        raise ValueError("empty")
    try:
        pairs = json.loads(raw, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        raise ValueError(
            "truncated" if raw.startswith("{") and not raw.endswith("}") else "not json"
        ) from None
    if not isinstance(pairs, _Pairs):
        raise ValueError("not an object")
    if len(pairs) > 1:
        raise ValueError("extra keys")
    if not pairs or pairs[0][0] != name:
        raise ValueError("wrong key")
    values = pairs[0][1]
    if not isinstance(values, list) or isinstance(values, _Pairs):
        raise ValueError("not a list")
    if any(isinstance(value, bool) or not isinstance(value, (str, int, float)) for value in values):
        raise ValueError("wrong type")
    return [text for text in (normalise(str(value)) for value in values) if text]


class _Pairs(list):
    """Key–value pairs of a JSON object in order, so that a key given twice is seen."""


def parse_conversation(text: str) -> Conversation:
    """Read the flat row format: system line, `User: Text:` and report, the answer to it, questions and answers.

    Raises
    ------
    ValueError
        With one line that names the turn that is not as it should be.
    """
    lines = text.replace("\r\n", "\n").strip("\n").split("\n")
    if normalise(lines[0]) != SYSTEM:
        raise ValueError(f"line 1 should be {SYSTEM!r}")
    if len(lines) < 2 or not lines[1].startswith("User: Text:"):
        raise ValueError("turn 1 should begin with 'User: Text:'")
    end = next((at for at, line in enumerate(lines) if line.strip() in _READ_LINES), None)
    if end is None:
        raise ValueError(f"turn 2 is missing: no line is 'Assistant: {READ}'")
    report = normalise_report("\n".join([lines[1].removeprefix("User: Text:"), *lines[2:end]]))
    if not report:
        raise ValueError("turn 1 holds no report")
    turns = [line.strip() for line in lines[end + 1 :] if line.strip()]
    if not turns:
        raise ValueError("turn 3 is missing: no question is asked")
    answers: dict[str, list[str]] = {}
    for at in range(0, len(turns), 2):
        name = _asked(turns[at], at + 3, answers)
        answers[name] = _answered(turns[at + 1] if at + 1 < len(turns) else None, at + 4, name)
    return Conversation(report, answers)


def _asked(turn: str, number: int, before: dict[str, list[str]]) -> str:
    """The type that a question turn asks for."""
    found = _QUESTION.fullmatch(turn)
    if not found:
        raise ValueError(
            f"turn {number} should be 'User: What describes TYPE in the text?', got {turn[:60]!r}"
        )
    if found[1] not in FIELDS:
        raise ValueError(f"turn {number} asks for the unknown type {found[1]!r}")
    if found[1] in before:
        raise ValueError(f"turn {number} asks for {found[1]} a second time")
    return found[1]


def _answered(turn: str | None, number: int, name: str) -> list[str]:
    """The values of an answer turn."""
    if turn is None:
        raise ValueError(f"turn {number}, the answer to {name}, is missing")
    if not turn.startswith("Assistant: "):
        raise ValueError(f"turn {number}, the answer to {name}, should begin with 'Assistant: '")
    try:
        return read_answer(name, turn.removeprefix("Assistant: "))
    except ValueError as error:
        raise ValueError(
            f'turn {number}, the answer to {name}, should be {{"{name}": [values]}}: {error}'
        ) from None


def raw_answers(text: str) -> dict[str, str]:
    """The values of each answer of a row that parses, as JSON text."""
    answers = [
        json.loads(line.strip().removeprefix("Assistant: "))
        for line in text.split("\n")
        if line.startswith('Assistant: {"')
    ]
    return {
        name: json.dumps(values, ensure_ascii=False) for answer in answers for name, values in answer.items()
    }


def write_conversation(conversation: Conversation) -> str:
    """Inverse of :func:`parse_conversation`."""
    turns = [
        line
        for name, values in conversation.answers.items()
        for line in (f"User: {question_text(name)}", f"Assistant: {answer_text(name, values)}")
    ]
    return "\n".join([SYSTEM, f"User: {GIVEN}{conversation.report}", f"Assistant: {READ}", *turns])


# -- the report -------------------------------------------------------------------------------------------------------
# heading → its name here; the first pattern that matches the whole heading counts
_HEADINGS = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        ("when", r"(?:crime |incident )?date(?: and| &|/) ?time.*|when|date/time.*"),
        ("date", r"(?:crime |incident )?date(?: of .+)?"),
        ("time", r"(?:crime |incident )?time(?: of .+)?"),
        ("type", r"(?:crime|incident|offen[cs]e)(?: type)?|type(?: of .+)?|category|nature of .+"),
        ("location", r"(?:crime |incident )?(?:location|place|address)(?: of .+)?|scene|where"),
        (
            "officer",
            r"(?:reporting |investigating |attending |case )?officer(?:\(s\)|s)?(?: in (?:charge|the case))?"
            r"|reported by",
        ),
        ("summary", r"(?:crime |brief |short )?summary|synopsis|in brief"),
        (
            "victims",
            r"(?:description of |details of )?(?:the )?victim(?:\(s\)|s)?(?: .*)?|persons? harmed|injured part(?:y|ies)"
            r"|complainants?|aggrieved(?: part(?:y|ies))?",
        ),
        (
            "suspects",
            r"(?:description of |details of )?(?:the )?(?:suspect|offender|perpetrator)(?:\(s\)|s)?(?: .*)?",
        ),
        ("witnesses", r"witness(?:\(es\)|es)?(?: .*)?"),
        ("evidence", r"evidence(?: .*)?|items? (?:secured|seized|collected)|exhibits?"),
        ("circumstances", r"circumstances.*|background|details|what happened|narrative|course of events"),
        ("investigation", r"(?:initial |first )?(?:investigation|enquiries|inquiries|action).*"),
        ("steps", r"(?:further|next) (?:steps|action).*|outstanding"),
        ("status", r"(?:current |case )?status|(?:state|position)(?: of the case)?"),
        ("conclusion", r"conclusion|remarks|notes?"),
        ("signature", r"signature|signed"),
    )
)
_HEADED_LINE = re.compile(
    r"(?:\*\*)?(?P<heading>[A-Z][^:*\n]{1,60}?)(?::\*\*|\*\*:|:)(?:\s+|$)(?P<content>.*)"
)


class Section(NamedTuple):
    """A heading of a report with what stands under it."""

    name: str
    heading: str
    content: str
    lines: str


def heading_name(heading: str) -> str | None:
    """What a heading is about, None for one that is not known."""
    bare = re.sub(r"\s*\(if [^)]*\)", "", heading).strip(" *#-:")
    return next((name for name, pattern in _HEADINGS if pattern.fullmatch(bare)), None)


def _open_heading(line: str) -> tuple[str, str, str] | None:
    """(name, heading, content on the same line) where a line begins a section."""
    found = _HEADED_LINE.fullmatch(line)
    if found and heading_name(found["heading"]):
        return heading_name(found["heading"]), found["heading"], found["content"]
    bare = line.strip("*# :")
    if bare and bare.isupper() and heading_name(bare):
        return heading_name(bare), bare, ""
    return None


def sections(report: str) -> list[Section]:
    """The headed sections of a report in reading order; lines before the first heading belong to none."""
    found: list[Section] = []
    for line in report.split("\n"):
        opened = _open_heading(line)
        if opened:
            found.append(Section(*opened, line))
        elif found:
            last = found[-1]
            found[-1] = last._replace(
                content=f"{last.content}\n{line}".strip("\n"), lines=f"{last.lines}\n{line}"
            )
    return found


def is_headed(report: str) -> bool:
    """Whether the report is laid out under headings, known ones or not, rather than told."""
    return sum(bool(_HEADED_LINE.fullmatch(line) or _open_heading(line)) for line in report.split("\n")) >= 4


def means_nothing(value: str) -> bool:
    """Whether a value only says that there is nothing to report."""
    return bool(_NOTHING.fullmatch(value.strip()))
