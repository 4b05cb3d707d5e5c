"""One LoRA training by several trainers: useful tokens a second, and what the cores could do at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tasks.records import Example
from helpers.training import writers

SIZE = 2048  # of the square matrices whose product shows what the cores can do
WIDTH = 512  # to which the studies pad
OURS, INT8 = "our trainer", "our trainer, base in int8"
OTHERS = ("Trainer, rows padded to 512", "SFTTrainer as it comes", "SFTTrainer, nothing computed twice")


class Clock(TrainerCallback):
    """Ends a training when its time is over and knows its rate in tokens that are no padding.

    The first step, which asks for memory, does not count.
    """

    def __init__(self, seconds: float):
        self.seconds, self.tokens, self.started, self.rate = seconds, 0, 0.0, 0.0

    def watch(self, trainer: Trainer) -> float:
        """Train until the time is over; returns the rate."""
        step = trainer.training_step

        def counted(model, inputs, *more):
            self.tokens += int(inputs["attention_mask"].sum())
            return step(model, inputs, *more)

        trainer.training_step = counted
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(self)
        trainer.train()
        return self.rate

    def on_step_end(self, args, state, control, **kwargs):
        now = time.perf_counter()
        if state.global_step == 1:
            self.started, self.tokens = now, 0
        else:
            self.rate = self.tokens / (now - self.started)
            control.should_training_stop = now - self.started >= self.seconds


def peak() -> float:
    """Floating-point operations a second of the best of five fp32 products of large matrices."""
    left, right, spent = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE), []
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        spent.append(time.perf_counter() - started)
    return 2 * SIZE**3 / min(spent)


def padded(rows: Sequence[dict[str, list[int]]], pad: int) -> dict[str, torch.Tensor]:
    """A batch as the studies make it: every row as long as the longest may be, every token learnt."""
    ids = torch.tensor([[*row["input_ids"], *[pad] * WIDTH][:WIDTH] for row in rows])
    mask = torch.tensor([[*[1] * len(row["input_ids"]), *[0] * WIDTH][:WIDTH] for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": ids.masked_fill(mask == 0, -100)}


def ways_to_train(
    run: Run, train: Sequence[Example], seconds: float
) -> tuple[dict[str, Callable[[], float]], float]:
    """Trainer → what gives its rate in tokens a second; and the operations that one token takes."""
    variant = next(name for name, writer in run.task.writers.items() if writer.adapter)
    lora = {f"{variant}.rank": 16, f"{variant}.alpha": 32, f"{variant}.targets": "all"}
    plain, int8 = (
        Run(
            run.task,
            run.profile,
            run.data,
            str(run.root),
            run.settings | lora | {f"{variant}.bits": bits},
            run.seed,
        )
        for bits in (32, 8)
    )
    tokenizer = load_tokenizer(run)
    rows = writers.dataset_of(run, tokenizer, train)
    answers = rows.map(
        lambda row: {"completion_mask": [int(kind != -2) for kind in row["field_ids"]]},
        remove_columns=["field_ids", "blocks", "length"],
    )
    endless = {
        "max_steps": 10**6,
        "eval_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "seed": run.seed,
        "output_dir": str(run.dir / "trainer"),
    }

    def ours(of: Run) -> Trainer:
        args = writers.training_arguments(of, variant, run.dir)
        for name, value in endless.items():
            setattr(args, name, value)
        kind = writers.WriterSFTTrainer if run.task.writers[variant].trl else writers.WriterTrainer
        return kind(
            model=writers.base_of(of, variant)[0],
            args=args,
            train_dataset=rows,
            processing_class=tokenizer,
            data_collator=writers.Collator(tokenizer.pad_token_id),
            study=(of, variant, [], writers.loss_of(run, variant), False),
        )

    def study() -> Trainer:
        return Trainer(
            model=writers.base_of(plain, variant)[0],
            args=TrainingArguments(**endless),
            train_dataset=answers.select_columns("input_ids"),
            data_collator=lambda batch: padded(batch, tokenizer.pad_token_id),
        )

    def trl(**more: Any) -> Trainer:
        # learns completions alone, as it does where prompt and completion come as texts
        return SFTTrainer(
            model=writers.base_of(plain, variant)[0],
            train_dataset=answers,
            processing_class=tokenizer,
            args=SFTConfig(**endless, completion_only_loss=True, **more),
        )

    trainer = ours(plain)
    batch = next(iter(trainer.get_train_dataloader()))
    with FlopCounterMode(display=False) as counter:
        trainer.compute_loss(trainer.model, batch).backward()
    operations = counter.get_total_flops() / int(batch["attention_mask"].sum())
    return {
        OURS: lambda: Clock(seconds).watch(ours(plain)),
        OTHERS[0]: lambda: Clock(seconds).watch(study()),
        OTHERS[1]: lambda: Clock(seconds).watch(trl()),
        OTHERS[2]: lambda: Clock(seconds).watch(trl(gradient_checkpointing=False)),
        INT8: lambda: Clock(seconds).watch(ours(int8)),
    }, operations
