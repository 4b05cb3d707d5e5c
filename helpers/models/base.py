"""The base model of a run: where it is, loading it and its tokenizer, in 4 bits too, and on which device."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from helpers.errors import UserError
from helpers.machine import Device, pick_device, process_count, shards_model
from helpers.models.packaged import HUB, LAYERS, model_folder, packaged_folder
from helpers.run import Run

# Attention over a long text gives most tokens a probability below 1e-38, and CPUs multiply such numbers up to a hundred
# times slower: a training step on a police report takes half as long without them. The threads of PyTorch inherit this from
# the one that starts them, so it is said before anything is computed.
torch.set_flush_denormal(True)
if sys.platform == "linux":
    try:  # glibc gives large blocks back at once and fetches them anew, page by page, a quarter of a training step
        _libc, _trim, _mmap = ctypes.CDLL("libc.so.6"), -1, -3
        _libc.mallopt(_mmap, 1 << 30) or _libc.mallopt(_mmap, 1 << 25)  # older ones take 32 MB at most
        _libc.mallopt(_trim, (1 << 31) - 1)
    except (OSError, AttributeError):  # another C library
        pass


@lru_cache(maxsize=4)
def device_of(profile: str) -> Device:
    """The device of a profile; the choice is printed once a process."""
    return pick_device(profile)


# -- attention on the CPU ---------------------------------------------------------------------------------------------
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


# -- where it is ------------------------------------------------------------------------------------------------------
def base_path(run: Run) -> str:
    """The `base_model` setting as a folder or a hub name; UserError if a folder holds no model.

    Packaged models and Kaggle inputs become their folders, relative ones are looked up in the repository.
    """
    name = run["base_model"]
    if folder := model_folder(name):
        return str(folder)
    if name in LAYERS:
        return str(packaged_folder(name))
    if name.startswith((".", "/", "~")):
        raise UserError(f"base_model={name!r}: no model in that folder (config.json is missing)")
    return name


def public_name(name: str) -> str:
    """A model as others know it: the hub's name where it is the packaged copy of a hub model."""
    return HUB if name in LAYERS else name


def explain_load_error(name: str, error: Exception, setting: str = "base_model") -> UserError:
    """The one line that tells why a model did not load and what to do."""
    text = str(error)
    first = text.splitlines()[0][:200] if text else type(error).__name__
    if Path(name).is_dir():
        return UserError(f"model {name!r} cannot be loaded: {first}")
    if "gated" in text.lower() or "401" in text or "403" in text:
        first = f"accept its licence on the hub and log in with `hf auth login`, or choose another with --set {setting}=…"
    elif os.environ.get("HF_HUB_OFFLINE") == "1" or "connect" in text.lower() or "offline" in text.lower():
        way_out = f"--set {setting}=FOLDER with a local copy"
        first = f"the model hub cannot be reached; use --profile cpu, or {way_out}"
    return UserError(f"model {name!r} could not be loaded: {first}")


# -- loading ----------------------------------------------------------------------------------------------------------
def load_tokenizer(run: Run):
    """The tokenizer of the run's base model; a missing padding token becomes the end-of-text token."""
    from transformers import AutoTokenizer

    name = base_path(run)
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error) from None
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def four_bit_config(run: Run):
    """4-bit NF4 with double quantisation (QLoRA, Dettmers et al., 2023), for :func:`load_base`."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=device_of(run.profile).dtype,
    )


def load_base(run: Run, quantization: Any = None, dtype: torch.dtype | None = None):
    """The run's base model; UserError with the way out if it cannot be loaded.

    With a `quantization`, that of :func:`four_bit_config`, its linear layers come in 4 bits, on the CPU too. `dtype` is
    another than that of :func:`device_of`: weights that are trained stay in fp32.
    """
    from transformers import AutoModelForCausalLM

    chosen = device_of(run.profile)
    several = chosen.device == "cuda" and process_count() > 1
    place = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if several else chosen.device
    options: dict[str, Any] = {"dtype": dtype or chosen.dtype, "use_safetensors": True}
    if quantization:
        options["quantization_config"] = quantization
    if quantization or chosen.device == "cuda" and not shards_model():
        # straight to the device: main memory may be smaller than the GPU's (12 GB against 16 on Colab)
        options["device_map"] = {"": place}
    name = base_path(run)
    try:
        model = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error) from None
    if quantization and chosen.device == "cpu":
        _mind_the_cpu(model, name)
    # weights that are sharded go to the GPUs piece by piece: whole they may not fit
    return model if quantization or shards_model() else model.to(place)


def _mind_the_cpu(model, name: str) -> None:
    """Keep 4-bit layers from what the CPU kernels of bitsandbytes 0.50 do wrong; UserError for rows that no block fits.

    The one for bf16 would repack the weights in evaluation, which rounds what training did not. The one that turns weights
    back starts a new block of 64 with every row, while quantising does not: with rows of 224 the scales then belong to other
    weights, an error of 25 % instead of 9 %.
    """
    import bitsandbytes as bnb

    for label, layer in model.named_modules():
        if isinstance(layer, bnb.nn.Linear4bit):
            layer.support_avx512bf16_for_cpu = False
            if layer.in_features % (block := layer.weight.quant_state.blocksize):
                raise UserError(
                    f"{label} of {name!r} has rows of {layer.in_features} weights: 4-bit layers on the CPU need a "
                    f"multiple of {block}; train a variant without 4 bits"
                )


def four_bit_problem() -> str | None:
    """Why 4-bit layers cannot be used here, or None if they work (tried on a small layer)."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import bitsandbytes as bnb

            layer = bnb.nn.Linear4bit(64, 64, bias=False, quant_type="nf4", compress_statistics=True)
            layer.to(device)(torch.randn(2, 64, device=device))
    except Exception as error:  # any failure means the same here: no 4-bit layers on this machine
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
