"""Made rows: events composed of the ways in which people write dates, times, lengths, people, places and notes.

The parts are drawn apart from each other and labelled as they are composed; nothing is taken from train rows but the
conventions of their labels.
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml
from faker import Faker

from helpers.tasks.base import Example, Task
from helpers.tasks.calendar.conventions import Habits, lead_before, learn_conventions, value_of
from helpers.tasks.date_forms import DATE_FORMS, TIME_FORMS, date_words, time_words
from helpers.tasks.dates import date_text, read_date, read_time, time_text
from helpers.tasks.fields import FIRST_DAY, LAST_DAY
from helpers.tasks.variation import Piece, join_pieces, new_rows

FORMS = yaml.safe_load(Path(__file__).with_name("made.yaml").read_text(encoding="utf-8"))
_NUMERIC = [
    form
    for form in DATE_FORMS
    if "{mon" not in form and "{nth" not in form and min(form.find("{d"), form.find("{y")) < form.find("{m")
]
_GAPS = {
    "n": lambda rng: str(rng.randint(2, 40)),
    "letter": lambda rng: rng.choice("ABCDEFGH"),
    "price": lambda rng: f"{rng.randint(3, 90)}.{rng.choice(('00', '50', '95', '20'))}",
    "release": lambda rng: f"{rng.randint(1, 24)}.{rng.randint(0, 30)}",
}
_SHARES = {  # how often a field is there at all
    "date": 0.85, "time": 0.85, "attendees": 0.6, "location": 0.6, "duration": 0.45, "recurrence": 0.15, "notes": 0.2,
}  # fmt: skip


ASIDES = 0.15  # of the events: something about the message


class Composer:
    """Draws the parts of one event after the other; all of it follows from the random generator."""

    def __init__(self, rng: random.Random):
        self.rng = rng
        self.fakers = [Faker(locale) for locale in FORMS["locales"]]
        for faker in self.fakers:
            faker.seed_instance(rng.getrandbits(32))

    def one(self, name: str, **words: object) -> str:
        """One of the forms of a name, with words and further forms in its gaps."""
        return self.filled(self.rng.choice(FORMS[name]), **words)

    def filled(self, form: str, **words: object) -> str:
        """A form with its gaps filled: from the words, the forms of that name, or Faker."""
        rng, faker = self.rng, self.rng.choice(self.fakers)

        def gap(match: re.Match) -> str:
            name = match[1]
            if name in words:
                return str(words[name])
            if name in FORMS:
                return self.one(name, **words)
            if name in _GAPS:
                return _GAPS[name](rng)
            return str(getattr(faker, name)()).split("\n")[0]

        return re.sub(r"\{(\w+)\}", gap, form)

    # -- parts ------------------------------------------------------------------------------------------------------
    def date(self) -> list[Piece]:
        """A day in one of its writings, or one that does not say its year."""
        rng = self.rng
        day = FIRST_DAY + datetime.timedelta(days=rng.randrange((LAST_DAY - FIRST_DAY).days))
        words = date_words(day)
        if rng.random() < 0.1:
            return [Piece(self.one("vague_dates", **words))]
        if rng.random() < 0.04:
            hour, minute = rng.randint(7, 20), rng.randrange(60)
            clock = Piece(f"{hour:02d}:{minute:02d}:{rng.randrange(60):02d}", "time", time_text(hour, minute))
            printed = "{wd} {mon} {d}".format_map(words)
            return [Piece(printed, "date", date_text(day)), Piece(" "), clock, Piece(f" {rng.choice(('EDT', 'CET', 'UTC'))} {day.year}")]  # fmt: skip
        if rng.random() < 0.07:
            words["d2"] = str(min(28, day.day + rng.randint(1, 6)))
            text = self.one("date_ranges", **words)
        else:
            text = rng.choice(_NUMERIC if rng.random() < 0.35 else DATE_FORMS).format_map(words)
        text = rng.choice((text, text, text, text, text.lower()))
        return [Piece(text, "date", date_text(day))] if read_date(text) == date_text(day) else self.date()

    def time(self, half: str) -> list[Piece]:
        """A time of day, a range of which the start counts, or a bare hour where the kind of event tells the half."""
        rng = self.rng
        late = half == "pm" or (not half and rng.random() < 0.65)
        hour = rng.randint(12, 21) if late else rng.randint(7, 11)
        minute = rng.choice((0, 0, 0, 0, 15, 30, 30, 45, 5 * rng.randrange(12)))
        words, value = time_words(hour, minute), time_text(hour, minute)
        later = time_words(min(23, hour + rng.randint(1, 3)), minute)
        if rng.random() < 0.05:
            return [Piece(self.one("vague_times"))]
        if half and rng.random() < 0.5 and hour % 12:
            text = f"{words['h']}" if not minute else f"{words['h']}:{words['MM']}"
            return [Piece(text, "time", value)]
        form = rng.choice(FORMS["clocks"] if rng.random() < 0.25 else TIME_FORMS)
        text = form.format_map(words)
        if rng.random() < 0.12 and "{" in form:
            text += rng.choice(("-", " - ", "–", " to ")) + form.format_map(later)
        text = rng.choice((text, text, text.upper() if "{a}" in form else text))
        return [Piece(text, "time", value)] if read_time(text) == value else self.time(half)

    def attendees(self) -> list[Piece]:
        """People and groups, joined as people join them."""
        rng = self.rng
        shape, pieces = rng.choice(FORMS["people"]), []
        lower = rng.random() < 0.15
        shapes = [
            rng.choice((shape, shape, rng.choice(FORMS["people"])))
            for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4)))
        ]
        names = list(dict.fromkeys(map(self.filled, shapes)))
        comma = rng.choice((", ", ", ", " / ", " + ", " & "))
        last = rng.choice((" and ", " and ", " & ", ", ", ", and "))
        for at, name in enumerate(names):
            if at:
                pieces.append(Piece(last if at + 1 == len(names) else comma))
            pieces += self.simple("attendees", name.lower() if lower else name)
        return pieces

    def simple(self, field: str, text: str) -> list[Piece]:
        """A part whose value is its text, without the article before it."""
        article, bare = re.fullmatch(r"((?:the|my|our) )?(.*)", text, re.DOTALL).groups()
        return ([Piece(article)] if article else []) + [Piece(bare, field, bare)]

    def action(self) -> tuple[list[Piece], str]:
        """What takes place, and the half of the day that it tells (`am`, `pm` or nothing)."""
        kind = self.rng.choice(("meals_pm", "meals_am", "events", "events", "events", "tasks"))
        text = self.one(kind)
        text = self.rng.choice((text, text, text[:1].upper() + text[1:], text.lower()))
        often = re.search(r"\b(?:weekly|monthly|daily|quarterly)\b", text, re.IGNORECASE)
        inner = ("recurrence", often.group(), often.group()) if often else None
        return [Piece(text, "action", text, inner)], {"meals_pm": "pm", "meals_am": "am"}.get(kind, "")

    # -- the whole --------------------------------------------------------------------------------------------------
    def event(self) -> list[Piece]:
        """The parts in one of the layouts."""
        rng = self.rng
        action, half = self.action()
        parts = {
            "action": action,
            "date": self.date(),
            "time": self.time(half),
            "attendees": self.attendees(),
        }
        lists = {"location": "places", "duration": "durations", "recurrence": "recurrences", "notes": "notes"}
        parts |= {field: self.simple(field, self.one(name)) for field, name in lists.items()}
        shares = dict(_SHARES) | ({"recurrence": 0.0} if action[0].inner else {})
        if any(piece.field == "time" for piece in parts["date"]):
            shares["time"] = 0.0
        there = {name for name in parts if rng.random() < shares.get(name, 1.0)}
        style = rng.choice(list(FORMS["layouts"]))
        layout = FORMS["layouts"][style]
        order = [name for name in rng.choice(layout["orders"]).split() if name in there]
        pieces: list[Piece] = []
        for at, name in enumerate(order):
            before = rng.choice(layout["before"].get(name, [""]))
            if name == "time" and parts["time"][0].field and parts["time"][0].text.isdigit():
                before = rng.choice(("at ", "@ ", "around "))  # a bare hour needs its word
            if name == "action" and at == 0 and style == "prose":
                before = self.one("leads")
            bare = style == "telegraph" or parts[name][-1].text.islower()
            if name == "attendees" and style != "labelled" and bare:
                before = rng.choice(("with ", "w/ "))
            gap = "" if not at else rng.choice(layout["joins"])
            pieces += [Piece(gap + before), *parts[name]]
        end = rng.choice(layout["ends"])
        if rng.random() < ASIDES:
            words = date_words(FIRST_DAY + datetime.timedelta(days=rng.randrange(365)))
            end = f" {self.one('asides', **words)}" + end
        return [*pieces, Piece(end)]


def _labelled(pieces: list[Piece], habits: Habits) -> list[Piece]:
    """The pieces with the values that labels of train would have, and leads moved into the action where those keep them."""
    text, found, at = "".join(piece.text for piece in pieces), [], 0
    for piece in pieces:
        lead = lead_before(text, at) if piece.field == "action" else ""
        counted = habits.get("leads", {}).get("", {}).get(lead.split()[0].lower(), {}) if lead else {}
        if counted.get("kept", 0) > counted.get("dropped", 0) and found[-1].text.endswith(lead):
            found[-1] = replace(found[-1], text=found[-1].text.removesuffix(lead))
            piece = replace(piece, text=lead + piece.text, value=lead + piece.value)
        elif piece.field in ("action", "duration", "recurrence", "notes", "location"):
            piece = replace(piece, value=value_of(piece.field, piece.value, text, habits))
        found.append(piece)
        at += len(piece.text)
    return found


def synthesise(task: Task, train: Sequence[Example], count: int, rng: random.Random) -> list[Example]:
    """At most `count` composed rows, labelled by the composition and the conventions that train shows."""
    if not train or count <= 0:
        return []
    habits, composer = learn_conventions(task, train), Composer(rng)

    def make() -> Example | None:
        made = join_pieces(task, _labelled(composer.event(), habits), train[0], "synthetic")
        spans = task.spans(made) if made else {}
        read = (
            task.kinds[name].said(made.text, place) == made.target[name]
            for name in ("date", "time")
            for place in spans.get(name) or ()
        )
        return made if all(read) else None

    return new_rows(train, count, make)
