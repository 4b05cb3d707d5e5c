"""Values that reports state: dates, times, looks of people and things, age groups, words for "nothing known"."""

from __future__ import annotations

import random
from datetime import date

from helpers.corpus.lexicon import Lexicon
from helpers.corpus.report_crimes import words

MONTHS = ("January February March April May June July August September October November December").split()
WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MISSING = words("""
    Not provided; None identified; N/A; Unknown; None; Not applicable; Not available; Not stated; No
    information; Unidentified; None reported; -""")
MISSING_WEIGHTS = (9, 8, 7, 3, 2, 1, 1, 1, 1, 1, 1, 1)
GARMENTS = words("""
    hoodie; vest; poncho; denim jacket; raincoat; tracksuit; baseball cap; wool coat; overalls; gloves; leather
    jacket; scarf; backpack; trainers; jeans; cargo trousers; striped jumper; ski mask; work boots""")
COLOURS = words("black; dark blue; grey; green; red; white; brown; beige; orange; yellow; purple; silver")
FEATURES = words("""
    short blond hair; a grey beard; a tattoo on the left hand; a limp; glasses; curly hair; a scar on the chin;
    a foreign accent; a shaved head; long dark hair; a ponytail; a nose ring""")
MAKES = words("""
    steel; wooden; second-hand; portable; electric; antique; brand-new; rented; old; heavy; small; folding""")
FLAWS = words("""
    a cracked {part}; scratches on the {part}; a loose {part}; a missing {part}; rust on the {part}; a dent in
    the {part}; a bent {part}; traces of {stain} on the {part}""")
PARTS = words("handle; left side; lid; front panel; rim; base; hinge; label; casing; cable; corner; lower edge")
STAINS = words("oil; mud; paint; salt; glue; soot; ink; flour; resin; lime")
CURRENCIES = ("${}", "€{}", "£{}", "{} EUR", "{} USD", "approximately ${}", "{} kr", "CHF {}")


def dates(rng: random.Random):
    """A function that writes dates, all in the one style of this report.

    Its argument is -1 for a day before the event, 0 for the day of the event and 1 for a day after it.
    """
    year, style = rng.randint(1998, 2032), rng.choices(range(9), (10, 3, 3, 3, 2, 2, 2, 2, 1))[0]
    month, day = rng.randint(2, 11), rng.randint(8, 21)

    def write(side: int = 0) -> str:
        near = rng.random() < 0.6
        m = month if near else month + side
        d = rng.randint(*((1, 28) if not near else (1, 7) if side < 0 else (22, 28))) if side else day
        name, weekday = MONTHS[m - 1], WEEKDAYS[date(year, m, d).weekday()]
        return (
            f"{name} {d}, {year}",
            f"{d} {name} {year}",
            f"{year}-{m:02}-{d:02}",
            f"{d:02}/{m:02}/{year}",
            f"{d:02}.{m:02}.{year}",
            f"{name[:3]} {d}, {year}",
            f"{weekday}, {d} {name}",
            f"{weekday}, {name} {d}, {year}",
            f"{name} {d}",
        )[style]

    return write


def times(rng: random.Random):
    """A function that writes random times of day, all in the one style of this report."""
    style = rng.choices(range(7), (10, 4, 2, 2, 1, 1, 1))[0]
    step = rng.choice((1, 5, 15))

    def write() -> str:
        hour, minute = rng.randint(0, 23), rng.randrange(0, 60, step)
        half, short = ("AM", "PM")[hour >= 12], (hour - 1) % 12 + 1
        return (
            f"{hour:02}:{minute:02}",
            f"{short}:{minute:02} {half}",
            f"{hour:02}{minute:02} hours",
            f"{short}:{minute:02}{half.lower()}",
            f"{hour}.{minute:02}",
            f"{short} {half[0].lower()}.m.",
            f"{hour:02}:{minute:02} h",
        )[style]

    return write


def article(noun: str) -> str:
    return ("an " if noun[:1].lower() in "aeiou" else "a ") + noun


def sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def clothes(rng: random.Random) -> str:
    """One or two garments, each with a colour."""
    worn = [f"{rng.choice(COLOURS)} {garment}" for garment in rng.sample(GARMENTS, rng.randint(1, 2))]
    return " and ".join(
        text if text.endswith("s") else rng.choice((text, article(text))) if number else article(text)
        for number, text in enumerate(worn)
    )


def person_look(rng: random.Random) -> str:
    """How somebody was described, without a leading article."""
    who = rng.choice(
        ("male", "female", "man", "woman", "boy", "tall man", "young woman", "teenager", "person", "elderly man")
    )
    parts = [who]
    if rng.random() < 0.6:
        parts.append(
            rng.choice(("approximately ", "about ", "roughly ", ""))
            + rng.choice(
                (
                    f"{rng.randint(5, 6)} feet tall",
                    f"{rng.randint(5, 6)}'{rng.randint(0, 11)}\"",
                    f"1.{rng.randint(55, 99)} m tall",
                    f"{rng.randint(155, 199)} cm tall",
                    f"{rng.randint(17, 70)} years old",
                )
            )
        )
    parts.append(rng.choice(("wearing ", "wearing ", "in ", "dressed in ")) + clothes(rng))
    if rng.random() < 0.35:
        parts.append(f"with {rng.choice(FEATURES)}")
    return ", ".join(parts)


def age_range(rng: random.Random, age: int) -> str:
    """Words or numbers for an age group that holds `age`."""
    words = (
        ["Child", "Minor"]
        if age < 13
        else ["Teenager", "Minor"]
        if age < 18
        else ["Young Adult", "Adult"]
        if age < 30
        else ["Adult", "Adult", "Middle-aged"]
        if age < 62
        else ["Senior", "Elderly", "Older Adult"]
    )
    low = age - age % 10
    part = ("early", "mid", "late")[age % 10 // 4]
    return rng.choice(
        words * 2
        + [
            f"{low}-{low + 9}",
            f"{low} to {low + 10}",
            f"{age - age % 5}-{age - age % 5 + 4}",
            f"{part} {low}s",
            f"{part}-{low}s",
        ]
    )


def object_look(rng: random.Random, thing: str, lex: Lexicon) -> str:
    flaw = rng.choice(FLAWS).format(part=rng.choice(PARTS), stain=rng.choice(STAINS))
    return rng.choice(
        (
            f"{rng.choice(COLOURS)} {thing} with {flaw}",
            f"{rng.choice(MAKES)} {thing} of the make {lex.made_up(rng).capitalize()}, {flaw}",
            f"{thing} {lex.code(rng)}, {rng.choice(COLOURS)}, with {flaw}",
        )
    )
