"""Distillation: a student of fewer layers learns from labels and from the probabilities of its teachers."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from helpers.errors import UserError
from helpers.models.base import device_of
from helpers.run import Run
from helpers.tagging import token_predict
from helpers.tagging.token_features import fit_features
from helpers.tagging.token_model import (
    Layout,
    TokenTagger,
    TrainedTagger,
    keep_layers,
    load_encoder,
    load_token_tokenizer,
)
from helpers.tasks.it_ner.tags import TAGS
from helpers.tasks.records import Example
from helpers.training.loop import FitResult
from helpers.training.rows import variant_settings
from helpers.training.token_train import (
    Loss,
    encode_training,
    gold_rows,
    tagging_loss,
    training_loop,
    training_sentences,
    training_values,
)


def soft_loss(student: torch.Tensor, teacher: torch.Tensor, temperature: float) -> torch.Tensor:
    """Kullback–Leibler divergence from teacher to student at a temperature, per word (Hinton et al., 2015).

    Parameters
    ----------
    student, teacher : FloatTensor (words, tags)
        Log-probabilities; dividing them by the temperature and normalising anew is the same as for the logits.
    temperature : float
        The result is multiplied by its square, so that gradients keep their size.
    """
    targets = (teacher / temperature).log_softmax(-1)
    found = (student / temperature).log_softmax(-1)
    return temperature ** 2 * F.kl_div(found, targets, log_target=True, reduction="batchmean")


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
    """Log of the mean probability that the teachers give each tag, (words, tags) for each row.

    Rows that repeat (oversampled copies) are read once. The teachers see the features they were trained with: the
    gazetteer of all other rows.
    """
    distinct = list({row.target.tokens: row for row in rows}.values())
    total: list[torch.Tensor] = []
    for name in teachers:
        teacher = token_predict.load(run, name)
        scores = token_predict.predict_scores(
            run, teacher.model, teacher.tokenizer, training_values(teacher.features, rows),
            [row.target.tokens for row in distinct], progress=f"teacher {name}")
        parts = [torch.as_tensor(one, dtype=torch.float32) for one in scores]
        total = [torch.logaddexp(a, b) for a, b in zip(total, parts)] if total else parts
    found = {row.target.tokens: one.log_softmax(-1) for row, one in zip(distinct, total)}
    return [found[row.target.tokens] for row in rows]


def spread_layers(count: int, kept: int) -> list[int]:
    """Indices of `kept` of `count` layers, evenly spread and with the last among them (Sanh et al., 2019)."""
    return [round((index + 1) * count / kept) - 1 for index in range(kept)]


def build_student(run: Run, own: dict[str, Any], teacher: TrainedTagger) -> TrainedTagger:
    """A student that starts from every other layer of its teacher, or from the encoder `student_model` names.

    Where the teacher tells finer labels apart, so does a student with the setting `fine`, and starts from its classifier too;
    without it, it predicts our five labels directly, and its classifier starts anew.
    """
    torch.manual_seed(run.seed)
    source, same = teacher.model, not own["student_model"]
    features = teacher.features if own["shapes"] or own["gazetteer"] else fit_features([], False, False)
    base = load_encoder(run, own["student_model"], TAGS, own["dropout"]) if not same else \
        keep_layers(source.base, spread_layers(_layer_count(source.base), own["layers"]))
    keeps = same and (own["fine"] or not source.layout.fine)
    if same and not keeps:
        hidden = base.config.hidden_size
        base.classifier = torch.nn.Linear(hidden, len(TAGS))
        torch.nn.init.normal_(base.classifier.weight, std=0.02)
        torch.nn.init.zeros_(base.classifier.bias)
        base.num_labels = base.config.num_labels = len(TAGS)
        base.config.id2label, base.config.label2id = dict(enumerate(TAGS)), {tag: at for at, tag in enumerate(TAGS)}
    model = TokenTagger(base, Layout(source.layout.outputs if keeps else TAGS, features.sizes))
    if same and features.sizes == source.layout.features:
        model.feature_inputs.load_state_dict(source.feature_inputs.state_dict())
        if keeps:
            model.feature_scores.load_state_dict(source.feature_scores.state_dict())
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    if own["freeze_embeddings"]:
        model.base.get_input_embeddings().weight.requires_grad_(False)
    tokenizer = load_token_tokenizer(run, own["student_model"] or None)
    return TrainedTagger(model.to(device_of(run.profile).device), tokenizer, features, teacher.transitions)


def _layer_count(base) -> int:
    settings = base.config.to_dict()
    return settings.get("num_hidden_layers") or settings["n_layers"]


def fit_distilled(run: Run, variant: str, train: list[Example], validation: list[Example], folder: Path) -> FitResult:
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
        raise UserError(f"{variant} learns from {own['teacher'] or 'nobody'}: train "
                        f"{', '.join(missing) or 'a teacher'} first, or name another with --set {variant}.teacher=…")
    rows = training_sentences(run, own, train)
    soft = teacher_log_probs(run, teachers, rows)
    student = build_student(run, own, token_predict.load(run, teachers[0]))
    encoded = encode_training(
        student.tokenizer, student.features, student.model.layout.outputs, rows, run["max_pieces"], soft)
    return training_loop(run, variant, student.model, student.tokenizer, student.features, encoded, gold_rows(train),
                         validation, folder, distillation_loss(own))
