"""Settings of the IT task with their defaults in each profile."""

from __future__ import annotations

from typing import Any

from helpers.tasks.settings import reading_settings, tagger_settings


def training_settings(profile: str) -> dict[str, Any]:
    """Settings of data, augmentation and variants.

    They are those of :func:`helpers.tasks.settings.tagger_settings`. On a CPU dropout is off and the word embeddings stay as they are, which makes steps faster. `compressed` names the variants that stage 05
    exports and quantises. `public_source` says where `--data public` gets its rows: `files` at a pinned commit, `hub`, or a
    folder with a copy of the hub's data set.
    """
    gpu, smoke = profile == "gpu", profile == "smoke"
    shared: dict[str, Any] = tagger_settings(profile) | {
        "least_steps": 0 if smoke else 400,
        "label_smoothing": 0.05,
        "dropout": 0.1 if gpu else 0.0,
        "freeze_embeddings": not gpu,
        "repeat_share": 0.1,
    }
    adapter = {**shared, "learning_rate": 2e-4 if gpu else 1e-3, "lora_dropout": 0.05}
    features = {"shapes": True, "gazetteer": True}
    # a small encoder gains more from the features where all its weights move along
    whole_or_adapter = {**adapter, "rank": 32, "alpha": 64} if gpu else shared
    variants = {
        "full": shared,
        "lora": {**adapter, "rank": 16, "alpha": 32},
        "enhanced": {**whole_or_adapter, **features, "fine": True, "crf": True, "average": 0.99},
        # at its higher rate the student's score wavers until the rate falls
        "distilled": {
            **shared,
            **features,
            "learning_rate": 5e-5 if gpu else 3e-4,
            "patience": 4,
            "teacher": "enhanced",
            "layers": 3,
            "student_model": "distilbert-base-cased" if gpu else "",
            "fine": True,
            "temperature": 2.0,
            "soft_weight": 0.7,
        },
    }
    common = {
        "variants": ",".join(variants),
        "encoder_model": "bert-base-cased" if gpu else "all-MiniLM-L6-v2",
        "max_rows": 60 if smoke else 0,
        "public_source": "files",
        **reading_settings(),
        "max_pieces": 256,
        "synthetic": 0,
        "augment_per_row": 0,
        "oversample": 1.5,
        "rare_boost": 0.5,
        "weak_ratio": 0.3,
        "unlabelled": "packages",
        "few_shot": 3,
        "score_rows": 40 if smoke else 0,
        "latency_runs": 20 if smoke else 200,
        "compressed": ["lora", "distilled"] if smoke else list(variants),
    }
    return common | {
        f"{variant}.{name}": value for variant, own in variants.items() for name, value in own.items()
    }
