"""Single rows under the glass: entities in their text, label beside prediction, attention on the values."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.metrics import align, comparable, exact_match
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.text import places


def entity_spans(task: Task, example: Example, target: Any) -> list[tuple[int, int, str]]:
    """Places (start, end, field) of the values of a label or prediction that stand in the row's text.

    A value takes the first place that no other value has taken; a value that is not in the text has no place. Of tagged
    tokens the place is known.
    """
    if not task.writes and target is not None:
        marked = task.spans(Example(example.id, example.text, target)).items()
        return sorted((start, end, name) for name, found in marked for start, end in found or ())
    taken: list[tuple[int, int, str]] = []
    for name, values in comparable(task, target).items():
        for value in values:
            free = [(start, end) for start, end in places(value, example.text, ignore_case=True)
                    if all(end <= low or start >= high for low, high, _ in taken)]
            if free:
                taken.append((*free[0], name))
    return sorted(taken)


def label_and_prediction(task: Task, example: Example, prediction: Any) -> pd.DataFrame:
    """Values of one row: index field, columns label, prediction (text, empty where absent), right (yes or no)."""
    wanted, found = comparable(task, example.target), comparable(task, prediction)
    lines = [("; ".join(wanted[name]), "; ".join(found[name]), "yes" if wanted[name] == found[name] else "no")
             for name in task.fields]
    return pd.DataFrame(lines, index=pd.Index(task.fields, name="field"), columns=["label", "prediction", "right"])


def pick_example(task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]]) -> Example:
    """A row to draw: right if any is, with as many filled fields as any of those, and the shortest text."""
    right = exact_match(task, gold, records)

    def rank(at: int) -> tuple[bool, int, int, int]:
        filled = sum(map(bool, comparable(task, gold[at].target).values()))
        return not right[at], -filled, len(gold[at].text), at

    return gold[min(range(len(gold)), key=rank)]


def wrong_rows(task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]],
               count: int = 1) -> list[tuple[Example, Any]]:
    """The first rows with a valid but wrong prediction: (example, prediction)."""
    pairs = zip(gold, align(gold, records), exact_match(task, gold, records))
    return [(row, record["prediction"]) for row, record, right in pairs
            if not right and record["prediction"] is not None][:count]


def _offsets(tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Character offsets of tokens in the text they join to."""
    ends = np.cumsum([len(token) for token in tokens]).tolist()
    return list(zip([0, *ends[:-1]], ends))


def _written_values(task: Task, output: str) -> list[str]:
    """Values in an output, in the order of the fields; of a dialogue, those of one answer."""
    for name in task.questions():
        values = task.parse_answer(name, output)[0]
        if values is not None:
            return values
    return [value for values in comparable(task, task.parse_output(output)[0]).values() for value in values]


def value_attention(task: Task, example: Example, tokens_in: Sequence[str], tokens_out: Sequence[str],
                    matrix: Any) -> tuple[list[str], list[str], np.ndarray]:
    """The part of an attention map that says where values come from: output tokens of values, input tokens of the text.

    Prompt words, the first token (which attracts whatever attention is not needed) and the output's own structure are
    left out. Where the tokens do not join to the text they came from, that side is kept whole.

    Returns
    -------
    tokens_in, tokens_out : list of str
    matrix : ndarray, shape (len(tokens_out), len(tokens_in))
    """
    matrix, prompt, output = np.asarray(matrix, dtype=float), "".join(tokens_in), "".join(tokens_out)
    start = prompt.find(example.text)
    columns = [at for at, (low, high) in enumerate(_offsets(tokens_in))
               if high > start and low < start + len(example.text)] if start >= 0 else list(range(len(tokens_in)))
    spots = []
    for value in _written_values(task, output):
        at = output.find(value, spots[-1][1] if spots else 0)
        if at >= 0:
            spots.append((at, at + len(value)))
    rows = [at for at, (low, high) in enumerate(_offsets(tokens_out))
            if any(low < end and high > begin for begin, end in spots)] or list(range(len(tokens_out)))
    return [tokens_in[at] for at in columns], [tokens_out[at] for at in rows], matrix[np.ix_(rows, columns)]


def copied_share(tokens_in: Sequence[str], tokens_out: Sequence[str], matrix: Any) -> float:
    """Share of output tokens that look most at an input token which spells the same or stands right before such a one.

    A head that copies (Olsson et al. 2022) finds the token written last in the input and looks at the one after it.
    """
    matrix = np.asarray(matrix, dtype=float)
    if not matrix.size:
        return float("nan")
    words = [token.strip().casefold() for token in tokens_in] + [""]
    hits = [tokens_out[row].strip().casefold() in (words[at], words[at + 1])
            for row, at in enumerate(matrix.argmax(axis=1))]
    return float(np.mean(hits))
