"""Attention of training on the CPU over long texts: queries in pieces, each with the keys it may see at most."""
from __future__ import annotations

from typing import Any

import torch
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

PIECES = "causal_pieces"  # for `attn_implementation`
PIECE = 256  # queries

_additive: WeakTensorKeyDictionary = WeakTensorKeyDictionary()


def additive(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """A mask of pairs as what is added to the scores: PyTorch would make it anew in every layer of a step."""
    if mask.dtype != torch.bool:
        return mask
    if mask not in _additive:
        _additive[mask] = torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, float("-inf"))
    return _additive[mask]


def causal_pieces(module: torch.nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
                  attention_mask: torch.Tensor | None, **options: Any) -> tuple[torch.Tensor, None]:
    """Scaled dot-product attention of a causal model, the same as `sdpa` of transformers.

    Where there is a mask of pairs, PyTorch's kernel works through all keys for every query, and half of them come later in
    the text. A piece of queries is given the keys up to its own end alone.

    Parameters
    ----------
    module : Module
        The attention layer.
    query, key, value : FloatTensor (rows, heads, tokens, size)
        Keys and values may have fewer heads.
    attention_mask : BoolTensor or FloatTensor (rows, 1, tokens, tokens), optional
        Must not let a query see a later key.

    Returns
    -------
    FloatTensor (rows, tokens, heads, size), and None for the weights, which are not kept.
    """
    length = query.shape[2]
    if attention_mask is None or length <= PIECE or key.shape[2] != length:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    mask, parts = additive(attention_mask, query.dtype), []
    for start in range(0, length, PIECE):
        end = min(start + PIECE, length)
        parts.append(sdpa_attention_forward(module, query[:, :, start:end], key[:, :, :end], value[:, :, :end],
                                            mask[:, :, start:end, :end], **options)[0])
    return torch.cat(parts, dim=1), None


AttentionInterface.register(PIECES, causal_pieces)
AttentionMaskInterface.register(PIECES, sdpa_mask)
