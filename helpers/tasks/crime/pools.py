"""What made crime reports are filled with: names from Faker in many countries, phrases from a short list."""

from __future__ import annotations

import random
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

from faker import Faker

DRAWS = 20  # a locale and kind of name: enough for some hundred reports, read in a moment
LOCALES = (
    "en_US en_GB en_IN en_NG de_DE fr_FR es_ES it_IT pl_PL pt_BR sv_SE tr_TR nl_NL cs_CZ fi_FI ro_RO "
    "hr_HR vi_VN id_ID no_NO"
).split()
NAMES = ("first_name", "last_name", "city", "street_name", "company", "domain_word")


def _phrases() -> dict[str, tuple[str, ...]]:
    """The lists of `phrases.txt` by name; an indented line goes on with the name before it."""
    found: dict[str, str] = {}
    name = ""
    for line in Path(__file__).with_name("phrases.txt").read_text(encoding="utf-8").splitlines():
        if line[:1] not in ("#", " "):
            name, _, line = line.partition(":")
        if name:
            found[name] = f"{found.get(name, '')} {line.strip()}"
    return {name: tuple(part.strip() for part in text.split(";")) for name, text in found.items()}


PHRASES = _phrases()


class Pools:
    """Names by kind; methods take the caller's generator, so that what is made depends on its seed alone."""

    def __init__(self, seed: int = 1):
        self.names: dict[str, list[str]] = defaultdict(list)
        for number, locale in enumerate(LOCALES):
            fake = Faker(locale)
            fake.seed_instance(seed * 1000 + number)
            for kind in NAMES:
                # the reports are in English: most first names should be, too
                draws = 12 * DRAWS if kind == "first_name" and locale.startswith("en_") else DRAWS
                self.names[kind] += sorted({getattr(fake, kind)() for _ in range(draws)})

    def draw(self, kind: str, rng: random.Random) -> str:
        """A name of a kind of :data:`NAMES`."""
        return rng.choice(self.names[kind])

    def person(self, rng: random.Random) -> str:
        return f"{self.draw('first_name', rng)} {self.draw('last_name', rng)}"

    def company(self, rng: random.Random) -> str:
        """A registered firm, or a shop named after somebody or some town."""
        if rng.random() < 0.4:
            return self.draw("company", rng)
        return f"{self.draw(rng.choice(('last_name', 'city')), rng)} {rng.choice(PHRASES['trades'])}"

    def place(self, rng: random.Random) -> str:
        """An address, at times with a spot or a business before it or without a number."""
        street, city = self.draw("street_name", rng), self.draw("city", rng)
        address = f"{rng.randint(1, 990)} {street}, {city}"
        return rng.choice(
            (address,) * 6
            + (
                f"{rng.choice(PHRASES['sites'])}, {address}",
                f"{self.company(rng)}, {address}",
                f"{street}, {city}",
                f"corner of {street} and {self.draw('street_name', rng)}, {city}",
            )
        )


@lru_cache(maxsize=1)
def pools() -> Pools:
    """The names, drawn once a process."""
    return Pools()
