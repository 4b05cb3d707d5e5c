"""Distillation: a student of fewer layers learns from labels and from the probabilities of its teachers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from helpers.errors import UserError
from helpers.models.base import device_of
from helpers.run import Run
from helpers.tagging import model as tagging
from helpers.tagging.features import WordFeatures
from helpers.tagging.model import TokenTagger, TrainedTagger
from helpers.tagging.predict import predict_scores
from helpers.tasks.base import Example
from helpers.training import rows
from helpers.training.common import FitResult
from helpers.training.taggers import Loss, tagging_loss, train_tagger


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Kullback–Leibler divergence from teacher to student at a temperature, per word (Hinton et al., 2015).

    Both are log-probabilities (words, groups, tags); dividing them by the temperature and normalising anew is the same as
    for the logits. The result is multiplied by its square, so that gradients keep their size.
    """
    targets = (teacher / temperature).log_softmax(-1)
    found = (student / temperature).log_softmax(-1)
    return temperature**2 * F.kl_div(found, targets, log_target=True, reduction="sum") / len(student)


def distillation_loss(own: dict[str, Any]) -> Loss:
    """`soft_weight` of :func:`soft_loss`, and the rest of the loss on the labels."""
    hard = tagging_loss(own)

    def loss(model: TokenTagger, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        soft = soft_loss(model.tag_log_probs(model.word_logits(batch)), batch["teacher"], own["temperature"])
        return own["soft_weight"] * soft + (1 - own["soft_weight"]) * hard(model, batch)

    return loss


def teacher_log_probs(run: Run, teachers: Sequence[str], sentences: Sequence[Example]) -> list[torch.Tensor]:
    """Log of the mean probability that the teachers give each tag, (words, groups, tags) for each row.

    Rows that repeat (oversampled copies) are read once. The teachers see the features they were trained with: the
    gazetteer of all other rows.
    """
    distinct = list({row.target.tokens: row for row in sentences}.values())
    total: list[torch.Tensor] = []
    for name in teachers:
        teacher = trained(run, name)
        known = replace(teacher, features=rows.training_values(run.task, teacher.features, sentences))
        scores = predict_scores(run, known, distinct, f"teacher {name}")
        parts = [torch.as_tensor(one, dtype=torch.float32) for one in scores]
        total = [torch.logaddexp(a, b) for a, b in zip(total, parts)] if total else parts
    found = {row.target.tokens: one.log_softmax(-1) for row, one in zip(distinct, total)}
    return [found[row.target.tokens] for row in sentences]


def trained(run: Run, name: str) -> TrainedTagger:
    """A trained variant."""
    return tagging.load_trained_tagger(run, run.dir / "checkpoints" / name / "best")


def spread_layers(count: int, kept: int) -> list[int]:
    """Indices of `kept` of `count` layers, evenly spread and with the last among them (Sanh et al., 2019)."""
    return [round((index + 1) * count / kept) - 1 for index in range(kept)]


def build_student(run: Run, own: dict[str, Any], teacher: TrainedTagger) -> TrainedTagger:
    """A student that starts from every other layer of its teacher, or from the encoder `student_model` names.

    Where the teacher tells finer labels apart, so does a student with the setting `fine`, and starts from its classifier too;
    without it, it predicts our five labels directly, and its classifier starts anew.
    """
    torch.manual_seed(run.seed)
    source, same, plain = teacher.model, not own["student_model"], tagging.layout_of(run.task)
    features = teacher.features if own["shapes"] or own["gazetteer"] else WordFeatures()
    keeps_classifier = same and (own["fine"] or not source.layout.fine)
    if same:
        kept = spread_layers(source.base.config.num_hidden_layers, own["layers"])
        base = tagging.keep_layers(source.base, kept)
        if not keeps_classifier:
            tagging.new_classifier(base, plain.labels)
    else:
        base = tagging.load_encoder(run, own["student_model"], plain.labels, own["dropout"])
    layout = source.layout if keeps_classifier else plain
    model = TokenTagger(base, replace(layout, features=features.sizes))
    if same and features.sizes == source.layout.features:
        model.feature_inputs.load_state_dict(source.feature_inputs.state_dict())
        if keeps_classifier:
            model.feature_scores.load_state_dict(source.feature_scores.state_dict())
    model.requires_grad_(True)
    if own["freeze_embeddings"]:
        model.base.get_input_embeddings().weight.requires_grad_(False)
    tokenizer = tagging.load_token_tokenizer(run, own["student_model"] or None)
    model = model.to(device_of(run.profile).device)
    return replace(teacher, model=model, tokenizer=tokenizer, features=features)


def fit_distilled(
    run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path
) -> FitResult:
    """Train the student of trained variants (called by :func:`helpers.training.fit.fit`); UserError if a teacher is not."""
    own = rows.variant_settings(run, variant)
    teachers = [name.strip() for name in own["teacher"].split(",") if name.strip()]
    missing = [name for name in teachers if not (run.dir / "checkpoints" / name / "finished.json").exists()]
    if missing or not teachers:
        raise UserError(
            f"{variant} learns from {own['teacher'] or 'nobody'}: train "
            f"{', '.join(missing) or 'a teacher'} first, or name another with --set {variant}.teacher=…"
        )
    sentences = rows.training_sentences(run, own, train)
    soft = teacher_log_probs(run, teachers, sentences)
    student = build_student(run, own, trained(run, teachers[0]))
    encoded = rows.encode_training(run, student, sentences, soft)
    phases, loss = [(encoded, own["epochs"])], distillation_loss(own)
    return train_tagger(run, variant, student, phases, rows.gold_rows(train), validation, folder, loss)
