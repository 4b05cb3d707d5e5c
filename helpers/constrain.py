"""Constrained decoding: llguidance masks for a batch of rows, each with its own grammar.

Grammars of tasks use a terminal `OPENING` for each quotation mark that opens a JSON string. Some tokenizers (that of the
embedded model) read `"word` as `" word`, so that a word has the same token everywhere: there `OPENING` may hold a space.
"""
from __future__ import annotations

from functools import lru_cache

import llguidance
import llguidance.hf
import llguidance.torch
import torch


@lru_cache(maxsize=4)
def _guidance_tokenizer(tokenizer):
    return llguidance.hf.from_tokenizer(tokenizer)


def with_opening(grammar: str, tokenizer=None) -> str:
    """The grammar with `OPENING` defined as the tokenizer writes it; without a tokenizer, as plain JSON has it."""
    spaced = False
    if tokenizer is not None:
        ids = tokenizer('["a"]', add_special_tokens=False)["input_ids"]
        spaced = " " in _guidance_tokenizer(tokenizer).decode_str(ids)
    return grammar + "\nOPENING: /" + ('" ?' if spaced else '"') + "/"


class GrammarMask:
    """Keeps one matcher a row and masks the logits of a decoding step.

    Parameters
    ----------
    tokenizer : transformers tokenizer
    grammars : list of str
        Lark grammars, one a row, with `OPENING` left open.

    Raises
    ------
    ValueError
        If a grammar does not compile.
    """

    def __init__(self, tokenizer, grammars: list[str], vocabulary: int):
        guide = _guidance_tokenizer(tokenizer)
        self.matchers = []
        for grammar in grammars:
            matcher = llguidance.LLMatcher(guide, llguidance.LLMatcher.grammar_from_lark(
                with_opening(grammar, tokenizer)))
            if matcher.is_error():
                raise ValueError(f"grammar does not compile: {matcher.get_error()}")
            self.matchers.append(matcher)
        self.vocabulary = vocabulary
        self.guide_vocabulary = guide.vocab_size
        self.bitmask = llguidance.torch.allocate_token_bitmask(len(grammars), guide.vocab_size)
        self.executor = llguidance.LLExecutor()

    def apply(self, logits: torch.Tensor, rows: list[int]) -> None:
        """Set the logits (len(rows), vocabulary) of forbidden tokens to −inf, in place."""
        pairs = [(self.matchers[row], slot) for slot, row in enumerate(rows)]
        llguidance.torch.fill_next_token_bitmask_par(self.executor, pairs, self.bitmask)
        bits = self.bitmask[:len(rows)]
        allowed = (bits[:, :, None] >> torch.arange(32, dtype=torch.int32)) & 1
        allowed = allowed.reshape(len(rows), -1)[:, :self.vocabulary].bool()
        if allowed.shape[1] < logits.shape[1]:
            allowed = torch.nn.functional.pad(allowed, (0, logits.shape[1] - allowed.shape[1]))
        logits.masked_fill_(~allowed.to(logits.device), float("-inf"))

    def accept(self, row: int, token: int) -> bool:
        """Advance one row; returns whether its grammar is finished."""
        matcher = self.matchers[row]
        matcher.consume_token(token)
        return matcher.is_stopped()
