"""People in the text of an event: by titles, kin, given names, words for groups, and by where they stand in a list."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from functools import lru_cache

from helpers.tasks.calendar.pieces import tight
from helpers.tasks.calendar.places import PLATFORM, place_noun
from helpers.tasks.calendar.schema import LISTS
from helpers.tasks.fields import Place

SURE, LIKELY, MAYBE = 3, 2, 1


def _any(name: str) -> str:
    return "|".join(sorted(LISTS[name], key=len, reverse=True))


TITLES = f"{_any('titles')}|(?!HR\\b)(?:{_any('titles').upper()})"
_SMALL_TITLES = {title.lower() for title in LISTS["titles"]} | {"doctor", "aunty"}
TITLE = rf"(?:{TITLES})\b[.·]?"
NAME = r"[^\W\d_a-zß-öø-ÿ][\w'’-]*"
_PARTICLE = r"(?:(?:de|da|do|dos|del|della|di|van|von|der|den|la|el|al|bin|ibn|ter|zu|y)\s)*"
_FULL = rf"{NAME}(?:\s{_PARTICLE}(?:[A-Z]\.|{NAME})){{0,3}}"
ROLE_WORD = rf"(?!(?:{_any('things')})s?\b)[a-z-]+(?:er|or|ist|ant|ian|ar)|{_any('groups')}|{_any('kin')}|{_any('titles').lower()}"
_SMALL = (
    rf"(?:(?:the|my|our|his|her|their|little|big|old|young|new|baby|just|only|also|both|all|{ROLE_WORD})\s)"
)
_TITLED = re.compile(
    rf"{_SMALL}{{0,3}}(?:{TITLE}\s)+(?:(?:and|&)\s(?:{TITLE}\s)+)?{_PARTICLE}{_FULL}(?:\s(?:from|of)\s.+)?"
)
_KIN = re.compile(rf"{_SMALL}{{0,2}}(?i:(?:{_any('kin')})s?)(?:\s{_FULL})?")
_NAMED = re.compile(
    rf"(?:baby\s|little\s|big\s|young\s|Big\s|Little\s)?(?P<first>{NAME})(?:\s{_PARTICLE}(?:[A-Z]\.|{NAME})){{0,3}}"
)
_GROUP = re.compile(
    rf"(?:all\sthe\s)?(?:(?!(?:for|with|between|vs|versus|to|by|at|in|on|and|from|of|the|an?)\s)[\w'’&-]+\s){{0,4}}"
    rf"(?:{_any('groups')}|(?!(?:{_any('things')})s\b)\w*"
    rf"(?:men|women|people|[^\W\d_]ers|[cst]ors|ists|ants|ients|dents|ians|ees|mates|friends|staff))"
    rf"(?:\s(?:from|of)\s.+)?",
    re.IGNORECASE,
)
_ROLE = re.compile(rf"(?:[a-z]+\s){{0,2}}(?:{ROLE_WORD})\s{_FULL}")
_FEW = re.compile(r"(?:two|three|four|five|six)\s(?:[a-z]+\s){0,2}[a-z]+s", re.IGNORECASE)
_YEAR = re.compile(r"(?:Year|Class|Grade|Form|Group)\s\d+\w?")
_THESE = re.compile(r"[a-z-]+(?:ers|ors|ists|ants|ents|maids|mates|sses)\s(?=[^\W\d_a-z])")
FAMILY = re.compile(r"(?:the\s)?[^\W\d_a-z]\w+s(?:es)?\b")
PRONOUN = re.compile(
    r"(?:i|me|myself|you|he|she|(?-i:[Ii]t)|we|(?-i:[Uu]s)|they|them|(?:i|we|it|he|she|they)'\w+|my|our|her|him|this|that)\b",
    re.IGNORECASE,
)
_JOIN = re.compile(
    r"\s*,\s*(?:(?i:and)|&)\s+|\s*,\s*|\s+(?i:and)\s+|\s*[&+]\s*|\s*/\s*|\s+(?:plus|then|n)\s+"
)
_COUPLE = re.compile(rf"\b{TITLE}\s*$")  # "Mr. & Mrs. Lemaire" are one


@lru_cache(maxsize=1)
def given_names() -> frozenset[str]:
    """Given names that Faker knows in any locale with Latin letters, and short forms it lacks, lower case."""
    known = _of_faker("first_names", "first_names_male", "first_names_female")
    return (known | set(map(str.lower, LISTS["short_names"]))) - set(LISTS["no_names"])


@lru_cache(maxsize=1)
def surnames() -> frozenset[str]:
    """Surnames that Faker knows, lower case."""
    return _of_faker("last_names")


def _of_faker(*lists: str) -> frozenset[str]:
    from faker.providers import person

    found: set[str] = set()
    for module in pkgutil.iter_modules(person.__path__, f"{person.__name__}."):
        provider = importlib.import_module(module.name).Provider
        for name in lists:
            known = getattr(provider, name, ())
            found.update(known if isinstance(known, (tuple, list, dict)) else ())
    return frozenset(name.lower() for name in found)


def parts(rest: str, start: int, end: int) -> Iterator[Place]:
    """What "and", commas and the like divide."""
    at = start
    for join in [*_JOIN.finditer(rest, start, end), None]:
        stop = join.start() if join else end
        if join and "," not in join.group() and _COUPLE.search(rest, max(at, stop - 20), stop):
            continue
        place = tight(rest, at, stop)
        role = at == start and _THESE.match(rest, *place)
        place = (role.end(), place[1]) if role else place  # "bridesmaids Ann, Bo"
        if place[0] < place[1]:
            yield place
        at = join.end() if join else end


def certainty(piece: str) -> int:
    """How surely a piece names a person or a group: by a title, kin or a given name, by a word for groups or a
    surname, by capitals alone, or (0) not at all."""
    piece = piece.strip(" .?!")
    words = piece.split()
    if _YEAR.fullmatch(piece):
        return LIKELY
    if not words or len(words) > 6 or PRONOUN.match(piece) or re.search(r"\d", piece):
        return 0
    if _TITLED.fullmatch(piece) or _KIN.fullmatch(piece):
        return SURE
    if place_noun(words[-1]) or re.fullmatch(PLATFORM, piece, re.IGNORECASE):
        return 0
    small = [word.strip(".") for word in words] if len(words) > 1 and piece.islower() else []
    if small and small[0] in _SMALL_TITLES and all(map(_is_name, small[1:])):
        return SURE  # "doctor patel"
    named = _NAMED.fullmatch(piece)
    if named and named["first"].lower() in given_names():
        return SURE
    if _GROUP.fullmatch(piece) or _ROLE.fullmatch(piece) or _FEW.fullmatch(piece):
        return LIKELY
    if named and len(words) < 4:
        return LIKELY if len(words) > 1 and words[-1].lower() in surnames() else MAYBE
    return 0


def people(rest: str, start: int, end: int, least: int = LIKELY) -> list[Place]:
    """The people of a list, pronouns left out, or none where one is less sure than asked."""
    found = [place for place in parts(rest, start, end) if not PRONOUN.fullmatch(rest[slice(*place)])]
    return found if all(certainty(rest[slice(*place)]) >= least for place in found) else []


def _is_name(word: str) -> bool:
    return word in given_names() or word in surnames()


def usual_name(piece: str) -> bool:
    """A title, kin, or a known given name with a known surname."""
    words = piece.lower().split()
    known = words[0] in given_names() and words[-1] in surnames()
    return known or bool(_TITLED.fullmatch(piece) or _KIN.fullmatch(piece))
