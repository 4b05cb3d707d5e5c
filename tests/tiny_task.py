"""A task small enough to score by hand: a name and a day that stand in the text, and a list of people."""

import json
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from pydantic import BaseModel

from helpers.tasks.base import Example, Hooks, Public, Variants, Words
from helpers.tasks.fields import Kind
from helpers.tasks.json_task import JsonTask

DAYS = {"mon": "monday", "tue": "tuesday"}
DOCUMENT = {
    "rows": {"file": "tiny.jsonl"},
    "chat": {"prompt": "{text}"},
    "variants": {"large": {"kind": "writer", "adapter": False}, "small": {"kind": "writer", "adapter": True}},
}


@dataclass(frozen=True)
class Day(Kind):
    """A day, which may be abbreviated without a change of meaning."""

    def canonical(self, value: Any) -> Any:
        return value

    def equivalent(self, left: str, right: str) -> bool:
        full = [DAYS.get(value.lower(), value.lower()) for value in (left, right)]
        return left == right or full[0] == full[1]


class Tiny(BaseModel):
    """Fields of the task."""

    name: str | None
    day: Annotated[str | None, Day()]
    people: list[str] | None


class TinyTask(JsonTask):
    """Methods that are called like a hook, or like one of the chat, stand in its place; `variants` and `votes` do too."""

    PUBLIC = Public()

    def __init__(self):
        words = Words("Tiny", "Three fields.")
        super().__init__(Tiny, name="tiny", document=DOCUMENT, words=words)
        self.public = self.PUBLIC
        if hasattr(type(self), "variants"):
            self.variants = Variants(type(self).variants, ("free", "source"), getattr(self, "votes", {}))
        names = {one.name for one in fields(Hooks)} - {"spans"}
        own = {name: getattr(self, name) for name in names if hasattr(self, name)}
        self.hooks = replace(self.hooks, **own)
        for name in ("prompt", "completion"):
            if hasattr(self, name):
                setattr(self.chat, name, getattr(self, name))

    def settings(self, profile: str) -> dict[str, Any]:
        return {}

    def read_row(self, row: dict[str, Any]) -> tuple[str, Any, dict]:
        return row["text"], row["target"], {}

    def write_row(self, example: Example) -> dict[str, Any]:
        return {"text": example.text, "target": example.target}

    def reading(self, text: str) -> str:
        return text

    def rules(self, text: str) -> Any:
        return self.canonical({})

    def augmenters(self, train: list[Example]) -> dict:
        return {}

    def synthesise(self, train: list[Example], count: int, rng: Any) -> list[Example]:
        return []

    def surface_formats(self, example: Example) -> dict[str, str]:
        return {}

    def slices(self, examples: list[Example]) -> list[dict[str, str]]:
        people = ("some" if example.target["people"] else "none" for example in examples)
        return [{"people": one, "length": "any"} for one in people]

    def perturbations(self) -> dict:
        def second_person(row: Example, rng: Any) -> Example | None:
            return row.with_(text=f"{row.text} {rng.random()}") if row.target["people"] else None

        upper = lambda row, rng: row.with_(text=row.text.upper())
        return {"upper": upper, "second person": second_person, "nothing": lambda row, rng: row}


TASK = TinyTask()


def row(id: int, text: str = "", name: Any = None, day: Any = None, people: Any = None) -> Example:
    """A gold row."""
    return Example(id, text, {"name": name, "day": day, "people": people})


def record(id: int, name: Any = None, day: Any = None, people: Any = None, **more: Any) -> dict[str, Any]:
    """A prediction record."""
    target = {"name": name, "day": day, "people": people}
    return {"id": id, "prediction": target, "raw": json.dumps(target), "confidence": None, **more}


def failed(id: int, raw: str) -> dict[str, Any]:
    """A record without a valid prediction."""
    return {"id": id, "prediction": None, "raw": raw, "confidence": None}


GOLD = [
    row(0, name="call", people=["Ann"]),
    row(1, name="lunch", people=["Bo"]),
    row(2, name="swim"),
    row(3, name="gym", day="monday"),
]
RECORDS = [record(0, "team call", people=["Ann"]), record(1, "team lunch", people=["Bo"])]
RECORDS += [record(2, "swim"), record(3, "gym", "Mon")]
