"""A labelled event text as pieces: what lies between the values, and each value with its surface."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from helpers.tasks.calendar.surface import (
    canonical_date,
    canonical_time,
    duration_minutes,
    render_date,
    render_time,
)
from helpers.tasks.calendar.text import FIELDS, align, find_dates, find_times
from helpers.tasks.records import Example
from helpers.tasks.text import is_word_span, normalise


@dataclass(frozen=True)
class Piece:
    """A stretch of text.

    Parameters
    ----------
    text : str
        What is written.
    field : str
        Field that it gives, or "" for the text between.
    value : str
        Gold value, "" for the text between.
    recurrence : tuple of str, optional
        For an action that says how often: (surface inside the action, gold value).
    """

    text: str
    field: str = ""
    value: str = ""
    recurrence: tuple[str, str] | None = None

    @property
    def verbatim(self) -> bool:
        """Whether the value is the surface itself."""
        return self.text == self.value

    def rewritten(self, change: Callable[[str], str]) -> Piece:
        """The same change made to the surface and to every value that copies its wording."""
        if self.field in ("date", "time"):
            text = change(self.text)
            read = canonical_date if self.field == "date" else canonical_time
            return replace(self, text=text) if read(text) == self.value else self
        value = (
            change(self.value)
            if self.field not in ("duration", "recurrence") or self.verbatim
            else self.value
        )
        inner = self.recurrence
        if inner:
            inner = change(inner[0]), change(inner[1]) if inner[0] == inner[1] else inner[1]
        return replace(self, text=change(self.text), value=value, recurrence=inner)


def split_pieces(example: Example) -> list[Piece] | None:
    """The example's text cut at its values, or None where a value cannot be found in the text."""
    spans = align(example)
    if any(example.target[name] and not spans[name] for name in FIELDS):
        return None
    places, inner = [], None
    for name in FIELDS:
        values = example.target[name] if isinstance(example.target[name], list) else [example.target[name]]
        for (start, end), value in zip(spans[name], values):
            if name == "recurrence" and any(a <= start and end <= b for a, b in spans["action"]):
                inner = (example.text[start:end], value)
            else:
                places.append((start, end, name, value))
    pieces, at = [], 0
    for start, end, name, value in sorted(places):
        if start < at:
            return None
        pieces.append(Piece(example.text[at:start]))
        pieces.append(Piece(example.text[start:end], name, value, inner if name == "action" else None))
        at = end
    return pieces + [Piece(example.text[at:])]


def join_pieces(pieces: Iterable[Piece], example: Example, origin: str) -> Example | None:
    """The example that the pieces spell, or None where a value would no longer stand in the text as whole words.

    A date or time that the text now writes twice is refused too: it would be no longer clear which one is meant.
    """
    pieces = list(pieces)
    text = normalise("".join(piece.text for piece in pieces))
    target: dict = dict.fromkeys(FIELDS)
    for piece in pieces:
        if piece.field == "attendees":
            target["attendees"] = (target["attendees"] or []) + [normalise(piece.value)]
        elif piece.field:
            target[piece.field] = normalise(piece.value)
        if piece.recurrence:
            target["recurrence"] = normalise(piece.recurrence[1])
        if piece.field and not is_word_span(normalise(piece.text), text):
            return None
    made = example.with_(text=text, target=target, origin=origin, extra={})
    spans = align(made)
    return made if all(spans[name] or not target[name] for name in FIELDS) else None


def redate(piece: Piece, date: datetime.date, like: str | None = None) -> Piece:
    """Another date in the same style, or in that of another surface; the piece itself where that cannot be written."""
    text = render_date(date, like or piece.text)
    value = date.strftime("%d/%m/") + f"{date.year:04d}"
    if text is None or canonical_date(text) != value or [m.text for m in find_dates(text)] != [text]:
        return piece
    return replace(piece, text=text, value=value)


def retime(piece: Piece, hour: int, minute: int, like: str | None = None) -> Piece:
    """Another time of day in the same style, or in that of another surface; else the piece itself."""
    text = render_time(hour, minute, like or piece.text)
    value = f"{(hour - 1) % 12 + 1}:{minute:02d} {'PM' if hour >= 12 else 'AM'}"
    if text is None or canonical_time(text) != value or [m.text for m in find_times(text)] != [text]:
        return piece
    return replace(piece, text=text, value=value)


def clock(value: str) -> tuple[int, int] | None:
    """Hour (0–23) and minute of a canonical time."""
    match = re.fullmatch(r"(\d{1,2}):(\d{2}) ([AP])M", value)
    return (int(match[1]) % 12 + (12 if match[3] == "P" else 0), int(match[2])) if match else None


def calendar_day(value: str) -> datetime.date | None:
    """The day of a canonical date."""
    match = re.fullmatch(r"(\d{2})/(\d{2})/(\d{4})", value)
    try:
        return datetime.date(int(match[3]), int(match[2]), int(match[1])) if match else None
    except ValueError:
        return None


def redure(piece: Piece, surface: str, spelt: str) -> Piece:
    """Another duration; its value copies the surface where the old one did, else it is the spelt form."""
    if duration_minutes(surface) is None:
        return piece
    spaced = re.sub(r"^(\d+(?:\.\d+)?)([a-z]+)$", r"\1 \2", surface)
    old_spaced = re.sub(r"^(\d+(?:\.\d+)?)([a-z]+)$", r"\1 \2", piece.text)
    value = surface if piece.verbatim else spaced if piece.value == old_spaced else spelt
    return replace(piece, text=surface, value=value)
