"""Fine-tuning of taggers: full, LoRA, with word features, finer labels, a CRF, averaged weights; made rows first."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from helpers.models.adapters import count_parameters
from helpers.models.base import device_of
from helpers.run import Run
from helpers.tagging.encode import IGNORE, WindowRow, budget_batches, collate_windows
from helpers.tagging.features import fit_features
from helpers.tagging.model import (
    TokenTagger,
    TrainedTagger,
    build_token_tagger,
    layout_of,
    load_token_tokenizer,
    save_tagger,
)
from helpers.tagging.predict import choose_multiple, predict_scores, records_of
from helpers.tagging.sequence import crf_loss, transition_pmi
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.training.log import curve_writer
from helpers.training.loop import FitResult, LoopState, check_finite, exact_scores, resume_loop, save_loop
from helpers.training.rows import variant_settings
from helpers.training.tagging_rows import encode_training, fine_outputs, gold_rows, training_sentences

Loss = Callable[[TokenTagger, dict[str, torch.Tensor]], torch.Tensor]
INITIAL_MULTIPLE = 0.3  # of the transition PMI, from which the CRF's transitions are learnt
AVERAGE_EVERY = 5  # steps


# -- loss and schedule ------------------------------------------------------------------------------------------------
def tagging_loss(own: dict[str, Any]) -> Loss:
    """Loss of a variant's settings.

    Cross-entropy of the classifier, with label smoothing, summed over groups and averaged over words. Words of a value count
    `inside_weight` times: in a long text with many fields they are so few that a model does well for a long time by finding
    nothing. With a CRF or finer labels the loss is a mean, weighted by `token_weight`, of that and of the negative
    log-likelihood of the tags, of the whole sequence under the CRF or of each word.
    """

    def loss(model: TokenTagger, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits, layout = model.word_logits(batch), model.layout
        known = (batch["outputs"] != IGNORE).any(1).sum()
        weight = logits.new_full((len(layout.outputs),), own["inside_weight"])
        weight[0] = 1.0
        single = F.cross_entropy(
            logits.flatten(0, 1),
            batch["outputs"].flatten(),
            weight,
            ignore_index=IGNORE,
            reduction="sum",
            label_smoothing=own["label_smoothing"],
        ) / known.clamp(min=1)
        if not (layout.crf or layout.fine):
            return single
        log_probs, tags = model.tag_log_probs(logits)[:, 0], batch["tags"][:, 0]
        whole = (
            crf_loss(log_probs, tags, batch["row"], model.transitions, layout.tags)
            if layout.crf
            else F.nll_loss(log_probs, tags)
        )
        return own["token_weight"] * single + (1 - own["token_weight"]) * whole

    return loss


def withheld(batch: dict[str, torch.Tensor], share: float, rng: random.Random) -> dict[str, torch.Tensor]:
    """The batch with the features of a share of its rows taken out, so that a tagger learns to do without them."""
    if share and "features" in batch:
        batch["features"] *= torch.tensor([rng.random() >= share for _ in batch["features"]])[:, None, None]
    return batch


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
            new = not name.startswith("base.") or "classifier" in name
            decays = parameter.ndim >= 2 and name.startswith("base.") and "embeddings" not in name
            key = (own["head_rate"] if new else own["learning_rate"], own["weight_decay"] if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]


class WeightAverage:
    """Exponential moving average of the trained weights; without decay it holds nothing and changes nothing."""

    def __init__(self, model: TokenTagger, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.weights = [p.detach().clone() for p in self.trained] if decay else []

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the weights; it follows them closely at first, when they still move far."""
        if self.decay:
            self.updates += 1
            torch._foreach_lerp_(
                self.weights, self.trained, 1 - min(self.decay, self.updates / (self.updates + 9))
            )

    @torch.no_grad()
    def swap(self) -> None:
        """Let weights and average change places."""
        for parameter, average in zip(self.trained, self.weights):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)


# -- the loop ---------------------------------------------------------------------------------------------------------
def fit_tagger(
    run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path
) -> FitResult:
    """Train a variant on its settings alone (called by :func:`helpers.training.fit.fit`).

    With `made_epochs` it first passes over the made rows, which teach what a date or a list of people looks like, and then
    over the gold rows alone, where the conventions of labelling are.
    """
    own, gold, tagger = (
        variant_settings(run, variant),
        gold_rows(train),
        new_tagger(run, variant, gold_rows(train)),
    )
    outputs = tagger.model.layout.outputs if tagger.model.layout.fine else ()
    made = [row for row in train if row.origin != "gold"] if own["made_epochs"] else []
    phases = [(made, own["made_epochs"])] if made else []
    phases += [(gold if run.task.writes else training_sentences(run, own, train), own["epochs"])]
    encoded = [
        (encode_training(run, tagger.tokenizer, tagger.features, outputs, rows), epochs)
        for rows, epochs in phases
    ]
    return training_loop(run, variant, tagger, encoded, gold, validation, folder, tagging_loss(own))


def new_tagger(run: Run, variant: str, gold: Sequence[Example]) -> TrainedTagger:
    """The tagger that a variant's settings ask for, with the features of labelled rows, untrained."""
    own, task = variant_settings(run, variant), run.task
    features = fit_features(task, gold, own["shapes"], own["gazetteer"], own["hints"])
    outputs, stands_for = fine_outputs(task, gold) if own["fine"] else ((), ())
    model = build_token_tagger(run, own, layout_of(task, features.sizes, own["crf"], outputs, stands_for))
    return TrainedTagger(
        model,
        load_token_tokenizer(run),
        features,
        np.zeros((len(model.layout.tags),) * 2),
        knowledge=task.hooks.learn_conventions(gold),
    )


def training_loop(
    run: Run,
    variant: str,
    tagger: TrainedTagger,
    phases: Sequence[tuple[Sequence[WindowRow], int]],
    gold: Sequence[Example],
    validation: Sequence[Example],
    folder: Path,
    loss_function: Loss,
) -> FitResult:
    """AdamW, batches of like length, early stopping on validation, a checkpoint an epoch.

    The learning rate warms up and falls along half a cosine within each phase.

    Parameters
    ----------
    phases : sequence of (rows, epochs)
        What is learnt, one after the other.
    gold : sequence of Example
        Labelled rows, from whose tags the transition PMI is counted.
    """
    own, chosen, model = variant_settings(run, variant), device_of(run.profile), tagger.model
    pmi = training_pmi(run.task, model, gold)
    if run.profile == "gpu":
        model.base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    autocast = torch.autocast(chosen.device, dtype=chosen.dtype, enabled=chosen.dtype != torch.float32)
    scaler = torch.amp.GradScaler(chosen.device, enabled=chosen.dtype == torch.float16)
    optimizer = torch.optim.AdamW(parameter_groups(model, own), fused=True)
    average, state = WeightAverage(model, own["average"]), LoopState()
    if (folder / "resume.pt").exists():
        state, kept = resume_loop(folder / "resume.pt", model, optimizer)
        average.weights, average.updates = kept["average"], kept["updates"]
    trained, plan = [p for p in model.parameters() if p.requires_grad], plan_epochs(run, variant, phases)
    steps = [
        sum(len(batches) for _, batches, phase in plan if phase == number) for number in range(len(phases))
    ]
    writer = curve_writer(run, variant, folder, state.step)
    bar = tqdm(total=sum(steps), initial=state.step, desc=variant)
    while state.epoch < len(plan) and state.bad < own["patience"]:
        rows, batches, phase = plan[state.epoch]
        rng = random.Random(f"{run.seed}:{variant}:{state.epoch}:dropout")
        torch.manual_seed(rng.randrange(2**31))
        model.train()
        for number, batch in enumerate(batches, 1):
            factor = cosine_factor(
                state.step - sum(steps[:phase]),
                steps[phase],
                max(1, round(own["warmup_share"] * steps[phase])),
            )
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak"]
            tensors = collate_windows([rows[index] for index in batch], tagger.tokenizer.pad_token_id or 0)
            tensors = withheld(tensors, own["withhold"], rng)
            with autocast:
                loss = loss_function(
                    model, {name: tensor.to(model.device) for name, tensor in tensors.items()}
                )
            check_finite(loss.item(), "loss", run, variant, state.step)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_(trained, own["clip_norm"])
            if not scaler.is_enabled():  # with a loss scaler an inf is a step that it skips
                check_finite(float(norm), "gradient", run, variant, state.step)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
            state.step += 1
            if state.step % AVERAGE_EVERY == 0:
                average.update()
            state.history.append(
                {
                    "step": state.step,
                    "epoch": state.epoch + number / len(batches),
                    "loss": loss.item(),
                    "lr": factor * own["learning_rate"],
                }
            )
            writer.add_scalar("train/loss", loss.item(), state.step)
            bar.update()
        state.epoch += 1
        average.swap()
        found, scores, quality = evaluate(run, tagger, validation, pmi)
        state.history[-1].update(scores)
        better = quality > (state.best_score, -state.best_loss)
        state.bad = 0 if better or phase < len(phases) - 1 else state.bad + 1
        if better:
            state.best_score, state.best_loss, state.best_step = quality[0], -quality[1], state.step
            save_tagger(run.task, found, folder / "best")
        average.swap()
        headline = scores[f"val_{run.task.headline}"]
        bar.set_postfix({run.task.headline: f"{headline:.3f}"})
        writer.add_scalar(f"validation/{run.task.headline}", headline, state.step)
        save_loop(
            folder / "resume.pt", model, optimizer, state, average=average.weights, updates=average.updates
        )
    bar.close()
    writer.close()
    (folder / "resume.pt").unlink(missing_ok=True)
    best = next(
        record[f"val_{run.task.headline}"] for record in state.history if record["step"] == state.best_step
    )
    return FitResult(variant, state.history, count_parameters(model), best, state.best_step)


def training_pmi(task: Task, model: TokenTagger, gold: Sequence[Example]) -> np.ndarray:
    """Transition PMI (tags, tags) of the labels, from which a CRF starts; 0 where spans of several fields are tagged."""
    layout = model.layout
    if task.writes:
        return np.zeros((len(layout.tags),) * 2)
    pmi = transition_pmi(
        [[layout.tags.index(tag) for tag in example.target.tags] for example in gold], len(layout.tags)
    )
    if model.transitions is not None:
        model.transitions.data.copy_(torch.as_tensor(INITIAL_MULTIPLE * pmi))
    return pmi


def plan_epochs(
    run: Run, variant: str, phases: Sequence[tuple[Sequence[WindowRow], int]]
) -> list[tuple[Sequence[WindowRow], list[list[int]], int]]:
    """Rows, batches and phase of each epoch; they depend on seed, variant and epoch alone, not on what ran before.

    The last phase has `epochs`, or as many as it takes to `least_steps`, so that few rows are read enough.
    """
    own, plan = variant_settings(run, variant), []
    for number, (rows, epochs) in enumerate(phases):
        lengths = [len(row) for row in rows]
        if number == len(phases) - 1:
            epochs = max(
                epochs, math.ceil(own["least_steps"] / len(budget_batches(lengths, own["batch_pieces"])))
            )
        for _ in range(epochs):
            rng = random.Random(f"{run.seed}:{variant}:{len(plan)}")
            plan.append((rows, budget_batches(lengths, own["batch_pieces"], rng), number))
    return plan


def evaluate(
    run: Run, tagger: TrainedTagger, validation: Sequence[Example], pmi: np.ndarray
) -> tuple[TrainedTagger, dict[str, float], tuple[float, float]]:
    """The tagger as it predicts, its validation scores for the history, and (score, tie-breaker) that choose checkpoints."""
    layout = (
        tagger.model.layout
    )  # the rows of a task that writes are few, `score_rows` is for those that are decoded
    rows = validation if run.task.writes else validation[: run["score_rows"] or None]
    scores = predict_scores(run, tagger.model, tagger.tokenizer, tagger.features, rows)
    if run.task.writes:
        found = exact_scores(run.task, rows, records_of(run.task, rows, scores, tagger))
        return tagger, found, (found[f"val_{run.task.headline}"], found["val_field_accuracy"])
    gold, weights = [row.target.tags for row in rows], tagger.model.transitions
    learnt = np.zeros_like(pmi) if weights is None else weights.detach().double().cpu().numpy()
    multiple, f1 = choose_multiple(scores, gold, learnt, pmi, layout.tags)
    chosen = np.concatenate(
        [
            one[range(len(tags)), 0, [layout.tags.index(tag) for tag in tags]]
            for one, tags in zip(scores, gold)
        ]
    ).mean()
    found = {"val_loss": float(-chosen), "val_f1": f1, "transition_multiple": multiple}
    return replace(tagger, transitions=learnt + multiple * pmi, multiple=multiple), found, (f1, float(chosen))
