"""Pools of names, places and words, read or drawn once so that sampling costs microseconds.

The model is to learn to copy, not to remember: names from Faker in several locales are mixed with made-up words that
no other text holds. What a copied span may look like (what people do, where, with whom) cannot be made up, so phrases
written for this project stand in `pools/`, one a line.
"""
from __future__ import annotations

import random
from functools import lru_cache
from pathlib import Path

from faker import Faker

POOLS = Path(__file__).with_name("pools")
LATIN_LOCALES = ("en_US", "en_GB", "en_IN", "de_DE", "fr_FR", "es_ES", "it_IT", "pl_PL", "pt_BR", "sv_SE", "tr_TR",
                 "nl_NL", "cs_CZ", "fi_FI", "ro_RO", "hr_HR", "vi_VN", "id_ID", "en_NG", "no_NO")
ONSETS = "b br c ch cl d dr f fl g gr h j k kr l m n p pl qu r s sh sk sl st t th tr v w y z".split() + [""]
VOWELS = "a e i o u ai ea ee ia io oo ou y é ö ü á".split()
CODAS = "b ck d f g l ll m n nd ng nt p r rd rk s ss st t th x z".split() + [""] * 6


class Lexicon:
    """Seeded pools; every method takes the caller's generator, so a stream depends on its seed alone.

    Parameters
    ----------
    seed : int
        Seeds the pools.
    size : int
        Draws per locale and kind.
    """

    def __init__(self, seed: int = 0, size: int = 120):
        self.first_names: list[str] = []
        self.last_names: list[str] = []
        self.cities: list[str] = []
        self.streets: list[str] = []
        self.companies: list[str] = []
        for number, locale in enumerate(LATIN_LOCALES):
            fake = Faker(locale)
            fake.seed_instance(seed * 1000 + number)
            # English first names are the most varied in English texts: a larger share of the pool is theirs
            draws = 12 * size if locale.startswith("en_") else size
            self.first_names += sorted({fake.first_name() for _ in range(draws)})
            self.last_names += sorted({fake.last_name() for _ in range(size)})
            self.cities += sorted({fake.city() for _ in range(size // 3)})
            self.streets += sorted({fake.street_name() for _ in range(size // 3)})
            self.companies += sorted({fake.company() for _ in range(size // 3)})
        fake = Faker("en_US")
        fake.seed_instance(seed)
        self.words = sorted({fake.word() for _ in range(8000)})
        self.jobs = sorted({fake.job() for _ in range(3000)})
        self.phrases = sorted({fake.bs() for _ in range(3000)})
        self.catch_phrases = sorted({fake.catch_phrase() for _ in range(3000)})
        self.pools = {file.stem: tuple(file.read_text(encoding="utf-8").splitlines()) for file in POOLS.glob("*.txt")}
        self.domains = ["example.com", "example.org", "mail.example", "corp.example", "shop.example"]

    def first_name(self, rng: random.Random) -> str:
        return self.made_up(rng).capitalize() if rng.random() < 0.1 else rng.choice(self.first_names)

    def last_name(self, rng: random.Random) -> str:
        return self.made_up(rng).capitalize() if rng.random() < 0.1 else rng.choice(self.last_names)

    def full_name(self, rng: random.Random) -> str:
        return f"{self.first_name(rng)} {self.last_name(rng)}"

    def city(self, rng: random.Random) -> str:
        return rng.choice(self.cities)

    def street(self, rng: random.Random) -> str:
        return rng.choice(self.streets)

    def address(self, rng: random.Random) -> str:
        """House number, street and sometimes a town."""
        line = f"{rng.randint(1, 2500)} {self.street(rng)}"
        return f"{line}, {self.city(rng)}" if rng.random() < 0.6 else line

    def company(self, rng: random.Random) -> str:
        return rng.choice(self.companies)

    def email(self, rng: random.Random, name: str | None = None) -> str:
        local = (name or self.full_name(rng)).lower().replace(" ", rng.choice([".", "_", ""]))
        return f"{local}@{rng.choice(self.domains)}"

    def job(self, rng: random.Random) -> str:
        return rng.choice(self.jobs)

    def word(self, rng: random.Random) -> str:
        return self.made_up(rng) if rng.random() < 0.08 else rng.choice(self.words)

    def phrase(self, rng: random.Random, low: int = 1, high: int = 4) -> str:
        """`low` to `high` words in a row."""
        return " ".join(self.word(rng) for _ in range(rng.randint(low, high)))

    def made_up(self, rng: random.Random) -> str:
        """A pronounceable string that is in no list."""
        return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(rng.randint(1, 3)))

    def pooled(self, rng: random.Random, pool: str) -> str:
        """A line of `pools/<pool>.txt`."""
        return rng.choice(self.pools[pool])

    def code(self, rng: random.Random) -> str:
        """A reference such as `TK-40917` or `B7X2`."""
        letters = "".join(rng.choices("ABCDEFGHKLMNPQRSTVXZ", k=rng.randint(1, 3)))
        digits = "".join(rng.choices("0123456789", k=rng.randint(2, 6)))
        return letters + rng.choice(["-", "", "/", " "]) + digits


@lru_cache(maxsize=4)
def lexicon(seed: int = 0) -> Lexicon:
    """The shared pools for a seed, built once a process."""
    return Lexicon(seed)
