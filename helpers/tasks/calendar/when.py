"""When an event takes place, how long, and how often: what is read first and blotted out of its text."""

from __future__ import annotations

import re

from helpers.tasks.bare_hours import BARE, GUESSED, find_bare_times
from helpers.tasks.calendar.people import TITLES
from helpers.tasks.calendar.pieces import CUT, blot, tight
from helpers.tasks.calendar.schema import LISTS
from helpers.tasks.dates import (
    MONTH,
    WEEKDAY,
    find_dates,
    find_durations,
    find_times,
)
from helpers.tasks.fields import Place

_DAYS = rf"(?:{WEEKDAY}|week|weekday|weekend|day|month|quarter|year|morning|afternoon|evening|night)s?"
_OFTEN = re.compile(
    rf"\b(?:(?:every|each)\s+(?:(?:other|second|third|two|three|first|last|\d+(?:st|nd|rd|th)?)\s+)?{_DAYS}\b"
    rf"(?:(?:\s*,\s*|\s+and\s+|\s*&\s*|\s*/\s*){WEEKDAY}s?\b)*(?:\s+of\s+(?:the|each|every)\s+month)?"
    rf"|(?:first|second|third|fourth|last|\d+(?:st|nd|rd|th))\s+(?:{WEEKDAY}\s+)?(?:of|in)\s+(?:the|each"
    r"|every)\s+month"
    rf"|{WEEKDAY}s(?:(?:\s*,\s*|\s+and\s+|\s*,?\s*&\s*){WEEKDAY}s)*\b(?<=days)|weekdays|weekends"
    r"|(?:once|twice|(?:three|four|\d) times)\s+(?:an?|per|each|every)\s+(?:day|week|month|year)"
    r"|every\s+\w+\s+(?:days|weeks|months)|(?:jede[nrs]?|chaque|cada|ogni|elke)\s+\w+"
    r"|daily|weekly|bi-?weekly|fortnightly|monthly|quarterly|annual(?:ly)?|yearly)\b",
    re.IGNORECASE,
)
_OFTEN_INSIDE = re.compile(
    r"(?:\w+ly|annual)\s(?!(?:from|at|on|in|for|with|starting|beginning|until|till|via)\b)\w", re.IGNORECASE
)
_RELATIVE = re.compile(
    rf"(?:\b(?:on|this|next|coming|from|by)\s+(?:next\s+)?)?\b(?:(?:today|tomorrow|tmrw|tmr|tonight)\b"
    rf"|(?:the\s)?\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?(?:{MONTH})\b\.?|(?:{MONTH})\.?\s\d{{1,2}}(?:st|nd|rd|th)?\b"
    rf"|{WEEKDAY}\b\.?(?=\s*(?:[,;{CUT}@–—-]|at\b|$)|\s(?:morning|afternoon|evening|night)\b)"
    rf"|(?<=on\s){WEEKDAY}\b|(?<=next\s){WEEKDAY}\b|(?<=this\s){WEEKDAY}\b)"
    r"(?:\s+(?:morning|afternoon|evening|night)\b)?",
    re.IGNORECASE,
)
_AROUND_TIME = re.compile(
    rf"(?<={CUT})(?:T(?={CUT})|Z\b|[+-]\d\d:?\d\d\b)|(?<={CUT})\s?(?:[A-Z]{{2,3}}T|UTC|GMT|MSK|ET|PT|(?:[A-Z]\w+|local)\stime|sharp|hrs|Uhr)\b"
    rf"|(?<={CUT})[\s,(]*(?:[A-Z]{{3,4}}\s)?20\d\d\b"
)
_EMOJI = re.compile(
    r"[\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff][\ufe0f\u200d\u2600-\u27bf\U0001f000-\U0001faff]*"
)
_CUT_SLASH = re.compile(rf"{CUT}\s//?\s|\s//?\s{CUT}")  # slashes divide the fields
# a sheet's labels; those of people are left to `company`
_LABEL = re.compile(
    r"(?:^|(?<=[;,.|¦]\s)|(?<=[\s;,.|(¦])(?=(?-i:[A-Z])))(?:(?P<where>where|location|venue|place)|what|event|subject|title|when|date|day|time|start|end"
    r"|duration|length|repeats|how\soften|(?P<who>who|attendees|guests)|(?P<note>notes?|remarks?)):(?=\s)",
    re.IGNORECASE,
)
_SHEET_STOP = re.compile(rf"[{CUT};|]|\.?$")
_SLASHED = re.compile(r"\s//?\s")
NOTE = re.compile(
    rf"^(?:{'|'.join(LISTS['note_words'])})\b"
    r"|.*\s(?:must|has to|have to|needs? to)\s"
    r"|.*\S\s(?:please|pls|attached|required|issued|included|provided|allowed"
    r"|essential|optional|compulsory|welcome|needed|enclosed|(?:will|to) follow|on (?:us|me|arrival))\W*$",
    re.IGNORECASE,
)


def remarked(rest: str, start: int, least: int = 1) -> bool:
    """Whether a piece is part of a remark, of which so many words stand before it: "tickets at the door"."""
    begin = 1 + max(rest.rfind(mark, 0, start) for mark in f"{CUT},;|:.–—")
    clause = rest[begin:start].strip()
    return begin > 0 and bool(NOTE.match(clause)) and len(clause.split()) >= least


def read(text: str, found: dict[str, list[Place]]) -> str:
    """The text with dates, times, lengths and what repeats blotted out, which are noted in `found`."""
    rest = re.sub(rf"\b({TITLES}|St)\.(?=\s)", lambda m: m.group()[:-1] + "·", text)
    rest = _EMOJI.sub(lambda m: CUT * len(m.group()), rest)
    bare = [one for one in find_bare_times(text) if one.style in (BARE, GUESSED)]
    often = list(_OFTEN.finditer(rest))
    lengths = [one for one in find_durations(text) if not remarked(rest, one.start, 2)]
    lengths = [  # "a day" of "twice a day" is none
        one for one in lengths if all(one.end <= o.start() or one.start >= o.end() for o in often)
    ]
    spoken = {"date": find_dates(text), "time": find_times(text) or bare[:1], "duration": lengths}
    for name, mentions in spoken.items():
        found[name] = [one[:2] for one in mentions[:1]]
        for one in mentions:
            rest = blot(rest, *one[:2])
    for around in _AROUND_TIME.finditer(rest):
        rest = blot(rest, *around.span())
    often = list(_OFTEN.finditer(rest))
    found["recurrence"] = [one.span() for one in often[:1]]
    for one in often:
        inside = _OFTEN_INSIDE.match(rest, one.start())  # "weekly sync"
        rest = rest if inside else blot(rest, *one.span())
    for one in _RELATIVE.finditer(rest):
        rest = blot(rest, *one.span())
    for label in _LABEL.finditer(rest):
        start, end = label.span()
        if label["where"]:  # read as "@ Room 301"
            rest = blot(rest, start, end)[: end - 1] + "@" + rest[end:]
        elif label["note"]:
            stop = _SHEET_STOP.search(rest, end).start()
            found["notes"] = [tight(rest, end, stop)]
            rest = blot(rest, start, stop)
        elif not label["who"]:
            rest = blot(rest, start, end)
        elif start:
            rest = blot(rest, start - 1, start)
    return _SLASHED.sub(lambda m: m.group().replace("/", "|"), rest) if _CUT_SLASH.search(rest) else rest
