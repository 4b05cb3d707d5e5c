"""Changes of an event text under which a robust model keeps its answer; the target moves along with the text."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import replace

from helpers.tasks.calendar.pieces import Piece, join_pieces, split_pieces
from helpers.tasks.calendar.surface import ordinal
from helpers.tasks.records import Example
from helpers.tasks.text import typo

_CUE = re.compile(
    r"[\s,;:–-]*(?:\b(?:scheduled|planned|set)\s+)?(?:\b(?:on|at|for|from|around|by|starting|starts|time)\b|@)?"
    r"(?:\s+at\b)?[\s,]*$",
    re.IGNORECASE,
)
_TYPO_SHARE = 0.3  # of the words of four letters and more


def _moved(example: Example, origin: str, pieces: list[Piece] | None) -> Example | None:
    made = join_pieces(pieces, example, origin) if pieces else None
    return made if made is not None and made.text != example.text else None


def lower_case(example: Example, rng: random.Random) -> Example | None:
    """Everything in lower case."""
    pieces = split_pieces(example)
    return _moved(example, "lower case", pieces and [piece.rewritten(str.lower) for piece in pieces])


def upper_case(example: Example, rng: random.Random) -> Example | None:
    """Everything in upper case."""
    pieces = split_pieces(example)
    return _moved(example, "upper case", pieces and [piece.rewritten(str.upper) for piece in pieces])


def typos(example: Example, rng: random.Random) -> Example | None:
    """Slips in some longer words, never in a date, time, duration or recurrence."""

    def change(piece: Piece) -> Piece:
        if piece.field in ("date", "time", "duration", "recurrence") or (piece.field and not piece.verbatim):
            return piece
        kept = piece.recurrence[0] if piece.recurrence else ""

        def slip(match: re.Match) -> str:
            chosen = match.group() != kept and rng.random() < _TYPO_SHARE
            return typo(match.group(), rng) if chosen else match.group()

        text = re.sub(r"[^\W\d_]{4,}", slip, piece.text)
        return replace(piece, text=text, value=text if piece.field else "")

    pieces = split_pieces(example)
    return _moved(example, "typos", pieces and [change(piece) for piece in pieces])


def no_punctuation(example: Example, rng: random.Random) -> Example | None:
    """Commas, stops, brackets and other marks taken out; "w/", "&" and what is inside a word stay."""

    def strip(text: str) -> str:
        return re.sub(
            r"\s{2,}", " ", re.sub(r"[,;:!?()\[\]\"–—]+(?=\s|$)|(?<!\w)[(\[\"–—-]+|\.(?=\s|$)", " ", text)
        )

    def change(piece: Piece) -> Piece:
        if not piece.field:
            return replace(piece, text=strip(piece.text))
        changed = piece.rewritten(lambda text: strip(text).strip())
        return changed if changed.text else piece

    pieces = split_pieces(example)
    return _moved(example, "no punctuation", pieces and [change(piece) for piece in pieces])


def word_order(example: Example, rng: random.Random) -> Example | None:
    """Date and time moved to the front; None where one of them is there already."""
    pieces = split_pieces(example)
    when = [piece for piece in pieces or [] if piece.field in ("date", "time")]
    if not when or next(piece for piece in pieces if piece.field).field in ("date", "time"):
        return None
    rest: list[Piece] = []
    for piece in pieces:
        if piece.field in ("date", "time"):
            if rest and not rest[-1].field:
                rest[-1] = replace(rest[-1], text=_CUE.sub(" ", rest[-1].text))
        elif not piece.field and rest and not rest[-1].field:
            rest[-1] = replace(rest[-1], text=rest[-1].text + re.sub(r"^\s*[,;]\s*", " ", piece.text))
        else:
            rest.append(piece)
    if rest and not rest[-1].field:
        rest[-1] = replace(rest[-1], text=re.sub(r"\s+([.,])", r"\1", rest[-1].text))
    front = [part for piece in when for part in (piece, Piece(" "))]
    return _moved(example, "word order", [*front, *rest])


def distractor(example: Example, rng: random.Random) -> Example | None:
    """A remark appended that names something which is not part of the event."""
    day = rng.randint(1, 28)
    weekday = rng.choice(("Monday", "Tuesday", "Thursday"))
    clauses = (
        f"(not the {day}{ordinal(day)} as before)",
        f"(moved from {weekday})",
        "(ignore the earlier invite)",
        f"(room {rng.randint(2, 30)} is taken)",
        "(sent from my phone)",
    )
    pieces = split_pieces(example)
    if not pieces:
        return None
    ending = pieces[-1].text
    stop = "." if ending.endswith(".") else ""
    pieces[-1] = replace(pieces[-1], text=f"{ending[: len(ending) - len(stop)]} {rng.choice(clauses)}{stop}")
    return _moved(example, "distractor", pieces)


PERTURBATIONS: dict[str, Callable[[Example, random.Random], Example | None]] = {
    "lower case": lower_case,
    "upper case": upper_case,
    "typos": typos,
    "no punctuation": no_punctuation,
    "word order": word_order,
    "distractor": distractor,
}
