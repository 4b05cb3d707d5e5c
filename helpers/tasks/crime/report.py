"""A report as text: its lines, its sections under headings (`sections.yaml`), and the words for "nothing there"."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from helpers.tasks.text import normalise

SECTIONS: dict[str, dict]
WORDS: dict[str, Any]
SECTIONS, WORDS = (
    yaml.safe_load(Path(__file__).with_name(f"{name}.yaml").read_text(encoding="utf-8"))
    for name in ("sections", "reports")
)
NOTHING_THERE = ("Not provided", "None identified", "N/A")
"""What headed reports write where there is nothing to report, and what labels then give as the value."""

_HEADINGS = {name: re.compile(one["pattern"], re.IGNORECASE) for name, one in SECTIONS.items()}
_HEADED_LINE = re.compile(
    r"(?:\*\*)?(?P<heading>[A-Z][^:*\n]{0,60}?)(?::\*\*|\*\*:|:)(?:\s+|$)(?P<content>.*)"
)
LEAST_HEADINGS = 4
# a negation, and what was not told or found: labels word it in ever new ways
_NOTHING = re.compile(
    r"(?:n/?a|unknown|-|–"
    r"|not (?:yet |been )*(?:provided|given|stated|described|recorded|reported|disclosed|named|identified|known|seen|found"
    r"|collected|recovered|available|applicable)"
    r"|(?:none|nothing|nobody|no one)(?: [\w']+){0,4}"
    r"|no (?:\w+ ){0,2}(?:descriptions?|details?|information|evidence|witness(?:es)?|suspects?)(?: [\w']+){0,4})"
    r"(?: (?:yet|so far|at (?:this|the) (?:time|moment)))?\.?",
    re.IGNORECASE,
)


def normalise_report(text: str) -> str:
    """The text with every line normalised: headings stand on lines of their own, so that line breaks are kept."""
    lines = "\n".join(normalise(line) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", lines).strip("\n")


def means_nothing(value: str) -> bool:
    """Whether a value only says that there is nothing to report."""
    return bool(_NOTHING.fullmatch(value.strip()))


class Section(NamedTuple):
    """A heading of a report with what stands under it, as written."""

    name: str  # its key in `sections.yaml`
    heading: str
    content: str
    lines: str  # the whole section
    start: int  # where the content stands in the report, with the marks between heading and content
    end: int


def _section_name(heading: str) -> str | None:
    """The section that a heading opens, None for one that is not known."""
    bare = re.sub(r"\s*\(if [^)]*\)", "", heading).strip(" *#-:")
    return next((name for name, pattern in _HEADINGS.items() if pattern.fullmatch(bare)), None)


def _opened(line: str) -> tuple[str, str, str] | None:
    """(name, heading, content on the same line) where a line begins a section."""
    found = _HEADED_LINE.fullmatch(line)
    if found and _section_name(found["heading"]):
        return _section_name(found["heading"]), found["heading"], found["content"]
    bare = line.strip("*# :")
    if bare.isupper() and _section_name(bare):
        return _section_name(bare), bare, ""
    return None


def sections(report: str) -> list[Section]:
    """The headed sections of a report in reading order; lines before the first heading belong to none."""
    found: list[Section] = []
    end = -1
    for line in report.split("\n"):
        start, end = end + 1, end + 1 + len(line)
        opened = _opened(line)
        if opened:
            name, heading, content = opened
            after = start + line.index(heading) + len(heading)
            found.append(Section(name, heading, content, line, after, end))
        elif found:
            last = found[-1]
            content = f"{last.content}\n{line}".strip("\n")
            found[-1] = last._replace(content=content, lines=f"{last.lines}\n{line}", end=end)
    return found


def is_headed(report: str) -> bool:
    """Whether the report is laid out under headings, known ones or not, rather than told."""
    headed = [line for line in report.split("\n") if _HEADED_LINE.fullmatch(line) or _opened(line)]
    return len(headed) >= LEAST_HEADINGS
