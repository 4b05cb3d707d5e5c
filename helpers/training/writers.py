"""Training of models that write: transformers' Trainer, or TRL's SFTTrainer where the studies used it.

Both get the same mixin: sampler, batches, loss, mean over tokens, validation. A variant differs from another in what its
row says and in nothing else: an adapter or all weights, the bits of the base, the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
from datasets import Dataset
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTConfig, SFTTrainer

from helpers.errors import UserError
from helpers.machine import free_memory, is_main_process, process_count, shards_model
from helpers.models.adapters import adapted_layers, add_lora, count_parameters
from helpers.models.base import device_of, four_bit_config, four_bit_problem, load_base, load_tokenizer
from helpers.models.int8 import packed_once, use_int8
from helpers.models.memory import needs_checkpointing
from helpers.run import Run
from helpers.tasks import Example
from helpers.training import common
from helpers.training.losses import Targets, answer_loss, entity_loss, next_token_targets, structured_loss
from helpers.training.rows import encode_rows, variant_settings
from helpers.writing.encode import IGNORE, PROMPT, Encoded, collate

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
        for batch in (*torch.randperm(whole, generator=self.generator).tolist(), whole):  # the cut one last
            yield from rows[batch * size : (batch + 1) * size]


class Collator:
    """Pads encoded rows: the tensors of :func:`helpers.writing.encode.collate` and `labels`, those of prompts ignored."""

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        encoded = [Encoded(row["input_ids"], row["field_ids"], row["blocks"]) for row in rows]
        batch = collate(encoded, self.pad)
        return batch | {"labels": torch.where(batch["field_ids"] == PROMPT, IGNORE, batch["input_ids"])}


class WriterMixin(common.StudyMixin):
    """What all writers share, on top of either trainer of the libraries."""

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthSampler:
        rows = self.train_dataset if train_dataset is None else train_dataset
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * process_count()
        return LengthSampler(together, rows["length"][:], self.args.seed)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """The variant's loss; with several batches a step each counts by its answer tokens.

        Logits are made for the positions that are learnt alone: the libraries' own loss scores every position where there
        is no Triton, which on a CPU takes a third of a step.
        """
        study = self.study
        with_prompt = study.run.settings.get(f"{study.variant}.learn_prompt", False)
        with self.accelerator.autocast():  # accelerate's own is around the forward pass of the whole model
            loss = study.loss(next_token_targets(model, inputs, with_prompt))
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
        free_memory()  # decoding wants other blocks than a training step
        with packed_once(self.model):
            output = super().evaluation_loop(*args, **kwargs)
            loss, run = output.metrics["eval_loss"], self.study.run
            if shards_model():  # generating would gather every layer for every token
                output.metrics["eval_val_score"] = -loss
                return output
            score = common.validation_score(run, self.model, self.processing_class, self.study.validation)
        # the loss breaks ties between checkpoints of equal score
        score["val_score"] = score[f"val_{run.task.headline}"] - 1e-4 * min(loss, 100.0)
        output.metrics.update({f"eval_{name}": value for name, value in score.items()})
        return output


class WriterTrainer(WriterMixin, Trainer):
    """transformers' Trainer with what all writers share."""


class WriterSFTTrainer(WriterMixin, SFTTrainer):
    """TRL's SFTTrainer with what all writers share."""


def loss_of(run: Run, variant: str) -> Loss:
    """The loss of a variant's row with the weights that its settings give."""
    own, task = variant_settings(run, variant), run.task
    kind = task.variants.writers[variant].loss
    if kind == "entity":
        weights = torch.tensor([kind.weight for kind in task.kinds.values()])
        return partial(entity_loss, field_weights=weights, entity_loss_weight=own["entity_loss_weight"])
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
    own, adapter, note = variant_settings(run, variant), run.task.variants.writers[variant].adapter, ""
    problem = four_bit_problem() if own["bits"] == 4 else None
    four_bit = own["bits"] == 4 and problem is None
    if problem:
        print(f"{variant}: 4-bit layers do not work here ({problem}); plain LoRA is trained instead")
        note = f"plain LoRA: {problem}"
    elif four_bit:
        note = "base in 4-bit NF4, double quantisation"
    model = load_base(
        run, four_bit_config(run) if four_bit else None, dtype=None if adapter else torch.float32
    )
    if four_bit:
        from peft import prepare_model_for_kbit_training

        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
    if adapter:
        targets = adapted_layers(model, own["targets"])
        model = add_lora(model, own["rank"], own["alpha"], own["dropout"], targets, run.seed)
    parameters = count_parameters(model)
    if own["bits"] in (4, 8) and device_of(run.profile).device == "cpu":
        use_int8(model)
    return model, parameters, note


def dataset_of(run: Run, tokenizer, rows: list[Example], questions: int = 0) -> Dataset:
    """Encoded rows as a data set with the columns input_ids, field_ids, blocks (empty where unused) and length."""
    encoded = encode_rows(run, tokenizer, rows, questions)
    columns = {name: [getattr(row, name) for row in encoded] for name in ("input_ids", "field_ids", "blocks")}
    return Dataset.from_dict(columns | {"length": [len(row) for row in encoded]})


def split_batch(batch_size: int, accumulation: int, processes: int) -> tuple[int, int]:
    """Batch size and accumulation of each process, so that all of them together see the rows that one would see."""
    if batch_size % processes == 0:
        return batch_size // processes, accumulation
    if accumulation % processes == 0:
        return batch_size, accumulation // processes
    raise UserError(
        f"{processes} processes cannot share batch_size={batch_size} × accumulation={accumulation} evenly: "
        "set one of the two to a multiple of the processes with --set"
    )


def training_arguments(
    run: Run, variant: str, folder: Path, checkpointing: bool = False
) -> TrainingArguments:
    """The libraries' configuration of a variant: checkpoints and scores once an epoch."""
    own = variant_settings(run, variant)
    size, accumulation = split_batch(own["batch_size"], own["accumulation"], process_count())
    arguments = common.common_arguments(run, variant, folder) | {
        "num_train_epochs": own["epochs"],
        "learning_rate": own["learning_rate"],
        "per_device_train_batch_size": size,
        "gradient_accumulation_steps": accumulation,
        "per_device_eval_batch_size": max(1, min(16, 4 * own["batch_size"])),
        "weight_decay": own["weight_decay"],
        "warmup_steps": own["warmup_steps"],
        "lr_scheduler_type": "cosine",
        "optim": "adamw_torch_fused",
        "gradient_checkpointing": checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "prediction_loss_only": True,
        "label_names": ["labels"],
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "ddp_broadcast_buffers": False,  # int8 weights never change: no need to send them at each step
    }
    if not run.task.variants.writers[variant].trl:
        return TrainingArguments(**arguments)
    # TRL would make its own loss in pieces, cut rows at 1,024 tokens and prepare the rows again
    skip = {"skip_prepare_dataset": True}
    return SFTConfig(**arguments, loss_type="nll", max_length=None, packing=False, dataset_kwargs=skip)


def make_trainer(
    run: Run, variant: str, model, tokenizer, rows: list[Example], validation: list[Example], folder: Path
) -> WriterTrainer | WriterSFTTrainer:
    """The trainer of a variant over a model of :func:`base_of`, ready to train or to go on."""
    datasets.disable_progress_bars()  # bars of rows that are mapped would hide the one of the training
    own = variant_settings(run, variant)
    encoded = dataset_of(run, tokenizer, rows, own.get("questions", 0))
    checkpointing = needs_checkpointing(run, variant, own["batch_size"] * max(encoded["length"][:]))
    trainer = (WriterSFTTrainer if run.task.variants.writers[variant].trl else WriterTrainer)(
        model=model,
        args=training_arguments(run, variant, folder, checkpointing),
        processing_class=tokenizer,
        train_dataset=encoded,
        eval_dataset=dataset_of(run, tokenizer, validation).sort("length"),
        data_collator=Collator(tokenizer.pad_token_id),
        callbacks=[EarlyStoppingCallback(own["patience"])],
        study=common.Study(run, variant, validation, loss_of(run, variant)),
    )
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:  # TRL casts the adapter of a 4-bit base to bf16, whatever is configured
            parameter.data = parameter.data.float()
    return trainer


def fit_writer(
    run: Run, variant: str, rows: list[Example], validation: list[Example], folder: Path
) -> common.FitResult:
    """Train a variant that writes; its best checkpoint, by the validation score, is left in `folder/best`."""
    model, parameters, note = base_of(run, variant)
    trainer = make_trainer(run, variant, model, load_tokenizer(run), rows, validation, folder)
    result = common.train(trainer, parameters, note)
    weights = trainer.accelerator.get_state_dict(trainer.model) if shards_model() else None
    if is_main_process():
        trainer.model.save_pretrained(folder / "best", state_dict=weights)
    return result
