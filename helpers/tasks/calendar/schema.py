"""The eight fields of an event, and their kinds: what labellers rewrite, and what means the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import yaml
from pydantic import BaseModel

from helpers.tasks.fields import Date, Duration, Place, Span, Spans, Text, Time, plain
from helpers.tasks.text import lark_literal, normalise

LISTS: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("lists.yaml").read_text(encoding="utf-8"))
ABBREVIATED: dict[str, str] = LISTS["abbreviated"]
# abbreviations that train labels spell out in the value (mtg 6 times in 14, sess. always)
_SPELT = {"mtg": "meeting", "Mtg": "Meeting", "sess": "session"}
LEAD = re.compile(
    r"^(?:please\s+)?(?:re-?schedule|schedule|book|set\s*up|set|plan|arrange|organi[sz]e|add|put\s+(?:in|down)"
    r"|pencil\s+in|block(?:\s+(?:out|off))?|reserve|list|create|make|hold)\b"
    r"(?:\s+me\s+in)?"
    r"(?:\s+(?:an?\s+|some\s+)?(?:placeholder|time\s+slot|slot|time|spot)(?:\s+(?:for|to))?\b)?"
    r"(?:\s+for\b)?(?:\s+(?:an?|the|our|my|next))*\s+(?=\w)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:the|an?|our|my|that|this)\s+", re.IGNORECASE)
_PREPOSITION = re.compile(r"^(?:at|in|on|via|over|using|through|@)\s+", re.IGNORECASE)
_CUE = re.compile(r"^(?:to|for|about|re)\s+(?:the\s+|an?\s+)?")
_FREQUENCIES = (
    (re.compile(r"(?:every|each)\s+(?:other|2|two|second)\s+weeks?|bi-?weekly|fortnight(?:ly)?"), "biweekly"),
    (re.compile(r"(?:every|each)\s+(?:week)?day|daily"), "daily"),
    (re.compile(r"(?:every|each|once a)\s+week|weekly"), "weekly"),
    (re.compile(r"(?:every|each|once a)\s+month|monthly"), "monthly"),
    (re.compile(r"(?:every|each)\s+(?:3 months|three months|quarter)|quarterly"), "quarterly"),
    (re.compile(r"(?:every|each|once a)\s+year|annual(?:ly)?|yearly"), "annual"),
)
_OFTEN = re.compile(r"\b(?:every|each)\s+\w+(?:\s+weeks?)?|\b\w+ly\b|\bannual\b", re.IGNORECASE)
_WORDS_OF_FREQUENCY = "daily weekly biweekly bi-weekly fortnightly monthly quarterly annual annually yearly weekdays weekends".split()


def spelt(text: str) -> str:
    """Lower case, abbreviations spelt out, punctuation and a leading article gone."""
    text = re.sub(r"\bw/\s?", "with ", normalise(text).lower())
    return " ".join(ABBREVIATED.get(word, word) for word in plain(text).split())


def _abbreviated(value: str, text: str) -> list[Place]:
    """Spans of the text that give the value once abbreviations are spelt out ("Strategy mtg" → "Strategy meeting")."""
    words = []
    for word in value.split():
        writings = [word, *(short for short, long in ABBREVIATED.items() if long == word.lower())]
        words.append(f"(?:{'|'.join(map(re.escape, writings))})")
    pattern = r"(?<!\w)" + r"\.?\s".join(words) + r"(?!\w)\.?"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


class _Rewritten:
    """Values in which labellers may spell out what the text abbreviates; two with the same core mean the same."""

    def equivalent(self, left: str, right: str) -> bool:
        return super().equivalent(left, right) or self.core(left) == self.core(right) != ""

    def find(self, value: str, text: str) -> list[Place]:
        return super().find(value, text) or _abbreviated(value, text)


@dataclass(frozen=True)
class Written(_Rewritten, Span):
    """Words of the text; what is cut off the front means nothing."""

    front: ClassVar[tuple[re.Pattern, ...]] = ()

    def core(self, value: str) -> str:
        """What of a value is compared."""
        value = spelt(value)
        for pattern in self.front:
            value = pattern.sub("", value, count=1)
        return value

    def writings(self, text: str) -> list[str]:
        return [
            text,
            re.sub(r"\b(?:[Mm]tg|sess)\b\.?", lambda short: _SPELT[short.group().rstrip(".")], text),
        ]


@dataclass(frozen=True)
class Action(Written):
    """What takes place: "Schedule a review" is "review"."""

    front: ClassVar[tuple[re.Pattern, ...]] = (LEAD, _ARTICLE)


@dataclass(frozen=True)
class Name(Written):
    """A person, a group or a place: "at the library" is "library"."""

    front: ClassVar[tuple[re.Pattern, ...]] = (_PREPOSITION, _ARTICLE)


@dataclass(frozen=True)
class Note(Written):
    """A remark; its first letter may become a capital."""

    front: ClassVar[tuple[re.Pattern, ...]] = (_CUE,)

    def writings(self, text: str) -> list[str]:
        return [
            text,
            re.sub(r"(?<=\b(?:for|the|out) )[a-z]|(?<=\b(?:to|re) )[a-z]", lambda m: m.group().upper(), text),
        ]


@dataclass(frozen=True)
class Frequency(_Rewritten, Text):
    """How often an event comes: "every week" is "weekly"; one of the usual words, or words of the text in small letters."""

    placed: ClassVar[bool] = True
    every: ClassVar[str] = (
        r"/every ([0-9]{1,2} |other )?(day|week|month|quarter|year|weekday|weekend|Monday|Tuesday|Wednesday|Thursday"
        r"|Friday|Saturday|Sunday)s?/"
    )

    def core(self, value: str) -> str:
        """The usual word for a frequency, or the words in small letters."""
        value = spelt(value)
        return next((name for pattern, name in _FREQUENCIES if pattern.fullmatch(value)), value)

    def find(self, value: str, text: str) -> list[Place]:
        often = (match for match in _OFTEN.finditer(text) if self.core(match.group()) == self.core(value))
        return super().find(value, text) or [match.span() for match in often]

    def writings(self, text: str) -> list[str]:
        return [text, text.lower()]

    def held(self, text: str, spans: Spans) -> list[str]:
        return [*spans(self.writings(text)), *map(lark_literal, _WORDS_OF_FREQUENCY), self.every]


class Event(BaseModel):
    """All keys must be there; absent values are null."""

    action: Annotated[str | None, Action(weight=1.5)]
    date: Annotated[str | None, Date()]
    time: Annotated[str | None, Time()]
    attendees: Annotated[list[str] | None, Name(weight=1.5)]
    location: Annotated[str | None, Name(weight=1.5, last=True)]
    duration: Annotated[str | None, Duration(weight=1.2)]
    recurrence: Annotated[str | None, Frequency(nested=True)]
    notes: Annotated[str | None, Note(weight=1.5)]
