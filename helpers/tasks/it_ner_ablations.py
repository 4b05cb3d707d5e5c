"""What is varied, one part at a time, to see what each part of the IT taggers contributes."""
from __future__ import annotations

from typing import Any

from helpers.tasks.records import Ablation, Configuration

ENHANCED, BASELINE, WHOLE = "enhanced", "dictionary", "everything"
SYSTEMS = ("full", "lora", ENHANCED)
"""The distilled variant is left out: it needs a trained teacher beside it."""
PARTS: dict[str, dict[str, Any]] = {
    "without shape and casing": {"shapes": False}, "without gazetteer": {"gazetteer": False},
    "without finer labels": {"fine": False}, "without CRF": {"crf": False}, "without averaging": {"average": 0.0},
    "with weak labels": {"weak": True},
}
SMALLER = {"LoRA r=16": {"rank": 16, "alpha": 32}}
"""Where the enhanced tagger trains an adapter, else :data:`ADAPTER`."""
ADAPTER = {"LoRA r=32": {"rank": 32, "alpha": 64, "learning_rate": 1e-3, "lora_dropout": 0.05}}
SEEDS = 3


def ablations(profile: str) -> dict[str, Ablation]:
    """The ablations of a profile, trained on train and scored on validation over seeds; `smoke` has a few of one seed.

    Folds would take days: the validation part of the public rows is large enough by itself.
    """
    smoke = profile == "smoke"
    seeds, systems = (1, SYSTEMS[:1]) if smoke else (SEEDS, SYSTEMS)
    parts = {"without CRF": PARTS["without CRF"]} if smoke else PARTS | (SMALLER if profile == "gpu" else ADAPTER)
    return {
        "systems": Ablation("Systems with their default settings", (
            Configuration("rules", "rules"), Configuration(BASELINE, BASELINE, against="rules"),
            *(Configuration(name, name, against=BASELINE, seeds=seeds) for name in systems)), scored_on="validation"),
        "parts": Ablation("Parts of the enhanced tagger, one changed at a time", (
            Configuration(WHOLE, ENHANCED, seeds=seeds),
            *(Configuration(name, ENHANCED, {f"{ENHANCED}.{key}": value for key, value in change.items()},
                            against=WHOLE, seeds=seeds) for name, change in parts.items())), scored_on="validation"),
    }
