"""A writer that fills patterns for one report and records which values the text states."""

from __future__ import annotations

import random
import re

from helpers.corpus.lexicon import Lexicon
from helpers.corpus.report_crimes import Kind
from helpers.corpus.report_values import (
    COLOURS,
    CURRENCIES,
    GARMENTS,
    MAKES,
    MISSING,
    MISSING_WEIGHTS,
    age_range,
    article,
    dates,
    object_look,
    person_look,
    sentence_case,
    times,
)

PHYSICAL = ("Evidence", "Damage", "Parts", "Damaged", "Missing", "Materials", "Equipment")
# Phrases that take no article: several people, or nobody in sight.
COUNTED = re.compile(r"(?i)(a|an|the|one|two|three|four|five|six|several|some|group|unknown|no|none|not|on|someone|male|"
                     r"female|known|wanted|unidentified|\w+s)\b|\W|\d")
# What follows a report names its own days and streets: not those of the event, which the facts of that name are.
FOLLOW_UP_SLOTS = {"date": "day_after", "time": "clock", "place": "street", "name": "person", "officer": "colleague"}
FOLLOW_UP_SLOT = re.compile(r"\{(date|time|place|name|officer)\}")
SLOT = re.compile(r"\{(\w+)\}")
ALTERNATIVES = re.compile(r"\[([^\[\]]*\|[^\[\]]*)\]")


class Writer:
    """Fills patterns for one report and records each stated value under its concept.

    Attributes
    ----------
    stated : dict of str to list of str
        Concept (such as `date`) to the values the text holds, in reading order, exactly as written.
    """

    def __init__(self, rng: random.Random, lex: Lexicon, kind: Kind, canonical: bool = False):
        self.rng, self.lex, self.kind, self.canonical = rng, lex, kind, canonical
        self.stated: dict[str, list[str]] = {}
        self.day, self.clock = dates(rng), times(rng)
        title = rng.choice(kind.titles)
        self.last = lex.last_name(rng)
        bare = rng.random() < 0.15 and title
        self.short_official = f"{title} {self.last}" if title else f"{rng.choice(('Mr.', 'Ms.'))} {self.last}"
        official = self.short_official if bare else f"{title} {lex.first_name(rng)} {self.last}".strip()
        self.is_business = rng.random() < kind.business
        subject = lex.company(rng) if self.is_business else self.person(0.15)
        digits = "".join(rng.choices("0123456789", k=rng.randint(3, 6)))
        age = rng.randint(*kind.ages)
        thing, thing2 = rng.sample(kind.things, 2)
        thing = f"{rng.choice(COLOURS + MAKES)} {thing}" if rng.random() < 0.4 else thing
        spot, spot2 = rng.sample(kind.spots, 2)
        # Said without being asked for, so nothing is recorded.
        self.pooled = kind.event == "Crime" and rng.random() < 0.7  # phrases of the pools beside those of the kind
        self.plain = {
            "thing": thing,
            "thing2": thing2,
            "spot": spot,
            "spot2": spot2,
            "place": rng.choice(kind.places),
            "subject_word": kind.subject.lower() if self.is_business else rng.choice(kind.people),
        }
        for name in ("thing", "thing2", "place"):
            self.plain["a_" + name] = article(self.plain[name])
            self.plain["A_" + name] = sentence_case(self.plain["a_" + name])
        self.plain = {name: SLOT.sub(self._number, value) for name, value in self.plain.items()}
        self.facts = {
            "official": official,
            "id": digits if rng.random() < 0.8 else lex.code(rng),
            "subject": subject,
            "subject2": self.person(0.1),
            "age": str(age),
            "age2": str(rng.randint(*kind.ages)),
            "range": age_range(rng, age),
            "owner": self.person(0.1),
            "manager": self.person(0.1),
            "ceo": self.person(0.1),
            "type": self.pool("crime_types", 0.6) or rng.choice(kind.types) if rng.random() < 0.9 else lex.phrase(rng, 1, 3).title(),
            "date": self.day(),
            "time": self.clock(),
            "status": self.pool("statuses", 0.5) or rng.choice(kind.statuses) if rng.random() < 0.95 else lex.phrase(rng, 1, 2).title(),
            "supervisor": self.person(0.3),
            "reference": lex.code(rng),
            "report_date": self.day(1),
            "followup_date": self.day(1),
            "location": lex.address(rng)
            if rng.random() < 0.75
            else rng.choice(
                (
                    f"{lex.street(rng)} {rng.randint(1, 199)}, {lex.city(rng)}",
                    f"{lex.company(rng)}, {lex.address(rng)}",
                    lex.city(rng),
                    f"{lex.city(rng)}, {lex.street(rng)}",
                    f"Unit {rng.randint(1, 90)}, {lex.address(rng)}",
                )
            ),
            "phone": "".join(rng.choices("0123456789", k=3))
            + rng.choice("- .")
            + "".join(rng.choices("0123456789", k=rng.randint(4, 7))),
            "cost": rng.choice(CURRENCIES).format(f"{rng.randint(20, 48000):,}"),
            "email": "",
        }
        who = rng.choice((self.facts["owner"], self.facts["manager"], None)) if self.is_business else subject
        if who and rng.random() < 0.7:
            words = [re.sub(r"[^\w-]", "", word) for word in who.split()[-2:]]
            local = rng.choice((".".join(words), "".join(words), words[-1], words[0][:1] + words[-1])).lower()
            host = re.sub("[^a-z]", "", lex.last_name(rng).lower()) or "mail"
            self.facts["email"] = f"{local}@{host}.{rng.choice(('example', 'com', 'org', 'test', 'net'))}"
        else:
            self.facts["email"] = lex.email(rng)
        look = person_look(rng) if kind.person_described else object_look(rng, self.plain["thing2"], lex)
        if kind.person_described and rng.random() < 0.1:
            look = (
                rng.choice(("two ", "three "))
                + rng.choice(("youths", "men", "people"))
                + rng.choice((" in ", " wearing "))
                + f"{rng.choice(COLOURS)} {rng.choice(GARMENTS[:7])}s"
            )
            self.a_look = look
        else:
            look = self.pool("suspects", 0.6) or look
            self.a_look = look if COUNTED.match(look) else article(look)
        self.facts["look"] = sentence_case(look)
        self.facts["summary"] = ""
        self.facts["summary"] = self.pool("summaries", 0.6) or self.say(rng.choice(kind.summaries))
        if rng.random() < 0.12:
            source = f", {rng.choice(('according to', 'says', 'reports'))} {lex.company(rng).rstrip('.')}."
            self.facts["summary"] = self.facts["summary"].rstrip(".") + source

    CONCEPT = {"subject2": "subject", "age2": "age", "look": "description", "a_look": "description"}

    def pool(self, name: str, share: float) -> str:
        """A phrase of that pool, or nothing; only for reports that draw on the pools."""
        return self.lex.pooled(self.rng, name) if self.pooled and self.rng.random() < share else ""

    def steps(self) -> tuple[str, ...]:
        """Patterns that tell what was done or is to be done."""
        if not self.pooled:
            return self.kind.steps
        return tuple(FOLLOW_UP_SLOT.sub(lambda match: f"{{{FOLLOW_UP_SLOTS[match[1]]}}}", pattern)
                     for pattern in self.rng.sample(self.lex.pools["follow_ups"], 8))

    def person(self, titled: float) -> str:
        title = self.rng.choice(("Mr. ", "Mrs. ", "Ms. ", "Dr. ")) if self.rng.random() < titled else ""
        return title + self.lex.full_name(self.rng)

    def state(self, concept: str, value: str) -> str:
        """Record `value` for `concept` and return it."""
        values = self.stated.setdefault(concept, [])
        if value not in values:
            values.append(value)
        return value

    def missing(self, concept: str) -> str:
        """Words that say nothing is known, recorded as the stated value."""
        return self.state(concept, self.pool("nothing", 0.4) or self.rng.choices(MISSING, MISSING_WEIGHTS)[0])

    def say(self, pattern: str) -> str:
        """One pattern as text with its first letter in upper case; the values of fact slots are recorded."""
        while "|" in pattern:
            changed = ALTERNATIVES.sub(lambda match: self.rng.choice(match[1].split("|")), pattern)
            if changed == pattern:
                break
            pattern = changed
        text = SLOT.sub(self._fill, pattern)
        if text.endswith("..") or text.endswith(".;"):
            text = text[:-1]
        first = SLOT.match(pattern)
        # A value keeps its own first letter: it must stay equal to what was recorded.
        return text if first and first[1] in self.facts else sentence_case(text)

    def items(self, capital: str, count: int | None = None) -> list[str]:
        """One to five list items as written, recorded in order; `capital`: `first`, `all` or empty."""
        count = count or self.rng.choices((1, 2, 3, 4, 5), (2, 4, 4, 2, 1))[0]
        chosen = self.rng.sample(self.kind.items, min(count, len(self.kind.items)))
        texts, articles = [], self.rng.choice((0, 0, 0.5, 1))
        physical = self.kind.items_label[0] in PHYSICAL
        for item in chosen:
            single, text = item.startswith("~"), SLOT.sub(self._fill, item.lstrip("~"))
            draw = self.rng.random()
            if self.pooled and draw < 0.6:
                single, text = False, self.lex.pooled(self.rng, "evidence")
            elif draw > 0.93:
                text = self.lex.phrase(self.rng, 1, 3)
            elif physical and self.rng.random() < 0.3 and "{" not in item:
                text += self.rng.choice(
                    (
                        f" from the {self.plain['spot']}",
                        f" near the {self.plain['spot2']}",
                        f" labelled {self.lex.code(self.rng)}",
                        f" marked {self.lex.made_up(self.rng).capitalize()}",
                    )
                )
            if single and self.rng.random() < articles:
                text = article(text)
            texts.append(text)
        if capital:
            texts = [
                sentence_case(text) if not number or capital == "all" else text for number, text in enumerate(texts)
            ]
        return [self.state("items", text) for text in texts]

    def _number(self, match: re.Match) -> str:
        return str(self.rng.randint(2, 40)) if match[1] == "n" else match[0]

    def _fill(self, match: re.Match) -> str:
        name = match[1]
        if name in self.facts:
            return self.state(self.CONCEPT.get(name, name), self.facts[name])
        if name in self.plain:
            return self.plain[name]
        rng = self.rng
        if name in ("type_low", "status_low"):
            return self.state(name[:-4], self.facts[name[:-4]].lower())
        if name in ("event_low", "subject_low", "described_low", "witness_low", "official_low"):
            return getattr(self.kind, name[:-4]).lower()
        if name == "a_look":
            return self.state("description", self.a_look)
        if name == "number":
            return SLOT.sub(self._fill, rng.choice(self.kind.number_forms))
        if name == "Official_again":
            if "official" in self.stated and rng.random() < 0.5:
                return self.short_official
            return f"The {self.kind.official.lower()}"
        if name in ("Subject_again", "subject_again"):
            the = "The " if name[0] == "S" else "the "
            return the + rng.choice((self.kind.subject.lower(), self.plain["subject_word"]))
        if name == "person":
            return self.lex.full_name(rng)
        if name == "street":
            return self.lex.street(rng)
        if name == "colleague":
            return f"{rng.choice(self.kind.titles)} {self.lex.last_name(rng)}".strip()
        if name == "witness":
            return self.state("witness", self.person(0.15))
        if name == "clock":
            return self.clock()
        if name in ("day", "day_after"):
            return self.day(-1 if name == "day" else 1)
        if name == "n":
            return str(rng.randint(2, 40))
        if name == "word":
            return self.lex.word(rng)
        if name == "code":
            return self.lex.code(rng)
        if name == "company2":
            return self.lex.company(rng)
        raise KeyError(name)
