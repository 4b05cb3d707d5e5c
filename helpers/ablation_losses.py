"""Full fine-tuning with other losses than the variant's own, so that losses can be compared with all else equal."""
from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from helpers.config import Run
from helpers.losses import Targets, structured_loss
from helpers.models import load_base, load_tokenizer
from helpers.tasks import Example
from helpers.train import FitResult, training_loop


def answer_loss(targets: Targets) -> torch.Tensor:
    """Mean cross-entropy of the next token over the answer: no weights, no penalties."""
    return F.cross_entropy(targets.logits, targets.tokens)


def fit_answer_loss(run: Run, variant: str, train: list[Example], validation: list[Example],
                    folder: Path) -> FitResult:
    """All weights, plain next-token loss on the answer."""
    return _fit(run, variant, train, validation, folder, answer_loss)


def fit_full_structured_loss(run: Run, variant: str, train: list[Example], validation: list[Example],
                             folder: Path) -> FitResult:
    """All weights, :func:`helpers.losses.structured_loss` with its default weights of the penalties."""
    return _fit(run, variant, train, validation, folder, lambda targets: structured_loss(targets, len(run.task.fields)))


def _fit(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path,
         loss: Callable[[Targets], torch.Tensor]) -> FitResult:
    model = load_base(run, dtype=torch.float32)
    return training_loop(run, variant, model, load_tokenizer(run), train, validation, folder, loss, with_prompt=False)
