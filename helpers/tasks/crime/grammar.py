"""Grammars for the answer to one question, in llguidance's Lark syntax."""

from __future__ import annotations

import json
import re
from functools import lru_cache

from helpers.tasks.crime.text import NOTHING_THERE
from helpers.tasks.text import lark_literal

MAX_VALUES = 8  # of one answer; labels have up to 4
MAX_STRING = 300  # characters of a value under `schema`; labels have up to 245
AGE_GROUPS = (
    "Adult",
    "Young Adult",
)  # train labels state the group of an age that the report gives as a number
# "John and Mary Smith" is labelled "John Smith" and "Mary Smith": such a name is two pieces of its line
PERSONS = frozenset({"Victim_Name", "Victim_Owner"})
_PIECES = re.compile(r"\w+|\s+|[^\w\s]")
_FREE = (
    rf'FREE_STRING: "\"" /([^"\\\x00-\x1f\x7f]|\\["\\\/bfnrt]|\\u[0-9a-fA-F]{{4}}){{1,{MAX_STRING}}}/ "\""'
)


@lru_cache(maxsize=64)
def _line_terminals(report: str) -> list[str]:
    """One terminal a line of the report: any run of its words and marks, as it stands inside a JSON string."""
    lines = dict.fromkeys(line for line in report.split("\n") if line)
    chunks = [
        [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in _PIECES.findall(line)] for line in lines
    ]
    return [
        f"LINE_{at}: %regex {json.dumps({'substring_chunks': pieces}, ensure_ascii=False)}"
        for at, pieces in enumerate(chunks)
    ]


def _name_terminals(report: str) -> list[str]:
    """A person's name from two pieces of one line that names two persons at once."""
    options = []
    for line in report.split("\n"):
        for first, second, rest in re.findall(
            r"\b([A-Z][\w.]*) and ([A-Z][\w.]*(?: [A-Z][\w.'-]*)*) ([A-Z][\w'-]+)", line
        ):
            options += [f"{first} {rest}", f"{second} {rest}"]
    return [" | ".join(map(lark_literal, dict.fromkeys(options)))] if options else []


def grammar(report: str, name: str, constraint: str) -> str:
    """The grammar of `{"name": [strings]}`.

    Parameters
    ----------
    report : str
        Normalised report.
    name : str
        Type that is asked for.
    constraint : str
        `schema`: any strings; `source`: runs of whole words of one line of the report, or one of the phrases that labels
        use where the report has nothing.

    Raises
    ------
    ValueError
        For another constraint.
    """
    if constraint not in ("schema", "source"):
        raise ValueError(f"constraint {constraint!r} is neither schema nor source")
    answer = f'start: "{{\\"{name}\\": [" (VALUE (", " VALUE){{0,{MAX_VALUES - 1}}})? "]}}"'
    if constraint == "schema":
        return "\n".join([answer.replace("VALUE", "FREE_STRING"), _FREE])
    lines = _line_terminals(report)
    phrases = NOTHING_THERE + (AGE_GROUPS if name == "Victim_AgeRange" else ())
    options = [f"LINE_{at}" for at in range(len(lines))] + list(map(lark_literal, phrases))
    options += _name_terminals(report) if name in PERSONS else []
    text = "TEXT: " + " | ".join(options)
    return "\n".join([answer, r'VALUE: "\"" (TEXT & /[^ ](.*[^ ])?/) "\""', text, *lines])
