"""The rows and settings of a variant, and the rows as what a model is trained on."""

from __future__ import annotations

from collections import Counter
from typing import Any

from helpers.errors import UserError
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tagging.model import load_token_tokenizer
from helpers.tasks.records import Example
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

    Made rows add variety, gold rows carry the conventions of labelling: the two settings balance them within the
    time that training may take. Variants with the same settings get the same rows.
    """
    own, gold = variant_settings(run, variant), run.load("train")
    made, limit = (
        [row for row in run.load("train_augmented") if row.origin != "gold"],
        own.get("made_rows", -1),
    )
    if 0 <= limit < len(made):
        made = run.rng("made rows").sample(made, limit)
    return gold * own.get("gold_repeats", 1) + made


def encode_rows(run: Run, tokenizer, rows: list[Example], questions: int = 0) -> list[Encoded]:
    """Training sequences of the rows; for a dialogue the whole chat of each, or a seeded part of its questions.

    With `questions` above 0 a row asks so many; where a row occurs several times each copy asks others, until all have been
    asked. Where questions see each other (setting `dialogue`), made rows ask them in an order of their own, so that a model
    learns to answer any question first.

    Raises
    ------
    UserError
        If a sequence is longer than `max_length`: nothing is cut silently.
    """
    task = run.task
    if task.chat.questions:
        copies: Counter[tuple[int, str]] = Counter()
        encoded = []
        for row in rows:
            order = question_order(run, row)
            if 0 < questions < len(order):
                asked = order.copy()
                run.rng("questions", row.id, row.origin).shuffle(asked)
                start = copies[row.id, row.origin] * questions
                asked = {asked[at % len(asked)] for at in range(start, start + questions)}
                order = [name for name in order if name in asked]
                copies[row.id, row.origin] += 1
            encoded.append(encode_conversation(tokenizer, task, row, order, run["dialogue"] == "independent"))
    else:
        encoded = [
            encode_example(
                tokenizer, task.chat.prompt(row.text), task.chat.completion(row.target), task.fields
            )
            for row in rows
        ]
    longest = max(range(len(encoded)), key=lambda index: len(encoded[index]))
    if len(encoded[longest]) > run["max_length"]:
        raise UserError(
            f"row {rows[longest].id} has {len(encoded[longest])} tokens, more than max_length="
            f"{run['max_length']}: raise it with --set max_length=…, or shorten the row"
        )
    return encoded


def question_order(run: Run, row: Example) -> list[str]:
    """Order in which a row asks its questions: the task's own for gold rows and wherever no question sees another."""
    order = list(run.task.chat.questions)
    if run["dialogue"] == "sequential" and row.origin != "gold":
        run.rng("question order", row.id, row.origin).shuffle(order)
    return order
