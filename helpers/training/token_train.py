"""Fine-tuning of token taggers: full, LoRA, or with features, finer labels, a CRF and averaged weights."""
from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from helpers.data.splits import masked
from helpers.models.adapters import count_parameters
from helpers.models.base import device_of
from helpers.run import Run
from helpers.tagging.token_crf import crf_loss, transition_pmi
from helpers.tagging.token_encode import IGNORE, WindowRow, budget_batches, collate_windows, windows_of
from helpers.tagging.token_features import KnownValues, WordFeatures, count_words, fit_features
from helpers.tagging.token_model import (
    Layout,
    TokenTagger,
    TrainedTagger,
    build_token_tagger,
    load_token_tokenizer,
    save_tagger,
)
from helpers.tagging.token_predict import choose_multiple, predict_scores
from helpers.tasks.bio import align_fine
from helpers.tasks.it_ner.tags import TAGS
from helpers.tasks.records import Example
from helpers.training.log import curve_writer
from helpers.training.loop import FitResult, LoopState, check_finite, resume_loop, save_loop
from helpers.training.rows import variant_settings

Loss = Callable[[TokenTagger, dict[str, torch.Tensor]], torch.Tensor]
INITIAL_MULTIPLE = 0.3  # of the transition PMI, from which the CRF's transitions are learnt
AVERAGE_EVERY = 5  # steps


# -- rows -------------------------------------------------------------------------------------------------------------
def training_sentences(run: Run, own: dict[str, Any], train: Sequence[Example]) -> list[Example]:
    """The rows a variant learns from.

    Weakly labelled rows only where its setting `weak` says so. Of sentences without entities that repeat a wording,
    with digits masked, the first stays and `repeat_share` of the others: placeholders of left-out code would else be a
    fifth of the public rows.
    """
    rng, seen, rows = run.rng("repeats"), set(), []
    for example in train:
        if example.origin == "weak" and not own["weak"]:
            continue
        if set(example.target.tags) == {"O"}:
            wording = masked(example.text)
            if wording in seen and rng.random() >= own["repeat_share"]:
                continue
            seen.add(wording)
        rows.append(example)
    return rows


def gold_rows(train: Sequence[Example]) -> list[Example]:
    """The labelled rows, each once."""
    return list({example.id: example for example in train if example.origin == "gold"}.values())


def fine_outputs(gold: Sequence[Example]) -> tuple[str, ...]:
    """Classes of the classifier where every row has finer tags: `O`, and B and I of each finer label; else our tags."""
    if not gold or any(example.extra.get("fine_tags") is None for example in gold):
        return TAGS
    tags = {tag for example in gold for tag in align_fine(example.target.tags, example.extra["fine_tags"])}
    labels = sorted({tag[2:] for tag in tags} - {""})
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def training_values(features: WordFeatures, rows: Sequence[Example]) -> KnownValues:
    """Feature values of training rows.

    The gazetteer feature of a labelled row is that of all other rows. For a weakly labelled one every word is unknown:
    its labels come from the gazetteer, which would explain them all.
    """
    known, table = count_words(example.target for example in gold_rows(rows)), {}
    for example in sorted(rows, key=lambda row: row.origin != "weak"):  # a labelled row comes after a weak one
        own = count_words([example.target])
        table[example.target.tokens] = features.values(
            example.target.tokens, own, own if example.origin == "weak" else known)
    return KnownValues(table)


def encode_training(tokenizer, features: WordFeatures, outputs: Sequence[str], rows: Sequence[Example], limit: int,
                    teacher: Sequence[torch.Tensor] | None = None) -> list[WindowRow]:
    """Training windows of rows with the features of :func:`training_values`.

    Parameters
    ----------
    teacher : sequence of FloatTensor (words, tags), optional
        Log-probabilities of a teacher for each row.
    """
    tag_ids, output_ids = ({tag: index for index, tag in enumerate(names)} for names in (TAGS, outputs))
    known = training_values(features, rows)
    encoded, cut = [], windows_of(tokenizer, [example.target.tokens for example in rows], limit)
    for index, (example, windows) in enumerate(zip(rows, cut)):
        values = known.values(example.target.tokens)
        tags = [tag_ids[tag] for tag in example.target.tags]
        wanted = tags
        if tuple(outputs) != TAGS:
            fine = example.extra.get("fine_tags")
            wanted = [IGNORE] * len(tags) if fine is None else [
                output_ids.get(tag, IGNORE) for tag in align_fine(example.target.tags, fine)]
        for window in windows:
            if window.words:
                encoded.append(WindowRow(window, values, [tags[word] for word in window.words],
                                         [wanted[word] for word in window.words],
                                         None if teacher is None else teacher[index][window.words]))
    return encoded


# -- loss and schedule ------------------------------------------------------------------------------------------------
def tagging_loss(own: dict[str, Any]) -> Loss:
    """Loss of a variant's settings.

    Cross-entropy of the classifier with label smoothing; with a CRF or finer labels a mean, weighted by `token_weight`,
    of that and of the negative log-likelihood of our tags, of the whole sequence under the CRF or of each word.
    """
    def loss(model: TokenTagger, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        logits, layout = model.word_logits(batch), model.layout
        known = (batch["outputs"] != IGNORE).sum()
        single = F.cross_entropy(logits, batch["outputs"], ignore_index=IGNORE, reduction="sum",
                                 label_smoothing=own["label_smoothing"]) / known.clamp(min=1)
        if not (layout.crf or layout.fine):
            return single
        log_probs = model.tag_log_probs(logits)
        whole = crf_loss(log_probs, batch["tags"], batch["row"], model.transitions) if layout.crf else \
            F.nll_loss(log_probs, batch["tags"])
        return own["token_weight"] * single + (1 - own["token_weight"]) * whole
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
            new = not name.startswith("base.") or "classifier" in name
            decays = parameter.ndim >= 2 and name.startswith("base.") and "embeddings" not in name
            key = (own["head_rate"] if new else own["learning_rate"], own["weight_decay"] if decays else 0.0)
            groups.setdefault(key, []).append(parameter)
    return [{"params": parameters, "lr": rate, "peak": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()]


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
            torch._foreach_lerp_(self.weights, self.trained, 1 - min(self.decay, self.updates / (self.updates + 9)))

    @torch.no_grad()
    def swap(self) -> None:
        """Let weights and average change places."""
        for parameter, average in zip(self.trained, self.weights):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)


# -- the loop ---------------------------------------------------------------------------------------------------------
def fit_token_tagger(run: Run, variant: str, train: list[Example], validation: list[Example],
                     folder: Path) -> FitResult:
    """Train a variant on its settings alone (called by :func:`helpers.training.fit.fit`)."""
    own = variant_settings(run, variant)
    gold = gold_rows(train)
    features = fit_features([example.target for example in gold], own["shapes"], own["gazetteer"])
    outputs = fine_outputs(gold) if own["fine"] else TAGS
    model = build_token_tagger(run, own, Layout(outputs, features.sizes, own["crf"]))
    tokenizer = load_token_tokenizer(run)
    rows = encode_training(tokenizer, features, outputs, training_sentences(run, own, train), run["max_pieces"])
    return training_loop(run, variant, model, tokenizer, features, rows, gold, validation, folder, tagging_loss(own))


def training_loop(run: Run, variant: str, model: TokenTagger, tokenizer, features: WordFeatures,
                  rows: Sequence[WindowRow], gold: Sequence[Example], validation: Sequence[Example], folder: Path,
                  loss_function: Loss) -> FitResult:
    """AdamW with warm-up and cosine, batches of like length, early stopping on validation F1, a checkpoint an epoch.

    Parameters
    ----------
    rows : sequence of WindowRow
        What is learnt.
    gold : sequence of Example
        Labelled rows, from whose tags the transition PMI is counted.
    """
    own, chosen = variant_settings(run, variant), device_of(run.profile)
    pmi = transition_pmi([[TAGS.index(tag) for tag in example.target.tags] for example in gold])
    if model.transitions is not None:
        model.transitions.data.copy_(torch.as_tensor(INITIAL_MULTIPLE * pmi))
    if run.profile == "gpu":
        model.base.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    autocast = torch.autocast(chosen.device, dtype=chosen.dtype, enabled=chosen.dtype != torch.float32)
    scaler = torch.amp.GradScaler(chosen.device, enabled=chosen.dtype == torch.float16)
    optimizer = torch.optim.AdamW(parameter_groups(model, own), fused=True)
    average, state = WeightAverage(model, own["average"]), LoopState()
    if (folder / "resume.pt").exists():
        state, kept = resume_loop(folder / "resume.pt", model, optimizer)
        average.weights, average.updates = kept["average"], kept["updates"]
    lengths, trained = [len(row) for row in rows], [p for p in model.parameters() if p.requires_grad]
    epochs = epoch_count(own, len(budget_batches(lengths, own["batch_pieces"])))
    batches = [epoch_batches(run, variant, lengths, own["batch_pieces"], epoch) for epoch in range(epochs)]
    steps = sum(map(len, batches))
    warmup = max(1, round(own["warmup_share"] * steps))
    writer = curve_writer(run, variant, folder, state.step)
    bar = tqdm(total=steps, initial=state.step, desc=variant)
    while state.epoch < epochs and state.bad < own["patience"]:
        torch.manual_seed(random.Random(f"{run.seed}:{variant}:{state.epoch}:dropout").randrange(2**31))
        model.train()
        for number, batch in enumerate(batches[state.epoch], 1):
            factor = cosine_factor(state.step, steps, warmup)
            for group in optimizer.param_groups:
                group["lr"] = factor * group["peak"]
            tensors = collate_windows([rows[index] for index in batch], tokenizer.pad_token_id or 0)
            with autocast:
                loss = loss_function(model, {name: tensor.to(model.device) for name, tensor in tensors.items()})
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
            state.history.append({"step": state.step, "epoch": state.epoch + number / len(batches[state.epoch]),
                                  "loss": loss.item(), "lr": factor * own["learning_rate"]})
            writer.add_scalar("train/loss", loss.item(), state.step)
            bar.update()
        state.epoch += 1
        average.swap()
        _evaluate(run, model, tokenizer, features, validation, pmi, state, folder)
        average.swap()
        bar.set_postfix(f1=f"{state.history[-1]['val_f1']:.3f}")
        writer.add_scalar("validation/f1", state.history[-1]["val_f1"], state.step)
        save_loop(folder / "resume.pt", model, optimizer, state, average=average.weights, updates=average.updates)
    bar.close()
    writer.close()
    (folder / "resume.pt").unlink(missing_ok=True)
    return FitResult(variant, state.history, count_parameters(model), state.best_score, state.best_step)


def epoch_count(own: dict[str, Any], steps: int) -> int:
    """Epochs of `steps` steps: `epochs`, or as many as it takes to `least_steps`, so that few rows are read enough."""
    return max(own["epochs"], math.ceil(own["least_steps"] / steps))


def epoch_batches(run: Run, variant: str, lengths: Sequence[int], budget: int, epoch: int) -> list[list[int]]:
    """Batches of one epoch; they depend on seed, variant and epoch alone, not on what ran before."""
    return budget_batches(lengths, budget, random.Random(f"{run.seed}:{variant}:{epoch}"))


def _evaluate(run: Run, model: TokenTagger, tokenizer, features: WordFeatures, validation: Sequence[Example],
              pmi: np.ndarray, state: LoopState, folder: Path) -> None:
    """Score the validation rows, note it in the history, and keep the weights if they are the best so far."""
    rows = validation[:run["score_rows"] or None]
    gold = [example.target.tags for example in rows]
    scores = predict_scores(run, model, tokenizer, features, [example.target.tokens for example in rows])
    learnt = np.zeros_like(pmi) if model.transitions is None else model.transitions.detach().double().cpu().numpy()
    multiple, f1 = choose_multiple(scores, gold, learnt, pmi)
    chosen = np.concatenate([one[range(len(tags)), [TAGS.index(tag) for tag in tags]]
                             for one, tags in zip(scores, gold)])
    state.history[-1].update(val_loss=float(-chosen.mean()), val_f1=f1, transition_multiple=multiple)
    better = (f1, chosen.mean()) > (state.best_score, -state.best_loss)
    state.bad = 0 if better else state.bad + 1
    if better:
        state.best_score, state.best_loss, state.best_step = f1, float(-chosen.mean()), state.step
        save_tagger(TrainedTagger(model, tokenizer, features, learnt + multiple * pmi, multiple), folder / "best")
