"""Predictions of taggers: scores of each word, put together from windows, the best tags, and what they stand for."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from helpers.models.encoder import encoder_path
from helpers.run import Run
from helpers.tagging.encode import Span, WindowRow, budget_batches, collate_windows, windows_of
from helpers.tagging.features import KnownValues, WordFeatures
from helpers.tagging.model import (
    Layout,
    TokenTagger,
    TrainedTagger,
    layout_of,
    load_encoder,
    load_token_tokenizer,
)
from helpers.tagging.sequence import MULTIPLES, decode
from helpers.tagging.tags import spans_of_tags, widen, words_of
from helpers.tasks.base import Task
from helpers.tasks.bio import TaggedTokens, label_of
from helpers.tasks.records import Example
from helpers.tasks.token_metrics import entity_f1

NO_PIECE = -30.0  # log-probability of an entity tag for a word that has no piece
Scores = list[np.ndarray]


# -- scores -----------------------------------------------------------------------------------------------------------
def encode_rows(
    run: Run, tokenizer, features: WordFeatures | KnownValues, examples: Sequence[Example]
) -> list[list[WindowRow]]:
    """Windows of examples with their word features, as prediction needs them."""
    read = [words_of(run.task, example) for example in examples]
    cut = windows_of(
        tokenizer, [text for text, _ in read], [words for _, words in read], longest_window(run, tokenizer)
    )
    found = []
    for example, (_, words), windows in zip(examples, read, cut):
        values = features.values(run.task, example, words)
        found.append([WindowRow(window, values) for window in windows])
    return found


def longest_window(run: Run, tokenizer) -> int:
    """Word pieces that are read at once, the special ones counted: `max_pieces`, or fewer where the encoder has no room."""
    return min(run["max_pieces"], tokenizer.model_max_length)


def gather_scores(
    run: Run,
    tokenizer,
    features: WordFeatures | KnownValues,
    examples: Sequence[Example],
    layout: Layout,
    score_batch: Callable[[dict[str, torch.Tensor]], np.ndarray],
    progress: str | None = None,
) -> Scores:
    """Log-probabilities (words, groups, tags) of each example, whatever computes them.

    Long texts are read in windows and put together again: every word has the score of the window that owns it, and
    a word without any piece is outside.

    Parameters
    ----------
    score_batch : callable
        Batch of :func:`helpers.tagging.encode.collate_windows` → log-probabilities (words, groups, tags) of its words.
    """
    encoded = encode_rows(run, tokenizer, features, examples)
    scores = [
        np.full((len(words_of(run.task, example)[1]), len(layout.groups), len(layout.tags)), NO_PIECE)
        for example in examples
    ]
    for one in scores:
        one[..., layout.tags.index("O")] = 0.0
    places = [(index, row) for index, rows in enumerate(encoded) for row in rows]
    batches = budget_batches([len(row) for _, row in places], run["predict_pieces"])
    for batch in tqdm(batches, desc=progress, disable=progress is None, leave=False):
        found = score_batch(collate_windows([places[at][1] for at in batch], tokenizer.pad_token_id or 0))
        sizes = np.cumsum([len(places[at][1].window.words) for at in batch])[:-1]
        for at, part in zip(batch, np.split(found, sizes)):
            index, row = places[at]
            scores[index][row.window.words] = part
    return scores


@torch.inference_mode()
def predict_scores(
    run: Run,
    model: TokenTagger,
    tokenizer,
    features: WordFeatures | KnownValues,
    examples: Sequence[Example],
    progress: str | None = None,
) -> Scores:
    """:func:`gather_scores` by PyTorch; the model is left in evaluation mode."""
    model.eval()

    def score_batch(batch: dict[str, torch.Tensor]) -> np.ndarray:
        logits = model.word_logits({name: tensor.to(model.device) for name, tensor in batch.items()})
        return model.tag_log_probs(logits).double().cpu().numpy()

    return gather_scores(run, tokenizer, features, examples, model.layout, score_batch, progress)


def choose_multiple(
    scores: Scores,
    gold: Sequence[Sequence[str]],
    transitions: np.ndarray,
    pmi: np.ndarray,
    tags: Sequence[str],
) -> tuple[float, float]:
    """(multiple, F1): how much of the transition PMI Viterbi should add, by F1; the smallest of equally good ones.

    Parameters
    ----------
    scores, gold
        Of rows that the tagger has not learnt from, in one group.
    transitions : ndarray
        Scores that are added in any case, those a CRF has learnt.
    """

    def f1(multiple: float) -> float:
        paths = decode(scores, transitions + multiple * pmi, tags)
        return entity_f1(gold, [[tags[tag] for tag in path[:, 0]] for path in paths])

    best, negative = max((f1(multiple), -multiple) for multiple in MULTIPLES)
    return -negative, best


# -- records ----------------------------------------------------------------------------------------------------------
def records_of(
    task: Task, examples: Sequence[Example], scores: Scores, tagger: TrainedTagger
) -> list[dict[str, Any]]:
    """Prediction records: the best tags by Viterbi, as the task's answers."""
    layout = tagger.model.layout
    paths, read = decode(scores, tagger.transitions, layout.tags), _values if task.writes else _tags
    return [
        {"id": example.id, **read(task, example, one, path, layout, tagger.knowledge)}
        for example, one, path in zip(examples, scores, paths)
    ]


def _tags(
    task: Task, example: Example, scores: np.ndarray, path: np.ndarray, layout: Layout, knowledge: Any
) -> dict[str, Any]:
    """The tags themselves, `raw` the entities as JSON, `confidence` by label."""
    tags = [layout.tags[tag] for tag in path[:, 0]]
    found = TaggedTokens(example.target.tokens, tuple(tags)).entities()
    return {
        "prediction": tags,
        "raw": json.dumps(found, ensure_ascii=False),
        "confidence": label_confidence(scores[:, 0], tags, layout.tags, task.fields),
    }


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
    task: Task, example: Example, scores: np.ndarray, path: np.ndarray, layout: Layout, knowledge: Any
) -> dict[str, Any]:
    """Spans to values by the task; `raw` holds the spans as JSON (None for a task that asks questions, where it is what was
    answered), `confidence` the probability of each field's whole tag sequence."""
    text, words = words_of(task, example)
    spans: dict[str, list[Span]] = {}
    confidence = {}
    for index, name in enumerate(task.fields):
        tags, log_probs = path[:, index], scores[:, index]
        found = spans_of_tags(tags.tolist(), words, log_probs)
        if not task.kinds[name].many:
            found = sorted(found, key=lambda pair: -pair[1])[:1]
        spans[name] = [widen(span, text) for span, _ in found]
        confidence[name] = round(math.exp(log_probs[np.arange(len(tags)), tags].sum()), 6)
    raw = (
        None
        if task.chat.questions
        else json.dumps(
            {name: [text[start:end] for start, end in places] for name, places in spans.items()},
            ensure_ascii=False,
        )
    )
    return {
        "prediction": task.from_spans(text, spans, knowledge),
        "raw": raw,
        "error": None,
        "truncated": False,
        "confidence": confidence,
    }


def predict_with(
    run: Run, tagger: TrainedTagger, examples: Sequence[Example], progress: str | None = None
) -> list[dict[str, Any]]:
    """Prediction records of a tagger for examples."""
    scores = predict_scores(run, tagger.model, tagger.tokenizer, tagger.features, examples, progress)
    return records_of(run.task, examples, scores, tagger)


def untuned_tagger(run: Run) -> TrainedTagger:
    """The run's encoder under a classifier that was never trained."""
    layout = layout_of(run.task)
    model = TokenTagger(load_encoder(run, encoder_path(run), layout.labels), layout)
    return TrainedTagger(
        model.eval(), load_token_tokenizer(run), WordFeatures(), np.zeros((len(layout.tags),) * 2)
    )
