"""The rows of a variant that tags, and the rows as windows with what is learnt in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from helpers.data.splits import masked
from helpers.run import Run
from helpers.tagging.encode import IGNORE, WindowRow, windows_of
from helpers.tagging.features import KnownValues, WordFeatures, count_words
from helpers.tagging.model import layout_of
from helpers.tagging.predict import longest_window
from helpers.tagging.tags import gold_tags, words_of
from helpers.tasks.base import Task
from helpers.tasks.bio import align_fine
from helpers.tasks.records import Example


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


def fine_outputs(task: Task, gold: Sequence[Example]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Classes of the classifier where every row has finer tags, and the tag that each stands for; else none.

    They are `O`, and B and I of each finer label.
    """
    if not gold or any(example.extra.get("fine_tags") is None for example in gold):
        return (), ()
    names = layout_of(task).tags
    pairs = {
        (fine, tag)
        for example in gold
        for fine, tag in zip(align_fine(example.target.tags, example.extra["fine_tags"]), example.target.tags)
    }
    coarse = {fine[2:]: tag[2:] for fine, tag in pairs if fine != "O"}
    outputs = ("O", *(f"{prefix}-{label}" for label in sorted(coarse) for prefix in "BI"))
    return outputs, tuple(
        names.index(tag[:2] + coarse[tag[2:]] if tag != "O" and coarse[tag[2:]] else "O") for tag in outputs
    )


def training_values(
    task: Task, features: WordFeatures, rows: Sequence[Example]
) -> WordFeatures | KnownValues:
    """Where training rows get their feature values from.

    The gazetteer feature of a labelled row is that of all other rows. For a weakly labelled one every word is unknown:
    its labels come from the gazetteer, which would explain them all.
    """
    if "gazetteer" not in features.names:
        return features
    known = count_words((example.target for example in gold_rows(rows)), task.fields)
    table: dict[tuple[str, ...], list[list[int]]] = {}
    for example in sorted(
        rows, key=lambda row: row.origin != "weak"
    ):  # a labelled row comes after a weak one
        own = count_words([example.target], task.fields)
        table[example.target.tokens] = features.values(
            task, example, words_of(task, example)[1], own, own if example.origin == "weak" else known
        )
    return KnownValues(table)


def encode_training(
    run: Run,
    tokenizer,
    features: WordFeatures,
    outputs: Sequence[str],
    rows: Sequence[Example],
    teacher: Sequence[torch.Tensor] | None = None,
) -> list[WindowRow]:
    """Training windows of rows with the features of :func:`training_values`.

    Parameters
    ----------
    outputs : sequence of str
        Finer classes of the classifier; empty where it gives the tags themselves.
    teacher : sequence of FloatTensor (words, groups, tags), optional
        Log-probabilities of a teacher for each row.
    """
    task, numbers = run.task, {name: index for index, name in enumerate(outputs)}
    known, read = training_values(task, features, rows), [words_of(task, row) for row in rows]
    cut = windows_of(
        tokenizer, [text for text, _ in read], [words for _, words in read], longest_window(run, tokenizer)
    )
    encoded = []
    for index, (example, (_, words), windows) in enumerate(zip(rows, read, cut)):
        values, tags = known.values(task, example, words), gold_tags(task, example, words)
        wanted = tags
        if outputs:
            fine = example.extra.get("fine_tags")
            wanted = (
                torch.full_like(tags, IGNORE)
                if fine is None
                else torch.tensor(
                    [numbers.get(tag, IGNORE) for tag in align_fine(example.target.tags, fine)]
                )[:, None]
            )
        for window in (window for window in windows if window.words):
            own = window.words
            soft = None if teacher is None else teacher[index][own]
            encoded.append(WindowRow(window, values, tags[own], wanted[own], soft))
    return encoded
