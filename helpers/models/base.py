"""The base model of a run: where it is, loading it and its tokenizer, and on which device."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from helpers.errors import UserError
from helpers.machine import Device, pick_device
from helpers.models import attention, processes  # noqa: F401 (attention makes itself known to the library)
from helpers.models.four_bit import keep_fp32_kernels, refuse_odd_rows
from helpers.models.packaged import HUB, LAYERS, PACKAGED, packaged_folder
from helpers.paths import ROOT, input_model
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


def base_path(run: Run) -> str:
    """The `base_model` setting as a folder or a hub name: packaged models and Kaggle inputs become their folders.

    Relative folders are looked up in the repository.

    Raises
    ------
    UserError
        If a folder holds no model, or the package of a packaged one is missing or damaged.
    """
    name = run["base_model"]
    for folder in (Path(name), ROOT / name, input_model(name)):
        if folder is not None and (folder / "config.json").exists():
            return str(folder)
    if name in LAYERS:
        return str(packaged_folder(name))
    if name.startswith((".", "/", "~")):
        raise UserError(f"base_model={name!r}: no model in that folder (config.json is missing)")
    return name


def public_name(run: Run) -> str:
    """The base model as others know it: the hub's name where it is the packaged copy of a hub model."""
    return HUB if run["base_model"] in LAYERS else run["base_model"]


def explain_load_error(name: str, error: Exception, setting: str = "base_model") -> UserError:
    """The one line that tells why a model did not load and what to do."""
    text = str(error)
    if Path(name).is_dir():
        return UserError(
            f"model {name!r} cannot be loaded: {text.splitlines()[0][:200] if text else type(error).__name__}"
        )
    if "gated" in text.lower() or "401" in text or "403" in text:
        way = f"accept its licence on the hub and log in with `hf auth login`, or choose another with --set {setting}=…"
    elif os.environ.get("HF_HUB_OFFLINE") == "1" or "connect" in text.lower() or "offline" in text.lower():
        way = (
            f"the model hub cannot be reached; use --profile cpu, or --set {setting}=FOLDER with a local copy"
        )
    else:
        way = text.splitlines()[0][:200] if text else type(error).__name__
    return UserError(f"model {name!r} could not be loaded: {way}")


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


def base_files(run: Run) -> list[Path]:
    """Files of the base model and of the encoder where they are local folders: a change in them changes results."""
    from helpers.models.encoder import encoder_path

    base = (
        [base_path(run)] if run.settings.get("base_model", PACKAGED) not in LAYERS else []
    )  # those have a checksum
    folders = [Path(path) for path in (*base, encoder_path(run)) if Path(path).is_dir()]
    return [
        path
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix == ".safetensors" or path.name in ("config.json", "tokenizer.json")
    ]


def load_base(run: Run, four_bit: bool = False, dtype: torch.dtype | None = None):
    """The run's base model in the dtype that :func:`device_of` chose.

    Parameters
    ----------
    run : Run
    four_bit : bool
        Load the linear layers in 4-bit NF4 with double quantisation (bitsandbytes; on the CPU too).
    dtype : torch.dtype, optional
        Another dtype than the device's: weights that are trained stay in fp32.

    Raises
    ------
    UserError
        If the model cannot be loaded, with the way out.
    """
    from transformers import AutoModelForCausalLM

    chosen = device_of(run.profile)
    options: dict[str, Any] = {"dtype": dtype or chosen.dtype, "use_safetensors": True}
    if four_bit:
        from transformers import BitsAndBytesConfig

        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=chosen.dtype,
        )
    if four_bit or chosen.device == "cuda" and not processes.shards_model():
        # straight to the device: main memory may be smaller than the GPU's (12 GB against 16 on Colab)
        options["device_map"] = {"": processes.device_name(chosen.device)}
    name = base_path(run)
    try:
        model = AutoModelForCausalLM.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        raise explain_load_error(name, error) from None
    if four_bit and chosen.device == "cpu":
        keep_fp32_kernels(model)
        refuse_odd_rows(model, name)
    # weights that are sharded go to the GPUs piece by piece: whole they may not fit
    return model if four_bit or processes.shards_model() else model.to(processes.device_name(chosen.device))
