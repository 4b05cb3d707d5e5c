"""The rows and settings of a variant, and the rows as what a writer or a tagger is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from helpers.data.splits import masked
from helpers.errors import UserError
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tagging.encode import IGNORE, WindowRow, collate_windows, gold_tags, words_of
from helpers.tagging.features import WordFeatures, count_words
from helpers.tagging.model import TrainedTagger, layout_of, load_token_tokenizer
from helpers.tagging.predict import cut_rows
from helpers.tasks.base import Example, Task
from helpers.tasks.bio import align_fine
from helpers.writing.encode import Encoded, encode_conversation, encode_example


def variant_settings(run: Run, variant: str) -> dict[str, Any]:
    """The settings `<variant>.<name>` of a run, without the prefix."""
    prefix = f"{variant}."
    return {key[len(prefix) :]: value for key, value in run.settings.items() if key.startswith(prefix)}


def reading_tokenizer(run: Run):
    """The tokenizer that the variants of the task read with."""
    return load_tokenizer(run) if run.task.writes else load_token_tokenizer(run)


def training_rows(run: Run, variant: str) -> list[Example]:
    """The rows a variant trains on: gold rows, `gold_repeats` times, and `made_rows` of those stage 02 made (-1: all).

    Made rows add variety, gold rows carry the conventions of labelling. Variants with the same settings get the same rows.
    """
    own, gold = variant_settings(run, variant), run.load("train")
    made = [row for row in run.load("train_augmented") if row.origin != "gold"]
    limit = own.get("made_rows", -1)
    if 0 <= limit < len(made):
        made = run.rng("made rows").sample(made, limit)
    return gold * own.get("gold_repeats", 1) + made


def gold_rows(train: Sequence[Example]) -> list[Example]:
    """The labelled rows, each once."""
    return list({example.id: example for example in train if example.origin == "gold"}.values())


# -- for writers ------------------------------------------------------------------------------------------------------
def encode_rows(run: Run, tokenizer, rows: list[Example], questions: int = 0) -> list[Encoded]:
    """Training sequences of the rows, without those longer than `max_length`: a note says so, and nothing is cut.

    Of a dialogue the whole chat, or with `questions` above 0 a seeded part of so many; where a row occurs several times each
    copy asks others, until all have been asked.
    """
    task = run.task
    if task.chat.questions:
        copies: Counter[tuple[int, str]] = Counter()
        encoded = []
        for row in rows:
            order = list(task.chat.questions)
            if 0 < questions < len(order):
                asked = order.copy()
                run.rng("questions", row.id, row.origin).shuffle(asked)
                start = copies[row.id, row.origin] * questions
                asked = {asked[at % len(asked)] for at in range(start, start + questions)}
                order = [name for name in order if name in asked]
                copies[row.id, row.origin] += 1
            encoded.append(encode_conversation(tokenizer, task, row, order))
    else:
        encoded = [
            encode_example(
                tokenizer, task.chat.prompt(row.text), task.chat.completion(row.target, row.text), task.fields
            )
            for row in rows
        ]
    limit = run["max_length"]
    long = [(row, len(one)) for row, one in zip(rows, encoded) if len(one) > limit]
    if long:
        said = (
            f"{len(long)} of {len(rows)} rows have more than max_length={limit} tokens (row {long[0][0].id} has {long[0][1]}): "
            "raise it with --set max_length=…, or shorten them"
        )
        if len(long) == len(rows):
            raise UserError(said)
        print(f"note: {said}; they are left out of training")
        encoded = [one for one in encoded if len(one) <= limit]
    return encoded


# -- for taggers ------------------------------------------------------------------------------------------------------
def training_sentences(run: Run, own: dict[str, Any], train: Sequence[Example]) -> list[Example]:
    """The rows a tagger of tokens learns from: weakly labelled ones only where its setting `weak` says so.

    Of sentences without entities that repeat a wording, with digits masked, the first stays and `repeat_share` of the
    others: placeholders of left-out code would else be a fifth of the public rows.
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


def fine_outputs(task: Task, gold: Sequence[Example]) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """`O`, B and I of each finer label, and the tag that each stands for; none unless every row has finer tags."""
    if not gold or any(example.extra.get("fine_tags") is None for example in gold):
        return (), ()
    names = layout_of(task).tags
    coarse = {
        fine[2:]: tag[2:]
        for example in gold
        for fine, tag in zip(align_fine(example.target.tags, example.extra["fine_tags"]), example.target.tags)
        if fine != "O"
    }
    outputs = ("O", *(f"{prefix}-{label}" for label in sorted(coarse) for prefix in "BI"))
    return outputs, tuple(
        names.index(tag[:2] + coarse[tag[2:]] if tag != "O" and coarse[tag[2:]] else "O") for tag in outputs
    )


def training_values(task: Task, features: WordFeatures, rows: Sequence[Example]) -> WordFeatures:
    """The features as training rows see them.

    The gazetteer feature of a labelled row is that of all other rows. For a weakly labelled one every word is unknown:
    its labels come from the gazetteer, which would explain them all.
    """
    if "gazetteer" not in features.names:
        return features
    known = count_words((example.target for example in gold_rows(rows)), task.fields)
    table: dict[tuple[str, ...], list[list[int]]] = {}
    for example in sorted(rows, key=lambda row: row.origin != "weak"):  # labelled rows come after weak ones
        counts = {} if example.origin == "weak" else known
        table[example.target.tokens] = features.values(task, example, words_of(task, example)[1], counts)
    return replace(features, known=table)


def encode_training(
    run: Run, tagger: TrainedTagger, rows: Sequence[Example], teacher: Sequence[torch.Tensor] = ()
) -> list[WindowRow]:
    """Training windows of rows for a tagger, with the features of :func:`training_values`.

    `teacher` are log-probabilities of a teacher for each row, (words, groups, tags).
    """
    task, layout = run.task, tagger.model.layout
    numbers = {name: index for index, name in enumerate(layout.outputs)}
    known, encoded = training_values(task, tagger.features, rows), []
    for index, (example, words, windows) in enumerate(cut_rows(run, tagger.tokenizer, rows)):
        values, tags = known.values(task, example, words), gold_tags(task, example, words)
        wanted = tags
        if layout.fine:
            fine = example.extra.get("fine_tags")
            aligned = align_fine(example.target.tags, fine) if fine is not None else [""] * len(words)
            wanted = np.array([numbers.get(tag, IGNORE) for tag in aligned], dtype=int)[:, None]
        for window in windows:
            if own := window.words:
                soft = teacher[index][own] if teacher else None
                encoded.append(WindowRow(window, values, tags[own], wanted[own], soft))
    return encoded


def training_batch(run: Run, tagger: TrainedTagger, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """The windows of some rows as the batch of :func:`helpers.tagging.encode.collate_windows`, beside the tagger."""
    windows = encode_training(run, tagger, examples)
    batch = collate_windows(windows, tagger.tokenizer.pad_token_id or 0)
    return {name: part.to(tagger.model.device) for name, part in batch.items()}
