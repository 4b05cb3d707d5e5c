"""Grammars that hold a model's answer to the schema and, where wanted, to the text (llguidance's Lark syntax)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

from helpers.tasks.kind import Kind
from helpers.tasks.text import word_units

WAYS = ("schema", "source")
_WHOLE = "/[^ ](.*[^ ])?/"  # a piece begins and ends with a word or a mark


@lru_cache(maxsize=256)
def _chunks(line: str) -> str:
    """A line cut into words and marks, as they stand inside a JSON string: a regular expression of any run of them."""
    pieces, at = [], 0
    for start, end in word_units(line):
        pieces += [*line[at:start], line[start:end]]
        at = end
    escaped = [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in [*pieces, *line[at:]]]
    return json.dumps({"substring_chunks": escaped}, ensure_ascii=False)


class _Terminals:
    """Terminals of one grammar; each writing of the text has its own, made once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, str] = {}

    def spans(self, texts: Sequence[str]) -> list[str]:
        """Names of terminals that match pieces of the texts, one for each line that holds a word."""
        lines = [line for text in texts for line in text.split("\n") if word_units(line)]
        for line in dict.fromkeys(lines):
            if line not in self.names:
                self.names[line] = name = f"LINE_{len(self.names)}"
                self.lines += [f"{name}_ANY: %regex {_chunks(line)}", f"{name}: {name}_ANY & {_WHOLE}"]
        return list(dict.fromkeys(self.names[line] for line in lines))

    def value(self, name: str, kind: Kind, text: str | None) -> str | None:
        """Name of the terminal of a field's values; None where nothing can be one."""
        options = kind.free() if text is None else kind.held(text, self.spans)
        if not options:
            return None
        body = " | ".join(options)
        self.lines.append(rf'{name}: "\"" ({body}) "\""' if kind.quoted else f"{name}: {body}")
        return name


def _held(text: str, constraint: str) -> str | None:
    if constraint not in WAYS:
        raise ValueError(f"constraint {constraint!r} is neither schema nor source")
    return text if constraint == "source" else None


def _key(name: str) -> str:
    return json.dumps(json.dumps(name, ensure_ascii=False) + ": ", ensure_ascii=False)


def object_grammar(kinds: dict[str, Kind], text: str, constraint: str) -> str:
    """The grammar of one JSON object with all fields; a field without a value is null.

    Parameters
    ----------
    kinds : dict
        Field → its kind, in the order of the answer.
    text : str
        Normalised text.
    constraint : str
        `schema`: types and forms; `source`: values that are pieces of the text must stand in it as well, and dates and
        times be read in it, where it has any.

    Raises
    ------
    ValueError
        For another constraint.
    """
    terminals, rules, held = _Terminals(), [], _held(text, constraint)
    for at, kind in enumerate(kinds.values()):
        value = terminals.value(f"VALUE_{at}", kind, held)
        given = (
            f' | "[" {value} (", " {value})* "]"' if value and kind.many else f" | {value}" if value else ""
        )
        rules.append(f'value_{at}: "null"{given}')
    body = ' ", " '.join(f"{_key(name)} value_{at}" for at, name in enumerate(kinds))
    return "\n".join([f'start: "{{" {body} "}}"', *rules, *terminals.lines])


def answer_grammar(name: str, kind: Kind, text: str, constraint: str) -> str:
    """The grammar of an answer about one field, `{"name": [values]}`, as :func:`object_grammar`."""
    terminals = _Terminals()
    value = terminals.value("VALUE", kind, _held(text, constraint))
    more = f'({value} (", " {value})*)?' if kind.many else f"{value}?"
    return "\n".join([f'start: "{{" {_key(name)} "[" {more if value else ""} "]}}"', *terminals.lines])
