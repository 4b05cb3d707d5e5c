"""Where values stand in a text as the user wrote it: models read it normalised, answers point to the original."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from difflib import SequenceMatcher

Span = tuple[int, int]


def _clusters(text: str) -> list[Span]:
    """Letters with the marks that belong to them, as (start, end): pieces that normalise on their own."""
    found: list[Span] = []
    for at, char in enumerate(text):
        if found and unicodedata.combining(char):
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found


def _walk(text: str, reading: str, normalise: Callable[[str], str]) -> list[Span] | None:
    """Origin of each character of the reading, piece by piece from the left; None where the pieces do not fit."""
    origins: list[Span] = []
    at, spaces = 0, 0  # place in the reading; start of the white space or ignored signs before the next piece
    for start, end in _clusters(text):
        piece = normalise(text[start:end])
        if not piece:
            continue
        if at < len(reading) and reading[at].isspace() and not reading.startswith(piece, at):
            while at < len(reading) and reading[at].isspace():
                origins.append((spaces, start))
                at += 1
        if not reading.startswith(piece, at):
            return None
        origins += [(start, end)] * len(piece)
        at, spaces = at + len(piece), end
    return origins if at == len(reading) else None


def origins(text: str, reading: str, normalise: Callable[[str], str]) -> list[Span]:
    """For each character of the text as the model reads it, the (start, end) of its origin in the user's text."""
    if text == reading:
        return [(at, at + 1) for at in range(len(text))]
    exact = _walk(text, reading, normalise)
    if exact is not None:
        return exact
    found: list[Span] = []
    for _, low, high, start, end in SequenceMatcher(None, text, reading, autojunk=False).get_opcodes():
        same = high - low == end - start
        found += [(low + at, low + at + 1) if same else (low, high) for at in range(end - start)]
    return found


def to_original(span: Span, places: list[Span]) -> Span:
    """A span of the normalised text as a span of the original, from :func:`origins`."""
    start, end = span
    return (places[start][0], places[end - 1][1]) if end > start else (places[start][0],) * 2
