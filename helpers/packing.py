"""Documents → batches of token rows for pre-training, in seeded shards that can be resumed."""
from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import islice
from typing import Iterator

import torch

from helpers.corpus.document import Document

SHORT, LONG = 512, 2048


@dataclass(frozen=True)
class Batch:
    """Token rows.

    Parameters
    ----------
    input_ids : LongTensor (rows, length)
    weights : FloatTensor (rows, length)
        Loss weight of each token as a target: 1 in answers, `given_weight` in given text, 0 in padding.
    """

    input_ids: torch.Tensor
    weights: torch.Tensor


def encode(document: Document, tokenizer, given_weight: float) -> tuple[list[int], list[float]]:
    """Token ids and loss weights of one document; its parts are encoded one by one, as fine-tuning does."""
    ids, weights = [tokenizer.bos_token_id], [0.0]
    parts = tokenizer([text for text, _ in document.parts], add_special_tokens=False)["input_ids"]
    for part, (_, answered) in zip(parts, document.parts):
        ids += part
        weights += [1.0 if answered else given_weight] * len(part)
    return ids, weights


def pack(encoded: list[tuple[list[int], list[float]]], length: int, pad: int) -> list[tuple[list[int], list[float]]]:
    """First-fit packing of whole documents into rows of `length` tokens; no document is cut."""
    rows: list[tuple[list[int], list[float]]] = []
    open_rows: list[int] = []
    for ids, weights in sorted(encoded, key=lambda pair: -len(pair[0])):
        for slot in open_rows:
            if len(rows[slot][0]) + len(ids) <= length:
                rows[slot][0].extend(ids)
                rows[slot][1].extend(weights)
                break
        else:
            rows.append((list(ids), list(weights)))
            open_rows.append(len(rows) - 1)
        open_rows = [slot for slot in open_rows if length - len(rows[slot][0]) >= 24][-64:]
    for ids, weights in rows:
        missing = length - len(ids)
        ids.extend([pad] * missing)
        weights.extend([0.0] * missing)
    return rows


def by_length(encoded: list[tuple[list[int], list[float]]], tokens: int, pad: int) -> list[list]:
    """Batches of documents of like length, a document a row, each batch of about `tokens` tokens with its padding."""
    batches: list[list] = []
    rows: list[tuple[list[int], list[float]]] = []
    for pair in sorted(encoded, key=lambda pair: len(pair[0])):
        if rows and len(pair[0]) * (len(rows) + 1) > tokens:
            batches.append(rows)
            rows = []
        rows.append(pair)
    batches.append(rows)
    for rows in batches:
        width = max(len(ids) for ids, _ in rows)
        rows[:] = [(ids + [pad] * (width - len(ids)), weights + [0.0] * (width - len(ids))) for ids, weights in rows]
    return batches


def packed_batches(encoded: list[tuple[list[int], list[float]]], tokens: int, pad: int, rng: random.Random) -> list[list]:
    """Batches of rows of 512 or 2,048 tokens filled with whole documents.

    Short documents share the narrow rows: attention over a wide row costs more than the matrices do at this size.
    """
    batches: list[list] = []
    for length, group in ((SHORT, [e for e in encoded if len(e[0]) <= SHORT]),
                          (LONG, [e for e in encoded if len(e[0]) > SHORT])):
        rows = []
        for start in range(0, len(group), 512):  # sorting within chunks keeps rows mixed
            rows += pack(group[start:start + 512], length, pad)
        rng.shuffle(rows)
        step = max(1, tokens // length)
        batches += [rows[start:start + step] for start in range(0, len(rows), step)]
    return batches


def shard(documents: Iterator[Document], tokenizer, size: int, tokens_per_batch: int, rng: random.Random,
          given_weight: float = 0.1, packed: bool = True) -> list[Batch]:
    """Batches of the next `size` documents, shuffled; documents of over 2,048 tokens are left out.

    Parameters
    ----------
    packed : bool
        Fill rows of fixed length with several documents (what a GPU likes), or give each document a row of its own
        in batches of like length (less attention to compute, and no other document to copy from by mistake).
    """
    encoded = [pair for pair in (encode(document, tokenizer, given_weight) for document in islice(documents, size))
               if len(pair[0]) <= LONG]
    rng.shuffle(encoded)
    if packed:
        groups = packed_batches(encoded, tokens_per_batch, tokenizer.pad_token_id, rng)
    else:
        groups = by_length(encoded, tokens_per_batch, tokenizer.pad_token_id)
    batches = [Batch(torch.tensor([ids for ids, _ in rows]), torch.tensor([weights for _, weights in rows]))
               for rows in groups]
    rng.shuffle(batches)
    return batches
