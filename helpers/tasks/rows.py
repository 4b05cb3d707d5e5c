"""Rows of files and texts of users: what becomes an example, and what is wrong with the rest."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from typing import Any

from helpers.tasks.records import Example
from helpers.tasks.text import normalise

# share of the sample that each part gets
SHARES = {"train": 0.70, "validation": 0.15, "test": 0.15}


class Rows(ABC):
    """Rows of files and texts of users → examples, and back.

    Attributes
    ----------
    file : str
        File in `data/<task>/` that holds the sample, one JSON row a line or in one of the task's other formats.
    suffixes : tuple of str
        Endings of files in other formats than JSONL.
    shares : dict
        Share of the sample that each part gets; the first part takes what the others have no room for.
    text_key : str
        Key of the text in a row.
    longest_text : int
        Characters of the longest text that the service takes.
    """

    def __init__(self, task: Any, document: dict[str, Any]):
        self.task, self.file = task, document.get("file", "rows.jsonl")
        self.suffixes = tuple(document.get("suffixes", ()))
        self.shares = document.get("shares", SHARES)
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
        kinds = {name: kind.json_schema() for name, kind in self.task.kinds.items()}
        for name, kind in self.task.kinds.items():
            one = {"type": "array", "items": kinds[name]} if kind.many else kinds[name]
            kinds[name] = {"anyOf": [one, {"type": "null"}]}
        return {
            "type": "object",
            "required": list(kinds),
            "additionalProperties": False,
            "properties": kinds,
        }
