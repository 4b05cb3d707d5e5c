"""Texts as word pieces: each tag on the first piece of its word, long texts in overlapping windows."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

IGNORE = -100
Span = tuple[int, int]
OVERLAP = 4  # a quarter of a window is context that it shares with the next


@dataclass(frozen=True)
class Window:
    """A stretch of a text that fits the encoder.

    Parameters
    ----------
    input_ids : list of int
        Word pieces between the two special ones.
    piece_words : list of int
        Word of each piece; -1 for special ones and those of no word.
    words : list of int
        Words whose tags are read in this window, in order; other windows of the text own the rest.
    heads : list of int
        Position of the first piece of each of these words.
    """

    input_ids: list[int]
    piece_words: list[int]
    words: list[int]
    heads: list[int]

    def __len__(self) -> int:
        return len(self.input_ids)


@dataclass(frozen=True)
class WindowRow:
    """One window with what is learnt in it; the targets run over its `words`.

    Parameters
    ----------
    window : Window
    features : list of list of int
        Values of the word features for every word of the text.
    tags, outputs : LongTensor (words, groups), optional
        Tag of each word in each group, and the class the classifier is to give it (the same without finer labels; `IGNORE`
        where it is not known). None for prediction.
    teacher : FloatTensor (words, groups, tags), optional
        Tag probabilities of a teacher.
    """

    window: Window
    features: list[list[int]] = field(default_factory=list)
    tags: torch.Tensor | None = None
    outputs: torch.Tensor | None = None
    teacher: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.window)


def windows_of(
    tokenizer, texts: Sequence[str], words: Sequence[Sequence[Span]], limit: int
) -> list[list[Window]]:
    """Windows of each text; one for a text that fits, and none for one without any piece.

    A word that the tokenizer makes no piece of (a lone control character) is in no window and stays outside. Every
    other word is owned by exactly one window: of two that hold it, the one in which it stands further from the edge. Of a
    word that is longer than a window (a ruled line) only the beginning is read.

    Parameters
    ----------
    tokenizer : Hugging Face tokenizer (fast)
    texts : sequence of str
    words : sequence of sequence of (start, end)
        Words of each text as character offsets, in reading order.
    limit : int
        Most pieces of a window, the two special ones counted.
    """
    if not texts:
        return []
    encoded = tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    first, last, room = tokenizer.cls_token_id, tokenizer.sep_token_id, limit - 2
    found = []
    for ids, offsets, places in zip(encoded["input_ids"], encoded["offset_mapping"], words):
        heads, owners = _aligned(offsets, places)
        found.append(
            [
                Window(
                    [first, *ids[start:end], last],
                    [-1, *owners[start:end], -1],
                    owned,
                    [heads[word] - start + 1 for word in owned],
                )
                for start, end, owned in cut_windows(len(ids), sorted(heads.items()), room)
            ]
        )
    return found


def _aligned(offsets: Sequence[Span], words: Sequence[Span]) -> tuple[dict[int, int], list[int]]:
    """First piece of each word that has one, and the word of each piece (-1 where it is part of none)."""
    heads: dict[int, int] = {}
    owners = [-1] * len(offsets)
    piece = 0
    for word, (start, end) in enumerate(words):
        while piece < len(offsets) and offsets[piece][1] <= start:
            piece += 1
        at = piece
        while at < len(offsets) and offsets[at][0] < end:
            if offsets[at][1] > offsets[at][0]:
                heads.setdefault(word, at)
                if owners[at] < 0:
                    owners[at] = word
            at += 1
    return heads, owners


def cut_windows(pieces: int, heads: Sequence[tuple[int, int]], room: int) -> list[tuple[int, int, list[int]]]:
    """Overlapping windows of at most `room` pieces; they begin and end between words.

    Parameters
    ----------
    pieces : int
        Word pieces of the whole text, special ones not counted.
    heads : sequence of (word, first piece)
        In reading order.
    room : int

    Returns
    -------
    list of (first piece, piece after the last, owned words)
        Every word is owned by one window: of two that hold it, the one in which it stands further from the edge. Of a word
        longer than a window only the beginning is in it.
    """
    starts = [at for _, at in heads]
    ends = [min(end, start + room) for start, end in zip(starts, [*starts[1:], pieces])]
    spans, low = [], 0
    while low < len(heads):
        high = low + 1
        while high < len(heads) and ends[high] - starts[low] <= room:
            high += 1
        spans.append((low, high))
        if high == len(heads):
            break
        back = high - 1  # the next window begins a quarter of the room earlier, but later than this one did
        while back > low + 1 and ends[high - 1] - starts[back - 1] <= room // OVERLAP:
            back -= 1
        low = back if ends[high] - starts[back] <= room else high
    borders = [0, *((one[1] + other[0] + 1) // 2 for one, other in zip(spans, spans[1:])), len(heads)]
    return [
        (starts[low], ends[high - 1], [heads[at][0] for at in range(*own)])
        for (low, high), own in zip(spans, zip(borders, borders[1:]))
    ]


def budget_batches(lengths: Sequence[int], budget: int, rng: random.Random | None = None) -> list[list[int]]:
    """Indices in batches of like length with at most `budget` positions each, padding counted.

    Parameters
    ----------
    lengths : sequence of int
    budget : int
        A sequence that is longer than this makes a batch of its own.
    rng : random.Random, optional
        Shuffles the batches, and moves lengths by up to three so that the same sequences do not always meet; without
        it the order is that of the lengths.
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


def collate_windows(rows: Sequence[WindowRow], pad: int) -> dict[str, torch.Tensor]:
    """A batch, padded on the right to its longest window.

    Returns
    -------
    dict
        `input_ids`, `attention_mask` (rows, pieces) and, where there are features, `features` (rows, pieces, features);
        `row` and `head` (words): where each owned word's logits stand; with targets also `tags` and `outputs` (words),
        with a teacher `teacher` (words, tags).
    """
    width = max(map(len, rows))
    count = len(rows[0].features[0]) if rows[0].features else 0
    input_ids, mask = torch.full((len(rows), width), pad), torch.zeros(len(rows), width, dtype=torch.long)
    features = torch.zeros(len(rows), width, count, dtype=torch.long)
    for at, row in enumerate(rows):
        input_ids[at, : len(row)] = torch.tensor(row.window.input_ids)
        mask[at, : len(row)] = 1
        if count:
            places = [(piece, word) for piece, word in enumerate(row.window.piece_words) if word >= 0]
            features[at, [piece for piece, _ in places]] = torch.tensor(
                [row.features[word] for _, word in places]
            )
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
            batch[name] = torch.cat([getattr(row, name) for row in rows])
    return batch
