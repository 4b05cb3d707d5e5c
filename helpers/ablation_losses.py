"""Full fine-tuning with a loss that no variant trains it with, so that losses can be compared with all else equal."""
from __future__ import annotations

from pathlib import Path

import torch

from helpers.config import Run
from helpers.losses import structured_loss
from helpers.models import load_base, load_tokenizer
from helpers.tasks import Example
from helpers.train import FitResult, training_loop


def fit_full_structured_loss(run: Run, variant: str, train: list[Example], validation: list[Example],
                             folder: Path) -> FitResult:
    """All weights, :func:`helpers.losses.structured_loss` with its default weights of the penalties."""
    model, tokenizer = load_base(run, dtype=torch.float32), load_tokenizer(run)
    return training_loop(run, variant, model, tokenizer, train, validation, folder,
                         lambda targets: structured_loss(targets, len(run.task.fields)), with_prompt=False)
