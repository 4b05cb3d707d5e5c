"""Choosing among allowed tokens: the same tokens as with a mask over all of them, without working it out."""

import pytest
import torch

from helpers.writing.grammar import GrammarMask

GRAMMAR = 'start: "[" (/[0-9]/ | "null") "]"'


def full_mask_choice(mask, logits, rows):
    return logits.masked_fill(~mask.allowed(rows, logits.shape[1]), float("-inf")).argmax(-1)


def test_choice_equals_that_of_the_full_mask_at_every_step_of_random_walks(tokenizer):
    torch.manual_seed(0)
    width = len(tokenizer) + 3  # models may have more logits than the tokenizer has tokens
    mask = GrammarMask(tokenizer, [GRAMMAR] * 20, len(tokenizer))
    alive, texts = list(range(20)), [""] * 20
    for _ in range(8):
        logits = torch.randn(len(alive), width)
        chosen = mask.choose(logits, alive)
        assert torch.equal(chosen, full_mask_choice(mask, logits, alive))
        for row, token in zip(list(alive), chosen.tolist()):
            texts[row] += tokenizer.decode([token])
            if mask.accept(row, token):
                alive.remove(row)
        if not alive:
            break
    assert not alive and all(text[0] == "[" and text[-1] == "]" for text in texts)
    assert len(set(texts)) > 3


def test_forced_tokens_are_those_of_the_tokenizer_and_advance_the_row(tokenizer):
    mask = GrammarMask(
        tokenizer, [r'start: "{\"action\": " ("null" | /[0-9]/) ", \"date\": null}"'], len(tokenizer)
    )
    first, finished = mask.forced(0)
    # the space may belong to the token behind it
    assert tokenizer.decode(first) == '{"action":' and not finished
    null = tokenizer(" null", add_special_tokens=False)["input_ids"]
    assert not mask.accept(0, *null)
    rest, finished = mask.forced(0)
    assert finished and mask.forced(0) == ([], True)
    whole = tokenizer('{"action": null, "date": null}', add_special_tokens=False)["input_ids"]
    assert first + null + rest == whole


def test_a_grammar_that_does_not_compile_is_named(tokenizer):
    with pytest.raises(ValueError, match="does not compile"):
        GrammarMask(tokenizer, ["start: UNKNOWN_TERMINAL"], len(tokenizer))
