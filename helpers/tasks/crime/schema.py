"""The 18 entity types of a police report, in the order in which a chat asks for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import BaseModel

from helpers.tasks.crime.report import NOTHING_THERE, means_nothing
from helpers.tasks.fields import Span, Spans
from helpers.tasks.text import lark_literal

_UNITS = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_IN_WORDS = rf"(?:twen|thir|for|fif|six|seven|eigh|nine)ty(?:[- ](?:{_UNITS}))?|(?:thir|four|fif|six|seven|eigh|nine)teen|{_UNITS}"
_TWO_NAMES = re.compile(r"\b([A-Z][\w.]*) and ([A-Z][\w.]*(?: [A-Z][\w.'-]*)*) ([A-Z][\w'-]+)")


def bare(value: str) -> str:
    """A value without case, leading article and final stop."""
    return re.sub(r"^(?:the|an|a) ", "", value.casefold().strip(" ."))


@dataclass(frozen=True)
class Stated(Span):
    """Words of the report, or the words that labels use where it has nothing."""

    ordered: bool = False

    def says_nothing(self, value: str) -> bool:
        return means_nothing(value)

    def equivalent(self, left: str, right: str) -> bool:
        return bare(left) == bare(right) or (means_nothing(left) and means_nothing(right))

    def held(self, text: str, spans: Spans) -> list[str]:
        return [*spans([text]), *map(lark_literal, (*NOTHING_THERE, *self.phrases(text)))]

    def phrases(self, text: str) -> list[str]:
        """What may be answered beside pieces of the report."""
        return []


@dataclass(frozen=True)
class Formed(Stated):
    """Words of the report of which some form is wanted; others are labelled where they stand, but no answer to give.

    Parameters
    ----------
    form : str
        Regular expression that is found in a sound value.
    """

    form: str = r"\d"

    def flaw(self, value: str) -> str:
        """Why a value is no answer, empty where it is one."""
        sound = means_nothing(value) or re.search(self.form, value, re.IGNORECASE)
        return "" if sound else f"“{value}” does not have the form that is wanted"


@dataclass(frozen=True)
class Person(Stated):
    """A name; "John and Mary Smith" is labelled "John Smith" and "Mary Smith"."""

    def phrases(self, text: str) -> list[str]:
        pairs = (found for line in text.split("\n") for found in _TWO_NAMES.findall(line))
        return list(dict.fromkeys(f"{name} {rest}" for one, other, rest in pairs for name in (one, other)))


@dataclass(frozen=True)
class Age(Formed):
    """An age; that of a "thirty-eight-year-old" is a part of a word."""

    verbatim: ClassVar[bool] = False

    def phrases(self, text: str) -> list[str]:
        return list(dict.fromkeys(re.findall(r"[\w-]+(?=-years?-old)", text)))


@dataclass(frozen=True)
class Told(Stated):
    """Words that may be the labeller's own."""

    verbatim: ClassVar[bool] = False


@dataclass(frozen=True)
class Group(Told):
    """The group of an age, which train labels state also where the report gives a number alone."""

    def phrases(self, text: str) -> list[str]:
        return ["Adult", "Young Adult"]


Values = Annotated[list[str], Stated()]


class Report(BaseModel):
    """Absent types have an empty list."""

    Location: Values
    Officer_BadgeNumber: Annotated[list[str], Formed()]
    Officer_Name: Values
    Victim_Name: Annotated[list[str], Person()]
    Victim_Age: Annotated[list[str], Age(form=rf"^(?:\d{{1,3}}|{_IN_WORDS})$")]
    Victim_AgeRange: Annotated[list[str], Group()]
    Victim_Owner: Annotated[list[str], Person()]
    Victim_Manager: Values
    Victim_CEO: Values
    Victim_Email: Annotated[list[str], Formed(form=r"\S@\S")]
    Crime_Time: Annotated[list[str], Formed(form=rf"\d|noon|midday|midnight|\b(?:{_IN_WORDS})\b")]
    Crime_Type: Values
    Crime_Summary: Values
    Crime_Date: Annotated[list[str], Formed()]
    Crime_Status: Values
    Evidence_Type: Values
    Witness_Name: Annotated[list[str], Told()]
    Suspect_Description: Annotated[list[str], Told()]


FIELDS = tuple(Report.model_fields)
Target = dict[str, list[str]]
