"""BIO tags: tagged tokens, spans of tags and back, repair, and finer tags beside coarser ones; of any labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int, str]


@dataclass(frozen=True)
class TaggedTokens:
    """Tokens of a sentence and the BIO tag of each.

    Parameters
    ----------
    tokens : tuple of str
    tags : tuple of str
        Valid IOB2, as long as `tokens`.
    """

    tokens: tuple[str, ...]
    tags: tuple[str, ...]

    def entities(self) -> list[tuple[str, str]]:
        """(label, text) of each entity in reading order, tokens joined by single spaces."""
        return [
            (label, " ".join(" ".join(self.tokens[start:end]).split()))
            for start, end, label in spans_of(self.tags)
        ]


def label_of(tag: str) -> str:
    """Label of a tag; empty for `O`."""
    return tag[2:]


_IOB = {
    "U": "B",
    "S": "B",
    "W": "B",
    "L": "I",
    "E": "I",
    "M": "I",
}  # what BILOU, IOBES, BMEWO say beyond B and I


def check_syntax(tags: Iterable[str]) -> None:
    """Refuse what is not `O`, `B-…` or `I-…`, or the same in BILOU, IOBES or BMEWO."""
    wrong = next((tag for tag in tags if tag != "O" and not re.fullmatch(r"[BIELMSUW]-.+", tag)), None)
    if wrong is not None:
        raise ValueError(f"tag {wrong!r} is not O, B-LABEL or I-LABEL")


def to_iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags in which every entity begins with B: an I that continues nothing, as IOB1 writes it, becomes B.

    The tags of other schemes for one-word entities become B, those for last words I.
    """
    repaired: list[str] = []
    for tag in tags:
        tag = _IOB.get(tag[:1], tag[:1]) + tag[1:]
        orphan = tag.startswith("I-") and (not repaired or label_of(repaired[-1]) != label_of(tag))
        repaired.append(f"B-{label_of(tag)}" if orphan else tag)
    return tuple(repaired)


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Entities of a valid IOB2 sequence as (first token, token after the last, label)."""
    spans: list[Span] = []
    for index, tag in enumerate(tags):
        if tag.startswith("B-"):
            spans.append((index, index + 1, label_of(tag)))
        elif tag.startswith("I-"):
            spans[-1] = (spans[-1][0], index + 1, label_of(tag))
    return spans


def tags_of(spans: Iterable[Span], length: int) -> tuple[str, ...]:
    """Inverse of :func:`spans_of` for a sentence of `length` tokens."""
    tags = ["O"] * length
    for start, end, label in spans:
        tags[start:end] = [f"B-{label}"] + [f"I-{label}"] * (end - start - 1)
    return tuple(tags)


def align_fine(tags: Sequence[str], fine_tags: Sequence[str]) -> tuple[str, ...]:
    """Finer tags with the borders of ours, so that each finer tag stands for exactly one of ours.

    Where two finer entities were merged ("SQL" Language, "Server" Application), the second goes on inside the first.
    """
    fine = to_iob2(fine_tags)
    return tuple(tag[:2] + label_of(other) if tag != "O" else other for tag, other in zip(tags, fine))


def tag_all(
    examples: Sequence[Any], tagger: Callable[[Sequence[str]], Sequence[str]]
) -> list[dict[str, Any]]:
    """Prediction records of a function from tokens to tags."""
    return [
        {"id": example.id, "prediction": list(tagger(example.target.tokens)), "raw": None, "confidence": None}
        for example in examples
    ]
