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
from helpers.tagging.features import WordFeatures
from helpers.tagging.model import (
    TokenTagger,
    TrainedTagger,
    keep_layers,
    layout_of,
    load_encoder,
    load_token_tokenizer,
    load_trained_tagger,
)
from helpers.tagging.predict import predict_scores
from helpers.tasks.records import Example
from helpers.training.loop import FitResult
from helpers.training.rows import variant_settings
from helpers.training.taggers import Loss, tagging_loss, training_loop
from helpers.training.tagging_rows import encode_training, gold_rows, training_sentences, training_values


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Kullback–Leibler divergence from teacher to student at a temperature, per word (Hinton et al., 2015).

    Parameters
    ----------
    student, teacher : FloatTensor (words, groups, tags)
        Log-probabilities; dividing them by the temperature and normalising anew is the same as for the logits.
    temperature : float
        The result is multiplied by its square, so that gradients keep their size.
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


def teacher_names(own: dict[str, Any]) -> list[str]:
    """Variants that the setting `teacher` names, separated by commas."""
    return [name.strip() for name in own["teacher"].split(",") if name.strip()]


def teacher_log_probs(run: Run, teachers: Sequence[str], rows: Sequence[Example]) -> list[torch.Tensor]:
    """Log of the mean probability that the teachers give each tag, (words, groups, tags) for each row.

    Rows that repeat (oversampled copies) are read once. The teachers see the features they were trained with: the
    gazetteer of all other rows.
    """
    distinct = list({row.target.tokens: row for row in rows}.values())
    total: list[torch.Tensor] = []
    for name in teachers:
        teacher = trained(run, name)
        known = training_values(run.task, teacher.features, rows)
        scores = predict_scores(
            run, teacher.model, teacher.tokenizer, known, distinct, progress=f"teacher {name}"
        )
        parts = [torch.as_tensor(one, dtype=torch.float32) for one in scores]
        total = [torch.logaddexp(a, b) for a, b in zip(total, parts)] if total else parts
    found = {row.target.tokens: one.log_softmax(-1) for row, one in zip(distinct, total)}
    return [found[row.target.tokens] for row in rows]


def trained(run: Run, name: str) -> TrainedTagger:
    """A trained variant."""
    return load_trained_tagger(run, run.dir / "checkpoints" / name / "best")


def spread_layers(count: int, kept: int) -> list[int]:
    """Indices of `kept` of `count` layers, evenly spread and with the last among them (Sanh et al., 2019)."""
    return [round((index + 1) * count / kept) - 1 for index in range(kept)]


def build_student(run: Run, own: dict[str, Any], teacher: TrainedTagger) -> TrainedTagger:
    """A student that starts from every other layer of its teacher, or from the encoder `student_model` names.

    Where the teacher tells finer labels apart, so does a student with the setting `fine`, and starts from its classifier too;
    without it, it predicts our five labels directly, and its classifier starts anew.
    """
    torch.manual_seed(run.seed)
    source, same, plain = teacher.model, not own["student_model"], layout_of(run.task)
    features = teacher.features if own["shapes"] or own["gazetteer"] else WordFeatures()
    base = (
        load_encoder(run, own["student_model"], plain.labels, own["dropout"])
        if not same
        else keep_layers(source.base, spread_layers(_layer_count(source.base), own["layers"]))
    )
    keeps = same and (own["fine"] or not source.layout.fine)
    if same and not keeps:
        hidden = base.config.hidden_size
        base.classifier = torch.nn.Linear(hidden, len(plain.labels))
        torch.nn.init.normal_(base.classifier.weight, std=0.02)
        torch.nn.init.zeros_(base.classifier.bias)
        base.num_labels = base.config.num_labels = len(plain.labels)
        base.config.id2label = dict(enumerate(plain.labels))
        base.config.label2id = {label: at for at, label in enumerate(plain.labels)}
    model = TokenTagger(base, replace(source.layout if keeps else plain, features=features.sizes, crf=False))
    if same and features.sizes == source.layout.features:
        model.feature_inputs.load_state_dict(source.feature_inputs.state_dict())
        if keeps:
            model.feature_scores.load_state_dict(source.feature_scores.state_dict())
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    if own["freeze_embeddings"]:
        model.base.get_input_embeddings().weight.requires_grad_(False)
    tokenizer = load_token_tokenizer(run, own["student_model"] or None)
    return replace(
        teacher, model=model.to(device_of(run.profile).device), tokenizer=tokenizer, features=features
    )


def _layer_count(base) -> int:
    settings = base.config.to_dict()
    return settings.get("num_hidden_layers") or settings["n_layers"]


def fit_distilled(
    run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path
) -> FitResult:
    """Train the student of trained variants (called by :func:`helpers.training.fit.fit`).

    Raises
    ------
    UserError
        If a teacher is not trained yet.
    """
    own = variant_settings(run, variant)
    teachers = teacher_names(own)
    missing = [name for name in teachers if not (run.dir / "checkpoints" / name / "finished.json").exists()]
    if missing or not teachers:
        raise UserError(
            f"{variant} learns from {own['teacher'] or 'nobody'}: train "
            f"{', '.join(missing) or 'a teacher'} first, or name another with --set {variant}.teacher=…"
        )
    rows = training_sentences(run, own, train)
    soft = teacher_log_probs(run, teachers, rows)
    student = build_student(run, own, trained(run, teachers[0]))
    layout = student.model.layout
    encoded = encode_training(
        run, student.tokenizer, student.features, layout.outputs if layout.fine else (), rows, soft
    )
    return training_loop(
        run,
        variant,
        student,
        [(encoded, own["epochs"])],
        gold_rows(train),
        validation,
        folder,
        distillation_loss(own),
    )
