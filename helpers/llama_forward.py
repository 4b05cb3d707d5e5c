"""The forward pass of a Llama model for decoding on the CPU: the same weights and results in a third of the calls.

A decoding step of a small model is over in a few milliseconds, most of which the modules of transformers spend on calling
each other. Here a layer is a dozen tensor operations in a row. Whatever is not a plain Llama in fp32 on the CPU (adapters
that are not merged, 4-bit layers, other families, a GPU) goes through transformers as before.
"""
from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


def for_decoding(model: Any) -> Any:
    """The model itself, or what stands in for it where it is a plain Llama in fp32 on the CPU.

    Weights are shared, not copied: training may go on between two calls.
    """
    from transformers import LlamaForCausalLM

    plain = (type(model) is LlamaForCausalLM and model.device.type == "cpu" and model.dtype == torch.float32
             and model.config.hidden_act == "silu"
             and all(type(layer) is nn.Linear for layer in (model.lm_head, *_projections(model))))
    return LlamaForward(model) if plain else model


def _projections(model: Any) -> Iterator[nn.Module]:
    """Where adapters and 4-bit layers would be."""
    for layer in model.model.layers:
        yield from layer.self_attn.children()
        yield from (layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj)


class LlamaForward:
    """Stands where a Llama of transformers stands in :mod:`helpers.generate` and :mod:`helpers.block_decoding`.

    Parameters
    ----------
    model : LlamaForCausalLM
    """

    def __init__(self, model: Any):
        self.model, self.device = model, model.device

    def __call__(self, input_ids: torch.Tensor, past_key_values: Any, attention_mask: torch.Tensor | None = None,
                 position_ids: torch.Tensor | None = None, use_cache: bool = True,
                 logits_to_keep: int | torch.Tensor = 0) -> SimpleNamespace:
        """Logits of new tokens after those in the cache, which learns the new ones.

        Parameters
        ----------
        input_ids : LongTensor (rows, new)
        past_key_values : Cache
        attention_mask : Tensor, optional
            (rows, old + new) with 0 for padding, or BoolTensor (rows, 1, new, old + new) of what may be seen; without it
            all tokens count.
        position_ids : LongTensor (rows, new), optional
            Behind the old ones by default.
        logits_to_keep : int or LongTensor
            The last so many new tokens (0: all), or their places.

        Returns
        -------
        SimpleNamespace
            `logits`, FloatTensor (rows, kept, vocabulary).
        """
        inner = self.model.model
        rows, new = input_ids.shape
        old = past_key_values.get_seq_length()
        if position_ids is None:
            position_ids = torch.arange(old, old + new, device=self.device).expand(rows, -1)
        mask = pair_mask(attention_mask, new, old, self.device)
        if mask is not None:  # once here instead of in every layer
            mask = torch.zeros(mask.shape, device=self.device).masked_fill_(~mask, float("-inf"))
        hidden = F.embedding(input_ids, inner.embed_tokens.weight)
        cos, sin = (part[:, None] for part in inner.rotary_emb(hidden, position_ids))
        for index, layer in enumerate(inner.layers):
            attention, mlp = layer.self_attn, layer.mlp
            size = attention.head_dim
            normed = _norm(hidden, layer.input_layernorm)
            query, key, value = (_linear(normed, part).view(rows, new, -1, size)
                                 for part in (attention.q_proj, attention.k_proj, attention.v_proj))
            query, key = _rotated(torch.cat((query, key), 2).transpose(1, 2), cos, sin).split(
                (query.shape[2], key.shape[2]), 1)
            keys, values = past_key_values.update(key, value.transpose(1, 2), index)
            seen = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=attention.scaling,
                                                  enable_gqa=query.shape[1] != keys.shape[1])
            hidden = hidden + _linear(seen.transpose(1, 2).reshape(rows, new, -1), attention.o_proj)
            normed = _norm(hidden, layer.post_attention_layernorm)
            hidden = hidden + _linear(F.silu(_linear(normed, mlp.gate_proj)) * _linear(normed, mlp.up_proj), mlp.down_proj)
        kept = hidden[:, logits_to_keep if torch.is_tensor(logits_to_keep) else slice(-logits_to_keep, None)]
        return SimpleNamespace(logits=_linear(_norm(kept, inner.norm), self.model.lm_head))


def pair_mask(attention_mask: torch.Tensor | None, new: int, old: int, device: Any) -> torch.Tensor | None:
    """Which tokens (rows or 1, 1, new, old + new) each new token sees; None where it sees all of them."""
    if attention_mask is not None and attention_mask.ndim == 4:
        return attention_mask
    whole = attention_mask is None or bool(attention_mask.all())
    if new == 1:
        return None if whole else attention_mask[:, None, None].bool()
    places = torch.arange(old + new, device=device)
    causal = (places <= places[old:, None])[None, None]
    if whole:
        return causal
    itself = (places == places[old:, None])[None, None]  # padding sees itself: who sees nothing has no softmax
    return causal & attention_mask[:, None, None].bool() | itself


def _linear(states: torch.Tensor, layer: nn.Linear) -> torch.Tensor:
    return F.linear(states, layer.weight, layer.bias)


def _norm(states: torch.Tensor, layer: Any) -> torch.Tensor:
    return F.rms_norm(states, layer.weight.shape, layer.weight, layer.variance_epsilon)


def _rotated(states: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Rotary positions (Su et al., 2021) of (rows, heads, new, head size)."""
    half = states.shape[-1] // 2
    turned = torch.cat((-states[..., half:], states[..., :half]), -1)
    return states * cos + turned * sin
