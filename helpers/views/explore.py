"""A first look at data before anything is trained: lengths, fields, values, formats, repeats and conflicts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.data.splits import NEAR, alike
from helpers.tasks.base import Example, Task
from helpers.tasks.text import places
from helpers.writing import chat

Parts = Mapping[str, Sequence[Example]]


# -- rows as they come ------------------------------------------------------------------------------------------------
def _visible(value: Any) -> str:
    """A value as text in which special spaces and control characters show, as U+202F for a narrow one."""
    return re.sub(r"[^\S ]|[\u200b-\u200f\u2060\ufeff]", lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(value))


def canonical_changes(examples: Sequence[Example], task: Task) -> pd.DataFrame:
    """What loading changed in the rows: columns `id`, `key`, `as_given`, `canonical`, one row a changed value.

    Only rows whose raw form the task keeps (`extra["row"]`) are compared, objects key by dotted key; characters that do
    not show are spelt out.
    """
    rows = []
    for example in (example for example in examples if "row" in example.extra):
        raw_rows = (example.extra["row"], task.rows.write(example))
        parts = [pd.json_normalize(task.hooks.row_parts(row)) for row in raw_rows]
        given, canonical = (part.to_dict("records")[0] for part in parts)
        rows += [
            (example.id, key, _visible(value), _visible(canonical[key]))
            for key, value in given.items()
            if key in canonical and canonical[key] != value
        ]
    return pd.DataFrame(rows, columns=["id", "key", "as_given", "canonical"])


# -- lengths ----------------------------------------------------------------------------------------------------------
def lengths(parts: Parts, task: Task, tokenizer: Callable[..., Any]) -> pd.DataFrame:
    """Length of every row: columns `part`, `id`, `characters` (of the text), `prompt_tokens` and `tokens`.

    `tokens` is the sequence a causal model is trained on (prompt, completion and end-of-text token, or the chat); for a
    tagger the text with its special tokens. The prompt of a chat are the turns before the first question.
    """

    def count(text: str) -> int:
        return len(tokenizer(text, add_special_tokens=False)["input_ids"])

    rows = []
    for part, examples in parts.items():
        for example in examples:
            if task.chat.questions:  # the template writes every special token itself
                prompt = count(chat.render(tokenizer, task.chat.opening(example.text)))
                tokens = count(chat.render(tokenizer, task.chat.conversation(example)))
            elif not task.writes:  # a tagger reads the text between its special tokens and writes nothing
                prompt = tokens = count(example.text) + tokenizer.num_special_tokens_to_add()
            else:
                prompt = count(task.chat.prompt(example.text))
                tokens = prompt + count(task.chat.completion(example.target, example.text)) + 1
            rows.append((part, example.id, len(example.text), prompt, tokens))
    return pd.DataFrame(rows, columns=["part", "id", "characters", "prompt_tokens", "tokens"])


def length_limits(
    frame: pd.DataFrame, limits: Sequence[int] = (64, 128, 256, 512, 1024, 2048)
) -> pd.DataFrame:
    """What a `max_length` (index, in tokens) would cost: the shortest that cuts nothing, and the three below it.

    Columns `cut`, the share of rows that are longer, and `padding`, the share of padding if every row were padded to it.
    """
    tokens = frame["tokens"].to_numpy()
    enough = next((at for at, limit in enumerate(limits) if limit >= max(tokens.max(), 512)), len(limits) - 1)
    shown = list(limits[max(0, enough - 3) : enough + 1])
    padding = [1 - np.minimum(tokens, limit).sum() / (limit * len(tokens)) for limit in shown]
    cut = [(tokens > limit).mean() for limit in shown]
    return pd.DataFrame({"cut": cut, "padding": padding}, index=pd.Index(shown, name="max_length"))


# -- fields and values ------------------------------------------------------------------------------------------------
def field_presence(parts: Parts, task: Task) -> pd.DataFrame:
    """Share of rows in which a field has a value: index field, one column a part."""
    present = {
        part: pd.DataFrame([task.values(example.target) for example in examples], columns=list(task.fields))
        for part, examples in parts.items()
    }
    return pd.DataFrame({part: frame.map(bool).mean() for part, frame in present.items()})


def value_frame(examples: Sequence[Example], task: Task) -> pd.DataFrame:
    """Every value of every label: columns `id`, `field`, `value`, `text` (of its row)."""
    rows = [
        (example.id, name, value, example.text)
        for example in examples
        for name, values in task.values(example.target).items()
        for value in values
    ]
    return pd.DataFrame(rows, columns=["id", "field", "value", "text"], dtype=object)


def value_summary(values: pd.DataFrame, task: Task) -> pd.DataFrame:
    """How varied the values of :func:`value_frame` are, without letter case.

    Index field; `values`, `unique` ones and their `share_unique`, the `commonest` (of several the first by name) and its
    `count`.
    """
    lowered = values.assign(value=values["value"].str.lower())
    counts = lowered.groupby(["field", "value"]).size().rename("count").reset_index()
    fields = counts.groupby("field")["count"]
    table = fields.agg(values="sum", unique="size").reindex(list(task.fields)).fillna(0).astype(int)
    table["share_unique"] = table["unique"] / table["values"].where(table["values"] > 0)
    top = counts.sort_values("count", ascending=False, kind="stable").drop_duplicates("field")
    table["commonest"] = top.set_index("field")["value"]
    table["count"] = fields.max().reindex(table.index).fillna(0).astype(int)
    return table.rename_axis("field")


def surface_formats(examples: Sequence[Example], task: Task) -> pd.DataFrame:
    """Ways of writing: columns `kind` ("date format"), `format`, `rows`, `share`, commonest first in each kind."""
    found = Counter(pair for example in examples for pair in task.hooks.surface_formats(example).items())
    frame = pd.DataFrame([(*pair, rows) for pair, rows in found.items()], columns=["kind", "format", "rows"])
    frame["share"] = frame["rows"] / max(len(examples), 1)
    return frame.sort_values(["kind", "rows", "format"], ascending=[True, False, True], ignore_index=True)


def with_literalness(values: pd.DataFrame) -> pd.DataFrame:
    """The values of :func:`value_frame` with a column `how` they stand in their text.

    That is `verbatim` (a whole-word piece of it), `other_case` (so but for letter case) or `not_in_text`.
    """

    def literal(value: str, text: str) -> str:
        if places(value, text):
            return "verbatim"
        return "other_case" if places(value, text, ignore_case=True) else "not_in_text"

    return values.assign(how=[literal(*pair) for pair in zip(values["value"], values["text"])])


# -- repeats and conflicts --------------------------------------------------------------------------------------------
def near_duplicates(examples: Sequence[Example], threshold: float = NEAR) -> pd.DataFrame:
    """Pairs of rows in nearly the same words, most similar first.

    Columns `kind` (see :func:`helpers.data.splits.alike`), `similarity`, `id_one`, `text_one`, `id_other`, `text_other`.
    """
    pairs = alike([example.text for example in examples], threshold=threshold)
    rows = pd.DataFrame([(example.id, example.text) for example in examples], columns=["id", "text"])
    frame = pairs[["kind", "similarity"]].reset_index(drop=True)
    for side, name in (("left", "one"), ("right", "other")):
        frame[f"id_{name}"] = rows["id"].to_numpy()[pairs[side]]
        frame[f"text_{name}"] = rows["text"].to_numpy()[pairs[side]]
    return frame.sort_values(
        ["similarity", "id_one", "id_other"], ascending=[False, True, True], ignore_index=True
    )


def label_conflicts(examples: Sequence[Example], task: Task, near: pd.DataFrame) -> pd.DataFrame:
    """Rows that repeat each other and yet have different labels, one line for each field that differs.

    `near` has the pairs that :func:`near_duplicates` finds among the examples; siblings are passed over. Columns `kind`,
    `id_one`, `id_other`, `text_one`, `text_other`, `field`, `label_one`, `label_other`.
    """
    values = {example.id: task.values(example.target) for example in examples}
    pairs = near[near["kind"] != "sibling"].sort_values(["id_other", "id_one"])
    columns = ["kind", "id_one", "id_other", "text_one", "text_other"]
    rows = [
        (*pair, name, "; ".join(values[pair[1]][name]), "; ".join(values[pair[2]][name]))
        for pair in pairs[columns].itertuples(index=False)
        for name in task.fields
        if values[pair[1]][name] != values[pair[2]][name]
    ]
    return pd.DataFrame(rows, columns=[*columns, "field", "label_one", "label_other"])


# -- before and after augmentation ------------------------------------------------------------------------------------
def before_after(train: Sequence[Example], rows: Sequence[Example], task: Task) -> pd.DataFrame:
    """Share of rows with each field and each way of writing: index (`kind`, `item`); columns `before`, `after`.

    The kind is `field`, or a kind of format.
    """
    columns = {}
    for when, examples in (("before", train), ("after", rows)):
        presence = field_presence({when: examples}, task)[when]
        formats = surface_formats(examples, task).set_index(["kind", "format"])["share"]
        columns[when] = pd.concat([pd.concat({"field": presence}), formats])
    table = pd.DataFrame(columns).fillna(0.0).rename_axis(["kind", "item"])
    return table.sort_index(level="kind", sort_remaining=False)


def samples(train: Sequence[Example], rows: Sequence[Example], each: int = 2) -> pd.DataFrame:
    """A few rows of each origin: columns `origin`, `original` (empty for synthetic rows) and `made`."""
    originals = {example.id: example.text for example in train}
    frame = pd.DataFrame(
        [(row.origin, originals.get(row.id, ""), row.text) for row in rows[len(train) :]],
        columns=["origin", "original", "made"],
    )
    return frame.groupby("origin").head(each).sort_values("origin", kind="stable", ignore_index=True)
