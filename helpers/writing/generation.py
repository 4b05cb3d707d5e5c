"""Greedy decoding of answers about texts: all answers about a text share one reading of it and one KV cache.

The questions about a text stand behind it one after the other, and their answers grow side by side. A mask
lets a token see the text and its own question only, at the positions it would have if that question were the
only one. Each step reads, of every answer that goes on, the token that the model chose and those that the
answer's grammar forces behind it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from os.path import commonprefix

import torch
from tqdm import tqdm
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from helpers.writing.encode import field_of_tokens
from helpers.writing.grammar import GrammarMask

STEP_TOKENS = 32
"""Tokens of a step that take about as long as one, for which all weights have to be read as well."""
CACHE_BYTES = 2**30
"""Keys and values that the answers of a batch may come to."""
Tokens = Sequence[int]
TEXT, HOLE = 0, -1  # owners of tokens that every question sees, and of padding


@dataclass
class Generation:
    """What the model wrote for one question, without special tokens.

    A token's log-probability is the one that the model itself gave it: low where a grammar kept it from another one, 0
    where a grammar forced it and the model was not asked. `truncated` says whether `max_new_tokens` came before the end;
    what a grammar holds is closed then.
    """

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    log_probs: list[float] = field(default_factory=list)
    truncated: bool = False


# -- decoding -------------------------------------------------------------------------------------------
def decode(
    model,
    tokenizer,
    texts: Sequence[Tokens],
    questions: Sequence[Tokens] = ((),),
    max_new_tokens: int = 160,
    grammars: Sequence[str] | None = None,
    stop: Collection[int] = (),
    batch_size: int = 64,
    progress: str | None = None,
    one_object: bool = False,
) -> list[Generation]:
    """Greedy answers to the same questions about each of some texts, each as if it were the only one.

    Parameters
    ----------
    model, tokenizer
        Several questions at once need a model that takes a mask of pairs (scaled dot-product attention).
    texts, questions : sequence of token lists
        What stands before the questions, and between a text and each of its answers; a single empty question where the text
        itself asks.
    grammars : sequence of str, optional
        One for each text and question, in the order of the result: the answers about the first text, then those about the
        second and so on. Without them decoding is free. A grammar promises a valid answer: one that `max_new_tokens` would
        cut is closed as soon as its grammar lets it.
    stop : collection of int
        Tokens that end an answer beside the end-of-text token.
    batch_size : int
        Answers that are written at the same time at most; at least those about one text.
    progress : str, optional
        Label of a progress bar.
    one_object : bool
        Whether an answer ends with its first whole JSON object: a model that was never trained to stop talks on.
    """
    count, ends = len(questions), {tokenizer.eos_token_id, *stop}
    results = [Generation() for _ in range(len(texts) * count)]
    was_training = model.training
    model.eval()
    bar = tqdm(total=len(texts), desc=progress, disable=progress is None, leave=False)
    for rows in _batches(model, texts, questions, max_new_tokens, batch_size):
        places = [row * count + question for row in rows for question in range(count)]
        given, held = [texts[row] for row in rows], grammars and [grammars[place] for place in places]
        found = _decode_batch(model, tokenizer, given, questions, max_new_tokens, held, ends, one_object)
        for place, result in zip(places, found):
            results[place] = result
        bar.update(len(rows))
    bar.close()
    model.train(was_training)
    return results


def _batches(
    model, texts: Sequence[Tokens], questions: Sequence[Tokens], max_new_tokens: int, batch_size: int
) -> Iterator[list[int]]:
    """Texts of like length that are read together, shorter ones first."""
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    of_token = 2 * config.num_hidden_layers * heads * size * 4
    behind = sum(len(question) + max_new_tokens for question in questions)
    rows: list[int] = []
    for row in sorted(range(len(texts)), key=lambda row: len(texts[row])):
        tokens = (len(rows) + 1) * (len(texts[row]) + behind)
        if rows and ((len(rows) + 1) * len(questions) > batch_size or tokens * of_token > CACHE_BYTES):
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


@torch.no_grad()  # not inference mode: layers may look at the version of a tensor
def _decode_batch(
    model,
    tokenizer,
    texts: Sequence[Tokens],
    questions: Sequence[Tokens],
    max_new_tokens: int,
    grammars: Sequence[str] | None,
    ends: Collection[int],
    one_object: bool,
) -> list[Generation]:
    """Answers of one batch; see :func:`decode`."""
    results = [Generation() for _ in range(len(texts) * len(questions))]
    mask = GrammarMask(tokenizer, list(grammars), len(tokenizer)) if grammars else None

    def add(answer: int, chosen: list[int], log_prob: float = 0.0) -> list[int] | None:
        """Add the token that was chosen, if any, and those forced then; returns them, None where it ends."""
        result = results[answer]
        done = bool(mask and chosen and mask.accept(answer, chosen[0]))
        new = chosen
        if mask and not done:
            forced, done = mask.forced(answer)
            new = chosen + forced
        room = None if mask else max_new_tokens - len(result.tokens)
        result.tokens += new[:room]
        result.log_probs += ([log_prob] * len(chosen) + [0.0] * (len(new) - len(chosen)))[:room]
        done = done or one_object and _ends_object(tokenizer, result.tokens)
        result.truncated = result.truncated or len(result.tokens) >= max_new_tokens and not done
        return None if done or result.truncated and not mask else new

    reading = _Reading(model, texts, questions, tokenizer.pad_token_id)
    new = {
        answer: [*asked, *forced]
        for answer, asked in enumerate(reading.asked)
        if (forced := add(answer, [])) is not None
    }
    most = max(map(len, new.values()), default=0)
    while new:
        logits = reading.read({answer: tokens[:most] for answer, tokens in new.items()})
        unread = {answer: tokens[most:] for answer, tokens in new.items() if len(tokens) > most}
        places = [place for place, answer in enumerate(new) if answer not in unread]
        answers, logits = [answer for answer in new if answer not in unread], logits[places].float()
        chosen = logits.argmax(-1)
        if mask:
            chosen = mask.choose(logits, answers, [results[answer].truncated for answer in answers])
        log_probs = logits.gather(1, chosen[:, None])[:, 0] - logits.logsumexp(-1)
        new = unread | {
            answer: tokens
            for answer, token, log_prob in zip(answers, chosen.tolist(), log_probs.tolist())
            if token not in ends and (tokens := add(answer, [token], log_prob)) is not None
        }
        # rows with fewer tokens than others hold holes: where those cost time, what is forced waits
        most = max(1, STEP_TOKENS // max(1, len(new)))
    for result in results:
        result.text = tokenizer.decode(result.tokens, skip_special_tokens=True)
    return results


def _ends_object(tokenizer, tokens: Sequence[int]) -> bool:
    """Whether the first JSON object that some tokens write is whole."""
    if not tokens or "}" not in tokenizer.decode(tokens[-1:]):
        return False
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    try:
        json.JSONDecoder().raw_decode(text, text.index("{"))
    except (ValueError, RecursionError):
        return False
    return True


class RoomyLayer(DynamicLayer):
    """Keys and values of a layer with room behind them, where the library's copies all it holds for every token read."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.rooms: dict[str, torch.Tensor] = {}

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self._behind("keys", key_states), self._behind("values", value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Only keep some rows, moved to the front of the room: rooms of ever new sizes would leave holes in the memory."""
        for name in ("keys", "values"):
            held, room = getattr(self, name), self.rooms.get(name)
            kept = held[indices]
            if room is not None and held.data_ptr() == room.data_ptr():
                kept = room[: len(kept), :, : kept.shape[2]].copy_(kept)
            setattr(self, name, kept)

    def _behind(self, name: str, new: torch.Tensor) -> torch.Tensor:
        """What is held under a name, with new tokens behind it."""
        held, room = getattr(self, name), self.rooms.get(name)
        rows, used, needed = len(new), held.shape[2], held.shape[2] + new.shape[2]
        # rows that were repeated since are another tensor
        if room is None or held.data_ptr() != room.data_ptr() or rows > len(room) or needed > room.shape[2]:
            room = new.new_empty(*new.shape[:2], needed + max(128, needed // 2), new.shape[3])
            room[:, :, :used] = held
            self.rooms[name] = room
        room[:rows, :, used:needed] = new
        return room[:rows, :, :needed]


class _Reading:
    """A batch of texts as far as they are read: whose each token is, and the model's cache of them.

    The texts are read at once, up to what their questions have in common; what is left of the questions is in `asked`, one
    list an answer.
    """

    def __init__(self, model, texts: Sequence[Tokens], questions: Sequence[Tokens], pad: int):
        self.model, self.pad, self.count = model, pad, len(questions)
        self.cache = Cache(layer_class_to_replicate=RoomyLayer)
        device, whole = model.device, [[*text, *question] for text in texts for question in questions]
        # each answer needs a token of its own to be read before it
        shared = [
            min(min(map(len, rows)) - 1, len(commonprefix(rows)))
            for rows in (whole[at : at + self.count] for at in range(0, len(whole), self.count))
        ]
        self.asked = [tokens[shared[number // self.count] :] for number, tokens in enumerate(whole)]
        texts = [whole[number * self.count][:size] for number, size in enumerate(shared)]
        self.rows = list(range(len(texts)))
        self.next = [size for size in shared for _ in range(self.count)]  # positions
        self.owners = torch.empty(len(texts), 0, dtype=torch.long, device=device)
        # what all texts begin with, such as solved examples, is read once
        start = commonprefix(texts) if len(texts) > 1 else []
        if start:
            self.owners = self.owners[:1]
            self._feed([[(token, TEXT, at) for at, token in enumerate(start)]], 1)
            self.cache.batch_repeat_interleave(len(texts))
            self.owners = self.owners.repeat(len(texts), 1)
        rest = [[(token, TEXT, at) for at, token in enumerate(text)][len(start) :] for text in texts]
        if any(rest):
            self._feed(self._padded(rest), 1)

    def read(self, new: dict[int, list[int]]) -> torch.Tensor:
        """Read new tokens of some answers; texts of which no answer has any leave the batch.

        Returns the logits behind the last new token of each answer, FloatTensor (len(new), vocabulary).
        """
        self._keep(sorted({answer // self.count for answer in new}))
        early, last = [[] for _ in self.rows], [[] for _ in self.rows]
        places = []
        for answer, tokens in new.items():
            row = self.rows.index(answer // self.count)
            owner, start = 1 + answer % self.count, self.next[answer]
            owned = [(token, owner, at) for at, token in enumerate(tokens, start)]
            self.next[answer] += len(tokens)
            early[row] += owned[:-1]
            places.append((row, len(last[row])))
            last[row].append(owned[-1])
        # the last tokens stand together at the end: the head is worked out for them alone
        width = max(map(len, last))
        both = zip(self._padded(early), self._padded(last))
        logits = self._feed([[*left, *right] for left, right in both], width)
        rows, columns = zip(*((row, at + width - len(last[row])) for row, at in places))
        return logits[list(rows), list(columns)]

    def _padded(self, rows: list[list[tuple[int, int, int]]]) -> list[list[tuple[int, int, int]]]:
        width = max(map(len, rows))
        return [[(self.pad, HOLE, 0)] * (width - len(row)) + row for row in rows]

    def _keep(self, rows: list[int]) -> None:
        if len(rows) < len(self.rows):
            kept = torch.tensor([self.rows.index(row) for row in rows], device=self.owners.device)
            self.cache.batch_select_indices(kept)
            self.owners, self.rows = self.owners[kept], rows

    def _feed(self, new: list[list[tuple[int, int, int]]], logits_to_keep: int) -> torch.Tensor:
        """Let the model read new columns of (token, owner, position); returns logits of the last ones."""
        tokens, owners, positions = torch.tensor(new, device=self.owners.device).unbind(-1)
        before = self.owners.shape[1]
        self.owners = torch.cat([self.owners, owners], 1)
        if self.count == 1:  # which every model and runtime understands
            mask = (self.owners != HOLE).long()
        else:
            columns = torch.arange(self.owners.shape[1], device=self.owners.device)
            seen = (self.owners[:, None] == TEXT) | (self.owners[:, None] == owners[..., None])
            mask = (seen & (columns <= columns[before:, None]))[:, None]
        return self.model(
            input_ids=tokens,
            attention_mask=mask,
            position_ids=positions,
            use_cache=True,
            past_key_values=self.cache,
            logits_to_keep=logits_to_keep,
        ).logits


# -- what was written -----------------------------------------------------------------------------------
def token_pieces(tokenizer, tokens: Sequence[int]) -> list[str]:
    """The text each token adds; pieces of one character spread over several tokens come with the last."""
    prefixes = [list(tokens[:end]) for end in range(1, len(tokens) + 1)]
    # all at once: one call a prefix costs more than the model does
    texts = tokenizer.backend_tokenizer.decode_batch(prefixes, skip_special_tokens=True) if prefixes else []
    pieces, done = [], 0
    for text in texts:
        inside = text.endswith("\ufffd") and text != texts[-1]
        end = done if inside else max(done, min(len(text), len(texts[-1])))
        pieces.append(texts[-1][done:end])
        done = end
    return pieces


def field_confidence(generation: Generation, tokenizer, fields: Sequence[str]) -> dict[str, float]:
    """Probability the model gave to each field's value: the product of those of the tokens it chose."""
    offsets, position = [], 0
    for piece in token_pieces(tokenizer, generation.tokens):
        offsets.append((position, position + len(piece)))
        position += len(piece)
    totals: dict[str, float] = {}
    for kind, log_prob in zip(field_of_tokens(generation.text, offsets, fields), generation.log_probs):
        if kind >= 0:
            totals[fields[kind]] = totals.get(fields[kind], 0.0) + log_prob
    return {name: round(math.exp(totals[name]), 6) for name in fields if name in totals}
