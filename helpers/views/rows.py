"""Single rows under the glass: entities in their text, label beside prediction, tokens, pieces, tags and features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from helpers.evaluation.display import entity_text
from helpers.tagging.encode import tags_of_spans, windows_of, words_of
from helpers.tagging.features import FIRST_LABEL, UNKNOWN, casing, count_words, gazetteer_value, shape
from helpers.tasks.base import Task
from helpers.tasks.metrics import align, comparable, exact_match
from helpers.tasks.records import Example
from helpers.tasks.text import places, word_units
from helpers.writing.encode import PROMPT, STRUCTURE, Encoded

OFTEN = ("seldom", "sometimes", "mostly")  # how often a word of train is an entity, as gazetteer_value has it


# -- values in their text ---------------------------------------------------------------------------------------------
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
            for start, end in places(value, example.text, ignore_case=True):
                if all(end <= low or start >= high for low, high, _ in taken):
                    taken.append((start, end, name))
                    break
    return sorted(taken)


def label_and_prediction(task: Task, example: Example, prediction: Any) -> pd.DataFrame:
    """Values of one row: index field, columns label, prediction (text, empty where absent), right (yes or no)."""
    wanted, found = comparable(task, example.target), comparable(task, prediction)
    lines = [
        ("; ".join(wanted[name]), "; ".join(found[name]), "yes" if wanted[name] == found[name] else "no")
        for name in task.fields
    ]
    index = pd.Index(task.fields, name="field")
    return pd.DataFrame(lines, index=index, columns=["label", "prediction", "right"])


def wrong_rows(
    task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]], count: int = 1
) -> list[tuple[Example, Any]]:
    """The first rows with a valid but wrong prediction: (example, prediction)."""
    pairs = zip(gold, align(gold, records), exact_match(task, gold, records))
    valid = [
        (row, record["prediction"], right) for row, record, right in pairs if record["prediction"] is not None
    ]
    return [(row, prediction) for row, prediction, right in valid if not right][:count]


# -- one answer of the predictor -----------------------------------------------------------------------------------------
def answer_table(answer: Mapping[str, Any]) -> pd.DataFrame:
    """An answer as a table: field, value, the pieces of text it comes from, confidence, whether to look again."""
    lines = []
    for field, value in answer["fields"].items():
        shown = ", ".join(value) if isinstance(value, list) else value
        places = ", ".join(f"{span['start']}–{span['end']}" for span in answer["spans"].get(field, []))
        review = "yes" if field in answer["needs_review"] else ""
        lines.append((field, shown or None, places or None, answer["confidence"].get(field), review))
    frame = pd.DataFrame(lines, columns=["field", "value", "characters", "confidence", "review"])
    return frame.astype({"confidence": float})


def marked_text(text: str, spans: Mapping[str, Sequence[Mapping[str, Any]]], fields: Sequence[str]) -> str:
    """HTML of a text with the values of each field of an answer on a colour of its own."""
    places = [(span["start"], span["end"], field) for field in fields for span in spans.get(field, [])]
    return entity_text(text, places, fields)


# -- what a model reads -----------------------------------------------------------------------------------------------
def token_table(task: Task, tokenizer: Any, row: Encoded, limit: int = 30) -> pd.DataFrame:
    """The first answer tokens of a sequence, joined while they write one field (index; or `structure`)."""
    kept = [(token, kind) for token, kind in zip(row.input_ids, row.field_ids) if kind != PROMPT][:limit]
    fields = {STRUCTURE: "structure", **dict(enumerate(task.fields))}
    frame = pd.DataFrame([(repr(tokenizer.decode([token])), fields[kind]) for token, kind in kept])
    frame.columns = ["token", "field"]
    stretches = (frame["field"] != frame["field"].shift()).cumsum()
    return (
        frame.groupby(stretches, sort=False)
        .agg(field=("field", "first"), tokens=("token", "  ".join), count=("token", "size"))
        .set_index("field")
    )


def tag_table(task: Task, example: Example, words: int = 40) -> pd.DataFrame:
    """The first words of an example with their B, I and O tags, for the fields that occur among them."""
    spans, units = task.spans(example), word_units(example.text)[:words]
    tags = tags_of_spans(units, [spans[name] for name in task.fields]).tolist()
    index = pd.Index([example.text[start:end] for start, end in units], name="word")
    frame = pd.DataFrame(tags, index=index, columns=list(task.fields))
    return frame.loc[:, (frame > 0).any()].replace(dict(enumerate("OBI")))


def fullest(rows: Sequence[Example], longest: int = 24) -> Example:
    """The row with the most different labels and then entities, of those with at most `longest` tokens if there are any."""
    short = [row for row in rows if len(row.target.tokens) <= longest] or rows
    return max(short, key=lambda row: (len(set(row.target.tags)), len(row.target.entities()), -row.id))


def piece_table(tokenizer: Any, example: Example) -> pd.DataFrame:
    """Words of a sentence: index word; columns pieces (as the tokenizer cuts them), tag, and finer tag where known."""
    index = pd.Index(example.target.tokens, name="word")
    pieces = [" ".join(tokenizer.tokenize(word)) for word in index]
    frame = pd.DataFrame({"pieces": pieces, "tag": example.target.tags}, index=index)
    finer = example.extra.get("fine_tags")
    return frame if finer is None else frame.assign(finer_tag=list(finer))


def sentence_windows(run: Any, tokenizer: Any, rows: Sequence[Example]) -> list[Any]:
    """The windows in which a tagger reads each row, for :func:`helpers.views.findings.windows`."""
    texts, words = zip(*(words_of(run.task, row) for row in rows))
    return windows_of(tokenizer, texts, words, run["max_pieces"])


def feature_table(task: Task, train: Sequence[Example], example: Example) -> pd.DataFrame:
    """Features of the words of a train row: index word; columns shape, casing, gazetteer (what the *other* rows say)."""
    known = count_words((row.target for row in train), task.fields)
    own = count_words([example.target], task.fields)
    lines = []
    for word in example.target.tokens:
        mine = own[word.lower()]
        others = [total - here for total, here in zip(known.get(word.lower(), mine), mine)]
        lines.append((shape(word), casing(word), _gazetteer_words(gazetteer_value(others), task.fields)))
    index = pd.Index(example.target.tokens, name="word")
    return pd.DataFrame(lines, columns=["shape", "casing", "gazetteer"], index=index)


def _gazetteer_words(value: int, labels: Sequence[str]) -> str:
    """A value of the gazetteer feature for readers."""
    if value < FIRST_LABEL:
        return "never seen" if value == UNKNOWN else "never an entity"
    label, share = divmod(value - FIRST_LABEL, len(OFTEN))
    return f"{OFTEN[share]} {labels[label]}"
