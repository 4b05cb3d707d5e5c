"""The cache with room gives what the usual one gives, whatever is done to it between two steps."""
import pytest
import torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

from helpers.kv_cache import ROOM, roomy_cache


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
                                        num_attention_heads=2, num_key_value_heads=1)).eval()


def layers(cache):
    return [(layer.keys, layer.values) for layer in cache.layers]


@torch.inference_mode()
def test_same_logits_and_states_as_the_usual_cache_through_repeats_selections_and_growth(model):
    torch.manual_seed(4)
    prompt, steps = torch.randint(50, (2, 5)), ROOM + 10
    usual, roomy = DynamicCache(), roomy_cache()
    logits = [model(input_ids=prompt, past_key_values=cache).logits[:, -1] for cache in (usual, roomy)]
    for step in range(steps):
        assert torch.equal(*logits), step
        if step == 3:
            for cache in (usual, roomy):
                cache.batch_repeat_interleave(2)
            logits = [part.repeat_interleave(2, 0) for part in logits]
        if step in (7, 30):
            kept = torch.tensor([2, 0, 3] if step == 7 else [1])
            for cache in (usual, roomy):
                cache.batch_select_indices(kept)
            logits = [part[kept] for part in logits]
        token = logits[0].argmax(-1)[:, None]
        logits = [model(input_ids=token, past_key_values=cache).logits[:, -1] for cache in (usual, roomy)]
    for (keys, values), (roomy_keys, roomy_values) in zip(layers(usual), layers(roomy)):
        assert torch.equal(keys, roomy_keys) and torch.equal(values, roomy_values)
    assert roomy.get_seq_length() == 5 + steps


@torch.inference_mode()
def test_a_step_writes_in_place_until_the_room_is_used(model):
    cache = roomy_cache()
    model(input_ids=torch.arange(4)[None], past_key_values=cache)
    starts = []
    for _ in range(ROOM + 1):
        model(input_ids=torch.tensor([[1]]), past_key_values=cache)
        starts.append(cache.layers[0].keys.data_ptr())
    assert len(set(starts[:ROOM])) == 1 and starts[ROOM] != starts[0]
