"""Guesses at how an answer goes on, which a model then checks several tokens at a time."""
from __future__ import annotations

from collections.abc import Sequence

MAX_NGRAM = 3
"""Tokens of an answer that are looked up together at most."""


class PromptLookup:
    """What follows the last tokens of an answer where they stand in the text (prompt lookup decoding, Saxena, 2023).

    An extracted value is a piece of its text, so that the text itself is the best guess.

    Parameters
    ----------
    text : sequence of int
        Tokens of the text.
    """

    def __init__(self, text: Sequence[int]):
        self.text = list(text)
        self.behind: dict[tuple[int, ...], int] = {}
        for size in range(1, MAX_NGRAM + 1):
            for end in range(size, len(self.text)):
                self.behind.setdefault(tuple(self.text[end - size:end]), end)

    def guess(self, written: Sequence[int], most: int) -> list[int]:
        """At most `most` tokens that may come after those written; none where the last of them is not in the text."""
        for size in range(min(MAX_NGRAM, len(written)), 0, -1):
            place = self.behind.get(tuple(written[-size:]))
            if place is not None:
                return self.text[place:place + most]
        return []
