"""One LoRA training by several trainers: useful tokens a second, and the share of what the cores can do."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments
from trl import SFTConfig, SFTTrainer

from helpers.evaluation.turns import Bench, Line, pair
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.training import writers

SIZE = 2048  # of the square matrices whose product shows what the cores can do
WIDTH = 512  # to which the studies pad


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


def training(bench: Bench) -> list[Line]:
    """Tokens a second, without padding, of one LoRA training by several trainers; its share of the peak."""
    run = bench.run
    variant = next(name for name, writer in run.task.variants.writers.items() if writer.adapter)
    lora = {f"{variant}.{name}": value for name, value in (("rank", 16), ("alpha", 32), ("targets", "all"))}

    def bits(count: int) -> Run:
        return Run(
            run.task,
            run.profile,
            run.data,
            str(run.root),
            {**run.settings, **lora, f"{variant}.bits": count},
            run.seed,
        )

    tokenizer = load_tokenizer(run)
    rows = writers.dataset_of(run, tokenizer, bench.rows()["train"])
    plain = rows.map(
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

    def ours(count: int) -> Trainer:
        args = writers.training_arguments(bits(count), variant, run.dir)
        for name, value in endless.items():
            setattr(args, name, value)
        kind = writers.WriterSFTTrainer if run.task.variants.writers[variant].trl else writers.WriterTrainer
        return kind(
            model=writers.base_of(bits(count), variant)[0],
            args=args,
            train_dataset=rows,
            processing_class=tokenizer,
            data_collator=writers.Collator(tokenizer.pad_token_id),
            study=(bits(count), variant, [], writers.loss_of(run, variant), False),
        )

    def study() -> Trainer:
        return Trainer(
            model=writers.base_of(bits(32), variant)[0],
            args=TrainingArguments(**endless),
            train_dataset=plain.select_columns("input_ids"),
            data_collator=lambda batch: padded(batch, tokenizer.pad_token_id),
        )

    def trl(**more: Any) -> Trainer:
        # learns completions alone, as it does where prompt and completion come as texts
        return SFTTrainer(
            model=writers.base_of(bits(32), variant)[0],
            train_dataset=plain,
            processing_class=tokenizer,
            args=SFTConfig(**endless, completion_only_loss=True, **more),
        )

    def way(make: Callable[[], Trainer]) -> Callable[[], float]:
        return lambda: Clock(bench.seconds).watch(make())

    trainer = ours(32)
    batch = next(iter(trainer.get_train_dataloader()))
    with FlopCounterMode(display=False) as counter:
        trainer.compute_loss(trainer.model, batch).backward()
    operations = counter.get_total_flops() / int(batch["attention_mask"].sum())
    del trainer
    mine, eight, cores = "our trainer", "our trainer, base in int8", "product of large matrices"
    others = ("Trainer, rows padded to 512", "SFTTrainer as it comes", "SFTTrainer, nothing computed twice")
    rates = bench.in_turns(
        "training",
        {
            mine: way(lambda: ours(32)),
            others[0]: way(study),
            others[1]: way(trl),
            others[2]: way(lambda: trl(gradient_checkpointing=False)),
            eight: way(lambda: ours(8)),
            cores: peak,
        },
    )
    gflops = {
        mine: [rate * operations / 1e9 for rate in rates[mine]],
        cores: [rate / 1e9 for rate in rates[cores]],
    }
    return [
        *(pair("training", rates, mine, other, "tokens/s") for other in others),
        pair("training", rates, eight, mine, "tokens/s"),
        pair("training", gflops, mine, cores, "GFLOP/s"),
    ]
