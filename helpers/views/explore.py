"""A first look at data before anything is trained: lengths, fields, values, formats, repeats and conflicts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.data.splits import NEAR, alike
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.tasks.text import normalise, places
from helpers.writing import chat

Parts = Mapping[str, Sequence[Example]]


# -- rows as they come ------------------------------------------------------------------------------------------------
def _flat(value: Any, name: str = "") -> dict[str, Any]:
    """A JSON object as one level of dotted keys."""
    if not isinstance(value, dict):
        return {name: value}
    below = [_flat(part, f"{name}.{inner}".strip(".")) for inner, part in value.items()]
    return {key: item for level in below for key, item in level.items()}


def _visible(value: Any) -> str:
    """A value as text in which special spaces and control characters show, as U+202F for a narrow one."""
    return re.sub(r"[^\S ]|[\u200b-\u200f\u2060\ufeff]", lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(value))


def canonical_changes(examples: Sequence[Example], task: Task) -> pd.DataFrame:
    """What loading changed in the rows: columns `id`, `key`, `as_given`, `canonical`, one row a changed value.

    Only rows whose raw form the task keeps (`extra["row"]`) are compared; characters that do not show are spelt out.
    """
    rows = []
    for example in examples:
        if "row" not in example.extra:
            continue
        given, canonical = (
            _flat(task.hooks.row_parts(row)) for row in (example.extra["row"], task.rows.write(example))
        )
        rows += [
            (example.id, key, _visible(value), _visible(canonical[key]))
            for key, value in given.items()
            if key in canonical and canonical[key] != value
        ]
    return pd.DataFrame(rows, columns=["id", "key", "as_given", "canonical"])


# -- lengths ----------------------------------------------------------------------------------------------------------
def lengths(parts: Parts, task: Task, tokenizer: Callable[..., Any]) -> pd.DataFrame:
    """Length of every row.

    Parameters
    ----------
    parts : dict of str to list of Example
    task : Task
    tokenizer : callable
        A Hugging Face tokenizer.

    Returns
    -------
    DataFrame
        Columns `part`, `id`, `characters` (input text), `prompt_tokens` (of a chat: the turns before the first question)
        and `tokens` (the sequence a causal model is trained on: prompt, completion and end-of-text token, or the chat; for
        a tagger the text with its special tokens).
    """
    frames = []
    for part, examples in parts.items():
        if task.chat.questions:  # the template writes every special token itself
            prompts = _token_counts(
                [chat.render(tokenizer, task.chat.opening(example.text)) for example in examples], tokenizer
            )
            tokens = _token_counts(
                [chat.render(tokenizer, task.chat.conversation(example)) for example in examples], tokenizer
            )
        elif not task.writes:  # a tagger reads the text between its special tokens and writes nothing
            pieces = _token_counts([example.text for example in examples], tokenizer)
            prompts = tokens = [count + tokenizer.num_special_tokens_to_add() for count in pieces]
        else:
            prompts = _token_counts([task.chat.prompt(example.text) for example in examples], tokenizer)
            completions = _token_counts(
                [task.chat.completion(example.target) for example in examples], tokenizer
            )
            tokens = [p + c + 1 for p, c in zip(prompts, completions)]
        frames.append(
            pd.DataFrame(
                {
                    "part": part,
                    "id": [example.id for example in examples],
                    "characters": [len(example.text) for example in examples],
                    "prompt_tokens": prompts,
                    "tokens": tokens,
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def _token_counts(texts: list[str], tokenizer: Callable[..., Any]) -> list[int]:
    return [len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []


def length_summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows, median, 95th percentile and maximum of each length, one row a part, columns `<length> <statistic>`."""
    grouped = frame.groupby("part", sort=False)
    table = {"rows": grouped.size()}
    for name in ("characters", "prompt_tokens", "tokens"):
        table |= {
            f"{name} median": grouped[name].median(),
            f"{name} p95": grouped[name].quantile(0.95),
            f"{name} max": grouped[name].max(),
        }
    return pd.DataFrame(table)


def length_limits(
    frame: pd.DataFrame, limits: Sequence[int] = (64, 128, 256, 512, 1024, 2048)
) -> pd.DataFrame:
    """What a `max_length` would cost.

    Returns
    -------
    DataFrame
        Indexed by `max_length` (tokens): `cut`, the share of rows that are longer, and `padding`, the share of padding
        among all positions if every row were padded to that length.
    """
    tokens = frame["tokens"].to_numpy()
    enough = next((at for at, limit in enumerate(limits) if limit >= max(tokens.max(), 512)), len(limits) - 1)
    limits = limits[max(0, enough - 3) : enough + 1]  # the shortest that cuts nothing, and the three below it
    table = {
        limit: {
            "cut": float((tokens > limit).mean()),
            "padding": float(1 - np.minimum(tokens, limit).sum() / (limit * len(tokens))),
        }
        for limit in limits
    }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("max_length")


# -- fields and values ------------------------------------------------------------------------------------------------
def field_presence(parts: Parts, task: Task) -> pd.DataFrame:
    """Share of rows in which a field has a value: index field, one column a part."""
    shares = {}
    for part, examples in parts.items():
        filled = [task.values(example.target) for example in examples]
        shares[part] = {
            name: float(np.mean([bool(values[name]) for values in filled])) for name in task.fields
        }
    return pd.DataFrame(shares, index=list(task.fields))


def fields_per_row(examples: Sequence[Example], task: Task) -> pd.Series:
    """Number of rows by how many of their fields are present."""
    counts = Counter(sum(map(bool, task.values(example.target).values())) for example in examples)
    return pd.Series(counts, name="rows").sort_index().rename_axis("fields present")


def _all_values(examples: Sequence[Example], task: Task, name: str) -> list[str]:
    return [value for example in examples for value in task.values(example.target)[name]]


def value_summary(examples: Sequence[Example], task: Task) -> pd.DataFrame:
    """How varied the values are: index field; values, unique ones (lower-cased) and their share, the commonest one."""
    table = {}
    for name in task.fields:
        counts = Counter(value.lower() for value in _all_values(examples, task, name))
        total = sum(counts.values())
        top, top_count = _most_common(counts, 1)[0] if counts else (None, 0)
        table[name] = {
            "values": total,
            "unique": len(counts),
            "share_unique": len(counts) / total if total else np.nan,
            "commonest": top,
            "count": top_count,
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("field")


def _most_common(counts: Counter, count: int) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:count]


def top_values(examples: Sequence[Example], task: Task, name: str, count: int = 10) -> pd.Series:
    """The commonest values of a field (lower-cased) and how often each occurs."""
    counts = Counter(value.lower() for value in _all_values(examples, task, name))
    return pd.Series(dict(_most_common(counts, count)), name="rows", dtype=int).rename_axis(name)


def surface_formats(examples: Sequence[Example], task: Task) -> pd.DataFrame:
    """Ways of writing: columns `kind` ("date format"), `format`, `rows`, `share`, commonest first in each kind."""
    found = [pair for example in examples for pair in task.hooks.surface_formats(example).items()]
    frame = pd.Series(Counter(found), dtype=int).rename_axis(["kind", "format"]).reset_index(name="rows")
    frame["share"] = frame["rows"] / max(len(examples), 1)
    return frame.sort_values(["kind", "rows", "format"], ascending=[True, False, True], ignore_index=True)


def verbatim_share(examples: Sequence[Example], task: Task) -> pd.DataFrame:
    """How literally labels repeat the text.

    Returns
    -------
    DataFrame
        Index field; `values`, and the shares `verbatim` (a whole-word piece of the text), `other_case` (so but for
        letter case) and `not_in_text`.
    """
    table = {}
    for name in task.fields:
        kinds = Counter(
            _how_literal(value, example.text)
            for example in examples
            for value in task.values(example.target)[name]
        )
        total = sum(kinds.values())
        table[name] = {"values": total} | {
            kind: kinds[kind] / total if total else np.nan
            for kind in ("verbatim", "other_case", "not_in_text")
        }
    return pd.DataFrame.from_dict(table, orient="index").rename_axis("field")


def _how_literal(value: str, text: str) -> str:
    if places(value, text):
        return "verbatim"
    return "other_case" if places(value, text, ignore_case=True) else "not_in_text"


def not_verbatim(
    examples: Sequence[Example], task: Task, fields: Sequence[str] | None = None
) -> pd.DataFrame:
    """Values of span fields that are no piece of their text: columns id, field, value, text."""
    fields = [name for name in task.fields if task.kinds[name].verbatim] if fields is None else fields
    rows = [
        (example.id, name, value, example.text)
        for example in examples
        for name in fields
        for value in task.values(example.target)[name]
        if _how_literal(value, example.text) == "not_in_text"
    ]
    return pd.DataFrame(rows, columns=["id", "field", "value", "text"])


# -- repeats and conflicts --------------------------------------------------------------------------------------------
def near_duplicates(examples: Sequence[Example], threshold: float = NEAR) -> pd.DataFrame:
    """Pairs of rows in nearly the same words.

    Returns
    -------
    DataFrame
        Columns `kind` (see :func:`helpers.data.splits.alike`), `similarity`, `id_one`, `text_one`, `id_other`, `text_other`;
        most similar first.
    """
    pairs = alike([example.text for example in examples], threshold=threshold)
    ids = np.array([example.id for example in examples], dtype=int)
    texts = np.array([example.text for example in examples], dtype=object)
    frame = pd.DataFrame(
        {
            "kind": pairs["kind"],
            "similarity": pairs["similarity"],
            "id_one": ids[pairs["left"]],
            "text_one": texts[pairs["left"]],
            "id_other": ids[pairs["right"]],
            "text_other": texts[pairs["right"]],
        }
    )
    return frame.sort_values(
        ["similarity", "id_one", "id_other"], ascending=[False, True, True], ignore_index=True
    )


def exact_duplicates(examples: Sequence[Example]) -> pd.DataFrame:
    """Texts that occur more than once: columns `text`, `rows`, `ids`, `targets` (number of different labels)."""
    groups: dict[str, list[Example]] = {}
    for example in examples:
        groups.setdefault(normalise(example.text), []).append(example)
    rows = [
        (
            text,
            len(group),
            [example.id for example in group],
            len({repr(example.target) for example in group}),
        )
        for text, group in groups.items()
        if len(group) > 1
    ]
    return pd.DataFrame(rows, columns=["text", "rows", "ids", "targets"])


def label_conflicts(examples: Sequence[Example], task: Task, near: pd.DataFrame) -> pd.DataFrame:
    """Rows that repeat each other (exactly or nearly) and yet have different labels.

    Parameters
    ----------
    examples : sequence of Example
    task : Task
    near : DataFrame
        The pairs that :func:`near_duplicates` finds among the examples; siblings are passed over.

    Returns
    -------
    DataFrame
        Columns `kind`, `id_one`, `id_other`, `text_one`, `text_other`, `field`, `label_one`, `label_other`: one row for
        each field that differs.
    """
    by_id, rows = {example.id: example for example in examples}, []
    repeats = near[near["kind"] != "sibling"].sort_values(["id_other", "id_one"])
    for kind, one, other in zip(
        repeats["kind"], repeats["id_one"].map(by_id), repeats["id_other"].map(by_id)
    ):
        left, right = task.values(one.target), task.values(other.target)
        if left == right:
            continue
        rows += [
            (
                kind,
                one.id,
                other.id,
                one.text,
                other.text,
                name,
                "; ".join(left[name]),
                "; ".join(right[name]),
            )
            for name in task.fields
            if left[name] != right[name]
        ]
    return pd.DataFrame(
        rows,
        columns=["kind", "id_one", "id_other", "text_one", "text_other", "field", "label_one", "label_other"],
    )


def before_after(train: Sequence[Example], rows: Sequence[Example], task: Task) -> pd.DataFrame:
    """Share of rows with each field and each way of writing, before and after.

    Returns
    -------
    DataFrame
        Index (`kind`, `item`): `field` and its name, or a kind of format and the format; columns `before`, `after`.
    """
    columns = {}
    for when, examples in (("before", train), ("after", rows)):
        presence = field_presence({when: examples}, task)[when]
        formats = surface_formats(examples, task).set_index(["kind", "format"])["share"]
        columns[when] = pd.concat(
            {"field": presence, **{kind: formats[kind] for kind in formats.index.unique(0)}}
        )
    table = pd.DataFrame(columns).fillna(0.0).rename_axis(["kind", "item"])
    return table.sort_index(level="kind", sort_remaining=False)


def samples(train: Sequence[Example], rows: Sequence[Example], each: int = 2) -> pd.DataFrame:
    """A few rows of each origin: columns `origin`, `original` (empty for synthetic rows) and `made`."""
    originals = {example.id: example.text for example in train}
    shown: dict[str, list[tuple[str, str, str]]] = {}
    for example in rows[len(train) :]:
        group = shown.setdefault(example.origin, [])
        if len(group) < each:
            group.append((example.origin, originals.get(example.id, ""), example.text))
    listed = [row for origin in sorted(shown) for row in shown[origin]]
    return pd.DataFrame(listed, columns=["origin", "original", "made"])
