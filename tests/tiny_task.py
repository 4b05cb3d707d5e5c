"""A task small enough to score by hand: a name and a day that stand in the text, and a list of people."""

from __future__ import annotations

import json
from typing import Any

from helpers.tasks.base import Task
from helpers.tasks.records import Example, Writer

DAYS = {"mon": "monday", "tue": "tuesday"}


class TinyTask(Task):
    """Targets are dicts with the three fields; a day may be abbreviated without a change of meaning."""

    name, title, description = "tiny", "Tiny", "Three fields."
    fields = ("name", "day", "people")
    verbatim_fields = frozenset({"name", "people"})
    list_fields = frozenset({"people"})
    variants = {"large": Writer(adapter=False), "small": Writer(adapter=True)}
    sample_file = "tiny.jsonl"

    def settings(self, profile: str) -> dict[str, Any]:
        return {}

    def parse_row(self, row: dict[str, Any], index: int) -> Example:
        return Example(index, row["text"], self.canonical(row["target"]))

    def to_row(self, example: Example) -> dict[str, Any]:
        return {"text": example.text, "target": example.target}

    def values(self, target: Any) -> dict[str, tuple[str, ...]]:
        if target is None:
            return {}
        return {
            name: tuple(value) if isinstance(value := target.get(name), list) else (value,) if value else ()
            for name in self.fields
        }

    def canonical(self, target: Any) -> Any:
        return None if target is None else {name: target.get(name) for name in self.fields}

    def equivalent(self, name: str, left: str, right: str) -> bool:
        full = [DAYS.get(value.lower(), value.lower()) for value in (left, right)]
        return left == right or (name == "day" and full[0] == full[1])

    def prompt(self, text: str) -> str:
        return text

    def completion(self, target: Any) -> str:
        return json.dumps(target)

    def parse_output(self, raw: str) -> tuple[Any, str | None]:
        try:
            return self.canonical(json.loads(raw)), None
        except ValueError:
            return None, "truncated" if raw.startswith("{") else "not json"

    def grammar(self, text: str, constraint: str) -> str:
        return ""

    def rules(self, text: str) -> Any:
        return self.canonical({})

    def augmenters(self, train: list[Example]) -> dict:
        return {}

    def synthesise(self, train: list[Example], count: int, rng: Any) -> list[Example]:
        return []

    def surface_formats(self, example: Example) -> dict[str, str]:
        return {}

    def slices(self, example: Example) -> dict[str, str]:
        return {"people": "some" if example.target["people"] else "none", "length": "any"}

    def perturbations(self) -> dict:
        return {
            "upper": lambda row, rng: row.with_(text=row.text.upper()),
            "second person": lambda row, rng: (
                row.with_(text=f"{row.text} {rng.random()}") if row.target["people"] else None
            ),
            "nothing": lambda row, rng: row,
        }


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
