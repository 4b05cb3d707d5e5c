"""Predictions of token taggers: scores of each word, put together from windows, then the best tag sequence."""
from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from helpers.errors import UserError
from helpers.models.encoder import encoder_path
from helpers.run import Run
from helpers.tagging.token_crf import MULTIPLES, decode
from helpers.tagging.token_encode import WindowRow, budget_batches, collate_windows, windows_of
from helpers.tagging.token_features import KnownValues, WordFeatures
from helpers.tagging.token_model import (
    Layout,
    TokenTagger,
    TrainedTagger,
    load_encoder,
    load_token_tokenizer,
    load_trained_tagger,
)
from helpers.tasks.bio import TaggedTokens, label_of
from helpers.tasks.it_ner.tags import LABELS, TAGS
from helpers.tasks.records import Example
from helpers.tasks.token_metrics import entity_f1

NO_PIECE = -30.0  # log-probability of an entity tag for a word that has no piece
_LABEL_OF_TAG = np.array([LABELS.index(label_of(tag)) if tag != "O" else -1 for tag in TAGS])

Scores = list[np.ndarray]


# -- scores -----------------------------------------------------------------------------------------------------------
def encode_sentences(tokenizer, features: WordFeatures | KnownValues, sentences: Sequence[Sequence[str]],
                     limit: int) -> list[list[WindowRow]]:
    """Windows of sentences with their word features, as prediction needs them."""
    return [[WindowRow(window, features.values(tokens)) for window in windows]
            for tokens, windows in zip(sentences, windows_of(tokenizer, sentences, limit))]


def gather_scores(run: Run, tokenizer, features: WordFeatures | KnownValues, sentences: Sequence[Sequence[str]],
                  score_batch: Callable[[dict[str, torch.Tensor]], np.ndarray], progress: str | None = None) -> Scores:
    """Log-probabilities (words, tags) of each sentence, whatever computes them.

    Long sentences are read in windows and put together again: every word has the score of the window that owns it, and
    a word without any piece is outside.

    Parameters
    ----------
    score_batch : callable
        Batch of :func:`helpers.tagging.token_encode.collate_windows` → log-probabilities (words, tags) of its words.
    """
    encoded = encode_sentences(tokenizer, features, sentences, run["max_pieces"])
    scores = [np.full((len(tokens), len(TAGS)), NO_PIECE) for tokens in sentences]
    for one in scores:
        one[:, TAGS.index("O")] = 0.0
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
def predict_scores(run: Run, model: TokenTagger, tokenizer, features: WordFeatures | KnownValues,
                   sentences: Sequence[Sequence[str]], progress: str | None = None) -> Scores:
    """:func:`gather_scores` by PyTorch; the model is left in evaluation mode."""
    model.eval()

    def score_batch(batch: dict[str, torch.Tensor]) -> np.ndarray:
        logits = model.word_logits({name: tensor.to(model.device) for name, tensor in batch.items()})
        return model.tag_log_probs(logits).double().cpu().numpy()

    return gather_scores(run, tokenizer, features, sentences, score_batch, progress)


def choose_multiple(scores: Scores, gold: Sequence[Sequence[str]], transitions: np.ndarray,
                    pmi: np.ndarray) -> tuple[float, float]:
    """(multiple, F1): how much of the transition PMI Viterbi should add, by F1; the smallest of equally good ones.

    Parameters
    ----------
    scores, gold
        Of rows that the tagger has not learnt from.
    transitions : ndarray
        Scores that are added in any case, those a CRF has learnt.
    """
    found = [(entity_f1(gold, decode(scores, transitions + multiple * pmi)), -multiple) for multiple in MULTIPLES]
    best, negative = max(found)
    return -negative, best


# -- records ----------------------------------------------------------------------------------------------------------
def label_confidence(scores: np.ndarray, tags: Sequence[str]) -> dict[str, float]:
    """Label → lowest probability, over the words, of what the tags say of that label there (present or not)."""
    probabilities = np.exp(scores)
    sums = np.stack([probabilities[:, index == _LABEL_OF_TAG].sum(1) for index in range(len(LABELS))], 1)
    said = np.array([[label_of(tag) == label for label in LABELS] for tag in tags]).reshape(-1, len(LABELS))
    sure = np.where(said, sums, 1 - sums).min(0, initial=1.0)
    return {label: round(float(np.clip(value, 0, 1)), 6) for label, value in zip(LABELS, sure)}


def records_of(examples: Sequence[Example], scores: Scores, transitions: np.ndarray) -> list[dict[str, Any]]:
    """Prediction records: `prediction` the tags, `raw` the entities as JSON, `confidence` by label."""
    records = []
    for example, one, tags in zip(examples, scores, decode(scores, transitions)):
        found = TaggedTokens(example.target.tokens, tuple(tags)).entities()
        records.append({"id": example.id, "prediction": tags, "raw": json.dumps(found, ensure_ascii=False),
                        "confidence": label_confidence(one, tags)})
    return records


def scores_with(run: Run, tagger: TrainedTagger, examples: Sequence[Example], progress: str | None = None) -> Scores:
    """Scores of a tagger for examples."""
    return predict_scores(run, tagger.model, tagger.tokenizer, tagger.features,
                          [example.target.tokens for example in examples], progress)


def predict_with(run: Run, tagger: TrainedTagger, examples: Sequence[Example],
                 progress: str | None = None) -> list[dict[str, Any]]:
    """Prediction records of a tagger for examples."""
    return records_of(examples, scores_with(run, tagger, examples, progress), tagger.transitions)


def untuned_tagger(run: Run) -> TrainedTagger:
    """The run's encoder under a classifier that was never trained."""
    model = TokenTagger(load_encoder(run, encoder_path(run), TAGS), Layout())
    return TrainedTagger(model.eval(), load_token_tokenizer(run), WordFeatures(), np.zeros((len(TAGS), len(TAGS))))


# -- trained variants, as helpers.evaluation.predict asks for them ----------------------------------------------------------------
@lru_cache(maxsize=1)
def _cached(folder: Path, stamp: float, key: tuple) -> TrainedTagger:
    run = Run(task=key[0], profile=key[1], data=key[2], out=key[3], settings=key[4], seed=key[5])
    return load_trained_tagger(run, folder)


def load(run: Run, variant: str) -> TrainedTagger:
    """A trained variant; the last one stays in memory.

    Raises
    ------
    UserError
        If stage 04 has not finished it.
    """
    folder = run.dir / "checkpoints" / variant
    done = folder / "finished.json"
    if not done.exists():
        raise UserError(f"variant {variant!r} is not trained: run notebook 04_train_lora first")
    key = (run.task.name, run.profile, run.data, run.out, json.dumps(run.settings, sort_keys=True), run.seed)
    return _cached(folder / "best", done.stat().st_mtime, key)


def predict(run: Run, variant: str, examples: Sequence[Example], progress: bool = True) -> list[dict[str, Any]]:
    """Prediction records of a trained variant."""
    return predict_loaded(run, load(run, variant), examples, variant if progress else None)


def predict_loaded(run: Run, loaded: TrainedTagger, examples: Sequence[Example],
                   progress: str | None = None) -> list[dict[str, Any]]:
    """Prediction records of what :func:`load` gives."""
    return predict_with(run, loaded, examples, progress)
