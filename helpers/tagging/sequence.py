"""Tag sequences as a whole: which transitions BIO allows, what train says of them, Viterbi, a linear-chain CRF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from helpers.tasks.bio import label_of

FORBIDDEN = -1e4  # large enough to be never chosen, small enough for sums in fp32
SMOOTHING = 0.5  # added to each count, so that what train never showed stays possible


# -- transitions ------------------------------------------------------------------------------------------------------
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


# -- decoding ---------------------------------------------------------------------------------------------------------
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


# -- conditional random field -----------------------------------------------------------------------------------------
def log_partition(
    emissions: torch.Tensor, lengths: torch.Tensor, transitions: torch.Tensor, start: torch.Tensor
) -> torch.Tensor:
    """Log of the sum over all tag sequences of exp(score), (sentences,), by the forward algorithm (Lafferty et al., 2001).

    `emissions` is (sentences, longest, tags); what stands behind the `lengths` (sentences,) is not read.
    """
    total = emissions[:, 0] + start
    for at in range(1, emissions.shape[1]):
        step = (total[:, :, None] + transitions).logsumexp(1) + emissions[:, at]
        total = torch.where((lengths > at)[:, None], step, total)
    return total.logsumexp(1)


def sequence_score(
    emissions: torch.Tensor,
    lengths: torch.Tensor,
    tags: torch.Tensor,
    transitions: torch.Tensor,
    start: torch.Tensor,
) -> torch.Tensor:
    """Score of one tag sequence a sentence; `tags` (sentences, longest), shapes as in :func:`log_partition`."""
    inside = torch.arange(emissions.shape[1], device=emissions.device) < lengths[:, None]
    single = emissions.gather(2, tags[:, :, None])[:, :, 0] * inside
    steps = transitions[tags[:, :-1], tags[:, 1:]] * inside[:, 1:]
    return single.sum(1) + steps.sum(1) + start[tags[:, 0]]


def crf_loss(
    log_probs: torch.Tensor, tags: torch.Tensor, row: torch.Tensor, learnt: torch.Tensor, names: Sequence[str]
) -> torch.Tensor:
    """Negative log-likelihood of the gold sequences under a linear-chain CRF, per word.

    `log_probs` (words, tags) are the emissions of a batch's words, sentence after sentence; `tags` and `row` (words,) the tag
    and the sentence of each. Transitions of BIO between the tags `names` are added to those that are `learnt`.
    """
    _, sentence, lengths = row.unique_consecutive(return_inverse=True, return_counts=True)
    position = torch.arange(len(row), device=row.device) - (lengths.cumsum(0) - lengths)[sentence]
    shape = (len(lengths), int(lengths.max()))
    emissions = log_probs.new_zeros(*shape, log_probs.shape[1]).index_put((sentence, position), log_probs)
    padded = tags.new_zeros(shape).index_put((sentence, position), tags)
    rules, start = (log_probs.new_tensor(scores) for scores in (bio_transitions(names), start_scores(names)))
    total = log_partition(emissions, lengths, learnt + rules, start)
    return (total - sequence_score(emissions, lengths, padded, learnt + rules, start)).sum() / len(row)
