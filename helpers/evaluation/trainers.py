"""One LoRA training by several trainers: useful tokens a second, and what the cores could do at most."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from transformers import EarlyStoppingCallback, PrinterCallback, Trainer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tasks.records import Example
from helpers.training import writers

SIZE = 2048  # of the square matrices whose product shows what the cores can do
OURS, INT8 = "our trainer", "our trainer, base in int8"
OTHERS = ("SFTTrainer as it comes", "SFTTrainer, nothing computed twice")


class Clock(TrainerCallback):
    """Ends a training when its time is over and knows its rate in tokens that are no padding."""

    def __init__(self, seconds: float):
        self.seconds, self.first, self.rate = seconds, (0.0, 0), 0.0

    def on_step_end(self, args, state, control, **kwargs):
        now, tokens = time.perf_counter(), state.num_input_tokens_seen
        if state.global_step == 1:  # asks for memory, and does not count
            self.first = now, tokens
            return
        spent = now - self.first[0]
        self.rate = (tokens - self.first[1]) / spent
        control.should_training_stop = spent >= self.seconds


def rate_of_training(trainer: Trainer, seconds: float) -> float:
    """Train until the time is over; returns tokens a second."""
    clock = Clock(seconds)
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(clock)
    trainer.train()
    return clock.rate


def peak() -> float:
    """Floating-point operations a second of the best of five fp32 products of large matrices."""
    left, right, spent = torch.rand(SIZE, SIZE), torch.rand(SIZE, SIZE), []
    for _ in range(5):
        started = time.perf_counter()
        left @ right
        spent.append(time.perf_counter() - started)
    return 2 * SIZE**3 / min(spent)


def ways_to_train(run: Run, train: Sequence[Example], seconds: float) -> dict[str, Callable[[], float]]:
    """Trainer → what gives its rate in tokens a second, without padding."""
    variant = next(name for name, writer in run.task.variants.writers.items() if writer.adapter)
    lora = {f"{variant}.rank": 16, f"{variant}.alpha": 32, f"{variant}.targets": "all"}
    plain, int8 = (
        Run(
            run.task,
            run.profile,
            run.data,
            str(run.root),
            {**run.settings, **lora, f"{variant}.bits": bits},
            run.seed,
        )
        for bits in (32, 8)
    )
    tokenizer = load_tokenizer(run)
    endless = {
        "max_steps": 10**6,
        "eval_strategy": "no",
        "save_strategy": "no",
        "include_num_input_tokens_seen": "non_padding",
    }

    def ours(of: Run) -> Trainer:
        model = writers.base_of(of, variant)[0]
        trainer = writers.make_trainer(of, variant, model, tokenizer, list(train), list(train[:1]), run.dir)
        trainer.remove_callback(EarlyStoppingCallback)
        for name, value in endless.items():
            setattr(trainer.args, name, value)
        return trainer

    def trl(**more: Any) -> Trainer:
        # learns completions alone, as it does where prompt and completion come as texts
        rows = writers.dataset_of(plain, tokenizer, list(train))
        answers = rows.map(
            lambda row: {"completion_mask": [int(kind != -2) for kind in row["field_ids"]]},
            remove_columns=[name for name in rows.column_names if name != "input_ids"],
        )
        more = {**endless, "use_cpu": True, "bf16": False, "report_to": [], "disable_tqdm": True, **more}
        args = SFTConfig(str(run.dir / "trainer"), completion_only_loss=True, seed=run.seed, **more)
        model = writers.base_of(plain, variant)[0]
        return SFTTrainer(model=model, train_dataset=answers, processing_class=tokenizer, args=args)

    ways = {
        OURS: partial(ours, plain),
        OTHERS[0]: trl,
        OTHERS[1]: partial(trl, gradient_checkpointing=False),
        INT8: partial(ours, int8),
    }
    return {name: lambda make=make: rate_of_training(make(), seconds) for name, make in ways.items()}
