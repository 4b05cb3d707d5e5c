"""What the training loops of taggers share: their state, one file to resume from, parameter groups."""
from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch


def decay_groups(model, weight_decay: float) -> list[dict[str, Any]]:
    """Two AdamW groups: matrices decay, norms and biases do not."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [{"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0}]


def length_batches(lengths: Sequence[int], size: int, rng: random.Random) -> list[list[int]]:
    """Indices in batches of like length, in random order: shuffled, sorted within pools of 16 batches."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), size * 16):
        pool = sorted(order[start:start + size * 16], key=lambda index: lengths[index])
        batches += [pool[low:low + size] for low in range(0, len(pool), size)]
    rng.shuffle(batches)
    return batches


@dataclass
class LoopState:
    """Where a training loop is: all that a resumed run needs beside weights and optimiser."""

    epoch: int = 0
    step: int = 0
    best_score: float = -1.0
    best_loss: float = math.inf
    best_step: int = 0
    bad: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


def save_loop(path: Path, model, optimizer, state: LoopState, **more: Any) -> None:
    """Trained weights, optimiser, state of a loop and whatever `more` it keeps in one file.

    A kill leaves the old file or the new one.
    """
    weights = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    torch.save({"weights": weights, "optimizer": optimizer.state_dict(), "state": asdict(state), "more": more},
               path.with_suffix(".tmp"))
    os.replace(path.with_suffix(".tmp"), path)


def resume_loop(path: Path, model, optimizer) -> tuple[LoopState, dict[str, Any]]:
    """Put weights and optimiser back to where :func:`save_loop` left them; returns the state and what else was kept."""
    content = torch.load(path, weights_only=True, map_location=model.device)
    model.load_state_dict(content["weights"], strict=False)
    optimizer.load_state_dict(content["optimizer"])
    return LoopState(**content["state"]), content["more"]
