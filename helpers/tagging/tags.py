"""Words of a text and their BIO tags: in one group for each field, where spans may overlap, or in one for all labels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import torch

from helpers.tagging.encode import IGNORE, Span
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.tasks.text import balanced, word_spans, word_units

OUTSIDE, BEGIN, INSIDE = 0, 1, 2


def tag_names(task: Task) -> tuple[str, ...]:
    """Tags of a group: one group a field, so that spans of two fields may overlap, or one for all labels."""
    if task.writes:
        return "O", "B", "I"
    return ("O", *(f"{prefix}-{label}" for label in task.fields for prefix in "BI"))


def groups_of(task: Task) -> tuple[str, ...]:
    """Names of the groups of tags: the fields, or a single one without a name."""
    return task.fields if task.writes else ("",)


def words_of(task: Task, example: Example) -> tuple[str, list[Span]]:
    """The text that is read, and its words as character offsets: its units, or the tokens of the row."""
    if task.writes:
        return example.text, list(word_units(example.text))
    tokens, ends = example.target.tokens, list(accumulate(len(token) + 1 for token in example.target.tokens))
    return " ".join(tokens), [(end - len(token) - 1, end - 1) for token, end in zip(tokens, ends)]


def gold_tags(task: Task, example: Example, words: Sequence[Span]) -> torch.Tensor:
    """Tags of an example's label, LongTensor (words, groups); `IGNORE` throughout where a field's places are not known."""
    if task.writes:
        spans = task.spans(example)
        return tags_of_spans(words, [spans[name] for name in task.fields])
    names = tag_names(task)
    return torch.tensor([names.index(tag) for tag in example.target.tags], dtype=torch.long)[:, None]


def tags_of_spans(units: Sequence[Span], spans: Sequence[Sequence[Span] | None]) -> torch.Tensor:
    """BIO tags (units, fields) of the spans of each field; a unit belongs to a span that overlaps it.

    A field whose spans are not known (None) gets `IGNORE` throughout.
    """
    tags = torch.full((len(units), len(spans)), OUTSIDE)
    for field, places in enumerate(spans):
        if places is None:
            tags[:, field] = IGNORE
            continue
        for start, end in places:
            inside = [index for index, (low, high) in enumerate(units) if low < end and high > start]
            if inside:
                tags[inside, field] = INSIDE
                tags[inside[0], field] = BEGIN
    return tags


def spans_of_tags(
    tags: Sequence[int], units: Sequence[Span], log_probs: np.ndarray
) -> list[tuple[Span, float]]:
    """Spans of one field's tag sequence with the mean log-probability of their units.

    Parameters
    ----------
    log_probs : ndarray (units, 3)
    """
    found: list[tuple[int, int]] = []
    for index, tag in enumerate(tags):
        if tag == BEGIN:
            found.append((index, index))
        elif tag == INSIDE and found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
    said = log_probs[np.arange(len(tags)), tags] if len(tags) else log_probs
    return [
        ((units[first][0], units[last][1]), float(said[first : last + 1].mean())) for first, last in found
    ]


def widen(span: Span, text: str) -> Span:
    """A span of units with the brackets, quotes and abbreviation stops that belong to it.

    "(Room 2" has no closing bracket: it is taken in where it follows at once.
    """
    start, end = span
    piece = text[start:end]
    if not balanced(piece):
        for low, high in ((start, end + 1), (start - 1, end), (start, end + 2)):
            if low >= 0 and high <= len(text) and balanced(text[low:high]):
                return low, high
    # the stop that ends the text is the sentence's
    its_own = (
        end + 1 < len(text)
        and text[end] == "."
        and (start, end + 1) in word_spans(text[start : end + 1], text)
    )
    return (start, end + 1) if its_own else span
