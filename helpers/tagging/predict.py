"""Predictions of taggers: scores of each word, put together from windows, the best tags, and what they stand for."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from helpers.models.packaged import encoder_path
from helpers.run import Run
from helpers.tagging import model as models
from helpers.tagging.encode import (
    Span,
    Window,
    WindowRow,
    budget_batches,
    collate_windows,
    spans_of_tags,
    widen,
    windows_of,
    words_of,
)
from helpers.tagging.features import WordFeatures
from helpers.tagging.model import TokenTagger, TrainedTagger
from helpers.tasks.base import Example, Task
from helpers.tasks.bio import TaggedTokens, label_of
from helpers.tasks.classes import of_text
from helpers.tasks.metrics import entity_f1

MULTIPLES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)
FORBIDDEN = -1e4  # large enough to be never chosen, small enough for sums in fp32
SMOOTHING = 0.5  # added to each count, so that what train never showed stays possible
NO_PIECE = -30.0  # log-probability of an entity tag for a word that has no piece
BLANK = -3.0  # and of one for a space, which is inside between words of an entity
Scores = list[np.ndarray]


# -- scores -----------------------------------------------------------------------------------------------------------
def cut_rows(
    run: Run, tokenizer, examples: Sequence[Example]
) -> list[tuple[Example, list[Span], list[Window]]]:
    """Each example with its words and windows, as long as `max_pieces` says or the encoder has room for."""
    read = [words_of(run.task, example) for example in examples]
    texts, words = [text for text, _ in read], [words for _, words in read]
    limit = min(run["max_pieces"], tokenizer.model_max_length)
    return list(zip(examples, words, windows_of(tokenizer, texts, words, limit)))


def encode_rows(
    run: Run, tokenizer, features: WordFeatures, examples: Sequence[Example]
) -> list[list[WindowRow]]:
    """Windows of examples with their word features, as prediction needs them."""
    found = []
    for example, words, windows in cut_rows(run, tokenizer, examples):
        values = features.values(run.task, example, words)
        found.append([WindowRow(window, values) for window in windows])
    return found


@torch.inference_mode()
def predict_scores(
    run: Run, tagger: TrainedTagger, examples: Sequence[Example], progress: str | None = None
) -> Scores:
    """Log-probabilities (words, groups, tags) of each example; the model is left in evaluation mode.

    Long texts are read in windows and put together again: every word has the score of the window that owns it, and
    a word without any piece is outside, a space as its neighbours are.
    """
    model, scores, pad = tagger.model.eval(), [], tagger.tokenizer.pad_token_id or 0
    for example in examples:
        text, words = words_of(run.task, example)
        scores.append(np.full((len(words), len(model.layout.groups), len(model.layout.tags)), NO_PIECE))
        scores[-1][[text[slice(*word)].isspace() for word in words]] = BLANK
        scores[-1][..., model.layout.tags.index("O")] = 0.0
    encoded = encode_rows(run, tagger.tokenizer, tagger.features, examples)
    places = [(index, row) for index, rows in enumerate(encoded) for row in rows]
    batches = budget_batches([len(row) for _, row in places], run["predict_pieces"])
    for batch in tqdm(batches, desc=progress, disable=progress is None, leave=False):
        tensors = collate_windows([places[at][1] for at in batch], pad)
        logits = model.word_logits({name: tensor.to(model.device) for name, tensor in tensors.items()})
        found, done = model.tag_log_probs(logits).double().cpu().numpy(), 0
        for index, row in (places[at] for at in batch):
            words = row.window.words
            scores[index][words] = found[done : done + len(words)]
            done += len(words)
    return scores


# -- the best tags ----------------------------------------------------------------------------------------------------
def start_scores(tags: Sequence[str]) -> np.ndarray:
    """Scores of beginning a sentence with each tag: forbidden for an inside tag, else 0."""
    return np.array([FORBIDDEN if tag.startswith("I") else 0.0 for tag in tags])


def bio_transitions(tags: Sequence[str]) -> np.ndarray:
    """Matrix (from, to): forbidden where an inside tag continues no entity of its label, else 0."""
    allowed = [
        [not to.startswith("I") or (one != "O" and label_of(one) == label_of(to)) for to in tags]
        for one in tags
    ]
    return np.where(allowed, 0.0, FORBIDDEN)


def transition_pmi(sequences: Sequence[Sequence[int]], count: int) -> np.ndarray:
    """Pointwise mutual information of neighbouring tags, log p(to | from) − log p(to), from smoothed counts.

    A tagger that looks at each word by itself already knows how frequent each of the `count` tags is; what is added to its
    scores is only what the neighbour says beyond that.
    """
    pairs, single = np.full((count, count), SMOOTHING), np.full(count, SMOOTHING)
    for sequence in sequences:
        tags = np.asarray(sequence, dtype=int)
        np.add.at(pairs, (tags[:-1], tags[1:]), 1)
        np.add.at(single, tags[1:], 1)
    return np.log(pairs / pairs.sum(1, keepdims=True)) - np.log(single / single.sum())


def best_paths(scores: np.ndarray, transitions: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Best tag sequences, int (texts, words), for scores (texts, words, tags) of texts of one length (Viterbi, 1967).

    Of equally good ones the first tag wins.
    """
    texts, words = scores.shape[:2]
    best, back = scores[:, 0] + start, []
    for at in range(1, words):
        through = best[:, :, None] + transitions
        back.append(through.argmax(1))
        best = through.max(1) + scores[:, at]
    path = np.empty((texts, words), dtype=int)
    path[:, -1] = best.argmax(1)
    for at in range(words - 1, 0, -1):
        path[:, at - 1] = np.take_along_axis(back[at - 1], path[:, at, None], axis=1)[:, 0]
    return path


def decode(scores: Sequence[np.ndarray], transitions: np.ndarray, tags: Sequence[str]) -> list[np.ndarray]:
    """Best tags, int (words, groups), of each text's scores (words, groups, tags), texts of one length together.

    The transitions of BIO are added to those given, so that every sequence is valid IOB2.
    """
    by_length: dict[int, list[int]] = {}
    for index, one in enumerate(scores):
        by_length.setdefault(len(one), []).append(index)
    found = [np.zeros(one.shape[:2], dtype=int) for one in scores]
    for length, indices in by_length.items():
        if length:
            stacked = np.concatenate([scores[i].swapaxes(0, 1) for i in indices])
            paths = best_paths(stacked, transitions + bio_transitions(tags), start_scores(tags))
            for index, path in zip(indices, np.split(paths, len(indices))):
                found[index] = path.T
    return found


def choose_multiple(
    scores: Scores, gold: Sequence[Sequence[str]], pmi: np.ndarray, tags: Sequence[str]
) -> tuple[float, float]:
    """(multiple, F1): how much of the transition PMI Viterbi should add to the scores, by F1 on rows that the tagger has
    not learnt from; the smallest of equally good ones."""

    def f1(multiple: float) -> float:
        paths = decode(scores, multiple * pmi, tags)
        return entity_f1(gold, [[tags[tag] for tag in path[:, 0]] for path in paths])

    best, negative = max((f1(multiple), -multiple) for multiple in MULTIPLES)
    return -negative, best


# -- records ----------------------------------------------------------------------------------------------------------
def records_of(
    task: Task, examples: Sequence[Example], scores: Scores, tagger: TrainedTagger
) -> list[dict[str, Any]]:
    """Prediction records: the best tags by Viterbi, as the task's answers."""
    tags = tagger.model.layout.tags
    records = []
    for example, one, path in zip(examples, scores, decode(scores, tagger.transitions, tags)):
        if task.writes:
            found = _values(task, example, one, path, tagger.knowledge)
        else:
            found = _tags(task, example, one, [tags[tag] for tag in path[:, 0]], tags)
        records.append({"id": example.id, **found})
    return records


def _tags(
    task: Task, example: Example, scores: np.ndarray, tags: list[str], names: Sequence[str]
) -> dict[str, Any]:
    """The tags themselves, `raw` the entities as JSON, `confidence` by label."""
    entities = TaggedTokens(example.target.tokens, tuple(tags)).entities()
    confidence = label_confidence(scores[:, 0], tags, names, task.fields)
    return {"prediction": tags, "raw": json.dumps(entities, ensure_ascii=False), "confidence": confidence}


def label_confidence(
    scores: np.ndarray, tags: Sequence[str], names: Sequence[str], labels: Sequence[str]
) -> dict[str, float]:
    """Label → lowest probability, over the words, of what the tags say of that label there (present or not)."""
    probabilities, owner = np.exp(scores), np.array([label_of(name) for name in names])
    sums = np.stack([probabilities[:, owner == label].sum(1) for label in labels], 1)
    said = np.array([[label_of(tag) == label for label in labels] for tag in tags]).reshape(-1, len(labels))
    sure = np.where(said, sums, 1 - sums).min(0, initial=1.0)
    return {label: round(float(np.clip(value, 0, 1)), 6) for label, value in zip(labels, sure)}


def _values(
    task: Task, example: Example, scores: np.ndarray, path: np.ndarray, knowledge: Any
) -> dict[str, Any]:
    """Spans to values by the task; `raw` holds the spans as JSON (None for a task that asks questions, where it is what was
    answered), `confidence` the probability of each field's whole tag sequence, or of what its classifier of texts says."""
    text, words = words_of(task, example)
    spans, confidence = {}, {}
    for index, name in enumerate(task.fields):
        tags, log_probs = path[:, index], scores[:, index]
        found = spans_of_tags(tags.tolist(), words, log_probs)
        if not task.kinds[name].many:
            found = sorted(found, key=lambda pair: -pair[1])[:1]
        spans[name] = [widen(span, text) for span, _ in found]
        confidence[name] = round(math.exp(log_probs[np.arange(len(tags)), tags].sum()), 6)
    for name, (_, probability) in of_text(task.kinds, text, spans, knowledge).items():
        confidence[name] = round(probability, 6)
    pieces = {name: [text[start:end] for start, end in places] for name, places in spans.items()}
    return {
        "prediction": task.from_spans(text, spans, knowledge),
        "raw": None if task.chat.questions else json.dumps(pieces, ensure_ascii=False),
        "error": None,
        "truncated": False,
        "confidence": confidence,
    }


def predict_with(
    run: Run, tagger: TrainedTagger, examples: Sequence[Example], progress: str | None = None
) -> list[dict[str, Any]]:
    """Prediction records of a tagger for examples."""
    return records_of(run.task, examples, predict_scores(run, tagger, examples, progress), tagger)


def untuned_tagger(run: Run) -> TrainedTagger:
    """The run's encoder under a classifier that was never trained."""
    layout = models.layout_of(run.task)
    model = TokenTagger(models.load_encoder(run, encoder_path(run), layout.labels), layout).eval()
    nothing = np.zeros((len(layout.tags),) * 2)
    return TrainedTagger(model, models.load_token_tokenizer(run), WordFeatures(), nothing)
