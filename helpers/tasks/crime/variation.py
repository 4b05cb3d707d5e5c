"""Reports varied: about others, in another layout, told without headings, with slips; answers move along."""

from __future__ import annotations

import datetime
import random
import re

from helpers.tasks import date_forms, dates
from helpers.tasks.base import Change, Example
from helpers.tasks.crime.made import FACTS, Composer, paragraphs
from helpers.tasks.crime.report import SECTIONS, WORDS, means_nothing, normalise_report, sections
from helpers.tasks.crime.rules import YOUNG
from helpers.tasks.text import places, typo

ROLES = ("Victim_Owner", "Victim_Manager", "Victim_CEO")
LEAST_SECTIONS = 6
TYPO_SHARE = 0.15  # of the words of five letters and more
_BUSINESS = re.compile(rf"\b(?:{'|'.join(WORDS['business_words'])})\b")
_PROSE = ("circumstances", "investigation", "steps", "conclusion")
# without their heading these say nothing of themselves
_NEED_HEADING = frozenset({"type", "status", "witnesses", "victims"})


def _real_values(example: Example) -> dict[str, list[str]]:
    """The values of an example but for words for "nothing there"."""
    return {
        name: [value for value in values if not means_nothing(value)]
        for name, values in example.target.items()
    }


# -- about others -----------------------------------------------------------------------------------------------------
class _Exchange:
    """What is replaced by what in one report: the same string always by the same (`new`)."""

    def __init__(self, example: Example, rng: random.Random):
        self.rng, self.compose, self.new = rng, Composer(rng), {}
        target = _real_values(example)
        # somebody owns or runs the victim, who is then no person
        runs = any(target[role] and set(target[role]) != set(target["Victim_Name"]) for role in ROLES)
        for value in target["Victim_Name"]:
            person = not runs and not _BUSINESS.search(value) and " " in value
            (self._person if person else self._business)(value)
        for name in ("Officer_Name", *ROLES, "Witness_Name"):
            for value in target[name]:
                self._person(value)
        for value in target["Location"]:
            self._place(value)
        for value in target["Officer_BadgeNumber"]:
            self._set(value, re.sub(r"\d", lambda _: rng.choice("123456789"), value))
        for value in filter(str.isdecimal, target["Victim_Age"]):
            young = int(value) <= YOUNG  # the group that labels give stays true
            self._set(value, str(rng.randint(19, YOUNG) if young else rng.randint(YOUNG + 2, 79)))
        for value in target["Victim_Email"]:
            self._set(value, self.compose.new("email"))
        days, minutes = rng.randint(-2000, 900), rng.randrange(-600, 600, 5)
        # a value may be a part of what is found in the text: that has its weekday, or the stop of its sentence
        for written in [*target["Crime_Date"], *(one.text for one in dates.find_dates(example.text))]:
            day = dates.day_of(dates.read_date(written) or "")
            self._set(written, day and date_forms.render_date(day + datetime.timedelta(days=days), written))
        for written in [*target["Crime_Time"], *(one.text for one in dates.find_times(example.text))]:
            clock = dates.clock_of(dates.read_time(written) or "")
            if clock:
                hour, minute = divmod((60 * clock[0] + clock[1] + minutes) % (24 * 60), 60)
                self._set(written, date_forms.render_time(hour, minute, written))

    def _set(self, old: str, new: str | None) -> None:
        if len(old) > 1 and new:
            self.new.setdefault(old, new)

    def _person(self, value: str) -> None:
        """Word by word, so that a surname alone or a couple's shared surname follows; rank and title stay."""
        words = [word for word in value.split() if word[0].isupper() and word[-1] != "."]
        words = [word for word in words if word not in WORDS["titles"] + WORDS["ranks"]][-2:]
        for word, kind in zip(reversed(words), ("last_name", "first_name")):
            self._set(word, self.compose.new(kind))

    def _business(self, value: str) -> None:
        """Another name in front of the word that says what kind of business it is."""
        kind = _BUSINESS.search(value)
        if kind and kind.start():
            self._set(value, f"{self.compose.fill('{last_name}', '{city}')} {value[kind.start() :]}")
        else:
            self._set(value, self.compose.new("firm"))

    def _place(self, value: str) -> None:
        """Street and number, and the town behind them; a place told in words stays."""
        first, *others = value.split(", ")
        street = re.fullmatch(r"(\d+\w?) ([A-Z][\w'-]*(?: [A-Z][\w.'-]*)*)", first)
        if street:
            new = self.compose.new("street_name")
            self._set(first, f"{self.compose.new('house')} {new}")
            self._set(street[2], new)
        if others and re.fullmatch(r"[A-Z][\w'-]+(?: [A-Z][\w'-]+)?", others[-1]):
            self._set(others[-1], self.compose.new("city"))

    def __call__(self, text: str) -> str:
        """The text with everything exchanged, the longest strings first, whole words only."""
        options = "|".join(map(re.escape, sorted(self.new, key=len, reverse=True)))
        pattern = rf"(?<!\w)(?:{options})(?!\w)"
        return re.sub(pattern, lambda match: self.new[match.group()], text) if options else text


def swap(example: Example, rng: random.Random) -> Example | None:
    """The report about others: names, businesses, places, numbers, dates and times exchanged in text and answers."""
    exchange = _Exchange(example, rng)
    text = exchange(example.text)
    target = {name: list(map(exchange, values)) for name, values in example.target.items()}
    return example.with_(text=text, target=target) if text != example.text else None


# -- layouts ----------------------------------------------------------------------------------------------------------
def _if_told(example: Example, target: dict[str, list[str]], text: str) -> Example | None:
    """The changed example, if every wanted value that stood in the report stands in the new text as well."""
    values = [value for values in target.values() for value in values if places(value, example.text)]
    return example.with_(text=text, target=target) if all(places(value, text) for value in values) else None


def relay(example: Example, rng: random.Random) -> Example | None:
    """The sections in another order, the signature still last, some under other words, in bold or plain."""
    parts = sections(example.text)
    if len(parts) < LEAST_SECTIONS:
        return None
    layout, lines = rng.choice(("**{}:** {}", "{}: {}")), []
    for part in sorted(parts, key=lambda part: (part.name == "signature", rng.random())):
        others = SECTIONS[part.name].get("headings", [part.heading])[1:] or [part.heading]
        heading = rng.choice(others) if rng.random() < 0.6 else part.heading
        own_line, newline, below = part.lines.rstrip("\n").partition("\n")
        first = "" if own_line.endswith((":", "**")) else part.content.split("\n")[0]
        lines.append(layout.format(heading, first) + newline + below)
    before = example.text[: example.text.index(parts[0].lines)]
    return _if_told(example, example.target, normalise_report(before + "\n".join(lines)))


def bare(example: Example, rng: random.Random) -> Example | None:
    """The headings of half the sections left out, what stands under them kept."""
    parts = sections(example.text)
    if len(parts) < LEAST_SECTIONS:
        return None
    text = example.text
    for part in parts:
        speaks = part.content and part.name not in _NEED_HEADING and not means_nothing(part.content)
        if speaks and rng.random() < 0.5:
            text = text.replace(part.lines, part.content, 1)
    text = normalise_report(text)
    return example.with_(text=text) if text != example.text else None


def _listed(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


def _retold(target: dict[str, list[str]], rng: random.Random) -> tuple[str, list[str]]:
    """The sentence that opens a told report, and one for each further kind of value that there is."""
    slots = {slot: _listed(target[name]) for slot, name in FACTS.items() if target[name]}
    victims, ages = target["Victim_Name"], target["Victim_Age"]
    if victims and len(victims) == len(ages):
        slots["victim"] = _listed([f"{name} ({age})" for name, age in zip(victims, ages)])
        del slots["age"]
    for slot in ("owner", "manager", "ceo"):
        if slots.get(slot) == _listed(victims or [""]):  # is told as the victim already
            del slots[slot]
    if "badge" not in slots:
        slots.pop("officer", None)
    compose, words = Composer(rng, slots), WORDS["retold"]
    opening = compose.fill(*words["opening"])
    return opening, [compose.fill(*words[slot]) for slot in slots if slot in words]


def retell(example: Example, rng: random.Random) -> Example | None:
    """The report without headings: its facts in sentences, its running text as it is; nothing is said of what is not there.

    None for a report that is told already, lacks the facts to open with, or says a value in words that cannot be kept.
    """
    parts, target = sections(example.text), _real_values(example)
    needed = ("Crime_Date", "Crime_Time", "Crime_Type", "Location")
    if len(parts) < LEAST_SECTIONS or not all(target[name] for name in needed):
        return None
    for name in ("Suspect_Description", "Evidence_Type", "Crime_Status"):
        target[name] = [value.rstrip(".") for value in target[name]]
    opening, told = _retold(target, rng)
    told += [part.content for part in parts if part.name in _PROSE and part.content.endswith(".")]
    told += target["Crime_Summary"]
    rng.shuffle(told)
    told.insert(rng.choice((0, 0, 1)), opening)
    told = [re.sub(r"\s*\n[-•* ]*", " ", text) for text in told]
    text = normalise_report("\n\n".join(paragraphs(told, rng)))
    return _if_told(example, target, text)


# -- slips ------------------------------------------------------------------------------------------------------------
def slips(example: Example, rng: random.Random) -> Example | None:
    """Typing errors in longer words that belong to no value and no heading."""
    kept = [value for values in example.target.values() for value in values]
    kept += [part.heading for part in sections(example.text)]
    words = set(re.findall(r"\w+", " ".join(kept)))

    def slip(match: re.Match[str]) -> str:
        word = match.group()
        return word if word in words or rng.random() > TYPO_SHARE else typo(word, rng)

    text = re.sub(r"(?<![\w@.])[a-z]{5,}(?![\w@])", slip, example.text)
    return example.with_(text=text) if text != example.text else None


PERTURBATIONS: dict[str, Change] = {
    "other headings": relay,
    "missing headings": bare,
    "typos": slips,
}


def _about_others(change: Change) -> Change:
    """The change, and names exchanged as well, so that no text stands twice but for its layout."""

    def changed(example: Example, rng: random.Random) -> Example | None:
        made = change(example, rng)
        return made and (swap(made, rng) or made)

    return changed


AUGMENTERS: dict[str, Change] = {
    "swap": swap,
    **{change.__name__: _about_others(change) for change in (relay, retell)},
}
