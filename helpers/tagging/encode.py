"""Texts as tagged words and as word pieces: a tag stands on the first piece of its word, long texts are cut into windows.

A task that writes has one group of tags a field, so that spans of two fields may overlap; a task of tokens has one group.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from helpers.tasks.base import Example, Task
from helpers.tasks.text import balanced, word_spans, word_units

IGNORE = -100
OUTSIDE, BEGIN, INSIDE = 0, 1, 2
OVERLAP = 4  # a quarter of a window is context that it shares with the next
Span = tuple[int, int]


# -- words and their tags ---------------------------------------------------------------------------------------------
def bio_tags(labels: Sequence[str]) -> tuple[str, ...]:
    """`O`, and B and I of each label."""
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def words_of(task: Task, example: Example) -> tuple[str, list[Span]]:
    """The text that is read, and its words as character offsets: its units, or the tokens of the row."""
    if task.writes:
        return example.text, list(word_units(example.text))
    tokens, ends = example.target.tokens, list(accumulate(len(token) + 1 for token in example.target.tokens))
    return " ".join(tokens), [(end - len(token) - 1, end - 1) for token, end in zip(tokens, ends)]


def gold_tags(task: Task, example: Example, words: Sequence[Span]) -> np.ndarray:
    """Tags of an example's label, int (words, groups); `IGNORE` throughout where a field's places are not known."""
    if task.writes:
        spans = task.spans(example)
        return tags_of_spans(words, [spans[name] for name in task.fields])
    names = bio_tags(task.fields)
    return np.array([names.index(tag) for tag in example.target.tags], dtype=int)[:, None]


def tags_of_spans(units: Sequence[Span], spans: Sequence[Sequence[Span] | None]) -> np.ndarray:
    """BIO tags, int (units, fields), of the spans of each field; a unit belongs to a span that overlaps it.

    A field whose spans are not known (None) gets `IGNORE` throughout.
    """
    tags = np.full((len(units), len(spans)), OUTSIDE)
    for column, places in enumerate(spans):
        if places is None:
            tags[:, column] = IGNORE
        for start, end in places or ():
            inside = [index for index, (low, high) in enumerate(units) if low < end and high > start]
            if inside:
                tags[inside, column] = INSIDE
                tags[inside[0], column] = BEGIN
    return tags


def spans_of_tags(
    tags: Sequence[int], units: Sequence[Span], log_probs: np.ndarray
) -> list[tuple[Span, float]]:
    """Spans of one field's tag sequence with the mean log-probability, of `log_probs` (units, 3), of their units."""
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
    if not balanced(text[start:end]):
        for low, high in ((start, end + 1), (start - 1, end), (start, end + 2)):
            if low >= 0 and high <= len(text) and balanced(text[low:high]):
                return low, high
    stop = text[end : end + 1] == "." and end + 1 < len(text)  # the one that ends the text is the sentence's
    return (start, end + 1) if stop and (start, end + 1) in word_spans(text[start : end + 1], text) else span


# -- windows ----------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Window:
    """A stretch of a text that fits the encoder."""

    input_ids: list[int]  # word pieces and the two special ones around them
    piece_words: list[int]  # word of each piece; -1 for special ones and those of no word
    words: list[int]  # whose tags are read in this window, in order; other windows of the text own the rest
    heads: list[int]  # position of the first piece of each of these words

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class WindowRow:
    """One window with what is learnt in it: targets (words, groups) over its `words`, None for prediction."""

    window: Window
    features: list[list[int]] = field(default_factory=list)  # values for every word of the text
    tags: np.ndarray | None = None
    outputs: np.ndarray | None = None  # class of the classifier, as `tags` without finer labels; or `IGNORE`
    teacher: Any = None  # log-probabilities (words, groups, tags)

    def __len__(self) -> int:
        return len(self.window)


def windows_of(
    tokenizer, texts: Sequence[str], words: Sequence[Sequence[Span]], limit: int
) -> list[list[Window]]:
    """Windows of texts and their words of :func:`words_of`; none for a text without any piece.

    A window has at most `limit` pieces, the two special ones counted, and shares a quarter of them with the next. A word
    is owned by one window; one that the tokenizer makes no piece of (a lone control character) is in none and stays outside.
    """
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        truncation=True,
        max_length=limit,
        stride=(limit - 2) // OVERLAP,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    cuts: list[list[tuple[list[int], list[Span]]]] = [[] for _ in texts]
    for ids, offsets, text in zip(
        *map(encoded.get, ("input_ids", "offset_mapping", "overflow_to_sample_mapping"))
    ):
        cuts[text].append((ids, offsets))
    return [_windows(one, places) for one, places in zip(cuts, words)]


def _windows(cuts: Sequence[tuple[list[int], list[Span]]], words: Sequence[Span]) -> list[Window]:
    """The windows of one text, cut by the tokenizer; of two that hold a word, the one owns it in which its first piece
    stands further from the edge."""
    first: dict[int, tuple[Span, int, int, int]] = {}  # word → its first piece, distance, window, position
    owners = []
    for number, (ids, offsets) in enumerate(cuts):
        owner = [-1] * len(ids)
        lows, highs = ([offset[side] for offset in offsets[1:-1]] for side in (0, 1))
        for word, (start, end) in enumerate(words):
            inside = range(bisect_right(highs, start) + 1, bisect_left(lows, end) + 1)
            inside = [at for at in inside if offsets[at][0] < offsets[at][1]]
            for at in inside:
                owner[at] = word if owner[at] < 0 else owner[at]
            for at in inside[:1]:
                found = (offsets[at], min(at, len(ids) - 1 - at), number, at)
                known = first.setdefault(word, found)
                # a word that begins otherwise here is whole in the window before alone
                if known[0] == found[0] and known[1] < found[1]:
                    first[word] = found
        owners.append(owner)
    windows = []
    for number, ((ids, _), owner) in enumerate(zip(cuts, owners)):
        own = sorted(word for word, found in first.items() if found[2] == number)
        if own:
            windows.append(Window(ids, owner, own, [first[word][3] for word in own]))
    return windows


# -- batches ----------------------------------------------------------------------------------------------------------
def budget_batches(lengths: Sequence[int], budget: int, rng: random.Random | None = None) -> list[list[int]]:
    """Indices in batches of like length with at most `budget` positions each, padding counted; longer ones stand alone.

    `rng` shuffles the batches, and moves lengths by up to three so that the same sequences do not always meet; without it
    the order is that of the lengths.
    """
    noise = [3 * rng.random() if rng else 0.0 for _ in lengths]
    batches: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda at: lengths[at] + noise[at]):
        longest = max(longest, lengths[index])
        if not batches or longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = lengths[index]
        batches[-1].append(index)
    if rng:
        rng.shuffle(batches)
    return batches


def collate_windows(rows: Sequence[WindowRow], pad: int) -> dict[str, Any]:
    """A batch, padded on the right to its longest window.

    It holds `input_ids` and `attention_mask` (rows, pieces); where there are features, `features` (rows, pieces, features);
    `row` and `head` (words), where each owned word's logits stand; and the targets, one window's below the other's.
    """
    import torch

    width = max(map(len, rows))
    count = len(rows[0].features[0]) if rows[0].features else 0
    input_ids, mask = torch.full((len(rows), width), pad), torch.zeros(len(rows), width, dtype=torch.long)
    features = torch.zeros(len(rows), width, count, dtype=torch.long)
    for at, row in enumerate(rows):
        input_ids[at, : len(row)] = torch.tensor(row.window.input_ids)
        mask[at, : len(row)] = 1
        if count:
            known = torch.tensor([[0] * count, *row.features])  # by word, behind what stands for none
            features[at, : len(row)] = known[torch.tensor(row.window.piece_words) + 1]
    batch = {
        "input_ids": input_ids,
        "attention_mask": mask,
        "row": torch.tensor([at for at, row in enumerate(rows) for _ in row.window.heads], dtype=torch.long),
        "head": torch.tensor([head for row in rows for head in row.window.heads], dtype=torch.long),
    }
    if count:
        batch["features"] = features
    for name in ("tags", "outputs", "teacher"):
        if getattr(rows[0], name) is not None:
            batch[name] = torch.from_numpy(np.concatenate([getattr(row, name) for row in rows]))
    return batch
