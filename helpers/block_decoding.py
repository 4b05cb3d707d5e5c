"""Greedy decoding of several questions about a text at the same time, in one sequence with one KV cache.

The questions stand one behind the other, and their answers grow side by side. A mask lets a token see the text and its own
question only, at the positions it would have if that question were the only one. So the cache of the text is neither
computed nor copied for each question.

Each decoding step reads, of every answer that goes on, its last token and a draft of the next ones: how answers usually
begin, then what follows where the answer's last tokens stand in the text. The model chooses at each of them; a draft is kept
as far as it is what the model chose (speculative decoding, Leviathan et al., 2023), so that the answers are those of one
token a step.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from helpers.constrain import GrammarMask
from helpers.drafts import PromptLookup
from helpers.generate import Generation, left_padded
from helpers.kv_cache import roomy_cache
from helpers.llama_forward import for_decoding

TEXT = 0  # owner of the tokens that every question sees
LONGEST_DRAFT = 10
STEP_TOKENS = 96
"""Tokens of a decoding step, drafts counted, unless more answers than that go on: about what costs no more than one."""


@dataclass
class _Piece:
    """New tokens of one question about one text: `known` ones, the first `offset` tokens behind the text, and a draft."""

    text: int
    question: int
    known: list[int]
    offset: int
    draft: list[int]

    @property
    def tokens(self) -> list[int]:
        """All of them, in order."""
        return self.known + self.draft


class _Sequence:
    """Tokens of a batch of texts read so far: whose they are, which count, and the model's cache of them."""

    def __init__(self, model, prefixes: Sequence[Sequence[int]], pad: int):
        self.model, self.cache, self.pad = model, roomy_cache(), pad
        input_ids, seen = left_padded(prefixes, pad, model.device)
        self.valid, self.lengths = seen.bool(), seen.sum(1, keepdim=True)
        self.owners = torch.full((input_ids.shape[1],), TEXT, device=model.device)
        model(input_ids=input_ids, attention_mask=seen, position_ids=(seen.cumsum(1) - 1).clamp(min=0),
              past_key_values=self.cache, use_cache=True, logits_to_keep=1)

    def read(self, pieces: Sequence[_Piece]) -> list[tuple[torch.Tensor, int]]:
        """Read new tokens of some questions.

        Parameters
        ----------
        pieces : sequence of _Piece
            At most one for each text and question.

        Returns
        -------
        list of (FloatTensor (1 + draft, vocabulary), int)
            Logits at the last known token of each piece and at those of its draft, and the column of the first of these.
        """
        device, before = self.owners.device, len(self.owners)
        width: dict[int, int] = {}
        for piece in pieces:
            width[piece.question] = max(width.get(piece.question, 0), len(piece.tokens))
        first = dict(zip(width, accumulate(width.values(), initial=0)))
        new = sum(width.values())
        shape = len(self.valid), new
        input_ids, offsets, real = [torch.full(shape, value) for value in (self.pad, 0, False)]
        for piece in pieces:
            place = slice(first[piece.question], first[piece.question] + len(piece.tokens))
            input_ids[piece.text, place] = torch.tensor(piece.tokens)
            offsets[piece.text, place] = torch.arange(piece.offset, piece.offset + len(piece.tokens))
            real[piece.text, place] = True
        owners = torch.tensor([question for question, size in width.items() for _ in range(size)], device=device)
        self.owners = torch.cat([self.owners, owners])
        self.valid = torch.cat([self.valid, real.to(device)], 1)
        places = torch.arange(before + new, device=device)
        sees = ((self.owners == TEXT) | (self.owners == owners[:, None])) & (places <= places[before:, None])
        starts = [first[piece.question] + len(piece.known) - 1 for piece in pieces]
        keep = sorted({start + at for start, piece in zip(starts, pieces) for at in range(1 + len(piece.draft))})
        slots = {column: slot for slot, column in enumerate(keep)}
        logits = self.model(
            input_ids=input_ids.to(device), attention_mask=sees[None, None] & self.valid[:, None, None],
            position_ids=self.lengths + offsets.to(device), past_key_values=self.cache, use_cache=True,
            logits_to_keep=torch.tensor(keep, device=device)).logits.float()
        return [(logits[piece.text, slots[start]:slots[start] + 1 + len(piece.draft)], before + start)
                for piece, start in zip(pieces, starts)]

    def forget(self, wrong: Sequence[tuple[int, int]]) -> None:
        """Let nothing see the tokens at these texts and columns any more."""
        if wrong:
            rows, columns = torch.tensor(wrong, device=self.valid.device).T
            self.valid[rows, columns] = False


def _shared_start(questions: Sequence[Sequence[int]]) -> int:
    """Number of tokens with which all questions begin alike; one at least is left to each."""
    most = min(map(len, questions)) - 1
    return next((at for at in range(most) if len({question[at] for question in questions}) > 1), most)


@torch.inference_mode()
def decode_blocks(model, tokenizer, texts: Sequence[Sequence[int]], questions: Sequence[Sequence[int]],
                  max_new_tokens: int, grammars: Sequence[str] | None = None,
                  stop: Collection[int] = (), beginnings: Sequence[Sequence[int]] = ()) -> list[Generation]:
    """Greedy answers to the same questions about each of some texts.

    Parameters
    ----------
    model, tokenizer
        A causal language model that takes a mask of pairs (scaled dot-product attention), and its tokenizer.
    texts : sequence of token lists
        What stands before the questions.
    questions : sequence of token lists
        The questions, up to where their answers begin.
    max_new_tokens : int
    grammars : sequence of str, optional
        One for each text and question, in the order of the result.
    stop : collection of int
        Tokens that end an answer beside the end-of-text token.
    beginnings : sequence of token lists, optional
        With which tokens an answer to each question is likely to begin; a wrong guess costs a little time.

    Returns
    -------
    list of Generation
        The answers about the first text in the order of the questions, then those about the second, and so on.
    """
    was_training = model.training
    model.eval()
    count = len(questions)
    results = [Generation() for _ in range(len(texts) * count)]
    mask = GrammarMask(tokenizer, list(grammars), len(tokenizer)) if grammars else None
    ends = {tokenizer.eos_token_id, *stop}
    shared = _shared_start(questions)
    texts = [[*text, *questions[0][:shared]] for text in texts]
    questions = [list(question[shared:]) for question in questions]
    beginnings = [list(tokens) for tokens in beginnings] or [[] for _ in questions]
    lookups = [PromptLookup(text) for text in texts]
    sequence = _Sequence(for_decoding(model), texts, tokenizer.pad_token_id)

    def piece(row: int, room: int) -> _Piece:
        """The question or the last token of an answer, with a draft of at most `room` tokens."""
        (text, question), written = divmod(row, count), results[row].tokens
        room = max(0, min(room, max_new_tokens - len(written) - 1))
        draft = lookups[text].guess(written, room) if written else beginnings[question][:room]
        asked = questions[question]
        return _Piece(text, question + 1, written[-1:] or asked, len(asked) + len(written) - 1 if written else 0,
                      mask.acceptable(row, draft) if mask else draft)

    pieces = {row: piece(row, LONGEST_DRAFT) for row in range(len(results))}
    while pieces:
        found = sequence.read(list(pieces.values()))
        right = _follow(pieces, [logits for logits, _ in found], results, mask, ends, max_new_tokens)
        sequence.forget([(one.text, column + 1 + at) for (row, one), (_, column) in zip(pieces.items(), found)
                         if row in right for at in range(right[row], len(one.draft))])
        room = min(LONGEST_DRAFT, STEP_TOKENS // max(1, len(right)) - 1)
        pieces = {row: piece(row, room) for row in right}
    for result in results:
        result.text = tokenizer.decode(result.tokens, skip_special_tokens=True)
    model.train(was_training)
    return results


def _follow(pieces: dict[int, _Piece], logits: Sequence[torch.Tensor], results: Sequence[Generation],
            mask: GrammarMask | None, ends: Collection[int], max_new_tokens: int) -> dict[int, int]:
    """Write what the model chose for each answer: its draft as far as that is right, and one token more.

    Returns
    -------
    dict
        Answer that goes on → number of tokens of its draft that are right.
    """
    right: dict[int, int] = {}
    rows, at = list(enumerate(pieces)), 0
    while rows:
        scores = torch.stack([logits[slot][at] for slot, _ in rows])
        chosen = mask.choose(scores, [row for _, row in rows]) if mask else scores.argmax(-1)
        log_probs = scores.log_softmax(-1).gather(1, chosen[:, None])[:, 0].tolist()
        followed = []
        for (slot, row), token, log_prob in zip(rows, chosen.tolist(), log_probs):
            if token in ends:
                continue
            result = results[row]
            result.tokens.append(token)
            result.log_probs.append(log_prob)
            if mask and mask.accept(row, token):
                continue
            result.truncated = len(result.tokens) == max_new_tokens
            if pieces[row].draft[at:at + 1] == [token]:
                followed.append((slot, row))
            elif not result.truncated:
                right[row] = at
        rows, at = followed, at + 1
    return dict(sorted(right.items()))
