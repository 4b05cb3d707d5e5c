"""Tables and sentences about taggers of tokens: pieces, features, repeated sentences, and what compression does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from helpers.data.read import load_source
from helpers.run import Run
from helpers.tagging.encode import windows_of, words_of
from helpers.tagging.features import FIRST_LABEL, UNKNOWN, casing, count_words, gazetteer_value, shape
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.tasks.token_metrics import with_and_without

OFTEN = ("seldom", "sometimes", "mostly")  # how often a word of train is an entity, as gazetteer_value has it


# -- notebook 04 ------------------------------------------------------------------------------------------------------
def fullest(rows: Sequence[Example], longest: int = 24) -> Example:
    """The row with the most different labels and then entities, of those with at most `longest` tokens if there are any."""
    short = [row for row in rows if len(row.target.tokens) <= longest] or list(rows)
    return max(short, key=lambda row: (len(set(row.target.tags)), len(row.target.entities()), -row.id))


PLAIN, EXACT, SMALL = "PyTorch fp32", "ONNX fp32", "ONNX int8"  # forms of a tagger


def piece_table(tokenizer, example: Example) -> pd.DataFrame:
    """Words of a sentence: index word; columns pieces (as the tokenizer cuts them), tag, and finer tag where known."""
    words, target = list(example.target.tokens), example.target
    pieces = [" ".join(tokenizer.tokenize(word)) for word in words]
    frame = pd.DataFrame({"pieces": pieces, "tag": target.tags}, index=pd.Index(words, name="word"))
    finer = example.extra.get("fine_tags")
    return frame if finer is None else frame.assign(finer_tag=list(finer))


def window_finding(run: Run, tokenizer, rows: Sequence[Example]) -> str:
    """Longest sentence, and how many are read in several windows."""
    texts, words = zip(*(words_of(run.task, row) for row in rows))
    cut = windows_of(tokenizer, texts, words, run["max_pieces"])
    longest = max(sum(len(window.words) for window in windows) for windows in cut)
    several = sum(len(windows) > 1 for windows in cut)
    mean = sum(len(window) for windows in cut for window in windows) / max(1, sum(map(len, cut)))
    return (
        f"A sentence has {mean:.0f} pieces in the mean, the longest one {longest} words. **{several}** of {len(rows)} are "
        f"longer than {run['max_pieces']} pieces and are read in overlapping windows; no word is cut off."
    )


def feature_table(task: Task, train: Sequence[Example], example: Example) -> pd.DataFrame:
    """Features of the words of a train row: index word; columns shape, casing, gazetteer (what the *other* rows say)."""
    known, own = (
        count_words((row.target for row in train), task.fields),
        count_words([example.target], task.fields),
    )
    lines = []
    for word in example.target.tokens:
        others = [a - b for a, b in zip(known.get(word.lower(), own[word.lower()]), own[word.lower()])]
        lines.append((shape(word), casing(word), _in_words(gazetteer_value(others), task.fields)))
    return pd.DataFrame(
        lines, columns=["shape", "casing", "gazetteer"], index=pd.Index(example.target.tokens, name="word")
    )


def _in_words(value: int, labels: Sequence[str]) -> str:
    """A value of the gazetteer feature for readers."""
    if value < FIRST_LABEL:
        return "never seen" if value == UNKNOWN else "never an entity"
    label, share = divmod(value - FIRST_LABEL, len(OFTEN))
    return f"{OFTEN[share]} {labels[label]}"


# -- notebook 05 ------------------------------------------------------------------------------------------------------
def repeated_sentences(
    run: Run, scored: Sequence[Example], predictions: dict[str, list[dict[str, Any]]]
) -> pd.DataFrame:
    """:func:`helpers.tasks.token_metrics.with_and_without`, against train as the source gave it; a sample has no such part."""
    source = load_source(run)
    return with_and_without(
        run.task, scored, source["train"] if "train" in source else run.load("train"), predictions
    )


def repetition_finding(table: pd.DataFrame, best: str) -> str:
    """How many scored sentences stand in train, and what they are worth to the best system."""
    line = table.loc[best]
    if not line["seen"]:
        return f"None of the {line['rows']:.0f} scored sentences stands in train word for word."
    return (
        f"**{line['seen']:.0f}** of {line['rows']:.0f} scored sentences stand in the source's train part word for word. "
        f"Stage 02 has taken them out of train; without them the score is {line['unseen']:.3f} instead of "
        f"{line['all']:.3f} ({100 * line['difference']:+.1f} points)."
    )


def compression_finding(table: pd.DataFrame, teachers: dict[str, str]) -> str:
    """What the forms of :func:`helpers.export.latency.compression_table` gain and lose, as Markdown lines.

    Parameters
    ----------
    teachers : dict
        Student → teacher.
    """

    def span(values: pd.Series, form: str) -> str:
        low, high = values.min(), values.max()
        return f"{low:{form}}" if f"{low:{form}}" == f"{high:{form}}" else f"{low:{form}} to {high:{form}}"

    exact, small = (table.xs(form, level="form") for form in (EXACT, SMALL))
    lines = [
        f"ONNX fp32 gives PyTorch's logits within {exact['largest_difference'].max():.1e}.",
        f"int8 is {span(small['speedup'], '.1f')} times as fast as PyTorch fp32, takes "
        f"{span(small['megabytes'], '.0f')} MB, and changes F1 by {span(100 * small['f1_change'], '+.1f')} points.",
    ]
    plain = table.xs(PLAIN, level="form")
    if {"full", "lora"} <= set(plain.index):
        merged, full = plain.loc["lora", "ms"], plain.loc["full", "ms"]
        lines.append(
            f"A merged adapter leaves a model of the same shape: *lora* takes {merged:.1f} ms, "
            f"**{merged / full:.2f}** times the {full:.1f} ms of *full*."
        )
    for student, teacher in teachers.items():
        if {student, teacher} <= set(plain.index):
            gain = plain.loc[teacher, "ms"] / plain.loc[student, "ms"]
            lines.append(
                f"The student *{student}* is **{gain:.1f}** times as fast as its teacher *{teacher}*, at "
                f"{100 * (plain.loc[student, 'f1'] - plain.loc[teacher, 'f1']):+.1f} points of F1."
            )
    return "\n".join(f"- {line}" for line in lines)
