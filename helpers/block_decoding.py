"""Greedy decoding of several questions about a text at the same time, in one sequence with one KV cache.

The questions stand one behind the other, and their answers grow side by side: each decoding step adds one token to every
answer that goes on. A mask lets a token see the text and its own question only, at the positions it would have if that
question were the only one. So the cache of the text is neither computed nor copied for each question.
"""
from __future__ import annotations

from collections.abc import Collection, Sequence

import torch

from helpers.constrain import GrammarMask
from helpers.generate import Generation, left_padded
from helpers.kv_cache import roomy_cache
from helpers.llama_forward import for_decoding

TEXT = 0  # owner of the tokens that every question sees


class _Sequence:
    """Tokens of a batch of texts read so far: whose they are, which count, and the model's cache of them."""

    def __init__(self, model, prefixes: Sequence[Sequence[int]], pad: int):
        self.model, self.cache = model, roomy_cache()
        input_ids, seen = left_padded(prefixes, pad, model.device)
        self.valid, self.lengths = seen.bool(), seen.sum(1, keepdim=True)
        self.owners = torch.full((input_ids.shape[1],), TEXT, device=model.device)
        model(input_ids=input_ids, attention_mask=seen, position_ids=(seen.cumsum(1) - 1).clamp(min=0),
              past_key_values=self.cache, use_cache=True, logits_to_keep=1)

    def read(self, input_ids: torch.Tensor, owners: torch.Tensor, offsets: torch.Tensor,
             keep: torch.Tensor) -> torch.Tensor:
        """Logits (texts, len(keep), vocabulary) at the new tokens `keep`.

        Parameters
        ----------
        input_ids : LongTensor (texts, new)
        owners, offsets, keep : LongTensor (new,), (new,), (kept,)
            Question of each new token, its distance from the end of the text, and which of them to predict from.
        """
        before, new = len(self.owners), len(owners)
        self.owners = torch.cat([self.owners, owners])
        self.valid = torch.cat([self.valid, self.valid.new_ones(len(self.valid), new)], 1)
        sees = (self.owners == TEXT) | (self.owners == owners[:, None])
        sees &= torch.arange(before + new, device=owners.device) <= torch.arange(before, before + new,
                                                                                 device=owners.device)[:, None]
        mask = sees[None, None] & self.valid[:, None, None]
        return self.model(input_ids=input_ids, attention_mask=mask, position_ids=self.lengths + offsets,
                          past_key_values=self.cache, use_cache=True, logits_to_keep=keep).logits.float()


def _shared_start(questions: Sequence[Sequence[int]]) -> int:
    """Number of tokens with which all questions begin alike; one at least is left to each."""
    most = min(map(len, questions)) - 1
    return next((at for at in range(most) if len({question[at] for question in questions}) > 1), most)


@torch.inference_mode()
def decode_blocks(model, tokenizer, texts: Sequence[Sequence[int]], questions: Sequence[Sequence[int]],
                  max_new_tokens: int, grammars: Sequence[str] | None = None,
                  stop: Collection[int] = ()) -> list[Generation]:
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

    Returns
    -------
    list of Generation
        The answers about the first text in the order of the questions, then those about the second, and so on.
    """
    was_training = model.training
    model.eval()
    count, device = len(questions), model.device
    results = [Generation() for _ in range(len(texts) * count)]
    mask = GrammarMask(tokenizer, list(grammars), len(tokenizer)) if grammars else None
    ends = {tokenizer.eos_token_id, *stop}
    shared = _shared_start(questions)
    texts = [[*text, *questions[0][:shared]] for text in texts]
    questions = [question[shared:] for question in questions]
    sizes = torch.tensor([len(question) for question in questions], device=device)
    sequence = _Sequence(for_decoding(model), texts, tokenizer.pad_token_id)
    tokens = torch.tensor([token for question in questions for token in question], device=device)
    logits = sequence.read(
        tokens.expand(len(texts), -1), torch.arange(1, count + 1, device=device).repeat_interleave(sizes),
        torch.cat([torch.arange(size, device=device) for size in sizes.tolist()]), sizes.cumsum(0) - 1)
    asked = list(range(count))  # questions that are still answered about some text, in the order of the logits
    alive = list(range(len(results)))
    for step in range(max_new_tokens):
        places = {question: slot for slot, question in enumerate(asked)}
        at = torch.tensor([[row // count, places[row % count]] for row in alive], device=device)
        scores = logits[at[:, 0], at[:, 1]]
        chosen = mask.choose(scores, alive) if mask else scores.argmax(-1)
        log_probs = scores.log_softmax(-1).gather(1, chosen[:, None])[:, 0].tolist()
        written = {}
        for row, token, log_prob in zip(alive, chosen.tolist(), log_probs):
            if token in ends:
                continue
            results[row].tokens.append(token)
            results[row].log_probs.append(log_prob)
            if not (mask and mask.accept(row, token)):
                written[row] = token
        alive = list(written)
        if not alive or step == max_new_tokens - 1:
            break
        asked = sorted({row % count for row in alive})
        # an answer that has ended about one text but not about another goes on with padding, which nothing sees
        step_ids = torch.tensor([[written.get(text * count + question, tokenizer.pad_token_id) for question in asked]
                                 for text in range(len(texts))], device=device)
        going = torch.tensor(asked, device=device)
        logits = sequence.read(step_ids, going + 1, sizes[going] + step, torch.arange(len(asked), device=device))
    for row in alive:
        results[row].truncated = True
    for result in results:
        result.text = tokenizer.decode(result.tokens, skip_special_tokens=True)
    model.train(was_training)
    return results
