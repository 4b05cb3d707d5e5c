"""The calendar task: event text → one JSON object with eight fields."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, StrictStr, ValidationError

from helpers.tasks.base import Task, Values
from helpers.tasks.calendar.grammar import grammar
from helpers.tasks.calendar.notes import EQUIVALENCE_NOTE, INSTRUCTION, SCORING_NOTE, VARIANT_NOTES
from helpers.tasks.calendar.text import (
    FIELDS,
    Conventions,
    align,
    canonical_date,
    canonical_time,
    equivalent,
    find_dates,
    find_durations,
    find_times,
    learn_conventions,
    normalise_span,
)
from helpers.tasks.records import Example, PublicFile, Tagger, Writer
from helpers.tasks.settings import reading_settings, tagger_settings
from helpers.tasks.text import normalise

Target = dict[str, Any]
BASES = {
    "smoke": "SmolLM2-135M-Instruct-2-layers",
    "cpu": "SmolLM2-135M-Instruct",
    "gpu": "HuggingFaceTB/SmolLM-360M",
}


def _clean(value: Any) -> Any:
    """Normalised text, or None for an empty one; anything else goes on to be refused by its type."""
    return (normalise(value) or None) if isinstance(value, str) else value


def _clean_list(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [item for item in map(_clean, value) if item is not None] or None


def _clean_strict_list(value: Any) -> Any:
    """As :func:`_clean_list`, but a null among the items is left in, to be refused."""
    if not isinstance(value, list):
        return value
    return [_clean(item) for item in value if item is None or _clean(item) is not None] or None


Text = Annotated[StrictStr | None, BeforeValidator(_clean)]


class Output(BaseModel):
    """The eight fields; all keys must be there, absent values are null."""

    model_config = ConfigDict(extra="forbid", strict=True)
    action: Text
    date: Text
    time: Text
    attendees: Annotated[list[StrictStr] | None, BeforeValidator(_clean_strict_list)]
    location: Text
    duration: Text
    recurrence: Text
    notes: Text


class Row(BaseModel):
    """One line of a calendar file."""

    model_config = ConfigDict(extra="forbid", strict=True)
    event_text: StrictStr
    output: Output


_WANTED = {
    "string_type": "a string or null",
    "list_type": "a list of strings or null",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "dict_type": "an object",
}


def _reason(error: ValidationError) -> str:
    """One line that names the first wrong key: missing, unknown, or of the wrong type."""
    order = {"missing": 0, "extra_forbidden": 1}
    first = min(error.errors(include_url=False), key=lambda item: order.get(item["type"], 2))
    where = ".".join(str(part) for part in first["loc"]) or "row"
    if first["type"] == "missing":
        return f"missing key {where!r}"
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}"
    wanted = (
        "a string"
        if where == "event_text"
        else "a string"
        if where.startswith("output.attendees.")
        else _WANTED.get(first["type"], first["msg"])
    )
    return f"{where!r} should be {wanted}, got {_type_name(first['input'])}"


def _type_name(value: Any) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", int: "number", float: "number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)


def _same_everywhere(profile: str) -> dict[str, Any]:
    """Settings of data, augmentation and baselines."""
    smoke = profile == "smoke"
    return {
        "synthetic": 8 if smoke else 1000,
        "augment_per_row": 1,
        "max_rows": 24 if smoke else 0,
        "few_shot": 3,
        "baseline_rows": 0 if profile == "gpu" else 32,
        "variants": ",".join(Calendar.variants),
        "encoder_model": "bert-base-cased" if profile == "gpu" else "all-MiniLM-L6-v2",
        "base_model": BASES[profile],
        "inference_bits": 32 if profile == "gpu" else 8,
    }


def training_settings(profile: str) -> dict[str, Any]:
    """Settings of the variants; the `gpu` values are those of the studies this one follows.

    Within a profile the variants differ in what their rows in :attr:`Calendar.variants` say, and in the learning rate,
    which all weights want smaller than an adapter does.
    """
    gpu, smoke = profile == "gpu", profile == "smoke"
    shared = {
        "epochs": 10 if gpu else 1,
        "batch_size": 8 if gpu else 4,
        "accumulation": 4 if gpu else 1,
        "learning_rate": 2e-4 if gpu else 2e-3,
        "weight_decay": 0.01,
        "clip_norm": 1.0,
        "warmup_steps": 20,
        "patience": 3,
        "gold_repeats": 1,
        "made_rows": -1 if gpu else 0 if smoke else 300,
        "bits": 16 if gpu else 8,
    }
    adapter = {**shared, "rank": 16, "alpha": 32, "dropout": 0.05 if gpu else 0.0, "targets": "all"}
    variants = {
        "full_entity_loss": {
            **shared,
            "learning_rate": 5e-5 if gpu else 1e-4,
            "bits": 16 if gpu else 32,
            "entity_loss_weight": 2.0,
            "learn_prompt": gpu,
        },
        "lora": adapter,
        "lora_structured_loss": {**adapter, "beta": 0.2, "gamma": 0.1, "delta": 0.05},
        "qlora": {**adapter, "bits": 4},
        "tagger": {
            **tagger_settings(profile),
            "learning_rate": 3e-5 if gpu else 3e-4,
            "head_rate": 3e-5 if gpu else 3e-4,
            "epochs": 1 if smoke else 8,
            "made_epochs": 1,
            "made_rows": -1,
            "patience": 4,
            "hints": True,
            "withhold": 0.15,
        },
    }
    common = {
        **reading_settings(),
        "max_length": 512,
        "max_new_tokens": 6 if smoke else 200,
        "generation_batch_size": 64 if gpu else 128,
        "score_rows": 0 if gpu else 24 if smoke else 32,
        "score_constraint": "source",
    }
    return common | {
        f"{variant}.{name}": value for variant, own in variants.items() for name, value in own.items()
    }


class Calendar(Task):
    """Event text to a JSON object of action, date, time, attendees, location, duration, recurrence, notes."""

    name = "calendar"
    title = "Calendar events"
    description = "A line of text about an event becomes one JSON object with eight fields."
    instruction = INSTRUCTION
    fields = FIELDS
    verbatim_fields = frozenset({"action", "attendees", "location", "notes"})
    list_fields = frozenset({"attendees"})
    variants = {
        "full_entity_loss": Writer(adapter=False, loss="entity"),
        "lora": Writer(adapter=True, trl=True),
        "lora_structured_loss": Writer(adapter=True, loss="structured"),
        "qlora": Writer(adapter=True, trl=True),
        "tagger": Tagger(),
    }
    votes = {"vote": ("tagger", "lora", "rules")}
    field_weights = {"action": 1.5, "attendees": 1.5, "location": 1.5, "duration": 1.2, "notes": 1.5}
    variant_notes, scoring_note, equivalence_note = VARIANT_NOTES, SCORING_NOTE, EQUIVALENCE_NOTE
    sample_file = "events.jsonl"
    public_files = (
        PublicFile(
            name="event_text_mapping.jsonl",
            size=222565,
            path="pramodkoujalagi/SmolLM2-360M-Instruct-Text-2-JSON/883b06cf9a391419b2b8a7f7a7d37ad7c22f0479/"
            "event_text_mapping.jsonl",
            sha256="2a104c8262f9581f06472262558087976a7122b128191aab27eb21df179ae56d",
        ),
    )
    public_train = "98d1da6fe7e054f94c9574aec0f51a1b56943d65dd5fb0e2eb248c8815e59edf"
    public_licence = "Apache-2.0"
    public_citation = "P. Koujalagi, SmolLM2-360M-Instruct-Text-2-JSON, github.com/pramodkoujalagi"
    text_key = "event_text"
    longest_text = 600
    examples = (
        "Design review with Amara and Tobias on 12 March 2027 at 2:30pm in the Birch Room for 45 minutes",
        "Dentist 04/11/2026 8am, bring the insurance card",
        "Weekly choir practice every Tuesday 19:00 at St Anne's Hall",
    )
    published = [
        {
            "system": "SmolLM-360M, full fine-tuning, entity-weighted loss",
            "exact_match": 0.832,
            "json_validity": 0.916,
        },
        {
            "system": "SmolLM-360M, LoRA r=16",
            "exact_match": 0.767,
            "json_validity": 1.0,
            "field_accuracy": 0.971,
        },
        {
            "system": "SmolLM2-360M-Instruct, QLoRA r=64 (validation drawn after augmentation)",
            "field_accuracy": 0.983,
            "json_validity": 1.0,
        },
    ]

    def settings(self, profile: str) -> dict[str, Any]:
        return {**_same_everywhere(profile), **training_settings(profile)}

    # -- rows ---------------------------------------------------------------------------------------------------
    def parse_row(self, row: dict[str, Any], index: int) -> Example:
        if not isinstance(row, dict):
            raise ValueError(f"row should be an object, got {_type_name(row)}")
        try:
            checked = Row.model_validate(row)
        except ValidationError as error:
            raise ValueError(_reason(error)) from None
        text = normalise(checked.event_text)
        if not text:
            raise ValueError("'event_text' is empty")
        return Example(index, text, self.canonical(checked.output.model_dump()), extra={"row": row})

    def to_row(self, example: Example) -> dict[str, Any]:
        return {"event_text": example.text, "output": example.target}

    def values(self, target: Target | None) -> Values:
        given = {name: (target or {}).get(name) for name in self.fields}
        return {name: tuple(v) if isinstance(v, list) else (v,) if v else () for name, v in given.items()}

    def canonical(self, target: Target | None) -> Target | None:
        if target is None:
            return None
        clean = {
            name: _clean_list(v) if isinstance(v := target.get(name), list) else _clean(v)
            for name in self.fields
        }
        for name, form in (("date", canonical_date), ("time", canonical_time)):
            if clean[name]:
                clean[name] = form(clean[name])
        return clean

    def equivalent(self, name: str, left: str, right: str) -> bool:
        return equivalent(name, left, right)

    def split_public(self, files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
        """The published rows have no split: shuffled with seed 42, 119 for test, 119 for validation, the rest train."""
        rows = [json.loads(line) for line in files[self.public_files[0].name].splitlines() if line.strip()]
        random.Random(42).shuffle(rows)
        return {"train": rows[238:], "validation": rows[119:238], "test": rows[:119]}

    # -- generation ---------------------------------------------------------------------------------------------
    def prompt(self, text: str) -> str:
        return f"Extract entities from: {text} → "

    def completion(self, target: Target) -> str:
        return json.dumps({name: target[name] for name in self.fields}, ensure_ascii=False)

    def parse_output(self, raw: str) -> tuple[Target | None, str | None]:
        raw = raw.strip()
        if not raw:
            return None, "empty"
        try:
            value = json.loads(raw, object_pairs_hook=_Pairs)
        except (ValueError, RecursionError):
            return None, "truncated" if _unclosed(raw) else "not json"
        if not isinstance(value, _Pairs):
            return None, "not an object"
        names = [name for name, _ in value]
        if set(self.fields) - set(names):
            return None, "missing keys"
        if len(names) > len(self.fields):
            return None, "extra keys"
        try:
            return self.canonical(Output.model_validate(dict(value)).model_dump()), None
        except ValidationError:
            return None, "wrong type"

    def grammar(self, text: str, constraint: str) -> str:
        return grammar(text, constraint)

    # -- tagging ------------------------------------------------------------------------------------------------
    def spans(self, example: Example) -> dict[str, list[tuple[int, int]] | None]:
        found = align(example)
        return {
            name: None if example.target[name] and not found[name] else found[name] for name in self.fields
        }

    def offsets(self, text: str, prediction: Target) -> dict[str, list[tuple[int, int]]]:
        """Dates, times and durations are found in any writing."""
        return align(Example(0, text, prediction))

    def learn_conventions(self, train: list[Example]) -> Conventions:
        return learn_conventions(train)

    def from_spans(
        self, text: str, spans: dict[str, list[tuple[int, int]]], conventions: Conventions
    ) -> Target:
        values = {
            name: [normalise_span(name, text[start:end], text, conventions) for start, end in sorted(places)]
            for name, places in spans.items()
        }
        return self.canonical(
            {
                name: (found if name in self.list_fields else found[0]) if found else None
                for name, found in values.items()
            }
        )

    def conventions_to_json(self, conventions: Conventions) -> dict[str, Any]:
        return {
            kind: [[*key, dict(counts)] for key, counts in getattr(conventions, kind).items()]
            for kind in ("durations", "words", "capitals")
        }

    def conventions_from_json(self, content: dict[str, Any]) -> Conventions:
        return Conventions(
            **{
                kind: {(context, key): Counter(counts) for context, key, counts in rows}
                for kind, rows in content.items()
            }
        )

    # -- the rest lives in its own modules, imported when asked for ---------------------------------------------
    def rules(self, text: str) -> Target:
        from helpers.tasks.calendar.rules import extract

        return self.canonical(extract(text))

    def downloads(self, prediction: Target, text: str) -> dict[str, tuple[str, bytes, list[str]]]:
        from helpers.tasks.calendar.file import calendar_file

        return {"event.ics": calendar_file(prediction, text)}

    def augmenters(
        self, train: list[Example]
    ) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        from helpers.tasks.calendar.augment import augmenters

        return augmenters(train)

    def synthesise(self, train: list[Example], count: int, rng: random.Random) -> list[Example]:
        from helpers.tasks.calendar.augment import synthesise

        return synthesise(train, count, rng)

    def perturbations(self) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        from helpers.tasks.calendar.augment import perturbations

        return perturbations()

    # -- analysis -----------------------------------------------------------------------------------------------
    def surface_formats(self, example: Example) -> dict[str, str]:
        text = example.text
        found = {
            "date format": find_dates(text),
            "time format": find_times(text),
            "duration format": find_durations(text),
        }
        formats = {name: mentions[0].style if mentions else "none" for name, mentions in found.items()}
        joiner = re.search(r"\bw/|\bwith\b", text, re.IGNORECASE)
        return {**formats, "introduces people": joiner.group().lower() if joiner else "neither"}

    def slices(self, example: Example) -> dict[str, str]:
        size, people = len(example.text), len(example.target["attendees"] or [])
        spans = align(example)
        first = sorted((places[0], name) for name, places in spans.items() if places and name != "recurrence")
        formats = self.surface_formats(example)
        return {
            "length": "short" if size < 55 else "medium" if size < 80 else "long",
            "date format": formats["date format"],
            "time format": formats["time format"],
            "order": f"{first[0][1]} first"
            if first and first[0][1] in ("action", "date", "time")
            else "other first",
            "attendees": "none" if not people else "one" if people == 1 else "several",
        }


class _Pairs(list):
    """Key–value pairs of a JSON object in order, so that a key given twice is seen."""


def _unclosed(raw: str) -> bool:
    """Whether the text opens a JSON object and stops before closing it."""
    if not raw.startswith("{"):
        return False
    depth, inside, escaped = 0, False, False
    for char in raw:
        if inside:
            inside = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            inside, escaped = True, False
        else:
            depth += (char in "{[") - (char in "}]")
    return depth > 0 or inside


TASK = Calendar()
