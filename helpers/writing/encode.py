"""Prompt and completion, or a whole chat → token ids, with every output token told which field it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Sequence

import torch

from helpers.tasks.base import Example, Task
from helpers.writing import chat

IGNORE = -100
STRUCTURE = -1  # JSON keys and punctuation
PROMPT = -2


@dataclass(frozen=True)
class Encoded:
    """One training sequence: prompt, completion, end of text; or a chat.

    Of a chat each token has a block: 0, or the number of its question. It attends to block 0 and to its own.
    """

    input_ids: list[int]
    field_ids: list[int]  # of each token `PROMPT`, `STRUCTURE`, or the index of the field that it writes
    blocks: list[int] = field(default_factory=list)

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
            start = len(text) - len(text[colon + 1 :].lstrip())
            _, position = decoder.raw_decode(text, start)
        except ValueError:
            break
        if not isinstance(key, str):
            break
        spans[key] = (colon, position)
    return spans


def field_of_tokens(completion: str, offsets: Sequence[tuple[int, int]], fields: Sequence[str]) -> list[int]:
    """Index in `fields` of each token of a JSON completion, by its character offsets; `STRUCTURE` where it is of none."""
    spans = [
        (start, end, fields.index(key))
        for key, (start, end) in json_value_spans(completion).items()
        if key in fields
    ]
    return [
        next((index for low, high, index in spans if start < high and end > low), STRUCTURE)
        for start, end in offsets
    ]


def encode_example(tokenizer, prompt: str, completion: str, fields: Sequence[str]) -> Encoded:
    """Encode prompt and completion apart, so that training and generation meet at the same token border."""
    prompt_ids, begin = tokenizer(prompt)["input_ids"], tokenizer.bos_token_id
    if begin is not None and prompt_ids[:1] != [begin] and getattr(tokenizer, "add_bos_token", False):
        prompt_ids = [begin, *prompt_ids]
    output = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True)
    kinds = field_of_tokens(completion, output["offset_mapping"], fields)
    return Encoded(
        [*prompt_ids, *output["input_ids"], tokenizer.eos_token_id],
        [PROMPT] * len(prompt_ids) + kinds + [STRUCTURE],
    )


def encode_conversation(tokenizer, task: Task, example: Example, order: Sequence[str] = ()) -> Encoded:
    """Encode a whole chat through the tokenizer's template: all assistant turns are learnt, with their end-of-turn token.

    `order` are the fields to ask for, the task's own by default. Each question is a block of its own, which sees the
    opening turns but no other question.
    """
    messages, opening = task.chat.conversation(example, order), len(task.chat.opening(example.text))
    pieces = chat.segments(tokenizer, messages)
    texts = [piece.text for piece in pieces]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    input_ids, field_ids, blocks = [], [], []
    block, opened = 0, False
    for piece, ids, offsets in zip(pieces, encoded["input_ids"], encoded["offset_mapping"]):
        if piece.turn is None:
            kinds = [PROMPT] * len(ids)
            block += opened  # what stands between two answers asks the next question
        else:
            kinds = field_of_tokens(piece.text, offsets, task.fields)
        input_ids += ids
        field_ids += kinds
        blocks += [block] * len(ids)
        opened = opened or piece.turn == opening - 1
    return Encoded(input_ids, field_ids, blocks)


def collate(batch: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor]:
    """`input_ids`, `attention_mask`, `field_ids` and, for rows with blocks, `blocks` (-1 in the padding) of a batch.

    Each is a LongTensor (rows, longest), padded on the right.
    """
    width = max(map(len, batch))

    def padded(rows: Sequence[Sequence[int]], filler: int) -> torch.Tensor:
        return torch.tensor([[*row, *[filler] * (width - len(row))] for row in rows])

    tensors = {
        "input_ids": padded([row.input_ids for row in batch], pad),
        "attention_mask": padded([[1] * len(row) for row in batch], 0),
        "field_ids": padded([row.field_ids for row in batch], PROMPT),
    }
    return tensors | ({"blocks": padded([row.blocks for row in batch], -1)} if batch[0].blocks else {})


def attention_inputs(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What a model is told about who sees whom: the padding mask, or for blocks a mask of pairs and positions.

    A token of a question sees the tokens before it in block 0 and in its own block, and its position is counted on from
    the end of block 0, just as if its question were the only one. `attention_mask` is a LongTensor (rows, longest) or a
    BoolTensor (rows, 1, longest, longest).
    """
    if "blocks" not in batch:
        return {"attention_mask": batch["attention_mask"]}
    blocks = batch["blocks"]
    shared, places = blocks == 0, torch.arange(blocks.shape[1], device=blocks.device)
    same = blocks[:, :, None] == blocks[:, None, :]
    sees = (same | shared[:, None, :]) & (places <= places[:, None])
    before = same.tril(-1).sum(-1)  # tokens of the own question that come earlier
    positions = torch.where(shared, places, shared.sum(-1, keepdim=True) + before)
    return {"attention_mask": sees[:, None], "position_ids": positions}
