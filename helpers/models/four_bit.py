"""Bases in 4-bit NF4 (QLoRA, Dettmers et al., 2023) by bitsandbytes, on the CPU too."""

from __future__ import annotations

import warnings

import torch

from helpers.errors import UserError


def keep_fp32_kernels(model) -> None:
    """Keep bitsandbytes from its bf16 kernel on the CPU.

    In evaluation it would repack the weights for AVX512-BF16, which fails for row lengths that are no multiple of
    the block size and rounds what training did not round.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def refuse_odd_rows(model, name: str) -> None:
    """Refuse a model whose rows are no multiple of a block of 64 weights (UserError).

    The CPU kernel of bitsandbytes 0.50 starts a new block with every row when it turns 4-bit weights back, while
    quantising does not: with rows of 224 the scales then belong to other weights, an error of 25 % instead of 9 %.
    """
    import bitsandbytes as bnb

    for label, layer in model.named_modules():
        if isinstance(layer, bnb.nn.Linear4bit) and layer.in_features % layer.weight.quant_state.blocksize:
            raise UserError(
                f"{label} of {name!r} has rows of {layer.in_features} weights: 4-bit layers on the CPU need a "
                f"multiple of {layer.weight.quant_state.blocksize}; train a variant without 4 bits"
            )


def four_bit_problem() -> str | None:
    """Why 4-bit layers cannot be used here, or None if they work (tried on a small layer)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import bitsandbytes as bnb

            device = "cuda" if torch.cuda.is_available() else "cpu"
            layer = bnb.nn.Linear4bit(64, 64, bias=False, quant_type="nf4", compress_statistics=True).to(
                device
            )
            layer(torch.randn(2, 64, device=device))
    except Exception as error:  # any failure means the same here: no 4-bit layers on this machine
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
