"""Attention over groups of heads, and the cache that decoding fills: the same numbers as the library's."""

from __future__ import annotations

import pytest
import torch
from transformers import Cache, DynamicCache, LlamaConfig, LlamaForCausalLM

import helpers.models.base  # noqa: F401 (makes its attention known to the library)
from helpers.writing.generation import RoomyLayer

IDS = torch.arange(60).view(3, 20) * 7 % 128


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    """Eight query heads share two of keys."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 128, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 2}
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, initializer_range=0.2)).eval()


@torch.no_grad()
def test_grouped_heads_see_what_eager_attention_sees(model):
    mask = torch.ones_like(IDS)
    mask[0, :7] = mask[2, 15:] = 0
    found = model(input_ids=IDS, attention_mask=mask).logits
    model.set_attn_implementation("eager")
    wanted = model(input_ids=IDS, attention_mask=mask).logits
    model.set_attn_implementation("sdpa")
    assert torch.allclose(found[mask.bool()], wanted[mask.bool()], atol=1e-4)


@torch.no_grad()
def test_a_roomy_cache_holds_what_the_libraries_does_when_rows_repeat_and_leave(model):
    caches = DynamicCache(), Cache(layer_class_to_replicate=RoomyLayer)
    for cache in caches:
        found = [model(input_ids=IDS[:1, :5], past_key_values=cache).logits]
        cache.batch_repeat_interleave(3)
        found += [model(input_ids=IDS[:, at : at + 2], past_key_values=cache).logits for at in (5, 7)]
        cache.batch_select_indices(torch.tensor([2, 0]))
        found += [
            model(input_ids=IDS[[2, 0], at : at + 1], past_key_values=cache).logits for at in range(9, 20)
        ]
        cache.found = found
    one, other = (cache.found for cache in caches)
    assert all(torch.equal(a, b) for a, b in zip(one, other))
    for left, right in zip(caches[0].layers, caches[1].layers):
        assert left.keys.equal(right.keys) and left.values.equal(right.values)
