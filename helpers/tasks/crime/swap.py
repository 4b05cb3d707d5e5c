"""The same report about others: names, businesses, places, numbers, dates and times exchanged in text and answers."""

from __future__ import annotations

import datetime
import random
import re

from helpers.tasks.crime.pools import Pools
from helpers.tasks.crime.rules import YOUNG
from helpers.tasks.crime.style import find_dates, find_times, shift_time, write_date
from helpers.tasks.crime.text import means_nothing
from helpers.tasks.records import Example

PERSON_FIELDS = ("Officer_Name", "Victim_Owner", "Victim_Manager", "Victim_CEO", "Witness_Name")
ROLES = ("Victim_Owner", "Victim_Manager", "Victim_CEO")
_BUSINESS = re.compile(
    r"\b(?:Inc|LLC|Ltd|GmbH|Co|Corp|Store|Shop|Mart|Market|Electronics|Jewelers|Jewelry|Boutique|Caf[eé]|Coffee|Bakery|Bank"
    r"|Center|Centre|School|Council|Association|Solutions|Tech|Museum|Gallery|Grocers?|Grocery|Diner|Farm|Hotel|Club"
    r"|Church|Library|Bookstore|Books|Hardware|Pharmacy|Restaurant|Department|Society|Cooperative)\b"
)
_NAME = re.compile(r"[A-Z][\w'’-]+(?: [A-Z]\.)?(?: [A-Z][\w'’-]+){0,2}")
_NOT_NAMES = frozenset(
    "Officer Sergeant Detective Inspector Constable Deputy Lieutenant Trooper Captain Chief Corporal "
    "Police Patrol Ranger Sheriff Acting Senior Sir Mr Mrs Ms Dr".split()
)


def _is_person(value: str, roles: bool) -> bool:
    """Whether a victim is a person: a short name that no business goes by (`roles`: somebody owns or runs the victim)."""
    return not roles and not _BUSINESS.search(value) and len(value.split()) >= 2 and bool(_NAME.search(value))


def _name_words(value: str) -> list[str]:
    """The words of a person's name without rank and title: first name and surname, or the surname alone."""
    words = [
        word
        for word in value.split()
        if word[:1].isupper() and not word.endswith(".") and word not in _NOT_NAMES
    ]
    return words[-2:]


class Exchange:
    """What is replaced by what in one report; the same string always by the same.

    Parameters
    ----------
    example : Example
    names : Pools
    rng : random.Random
    """

    def __init__(self, example: Example, names: Pools, rng: random.Random):
        self.names, self.rng = names, rng
        self.new: dict[str, str] = {}
        target = {
            name: [value for value in values if not means_nothing(value)]
            for name, values in example.target.items()
        }
        roles = any(target[role] and set(target[role]) != set(target["Victim_Name"]) for role in ROLES)
        persons = [value for name in PERSON_FIELDS for value in target[name]]
        persons += [value for value in target["Victim_Name"] if _is_person(value, roles)]
        for value in persons:
            self._person(value)
        for value in target["Victim_Name"]:
            if value not in persons and not _is_person(value, roles):
                self._business(value)
        for value in target["Location"]:
            self._place(value)
        for value in target["Officer_BadgeNumber"]:
            self._set(value, re.sub(r"\d", lambda _: rng.choice("123456789"), value))
        for value in target["Victim_Age"]:
            if value.isdecimal():
                young = int(value) <= YOUNG  # the group that labels give stays true
                self._set(value, str(rng.randint(19, YOUNG) if young else rng.randint(YOUNG + 2, 79)))
        for value in target["Victim_Email"]:
            name = f"{names.draw('first_name', rng)}.{names.draw('last_name', rng)}".lower().replace(" ", "")
            self._set(value, f"{name}@{names.draw('domain_word', rng)}.example")
        days, minutes = rng.randint(-2000, 900), rng.randrange(-600, 600, 5)
        for value, (day, style) in find_dates(example.text).items():
            self._set(value, write_date(day + datetime.timedelta(days=days), style))
        for match in find_times(example.text):
            self._set(match.group(), shift_time(match, minutes))

    def _set(self, old: str, new: str) -> None:
        if len(old) > 1:
            self.new.setdefault(old, new)

    def _person(self, value: str) -> None:
        """Word by word, so that a surname alone or a couple's shared surname follows."""
        words = _name_words(value)
        if words:
            self._set(words[-1], self.names.draw("last_name", self.rng))
        if len(words) > 1:
            self._set(words[0], self.names.draw("first_name", self.rng))

    def _business(self, value: str) -> None:
        """Another name in front of the word that says what kind of business it is."""
        kind = _BUSINESS.search(value)
        first = self.names.draw(self.rng.choice(("last_name", "city", "first_name")), self.rng)
        self._set(
            value,
            f"{first} {value[kind.start() :]}" if kind and kind.start() else self.names.company(self.rng),
        )

    def _place(self, value: str) -> None:
        """Street and number, and the town behind them; a place told in words stays."""
        parts = value.split(", ")
        street = re.fullmatch(r"(\d+\w?) ([A-Z][\w'-]*(?: [A-Z][\w.'-]*)*)", parts[0])
        if street:
            new = self.names.draw("street_name", self.rng)
            self._set(parts[0], f"{self.rng.randint(1, 990)} {new}")
            self._set(street[2], new)
        if len(parts) > 1 and re.fullmatch(r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)?", parts[-1]):
            self._set(parts[-1], self.names.draw("city", self.rng))

    def apply(self, text: str) -> str:
        """The text with everything exchanged, the longest strings first, whole words only."""
        if not self.new:
            return text
        options = "|".join(map(re.escape, sorted(self.new, key=len, reverse=True)))
        return re.sub(rf"(?<!\w)(?:{options})(?!\w)", lambda match: self.new[match.group()], text)


def exchange(example: Example, names: Pools, rng: random.Random) -> Example | None:
    """The report about others, or None where nothing in it can be exchanged."""
    swap = Exchange(example, names, rng)
    text = swap.apply(example.text)
    if text == example.text:
        return None
    return example.with_(
        text=text,
        origin="swap",
        target={name: [swap.apply(value) for value in values] for name, values in example.target.items()},
    )
