"""The forward pass for decoding gives what that of transformers gives, and leaves alone what it does not know."""
from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from helpers import block_decoding, generate
from helpers.kv_cache import roomy_cache
from helpers.llama_forward import LlamaForward, for_decoding, pair_mask


def llama(**more) -> LlamaForCausalLM:
    torch.manual_seed(3)
    return LlamaForCausalLM(LlamaConfig(vocab_size=60, hidden_size=32, intermediate_size=48, num_hidden_layers=3,
                                        num_attention_heads=4, **{"num_key_value_heads": 2, **more})).eval()


@pytest.mark.parametrize("more", [{}, {"num_key_value_heads": 4, "tie_word_embeddings": True}, {
    "attention_bias": True, "mlp_bias": True, "head_dim": 12, "rope_parameters": {
        "rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}}])
@torch.inference_mode()
def test_same_logits_as_transformers_with_padding_over_several_steps(more):
    model = llama(**more)
    assert isinstance(for_decoding(model), LlamaForward)
    ids, seen = generate.left_padded([[5, 6, 7, 8, 9], [4, 3], [1, 2, 3]], 0, model.device)
    caches = roomy_cache(), roomy_cache()
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    for step in range(4):
        given = {"input_ids": ids, "attention_mask": seen, "position_ids": positions, "use_cache": True}
        usual, lean = (one(past_key_values=cache, **given).logits
                       for one, cache in zip((model, LlamaForward(model)), caches))
        real = seen[:, -ids.shape[1]:].bool()  # what stands at padding is not looked at
        assert torch.allclose(usual[real], lean[real], atol=1e-5), step
        assert not torch.isnan(lean).any()
        ids = usual[:, -1].argmax(-1)[:, None]
        seen, positions = torch.cat([seen, seen.new_ones(3, 1)], 1), positions[:, -1:] + 1


@torch.inference_mode()
def test_last_logits_places_and_masks_of_pairs():
    model, ids = llama(), torch.tensor([[7, 8, 9, 10]])
    lean = for_decoding(model)
    mask = torch.ones(4, 4, dtype=torch.bool).tril()
    mask[3, 1:3] = False
    given = {"input_ids": ids, "attention_mask": mask[None, None], "position_ids": torch.tensor([[0, 1, 2, 1]])}
    whole = model(**given).logits
    for keep in (0, 1, torch.tensor([0, 3])):
        found = lean(past_key_values=roomy_cache(), logits_to_keep=keep, **given).logits
        wanted = whole[:, keep] if torch.is_tensor(keep) else whole[:, -keep:]
        assert found.shape == wanted.shape and torch.allclose(found, wanted, atol=1e-5)


def test_padding_sees_itself_alone_and_nobody_else_sees_it():
    mask = pair_mask(torch.tensor([[0, 1, 1]]), 3, 0, "cpu")[0, 0]
    assert mask.tolist() == [[True, False, False], [False, True, False], [False, True, True]]
    assert pair_mask(torch.tensor([[1, 1, 1]]), 1, 2, "cpu") is None
    assert pair_mask(torch.tensor([[0, 1, 1]]), 1, 2, "cpu").tolist() == [[[[False, True, True]]]]


def test_weights_are_shared():
    model = llama()
    lean, ids = for_decoding(model), torch.tensor([[1, 2]])
    with torch.no_grad():
        before = lean(ids, roomy_cache()).logits
        model.lm_head.weight.mul_(2)
        assert torch.allclose(lean(ids, roomy_cache()).logits, 2 * before, atol=1e-6)


def test_only_plain_llamas_are_replaced():
    model = llama()
    assert isinstance(for_decoding(model), LlamaForward)
    wrapped = get_peft_model(llama(), LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    other = GPT2LMHeadModel(GPT2Config(vocab_size=20, n_embd=8, n_layer=1, n_head=1))
    for one in (wrapped, other, llama().double(), llama(hidden_act="gelu")):
        assert for_decoding(one) is one
    inside = wrapped.base_model.model  # the Llama itself, with adapters among its layers
    assert for_decoding(inside) is inside


def test_decoding_uses_it(monkeypatch):
    calls = []
    original = LlamaForward.__call__
    monkeypatch.setattr(LlamaForward, "__call__", lambda self, *a, **k: calls.append(1) or original(self, *a, **k))
    model = llama()

    class Tokenizer:
        pad_token_id, eos_token_id = 0, 1

        def decode(self, tokens, **_):
            return " ".join(map(str, tokens))

    first = generate.decode_batch(model, Tokenizer(), [[5, 6], [7]], 4)
    assert calls
    calls.clear()
    blocks = block_decoding.decode_blocks(model, Tokenizer(), [[5, 6]], [[7, 8], [7, 9]], 4)
    assert calls
    for module in (generate, block_decoding):
        monkeypatch.setattr(module, "for_decoding", lambda model: model)
    calls.clear()
    assert [one.tokens for one in generate.decode_batch(model, Tokenizer(), [[5, 6], [7]], 4)] == [one.tokens for one in first]
    assert [one.tokens for one in block_decoding.decode_blocks(model, Tokenizer(), [[5, 6]], [[7, 8], [7, 9]], 4)] == [
        one.tokens for one in blocks]
    assert not calls
