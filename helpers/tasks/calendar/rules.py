"""Rule baseline: dates, times and durations by pattern, the words left over by the cues around them."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from helpers.tasks.calendar.kinds import LISTS
from helpers.tasks.dates import (
    Mention,
    duration_minutes,
    find_dates,
    find_durations,
    find_foreign_date,
    find_times,
    spell_minutes,
)
from helpers.tasks.text import ABBREVIATIONS, normalise

CUT = "¦"  # stands for a date, time or duration that has been read
PLATFORMS, VIRTUAL, GROUPS = (tuple(LISTS[name]) for name in ("platforms", "virtual", "groups"))
_LEAD_IN = re.compile(
    r"(?:[\s,;:–(-]|\b(?:scheduled|re-?scheduled|planned|set|arranged|booked|confirmed|slated|for|on|at|around|about"
    r"|starts?|starting|from|to|by|time|lasting|lasts?|which|and|will|should|be|take|expected|roughly"
    r"|approx(?:imately)?|nearly"
    rf"|just|only|the|a|an|quick|let's|reserve|block|off|out|keep|cap|make|it|plan\s+for)\b)*(?=\s*{CUT})",
    re.IGNORECASE,
)
_NAME = r"(?:(?:Dr|Mr|Mrs|Ms|Prof)\.?\s)?[^\W\d_a-z][\w'’-]*(?:\s[^\W\d_a-z]\.)?"
_GROUP = "|".join(sorted(GROUPS, key=len, reverse=True))
_PLATFORM = "|".join(PLATFORMS)
_PERSON = rf"(?:(?:the\s)?(?i:{_GROUP})\b|{_NAME}(?:\s(?!(?i:{_PLATFORM})\b){_NAME})?)"
_JOIN = r"(?:\s*,\s*(?:and|&)\s+|\s*,\s*|\s+and\s+|\s*&\s*|\s*\+\s*)"
_PEOPLE = re.compile(
    rf"(?:\b(?:[Ww]ith|[Ww]/|[Aa]ttendees:|[Ii]nvite)|w/)\s*(?P<people>{_PERSON}(?:{_JOIN}{_PERSON})*)"
)
_LISTED = re.compile(
    rf"(?<![\w/])(?P<people>{_NAME}(?:{_JOIN}{_NAME})+)"
    rf"(?=\s*(?:{CUT}|$|\.|\(|via\b|on\b|at\b|online\b|attending\b))"
)
_PLACE = re.compile(
    rf"(?<![\w-])(?:(?:hosted|held|live)\s+)?(?:(?:at|via|using|@)|(?:in|on)(?=\s+(?:the\b|[^a-z]|(?i:{_PLATFORM})))"
    rf"|over(?=\s+(?i:{_PLATFORM})))\s+(?P<place>[^{CUT}]+?)"
    rf"(?=\s*(?:{CUT}|$|,\s*{CUT}|[.](?:\s|$)|\bwith\b|\bw/|\("
    r"|,?\s+(?:for|and|from|which|where|to|should|starting|lasting)\b))"
)
_PLACE_NOUN = re.compile(
    r"\b(?:room|rm|hall|office|caf[eé]|coffee|cent(?:er|re)|park|street|st|avenue|ave|road|lane|lab|library|clinic"
    r"|hotel|school|church|theat(?:er|re)|studio|floor|building|gym|pool|bar|pub|restaurant|house|garden|court|field"
    r"|pitch|gate|dock|station|museum|gallery|lobby|basement|kitchen|garage|hq|lounge|boardroom|auditorium|hospital"
    r"|ward|bistro|diner"
    r"|campus|tower|wing|stadium|market|plaza|square|beach|farm|barn|workshop|canteen|cafeteria|terrace|rooftop)s?\b",
    re.IGNORECASE,
)
_BREAK = re.compile(
    r"\s*(?:[,;:|]\s|\s[-–—/]\s|(?<!\bDr)(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bSt)(?<!Prof)\.\s(?=[A-Z]))\s*"
)
_HONORIFIC = re.compile(
    r"^(?:Mr|Mrs|Ms|Miss|Dr|Prof|Professor|Sister|Brother|Father|Rev|Uncle|Aunt|Auntie|Coach)\b"
)
_REPEATED = re.compile(
    r"\b(daily|weekly|bi-?weekly|fortnightly|monthly|every\s+(?:other\s+)?\w+)\b", re.IGNORECASE
)
_DROPPED = re.compile(
    r"^(?:(?:put\s+(?:in|down)|pencil\s+in|book\s+me\s+in\s+for|add\s+(?:a\s+)?time\s+(?:for|to)|book\s+time\s+to)"
    r"(?:\s+(?:time\s+for|an?|the))*\s+)(?=\w)",
    re.IGNORECASE,
)


@lru_cache(maxsize=1)
def first_names() -> frozenset[str]:
    """Given names that Faker knows in several locales, and short forms it lacks, lower case."""
    from faker.providers.person import de_DE, en_GB, en_IN, en_US, es_ES, fr_FR, it_IT

    known = {
        name
        for part in (en_US, en_GB, en_IN, de_DE, es_ES, fr_FR, it_IT)
        for name in part.Provider.first_names
    }
    return frozenset(name.lower() for name in known | set(LISTS["short_names"]))


def _without(text: str, mentions: list[Mention]) -> str:
    """The text with the mentions, and the words that lead up to them, cut out."""
    for mention in sorted(mentions, key=lambda item: -item.start):
        text = f"{text[: mention.start]} {CUT} {text[mention.end :]}"
    previous = None
    while previous != text:
        previous = text
        text = _LEAD_IN.sub(" ", text)
        text = " ".join(re.sub(rf"{CUT}[\s{CUT}]*{CUT}", CUT, text).split())
    return text


def _split_people(people: str) -> list[str]:
    names = [re.sub(r"^the\s+", "", name.strip()) for name in re.split(_JOIN, people)]
    return [name for name in names if name]


def _trim_platform(people: str) -> str:
    """ "Pam Teams" → "Pam": a platform written right after a name is the place."""
    return re.sub(rf"\s+(?:{_PLATFORM})$", "", people, flags=re.IGNORECASE)


def _duration(span: str, notelike: bool) -> str:
    """Numbers in words become digits; "30mins" gets its space; in note-like rows labels spell "1hr" out."""
    minutes = duration_minutes(span)
    if minutes is None:
        return span
    if not span[0].isdigit() or "-" in span or (notelike and not re.search(r"\d\s", span)):
        return spell_minutes(minutes)
    return re.sub(r"^(\d+)(mins)$", r"\1 \2", span)


def _take(pattern: re.Pattern, text: str, group: str) -> tuple[str | None, str]:
    """The group of the last match, and the text with the whole match cut out."""
    matches = list(pattern.finditer(text))
    if not matches:
        return None, text
    match = matches[-1]
    return match[group], " ".join(f"{text[: match.start()]} {CUT} {text[match.end(group) :]}".split())


def _place_of(segment: str) -> str | None:
    """The segment as a place: a platform, a virtual place, a few words with "room" or the like, a capitalised name."""
    plain = segment.strip(" .,;|–-()")
    if re.fullmatch(rf"(?:{_PLATFORM}|{'|'.join(VIRTUAL)})", plain, re.IGNORECASE):
        return plain
    if _PLACE_NOUN.search(plain) and len(plain.split()) <= 5:
        return plain
    return plain if re.fullmatch(r"[A-Z0-9][\w'&.-]*(?:\s[A-Z0-9&][\w'&.-]*)*", plain) else None


def _is_people(chunk: str) -> bool:
    """Whether every part of an "A, B and C" list looks like a name: capitalised, with a known given name or title."""
    parts = _split_people(chunk)
    return bool(parts) and all(
        re.fullmatch(rf"{_NAME}(?:\s{_NAME}){{0,2}}", part)
        and (part.split()[0].lower() in first_names() or _HONORIFIC.match(part))
        for part in parts
    )


def _sort_chunks(action: str, found: dict[str, Any]) -> str:
    """Sort what commas, dashes and stops divide into people and place by its looks; the first other is the action."""
    left = []
    for chunk in filter(None, _BREAK.split(action)):
        if _is_people(chunk):
            found["attendees"] = (found["attendees"] or []) + _split_people(chunk)
        elif not found["location"] and (
            (left and _PLACE_NOUN.search(chunk)) or re.fullmatch(_PLATFORM, chunk, re.IGNORECASE)
        ):
            found["location"] = chunk
        else:
            left.append(chunk)
    return left[0] if left else ""


def extract(text: str) -> dict[str, Any]:
    """Read the eight fields of an event text by rules.

    Parameters
    ----------
    text : str
        Event text.

    Returns
    -------
    dict
        The eight fields, `None` where nothing was found.
    """
    text = normalise(text)
    found: dict[str, Any] = dict.fromkeys(
        ("action", "date", "time", "attendees", "location", "duration", "recurrence", "notes")
    )
    dates, times, durations = (
        list(find_dates(text))[:1],
        list(find_times(text))[:1],
        list(find_durations(text))[:1],
    )
    if not dates and (foreign := find_foreign_date(text)):
        dates = [foreign]
    found["date"] = dates[0].value if dates else None
    found["time"] = times[0].value if times else None
    style = (dates[0].style if dates else "", times[0].style if times else "")
    notelike = style[0] == "Month D, YYYY" and "w/" in text
    found["duration"] = _duration(durations[0].text, notelike) if durations else None
    rest = _without(text, dates + times + durations)

    people, rest = _take(_PEOPLE, rest, "people")
    if people is None:
        people, rest = _take(_LISTED, rest, "people")
    if people:
        kept = _trim_platform(people)
        rest = f"{rest} {CUT} {people[len(kept) :]}" if kept != people else rest
        found["attendees"] = _split_people(kept)

    segments = [segment.strip(" ,;.–-()") for segment in rest.split(CUT)]
    segments = [segment for segment in segments if segment]
    action = _DROPPED.sub("", segments[0]) if segments else ""
    tail = f" {CUT} ".join(segments[1:])
    if people:  # "dinner with clients ... with Henry": the first company is no part of the action
        action = re.split(r"\s+with\s+", action)[0]
    keeps_platform = style[0] == "Month D, YYYY" and durations and not people
    place, action_left = _take(_PLACE, action, "place")
    bare = re.search(rf"\s+({_PLATFORM})$", action, re.IGNORECASE)
    if bare and not keeps_platform:
        found["location"], action = bare[1], re.sub(r"\s+(?:on|via|over|using)$", "", action[: bare.start()])
    elif place and not (keeps_platform and place.lower() in PLATFORMS):
        found["location"], action = place, action_left.split(CUT)[0].strip(" ,")
    if not found["location"]:
        found["location"] = _take(_PLACE, tail, "place")[0] or next(
            filter(None, map(_place_of, _BREAK.split(tail.replace(CUT, ",")))), None
        )
    if found["location"]:
        found["location"] = re.sub(r"^(?:the|that|a|an)\s+", "", found["location"].strip(" ,.;"))
        if found["location"].split()[-1].lower() in ABBREVIATIONS and f"{found['location']}." in text:
            found["location"] += "."
    if _BREAK.search(action) or (not people and len(segments) > 1):
        action = _sort_chunks(" ; ".join([action, *segments[1:]]), found) or action
    words = action.split()
    if (
        not found["attendees"]
        and len(words) > 1
        and words[-1][0].isupper()
        and words[-1].lower() in first_names()
    ):
        found["attendees"], action = [words[-1]], " ".join(words[:-1])
    action = re.sub(r"\bsess\.?(?=\s|$)", "session", action)
    if style in (("D Month YYYY", "12 h"), ("Month D, YYYY", "12 h")):
        action = re.sub(r"\bmtg\b", "meeting", action)
    action = action.strip(" ,;:–-(")
    found["action"] = action if re.search(r"\w", action) else None
    repeated = _REPEATED.search(action)
    if repeated:
        found["recurrence"] = repeated[1] if style == ("D Month YYYY", "12 h") else repeated[1].lower()
    return found
