"""People whom words introduce: "with", "attending:", what one does with them, and lists of them within a line."""

from __future__ import annotations

import re

from helpers.tasks.calendar.asking import asked, coming, framed
from helpers.tasks.calendar.people import (
    LIKELY,
    MAYBE,
    NAME,
    PRONOUN,
    ROLE_WORD,
    SURE,
    TITLE,
    certainty,
    given_names,
    parts,
    people,
)
from helpers.tasks.calendar.pieces import CUT, STOP, blot
from helpers.tasks.calendar.places import PLATFORM, looks_like_place, place_noun
from helpers.tasks.fields import Place

_WORD_STOP = re.compile(
    r"\s+(?:at|in|on|via|for|from(?=\s*$|\s+(?:the\s)?(?:(?-i:[A-Z])|\d))|about|to|over|re|abt|regarding"
    r"|by|using|before|after|who|which|where|if|is|are|will|should"
    r"|lasting|starting|starts?|planned|scheduled|w/|with|every|each|into|down|ok|so|online|joins?|around|bring|attending|coming|will)(?!\w)",
    re.IGNORECASE,
)
_UNIT = re.compile(rf"\sfrom\s(?P<unit>{NAME}(?:\s{NAME}){{0,2}})(?!\w)")
_COMPANY = re.compile(
    r"(?:(?<![\w/])(?:with|w/|w(?=\s)|invite(?=\s)|(?:led|hosted|run)\sby|featuring|feat\.|panel\sis"
    r"|speakers?(?=\s(?-i:[A-Z]))|candidate(?=\s(?-i:[A-Z]))"
    r"|(?:attend(?:ees|ing)|guests?|present|panel|speakers?|participants|invited|who|committee|cast|crew|team):)|w/)\s*",
    re.IGNORECASE,
)
_OF_NAME = re.compile(
    rf"\b(?:(?P<led>for|by)|(?P<titled>of|to|from)"
    r"|(?i:(?:meet|call|email|visit|see|phone|ring|text|shadow|interview|babysit)(?:t?ing)?|drop off|pick up))\s+"
    rf"(?P<who>(?:(?!(?:from|to|with|of|by|for)\s)[a-z]+\s)?{TITLE}\s{NAME}(?:\s{NAME})?|{NAME}(?:\s{NAME})?)(?!\w)"
)
_VERB = re.compile(
    r"(?i:(?:meet|call|email|visit|see|phone|ring|text|shadow|interview|babysit|collect|fetch)(?:t?ing)?"
    r"|drop\soff|pick\sup)\s"
    rf"(?P<who>.+?)(?=\s(?:at|in|on|from|for|outside|about)\s|\s?[{CUT},;.]|$)"
)
_ONE = re.compile(rf"(?:the|my|our|an?)\s(?:[a-z]+\s)?(?:{ROLE_WORD})")  # "see the orthodontist"
_ABOUT = re.compile(
    rf"(?:(?<![\w,] )\b(?P<what>mtg|meeting|call|chat|talk)|\b(?:{PLATFORM}))\s{CUT}[{CUT}\s]*(?P<re>re|abt|about|regarding)\b:?\s",
    re.IGNORECASE,
)
_LISTED = re.compile(
    rf"(?<=[\w'{CUT}–—-] )(?P<people>(?:{TITLE}\s)?{NAME}(?:(?:\s*,\s*(?:and|&)\s+|\s*,\s*|\s+and\s+"
    rf"|\s*[&+/]\s*)(?:{TITLE}\s)?{NAME})+)"
    rf"(?=\s*(?:[{CUT},;.|)]|$|[-–—]\s|via\b|on\b|at\b|online\b|for\b|attending\b))"
)


def _people_after(rest: str, start: int) -> tuple[list[Place], int]:
    """People from a place on: all that comes before a stop, and after a comma what looks like people."""
    found: list[Place] = []
    while start < len(rest):
        stop = STOP.search(rest, start).start()
        word = _WORD_STOP.search(rest, start, stop)
        if word and (unit := _UNIT.match(rest, word.start(), stop)) and not looks_like_place(unit["unit"]):
            word = _WORD_STOP.search(rest, unit.end(), stop)  # "Greg from Initech"
        end = word.start() if word else stop
        divided = list(parts(rest, start, end))
        more = [_of_a_list(rest[a:b]) or rest[a - 4 : a].lower() in ("the ", "our ") for a, b in divided]
        known = found and divided and all(more) and _of_a_list(rest[slice(*divided[0])])
        if found and divided and not known and not _closes(rest, [found[0], *divided]):
            break
        for a, b in divided:
            platform = re.search(rf"\s+(?:{PLATFORM})$", rest[a:b], re.IGNORECASE)
            b = a + platform.start() if platform else b
            words = rest[a:b].split(" ")
            if len(words) > 1 and words[0].lower() in given_names() and place_noun(words[-1]):
                b = a + len(words[0])  # "Sara Workshop Room"
            if not PRONOUN.fullmatch(rest[a:b]):
                found.append((a, b))
        if word or not divided or rest[stop : stop + 1] != ",":
            break
        start = stop + 1
    return [place for place in found if place[0] < place[1]], found[-1][1] if found else start


def _closes(rest: str, listed: list[Place]) -> bool:
    """Whether "jo and priya" ends a list of names in small letters, some of which are known."""
    words, last = [rest[slice(*place)] for place in listed], rest[listed[-2][1] : listed[-1][0]]
    joined = last.strip() in ("and", "&") and all(word.isalpha() and word.islower() for word in words)
    return joined and any(word in given_names() for word in words)


def _of_a_list(piece: str) -> bool:
    """Whether what follows a person after a comma is one more: sure, or a single name."""
    sure = certainty(piece)
    return not looks_like_place(piece) and (sure >= LIKELY or (sure == MAYBE and " " not in piece))


def introduced(rest: str, found: dict[str, list[Place]]) -> str:
    """The text without the people whom its words introduce, who are noted in `found`."""
    for who, span in [*asked(rest), *coming(rest)]:
        if CUT not in rest[slice(*span)]:
            found["attendees"] = sorted([*found["attendees"], *who])
            rest = blot(rest, *span)
    companies, whole = [], rest
    for company in [*_COMPANY.finditer(rest)]:
        people_, end = _people_after(rest, company.end())
        if people_:  # of "dinner with clients … with Henry" the last
            companies = [
                (a, b) for a, b in companies if certainty(whole[a:b]) >= LIKELY and not whole[a:b].islower()
            ] + people_
            rest = blot(rest, company.start(), end)
    found["attendees"] = sorted([*found["attendees"], *companies])
    for one in [] if found["attendees"] else list(_LISTED.finditer(rest)):
        who = list(parts(rest, *one.span()))
        sure = [certainty(rest[a:b]) for a, b in who]
        before = rest[
            rest[: one.start() - 1].rfind(" ") + 1 : one.start()
        ]  # of "Aunt Rosemary", "Studio Terra"
        led = place_noun(before) or certainty(before + rest[slice(*who[0])]) == SURE
        if not led and (sure[0] == SURE or (SURE in sure and "/" in one.group())):
            found["attendees"], rest = who, blot(rest, *one.span())
    verb = _VERB.match(rest, framed(rest, 0, len(rest)))
    who = people(rest, *verb.span("who")) if verb else []
    if verb and (who or _ONE.fullmatch(verb["who"])):
        who = who or list(parts(rest, *verb.span("who")))
        found["attendees"], rest = sorted([*found["attendees"], *who]), blot(rest, *verb.span("who"))
    if about := _ABOUT.search(rest):  # "mtg w/ Ann re: the budget" is about the budget
        rest = blot(rest, about.start() if about["what"] else about.start("re"), about.end())
    for one in _OF_NAME.finditer(rest):
        titled = re.search(rf"\b{TITLE}\s", one["who"])
        who = one["who"].split()
        known = titled or (who[0].lower() in given_names() and (len(who) > 1 or not one["titled"]))
        if known and not place_noun(rest[one.start("who") : one.end() + 12].split(",")[0]):
            found["attendees"] = sorted([one.span("who"), *found["attendees"]])
            rest = blot(rest, one.start() if one["led"] or one["titled"] else one.start("who"), one.end())
    return rest
