"""Attention and a cache for the CPU: heads that share keys read them once, and a new token moves none of the old ones."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward


def grouped_attention(
    module, query, key, value, attention_mask, dropout=0.0, scaling=None, **options
) -> tuple[torch.Tensor, None]:
    """The library's scaled dot-product attention; on the CPU the heads of a group stand one below the other as one head.

    The library copies keys and values once for each of them wherever several tokens are read under a mask, which in
    decoding takes most of a step. Queries are (batch, heads, length, size), keys and values (batch, key heads, tokens, size),
    the mask (batch or 1, 1 or heads, length, tokens); the result is (batch, length, heads, size).
    """
    groups = getattr(module, "num_key_value_groups", 1)
    if query.device.type != "cpu" or groups == 1 or attention_mask is None or attention_mask.shape[1] > 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **options)
    batch, heads, length, size = query.shape
    stacked = query.reshape(batch, heads // groups, groups * length, size)
    mask = attention_mask.repeat(1, 1, groups, 1)
    found = F.scaled_dot_product_attention(stacked, key, value, mask, dropout, scale=scaling)
    return found.reshape(batch, heads, length, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register("sdpa", grouped_attention)


class RoomyLayer(DynamicLayer):
    """Keys and values of a layer with room behind them, where the library's copies all it holds for every token read."""

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
        self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
        self.rooms: dict[str, torch.Tensor] = {}

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor, *args, **kwargs):
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        self.keys, self.values = self._behind("keys", key_states), self._behind("values", value_states)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Only keep some rows, moved to the front of the room: rooms of ever new sizes would leave holes in the memory."""
        for name in ("keys", "values"):
            held, room = getattr(self, name), self.rooms.get(name)
            kept = held[indices]
            if room is not None and held.data_ptr() == room.data_ptr():
                kept = room[: len(kept), :, : kept.shape[2]].copy_(kept)
            setattr(self, name, kept)

    def _behind(self, name: str, new: torch.Tensor) -> torch.Tensor:
        """What is held under a name, with new tokens behind it."""
        held, room = getattr(self, name), self.rooms.get(name)
        rows, used, needed = len(new), held.shape[2], held.shape[2] + new.shape[2]
        # rows that were repeated since are another tensor
        if room is None or held.data_ptr() != room.data_ptr() or rows > len(room) or needed > room.shape[2]:
            room = new.new_empty(*new.shape[:2], needed + max(128, needed // 2), new.shape[3])
            room[:, :, :used] = held
            self.rooms[name] = room
        room[:rows, :, used:needed] = new
        return room[:rows, :, :needed]
