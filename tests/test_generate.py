"""Batched, cached, constrained decoding against plain, uncached, one-by-one decoding."""
from __future__ import annotations

import json

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from helpers.generate import encode_prompt, field_confidence, generate, predict_texts, token_pieces
from helpers.tasks import get_task
from tiny_model import save_tiny_base

TEXTS = ["Team sync 12/03/2026 9am", "Call Bo", "Lunch with Ana and Leo at the Café on 3rd May 2026 at noon for 1 hour"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = save_tiny_base(tmp_path_factory.mktemp("base"))
    return AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


@torch.no_grad()
def one_by_one(model, tokenizer, ids, steps):
    """Greedy decoding without cache or batch; returns tokens and log-probabilities."""
    ids, tokens, scores = list(ids), [], []
    for _ in range(steps):
        log_probs, best = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1).max(-1)
        if best.item() == tokenizer.eos_token_id:
            break
        tokens.append(best.item())
        scores.append(log_probs.item())
        ids.append(best.item())
    return tokens, scores


def test_batched_cached_decoding_equals_plain_decoding(base):
    model, tokenizer = base
    prompts = [f"Extract entities from: {text} → " for text in TEXTS]
    for result, prompt in zip(generate(model, tokenizer, prompts, max_new_tokens=12, batch_size=2), prompts):
        tokens, scores = one_by_one(model, tokenizer, encode_prompt(tokenizer, prompt), 12)
        assert result.tokens == tokens
        assert result.log_probs == pytest.approx(scores, abs=1e-4)


def test_shared_prefix_equals_repeated_prefix(base):
    model, tokenizer = base
    prefix, prompts = "Shot: a → b\n", ["Now: x → ", "Now: something longer → "]
    shared = generate(model, tokenizer, prompts, 8, prefix=prefix)
    for result, prompt in zip(shared, prompts):
        ids = encode_prompt(tokenizer, prefix) + tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert result.tokens == one_by_one(model, tokenizer, ids, 8)[0]


def test_truncation_is_reported(base):
    model, tokenizer = base
    results = generate(model, tokenizer, ["a → "], max_new_tokens=3)
    assert results[0].truncated == (len(results[0].tokens) == 3)


def test_pieces_join_to_the_text_even_inside_a_character(base):
    _, tokenizer = base
    text = 'Café ☕ 日本 "x"'
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert "".join(token_pieces(tokenizer, ids)) == text


@pytest.mark.parametrize("constraint", ["schema", "source"])
def test_constrained_output_of_a_random_model_is_always_valid(base, constraint):
    model, tokenizer = base
    task = get_task("calendar")
    for text, record in zip(TEXTS, predict_texts(model, tokenizer, task, TEXTS, constraint, max_new_tokens=600)):
        assert record["error"] is None and not record["truncated"], record
        assert list(json.loads(record["raw"])) == list(task.fields)
        assert set(record["confidence"]) == set(task.fields)
        assert all(0 <= value <= 1 for value in record["confidence"].values())


def test_field_confidence_is_the_product_of_its_tokens(base):
    from helpers.generate import Generation

    _, tokenizer = base
    text = '{"who": "Ann", "where": null}'
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    sure = Generation(text, ids, [], [0.0] * len(ids))
    unsure = Generation(text, ids, [], [-0.1] * len(ids))
    assert field_confidence(sure, tokenizer, ("who", "where")) == {"who": 1.0, "where": 1.0}
    confidence = field_confidence(unsure, tokenizer, ("who", "where"))
    assert confidence["who"] < confidence["where"] < 1.0
