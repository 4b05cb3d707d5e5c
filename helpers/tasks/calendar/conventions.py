"""What labellers make of a piece of the text, counted on train rows: "30m" kept or spelt out, "mtg" or "meeting", "Book a
call" or "call". Without habits a value is the piece as typed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

from helpers.tasks.base import Example, Task
from helpers.tasks.calendar.schema import ABBREVIATED, LEAD
from helpers.tasks.dates import duration_minutes, find_dates, find_times, read_time
from helpers.tasks.fields import Place
from helpers.tasks.text import normalise

Habits = dict[str, dict[str, dict[str, dict[str, int]]]]  # kind → style of a text or "" → key → form → count
_SPACED = re.compile(r"^(\d+(?:\.\d+)?)\s?([a-z]+)$", re.IGNORECASE)
_LEAST_SEEN = 2


def duration_shape(span: str) -> str:
    """The surface with its number taken out: "30 mins" → "# mins"; "1hr" stays; "half an hour" → "words"."""
    span = normalise(span).lower()
    if not re.match(r"\d+(?:\.\d+)?\s?[a-z]", span):
        return "words"
    return re.sub(r"\d+(?:\.\d+)?", lambda m: "1" if m.group() == "1" else "#", span)


def spell_minutes(minutes: float, in_minutes: bool = False) -> str:
    """Minutes under an hour or where asked for, hours otherwise: "45 minutes", "1 hour", "1.5 hours"."""
    hours = minutes >= 60 and minutes % 15 == 0 and not in_minutes
    number, unit = (minutes / 60, "hour") if hours else (minutes, "minute")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def duration_forms(span: str) -> dict[str, str]:
    """The ways in which a label may give a duration."""
    minutes, match = duration_minutes(span), _SPACED.match(span)
    in_minutes = bool(match) and match[2].lower().startswith("m")
    return {
        "as is": span,
        "spaced": f"{match[1]} {match[2]}" if match else span,
        "spelt": span if minutes is None else spell_minutes(minutes, in_minutes),
    }


def style_context(text: str) -> str:
    """Date and time style of the text plus how people are joined: rows labelled alike look alike."""
    dates, times = find_dates(text), find_times(text)
    joiner = next((mark for mark in (" + ", " & ", " and ", ",") if mark in text), "")
    styles = (found[0].style if found else "" for found in (dates, times))
    return "|".join((*styles, joiner, "w/" * ("w/" in text)))


def lead_before(text: str, at: int) -> str:
    """The scheduling words that end right before a place ("Schedule a ", before the action)."""
    starts = [0, *(match.end() for match in re.finditer(r"[\s,;:]+", text[:at]))]
    leads = (text[start:at] for start in starts if at - start < 60)
    return next((lead for lead in leads if (m := LEAD.match(f"{lead}x")) and m.end() == len(lead)), "")


def _shown(task: Task, example: Example) -> Iterator[tuple[str, str, str]]:
    """(kind of habit, key, form) of all that a labelled row shows."""
    spans, target, text = task.spans(example), example.target, example.text
    for name in ("time", "duration", "action", "recurrence", "notes"):
        if not spans[name] or not target[name]:
            continue
        place, value = text[slice(*spans[name][0])], target[name]
        if name == "time":
            if read_time(place) is None:
                yield "halves", place.split(":")[0], value[-2:]
            continue
        if name == "duration":
            forms = duration_forms(place)
            yield "durations", duration_shape(place), next((f for f in forms if forms[f] == value), "other")
            continue
        if name == "action":
            inside = LEAD.match(place)
            if lead := inside.group() if inside else lead_before(text, spans[name][0][0]):
                yield "leads", lead.split()[0].lower(), "kept" if inside else "dropped"
        for word in re.findall(r"\w+", place.lower()):
            if word in ABBREVIATED:
                yield "words", word, "spelt" if ABBREVIATED[word] in value.lower() else "as is"
        if place[:1].isupper():
            yield "capitals", name, {place: "as is", place.lower(): "lower"}.get(value, "other")


def learn_conventions(task: Task, train: Iterable[Example]) -> Habits:
    """Count on labelled rows how leads, durations, bare hours, abbreviations and capitals end up in the values."""
    habits: Habits = {}
    for example in train:
        styles = dict.fromkeys((style_context(example.text), ""))
        for (kind, key, form), style in product(_shown(task, example), styles):
            counted = habits.setdefault(kind, {}).setdefault(style, {}).setdefault(key, {})
            counted[form] = counted.get(form, 0) + 1
    return habits


def _habit(
    habits: Habits, kind: str, text: str, key: str, forms: Iterable[str], default: str = "as is"
) -> str:
    """The form counted most for texts of this style, or for all texts where the style is rare."""
    for style in (style_context(text), ""):
        counted = habits.get(kind, {}).get(style, {}).get(key, {})
        known = {form: counted[form] for form in sorted(forms) if form in counted}
        if sum(known.values()) >= _LEAST_SEEN:
            return max(known, key=known.__getitem__)
    return default


def value_of(name: str, span: str, text: str, habits: Habits) -> str:
    """The value that labellers would write for a span of the text."""
    span = normalise(span)
    if name == "time" and read_time(span) is None and re.fullmatch(r"\d{1,2}([:.]\d\d)?", span):
        half = _habit(habits, "halves", text, re.match(r"\d+", span).group(), ("AM", "PM"), "")
        return f"{span} {half}" if half else span
    if name == "duration":
        forms = duration_forms(span)
        return forms[_habit(habits, "durations", text, duration_shape(span), forms)]
    if name not in ("action", "location", "recurrence", "notes", "attendees"):
        return span
    for word in dict.fromkeys(re.findall(r"\w+", span)):
        long = ABBREVIATED.get(word.lower())
        if long and _habit(habits, "words", text, word.lower(), ("as is", "spelt")) == "spelt":
            span = re.sub(rf"\b{word}\b\.?", long.capitalize() if word[:1].isupper() else long, span)
    if name in ("recurrence", "notes") and span[:1].isupper():
        return span.lower() if _habit(habits, "capitals", text, name, ("as is", "lower")) == "lower" else span
    return span


def values_of_spans(
    task: Task, text: str, spans: dict[str, Sequence[Place]], habits: Habits
) -> dict[str, Any]:
    """What labels would give for marked places; a date or a time that cannot be read alone is read where it stands."""
    found: dict[str, list[str]] = {}
    for name, places in spans.items():
        found[name] = []
        for start, end in sorted(places):
            if name == "action" and (lead := lead_before(text, start)):
                kept = _habit(habits, "leads", text, lead.split()[0].lower(), ("kept", "dropped")) == "kept"
                start -= len(lead) * kept
            value = value_of(name, text[start:end], text, habits)
            as_typed = value == normalise(text[start:end])
            found[name].append(task.kinds[name].said(text, (start, end)) if as_typed else value)
    return {
        name: values if task.kinds[name].many else values[0] if values else None
        for name, values in found.items()
    }
