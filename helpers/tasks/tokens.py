"""The tokeniser of texts that are tagged token by token."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_OPENING, _CLOSING = "([{\"'“‘«", ".,;:!?…\"'”’»)]}"
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLITIC = re.compile(r"(?<=\w)(?:n['’]t|['’](?:s|m|re|ve|ll|d))$", re.IGNORECASE)


def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Tokens of a piece without spaces: marks at its edges and clitics are tokens of their own."""
    while start < end - 1 and text[start] in _OPENING:
        yield start, start + 1
        start += 1
    tail: list[tuple[int, int]] = []
    while end - start > 1 and text[end - 1] in _CLOSING:
        mark, low = text[end - 1], end - 1
        if mark in _PAIRS and _PAIRS[mark] in text[start:low]:  # "main()" and "a[0]" stay whole
            break
        if mark in ".!?":
            while low - 1 > start and text[low - 1] == mark:  # an ellipsis is one token
                low -= 1
        tail.append((low, end))
        end = low
    clitic = _CLITIC.search(text, start, end)
    if clitic and clitic.start() > start:
        yield start, clitic.start()
        start = clitic.start()
    yield start, end
    yield from reversed(tail)


def tokenise(text: str, borders: Iterable[int] = ()) -> list[tuple[int, int]]:
    """Offsets (start, end) of the tokens of a text.

    Spaces separate; marks at the edges of a word and English clitics ("n't", "'s") are tokens of their own; version
    numbers, error codes, paths, calls such as `main()` and names such as C++, C# and .NET stay whole.

    Parameters
    ----------
    text : str
    borders : iterable of int
        Offsets at which a token has to end and another to begin, whatever stands there.
    """
    borders = sorted(set(borders))
    found: list[tuple[int, int]] = []
    for chunk in re.finditer(r"\S+", text):
        edges = [chunk.start(), *(b for b in borders if chunk.start() < b < chunk.end()), chunk.end()]
        for start, end in zip(edges, edges[1:]):
            found += _split(text, start, end)
    return found
