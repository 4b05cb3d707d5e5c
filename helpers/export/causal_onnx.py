"""Causal language models of the Llama kind as ONNX graphs with a KV cache, and decoding with ONNX Runtime.

Inputs and outputs bear the names that other tools know: `input_ids`, `attention_mask`, `position_ids`,
`past_key_values.<layer>.key` and `.value`; `logits`, `present.<layer>.key` and `.value`.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn

from helpers.errors import UserError
from helpers.export import onnx_runtime
from helpers.export.onnx_runtime import open_session

HIDDEN = -1e9  # added to the scores of positions that may not be seen
FILE, QUANTISED = "model.onnx", "model_int8.onnx"


def cache_names(layers: int, prefix: str) -> list[str]:
    """Names of the tensors of a cache."""
    return [f"{prefix}.{layer}.{part}" for layer in range(layers) for part in ("key", "value")]


class LlamaWithCache(nn.Module):
    """Logits and cache as a function of plain tensors, attention written out in operators that every runtime has."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model, self.config = model, model.config
        self.head_size = getattr(model.config, "head_dim", None) or (
            model.config.hidden_size // model.config.num_attention_heads
        )

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        position_ids: torch.Tensor,
        *past: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        """Logits (batch, new, vocabulary), then keys and values (batch, heads, all, head size) of each layer.

        Parameters
        ----------
        attention_mask : LongTensor (batch, all)
            1 for tokens, 0 for padding on the left; `all` counts those in the cache as well.
        """
        from transformers.models.llama.modeling_llama import apply_rotary_pos_emb, repeat_kv

        core, (batch, new) = self.model.model, input_ids.shape
        total = attention_mask.shape[1]
        hidden = core.embed_tokens(input_ids)
        angles = position_ids[..., None].float() * core.rotary_emb.inv_freq
        angles, size = torch.cat([angles, angles], -1), core.rotary_emb.attention_scaling
        turn = angles.cos() * size, angles.sin() * size
        places = torch.arange(total, device=input_ids.device)
        seen = (places[None, :] <= (places[:, None] + (total - new))[:new])[None, None]
        seen = seen & (attention_mask[:, None, None, :] > 0)
        bias = torch.where(seen, torch.tensor(0.0), torch.tensor(HIDDEN))
        present: list[torch.Tensor] = []
        for number, layer in enumerate(core.layers):
            attention, inside = layer.self_attn, layer.input_layernorm(hidden)
            query, key, value = (
                project(inside).view(batch, new, -1, self.head_size).transpose(1, 2)
                for project in (attention.q_proj, attention.k_proj, attention.v_proj)
            )
            query, key = apply_rotary_pos_emb(query, key, *turn)
            key, value = torch.cat([past[2 * number], key], 2), torch.cat([past[2 * number + 1], value], 2)
            present += [key, value]
            groups = self.config.num_attention_heads // self.config.num_key_value_heads
            scores = query @ repeat_kv(key, groups).transpose(2, 3) * self.head_size**-0.5 + bias
            read = scores.softmax(-1) @ repeat_kv(value, groups)
            hidden = hidden + attention.o_proj(read.transpose(1, 2).reshape(batch, new, -1))
            hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
        return (self.model.lm_head(core.norm(hidden)), *present)


def example_inputs(
    config: Any, batch: int = 2, before: int = 3, new: int = 4, seed: int = 0
) -> dict[str, torch.Tensor]:
    """Random inputs of a graph: some tokens in the cache, some new ones, the second row padded on the left."""
    generator = torch.Generator().manual_seed(seed)
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    mask = torch.ones(batch, before + new, dtype=torch.long)
    if batch > 1 and before + new > new:
        mask[1:, :1] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, before:]
    inputs = {
        "input_ids": torch.randint(3, config.vocab_size, (batch, new), generator=generator),
        "attention_mask": mask,
        "position_ids": positions,
    }
    for name in cache_names(config.num_hidden_layers, "past_key_values"):
        inputs[name] = torch.randn(batch, config.num_key_value_heads, before, size, generator=generator)
    return inputs


def export_causal(model: Any, folder: Path) -> Path:
    """Write a Llama-like model as `model.onnx`, batch and lengths left open; returns the file."""
    if model.config.model_type != "llama":
        raise UserError(f"ONNX export knows models of the Llama kind, not {model.config.model_type!r}")
    model, layers = model.float().cpu().eval(), model.config.num_hidden_layers
    inputs = example_inputs(model.config)
    past, present = cache_names(layers, "past_key_values"), cache_names(layers, "present")
    axes = {
        "input_ids": {0: "batch", 1: "new"},
        "position_ids": {0: "batch", 1: "new"},
        "attention_mask": {0: "batch", 1: "all"},
        "logits": {0: "batch", 1: "new"},
        **{name: {0: "batch", 2: "before"} for name in past},
        **{name: {0: "batch", 2: "all"} for name in present},
    }
    return onnx_runtime.write_graph(LlamaWithCache(model), inputs, folder / FILE, axes, ["logits", *present])


def quantise(path: Path) -> Path:
    """Write the graph with int8 weights in its matrix products (inputs are quantised as they come); returns the file."""
    return onnx_runtime.quantise(path, path.with_name(QUANTISED), ["MatMul"])


class OnnxCausalLM:
    """Stands where a causal model of transformers stands in :mod:`helpers.writing.generation`.

    The cache that it is given holds the keys and values, (batch, heads, positions, head size), as that of transformers.
    """

    training = False
    device = torch.device("cpu")

    def __init__(self, path: Path, config: Any, threads: int = 0):
        self.session, self.config = open_session(path, threads), config
        self.past = cache_names(config.num_hidden_layers, "past_key_values")
        self.head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads

    def eval(self) -> OnnxCausalLM:
        """Nothing to switch."""
        return self

    def train(self, mode: bool = True) -> OnnxCausalLM:
        """Nothing to switch."""
        return self

    def _before(self, cache: Any, batch: int) -> list[torch.Tensor]:
        """Keys and values that the cache holds."""
        if cache is None or not cache.layers:
            shape = (batch, self.config.num_key_value_heads, 0, self.head_size)
            return [torch.zeros(shape)] * len(self.past)
        return [part.contiguous() for layer in cache.layers for part in (layer.keys, layer.values)]

    def __call__(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool = True,
        logits_to_keep: int = 0,
    ) -> SimpleNamespace:
        """Logits of the new tokens; the cache grows by them."""
        before = self._before(past_key_values, len(input_ids))
        if attention_mask is None:
            attention_mask = torch.ones(
                len(input_ids), before[0].shape[2] + input_ids.shape[1], dtype=torch.long
            )
        if attention_mask.ndim != 2:
            raise UserError("questions side by side need PyTorch: use --engine torch")
        if position_ids is None:
            position_ids = (attention_mask.cumsum(1) - 1).clamp(min=0)[:, -input_ids.shape[1] :]
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            **dict(zip(self.past, before)),
        }
        logits, *present = self.session.run(None, {name: part.numpy() for name, part in inputs.items()})
        if past_key_values is not None and use_cache:
            while len(past_key_values.layers) < self.config.num_hidden_layers:
                past_key_values.layers.append(past_key_values.layer_class_to_replicate())
            for number, layer in enumerate(past_key_values.layers):
                layer.keys, layer.values = map(torch.from_numpy, present[2 * number : 2 * number + 2])
                layer.is_initialized = True
        found = torch.from_numpy(logits)
        return SimpleNamespace(logits=found[:, -logits_to_keep:] if logits_to_keep else found)
