"""Invented crime reports: sentences are composed from facts and record them, so labels come with the text."""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Sequence

from helpers.tasks.crime.layout import OTHER_HEADINGS
from helpers.tasks.crime.pools import PHRASES, Pools, pools
from helpers.tasks.crime.rules import age_group
from helpers.tasks.crime.style import DATE_STYLES, write_date
from helpers.tasks.crime.text import FIELDS, Target, is_headed, means_nothing, normalise_report
from helpers.tasks.records import Example
from helpers.tasks.text import normalise, places

# slot of a template → the type that what it is filled with is a value of
FACTS = {
    "date": "Crime_Date",
    "time": "Crime_Time",
    "place": "Location",
    "type": "Crime_Type",
    "status": "Crime_Status",
    "officer": "Officer_Name",
    "badge": "Officer_BadgeNumber",
    "victim": "Victim_Name",
    "partner": "Victim_Name",
    "age": "Victim_Age",
    "partner_age": "Victim_Age",
    "group": "Victim_AgeRange",
    "owner": "Victim_Owner",
    "manager": "Victim_Manager",
    "ceo": "Victim_CEO",
    "no_ceo": "Victim_CEO",
    "email": "Victim_Email",
    **dict.fromkeys(("witness", "bystander", "no_witness"), "Witness_Name"),
    **dict.fromkeys(("suspect", "accomplice", "no_suspect"), "Suspect_Description"),
}
_SLOT, _CHOICE, _SUMMARY = re.compile(r"\{(\w+)\}"), re.compile(r"\[([^\[\]]*)\]"), re.compile(r"<(.+?)>")
_ARTICLE = re.compile(r"(?:an?|the) ", re.IGNORECASE)

HEADINGS = {
    "type": "Crime Type",
    "when": "Date and Time",
    "location": "Location",
    "officer": "Reporting Officer",
    "summary": "Summary",
    "victims": "Description of Victim(s)",
    "suspects": "Description of Suspect(s) (if applicable)",
    "witnesses": "Witnesses (if any)",
    "evidence": "Evidence Collected",
    "circumstances": "Circumstances Surrounding the Incident",
    "investigation": "Initial Investigation",
    "steps": "Further Steps",
    "status": "Current Status",
    "conclusion": "Conclusion",
    "signature": "Signature",
}
ALWAYS = ("type", "when", "location", "officer", "summary", "victims", "evidence")
LAYOUTS = ("**{}:** {}",) * 6 + ("{}: {}", "{}: {}", "**{}**: {}", "{}\n{}")  # the last: headings in capitals
# what stands under a heading; victims, suspects and witnesses by their kind or number
CONTENT = {
    "type": ("{type}",),
    "location": ("{place}",),
    "status": ("{status}",),
    "summary": ("<{Deed}.>",),
    "evidence": ("{items}[|.]",),
    "signature": ("{officer}",),
    "when": (
        "{date}, at {time}",
        "{date}, at {time}",
        "{date}, {time}",
        "{date}, about {time}",
        "{date}",
        "{date}, between {time} and {other_time}",
    ),
    "officer": ("{officer}", *("{officer}, " + number for number in PHRASES["numbers"])),
    "suspects 0": ("{no_suspect}",),
    "suspects 1": ("{suspect}[|.]",),
    "suspects 2": ("{suspect}; {accomplice}",),
    "witnesses 0": ("{no_witness}",),
    "witnesses 1": ("{witness}, a {job}[|.]", "{witness}", "{witness} ({job})"),
    "witnesses 2": ("{witness}, {bystander}", "{witness} and {bystander}", "{witness} ({job}); {bystander}"),
    "couple": (
        "{victim} and {partner}, ages {age} and {partner_age}[|.]",
        "{victim} ({age}) and {partner}",
        "{victim}, {age}; {partner}, {partner_age}",
    ),
    "person": (
        "{victim}, {age} years old, {job}",
        "{victim}, {age}, {job}",
        "{victim} ({age})",
        "{victim}",
        "{victim}, age {age}",
        "{victim}, {group}, {job}",
        "{victim}, {group}",
        "{victim}, {job}",
        "\n- Name: {victim}\n- Age: {age}\n- Age Range: {group}",
    ),
    "business": (
        "{victim}[, Owner:|; owner:|, owned by] {owner}",
        "{victim}",
        *("{victim}[, Manager:|, manager|, managed by] {manager}",) * 2,
        "{victim}, CEO: {ceo}",
        "{victim}, Owner: {owner}, CEO: {ceo}",
        "{victim}, chief executive {ceo}",
        "{victim}, Owner: {owner}, CEO: {no_ceo}",
        "\n- Name: {victim}\n- Owner: {owner}",
    ),
    "contact": (", E-mail: {email}", "; contact: {email}", ", Email: {email}"),
}
# how narratives tell what happened when and where; <…> is the sentence that sums it up
PLANS = (
    "<On {date}, [at about|at|around] {time}, {deed} at {place}.> The case was [recorded|filed] as {type}.",
    "<{Deed}.> This happened at {place} on {date}, [at|shortly after] {time}. The report is about {type}.",
    "<{Deed} at {place} in [an act|a case] of {type} on {date}.> The time is given as {time}.",
    "{officer}{numbered} was sent to {place}, where {type} was reported. <{Deed}.> It was {date}, {time}.",
    "This report concerns a case of {type} at {place}. <{Deed}.> The date is {date}, the time {time}.",
    "<At {time} on {date}, {deed}.> The address is {place}, the offence {type}.",
    "The [call|complaint] came from {place}: <{Deed} on {date}.> It is [treated|classed] as {type}.",
    "On {date} {type} was reported at {place}. <Between {time} and {other_time}, {deed}.>",
    "{place}, {date}, {time}. <{Deed}.> {officer_again} [put it down|entered it] as {type}.",
    "Word of {type} reached the desk at {other_time}. <{Deed} on {date}, at {time}.> The scene was {place}.",
)
OPENINGS = (
    "POLICE APPEAL FOR INFORMATION",
    "Incident log, entry {number}",
    "Press release of {other_date}",
    "To the insurer: what happened, in short.",
    "Notes for the next shift",
    "Log of the night desk",
    "Dear colleagues, this is what we know.",
    "Memo, {other_date}",
    "Statement taken by {officer}",
)
TOLD = {
    "person": (
        "{victim}{aged} [reported the matter|called the police].",
        "The victim is {victim}.",
        "[Harmed was|We spoke to] {victim}{aged} who [was not hurt|lives nearby].",
        "The victim is {victim}{aged} a {job}.",
    ),
    "couple": (
        "{victim} and {partner}, aged {age} and {partner_age}, [called us|were both concerned].",
        "The victims are {victim} ({age}) and {partner} ({partner_age}).",
    ),
    "business": ("The [loss|damage] falls on {victim}.", "{victim} [is the victim|made the complaint]."),
    "owner": ("The owner, {owner}, [was informed|came at once].", "{victim} is owned by {owner}."),
    "manager": ("Manager {manager} [gave access|showed us round].", "{victim} is managed by {manager}."),
    "ceo": ("The CEO of {victim}, {ceo}, [asked questions|was told].", "Chief executive {ceo} was informed."),
    "email": ("[Messages|Results] [should go|are to be sent] to {email}.", "[Contact|E-mail]: {email}."),
    "officer": (
        "{officer}{numbered} [took the report|handled the case|was first at the scene].",
        "[The case is kept|It was recorded] by {officer}{numbered} who will follow it up.",
        "I am {officer}{numbered} on duty that day.",
    ),
    "suspects 0": ("No suspect is known so far.", "Nobody has been identified.", "Who did it is open."),
    "suspects 1": (
        "The suspect [is|was] described as {suspect}.",
        "A camera shows {suspect}.",
        "Seen running away was {suspect}.",
        "The person we are looking for is {suspect}.",
    ),
    "suspects 2": (
        "One is {suspect}; the other is {accomplice}.",
        "The first was {suspect}. The second was {accomplice}.",
    ),
    "witnesses 0": ("Nobody saw anything.", "There are no witnesses.", "Neighbours had heard nothing."),
    "witnesses 1": (
        "A {job}, {witness}, [saw it happen|heard the noise].",
        "It was seen by {witness}.",
        "{witness}, a {job}, [watched from a window|gave a statement].",
    ),
    "witnesses 2": (
        "{witness} and {bystander} [saw it|were standing nearby].",
        "Two people saw it: {witness} and {bystander}.",
    ),
    "evidence": (
        "{officer_again} [secured|collected|kept] {items}.",
        "The evidence includes {items}.",
        "[Found at the scene|Handed over|Taken for the laboratory]: {items}.",
    ),
    "status": ("The [case|file] [is|remains] {status}.", "[Current status|Status]: {status}."),
    "aged": (
        ", {age},",
        ", aged {age},",
        ", a {job} of {age},",
        ", {age} years old,",
        ", a {job},",
        *(", {group},",) * 2,
    ),
    "numbered": (*(f", {number}," for number in PHRASES["numbers"]), ", of the day shift,"),
}


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


class Writer:
    """Fills the templates of one report and records each value that its text states.

    Attributes
    ----------
    stated : dict of str to list of str
        The labels: type → values in reading order, exactly as they are written.
    """

    def __init__(self, names: Pools, rng: random.Random, headed: bool):
        self.rng, self.headed = rng, headed
        self.stated: Target = {name: [] for name in FIELDS}
        kind = rng.choice(("taking", "taking", "damage", "deceit", "violence"))
        self.items = PHRASES[f"{kind} items"]
        self.notes_left = rng.sample(PHRASES["notes"], len(PHRASES["notes"]))
        self.victims = (
            "business"
            if kind != "violence" and rng.random() < 0.5
            else "couple"
            if rng.random() < 0.15
            else "person"
        )
        self.suspects, self.witnesses = (rng.choices((0, 1, 2), odds)[0] for odds in ((3, 6, 2), (3, 5, 2)))
        self.day = datetime.date(2016, 1, 1) + datetime.timedelta(days=rng.randrange(3600))
        self.date_style, self.clock = rng.choice(("March 4, 2024", *DATE_STYLES)), rng.randrange(5)
        rank, officer, age = self.pick("ranks"), names.person(rng), rng.randint(18, 88)
        thing, other = rng.sample(PHRASES[f"{kind} things"], 2)
        written = _capital if headed else str
        self.slots = {
            "date": self._date(0),
            "time": self._time(),
            "place": names.place(rng),
            "type": written(self.pick(f"{kind} types")),
            "status": written(self.pick("statuses")),
            "officer": f"{rank} {officer}",
            "badge": str(rng.randrange(100, 99999)),
            "officer_again": rng.choice(("The officer", f"{rank} {officer.split()[-1]}")),
            "victim": names.company(rng) if self.victims == "business" else names.person(rng),
            "age": str(age),
            "partner_age": str(max(18, age - 3)),
            "group": self.pick("groups"),
            "email": "{}@{}.{}".format(
                rng.choice(("info", "office", names.draw("domain_word", rng))),
                names.draw("domain_word", rng),
                rng.choice(("example", "com", "org")),
            ),
            "thing": thing,
            "a_thing": _with_article(thing),
            "a_thing2": _with_article(other),
            "spot": self.pick("spots"),
            "a_premises": _with_article(self.pick("premises")),
            "deed": self._chosen(self.pick(f"{kind} deeds")),
            **{
                name: names.person(rng)
                for name in ("partner", "owner", "manager", "ceo", "witness", "bystander")
            },
            **{
                name: (_capital if headed else _with_article)(self._look())
                for name in ("suspect", "accomplice")
            },
            **{name: self.pick("nothing") for name in ("no_ceo", "no_witness", "no_suspect")},
        }
        self.fresh = {  # new at each mention: these dates, times, places and people are no answers
            "other_date": lambda: self._date(rng.randint(2, 30)),
            "other_time": self._time,
            "other_place": lambda: names.draw("street_name", rng),
            "person": lambda: names.person(rng),
            "number": lambda: str(rng.randint(2, 40)),
            "job": lambda: self.pick("jobs"),
            "amount": lambda: f"{rng.choice('$€£')}{rng.randint(20, 9999):,}",
            "items": self._items,
            "Deed": lambda: _capital(self._filled(self.slots["deed"])),
            "aged": lambda: self.say(*TOLD["aged"]),
            "numbered": lambda: self.say(*TOLD["numbered"]),
        }

    def pick(self, name: str) -> str:
        """One of the phrases of that name."""
        return self.rng.choice(PHRASES[name])

    def _date(self, later: int) -> str:
        return write_date(self.day + datetime.timedelta(days=later), self.date_style)

    def _time(self) -> str:
        """A time of day in this report's style."""
        hour, minute = self.rng.randrange(24), self.rng.randrange(0, 60, self.rng.choice((1, 5, 15)))
        half, short = ("AM", "PM")[hour >= 12], (hour - 1) % 12 + 1
        return (
            *(f"{hour:02}:{minute:02}",) * 2,
            f"{short}:{minute:02} {half}",
            f"{short}:{minute:02} {half[0].lower()}.m.",
            f"{short}.{minute:02} {half.lower()}",
        )[self.clock]

    def _look(self) -> str:
        """How somebody was described, without article."""
        rng = self.rng
        worn = ("garments", "trousers")[: rng.randint(1, 2)]
        clothes = " and ".join(f"{self.pick('colours')} {self.pick(name)}" for name in worn)
        look = [
            self.pick("people"),
            *rng.sample(PHRASES["builds"], rng.random() < 0.6),
            f"{rng.choice(('wearing', 'wearing', 'in', 'dressed in'))} a {clothes}",
        ]
        return ", ".join(look) + (f", with {self.pick('features')}" if rng.random() < 0.4 else "")

    def _chosen(self, template: str) -> str:
        """The template with one of each `[several|alternatives]`."""
        return _CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), template)

    def say(self, *templates: str) -> str:
        """One of the templates as text; the facts in it count as stated."""
        text = self._filled(self._chosen(self.rng.choice(templates))).replace("..", ".")
        self.stated["Crime_Summary"] += _SUMMARY.findall(text)
        return _SUMMARY.sub(r"\1", text)

    def _filled(self, template: str) -> str:
        return _SLOT.sub(self._fill, template)

    def _fill(self, match: re.Match[str]) -> str:
        """What stands for a slot: a fact, a thing of this report, or something new."""
        name = match[1]
        if name in FACTS:
            return self._state(FACTS[name], self.slots[name])
        return self._filled(self.slots[name]) if name in self.slots else self.fresh[name]()

    def _state(self, name: str, value: str) -> str:
        if value not in self.stated[name]:
            self.stated[name].append(value)
        return value

    def _items(self) -> str:
        """One to four items in a row, joined as people do or, under a heading, at times one a line."""
        rng, made = self.rng, []
        articles = not self.headed or rng.random() < 0.2
        for item in rng.sample(self.items, rng.choice((1, 2, 2, 3, 3, 4))):
            text = self._filled(item.lstrip("~"))
            text = _with_article(text) if item[0] == "~" and articles else text
            made.append(self._state("Evidence_Type", _capital(text) if self.headed and not made else text))
        style = rng.random() if self.headed else 1.0
        if style < 0.15:
            return "".join(f"\n- {text}" for text in made)
        if style < 0.8 or len(made) == 1:
            return ("; " if style < 0.4 else ", ").join(made)
        return f"{', '.join(made[:-1])} and {made[-1]}"

    def notes(self, most: int) -> str:
        """Sentences about what else happened, among them other dates, times, people and places."""
        return " ".join(self.say(self.notes_left.pop()) for _ in range(self.rng.randint(1, most)))


def _section(w: Writer, name: str) -> str:
    """What stands under a heading."""
    if name in ("circumstances", "investigation", "steps", "conclusion"):
        return w.notes(4 if name == "circumstances" else 2)
    text = w.say(
        *CONTENT[
            {
                "victims": w.victims,
                "suspects": f"suspects {w.suspects}",
                "witnesses": f"witnesses {w.witnesses}",
            }.get(name, name)
        ]
    )
    return text + w.say(*CONTENT["contact"]) if name == "victims" and w.rng.random() < 0.3 else text


def write_headed(w: Writer) -> str:
    """A report under the headings of train reports or others; at times some are left out, or one is moved."""
    rng, layout = w.rng, w.rng.choice(LAYOUTS)
    left_out, other = rng.choice((0.03, 0.25)), rng.choice((0, 0, 0.5))
    names = [name for name in HEADINGS if name in ALWAYS or rng.random() > left_out]
    if rng.random() < 0.3:
        names.insert(rng.randrange(len(names)), names.pop(rng.randrange(len(names))))
    lines = []
    for name in names:
        heading = rng.choice(OTHER_HEADINGS[name]) if rng.random() < other else HEADINGS[name]
        lines.append(layout.format(heading.upper() if layout == LAYOUTS[-1] else heading, _section(w, name)))
    return "\n".join(lines)


def write_told(w: Writer) -> str:
    """A report in running text: its facts in sentences of a changing order, a few to a paragraph."""
    rng = w.rng
    told = [w.say(*TOLD[name]) for name in (w.victims, "evidence", "officer")] + [w.notes(3), w.notes(3)]
    if w.victims == "business":
        told += [w.say(*TOLD[role]) for role in rng.sample(("owner", "manager", "ceo"), rng.randint(1, 2))]
    for name, share in (
        (f"suspects {w.suspects}", 0.9),
        (f"witnesses {w.witnesses}", 0.9),
        ("status", 0.9),
        ("email", 0.25),
    ):
        told += [w.say(*TOLD[name])] if rng.random() < share else []
    rng.shuffle(told)
    told.insert(rng.choice((0, 0, 0, 1)), w.say(*PLANS))
    size = rng.randint(2, 4)
    paragraphs = [" ".join(told[at : at + size]) for at in range(0, len(told), size)]
    return "\n\n".join([w.say(*OPENINGS)] * (rng.random() < 0.4) + paragraphs)


def groups_ages(train: Sequence[Example]) -> bool:
    """Whether train labels give the group of an age (`Adult`) though the report only states the age."""
    stated = [example for example in train if example.target["Victim_Age"]]
    grouped = [
        example
        for example in stated
        if any(not places(value, example.text) for value in example.target["Victim_AgeRange"])
    ]
    return 2 * len(grouped) > len(stated)


def keeps_articles(train: Sequence[Example]) -> bool:
    """Whether train labels of evidence keep the article that an item has in the report."""
    kept = left_out = 0
    for example in train:
        for value in example.target["Evidence_Type"]:
            before = [example.text[:start] for start, _ in places(value, example.text)[:1]]
            kept += bool(_ARTICLE.match(value))
            left_out += any(re.search(r"\b(?:an?|the) $", text, re.IGNORECASE) for text in before)
    return kept >= left_out


def _labelled(stated: Target, by_age: bool, with_articles: bool) -> Target:
    """What a report states, by the conventions of train."""
    target = {name: [normalise(value) for value in values] for name, values in stated.items()}
    if not with_articles:
        target["Evidence_Type"] = [
            _ARTICLE.sub("", value, count=1) if _ARTICLE.match(value) else value
            for value in target["Evidence_Type"]
        ]
    if by_age and target["Victim_Age"]:
        target["Victim_AgeRange"] = [age_group(age) for age in target["Victim_Age"]]
    return target


def synthesise(train: Sequence[Example], count: int, rng: random.Random) -> list[Example]:
    """Invented crime reports, every second one without headings; ids go on after those of train."""
    conventions, made = (groups_ages(train), keeps_articles(train)), []
    first = 1 + max((example.id for example in train), default=-1)
    while len(made) < count:
        headed = len(made) % 2 == 0
        w = Writer(pools(), rng, headed)
        text = normalise_report((write_headed if headed else write_told)(w))
        target = _labelled(w.stated, *conventions)
        values = [
            value
            for name, found in target.items()
            for value in found
            if name != "Victim_AgeRange" or not conventions[0]
        ]
        told = not is_headed(text) and any(map(means_nothing, values))
        if not told and all(places(value, text) for value in values):
            made.append(Example(first + len(made), text, target, "synthetic"))
    return made
