"""A KV cache with room to spare: a decoding step writes its keys and values in place instead of copying all before it."""
from __future__ import annotations

import torch
from transformers.cache_utils import Cache, DynamicLayer

ROOM = 64
"""Positions that are reserved beyond the need; a layer is copied once in so many decoding steps."""


class RoomyLayer(DynamicLayer):
    """The cache of one attention layer; `keys` and `values` are views of larger tensors.

    Gives the same tensors as :class:`transformers.cache_utils.DynamicLayer`, (batch, heads, positions, head size).
    """

    capacity = 0

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        self.capacity = 0

    def update(self, key_states: torch.Tensor, value_states: torch.Tensor,
               *args, **kwargs) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the keys and values of new positions, (batch, heads, new, head size); returns those of all positions."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start, new = self.keys.shape[-2], key_states.shape[-2]
        if start + new > self.capacity:
            self.capacity = start + new + ROOM
            self.keys, self.values = self._moved(self.keys), self._moved(self.values)
        self.keys = self._with(self.keys, key_states)
        self.values = self._with(self.values, value_states)
        return self.keys, self.values

    def _moved(self, states: torch.Tensor) -> torch.Tensor:
        """The same states at the start of a tensor with room for `capacity` positions."""
        batch, heads, used, size = states.shape
        roomy = states.new_empty(batch, heads, self.capacity, size)
        roomy[:, :, :used] = states
        return roomy[:, :, :used]

    @staticmethod
    def _with(states: torch.Tensor, new: torch.Tensor) -> torch.Tensor:
        """A view with the new states behind the old ones, written into the room that the old view leaves."""
        batch, heads, used, size = states.shape
        longer = states.as_strided((batch, heads, used + new.shape[-2], size), states.stride(), states.storage_offset())
        longer[:, :, used:] = new
        return longer

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat each row of the batch."""
        super().batch_repeat_interleave(repeats)
        self.capacity = 0

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Keep the rows of these indices, and the room behind them."""
        if self.is_initialized:
            self.keys, self.values = (self._selected(states, indices) for states in (self.keys, self.values))

    def _selected(self, states: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        """Some rows of the same states at the start of a tensor with room for `capacity` positions."""
        _, heads, used, size = states.shape
        roomy = states.new_empty(len(indices), heads, max(self.capacity, used), size)
        torch.index_select(states, 0, indices, out=roomy[:, :, :used])
        return roomy[:, :, :used]


def roomy_cache() -> Cache:
    """An empty cache for any number of full-attention layers."""
    return Cache(layer_class_to_replicate=RoomyLayer)
