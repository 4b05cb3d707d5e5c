"""Invented crime reports: templates of `reports.yaml` are filled with facts, and each fact that a text states is a label."""

from __future__ import annotations

import datetime
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from faker import Faker

from helpers.tasks import date_forms
from helpers.tasks.base import Example
from helpers.tasks.crime.report import SECTIONS, WORDS, is_headed, means_nothing, normalise_report
from helpers.tasks.crime.schema import FIELDS
from helpers.tasks.crime.spans import learn_conventions, stands_at
from helpers.tasks.text import normalise, places

FACTS: dict[str, str] = WORDS["facts"]
NAMES = ("first_name", "last_name", "city", "street_name", "company", "domain_word")
DRAWS = 20  # a locale and kind of name: enough for some hundred reports, read in a moment
NUMBERS = {"house": (1, 990), "number": (2, 40), "sum": (20, 9999)}
_SLOT = re.compile(r"\{(a )?(\w+)\}")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_SUMMARY = re.compile(r"<(.+?)>")
_ALWAYS = ("type", "when", "location", "officer", "summary", "victims", "evidence")
_ARTICLE = re.compile(r"(?:an?|the) ", re.IGNORECASE)


@lru_cache(maxsize=1)
def names() -> dict[str, list[str]]:
    """Names of many countries by their kind, those of :data:`NAMES`."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, locale in enumerate(WORDS["locales"]):
        fake = Faker(locale)
        fake.seed_instance(1000 + number)
        for kind in NAMES:
            # the reports are in English: most first names should be, too
            draws = 12 * DRAWS if kind == "first_name" and locale.startswith("en_") else DRAWS
            found[kind] += sorted({getattr(fake, kind)() for _ in range(draws)})
    return found


def _with_article(noun: str) -> str:
    return f"{'an' if re.match('[aeiou8]|1[18]-', noun) else 'a'} {noun}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


class Composer:
    """Fills templates of `reports.yaml` and records each value that its text states.

    `slots` are filled alike at each mention, other slots anew each time; `stated` are the labels: type → values in reading
    order, exactly as they are written.
    """

    def __init__(self, rng: random.Random, slots: dict[str, str] | None = None):
        self.rng, self.slots = rng, slots or {}
        self.stated: dict[str, list[str]] = {name: [] for name in FIELDS}

    def fill(self, *templates: str) -> str:
        """One of the templates as text; the facts in it count as stated."""
        template = self.rng.choice(templates)
        chosen = _CHOICE.sub(lambda match: self.rng.choice(match[1].split("|")), template)
        text = _SLOT.sub(self._fill_slot, chosen).replace("..", ".")
        self.stated["Crime_Summary"] += _SUMMARY.findall(text)
        return _SUMMARY.sub(r"\1", text)

    def _fill_slot(self, match: re.Match[str]) -> str:
        article, name = match.groups()
        slot = name[0].lower() + name[1:]
        text = self.slots[slot] if slot in self.slots else self.new(slot)
        text = _with_article(text) if article else text
        text = _capital(text) if slot != name else text
        return self.state(FACTS[slot], text) if slot in FACTS and slot in self.slots else text

    def new(self, slot: str) -> str:
        """Something new for a slot that is no fact of the report."""
        if slot in NAMES:
            return self.rng.choice(names()[slot])
        if slot in NUMBERS:
            return f"{self.rng.randint(*NUMBERS[slot]):,}"
        return self.fill(*WORDS["phrases"][slot])

    def state(self, name: str, value: str) -> str:
        """Record a value of a type."""
        if value not in self.stated[name]:
            self.stated[name].append(value)
        return value


class _Report(Composer):
    """A report about one invented case, under headings or told."""

    def __init__(self, rng: random.Random, headed: bool):
        super().__init__(rng)
        self.headed = headed
        kind = rng.choice(("taking", "taking", "damage", "deceit", "violence"))
        crime = WORDS["crimes"][kind]
        # one deed a report, in the same words wherever it is told
        self.deed = _CHOICE.sub(lambda match: rng.choice(match[1].split("|")), rng.choice(crime["deeds"]))
        self.items, self.notes_left = crime["items"], rng.sample(WORDS["notes"], len(WORDS["notes"]))
        business = kind != "violence" and rng.random() < 0.5
        self.victims = "business" if business else "couple" if rng.random() < 0.15 else "person"
        self.suspects, self.witnesses = (
            f"{name} {rng.choices((0, 1, 2), odds)[0]}"
            for name, odds in (("suspects", (3, 6, 2)), ("witnesses", (3, 5, 2)))
        )
        self.day = datetime.date(2016, 1, 1) + datetime.timedelta(days=rng.randrange(3600))
        self.date_like, self.time_like = rng.choice(WORDS["dates"]), rng.choice(WORDS["times"])
        rank, officer, victim = (
            self.new("rank"),
            self.new("person"),
            self.new("firm" if business else "person"),
        )
        age = rng.randint(18, 88)
        thing, other = rng.sample(crime["things"], 2)
        persons = ("partner", "owner", "manager", "ceo", "witness", "bystander")
        self.slots = {
            "date": self._date(0),
            "time": self._time(),
            "type": rng.choice(crime["types"]),
            "thing": thing,
            "other_thing": other,
            "officer": f"{rank} {officer}",
            "officer_again": rng.choice(("The officer", f"{rank} {officer.split()[-1]}")),
            "badge": str(rng.randrange(100, 99999)),
            "victim": victim,
            "victim_short": "Somebody from there"
            if business
            else f"{rng.choice(('Mr', 'Ms', 'Mrs.'))} {victim.split()[-1]}",
            "age": str(age),
            "partner_age": str(max(18, age - 3)),
            "weekday": f"{self.day:%A}",
            **{
                name: self.new(name)
                for name in ("place", "status", "group", "email", "spot", "premises", "other_officer")
            },
            **{name: self.new("person") for name in persons},
            **{name: self.new("look") for name in ("suspect", "accomplice")},
            **{name: self.new("nothing") for name in ("no_ceo", "no_witness", "no_suspect")},
        }

    def new(self, slot: str) -> str:
        """Also other dates, times and places, which are no answers, and the items of evidence, which are."""
        if slot == "deed":
            return self.fill(self.deed)
        if slot == "items":
            return self._items()
        if slot == "other_date":
            return self._date(self.rng.randint(2, 30))
        if slot == "other_time":
            return self._time()
        return super().new({"other_place": "street_name"}.get(slot, slot))

    def _date(self, later: int) -> str:
        """A day in this report's style, which may leave out the year."""
        day = self.day + datetime.timedelta(days=later)
        written = date_forms.render_date(day, self.date_like.lstrip("~")) or day.isoformat()
        return re.sub(r",? \d{4}$", "", written) if self.date_like[0] == "~" else written

    def _time(self) -> str:
        """A time of day in this report's style."""
        hour, minute = self.rng.randrange(24), self.rng.randrange(0, 60, self.rng.choice((1, 5, 15)))
        if self.time_like == "in words":
            quarter = minute // 15
            return WORDS["quarters"][quarter].format(WORDS["hours"][(hour + quarter // 3) % 12])
        # a style without minutes can only say the full hour
        like = self.time_like
        written = (date_forms.render_time(hour, m, like) for m in (minute, 0))
        return next(filter(None, written), f"{hour:02d}:{minute:02d}")

    def _items(self) -> str:
        """One to four items in a row, joined as people do or, under a heading, at times one a line."""
        rng, made = self.rng, []
        articles = not self.headed or rng.random() < 0.2
        for item in rng.sample(self.items, rng.choice((1, 2, 2, 3, 3, 4))):
            text = self.fill(item.lstrip("~"))
            text = _with_article(text) if item[0] == "~" and articles else text
            made.append(self.state("Evidence_Type", _capital(text) if self.headed and not made else text))
        style = rng.random() if self.headed else 1.0
        if style < 0.15:
            return "".join(f"\n- {text}" for text in made)
        if style < 0.8 or len(made) == 1:
            return ("; " if style < 0.4 else ", ").join(made)
        return f"{', '.join(made[:-1])} and {made[-1]}"

    def notes(self, most: int) -> str:
        """Sentences about what else happened."""
        return " ".join(self.fill(self.notes_left.pop()) for _ in range(self.rng.randint(1, most)))

    def section(self, name: str) -> str:
        """What stands under a heading."""
        if name in ("circumstances", "investigation", "steps", "conclusion"):
            return self.notes(4 if name == "circumstances" else 2)
        text = self.fill(*WORDS["headed"][getattr(self, name, name)])
        contact = name == "victims" and self.rng.random() < 0.3
        return text + self.fill(*WORDS["headed"]["contact"]) if contact else text

    def under_headings(self) -> str:
        """The report under usual headings or others; at times some are left out, or one is moved."""
        rng, layout = self.rng, self.rng.choice(WORDS["layouts"])
        left_out, other = rng.choice((0.03, 0.25)), rng.choice((0, 0, 0.5))
        parts = [name for name, one in SECTIONS.items() if "headings" in one]
        parts = [name for name in parts if name in _ALWAYS or rng.random() > left_out]
        if rng.random() < 0.3:
            parts.insert(rng.randrange(len(parts)), parts.pop(rng.randrange(len(parts))))
        lines = []
        for name in parts:
            usual, *others = SECTIONS[name]["headings"]
            heading = rng.choice(others) if rng.random() < other else usual
            lines.append(layout.format(heading.upper() if "\n" in layout else heading, self.section(name)))
        return "\n".join(lines)

    def told(self) -> str:
        """The report in running text: its facts in sentences of its genre in a changing order, a few to a paragraph."""
        rng = self.rng
        words = WORDS["told"] | rng.choice(list(WORDS["genres"].values()))
        kinds = [self.victims, "evidence", "officer"]
        if self.victims == "business":
            kinds += rng.sample(("owner", "manager", "ceo"), rng.randint(1, 2))
        shares = {self.suspects: 0.9, self.witnesses: 0.9, "status": 0.9, "email": 0.25}
        kinds += [name for name, share in shares.items() if rng.random() < share]
        sentences = [self.fill(*words[name]) for name in kinds] + [self.notes(3), self.notes(3)]
        rng.shuffle(sentences)
        sentences.insert(rng.choice((0, 0, 0, 1)), self.fill(*words["plan"]))
        opening = [self.fill(*words["opening"])] if rng.random() < 0.4 else []
        if "line" not in words:
            return "\n\n".join(opening + paragraphs(sentences, rng))
        like, minute = rng.choice(words["line"]), rng.randrange(24 * 60)
        for sentence in sentences:  # a log: a line each, one some minutes after the other
            opening.append(
                like.format(*(f"{part:02d}" for part in divmod(minute % (24 * 60), 60))) + sentence
            )
            minute += rng.randint(1, 15)
        return "\n".join(opening)


def paragraphs(sentences: Sequence[str], rng: random.Random) -> list[str]:
    """Two to four of the sentences each."""
    size = rng.randint(2, 4)
    return [" ".join(sentences[at : at + size]) for at in range(0, len(sentences), size)]


def keeps_articles(train: Sequence[Example]) -> bool:
    """Whether train labels of evidence keep the article that an item has in the report."""
    kept = left_out = 0
    for example in train:
        for value in example.target["Evidence_Type"]:
            before = [example.text[:start] for start, _ in places(value, example.text)[:1]]
            kept += bool(_ARTICLE.match(value))
            left_out += any(re.search(r"\b(?:an?|the) $", text, re.IGNORECASE) for text in before)
    return kept >= left_out


def synthesise(train: Sequence[Example], count: int, rng: random.Random) -> list[Example]:
    """Invented crime reports, every second one without headings; ids go on after those of train.

    Labels are what a report states, by the conventions of train: evidence with or without its article, and the group of
    an age where train gives it though no report states it. A told report is at times in small letters or capitals alone.
    """
    conventions, articles, made = learn_conventions(train), keeps_articles(train), []
    first = 1 + max((example.id for example in train), default=-1)
    while len(made) < count:
        headed = len(made) % 2 == 0
        report = _Report(rng, headed)
        text = normalise_report(report.under_headings() if headed else report.told())
        target = {name: [normalise(value) for value in values] for name, values in report.stated.items()}
        if not articles:
            target["Evidence_Type"] = [_ARTICLE.sub("", value, count=1) for value in target["Evidence_Type"]]
        values = [value for found in target.values() for value in found]
        groups = [group for age in target["Victim_Age"] if (group := conventions.group(age))]
        if groups:
            target["Victim_AgeRange"] = groups
        told = not is_headed(text) and any(map(means_nothing, values))
        stands = all(
            stands_at(name, value, text)
            for name, found in target.items()
            for value in found
            if value not in groups
        )
        if stands and not told:
            case = str if headed or groups else rng.choices((str, str.upper, str.lower), (14, 1, 1))[0]
            target = {name: list(map(case, found)) for name, found in target.items()}
            made.append(Example(first + len(made), case(text), target, "synthetic"))
    return made
