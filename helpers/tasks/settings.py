"""Settings that tasks share."""

from __future__ import annotations

from typing import Any


def tagger_settings(profile: str) -> dict[str, Any]:
    """Settings of a variant that tags, with their defaults in each profile.

    `batch_pieces` bounds the word pieces of a batch, padding included; `learning_rate` is that of the encoder or its
    adapter, `head_rate` that of all new layers; `least_steps` makes more epochs of few rows; `made_epochs` passes over made
    rows come before the gold ones (where tokens are tagged made rows stand among the others); `hints` lets the tagger see what
    the task's rules propose, but for the share `withhold` of the rows of a batch.
    """
    gpu, smoke = profile == "gpu", profile == "smoke"
    return {
        "epochs": 1 if smoke else 5 if gpu else 3,
        "made_epochs": 0,
        "batch_pieces": 4096 if gpu else 512,
        "learning_rate": 3e-5 if gpu else 1e-4,
        "head_rate": 1e-3,
        "weight_decay": 0.01,
        "clip_norm": 1.0,
        "warmup_share": 0.08,
        "patience": 2,
        "least_steps": 0,
        "label_smoothing": 0.0,
        "dropout": 0.1,
        "freeze_embeddings": False,
        "repeat_share": 1.0,
        "weak": False,
        "rank": 0,
        "alpha": 0,
        "lora_dropout": 0.0,
        "shapes": False,
        "gazetteer": False,
        "hints": False,
        "withhold": 0.0,
        "fine": False,
        "crf": False,
        "average": 0.0,
        "inside_weight": 1.0,
    }


def reading_settings() -> dict[str, Any]:
    """Word pieces of a window, and of a batch that is predicted."""
    return {"max_pieces": 512, "predict_pieces": 4096}
