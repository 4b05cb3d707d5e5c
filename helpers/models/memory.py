"""What a GPU can train and hold: an estimate from the number of parameters, before hours are spent on a crash."""

from __future__ import annotations

import torch

from helpers.errors import UserError, one_of
from helpers.models.base import base_path, device_of
from helpers.run import Run

# bytes a parameter of the base model while it trains, with the copies in 16 bits that autocast makes of fp32 weights, and
# what batches and adapters take besides, in GB (1e9 bytes); beside 4-bit layers embeddings and head are in fp32
BYTES = {"full": 18.0, "adapter": 2.0, "adapter in 4 bits": 1.25}
BESIDE_GB = 3.0


def kind_of(run: Run, variant: str) -> str | None:
    """How a variant holds the base model, one of :data:`BYTES`; None where it is another model."""
    if variant not in run.task.variants.writers:
        return None
    if run[f"{variant}.bits"] == 4:
        return "adapter in 4 bits"
    return "adapter" if run.task.variants.writers[variant].adapter else "full"


def needed_gb(parameters: int, kind: str) -> float:
    """Memory that training takes: fp32 weights, gradients and two moments; or 16- or 4-bit weights that stay."""
    return parameters * BYTES[kind] / 1e9 + BESIDE_GB


def activations_gb(layers: int, width: int, tokens: int) -> float:
    """What the backward pass keeps of a batch in 16 bits, without attention scores (Korthikanti et al., 2022)."""
    return 34 * layers * width * tokens / 1e9


def needs_checkpointing(run: Run, variant: str, tokens: int) -> bool:
    """Whether a batch of that many tokens does not fit the GPU unless its activations are computed twice."""
    if device_of(run.profile).device == "cpu":
        return False
    model = without_weights(run)
    kept = activations_gb(model.config.num_hidden_layers, model.config.hidden_size, tokens)
    return needed_gb(model.num_parameters(), kind_of(run, variant)) + kept > gpu_gb()


def without_weights(run: Run):
    """The run's base model from its configuration alone, without memory for its weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base_path(run))  # a packaged model is converted first, with weights
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config)


def base_parameters(run: Run) -> int:
    """Parameters of the base model."""
    return without_weights(run).num_parameters()


def gpu_gb() -> float:
    """Memory of the GPU, in GB."""
    return torch.cuda.get_device_properties(0).total_memory / 1e9


def holds_whole(run: Run) -> bool:
    """Whether the base model in 16 bits leaves the GPU room to decode; the CPU's base model is small."""
    return device_of(run.profile).device == "cpu" or needed_gb(base_parameters(run), "adapter") <= gpu_gb()


def variants_that_fit(run: Run) -> list[str]:
    """The variants that the setting `variants` names and this machine can train, in the task's order.

    On the CPU all of them. What is left out is printed with the reason; what a larger GPU, or several, have trained stays.
    UserError for an unknown variant, and if none with the base model fits.
    """
    named = {
        one_of(name.strip(), run.task.variants, "variant")
        for name in run["variants"].split(",")
        if name.strip()
    }
    kinds = {variant: kind_of(run, variant) for variant in run.task.variants if variant in named}
    if device_of(run.profile).device == "cpu" or not any(kinds.values()):
        return list(kinds)
    parameters, memory, kept = base_parameters(run), gpu_gb(), []
    for variant, kind in kinds.items():
        need = needed_gb(parameters, kind) if kind else 0.0
        if need <= memory or (run.dir / "checkpoints" / variant / "finished.json").exists():
            kept.append(variant)
            continue
        print(
            f"{variant} is left out: {kind} training of {parameters / 1e9:.1f}e9 parameters takes about "
            f"{need:.0f} GB, this GPU has {memory:.0f} GB"
        )
    if not any(kinds[variant] for variant in kept):
        raise UserError(
            f"this GPU ({memory:.0f} GB) trains no variant that writes: choose a smaller model with "
            "--set base_model=…"
        )
    return kept
