"""Rows as annotation tools write them → rows of the task: marked pieces of texts, tags under other names and in other schemes."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from helpers.data.folders import Record, shown
from helpers.data.formats import TAG_NAMES, WORD_NAMES
from helpers.errors import UserError
from helpers.tasks.base import Task
from helpers.tasks.bio import check_syntax, tags_of, to_iob2, tokenise

_LISTS = ("spans", "label", "labels", "entities")
_SURE = 0.05  # of the spans may cut words in the unit that is taken
Units = Callable[[str], Sequence[int]]  # of a text → of each unit the character it stands at, and the end
Piece = tuple[int, int, str, str | None]
LEFT_OUT = object()  # in the place of a row


class Marked(NamedTuple):
    """A text with (start, end, label, what the tool says stands there) of its pieces."""

    tool: str
    text: str
    spans: list[Piece]
    left_out: str = ""


def own_rows(records: list[Record], task: Task, path: Path) -> tuple[list[Record], str]:
    """Records in the form of the task's own rows, and in words what was done to them.

    A row is :data:`LEFT_OUT` where the tool has no answer yet, and the ValueError where something is wrong with it.

    Raises
    ------
    UserError
        If offsets fit the texts neither in characters nor in UTF-16 units, or in both.
    """
    marked = [_try(_marked, record.row) for record in records]
    found = [one for one in marked if isinstance(one, Marked)]
    if not found:
        names = label_names(path)
        records = [record._replace(row=_try(_tagged, record.row, task, names)) for record in records]
        return records, "" if task.writes else _conversion(records)
    unit = _unit(marked, records, path)

    def row(one: Marked) -> Any:
        return LEFT_OUT if one.left_out else _row(one, task, _UNITS[unit])

    rows = [
        record._replace(row=_try(row, one) if isinstance(one, Marked) else one or record.row)
        for record, one in zip(records, marked)
    ]
    left_out = Counter(one.left_out for one in found if one.left_out)
    said = [f"{found[0].tool} export, {len(found) - left_out.total()} texts, offsets in {unit}"]
    return rows, "; ".join(said + [f"{count} left out ({why})" for why, count in left_out.items()])


def _try(change: Callable[..., Any], row: Any, *more: Any) -> Any:
    """The changed row, or the ValueError that says why there is none."""
    if isinstance(row, ValueError):
        return row
    try:
        return change(row, *more)
    except ValueError as error:
        return error


# -- marked pieces ----------------------------------------------------------------------------------------------------
def _marked(row: Any) -> Marked | None:
    """A row of Label Studio, Prodigy or Doccano; None for any other."""
    if not isinstance(row, dict) or {"output", "tokenized", *TAG_NAMES[:2]} & row.keys():
        return None
    data, annotations = row.get("data"), row.get("annotations", row.get("completions"))
    left_out = row.get("answer", "accept")
    if isinstance(data, dict) and isinstance(annotations, list):
        longest = max((one for one in data.values() if isinstance(one, str)), key=len, default="")
        text = data.get("text", longest)
        done = [one for one in annotations if isinstance(one, dict) and not one.get("was_cancelled")]
        results = done[-1].get("result") if done else None
        values = [one.get("value") for one in results or () if isinstance(one, dict)]
        items = [one for one in values if isinstance(one, dict) and "labels" in one]
        tool, left_out = "Label Studio", "accept" if done else "not annotated"
    else:
        key = next((key for key in _LISTS if isinstance(row.get(key), list)), "")
        if not (key or "_input_hash" in row):
            return None
        text, items = row.get("text"), row.get(key, [])
        studio = any(isinstance(one, dict) and "labels" in one for one in items)
        tool = "Label Studio" if studio else "Prodigy" if key in ("", "spans") else "Doccano"
    if not isinstance(text, str):
        raise ValueError("no text: expected a string under 'text'")
    return Marked(tool, text, list(map(_piece, items)), "" if left_out == "accept" else str(left_out))


def _piece(item: Any) -> Piece:
    value = None
    if isinstance(item, dict):
        value = item.get("text")
        labels = item.get("labels", item.get("label"))
        item = [*(item.get(name, item.get(f"{name}_offset")) for name in ("start", "end")), labels]
    if not isinstance(item, list) or len(item) != 3:
        raise ValueError(f"a span is [start, end, label], not {json.dumps(item)[:60]}")
    start, end, label = item
    label = label[0] if isinstance(label, list) and len(label) == 1 else label
    if not (type(start) is type(end) is int and isinstance(label, str) and label):
        raise ValueError(f"a span has two whole numbers and one label, not {json.dumps(item)[:60]}")
    return start, end, label, value if isinstance(value, str) else None


def _utf16(text: str) -> list[int]:
    units = [at for at, sign in enumerate(text) for _ in range(1 + (sign > "\uffff"))]
    return [*units, len(text)]


_UNITS: dict[str, Units] = {"characters": lambda text: range(len(text) + 1), "UTF-16 units": _utf16}


def _place(text: str, span: Piece, places: Sequence[int]) -> tuple[int, int, str]:
    """Characters of a span without white space at its edges, and why it is no whole words, "" where it is."""
    start, end, label, value = span
    if not 0 <= start < end < len(places):
        return 0, 0, f"span {start}–{end} does not lie in the text, which ends at {len(places) - 1}"
    low, high = places[start], places[end]
    piece = text[low:high].strip()
    low += text[low:high].find(piece)
    high = low + len(piece)
    edges = any(text[at - 1 : at].isalnum() and text[at : at + 1].isalnum() for at in (low, high))
    if piece and not edges and (value is None or piece == value.strip()):
        return low, high, ""
    whole = text[re.search(r"\S*$", text[:low]).start() : high + re.match(r"\S*", text[high:]).end()]
    return low, high, f"span {start}–{end} ({label}) is {piece!r}, which cuts {whole!r}"


def _unit(marked: Sequence[Any], records: Sequence[Record], path: Path) -> str:
    """What offsets count: that in which the spans of texts with signs beyond U+FFFF are whole words."""
    apart, cuts, count = [], dict.fromkeys(_UNITS, 0), 0
    for record, one in zip(records, marked):
        for span in one.spans if isinstance(one, Marked) and max(one.text, default="") > "\uffff" else ():
            found = {}
            for name, units in _UNITS.items():
                places = units(one.text)
                low, high, wrong = _place(one.text, span, places)
                found[name] = one.text[low:high]
                cuts[name] += bool(wrong) or one.text[places[span[0]] : places[span[1]]] != found[name]
            count += 1
            if len(set(found.values())) > 1:
                both = " and ".join(f"{piece!r} counted in {name}" for name, piece in found.items())
                apart.append(f"line {record.line}: {list(span[:3])} is {both}")
    best, worst = sorted(_UNITS, key=cuts.__getitem__)
    if not apart:
        return "characters"
    if cuts[best] < cuts[worst] and cuts[best] <= _SURE * count:
        return best
    counts = " and ".join(str(cuts[name]) for name in _UNITS)
    raise UserError(
        f"{shown(path)}, {apart[0]}; {counts} spans cut words, so that neither is sure: write offsets that count characters"
    )


def _row(one: Marked, task: Task, units: Units) -> dict[str, Any]:
    """A row of the task, of pieces that are whole words."""
    text = one.text
    placed = [(*_place(text, span, units(text)), span[2]) for span in one.spans]
    if wrong := [reason for _, _, reason, _ in placed if reason]:
        raise ValueError("; ".join(wrong))
    places = sorted({(low, high, label) for low, high, _, label in placed})
    if task.writes:
        found: dict[str, Any] = {name: [] for name in task.fields}
        for low, high, label in places:
            found.setdefault(label, []).append(text[low:high])
        many = {name for name, kind in task.kinds.items() if kind.many}
        output = {name: own if name in many else "; ".join(own) or None for name, own in found.items()}
        return {task.rows.text_key: text, "output": output}
    words = tokenise(text, [edge for low, high, _ in places for edge in (low, high)])
    spans, taken = [], 0
    for low, high, label in places:
        inside = [at for at, (start, end) in enumerate(words) if low <= start and end <= high]
        if inside[0] < taken:
            raise ValueError(f"spans overlap at {text[low:high]!r} ({label}): a word has one tag")
        taken = inside[-1] + 1
        spans.append((inside[0], taken, label))
    return {"tokens": [text[slice(*word)] for word in words], "ner_tags": list(tags_of(spans, len(words)))}


# -- tags -------------------------------------------------------------------------------------------------------------
def label_names(path: Path) -> list[str]:
    """Names of tags that are kept as numbers: in `label_names.txt`, a name a line, or a JSON file of `datasets` beside."""
    for name in ("label_names.txt", "label_names.json", "features.json", "dataset_info.json"):
        if (path.parent / name).is_file():
            text = (path.parent / name).read_text(encoding="utf-8", errors="replace")
            listed = re.search(r'\[[^][]*"O"[^][]*\]', text)
            if listed or name.endswith(".txt"):
                return re.findall(r'"([^"]+)"', listed[0]) if listed else text.split()
            return re.findall(r'"\d+"\s*:\s*"([^"]+)"', text)
    return []


def _tagged(row: Any, task: Task, names: Sequence[str]) -> Any:
    """A row of tokens and tags under the names of the task's own rows; tags that are numbers get their names."""
    if task.writes or not isinstance(row, dict):
        return row
    words = next((key for key in WORD_NAMES if isinstance(row.get(key), list)), None)
    tags = next((key for key in TAG_NAMES if isinstance(row.get(key), list)), None)
    if words is None or tags is None:
        return row
    given = row[tags]
    if given and all(type(tag) is int for tag in given):
        if not names:
            raise ValueError(
                "tags are numbers without names: put label_names.txt beside the file, a name a line from 0 on"
            )
        if not 0 <= min(given) <= max(given) < len(names):
            raise ValueError(f"tag {max(given)} has no name: there are {len(names)}")
        given = [names[tag] for tag in given]
    own = {key: value for key, value in row.items() if key in ("fine_tags", "kind")}
    return {"tokens": row[words], "ner_tags": given, **own}


def _conversion(records: Sequence[Record]) -> str:
    """How many tags another scheme has than IOB2, in words."""
    changed: Counter[str] = Counter()
    for record in records:
        tags = record.row.get("ner_tags") if isinstance(record.row, dict) else None
        if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
            if isinstance(_try(check_syntax, tags), ValueError):
                continue
            changed.update(one[0] for one, other in zip(tags, to_iob2(tags)) if one != other)
    scheme = "BILOU or IOBES" if set(changed) - {"I"} else "IOB1"
    return f"{changed.total()} tags of {scheme} converted to IOB2" if changed else ""
