"""Fine-tuning with TRL's SFTTrainer and a PEFT adapter, on the full-precision or the 4-bit base."""
from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import datasets
import torch
import torch.nn.functional as F
from datasets import Dataset
from tqdm import tqdm
from transformers import EarlyStoppingCallback, PrinterCallback, TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler
from trl import SFTConfig, SFTTrainer

from helpers import processes
from helpers.config import Run
from helpers.encode import IGNORE, Encoded, attention_inputs, collate
from helpers.losses import answer_weights, number_answers
from helpers.models import (
    ALL_LINEAR, ATTENTION, add_lora, count_parameters, device_of, four_bit_problem, load_base, load_tokenizer)
from helpers.tasks import Example
from helpers.train import FitResult, check_finite, encode_rows, validation_score, variant_settings
from helpers.train_log import report_to


class LengthSampler(LengthGroupedSampler):
    """Rows of like length together, in an order that the seed and the epoch decide alone.

    The library's sampler draws on the generator that dropout uses too; processes that train together would drift apart.
    """

    def __init__(self, size: int, lengths: list[int], seed: int):
        super().__init__(size, lengths=lengths, generator=torch.Generator())
        self.seed, self.epoch = seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        self.generator.manual_seed(1000 * self.seed + self.epoch)
        return super().__iter__()


class ScoredSFTTrainer(SFTTrainer):
    """SFTTrainer that scores generated answers at each evaluation and stops on a loss that is no number.

    `study` is (run, variant, validation examples).
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthSampler:
        rows = self.train_dataset if train_dataset is None else train_dataset
        together = self.args.train_batch_size * self.args.gradient_accumulation_steps * processes.count()
        return LengthSampler(together, list(map(len, rows["input_ids"])), self.args.seed)

    def __init__(self, *args: Any, study: tuple[Run, str, list[Example]], **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.study = study

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        loss = super().training_step(*args, **kwargs)
        run, variant, _ = self.study
        check_finite(loss.item(), "loss", run, variant, self.state.global_step)
        return loss

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Mean loss of what is learnt, :func:`helpers.losses.answer_loss`; logits are made for these positions alone.

        The library's own loss scores every position where there is no Triton, which on a CPU takes a third of a step.
        """
        run, variant, _ = self.study
        labels = inputs["labels"][:, 1:]
        learnt = labels != IGNORE
        positions = learnt.any(0).nonzero()[:, 0]
        others = {name: tensor for name, tensor in inputs.items() if name != "labels"}
        outputs = model(**others, use_cache=False, logits_to_keep=positions)
        losses = F.cross_entropy(outputs.logits[learnt[:, positions]].float(), labels[learnt], reduction="none")
        power = variant_settings(run, variant).get("length_power", 0.0)
        weights = answer_weights(number_answers(learnt), power) if power else 1.0
        # over the tokens of all batches that make one step, as the library counts them
        tokens = len(losses) if num_items_in_batch is None else num_items_in_batch
        loss = (losses * weights).sum() / tokens
        if self.args.average_tokens_across_devices and num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def evaluation_loop(self, *args: Any, **kwargs: Any):
        # added here rather than in `evaluate`, so that early stopping sees the score as well
        output = super().evaluation_loop(*args, **kwargs)
        run, _, rows = self.study
        if processes.shards_model():  # generating would gather every layer for every token: the loss alone chooses
            output.metrics["eval_val_score"] = -output.metrics["eval_loss"]
            return output
        score = validation_score(run, self.model, self.processing_class, rows)
        # the loss breaks ties between checkpoints of equal score
        score["val_score"] = score[f"val_{run.task.headline}"] - 1e-4 * min(output.metrics["eval_loss"], 100.0)
        output.metrics.update({f"eval_{name}": value for name, value in score.items()})
        return output


class GradientCheck(TrainerCallback):
    """Stop with a clear message when a logged gradient norm is no number."""

    def __init__(self, run: Run, variant: str):
        self.run, self.variant = run, variant

    def on_log(self, args, state, control, logs=None, **kwargs):
        if logs and "grad_norm" in logs and not args.fp16:  # in fp16 an inf is a step that the loss scaler skips
            check_finite(float(logs["grad_norm"]), "gradient", self.run, self.variant, state.global_step)


class Progress(TrainerCallback):
    """The progress bar of the other trainers, which a log can follow too, in place of the library's table."""

    def __init__(self, name: str):
        self.name, self.bar = name, None

    def on_train_begin(self, args, state, control, **kwargs):
        self.bar = tqdm(total=state.max_steps, initial=state.global_step, desc=self.name,
                        disable=not state.is_world_process_zero)

    def on_step_end(self, args, state, control, **kwargs):
        self.bar.update(state.global_step - self.bar.n)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        if self.bar is not None and "eval_val_score" in metrics:
            self.bar.set_postfix(score=f"{metrics['eval_val_score']:.3f}")

    def on_train_end(self, args, state, control, **kwargs):
        self.bar.close()


def fit_sft(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path) -> FitResult:
    """LoRA by SFTTrainer on the full-precision base; the loss is on the completion only."""
    return _fit(run, variant, train, validation, folder, four_bit=False)


def fit_sft_4bit(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path) -> FitResult:
    """QLoRA (Dettmers et al., 2023): LoRA on a base in 4-bit NF4; plain LoRA, with the reason, where 4 bits fail."""
    problem = four_bit_problem()
    if problem:
        print(f"{variant}: 4-bit layers do not work here ({problem}); plain LoRA is trained instead")
    result = _fit(run, variant, train, validation, folder, four_bit=problem is None)
    result.note = f"plain LoRA: {problem}" if problem else "base in 4-bit NF4, double quantisation"
    return result


def _dataset(run: Run, tokenizer, rows: list[Example]) -> Dataset:
    encoded = encode_rows(run, tokenizer, rows)
    columns = {"input_ids": [item.input_ids for item in encoded], "labels": [item.labels for item in encoded],
               "length": [len(item) for item in encoded]}
    if encoded[0].blocks:
        columns["blocks"] = [item.blocks for item in encoded]
    return Dataset.from_dict(columns)


class BlockCollator:
    """Pads rows whose questions do not see each other and adds the mask that keeps them apart."""

    def __init__(self, pad: int):
        self.pad = pad

    def __call__(self, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        encoded = [Encoded(row["input_ids"], row["labels"], row["blocks"]) for row in rows]
        batch = collate(encoded, self.pad)
        labels = batch["field_ids"].masked_fill(batch["attention_mask"] == 0, IGNORE)
        return {"input_ids": batch["input_ids"], "labels": labels, **attention_inputs(batch)}


def sft_config(run: Run, variant: str, folder: Path) -> SFTConfig:
    """TRL's configuration of a variant: batches by length, checkpoints and scores once an epoch."""
    own, chosen = variant_settings(run, variant), device_of(run.profile)
    independent = run.settings.get("dialogue") == "independent"  # such rows have a column that no model takes
    on_cpu = chosen.device == "cpu"
    size, accumulation = processes.split_batch(own["batch_size"], own["accumulation"], processes.count())
    return SFTConfig(
        output_dir=str(folder / "trainer"), num_train_epochs=own["epochs"], learning_rate=own["learning_rate"],
        per_device_train_batch_size=size, gradient_accumulation_steps=accumulation,
        per_device_eval_batch_size=own["batch_size"], weight_decay=own["weight_decay"],
        max_grad_norm=own["clip_norm"], warmup_steps=own["warmup_steps"], lr_scheduler_type="cosine",
        use_cpu=on_cpu, bf16=chosen.dtype == torch.bfloat16, fp16=chosen.dtype == torch.float16,
        loss_type="nll", max_length=run["max_length"], packing=False, gradient_checkpointing=run.profile == "gpu",
        train_sampling_strategy="group_by_length", length_column_name="length",
        eval_strategy="epoch", save_strategy="epoch", save_total_limit=2, load_best_model_at_end=True,
        metric_for_best_model="eval_val_score", greater_is_better=True, restore_callback_states_from_checkpoint=True,
        logging_steps=1, logging_nan_inf_filter=False, report_to=[report_to(run)],
        seed=run.seed, data_seed=run.seed, remove_unused_columns=not independent, dataloader_num_workers=0,
        dataloader_pin_memory=not on_cpu, optim="adamw_torch", disable_tqdm=True)


def _fit(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path,
         four_bit: bool) -> FitResult:
    own = variant_settings(run, variant)
    tokenizer, base = load_tokenizer(run), load_base(run, four_bit)
    targets = ALL_LINEAR if own["targets"] == "all" else ATTENTION
    if four_bit:
        from peft import prepare_model_for_kbit_training
        base = prepare_model_for_kbit_training(base, use_gradient_checkpointing=run.profile == "gpu")
    model = add_lora(base, own["rank"], own["alpha"], own["dropout"], targets, run.seed)
    parameters = count_parameters(model)
    rows = _dataset(run, tokenizer, train)
    datasets.disable_progress_bars()  # four bars of rows that are mapped would hide the one of the training
    trainer = ScoredSFTTrainer(
        model=model, args=sft_config(run, variant, folder), processing_class=tokenizer, train_dataset=rows,
        eval_dataset=_dataset(run, tokenizer, validation),
        data_collator=BlockCollator(tokenizer.pad_token_id) if "blocks" in rows.column_names else None,
        callbacks=[EarlyStoppingCallback(own["patience"]), GradientCheck(run, variant), Progress(variant)],
        study=(run, variant, validation))
    trainer.remove_callback(PrinterCallback)
    for parameter in trainer.model.parameters():
        if parameter.requires_grad:  # TRL casts the adapter of a 4-bit base to bf16, whatever the configuration says
            parameter.data = parameter.data.float()
    trainer.train(resume_from_checkpoint=last_checkpoint(folder / "trainer"))
    weights = trainer.accelerator.get_state_dict(trainer.model) if processes.shards_model() else None
    if processes.is_main():
        trainer.model.save_pretrained(folder / "best", state_dict=weights)
    history = history_of(trainer.state.log_history)
    best_step = trainer.state.best_global_step or trainer.state.global_step
    headline = f"val_{run.task.headline}"
    best = next((r[headline] for r in history if r["step"] == best_step and headline in r), 0.0)
    return FitResult(variant, history, parameters, best, best_step)


def last_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint; folders that a kill left half written are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    for path in found:
        if not (path / "trainer_state.json").exists():  # the Trainer writes it last
            shutil.rmtree(path)
    complete = [path for path in found if path.exists()]
    return str(complete[-1]) if complete else None


def history_of(log_history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The Trainer's log as one record a step in the names of :class:`helpers.train.FitResult`."""
    names = {"loss": "loss", "learning_rate": "lr", "eval_loss": "val_loss",
             "eval_val_exact_match": "val_exact_match", "eval_val_field_accuracy": "val_field_accuracy",
             "eval_val_exact_f1": "val_exact_f1"}
    records: dict[int, dict[str, Any]] = {}
    for entry in log_history:
        known = {names[key]: value for key, value in entry.items() if key in names and math.isfinite(value)}
        if known:
            records.setdefault(entry["step"], {"step": entry["step"], "epoch": entry.get("epoch")}).update(known)
    return [records[step] for step in sorted(records)]
