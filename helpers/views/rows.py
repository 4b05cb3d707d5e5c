"""Single rows under the glass: entities in their text, label beside prediction, one answer of the predictor."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from helpers.tasks.base import Example, Task
from helpers.tasks.metrics import comparable
from helpers.tasks.text import places
from helpers.views.show import PALETTE


# -- values in their text ---------------------------------------------------------------------------------------------
def entity_text(text: str, spans: Sequence[tuple[int, int, str]], fields: Sequence[str] = ()) -> str:
    """HTML of a text with its entities coloured and labelled, and a legend; overlapping spans are shown as such.

    `spans` are (start, end, field) in characters, the end exclusive; what lies outside the text is cut. `fields` fix which
    field has which colour, by default the order of appearance does.
    """
    spans = [(max(0, start), min(len(text), end), name) for start, end, name in spans]
    spans = sorted((span for span in spans if span[0] < span[1]), key=lambda span: (span[0], -span[1]))
    order = list(dict.fromkeys([*fields, *(name for _, _, name in spans)]))

    def mark(name: str, shown: str, title: str = "") -> str:
        rgb = ",".join(str(round(255 * part)) for part in PALETTE[order.index(name) % len(PALETTE)])
        look = f"background:rgba({rgb},.25);border-bottom:2px solid rgb({rgb});color:inherit;padding:0 .15em"
        return f'<mark style="{look}"{title}>{shown}</mark>'

    edges = sorted({0, len(text), *(edge for span in spans for edge in span[:2])})
    pieces = []
    for start, end in zip(edges, edges[1:]):
        over = {name: right for left, right, name in spans if left <= start and end <= right}
        names, piece = list(over), html.escape(text[start:end])
        if ends := "+".join(name for name in names if over[name] == end):
            piece += f'<small style="opacity:.75;font-size:.7em"> {html.escape(ends)}</small>'
        title = f' title="{html.escape(", ".join(names))}"'
        pieces.append(mark(names[0], piece, title) if names else piece)
    used = [name for name in order if any(name == other for _, _, other in spans)]
    legend = " ".join(mark(name, html.escape(name)) for name in used)
    return (
        f'<div class="entity-text"><p style="line-height:2;white-space:pre-wrap">{"".join(pieces)}</p>'
        f'<p style="font-size:.85em">{legend or "no entity"}</p></div>'
    )


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


def coloured(task: Task, example: Example, target: Any) -> str:
    """HTML of a row's text with the values of a label or prediction on a colour for each field."""
    return entity_text(example.text, entity_spans(task, example, target), task.fields)


def label_and_prediction(task: Task, example: Example, prediction: Any) -> pd.DataFrame:
    """Values of one row: index field, columns label, prediction (text, empty where absent), right (yes or no)."""
    wanted, found = comparable(task, example.target), comparable(task, prediction)
    lines = [
        ("; ".join(wanted[name]), "; ".join(found[name]), "yes" if wanted[name] == found[name] else "no")
        for name in task.fields
    ]
    index = pd.Index(task.fields, name="field")
    return pd.DataFrame(lines, index=index, columns=["label", "prediction", "right"])


# -- one answer of the predictor -----------------------------------------------------------------------------------------
def answer_table(answer: Mapping[str, Any]) -> pd.DataFrame:
    """An answer as a table: field, value, the pieces of text it comes from, confidence, whether to look again."""
    lines, fields = [], {}
    for field, value in answer["fields"].items():
        inner = [name for name in answer["spans"] if name.startswith(f"{field}.")]  # of an object
        fields |= {name: (value or {}).get(name[len(field) + 1 :]) for name in inner} or {field: value}
    for field, value in fields.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        shown = str(shown).lower() if isinstance(shown, bool) else shown
        places = ", ".join(f"{span['start']}–{span['end']}" for span in answer["spans"].get(field, []))
        review = "yes" if field in answer["needs_review"] else ""
        lines.append(
            (field, None if shown == "" else shown, places or None, answer["confidence"].get(field), review)
        )
    frame = pd.DataFrame(lines, columns=["field", "value", "characters", "confidence", "review"])
    return frame.astype({"confidence": float})


def marked_text(text: str, spans: Mapping[str, Sequence[Mapping[str, Any]]], fields: Sequence[str]) -> str:
    """HTML of a text with the values of each field of an answer on a colour of its own."""
    places = [(span["start"], span["end"], field) for field in fields for span in spans.get(field, [])]
    return entity_text(text, places, fields)
