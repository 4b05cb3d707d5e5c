"""What trainers share: their result, the score on validation, the state of a loop, one file to resume from."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks.metrics import SCORES, row_sums
from helpers.tasks.records import Example
from helpers.writing.questions import predict_texts


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
    torch.save(
        {"weights": weights, "optimizer": optimizer.state_dict(), "state": asdict(state), "more": more},
        path.with_suffix(".tmp"),
    )
    os.replace(path.with_suffix(".tmp"), path)


def resume_loop(path: Path, model, optimizer) -> tuple[LoopState, dict[str, Any]]:
    """Put weights and optimiser back to where :func:`save_loop` left them; returns the state and what else was kept."""
    content = torch.load(path, weights_only=True, map_location=model.device)
    model.load_state_dict(content["weights"], strict=False)
    optimizer.load_state_dict(content["optimizer"])
    return LoopState(**content["state"]), content["more"]


@dataclass
class FitResult:
    """What a trainer leaves.

    Parameters
    ----------
    variant : str
    history : list of dict
        Records of `step`, `epoch`, `loss`, `lr`, and at evaluations `val_loss` and the scores of :func:`exact_scores`,
        or `val_` with the headline of a task whose trainers are its own.
    parameters : dict
        `trainable` and `total`.
    best_score, best_step
        The task's headline score of the kept checkpoint on validation, and its step.
    note : str
        What the reader should know, e.g. why 4 bits were not used.
    """

    variant: str
    history: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    best_score: float = 0.0
    best_step: int = 0
    note: str = ""


def check_finite(value: float, what: str, run: Run, variant: str, step: int) -> None:
    """Stop with a clear message where a loss or gradient is no number any more."""
    if not math.isfinite(value):
        raise UserError(
            f"{variant}: the {what} is {value} at step {step}; lower {variant}.learning_rate "
            f"(now {run[f'{variant}.learning_rate']}) with --set {variant}.learning_rate=…"
        )


def validation_score(run: Run, model, tokenizer, rows: list[Example]) -> dict[str, float]:
    """Scores of greedy decoding with the constraint `score_constraint` on (some of) the validation rows."""
    rows = rows[: run["score_rows"] or None]
    records = predict_texts(
        model,
        tokenizer,
        run.task,
        [row.text for row in rows],
        run["score_constraint"],
        run["max_new_tokens"],
        run["generation_batch_size"],
        dialogue=run.settings.get("dialogue", "independent"),
    )
    return exact_scores(run.task, rows, records)


def exact_scores(task, rows: list[Example], records: list[dict[str, Any]]) -> dict[str, float]:
    """Exact match, field accuracy and F1 over values of prediction records, as the training history holds them."""
    sums = row_sums(task, rows, [{**record, "id": row.id} for row, record in zip(rows, records)]).sum()
    named = {name: SCORES[name] for name in ("exact_match", "field_accuracy", "exact_f1")}
    return {
        f"val_{name}": float(sums[above] / sums[below]) if sums[below] else 1.0
        for name, (above, below) in named.items()
    }
