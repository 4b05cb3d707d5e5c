"""Base models and their adapters: load, wrap, count, save, load again."""
from __future__ import annotations

import os
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from helpers import processes
from helpers.config import ROOT, Run, UserError
from helpers.dropout import faster_dropout
from helpers.environment import Device, pick_device
from helpers.hosted import input_model

# Attention over a long text gives most tokens a probability below 1e-38, and CPUs multiply such numbers up to a hundred
# times slower: a training step on a police report takes half as long without them. The threads of PyTorch inherit this from
# the one that starts them, so it is said before anything is computed.
torch.set_flush_denormal(True)

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SMALLEST_BLOCK = 32
"""Weights that share one scale in the smallest 4-bit blocks of bitsandbytes."""
ALL_LINEAR = ATTENTION + ["gate_proj", "up_proj", "down_proj"]


@lru_cache(maxsize=4)
def device_of(profile: str) -> Device:
    """The device of a profile; the choice is printed once a process."""
    return pick_device(profile)


def base_path(run: Run) -> str:
    """The `base_model` setting: a folder (relative ones are looked up in the repository) or a hub name.

    A hub model that is mounted as a Kaggle input is taken from there.
    """
    name = run["base_model"]
    for folder in (Path(name), ROOT / name, input_model(name)):
        if folder is not None and (folder / "config.json").exists():
            return str(folder)
    if name.startswith(("artifacts/", ".", "/")):
        raise UserError(f"base_model={name!r}: no model in that folder (config.json is missing)")
    return name


def explain_load_error(name: str, error: Exception, setting: str = "base_model") -> UserError:
    """The one line that tells why a model did not load and what to do."""
    text = str(error)
    if "gated" in text.lower() or "401" in text or "403" in text:
        way = f"accept its licence on the hub and log in with `hf auth login`, or choose another with --set {setting}=…"
    elif os.environ.get("HF_HUB_OFFLINE") == "1" or "connect" in text.lower() or "offline" in text.lower():
        way = f"the model hub cannot be reached; use --profile cpu, or --set {setting}=FOLDER with a local copy"
    else:
        way = text.splitlines()[0][:200] if text else type(error).__name__
    return UserError(f"model {name!r} could not be loaded: {way}")


def adapter_layers(run: Run) -> tuple[Any, dict[str, list[str]]]:
    """The run's base model without memory for its weights, and the names of the layers that adapters may change."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base_path(run)))
    return model, {"attention": ATTENTION, "all linear layers": ALL_LINEAR}


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
    from helpers.encoder import encoder_path

    base = [base_path(run)] if "base_model" in run.settings else []
    folders = [Path(path) for path in (*base, encoder_path(run)) if Path(path).is_dir()]
    return [path for folder in folders for path in sorted(folder.iterdir())
            if path.suffix == ".safetensors" or path.name in ("config.json", "tokenizer.json")]


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

    from helpers.attention import PIECES

    chosen = device_of(run.profile)
    attention = PIECES if chosen.device == "cpu" else "sdpa"
    options: dict[str, Any] = {"dtype": dtype or chosen.dtype, "attn_implementation": attention, "use_safetensors": True}
    if four_bit:
        from transformers import BitsAndBytesConfig
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=chosen.dtype)
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
        fit_blocks_to_rows(model, name)
    # weights that are sharded go to the GPUs piece by piece: whole they may not fit
    return model if four_bit or processes.shards_model() else model.to(processes.device_name(chosen.device))


def load_untuned(run: Run):
    """The run's base model for inference, in 4 bits where the GPU cannot hold it in 16."""
    from helpers.memory import holds_whole

    return load_base(run, four_bit=not holds_whole(run)).eval()


def keep_fp32_kernels(model) -> None:
    """Keep bitsandbytes from its bf16 kernel on the CPU.

    In evaluation it would repack the weights for AVX512-BF16, which fails for row lengths that are no multiple of
    the block size and rounds what training did not round.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def fit_blocks_to_rows(model, name: str) -> None:
    """Quantise layers anew, in smaller blocks, whose rows are no multiple of the usual block of 64 weights.

    The CPU kernel of bitsandbytes 0.50 starts a new block with every row when it turns 4-bit weights back, while
    quantising does not: with rows of 224 the scales then belong to other weights, an error of 25 % instead of 9 %.

    Parameters
    ----------
    model
        Loaded in 4 bits; changed in place.
    name : str
        Folder or hub name it was loaded from.

    Raises
    ------
    UserError
        If a row is no multiple of 32, the smallest block.
    """
    import bitsandbytes as bnb
    from transformers import AutoModelForCausalLM

    odd = {label: layer for label, layer in model.named_modules()
           if isinstance(layer, bnb.nn.Linear4bit) and layer.in_features % layer.weight.quant_state.blocksize}
    if not odd:
        return
    weights = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, use_safetensors=True).state_dict()
    for label, layer in odd.items():
        if layer.in_features % SMALLEST_BLOCK:
            raise UserError(f"{label} of {name!r} has rows of {layer.in_features} weights: 4-bit layers on the CPU need a "
                            f"multiple of {SMALLEST_BLOCK}; train a variant without 4 bits")
        layer.weight = bnb.nn.Params4bit(
            weights[f"{label}.weight"], requires_grad=False, blocksize=SMALLEST_BLOCK, quant_type="nf4",
            compress_statistics=True, module=layer).to("cpu")


def four_bit_problem() -> str | None:
    """Why 4-bit layers cannot be used here, or None if they work (tried on a small layer)."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import bitsandbytes as bnb

            device = "cuda" if torch.cuda.is_available() else "cpu"
            layer = bnb.nn.Linear4bit(64, 64, bias=False, quant_type="nf4", compress_statistics=True).to(device)
            layer(torch.randn(2, 64, device=device))
    except Exception as error:  # any failure means the same here: no 4-bit layers on this machine
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None


def add_lora(model, rank: int, alpha: int, dropout: float, targets: list[str], seed: int):
    """Wrap a causal model with a LoRA adapter (Hu et al., 2021); the adapter's start is seeded."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    return faster_dropout(get_peft_model(model, LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=targets, task_type="CAUSAL_LM")))


def count_parameters(model) -> dict[str, int]:
    """Trainable and total parameters; 4-bit weights count as the numbers they stand for."""
    trainable = total = 0
    for parameter in model.parameters():
        count = parameter.numel()
        if parameter.__class__.__name__ == "Params4bit":
            count *= 2  # two weights in a byte
        total += count
        trainable += parameter.numel() if parameter.requires_grad else 0
    return {"trainable": trainable, "total": total}


def parameter_table(results: dict[str, Any]) -> pd.DataFrame:
    """Trainable and total parameters of fitted variants, with the trainable share in per cent."""
    rows = {name: result.parameters for name, result in results.items()}
    table = pd.DataFrame.from_dict(rows, orient="index")[["trainable", "total"]]
    table["trainable share %"] = 100 * table["trainable"] / table["total"]
    table.index.name = "variant"
    return table


def folder_megabytes(folder: Path) -> float:
    """Size of all weight files in a folder, MB (1e6 bytes)."""
    names = (".safetensors", ".bin", ".onnx", ".data")
    return sum(f.stat().st_size for f in folder.rglob("*") if f.suffix in names) / 1e6


def load_finetuned(run: Run, folder: Path, four_bit: bool = False):
    """A fine-tuned model for inference: the folder's own weights, or the base with the adapter merged into it.

    Parameters
    ----------
    four_bit : bool
        The adapter was trained on a 4-bit base: the base is rounded to 4 bits and back before the merge, so
        that the adapter meets the weights it was trained with. Where the GPU cannot hold the base in 16 bits it
        stays in 4, with the adapter beside it.
    """
    from transformers import AutoModelForCausalLM

    from helpers.memory import holds_whole

    chosen = device_of(run.profile)
    if not (folder / "adapter_config.json").exists():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=chosen.dtype, use_safetensors=True)
        return model.to(chosen.device).eval()
    from peft import PeftModel

    base = load_base(run, four_bit)
    if four_bit and not holds_whole(run):
        return PeftModel.from_pretrained(base, folder).eval()
    if four_bit:
        base = base.dequantize().to(chosen.dtype)
        base.config.quantization_config = None
    return PeftModel.from_pretrained(base, folder).merge_and_unload().eval()
