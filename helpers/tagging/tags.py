"""Spans of a text ↔ BIO tags of its words, one tag sequence a field so that spans of two fields may overlap."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence

import numpy as np
import torch

from helpers.tagging.token_encode import cut_windows
from helpers.tasks.text import balanced, word_spans, word_units

OUTSIDE, BEGIN, INSIDE = 0, 1, 2
IGNORE = -100
Span = tuple[int, int]


@dataclass(frozen=True)
class Tagged:
    """One text as the tagger sees it.

    Parameters
    ----------
    input_ids : list of int
    units : list of (start, end)
        Words of the text as character offsets.
    heads : list of int
        Position of the first word piece of each unit; the tag of a unit is read there.
    tags : LongTensor (units, fields), optional
        Gold tags.
    hints : LongTensor (units, fields), optional
        Tags that something else, such as rules, proposes.
    """

    input_ids: list[int]
    units: list[Span]
    heads: list[int]
    tags: torch.Tensor | None = None
    hints: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.input_ids)


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


def tag_text(tokenizer, text: str, spans: Sequence[Sequence[Span] | None] | None = None,
             hints: Sequence[Sequence[Span] | None] | None = None) -> Tagged:
    """Encode a text and, where the spans of its fields are given, its gold tags; `hints` are spans that are proposed."""
    encoded = tokenizer(text, return_offsets_mapping=True)
    offsets = encoded["offset_mapping"]
    units, heads = [], []
    for start, end in word_units(text):
        head = next((i for i, (low, high) in enumerate(offsets) if low < end and high > start and high > low), None)
        if head is not None:  # a unit the tokenizer drops (an unknown control sign) has no tag
            units.append((start, end))
            heads.append(head)
    proposed = None if hints is None else tags_of_spans(units, [places or [] for places in hints])
    return Tagged(encoded["input_ids"], units, heads, None if spans is None else tags_of_spans(units, spans), proposed)


def windows(item: Tagged, limit: int) -> list[Tagged]:
    """The text in windows of at most `limit` pieces, special ones counted, that share words at their edges.

    Each unit is in the window that owns it, so that the units of all windows in turn are those of the text; of one that
    is longer than a window (a ruled line) only the beginning is read. A text that fits is its own window.
    """
    if len(item) <= limit:
        return [item]
    first, *pieces, last = item.input_ids
    found = []
    for start, end, owned in cut_windows(len(pieces), [(at, head - 1) for at, head in enumerate(item.heads)], limit - 2):
        found.append(Tagged([first, *pieces[start:end], last], [item.units[at] for at in owned],
                            [item.heads[at] - start for at in owned],
                            None if item.tags is None else item.tags[owned],
                            None if item.hints is None else item.hints[owned]))
    return found


def collate_tagged(batch: Sequence[Tagged], pad: int) -> dict[str, torch.Tensor]:
    """Right-padded `input_ids`, `attention_mask` (rows, pieces) and, with tags, `labels` (rows, pieces, fields).

    With hints there are `hints` (rows, pieces, fields), too: outside wherever nothing is proposed.
    """
    width = max(len(item) for item in batch)
    input_ids = torch.full((len(batch), width), pad)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    tensors = {"input_ids": input_ids, "attention_mask": mask}
    if batch[0].tags is not None:
        tensors["labels"] = torch.full((len(batch), width, batch[0].tags.shape[1]), IGNORE)
    if batch[0].hints is not None:
        tensors["hints"] = torch.full((len(batch), width, batch[0].hints.shape[1]), OUTSIDE)
    for row, item in enumerate(batch):
        input_ids[row, :len(item)] = torch.tensor(item.input_ids)
        mask[row, :len(item)] = 1
        if item.tags is not None:
            tensors["labels"][row, item.heads] = item.tags
        if item.hints is not None:
            tensors["hints"][row, item.heads] = item.hints
    return tensors


def best_paths(scores: np.ndarray, transitions: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Best tag sequences for scores of texts of one length (Viterbi, 1967); of equally good ones the first tag wins.

    Parameters
    ----------
    scores : ndarray (texts, words, tags)
        Log-probability of each tag, or any score that adds up; at least one word.

    Returns
    -------
    ndarray of int (texts, words)
    """
    texts, words = scores.shape[:2]
    best, back = scores[:, 0] + start, []
    for at in range(1, words):
        through = best[:, :, None] + transitions
        back.append(through.argmax(1))
        best = through.max(1) + scores[:, at]
    path = np.empty((texts, words), dtype=int)
    path[:, -1] = best.argmax(1)
    for at in range(words - 1, 0, -1):
        path[:, at - 1] = np.take_along_axis(back[at - 1], path[:, at, None], axis=1)[:, 0]
    return path


def _span_rules(kind: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Scores of the first tag and of each pair of tags: none begins with, or goes from outside to, an inside tag."""
    start, transitions = np.zeros(3, kind), np.zeros((3, 3), kind)
    start[INSIDE] = transitions[OUTSIDE, INSIDE] = -np.inf
    return start, transitions


def viterbi_of_fields(log_probs: torch.Tensor) -> list[tuple[list[int], float]]:
    """Most probable tags of each field, none inside after outside, and their log-probability.

    Parameters
    ----------
    log_probs : FloatTensor (units, fields, 3)
    """
    scores = log_probs.float().numpy().transpose(1, 0, 2)
    if not scores.shape[1]:
        return [([], 0.0)] * len(scores)
    start, transitions = _span_rules(scores.dtype)
    paths = best_paths(scores, transitions, start)
    totals = np.take_along_axis(scores, paths[:, :, None], axis=2)[:, :, 0].cumsum(1)[:, -1]
    return list(zip(paths.tolist(), totals.tolist()))


def spans_of_tags(tags: Sequence[int], units: Sequence[Span], log_probs: torch.Tensor) -> list[tuple[Span, float]]:
    """Spans of one field's tag sequence with the mean log-probability of their units."""
    found: list[tuple[int, int]] = []
    for index, tag in enumerate(tags):
        if tag == BEGIN:
            found.append((index, index))
        elif tag == INSIDE and found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
    return [((units[first][0], units[last][1]),
             sum(float(log_probs[i, tags[i]]) for i in range(first, last + 1)) / (last - first + 1))
            for first, last in found]


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
    its_own = end + 1 < len(text) and text[end] == "." and (start, end + 1) in word_spans(text[start:end + 1], text)
    return (start, end + 1) if its_own else span
