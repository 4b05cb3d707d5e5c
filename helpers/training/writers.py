"""The one trainer of models that write: transformers' Trainer, or TRL's SFTTrainer where the studies used it.

Both get the same mixin: sampler, batches, loss, mean over tokens, validation, checkpoints. A variant differs from another
in what its row says and in nothing else: an adapter or all weights, the bits of the base, the loss.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
from datasets import Dataset
from tqdm import tqdm
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTConfig, SFTTrainer

from helpers.models import processes
from helpers.models.adapters import ALL_LINEAR, ATTENTION, add_lora, count_parameters
from helpers.models.base import device_of, load_base, load_tokenizer
from helpers.models.four_bit import four_bit_problem
from helpers.models.int8 import packed_once, use_int8
from helpers.run import Run
from helpers.tasks import Example
from helpers.training.log import report_to
from helpers.training.loop import FitResult, check_finite, validation_score
from helpers.training.losses import Targets, answer_loss, entity_loss, next_token_targets, structured_loss
from helpers.training.rows import encode_rows, variant_settings
from helpers.writing.encode import IGNORE, Encoded, collate

Loss = Callable[[Targets], torch.Tensor]


class LengthSampler(LengthGroupedSampler):
    """Batches of rows of like length, in an order that the seed and the epoch decide alone.

    The library's sampler goes from the longest rows to the shortest, over and over, so that the last steps see short ones
    alone, and draws on the generator that dropout uses too; processes that train together would drift apart.
    """

    def __init__(self, size: int, lengths: list[int], seed: int):
        super().__init__(size, lengths=lengths, generator=torch.Generator())
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        self.generator.manual_seed(1000 * self.seed + self.epoch)
        rows, size = list(super().__iter__()), self.batch_size
        whole = len(rows) // size
        for batch in (
            *torch.randperm(whole, generator=self.generator).tolist(),
            whole,
        ):  # the cut one stays last
            yield from rows[batch * size : (batch + 1) * size]


class Collator:
    """Pads encoded rows: the tensors of :func:`helpers.writing.encode.collate` and `labels`, those of prompts ignored."""

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        batch = collate(
            [Encoded(row["input_ids"], row["field_ids"], row["blocks"]) for row in rows], self.pad
        )
        return batch | {"labels": torch.where(batch["field_ids"] == -2, IGNORE, batch["input_ids"])}


class StudyMixin:
    """What all variants share, on top of either trainer of the libraries.

    `study` is (run, variant, validation examples, loss, whether the prompt is learnt too).
    """

    def __init__(self, *args: Any, study: tuple[Run, str, list[Example], Loss, bool], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.study = study

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthSampler:
        rows = self.train_dataset if train_dataset is None else train_dataset
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * processes.count()
        return LengthSampler(together, rows["length"][:], self.args.seed)

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        run, variant, *_ = self.study
        check_finite(loss.item(), "loss", run, variant, self.state.global_step)
        return loss

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The variant's loss; with several batches a step each counts by its answer tokens.

        Logits are made for the positions that are learnt alone: the libraries' own loss scores every position where there
        is no Triton, which on a CPU takes a third of a step.
        """
        *_, loss_function, with_prompt = self.study
        with self.accelerator.autocast():  # accelerate's own is around the forward pass of the whole model
            loss = loss_function(next_token_targets(model, inputs, with_prompt))
        if num_items_in_batch is not None:
            loss = loss * (inputs["labels"][:, 1:] != IGNORE).sum() / num_items_in_batch
            if self.args.average_tokens_across_devices:
                loss = loss * self.accelerator.num_processes
        return (loss, {}) if return_outputs else loss

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        tied = set(getattr(self.model, "all_tied_weights_keys", ()))  # the head is the embedding: in no file
        load_result.missing_keys[:] = [name for name in load_result.missing_keys if name not in tied]
        super()._issue_warnings_after_load(load_result)

    def evaluation_loop(self, *args: Any, **kwargs: Any):
        # added here rather than in `evaluate`, so that early stopping sees the score as well
        with packed_once(self.model):
            output = super().evaluation_loop(*args, **kwargs)
            run, _, rows, *_ = self.study
            if (
                processes.shards_model()
            ):  # generating would gather every layer for every token: the loss alone chooses
                output.metrics["eval_val_score"] = -output.metrics["eval_loss"]
                return output
            score = validation_score(run, self.model, self.processing_class, rows)
        # the loss breaks ties between checkpoints of equal score
        score["val_score"] = score[f"val_{run.task.headline}"] - 1e-4 * min(
            output.metrics["eval_loss"], 100.0
        )
        output.metrics.update({f"eval_{name}": value for name, value in score.items()})
        return output


class WriterTrainer(StudyMixin, Trainer):
    """transformers' Trainer with what all variants share."""


class WriterSFTTrainer(StudyMixin, SFTTrainer):
    """TRL's SFTTrainer with what all variants share."""


class GradientCheck(TrainerCallback):
    """Stop with a clear message when a logged gradient norm is no number."""

    def __init__(self, run: Run, variant: str):
        self.run, self.variant = run, variant

    def on_log(self, args, state, control, logs=None, **kwargs):
        if (
            logs and "grad_norm" in logs and not args.fp16
        ):  # in fp16 an inf is a step that the loss scaler skips
            check_finite(float(logs["grad_norm"]), "gradient", self.run, self.variant, state.global_step)


class Progress(TrainerCallback):
    """The progress bar of the other trainers, which a log can follow too, in place of the library's table."""

    def __init__(self, name: str):
        self.name, self.bar = name, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(
            total=state.max_steps,
            initial=state.global_step,
            desc=self.name,
            disable=not state.is_world_process_zero,
        )

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(state.global_step - self.bar.n)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        if self.bar is not None and "eval_val_score" in metrics:
            self.bar.set_postfix(score=f"{metrics['eval_val_score']:.3f}")

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


def loss_of(run: Run, variant: str) -> Loss:
    """The loss of a variant's row with the weights that its settings give."""
    own, task = variant_settings(run, variant), run.task
    kind = task.variants.writers[variant].loss
    if kind == "entity":
        weights = torch.tensor([kind.weight for kind in task.kinds.values()])
        return lambda targets: entity_loss(
            targets, weights.to(targets.logits.device), own["entity_loss_weight"]
        )
    if kind == "structured":
        return partial(
            structured_loss, fields=len(task.fields), beta=own["beta"], gamma=own["gamma"], delta=own["delta"]
        )
    return partial(answer_loss, length_power=own.get("length_power", 0.0))


def base_of(run: Run, variant: str) -> tuple[PreTrainedModel, dict[str, int], str]:
    """The model that a variant trains, its parameters, and what the reader should know of it.

    Adapter, bits and device decide: LoRA on a base that is frozen, in int8 (CPU), 4 bits or full precision; or all
    weights, in fp32.
    """
    own, on_cpu, note = variant_settings(run, variant), device_of(run.profile).device == "cpu", ""
    problem = four_bit_problem() if own["bits"] == 4 else None
    four_bit = own["bits"] == 4 and problem is None
    if problem:
        print(f"{variant}: 4-bit layers do not work here ({problem}); plain LoRA is trained instead")
        note = f"plain LoRA: {problem}"
    elif four_bit:
        note = "base in 4-bit NF4, double quantisation"
    adapter = run.task.variants.writers[variant].adapter
    model = load_base(run, four_bit, dtype=None if adapter else torch.float32)
    if four_bit:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=run.profile == "gpu")
    if adapter:
        targets = ALL_LINEAR if own["targets"] == "all" else ATTENTION
        model = add_lora(model, own["rank"], own["alpha"], own["dropout"], targets, run.seed)
    parameters = count_parameters(model)
    if on_cpu and own["bits"] in (4, 8):
        use_int8(model)
    return model, parameters, note


def dataset_of(run: Run, tokenizer, rows: list[Example], questions: int = 0) -> Dataset:
    """Encoded rows as a data set with the columns input_ids, field_ids, blocks (empty where unused) and length."""
    encoded = encode_rows(run, tokenizer, rows, questions)
    return Dataset.from_dict(
        {
            "input_ids": [item.input_ids for item in encoded],
            "field_ids": [item.field_ids for item in encoded],
            "blocks": [item.blocks for item in encoded],
            "length": [len(item) for item in encoded],
        }
    )


def by_length(rows: Dataset) -> Dataset:
    """The rows of a data set from the shortest to the longest."""
    lengths = rows["length"][:]
    return rows.select(sorted(range(len(rows)), key=lengths.__getitem__))


def training_arguments(run: Run, variant: str, folder: Path) -> TrainingArguments:
    """The libraries' configuration of a variant: batches by length, checkpoints and scores once an epoch."""
    own, chosen = variant_settings(run, variant), device_of(run.profile)
    on_cpu, trl = chosen.device == "cpu", run.task.variants.writers[variant].trl
    size, accumulation = processes.split_batch(own["batch_size"], own["accumulation"], processes.count())
    # TRL would make its own loss in pieces, cut rows at 1,024 tokens and prepare the rows again
    more = (
        {
            "loss_type": "nll",
            "max_length": None,
            "packing": False,
            "dataset_kwargs": {"skip_prepare_dataset": True},
        }
        if trl
        else {}
    )
    return (SFTConfig if trl else TrainingArguments)(
        output_dir=str(folder / "trainer"),
        num_train_epochs=own["epochs"],
        learning_rate=own["learning_rate"],
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulation,
        per_device_eval_batch_size=max(1, min(16, 4 * own["batch_size"])),
        weight_decay=own["weight_decay"],
        max_grad_norm=own["clip_norm"],
        warmup_steps=own["warmup_steps"],
        lr_scheduler_type="cosine",
        use_cpu=on_cpu,
        bf16=chosen.dtype == torch.bfloat16,
        fp16=chosen.dtype == torch.float16,
        gradient_checkpointing=run.profile == "gpu",
        prediction_loss_only=True,
        label_names=["labels"],
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=2,
        load_best_model_at_end=True,
        metric_for_best_model="eval_val_score",
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=[report_to(run)],
        remove_unused_columns=False,
        seed=run.seed,
        data_seed=run.seed,
        dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu,
        ddp_broadcast_buffers=False,  # int8 weights never change: no need to send them at each step
        optim="adamw_torch_fused",
        disable_tqdm=True,
        **more,
    )


def make_trainer(
    run: Run, variant: str, model, tokenizer, train: list[Example], validation: list[Example], folder: Path
) -> WriterTrainer | WriterSFTTrainer:
    """The trainer of a variant over a model of :func:`base_of`, ready to train or to go on."""
    datasets.disable_progress_bars()  # bars of rows that are mapped would hide the one of the training
    kind = WriterSFTTrainer if run.task.variants.writers[variant].trl else WriterTrainer
    trainer = kind(
        model=model,
        args=training_arguments(run, variant, folder),
        processing_class=tokenizer,
        train_dataset=dataset_of(run, tokenizer, train, variant_settings(run, variant).get("questions", 0)),
        eval_dataset=by_length(dataset_of(run, tokenizer, validation)),
        data_collator=Collator(tokenizer.pad_token_id),
        callbacks=[
            EarlyStoppingCallback(variant_settings(run, variant)["patience"]),
            GradientCheck(run, variant),
            Progress(variant),
        ],
        study=(
            run,
            variant,
            validation,
            loss_of(run, variant),
            variant_settings(run, variant).get("learn_prompt", False),
        ),
    )
    trainer.remove_callback(PrinterCallback)
    for parameter in trainer.model.parameters():
        if (
            parameter.requires_grad
        ):  # TRL casts the adapter of a 4-bit base to bf16, whatever the configuration says
            parameter.data = parameter.data.float()
    return trainer


def fit_writer(
    run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path
) -> FitResult:
    """Train a variant that writes; its best checkpoint, by the validation score, is left in `folder/best`."""
    tokenizer = load_tokenizer(run)
    model, parameters, note = base_of(run, variant)
    trainer = make_trainer(run, variant, model, tokenizer, train, validation, folder)
    trainer.train(resume_from_checkpoint=last_checkpoint(folder / "trainer"))
    weights = trainer.accelerator.get_state_dict(trainer.model) if processes.shards_model() else None
    if processes.is_main():
        trainer.model.save_pretrained(folder / "best", state_dict=weights)
        for path in (folder / "trainer").glob(
            "checkpoint-*"
        ):  # three times the weights each, for nothing any more
            shutil.rmtree(path)
    history = history_of(trainer.state.log_history)
    best_step = trainer.state.best_global_step or trainer.state.global_step
    headline = f"val_{run.task.headline}"
    best = next((r[headline] for r in history if r["step"] == best_step and headline in r), 0.0)
    return FitResult(variant, history, parameters, best, best_step, note)


def last_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint; folders that a kill left half written are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        if not (path / "trainer_state.json").exists():  # the Trainer writes it last
            shutil.rmtree(path)
    complete = [path for path in found if path.exists()]
    return str(complete[-1]) if complete else None


def history_of(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Trainer's log as one record a step in the names of :class:`helpers.training.fit.FitResult`."""
    names = {
        "loss": "loss",
        "learning_rate": "lr",
        "eval_loss": "val_loss",
        "eval_val_exact_match": "val_exact_match",
        "eval_val_field_accuracy": "val_field_accuracy",
        "eval_val_exact_f1": "val_exact_f1",
    }
    records: dict[int, dict[str, Any]] = {}
    for entry in log_history:
        # in the order of `names`: what a checkpoint has kept of the log comes back in another one
        known = {
            ours: entry[key] for key, ours in names.items() if key in entry and math.isfinite(entry[key])
        }
        if known:
            records.setdefault(entry["step"], {"step": entry["step"], "epoch": entry.get("epoch")}).update(
                known
            )
    return [records[step] for step in sorted(records)]
