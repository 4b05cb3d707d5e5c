"""Values of a report ↔ places in it, for the tagger: where labels stand, and what train labels make of a marked place."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from helpers.tasks.crime.rules import EMAIL
from helpers.tasks.crime.text import FIELDS, Target, means_nothing, sections
from helpers.tasks.records import Example
from helpers.tasks.text import places, word_spans

Span = tuple[int, int]
# type → the headings under which its values are looked for first
SECTIONS = {
    "Location": ("location",),
    "Officer_Name": ("officer",),
    "Officer_BadgeNumber": ("officer",),
    "Crime_Type": ("type",),
    "Crime_Date": ("when", "date"),
    "Crime_Time": ("when", "time"),
    "Crime_Status": ("status",),
    "Crime_Summary": ("summary",),
    "Evidence_Type": ("evidence",),
    "Witness_Name": ("witnesses",),
    "Suspect_Description": ("suspects",),
    **{name: ("victims",) for name in FIELDS if name.startswith("Victim_")},
}
_CURRENCY = "$€£"
_SENTENCE_STOP = re.compile(
    r"(?:\S+@\S+|\d+(?:[.:,]\d+)*)\.$"
)  # unlike that of an abbreviation, no part of the word
_DECADE = 10
_LEAST_SEEN = 3
_SURE = 0.95


@dataclass(frozen=True)
class Conventions:
    """What train labels make of a place in a report.

    Parameters
    ----------
    stops : dict
        (type, first word of a value, or "" for any) → whether such values keep the full stop of their sentence.
    groups : dict
        Decade of an age → the group that labels give to such ages though no report states it ("" for none).
    nothing : dict
        (type, words for "nothing there", whether suspects are described) → the values that labels give there.
    emails : bool
        Whether labels give every e-mail address of a report: then its form says more than any tag.
    """

    stops: dict[tuple[str, str], bool] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)
    nothing: dict[tuple[str, str, bool], tuple[str, ...]] = field(default_factory=dict)
    emails: bool = False


def section_spans(report: str) -> dict[str, list[Span]]:
    """Name of a section → where it stands, without its heading."""
    found: dict[str, list[Span]] = defaultdict(list)
    at = 0
    for section in sections(report):
        start = report.index(section.lines, at)
        at = start + len(section.lines)
        found[section.name].append((report.index(section.heading, start) + len(section.heading), at))
    return found


def _nearest(options: Sequence[Span], homes: Sequence[Span], taken: Sequence[Span]) -> Span | None:
    """The first free option under the type's own heading, else the first free one; None where all are taken."""
    free = [span for span in options if not any(span[0] < end and start < span[1] for start, end in taken)]
    return next(
        (span for span in free if any(low <= span[0] and span[1] <= high for low, high in homes)),
        free[0] if free else None,
    )


def value_spans(example: Example) -> dict[str, list[Span] | None]:
    """Type → places of its values in reading order; None where one of them does not stand in the report.

    A value that stands only within another one of its type ("knife" in "kitchen knife") has no place of its own: tags
    can mark a word for one of them.
    """
    by_section = section_spans(example.text)
    found: dict[str, list[Span] | None] = {}
    for name in FIELDS:
        homes = [span for section in SECTIONS[name] for span in by_section.get(section, ())]
        spans: list[Span] | None = []
        for value in sorted(
            dict.fromkeys(example.target[name]), key=len, reverse=True
        ):  # a part comes after its whole
            options = places(value, example.text)
            if not options:
                spans = None
                break
            place = _nearest(options, homes, spans)
            spans += [place] if place else []
        found[name] = spans if spans is None else sorted(set(spans))
    return found


# -- conventions ------------------------------------------------------------------------------------------------------
def learn_conventions(train: Sequence[Example]) -> Conventions:
    """Count on train rows how labels treat full stops, ages and words for "nothing there"."""
    stops: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    groups: dict[int, Counter[str]] = defaultdict(Counter)
    nothing: dict[tuple[str, str, bool], Counter[tuple[str, ...]]] = defaultdict(Counter)
    emails: Counter[bool] = Counter()
    for example in train:
        text, target = example.text, example.target
        written = EMAIL.findall(text)
        if written:
            emails[set(written) == set(target["Victim_Email"])] += 1
        for name, spans in value_spans(example).items():
            for start, end in spans or ():
                kept = text[end - 1] == "."
                stop = end - kept
                # a stop that belongs to an abbreviation ("9 p.m.", "Inc.") comes with it
                stopped = text[start : stop + 1]
                if text[stop : stop + 1] == "." and (
                    _SENTENCE_STOP.search(stopped) or (start, stop + 1) not in word_spans(stopped, text)
                ):
                    for key in ((name, ""), (name, _first_word(text[start:end]))):
                        stops[key][kept] += 1
        ages, given = target["Victim_Age"], target["Victim_AgeRange"]
        stated = any(places(value, text) for value in given)
        for place, age in enumerate(ages):
            if age.isdecimal() and not stated:
                groups[int(age) // _DECADE][given[min(place, len(given) - 1)] if given else ""] += 1
        for key in _said(text):
            nothing[key][tuple(target[key[0]])] += 1
    return Conventions(
        {
            key: seen[True] > seen[False]
            for key, seen in sorted(stops.items())
            if not key[1] or seen.total() >= _LEAST_SEEN
        },
        {decade: seen.most_common(1)[0][0] for decade, seen in sorted(groups.items())},
        {
            key: seen.most_common(1)[0][0]
            for key, seen in sorted(nothing.items())
            if seen.total() >= _LEAST_SEEN
        },
        emails.total() >= _LEAST_SEEN and emails[True] >= _SURE * emails.total(),
    )


def _first_word(value: str) -> str:
    return value.split()[0].casefold() if value.split() else ""


def _said(report: str) -> list[tuple[str, str, bool]]:
    """(type, words, whether suspects are described) of witnesses and suspects sections that only say there is nothing."""
    content = {section.name: section.content.strip(" .") for section in sections(report)}
    described = bool(content.get("suspects")) and not means_nothing(content["suspects"])
    return [
        (name, content[home], described)
        for name, home in (("Witness_Name", "witnesses"), ("Suspect_Description", "suspects"))
        if content.get(home) and means_nothing(content[home])
    ]


def values_of_spans(text: str, spans: dict[str, list[Span]], conventions: Conventions) -> Target:
    """The values that labels would give for marked places."""
    found = {
        name: list(
            dict.fromkeys(
                text[slice(*_fitted(name, text, span, conventions))] for span in sorted(spans.get(name, ()))
            )
        )
        for name in FIELDS
    }
    if conventions.emails:
        found["Victim_Email"] = list(dict.fromkeys(EMAIL.findall(text)))
    if not found["Victim_AgeRange"]:
        groups = [
            conventions.groups.get(int(age) // _DECADE, "") for age in found["Victim_Age"] if age.isdecimal()
        ]
        found["Victim_AgeRange"] = list(dict.fromkeys(filter(None, groups)))
    for name, words, described in _said(text):
        if all(map(means_nothing, found[name])):
            found[name] = list(conventions.nothing.get((name, words, described), found[name]))
    return found


def _fitted(name: str, text: str, span: Span, conventions: Conventions) -> Span:
    """The place with the currency sign before it and, by the type's convention, with or without its final full stop."""
    start, end = span
    if start and text[start - 1] in _CURRENCY:
        start -= 1
    if _SENTENCE_STOP.search(text[start:end]):
        end -= 1
    stops, word = conventions.stops, _first_word(text[start:end])
    if text[end : end + 1] == "." and stops.get((name, word), stops.get((name, ""), False)):
        end += 1
    return start, end


def conventions_to_json(conventions: Conventions) -> dict[str, Any]:
    """Conventions as JSON."""
    return {
        "stops": [[*key, kept] for key, kept in conventions.stops.items()],
        "groups": [list(pair) for pair in conventions.groups.items()],
        "nothing": [[*key, list(values)] for key, values in conventions.nothing.items()],
        "emails": conventions.emails,
    }


def conventions_from_json(content: dict[str, Any]) -> Conventions:
    """Inverse of :func:`conventions_to_json`."""
    return Conventions(
        {(name, word): kept for name, word, kept in content["stops"]},
        dict(content["groups"]),
        {(name, words, described): tuple(values) for name, words, described, values in content["nothing"]},
        content.get("emails", False),
    )
