"""Prompt and completion → token ids, with every output token told which field it belongs to."""
from __future__ import annotations

import json
import random
from dataclasses import dataclass
from typing import Sequence

import torch

IGNORE = -100
STRUCTURE = -1  # JSON keys and punctuation
PROMPT = -2


@dataclass(frozen=True)
class Encoded:
    """One training sequence.

    Parameters
    ----------
    input_ids : list of int
        Prompt, completion, end-of-text.
    field_ids : list of int
        For each token `PROMPT`, `STRUCTURE`, or the index of the field whose value it writes.
    """

    input_ids: list[int]
    field_ids: list[int]

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def labels(self) -> list[int]:
        """Targets with the prompt masked."""
        return [IGNORE if kind == PROMPT else token for token, kind in zip(self.input_ids, self.field_ids)]


def json_value_spans(text: str) -> dict[str, tuple[int, int]]:
    """Character spans of the top-level values in the text of a JSON object, from the colon on.

    The colon is included since the token that holds it also decides between `null` and a value.
    A malformed tail is ignored: the spans found until then are returned.
    """
    decoder = json.JSONDecoder()
    spans: dict[str, tuple[int, int]] = {}
    position = text.find("{") + 1
    while position:
        while position < len(text) and text[position] in " ,\n":
            position += 1
        try:
            key, end = decoder.raw_decode(text, position)
            colon = text.index(":", end)
            start = colon + 1 + (len(text[colon + 1:]) - len(text[colon + 1:].lstrip()))
            _, position = decoder.raw_decode(text, start)
        except ValueError:
            break
        if not isinstance(key, str):
            break
        spans[key] = (colon, position)
    return spans


def field_of_tokens(completion: str, offsets: Sequence[tuple[int, int]], fields: Sequence[str]) -> list[int]:
    """Field index of each token of a JSON completion, `STRUCTURE` where it belongs to none.

    Parameters
    ----------
    completion : str
    offsets : sequence of (start, end)
        Character offsets of the tokens.
    fields : sequence of str
        Names in index order.
    """
    spans = [(start, end, fields.index(key)) for key, (start, end) in json_value_spans(completion).items()
             if key in fields]
    kinds = []
    for start, end in offsets:
        kinds.append(next((index for low, high, index in spans if start < high and end > low), STRUCTURE))
    return kinds


def encode_example(tokenizer, prompt: str, completion: str, fields: Sequence[str]) -> Encoded:
    """Encode prompt and completion apart, so that training and generation meet at the same token border."""
    prompt_ids = tokenizer(prompt)["input_ids"]
    if tokenizer.bos_token_id is not None and prompt_ids[:1] != [tokenizer.bos_token_id] and getattr(
            tokenizer, "add_bos_token", False):
        prompt_ids = [tokenizer.bos_token_id] + prompt_ids
    output = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True)
    kinds = field_of_tokens(completion, output["offset_mapping"], fields)
    return Encoded(list(prompt_ids) + list(output["input_ids"]) + [tokenizer.eos_token_id],
                   [PROMPT] * len(prompt_ids) + kinds + [STRUCTURE])


def length_batches(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    """Indices in batches of like length, in random order: shuffled, sorted within pools of 16 batches."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), size * 16):
        pool = sorted(order[start:start + size * 16], key=lambda index: lengths[index])
        batches += [pool[low:low + size] for low in range(0, len(pool), size)]
    rng.shuffle(batches)
    return batches


def collate(batch: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """Right-pad to the longest of the batch.

    Returns
    -------
    dict
        `input_ids`, `attention_mask` and `field_ids`, each LongTensor (rows, longest).
    """
    width = max(len(item) for item in batch)
    input_ids = torch.full((len(batch), width), pad)
    attention_mask = torch.zeros(len(batch), width, dtype=torch.long)
    field_ids = torch.full((len(batch), width), PROMPT)
    for row, item in enumerate(batch):
        input_ids[row, :len(item)] = torch.tensor(item.input_ids)
        attention_mask[row, :len(item)] = 1
        field_ids[row, :len(item)] = torch.tensor(item.field_ids)
    return {"input_ids": input_ids, "attention_mask": attention_mask, "field_ids": field_ids}
