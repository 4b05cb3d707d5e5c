"""What trainers of writers and of taggers share: checks, scores, arguments, and the way from a kill to the best checkpoint."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainerState

from helpers.errors import UserError, one_of
from helpers.files import read_json
from helpers.models.base import device_of
from helpers.run import Run
from helpers.tasks.base import Example
from helpers.tasks.metrics import WRITTEN, row_sums
from helpers.training.rows import variant_settings
from helpers.writing.prompts import predict_texts

EXACT_SCORES = ("exact_match", "field_accuracy", "exact_f1")
KEPT = ("val_loss", "val_f1", "transition_multiple", *(f"val_{name}" for name in EXACT_SCORES))
RECORDED = {
    "loss": "loss",
    "learning_rate": "lr",
    "eval_loss": "val_loss",
    **{f"eval_{name}": name for name in KEPT},
}
"""Names in the Trainer's log → in the history."""


@dataclass
class FitResult:
    """What a trainer leaves: records of `step`, `epoch`, `loss`, `lr` and validation scores; trainable and total parameters;
    score and step of the kept checkpoint; and what the reader should know, e.g. why 4 bits were not used."""

    variant: str
    history: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    best_score: float = 0.0
    best_step: int = 0
    note: str = ""


# -- scores and settings ----------------------------------------------------------------------------------------------
def exact_scores(task, rows: list[Example], records: list[dict[str, Any]]) -> dict[str, float]:
    """Exact match, field accuracy and F1 over values of prediction records, as the training history holds them."""
    sums = row_sums(task, rows, [{**record, "id": row.id} for row, record in zip(rows, records)]).sum()
    return {
        f"val_{name}": float(sums[above] / sums[below]) if sums[below] else 1.0
        for name, (above, below) in WRITTEN.items()
        if name in EXACT_SCORES
    }


def validation_score(run: Run, model, tokenizer, rows: list[Example]) -> dict[str, float]:
    """Scores of greedy decoding with the constraint `score_constraint` on the first `score_rows` validation rows."""
    rows = rows[: run["score_rows"] or None]
    records = predict_texts(
        model,
        tokenizer,
        run.task,
        [row.text for row in rows],
        run["score_constraint"],
        run["max_new_tokens"],
        run["generation_batch_size"],
    )
    return exact_scores(run.task, rows, records)


def common_arguments(run: Run, variant: str, folder: Path) -> dict[str, Any]:
    """The part of the Trainer's configuration that is the same for all variants."""
    chosen = device_of(run.profile)
    return {
        "output_dir": str(folder / "trainer"),
        "run_name": variant,
        "max_grad_norm": variant_settings(run, variant)["clip_norm"],
        "use_cpu": chosen.device == "cpu",
        "bf16": chosen.dtype == torch.bfloat16,
        "fp16": chosen.dtype == torch.float16,
        "save_total_limit": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "eval_val_score",
        "greater_is_better": True,
        "restore_callback_states_from_checkpoint": True,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "report_to": [one_of(run["report_to"], ("tensorboard", "wandb", "none"), "report_to")],
        "remove_unused_columns": False,
        "seed": run.seed,
        "data_seed": run.seed,
        "dataloader_pin_memory": chosen.device != "cpu",
        "disable_tqdm": True,
    }


# -- the trainer ------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Study:
    """What a trainer is about; `loss` takes what its kind of model gives."""

    run: Run
    variant: str
    validation: list[Example]
    loss: Callable[..., torch.Tensor]


class StudyMixin:
    """On top of a trainer of the libraries: what it is about, a progress bar, a stop where a number is none any more."""

    def __init__(
        self, *args: Any, study: Study, callbacks: list[TrainerCallback] | None = None, **kwargs: Any
    ):
        super().__init__(*args, callbacks=[Progress(study.variant), *(callbacks or [])], **kwargs)
        self.study = study
        self.remove_callback(PrinterCallback)

    def check(self, value: float, what: str) -> None:
        """Stop with a clear message where a loss or gradient is no number any more."""
        if not math.isfinite(value):
            setting, step = f"{self.study.variant}.learning_rate", self.state.global_step
            raise UserError(
                f"{self.study.variant}: the {what} is {value} at step {step}; lower {setting} "
                f"(now {self.study.run[setting]}) with --set {setting}=…"
            )

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        self.check(loss.item(), "loss")
        return loss

    def log(self, logs: dict[str, float], *args: Any) -> None:
        if "grad_norm" in logs and not self.args.fp16:  # in fp16 the loss scaler skips a step with an inf
            self.check(logs["grad_norm"], "gradient")
        super().log(logs, *args)


class Progress(TrainerCallback):
    """A progress bar that a log can follow too, in place of the library's table."""

    def __init__(self, name: str):
        self.bar = tqdm(desc=name, disable=True)
        self.name = name

    def on_train_begin(self, args, state, control, **kwargs):
        hidden, done = not state.is_world_process_zero, state.global_step
        self.bar = tqdm(desc=self.name, total=state.max_steps, initial=done, disable=hidden)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(state.global_step - self.bar.n)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        self.bar.set_postfix(score=f"{metrics['eval_val_score']:.3f}")

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


# -- from the last checkpoint to the best one -------------------------------------------------------------------------
def train(trainer: Trainer, parameters: dict[str, int], note: str = "") -> FitResult:
    """Train, from the last checkpoint where there is one; afterwards the trainer's model is the best one.

    Checkpoints stay until :func:`helpers.training.fit.fit` has kept the result, so that a kill in between costs nothing.
    """
    study, last = trainer.study, last_checkpoint(Path(trainer.args.output_dir))
    state = TrainerState.load_from_json(str(last / "trainer_state.json")) if last else TrainerState()
    control = state.stateful_callbacks.get("TrainerControl", {}).get("args", {})
    if control.get("should_training_stop"):  # out of patience: the Trainer would go on for another epoch
        trainer.state = state
        trainer._load_best_model()
    else:
        trainer.train(resume_from_checkpoint=last and str(last))
    history = history_of(trainer.state.log_history)
    best_step = trainer.state.best_global_step or trainer.state.global_step
    headline = f"val_{study.run.task.headline}"
    best = next((r[headline] for r in history if r["step"] == best_step and headline in r), 0.0)
    return FitResult(study.variant, history, parameters, best, best_step, note)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint; folders that a kill left half written are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        try:
            read_json(path / "trainer_state.json")["global_step"]  # the Trainer writes it last
        except (UserError, KeyError):
            shutil.rmtree(path)
    return next((path for path in reversed(found) if path.exists()), None)


def clear_checkpoints(folder: Path) -> None:
    """Remove the checkpoints of a finished variant: three times the weights each, for nothing any more."""
    for path in (folder / "trainer").glob("checkpoint-*"):
        shutil.rmtree(path)


def history_of(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Trainer's log as one record a step in the names of :data:`RECORDED`."""
    records: dict[int, dict[str, Any]] = {}
    for entry in log_history:
        # in our order: what a checkpoint has kept of the log comes back in another one
        known = {
            ours: entry[key] for key, ours in RECORDED.items() if math.isfinite(entry.get(key, math.nan))
        }
        if known:
            records.setdefault(entry["step"], {"step": entry["step"], "epoch": entry["epoch"]}).update(known)
    return [records[step] for step in sorted(records)]
