"""Attention in pieces: the same output and gradients as in one, whatever the mask, and no look at later tokens."""
from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from helpers import attention
from helpers.attention import PIECES

LENGTH = 23


@pytest.fixture
def models(monkeypatch):
    """One model twice, with the attention of transformers and with ours in pieces of 5; fewer heads of keys than of queries."""
    monkeypatch.setattr(attention, "PIECE", 5)
    made = []
    for name in ("sdpa", PIECES):
        torch.manual_seed(0)
        config = LlamaConfig(vocab_size=40, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                             num_key_value_heads=2, attn_implementation=name)
        made.append(LlamaForCausalLM(config))
    return made


def blocks() -> torch.Tensor:
    """A report of 9 tokens and two questions of 7 that do not see each other."""
    sees = torch.ones(LENGTH, LENGTH).tril().bool()
    sees[16:, 9:16] = False
    return sees[None, None].expand(2, 1, LENGTH, LENGTH)


def padding() -> torch.Tensor:
    mask = torch.ones(2, LENGTH, dtype=torch.long)
    mask[1, 14:] = 0
    return mask


@pytest.mark.parametrize("mask", [None, padding(), blocks()], ids=["none", "padding", "blocks"])
def test_pieces_give_output_and_gradients_of_the_whole(models, mask):
    ids = torch.randint(40, (2, LENGTH), generator=torch.Generator().manual_seed(1))
    results = []
    for model in models:
        logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
        if mask is not None and mask.dim() == 2:
            logits = logits * mask[..., None]  # what a padding token sees is nobody's business
        logits.square().mean().backward()
        results.append((logits.detach(), torch.cat([one.grad.flatten() for one in model.parameters()])))
    assert torch.allclose(results[0][0], results[1][0], atol=1e-6)
    assert torch.allclose(results[0][1], results[1][1], atol=1e-7)


def test_each_piece_is_given_no_later_keys(models, monkeypatch):
    seen = []

    def forward(module, query, key, value, mask, **options):
        seen.append((query.shape[2], key.shape[2], value.shape[2], tuple(mask.shape[2:])))
        return query.transpose(1, 2), None

    monkeypatch.setattr(attention, "sdpa_attention_forward", forward)
    models[1].model.layers[0].self_attn(
        torch.zeros(2, LENGTH, 32), models[1].model.rotary_emb(torch.zeros(1), torch.arange(LENGTH)[None]), blocks())
    assert seen == [(5, 5, 5, (5, 5)), (5, 10, 10, (5, 10)), (5, 15, 15, (5, 15)), (5, 20, 20, (5, 20)), (3, 23, 23, (3, 23))]


def test_tokens_after_a_cache_are_attended_to_in_one(models):
    ids = torch.randint(40, (1, LENGTH), generator=torch.Generator().manual_seed(1))
    whole, ours = models[0](input_ids=ids).logits, []
    cache = None
    for part in (ids[:, :12], ids[:, 12:]):
        out = models[1](input_ids=part, past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        ours.append(out.logits)
    assert torch.allclose(whole, torch.cat(ours, 1), atol=1e-6)
