"""Rows of files and texts of users: what becomes an example, and what is wrong with the rest."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from itertools import groupby
from typing import Any

from pydantic import BaseModel, ValidationError

from helpers.tasks.base import Example
from helpers.tasks.text import normalise

SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}  # of the sample that each part gets
MOST_MARKS = 30  # one after the other, as in Unicode's Stream-Safe Text; more take time by their square to put in order
_NAMES = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}


def type_name(value: Any) -> str:
    """What a JSON value is called."""
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


class Rows(ABC):
    """Rows of files and texts of users → examples, and back."""

    model: type[BaseModel]  # strict form of a row

    def __init__(self, task: Any, document: dict[str, Any]):
        # `file` in data/<task>/ holds the sample, in any form that helpers.data.formats reads; lines in a form of the task's
        # own begin with the regular expression `line_form` and are read by its hook `row_of_line`
        self.task, self.file = task, document.get("file", "rows.jsonl")
        self.line_form = document.get("line_form", "")
        # first words of what CoNLL files of the task hold beside sentences
        self.headings = tuple(document.get("headings", ()))
        # the first part takes what the others have no room for
        self.shares = document.get("shares", SHARES)
        # what tells by whom and about what a row was written, a slice of the task (`half`, `topic`): each value is held out
        # in turn to see how systems do away from home, see helpers.evaluation.transfer
        self.batches = tuple(document.get("batches", ("topic",)))
        self.text_key = document.get("text_key", "text")  # of a row
        self.longest_text = document.get("longest_text", 2000)  # characters that the service takes

    @abstractmethod
    def parse(self, row: dict[str, Any], index: int) -> Example:
        """Validate a JSON row, normalise its text, bring its target to the canonical form; ValueError with one line."""

    def checked(self, row: Any) -> dict[str, Any]:
        """The row in the form of `model`; ValueError with one line that names every wrong key."""
        if not isinstance(row, dict):
            raise ValueError(f"row should be an object, got {type_name(row)}")
        try:
            return self.model.model_validate(row).model_dump()
        except ValidationError as error:
            faults = error.errors(include_url=False)
        order = {"missing": "missing", "extra_forbidden": "unknown"}  # first the keys, then what is in them
        found: dict[tuple[Any, ...], str] = {}
        for fault in sorted(faults, key=lambda one: [*order, one["type"]].index(one["type"])):
            where, wanted = fault["loc"], ""
            if fault["type"] not in order:
                where, wanted = self.wanted(where)
            key = repr(".".join(map(str, where)))
            wrong = f"{key} should be {wanted}, got {type_name(fault['input'])}"
            found.setdefault(where, wrong if wanted else f"{order[fault['type']]} key {key}")
        raise ValueError("; ".join(found.values()))

    @abstractmethod
    def wanted(self, where: tuple[Any, ...]) -> tuple[tuple[Any, ...], str]:
        """The part of a place of `model` that is a place of the row (behind it pydantic names the type that it tried), and
        what should stand there."""

    @abstractmethod
    def write(self, example: Example) -> dict[str, Any]:
        """The row in the format of the input files."""

    @abstractmethod
    def text_of(self, row: dict[str, Any]) -> str:
        """The text of a row of a file that is to be labelled; ValueError if there is none."""

    def to_json(self, example: Example) -> dict[str, Any]:
        """What the split files of stage 02 hold."""
        return {"id": example.id, "origin": example.origin, "row": self.write(example)}

    def from_json(self, record: dict[str, Any]) -> Example:
        """Inverse of :meth:`to_json`."""
        return self.parse(record["row"], record["id"]).with_(origin=record["origin"])

    def reading(self, text: str) -> str:
        """A user's text as :meth:`parse` would read it."""
        return self.task.hooks.reading(text)

    def example(self, text: str, index: int = 0) -> Example:
        """A text without labels, ready to be predicted."""
        return Example(index, self.reading(text), None)

    def bad_text(self, text: str) -> str | None:
        """Why a user's text cannot be labelled, or None where it can."""
        if len(text) > self.longest_text:
            return f"text has {len(text)} characters, more than the {self.longest_text} allowed"
        kinds = {char: unicodedata.category(char) for char in set(text) - set("\t\n\r")}
        if "Cs" in kinds.values():
            return "text holds half of a surrogate pair: it is no valid Unicode"
        if control := sorted(char for char, kind in kinds.items() if kind == "Cc"):
            return f"text holds the control character U+{ord(control[0]):04X}"
        runs = groupby(text, lambda char: kinds.get(char, "").startswith("M"))
        if max((len(list(run)) for marks, run in runs if marks), default=0) > MOST_MARKS:
            return f"text has more than {MOST_MARKS} combining marks in a row"
        if len(normalise(text)) > 2 * self.longest_text:  # one sign may stand for eighteen
            return f"text is longer than {2 * self.longest_text} characters once its ligatures are spelt out"
        return None if self.reading(text) else "text is empty"

    @abstractmethod
    def shown(self, example: Example) -> str:
        """What a variant reads and what it learns to give for it, as text."""

    def answer(self, prediction: Any) -> dict[str, Any]:
        """Field → value of a prediction."""
        return {name: prediction[name] for name in self.task.fields}

    def nested(self, answer: dict[str, Any]) -> dict[str, Any]:
        """What is given per field as :meth:`schema` describes it, the fields of an object in one object (null if empty)."""
        return answer

    def flat(self, output: Any) -> Any:
        """Inverse of :meth:`nested`."""
        return output

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the fields of an answer."""
        fields = {}
        for name, kind in self.task.kinds.items():
            one = {"type": "array", "items": kind.json_schema} if kind.many else kind.json_schema
            fields[name] = {"anyOf": [one, {"type": "null"}]}
        return {
            "type": "object",
            "required": list(fields),
            "additionalProperties": False,
            "properties": fields,
        }
