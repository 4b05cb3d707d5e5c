"""Rows of files and texts of users: what becomes an example, and what is wrong with the rest."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from typing import Any

from pydantic import BaseModel, ValidationError

from helpers.tasks.base import Example
from helpers.tasks.text import normalise

# share of the sample that each part gets
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}


_NAMES = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}


def type_name(value: Any) -> str:
    """What a JSON value is called."""
    return "null" if value is None else _NAMES.get(type(value), type(value).__name__)


class Rows(ABC):
    """Rows of files and texts of users → examples, and back.

    Attributes
    ----------
    file : str
        File in `data/<task>/` that holds the sample, in any form that :mod:`helpers.data.formats` reads.
    line_form : str
        Regular expression of how lines begin in a form of the task's own, read by its hook `row_of_line`.
    headings : tuple of str
        First words of what CoNLL files of the task hold beside sentences.
    shares : dict
        Share of the sample that each part gets; the first part takes what the others have no room for.
    batches : tuple of str
        What tells by whom and about what a row was written: a slice of the task, `half` or `topic`. Each value is held
        out in turn to see how systems do away from home (:mod:`helpers.evaluation.transfer`).
    text_key : str
        Key of the text in a row.
    model : pydantic model
        Strict form of a row.
    longest_text : int
        Characters of the longest text that the service takes.
    """

    model: type[BaseModel]

    def __init__(self, task: Any, document: dict[str, Any]):
        self.task, self.file = task, document.get("file", "rows.jsonl")
        self.line_form, self.headings = document.get("line_form", ""), tuple(document.get("headings", ()))
        self.shares = document.get("shares", SHARES)
        self.batches = tuple(document.get("batches", ("topic",)))
        self.text_key = document.get("text_key", "text")
        self.longest_text = document.get("longest_text", 2000)

    @abstractmethod
    def parse(self, row: dict[str, Any], index: int) -> Example:
        """Validate a JSON row, normalise its text, bring its target to the canonical form.

        Raises
        ------
        ValueError
            With a one-line reason.
        """

    def checked(self, row: Any) -> dict[str, Any]:
        """The row in the form of `model`; ValueError with one line that names every wrong key."""
        if not isinstance(row, dict):
            raise ValueError(f"row should be an object, got {type_name(row)}")
        try:
            return self.model.model_validate(row).model_dump()
        except ValidationError as error:
            faults = error.errors(include_url=False)
        found: dict[tuple[Any, ...], str] = {}
        for fault in sorted(
            faults, key=lambda item: {"missing": 0, "extra_forbidden": 1}.get(item["type"], 2)
        ):
            if fault["type"] in ("missing", "extra_forbidden"):
                what = "missing" if fault["type"] == "missing" else "unknown"
                where, said = fault["loc"], f"{what} key {'.'.join(map(str, fault['loc']))!r}"
            else:
                where, wanted = self.wanted(fault["loc"])
                said = f"{'.'.join(map(str, where))!r} should be {wanted}, got {type_name(fault['input'])}"
            found.setdefault(where, said)
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
        """The text of a row of a file that is to be labelled.

        Raises
        ------
        ValueError
            If there is none.
        """

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
        control = sorted(char for char, kind in kinds.items() if kind == "Cc")
        if control:
            return f"text holds the control character U+{ord(control[0]):04X}"
        if len(normalise(text)) > 2 * self.longest_text:  # one sign may stand for eighteen
            return f"text is longer than {2 * self.longest_text} characters once its ligatures are spelt out"
        return None if self.reading(text) else "text is empty"

    @abstractmethod
    def shown(self, example: Example) -> str:
        """What a variant reads and what it learns to give for it, as text."""

    def answer(self, prediction: Any) -> dict[str, Any]:
        """Field → value of a prediction, as :meth:`schema` describes it."""
        return {name: prediction[name] for name in self.task.fields}

    def schema(self) -> dict[str, Any]:
        """JSON Schema of the fields of an answer."""
        kinds = {name: kind.json_schema for name, kind in self.task.kinds.items()}
        for name, kind in self.task.kinds.items():
            one = {"type": "array", "items": kinds[name]} if kind.many else kinds[name]
            kinds[name] = {"anyOf": [one, {"type": "null"}]}
        return {
            "type": "object",
            "required": list(kinds),
            "additionalProperties": False,
            "properties": kinds,
        }
