"""Where values stand in a text as the user wrote it: models read it normalised, answers point to the original."""

from __future__ import annotations

from rapidfuzz.distance import Levenshtein

Span = tuple[int, int]


def origins(text: str, reading: str) -> list[Span]:
    """For each character of the text as the model reads it, the (start, end) of its origin in the user's text.

    Signs that normalising changed side by side are taken one by one where their number stayed, else as one piece
    without the white space around it.
    """
    found: list[Span] = []
    low = 0  # end of the last sign that is the same in both
    for block in Levenshtein.opcodes(text, reading).as_matching_blocks():
        changed = block.b - len(found)
        if changed == block.a - low:
            found += [(low + at, low + at + 1) for at in range(changed)]
        else:
            piece = text[low : block.a]
            start = low + len(piece) - len(piece.lstrip() or piece)
            found += [(start, start + len(piece.strip() or piece))] * changed
        found += [(block.a + at, block.a + at + 1) for at in range(block.size)]
        low = block.a + block.size
    return found


def to_original(span: Span, places: list[Span]) -> Span:
    """A span of the normalised text as a span of the original, from :func:`origins`."""
    start, end = span
    return (places[start][0], places[end - 1][1]) if end > start else (places[start][0],) * 2
