"""Sentences as word pieces: each tag on the first piece of its word, long sentences in overlapping windows."""
from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from helpers.errors import UserError

IGNORE = -100
OVERLAP = 4  # a quarter of a window is context that it shares with the next


@dataclass(frozen=True)
class Window:
    """A stretch of a sentence that fits the encoder.

    Parameters
    ----------
    input_ids : list of int
        Word pieces between the two special ones.
    piece_words : list of int
        Word of each piece; -1 for the special ones.
    words : list of int
        Words whose tags are read in this window, in order; other windows of the sentence own the rest.
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
        Values of the word features for every word of the sentence.
    tags, outputs : list of int
        Tag of each word, and the class the classifier is to give it (the same without finer labels; `IGNORE` where
        it is not known). Empty for prediction.
    teacher : FloatTensor (words, tags), optional
        Tag probabilities of a teacher.
    """

    window: Window
    features: list[list[int]] = field(default_factory=list)
    tags: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    teacher: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.window)


def windows_of(tokenizer, sentences: Sequence[Sequence[str]], limit: int) -> list[list[Window]]:
    """Windows of each sentence; one for a sentence that fits, and none for one without any piece.

    A word that the tokenizer makes no piece of (a lone control character) is in no window and stays outside. Every
    other word is owned by exactly one window: of two that hold it, the one in which it stands further from the edge.

    Parameters
    ----------
    tokenizer : Hugging Face tokenizer (fast)
    sentences : sequence of sequence of str
        Tokens of each sentence.
    limit : int
        Most pieces of a window, the two special ones counted.

    Raises
    ------
    UserError
        If one word alone has more pieces than a window.
    """
    if not sentences:
        return []
    encoded = tokenizer([list(tokens) for tokens in sentences], is_split_into_words=True, add_special_tokens=False)
    first, last, room = tokenizer.cls_token_id, tokenizer.sep_token_id, limit - 2
    found = []
    for index, ids in enumerate(encoded["input_ids"]):
        words = encoded.word_ids(index)
        heads = {word: at for at, word in reversed(list(enumerate(words)))}
        longest = max(map(words.count, heads), default=0)
        if longest > room:
            raise UserError(f"a word of {longest} pieces does not fit into {room}: raise it with --set max_pieces=…")
        sentence = []
        for start, end, owned in cut_windows(len(words), sorted(heads.items()), room):
            sentence.append(Window([first, *ids[start:end], last], [-1, *words[start:end], -1], owned,
                                   [heads[word] - start + 1 for word in owned]))
        found.append(sentence)
    return found


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
    return [(starts[low], ends[high - 1], [heads[at][0] for at in range(*own)])
            for (low, high), own in zip(spans, zip(borders, borders[1:]))]


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
        input_ids[at, :len(row)] = torch.tensor(row.window.input_ids)
        mask[at, :len(row)] = 1
        if count:
            places = [(piece, word) for piece, word in enumerate(row.window.piece_words) if word >= 0]
            features[at, [piece for piece, _ in places]] = torch.tensor([row.features[word] for _, word in places])
    batch = {"input_ids": input_ids, "attention_mask": mask,
             "row": torch.tensor([at for at, row in enumerate(rows) for _ in row.window.heads], dtype=torch.long),
             "head": torch.tensor([head for row in rows for head in row.window.heads], dtype=torch.long)}
    if count:
        batch["features"] = features
    if rows[0].tags:
        batch["tags"] = torch.tensor([tag for row in rows for tag in row.tags])
        batch["outputs"] = torch.tensor([tag for row in rows for tag in row.outputs])
    if rows[0].teacher is not None:
        batch["teacher"] = torch.cat([row.teacher for row in rows])
    return batch
