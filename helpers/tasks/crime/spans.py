"""Values of a report ↔ places in it, for the tagger: where labels stand, and what train labels make of a marked place."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from helpers.tasks.base import Example
from helpers.tasks.crime.cues import EMAIL
from helpers.tasks.crime.report import SECTIONS, means_nothing, sections
from helpers.tasks.crime.schema import FIELDS, Target
from helpers.tasks.text import places, word_spans

Span = tuple[int, int]
_CURRENCY = "$€£"
# a final stop that, unlike that of an abbreviation, is no part of the word
_SENTENCE_STOP = re.compile(r"(?:\S+@\S+|\d+(?:[.:,]\d+)*)\.$")
_LEAST_SEEN = 3
_SURE = 0.95
_ANY = ""


@dataclass(frozen=True)
class Conventions:
    """What train labels make of a place in a report; all keys are text, so that JSON holds it as it is."""

    # type → first word of a value, or "" for any → whether such values keep the full stop of their sentence
    stops: dict[str, dict[str, bool]] = field(default_factory=dict)
    # decade of an age → the group that labels give to such ages though no report states it ("" for none)
    groups: dict[str, str] = field(default_factory=dict)
    # type → words for "nothing there" (with `, suspects described` where they are) → the values that labels give there
    nothing: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    # whether labels give every e-mail address of a report: then its form says more than any tag
    emails: bool = False

    def keeps_stop(self, name: str, value: str) -> bool:
        """Whether a value of the type that begins like this one has the full stop behind it."""
        known = self.stops.get(name, {})
        return known.get(_first_word(value), known.get(_ANY, False))

    def group(self, age: str) -> str:
        """The group of an age that the report does not state, "" for none."""
        return self.groups.get(_decade(age), "") if age.isdecimal() else ""


def _first_word(value: str) -> str:
    return value.split()[0].casefold() if value.split() else _ANY


def _decade(age: str) -> str:
    return str(int(age) // 10)


# -- places of labels -------------------------------------------------------------------------------------------------
def stands_at(name: str, value: str, text: str) -> list[Span]:
    """Where a value stands as whole words; an age also within "34-year-old", which is one word."""
    return places(value, text) or (places(f"{value}-year-old", text) if name == "Victim_Age" else [])


def value_spans(example: Example) -> dict[str, list[Span] | None]:
    """Type → places of its values in reading order; None where one of them does not stand in the report.

    Of several free places one under the type's own heading counts first. A value that stands only within another one of its type ("knife" in "kitchen knife") has no place of its own: tags
    can mark a word for one of them.
    """
    found: dict[str, list[Span] | None] = {}
    parts = sections(example.text)
    for name in FIELDS:
        homes = [(part.start, part.end) for part in parts if name in SECTIONS[part.name].get("types", ())]
        # a part comes after its whole
        values = sorted(dict.fromkeys(example.target[name]), key=len, reverse=True)
        options = [stands_at(name, value, example.text) for value in values]
        spans: list[Span] = []
        for places_of in options:
            free = [
                span for span in places_of if all(span[1] <= low or high <= span[0] for low, high in spans)
            ]
            home = [span for span in free if any(low <= span[0] and span[1] <= high for low, high in homes)]
            spans += (home or free)[:1]
        found[name] = sorted(spans) if all(options) else None
    return found


# -- conventions ------------------------------------------------------------------------------------------------------
def _ends_sentence(text: str, start: int, stop: int) -> bool:
    """Whether a full stop stands at `stop` that belongs to the sentence, and not to an abbreviation ("9 p.m.")."""
    piece = text[start : stop + 1]
    return piece.endswith(".") and bool(
        _SENTENCE_STOP.search(piece) or (start, stop + 1) not in word_spans(piece, text)
    )


def _said(report: str) -> list[tuple[str, str]]:
    """(type, words) of witnesses and suspects sections that only say there is nothing.

    What labels make of the words may depend on whether suspects are described, so that this is told with them.
    """
    content = {section.name: section.content.strip(" .") for section in sections(report)}
    described = bool(content.get("suspects")) and not means_nothing(content["suspects"])
    return [
        (name, content[home] + ", suspects described" * described)
        for name, home in (("Witness_Name", "witnesses"), ("Suspect_Description", "suspects"))
        if content.get(home) and means_nothing(content[home])
    ]


def learn_conventions(train: Sequence[Example]) -> Conventions:
    """Count on train rows how labels treat full stops, ages and words for "nothing there"."""
    stops: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    nothing: dict[tuple[str, str], Counter[tuple[str, ...]]] = defaultdict(Counter)
    emails: Counter[bool] = Counter()
    for example in train:
        text, target = example.text, example.target
        written = EMAIL.findall(text)
        if written:
            emails[set(written) == set(target["Victim_Email"])] += 1
        for name, spans in value_spans(example).items():
            for start, end in spans or ():
                kept = text[end - 1] == "."
                if _ends_sentence(text, start, end - kept):
                    for word in (_ANY, _first_word(text[start:end])):
                        stops[name, word][kept] += 1
        ages, given = target["Victim_Age"], target["Victim_AgeRange"]
        if not any(places(value, text) for value in given):
            for place, age in enumerate(ages):
                if age.isdecimal():
                    groups[_decade(age)][given[min(place, len(given) - 1)] if given else ""] += 1
        for key in _said(text):
            nothing[key][tuple(target[key[0]])] += 1
    learnt = Conventions(
        groups={decade: seen.most_common(1)[0][0] for decade, seen in sorted(groups.items())},
        emails=emails.total() >= _LEAST_SEEN and emails[True] >= _SURE * emails.total(),
    )
    for (name, word), seen in sorted(stops.items()):
        if word == _ANY or seen.total() >= _LEAST_SEEN:
            learnt.stops.setdefault(name, {})[word] = seen[True] > seen[False]
    for (name, words), seen in sorted(nothing.items()):
        if seen.total() >= _LEAST_SEEN:
            learnt.nothing.setdefault(name, {})[words] = list(seen.most_common(1)[0][0])
    return learnt


# -- values of places -------------------------------------------------------------------------------------------------
def _fitted(name: str, text: str, span: Span, conventions: Conventions) -> str:
    """The value at a place: with the currency sign before it, and with its final full stop where labels keep it."""
    start, end = span
    if start and text[start - 1] in _CURRENCY:
        start -= 1
    if _SENTENCE_STOP.search(text[start:end]):
        end -= 1
    if text[end : end + 1] == "." and conventions.keeps_stop(name, text[start:end]):
        end += 1
    return re.sub("-years?-old$", "", text[start:end]) if name == "Victim_Age" else text[start:end]


def values_of_spans(text: str, spans: dict[str, list[Span]], conventions: Conventions) -> Target:
    """The values that labels would give for marked places."""
    found = {
        name: [_fitted(name, text, span, conventions) for span in sorted(spans.get(name, ()))]
        for name in FIELDS
    }
    if conventions.emails:
        found["Victim_Email"] = EMAIL.findall(text)
    if not found["Victim_AgeRange"]:
        found["Victim_AgeRange"] = list(filter(None, map(conventions.group, found["Victim_Age"])))
    for name, words in _said(text):
        if all(map(means_nothing, found[name])):
            found[name] = conventions.nothing.get(name, {}).get(words, found[name])
    return {name: list(dict.fromkeys(values)) for name, values in found.items()}
