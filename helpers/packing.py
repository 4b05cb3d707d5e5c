"""Documents → fixed-shape token rows for pre-training, in seeded shards that can be resumed."""
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


def shard(documents: Iterator[Document], tokenizer, size: int, tokens_per_batch: int, rng: random.Random,
          given_weight: float = 0.1) -> list[Batch]:
    """Batches of the next `size` documents, shuffled.

    Short documents share rows of 512 tokens, longer ones rows of 2,048: attention over a long row costs
    more than the matrices do at this model size. Documents of over 2,048 tokens are left out.
    """
    groups: dict[int, list] = {SHORT: [], LONG: []}
    for document in islice(documents, size):
        pair = encode(document, tokenizer, given_weight)
        if len(pair[0]) <= LONG:
            groups[SHORT if len(pair[0]) <= SHORT else LONG].append(pair)
    batches = []
    for length, encoded in groups.items():
        rng.shuffle(encoded)
        rows = []
        for start in range(0, len(encoded), 512):  # sorting within chunks keeps rows mixed
            rows += pack(encoded[start:start + 512], length, tokenizer.pad_token_id)
        rng.shuffle(rows)
        step = max(1, tokens_per_batch // length)
        for start in range(0, len(rows), step):
            chunk = rows[start:start + step]
            batches.append(Batch(torch.tensor([row[0] for row in chunk]), torch.tensor([row[1] for row in chunk])))
    rng.shuffle(batches)
    return batches
