"""Values and templates mined from the train rows, and invented values that can stand in their place."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from helpers.tasks.base import Task
from helpers.tasks.calendar.conventions import Habits, learn_conventions
from helpers.tasks.calendar.kinds import LEAD, LISTS
from helpers.tasks.calendar.rules import GROUPS, PLATFORMS, VIRTUAL
from helpers.tasks.records import Example
from helpers.tasks.variation import Piece, split_pieces

Core = tuple[str, tuple[str, str, str] | None]  # an action without its lead, and the recurrence it says


def lead_of(action: str) -> str:
    """The scheduling words in front of an action with the space after them, or ""."""
    match = LEAD.match(action)
    return match.group() if match else ""


def lead_kind(before: str, action: str) -> str:
    """`a`, `the`, `to`, `bare` or "": what scheduling words stand before or in the action ("Schedule a", "Book").

    What may follow them differs: a noun after "Schedule a", a verb after "Book time to".
    """
    words = (lead_of(action) or before).lower().split()
    if not words:
        return ""
    for kind, endings in (("a", ("a", "an")), ("the", ("the", "our", "my")), ("to", ("to", "i'd", "i'll"))):
        if words[-1] in endings:
            return kind
    return "bare" if LEAD.match(" ".join([*words, "x"])) else ""


def place_kind(before: str) -> tuple[str, str]:
    """Preposition and article that stand before a place."""
    match = re.search(
        r"(?:\b(at|in|on|via|using|over)\b)?\s*(?:\b(the|a|that|our)\b)?\s*$", before, re.IGNORECASE
    )
    return (match[1] or "").lower(), (match[2] or "").lower()


def is_virtual(place: str) -> bool:
    """Whether the place is a platform or no place at all ("online")."""
    return place.lower() in PLATFORMS + VIRTUAL


@dataclass
class Pools:
    """Values seen in the train rows, in the groups within which they may be exchanged."""

    actions: dict[str, list[Core]] = field(default_factory=lambda: defaultdict(list))
    people: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    places: dict[tuple, list[str]] = field(default_factory=lambda: defaultdict(list))
    recurrences: list[tuple[str, str]] = field(default_factory=list)
    dates: list[str] = field(default_factory=list)
    times: list[str] = field(default_factory=list)
    rows: list[tuple[Example, list[Piece]]] = field(default_factory=list)
    lower_words: set[str] = field(default_factory=set)
    conventions: Habits = field(default_factory=dict)

    def action(self, kind: str, rng: random.Random) -> Core:
        """Core of an action that may follow a lead of that kind, with the recurrence it says."""
        return rng.choice(self.actions[kind])

    def is_noun(self, core: str) -> bool:
        """Whether the core ends like one that train puts after an article ("budget review")."""
        last = core.split()[-1].lower()
        return last in LISTS["nouns"] or any(known.lower().endswith(last) for known, _ in self.actions["a"])

    def person(self, like: str, rng: random.Random) -> str:
        """A person or, in place of a group, a group."""
        return rng.choice(self.groups if like in self.groups else self.people or self.groups)

    def place(self, like: str, kind: tuple[str, str], rng: random.Random) -> str:
        """A place that may follow the same preposition and article."""
        return rng.choice(self.places[(*kind, is_virtual(like))])


def mine_pools(task: Task, train: Sequence[Example]) -> Pools:
    """Collect the values and templates of the train rows whose every value is found in its text."""
    pools = Pools(conventions=learn_conventions(task, train))
    for example in train:
        pieces = split_pieces(task, example)
        if pieces is None:
            continue
        pools.rows.append((example, pieces))
        pools.lower_words |= set(re.findall(r"\b[a-z]+\b", example.text))
        for before, piece in zip(pieces, pieces[1:]):
            if piece.field == "action" and piece.verbatim:
                core = piece.text[len(lead_of(piece.text)) :]
                pools.actions[lead_kind(before.text, piece.text)].append((core, piece.inner))
            elif piece.field == "attendees":
                several = piece.text.lower() in GROUPS or piece.text.islower()
                (pools.groups if several else pools.people).append(piece.text)
            elif piece.field == "location" and piece.verbatim:
                pools.places[(*place_kind(before.text), is_virtual(piece.text))].append(piece.text)
            elif piece.field == "recurrence":
                pools.recurrences.append((piece.text, piece.value))
            elif piece.field in ("date", "time"):
                (pools.dates if piece.field == "date" else pools.times).append(piece.text)
    return pools


class InventedPools(Pools):
    """Pools that answer with values from Faker and from recombined words instead of values seen."""

    def __init__(self, mined: Pools, rng: random.Random) -> None:
        from faker import Faker

        self.__dict__.update(mined.__dict__)
        self.fakers = [Faker(locale) for locale in LISTS["locales"]]
        for faker in self.fakers:
            faker.seed_instance(rng.getrandbits(32))
        cores = [core for group in mined.actions.values() for core, recurrence in group if not recurrence]
        nouns = [core for core in cores if " " in core and not re.search(r"\b(?:on|via|with)\b", core)]
        self.topics = sorted({core.rsplit(" ", 1)[0] for core in nouns}) or ["team"]

    def action(self, kind: str, rng: random.Random) -> Core:
        if kind == "to" or rng.random() < 0.3:
            return super().action(kind, rng)
        faker = rng.choice(self.fakers[:3])
        topic = rng.choice(
            (
                rng.choice(self.topics),
                faker.bs().split(" ", 1)[1],
                faker.job().split(",")[0].lower(),
                faker.company().split(",")[0],
                faker.word(),
            )
        )
        return f"{topic} {rng.choice(LISTS['nouns'])}", None

    def person(self, like: str, rng: random.Random) -> str:
        if like in self.groups:
            return super().person(like, rng)
        faker = rng.choice(self.fakers)
        if " " in like or rng.random() < 0.1:
            return f"{faker.first_name()} {faker.last_name()}"
        return faker.first_name()

    def place(self, like: str, kind: tuple[str, str], rng: random.Random) -> str:
        if is_virtual(like) or rng.random() < 0.2:
            return super().place(like, kind, rng)
        faker = rng.choice(self.fakers[:3])
        shapes = LISTS["plain_places"] if like[:1].islower() else LISTS["named_places"]
        if not kind[1] and not like[:1].islower():
            shapes = shapes + LISTS["places"]
        shape = rng.choice(shapes)
        return shape.format(
            number=f"{rng.randint(1, 40)}{rng.choice(['', '', 'A', 'B'])}",
            digit=rng.randint(1, 9),
            letter=rng.choice("ABCDEF"),
            last=faker.last_name(),
            last2=faker.last_name(),
            city=faker.city(),
            street=faker.street_name(),
            adjective=rng.choice(LISTS["adjectives"]),
            noun=rng.choice(LISTS["place_nouns"]),
        )
