"""Training of taggers: full, LoRA, with word features, finer labels, averaged weights; made rows first."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from helpers.models.adapters import count_parameters
from helpers.models.int8 import packed_once
from helpers.models.packaged import encoder_path
from helpers.run import Run
from helpers.tagging import model as tagging
from helpers.tagging.encode import IGNORE, WindowRow, budget_batches, collate_windows
from helpers.tagging.features import fit_features
from helpers.tagging.model import TokenTagger, TrainedTagger
from helpers.tagging.predict import choose_multiple, predict_scores, records_of, transition_pmi
from helpers.tasks.base import Example
from helpers.tasks.variation import OTHER_WRITING
from helpers.training import common, rows
from helpers.training.rows import variant_settings

Loss = Callable[[TokenTagger, dict[str, torch.Tensor]], torch.Tensor]
Phase = tuple[Sequence[WindowRow], int]  # rows and epochs
AVERAGE_EVERY = 5  # steps


# -- loss and optimiser -----------------------------------------------------------------------------------------------
def tagging_loss(own: dict[str, Any]) -> Loss:
    """Loss of a variant's settings: cross-entropy of the classifier, summed over groups and averaged over words.

    Words of a value count `inside_weight` times: in a long text with many fields they are so few that a model does well for
    a long time by finding nothing. With finer labels the loss is the mean of that and of the negative log-likelihood of our
    tags.
    """

    def loss(model: TokenTagger, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits, layout, outputs = model.word_logits(batch), model.layout, batch["outputs"]
        weight = logits.new_full((len(layout.outputs),), own["inside_weight"])
        weight[0] = 1.0
        options = {"ignore_index": IGNORE, "reduction": "sum", "label_smoothing": own["label_smoothing"]}
        total = F.cross_entropy(logits.flatten(0, 1), outputs.flatten(), weight, **options)
        single = total / (outputs != IGNORE).any(1).sum().clamp(min=1)
        if not layout.fine:
            return single
        return 0.5 * single + 0.5 * F.nll_loss(model.tag_log_probs(logits)[:, 0], batch["tags"][:, 0])

    return loss


def cosine_factor(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate at a step: linear warm-up, then half a cosine down to nothing."""
    if step < warmup:
        return (step + 1) / warmup
    return (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))) / 2


def parameter_groups(model: TokenTagger, own: dict[str, Any]) -> list[dict[str, Any]]:
    """AdamW groups: new layers at `head_rate`, the rest at `learning_rate`; only matrices decay, embeddings do not."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            new = not name.startswith("base.") or {"classifier", tagging.CAUSAL_HEAD} & set(name.split("."))
            decays = parameter.ndim >= 2 and name.startswith("base.") and "embeddings" not in name
            key = (own["head_rate"] if new else own["learning_rate"], own["weight_decay"] if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
    # the rate of the first group is logged
    ranked = sorted(groups.items(), key=lambda item: item[0][0] != own["learning_rate"])
    return [{"params": group, "lr": rate, "weight_decay": decay} for (rate, decay), group in ranked]


class Learner(torch.nn.Module):
    """A tagger in training and, with a `decay`, the moving average of its weights, which then predicts."""

    def __init__(self, tagger: TokenTagger, decay: float):
        super().__init__()

        def follow(averages: list[torch.Tensor], weights: list[torch.Tensor], updates: torch.Tensor) -> None:
            count = int(updates)  # closely at first, when the weights still move far
            torch._foreach_lerp_(averages, weights, 1 - min(decay, count / (count + 9)))

        self.tagger, self.average = tagger, None
        if decay:
            self.average = AveragedModel(tagger, multi_avg_fn=follow)
            self.average.n_averaged.fill_(1)  # the weights at the start count

    @property
    def predicting(self) -> TokenTagger:
        return self.tagger if self.average is None else self.average.module

    def forward(self, loss: Loss, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        return loss(self.tagger, batch)


# -- what each step reads ---------------------------------------------------------------------------------------------
class Step(NamedTuple):
    """A step as it is planned before the first one is made, so that a kill changes nothing."""

    rows: list[WindowRow]
    kept: list[bool]  # which rows keep their features: a tagger learns to do without
    factor: float  # share of the learning rate
    epoch: float  # passes over the rows once it is made
    seed: int | None  # of dropout, where an epoch begins
    ends: bool  # whether an epoch ends with it
    last: bool  # whether it is of the last phase, where patience counts


def plan_steps(run: Run, variant: str, phases: Sequence[Phase]) -> Iterator[Step]:
    """The steps of all phases, one after the other; in each the learning rate warms up and falls along half a cosine.

    They depend on seed, variant and epoch alone. The last phase has its epochs, or as many as it takes to `least_steps`,
    so that few rows are read enough.
    """
    own, first = variant_settings(run, variant), 0
    for number, (given, epochs) in enumerate(phases):
        lengths, budget, last = [len(row) for row in given], own["batch_pieces"], number == len(phases) - 1
        if last:
            epochs = max(epochs, math.ceil(own["least_steps"] / len(budget_batches(lengths, budget))))
        orders = [random.Random(f"{run.seed}:{variant}:{first + at}") for at in range(epochs)]
        batches = [budget_batches(lengths, budget, rng) for rng in orders]
        steps, done = sum(map(len, batches)), 0
        warmup = max(1, round(own["warmup_share"] * steps))
        for epoch, of_epoch in enumerate(batches, first):
            rng = random.Random(f"{run.seed}:{variant}:{epoch}:dropout")
            seed: int | None = rng.randrange(2**31)
            for at, batch in enumerate(of_epoch, 1):
                kept = [rng.random() >= own["hint_dropout"] for _ in batch] if own["hint_dropout"] else []
                factor, ends = cosine_factor(done, steps, warmup), at == len(of_epoch)
                windows = [given[index] for index in batch]
                yield Step(windows, kept, factor, epoch + at / len(of_epoch), seed, ends, last)
                seed, done = None, done + 1
        first += epochs


class Plan(TrainerCallback):
    """Lets a trainer of a learner follow planned steps: seeds, averages, evaluations, and the end with patience."""

    def __init__(self, steps: list[Step], patience: int):
        self.steps, self.patience = steps, patience

    def on_step_begin(self, args, state, control, **kwargs):
        if (seed := self.steps[state.global_step].seed) is not None:
            torch.manual_seed(seed)

    def on_step_end(self, args, state, control, model, **kwargs):
        step = self.steps[state.global_step - 1]
        state.epoch, control.should_evaluate, control.should_save = step.epoch, step.ends, step.ends
        if model.average is not None and state.global_step % AVERAGE_EVERY == 0:
            model.average.update_parameters(model.tagger)

    def on_evaluate(self, args, state, control, metrics, **kwargs):
        if state.best_metric is not None and metrics["eval_val_score"] <= state.best_metric:
            since = self.steps[state.best_global_step : state.global_step]
            control.should_training_stop = sum(step.ends and step.last for step in since) >= self.patience


class TaggerTrainer(common.StudyMixin, Trainer):
    """transformers' Trainer over planned steps; `tagger` is what is trained, `pmi` the transition PMI of its tags."""

    def __init__(self, *args: Any, tagger: TrainedTagger, pmi: np.ndarray, **kwargs: Any):
        super().__init__(*args, data_collator=self._collated, **kwargs)
        self.tagger, self.pmi = tagger, pmi

    def _collated(self, steps: list[Step]) -> dict[str, torch.Tensor]:
        batch = collate_windows(steps[0].rows, self.tagger.tokenizer.pad_token_id or 0)
        if steps[0].kept and "features" in batch:
            batch["features"] *= torch.tensor(steps[0].kept)[:, None, None]
        return batch

    def _get_train_sampler(self, train_dataset=None) -> SequentialSampler:
        return SequentialSampler(self.train_dataset)

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        return model(self.study.loss, inputs)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        with packed_once(self.model):
            found = evaluate(self.study.run, self.predicting(), self.study.validation, self.pmi)
        metrics = {f"eval_{name}": value for name, value in found.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def predicting(self, multiple: float = 0.0) -> TrainedTagger:
        """The tagger as it predicts, with a multiple of the transition PMI in its decoding."""
        return replace(self.tagger, model=self.model.predicting, transitions=multiple * self.pmi)


def evaluate(
    run: Run, tagger: TrainedTagger, validation: Sequence[Example], pmi: np.ndarray
) -> dict[str, float]:
    """Validation scores for the history, and `val_score`, which chooses checkpoints: the task's score, ties broken."""
    task, names = run.task, tagger.model.layout.tags
    # `score_rows` is for rows that are decoded otherwise: a tagger reads all of them in no time
    read = validation if task.writes else validation[: run["score_rows"] or None]
    scores = predict_scores(run, tagger, read)
    if task.writes:
        found = common.exact_scores(task, read, records_of(task, read, scores, tagger))
        tie = found["val_field_accuracy"]
    else:
        gold = [row.target.tags for row in read]
        multiple, f1 = choose_multiple(scores, gold, pmi, names)
        right = [one[range(len(tags)), 0, list(map(names.index, tags))] for one, tags in zip(scores, gold)]
        tie = float(np.concatenate(right).mean())
        found = {"val_loss": -tie, "val_f1": f1, "transition_multiple": multiple}
    return found | {"val_score": found[f"val_{task.headline}"] + 1e-6 * tie}


# -- training ---------------------------------------------------------------------------------------------------------
def fit_tagger(
    run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path
) -> common.FitResult:
    """Train a variant on its settings alone (called by :func:`helpers.training.fit.fit`).

    With `made_epochs` it first passes over the made rows, which teach what a date or a list of people looks like, and then
    over the gold rows and those in other writing alone, where the conventions of labelling are.
    """
    own, gold = variant_settings(run, variant), rows.gold_rows(train)
    tagger = new_tagger(run, variant, gold)
    rewritten = [row for row in train if row.origin == OTHER_WRITING]
    made = [row for row in train if row.origin not in ("gold", OTHER_WRITING)] if own["made_epochs"] else []
    labelled = gold + rewritten if run.task.writes else rows.training_sentences(run, own, train)
    phases = [
        (rows.encode_training(run, tagger, given), epochs)
        for given, epochs in ((made, own["made_epochs"]), (labelled, own["epochs"]))
        if given
    ]
    return train_tagger(run, variant, tagger, phases, gold, validation, folder, tagging_loss(own))


def new_tagger(run: Run, variant: str, gold: Sequence[Example]) -> TrainedTagger:
    """The tagger that a variant's settings ask for, with the features of labelled rows, untrained."""
    own, task = variant_settings(run, variant), run.task
    features = fit_features(task, gold, own["shapes"], own["gazetteer"], own["hints"])
    finer = rows.fine_outputs(task, gold) if own["fine"] else ((), ())
    layout = tagging.layout_of(task, features.sizes, finer)
    model = tagging.build_token_tagger(run, own, layout)
    tokenizer = tagging.load_token_tokenizer(run, encoder_path(run, own["encoder"]))
    nothing = np.zeros((len(layout.tags),) * 2)
    shown = gold if run.settings.get("conventions", True) else []
    known = task.hooks.learn_conventions(shown)
    return TrainedTagger(model, tokenizer, features, nothing, known, own["encoder"])


def train_tagger(
    run: Run,
    variant: str,
    tagger: TrainedTagger,
    phases: Sequence[Phase],
    gold: Sequence[Example],
    validation: list[Example],
    folder: Path,
    loss: Loss,
) -> common.FitResult:
    """AdamW on the rows of the phases, one after the other; the best epoch on validation is left in `folder/best`."""
    own, model, steps = variant_settings(run, variant), tagger.model, list(plan_steps(run, variant, phases))
    pmi = np.zeros_like(tagger.transitions)
    if not run.task.writes:
        names = model.layout.tags
        pmi = transition_pmi([[names.index(tag) for tag in row.target.tags] for row in gold], len(names))
    optimizer = torch.optim.AdamW(parameter_groups(model, own), fused=True)
    schedule = LambdaLR(optimizer, lambda step: steps[min(step, len(steps) - 1)].factor)
    arguments = common.common_arguments(run, variant, folder) | {
        "num_train_epochs": 1,  # the plan holds those of all phases
        "per_device_train_batch_size": 1,
        **{"eval_strategy": "steps", "eval_steps": len(steps)},  # and where the plan says so
        **{"save_strategy": "steps", "save_steps": len(steps)},
    }
    trainer = TaggerTrainer(
        model=Learner(model, own["average"]),
        args=TrainingArguments(**arguments),
        train_dataset=steps,
        eval_dataset=validation,
        optimizers=(optimizer, schedule),
        callbacks=[Plan(steps, own["patience"])],
        study=common.Study(run, variant, validation, loss),
        tagger=tagger,
        pmi=pmi,
    )
    result = common.train(trainer, count_parameters(model))
    best = next(record for record in result.history if record["step"] == result.best_step)
    kept = trainer.predicting(best.get("transition_multiple", 0.0))
    tagging.save_tagger(kept, folder / "best")
    return result
