"""LoRA adapters: put on a base, counted, loaded again and merged."""

from __future__ import annotations

from pathlib import Path

import torch

from helpers.errors import UserError
from helpers.models.base import base_path, device_of, four_bit_config, load_base
from helpers.models.int8 import use_int8
from helpers.models.memory import holds_whole
from helpers.models.packaged import encoder_path
from helpers.run import Run

LAYERS = (  # of Llama, BERT and RoBERTa, DistilBERT, DeBERTa, ModernBERT: those of attention, the others
    (("q_proj", "k_proj", "v_proj", "o_proj"), ("gate_proj", "up_proj", "down_proj")),
    (("query", "key", "value"), ("dense",)),
    (("q_lin", "k_lin", "v_lin"), ("out_lin", "lin1", "lin2")),
    (("query_proj", "key_proj", "value_proj"), ("dense",)),
    (("attn.Wqkv",), ("attn.Wo", "mlp.Wi", "mlp.Wo")),
)


def adapted_layers(model, targets: str = "all") -> list[str]:
    """Names of the linear layers of a model that an adapter changes: `all`, or those of `attention`."""
    names = [f".{name}" for name, _ in model.named_modules()]
    for attention, others in LAYERS:
        if all(any(name.endswith(f".{layer}") for name in names) for layer in attention + others):
            return [*attention, *others] if targets == "all" else list(attention)
    raise UserError(
        f"adapters are not known here for models of the kind {model.config.model_type!r}: choose one of the kind of Llama, "
        "BERT, RoBERTa, DistilBERT, DeBERTa or ModernBERT with --set model=…, or a variant without adapter"
    )


def add_lora(model, rank: int, alpha: int, dropout: float, targets: list[str], seed: int):
    """Wrap a causal model with a LoRA adapter (Hu et al., 2021); the adapter's start is seeded."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    sizes = {"r": rank, "lora_alpha": alpha, "lora_dropout": dropout}
    return get_peft_model(model, LoraConfig(**sizes, target_modules=targets, task_type="CAUSAL_LM"))


def count_parameters(model) -> dict[str, int]:
    """Trainable and total parameters; 4-bit weights, two in a byte, count as the numbers they stand for."""
    trainable = total = 0
    for parameter in model.parameters():
        packed = parameter.__class__.__name__ == "Params4bit"
        total += 2 * parameter.numel() if packed else parameter.numel()
        trainable += parameter.numel() * parameter.requires_grad
    return {"trainable": trainable, "total": total}


def folder_megabytes(folder: Path) -> float:
    """Size of all weight files in a folder, MB (1e6 bytes)."""
    names = (".safetensors", ".bin", ".onnx", ".data")
    return sum(f.stat().st_size for f in folder.rglob("*") if f.suffix in names) / 1e6


def run_megabytes(run: Run, variant: str) -> float | None:
    """Weights on disk that a trained variant needs to run, MB: its own, those of the base too where it is an adapter.

    None where the base is in no folder of this machine.
    """
    best = run.dir / "checkpoints" / variant / "best"
    if not (best / "adapter_config.json").exists():
        return folder_megabytes(best)
    own = run.settings.get(f"{variant}.encoder", "")
    base = Path(encoder_path(run, own) if variant in run.task.variants.taggers else base_path(run))
    # a folder from a hub may hold the same weights in several forms
    weights = sum(file.stat().st_size for file in base.glob("*.safetensors")) / 1e6 or folder_megabytes(base)
    return folder_megabytes(best) + weights if weights else None


def load_untuned(run: Run):
    """The run's base model for inference: in int8 on the CPU, in 4 bits where a GPU cannot hold it in 16."""
    return for_inference(run, load_base(run, None if holds_whole(run) else four_bit_config(run)))


def for_inference(run: Run, model):
    """A model that is not trained any more; on the CPU it multiplies in int8 (setting `inference_bits`)."""
    model = model.eval().requires_grad_(False)
    return use_int8(model) if run["inference_bits"] == 8 and device_of(run.profile).device == "cpu" else model


def load_finetuned(run: Run, folder: Path, four_bit: bool = False, whole: bool = False, merge: bool = True):
    """A fine-tuned model for inference: the folder's own weights, or the base with the adapter merged into it.

    An adapter that was trained on a `four_bit` base has to meet the weights it was trained with: the base is rounded to 4
    bits and back before the merge. Where the GPU cannot hold the base in 16 bits it stays in 4, with the adapter beside it.
    With `whole` weights stay in fp32 on the CPU whatever `inference_bits` says: for what exports them. Unless `merge` is
    false the adapter is put into the base.
    """
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    chosen = device_of(run.profile)
    if (folder / "adapter_config.json").exists():
        model = load_base(run, four_bit_config(run) if four_bit else None)
        if four_bit and not holds_whole(run):
            return PeftModel.from_pretrained(model, folder).eval()
        if four_bit:
            model = model.dequantize().to(chosen.dtype)
            model.config.quantization_config = None
        model = PeftModel.from_pretrained(model, folder)
        model = model.merge_and_unload() if merge else model
    else:
        # as its scores chose it: weights in fp32, computed in 16 bits
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        model = model.to(chosen.device)
        if chosen.device == "cuda" and not whole:
            model.forward = torch.autocast("cuda", chosen.dtype)(model.forward)
    return model.eval() if whole else for_inference(run, model)
