"""Which parts of the enhanced tagger help: each part left out in turn, over several seeds."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from helpers.config import Run
from helpers.data import read_jsonl, write_jsonl
from helpers.environment import read_json, write_json
from helpers.train import fit, training_rows

WHOLE = "everything"
PARTS: dict[str, dict[str, Any]] = {
    WHOLE: {}, "without shape and casing": {"shapes": False}, "without gazetteer": {"gazetteer": False},
    "without finer labels": {"fine": False}, "without CRF": {"crf": False}, "without averaging": {"average": 0.0},
    "LoRA r=16": {"rank": 16, "alpha": 32}, "with weak labels": {"weak": True},
}


def ablate_parts(run: Run, seeds: int, variant: str = "enhanced",
                 parts: Mapping[str, Mapping[str, Any]] = PARTS) -> pd.DataFrame:
    """Train a variant once for each part and seed, and keep its validation F1.

    Each training has a folder of its own under `ablation/`, is trained on the same splits, and is not repeated when
    this is called again.

    Parameters
    ----------
    run : Run
        Stage 02 must have run.
    seeds : int
        Seeds, counted up from the run's.
    variant : str
    parts : mapping
        Name → settings of the variant that differ.

    Returns
    -------
    DataFrame
        See :func:`ablation_table`.
    """
    scores = read_json(run.path("ablation", "token_f1.json"))
    for name, changed in parts.items():
        for seed in range(run.seed, run.seed + seeds):
            settings = {**run.settings, **{f"{variant}.{key}": value for key, value in changed.items()}}
            own = Run(task=run.task, profile=run.profile, data=run.data, settings=settings, seed=seed,
                      out=str(run.path("ablation", name.replace(" ", "_"), str(seed), "x").parent))
            for part in ("train", "train_augmented", "validation"):
                write_jsonl(own.path("splits", f"{part}.jsonl"), read_jsonl(run.path("splits", f"{part}.jsonl")))
            result = fit(own, variant, training_rows(own, variant), own.load("validation"))
            scores.setdefault(name, {})[str(seed)] = result.best_score
            write_json(run.path("ablation", "token_f1.json"), scores)
    return ablation_table({name: list(scores[name].values()) for name in parts})


def ablation_table(scores: Mapping[str, Sequence[float]]) -> pd.DataFrame:
    """Scores of configurations side by side.

    Parameters
    ----------
    scores : mapping
        Configuration → validation F1 of each seed, the whole first; seeds in the same order everywhere.

    Returns
    -------
    DataFrame
        Index configuration; columns seeds, f1 (mean), sd (over seeds, NaN for one), difference (mean of f1 minus that
        of the whole with the same seed), worse (seeds on which it is worse than the whole).
    """
    frame = pd.DataFrame(scores)
    against = frame.sub(frame.iloc[:, 0], axis=0)
    return pd.DataFrame({"seeds": frame.count(), "f1": frame.mean(), "sd": frame.std(), "difference": against.mean(),
                         "worse": (against < 0).sum()}).rename_axis("configuration")
