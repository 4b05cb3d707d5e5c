"""What holds an answer to its grammar: one llguidance matcher for each answer of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import llguidance
import llguidance.hf
import llguidance.numpy  # not .torch, which imports the compiler of PyTorch: two seconds of every start
import torch


@lru_cache(maxsize=4)
def _guidance_tokenizer(tokenizer):
    return llguidance.hf.from_tokenizer(tokenizer)


class GrammarMask:
    """Keeps one matcher a row, for its Lark grammar, and says which token a row may take, and which ones it has to.

    Tokens beyond the tokenizer's `vocabulary` are never allowed. ValueError if a grammar does not compile.
    """

    def __init__(self, tokenizer, grammars: list[str], vocabulary: int):
        guide = _guidance_tokenizer(tokenizer)

        def compiled(grammar: str) -> llguidance.LLMatcher:
            return llguidance.LLMatcher(guide, llguidance.LLMatcher.grammar_from_lark(grammar))

        distinct = list(dict.fromkeys(grammars))
        with ThreadPoolExecutor() as pool:  # compiling frees the interpreter for the next one
            of_grammar = dict(zip(distinct, pool.map(compiled, distinct)))
        for matcher in of_grammar.values():
            if matcher.is_error():
                raise ValueError(f"grammar does not compile: {matcher.get_error()}")
        self.matchers = [of_grammar[grammar].deep_copy() for grammar in grammars]
        self.vocabulary = vocabulary
        self.bitmask = llguidance.numpy.allocate_token_bitmask(len(grammars), guide.vocab_size)
        self.executor = llguidance.LLExecutor()
        marks = [
            tokenizer.encode(mark, add_special_tokens=False) for mark in ('"', " null", "null", "]", "}")
        ]
        self.closing = [tokens[0] for tokens in marks if len(tokens) == 1]

    def choose(self, logits: torch.Tensor, rows: list[int], closes: Sequence[bool] = ()) -> torch.Tensor:
        """The likeliest allowed token of each row, LongTensor (len(rows),), from logits (len(rows), vocabulary).

        Most rows want a token that their grammar allows; asking for that one token costs far less than the mask over all of
        them, which is worked out for the other rows alone. A row that `closes` takes what ends a JSON value or object
        wherever that is allowed.
        """
        chosen = logits.argmax(-1)
        for slot, row in enumerate(rows):
            if closes and closes[slot]:
                ends = (token for token in self.closing if self.matchers[row].validate_tokens([token]))
                chosen[slot] = next(ends, chosen[slot])
        refused = [
            slot
            for slot, (row, token) in enumerate(zip(rows, chosen.tolist()))
            if token >= self.vocabulary or not self.matchers[row].validate_tokens([token])
        ]
        if refused:
            allowed = self.allowed([rows[slot] for slot in refused], logits.shape[1]).to(logits.device)
            chosen[refused] = logits[refused].masked_fill(~allowed, float("-inf")).argmax(-1)
        return chosen

    def allowed(self, rows: list[int], width: int) -> torch.Tensor:
        """Which tokens the rows may take next: BoolTensor (len(rows), width)."""
        pairs = [(self.matchers[row], slot) for slot, row in enumerate(rows)]
        llguidance.numpy.fill_next_token_bitmask_par(self.executor, pairs, self.bitmask)
        bits = torch.from_numpy(self.bitmask[: len(rows)])
        allowed = (bits[:, :, None] >> torch.arange(32, dtype=torch.int32)) & 1
        allowed = allowed.reshape(len(rows), -1)[:, : self.vocabulary].bool()
        return torch.nn.functional.pad(allowed, (0, max(0, width - allowed.shape[1])))

    def accept(self, row: int, token: int) -> bool:
        """Advance one row; returns whether its grammar is finished."""
        self.matchers[row].consume_token(token)
        return self.matchers[row].is_stopped()

    def forced(self, row: int) -> tuple[list[int], bool]:
        """The tokens that have to come next, by which the row advances, and whether its grammar is finished behind them.

        They are what the tokenizer makes of the only text that the grammar leaves, such as a key and its quotation marks.
        """
        matcher, tokens = self.matchers[row], []
        while not matcher.is_stopped() and (new := matcher.compute_ff_tokens()):
            matcher.consume_tokens(new)
            tokens += new
        return tokens, matcher.is_stopped()
