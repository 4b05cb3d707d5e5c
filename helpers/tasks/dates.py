"""Dates, times of day and durations as people write them: finding, reading and writing them.

A pattern finds candidates of each writing, what stands around them decides. Names of months are dateutil's, or dateparser's
for other languages; this layer holds what they misread: versions and prices like times, days without a year, "7 to 9pm".
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import yaml
from dateutil.parser import parserinfo

from helpers.tasks.text import normalise

_INFO = parserinfo()
MONTHS = [full for _, full in _INFO.MONTHS[:8]] + [names[-1] for names in _INFO.MONTHS[8:]]
WEEKDAYS = [full for _, full in _INFO.WEEKDAYS]
WORDS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))
ORDINALS, HOURS, _MINUTES = WORDS["ordinals"], WORDS["hours"], WORDS["minutes"]


def _any(name: str, ending: str = "") -> str:
    return rf"\b(?:{'|'.join(WORDS[name])})\b{ending}"


MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS) + "|sept"
WEEKDAY = "(?:" + "|".join(f"{name[:3]}(?:{name[3:]})?" for name in WEEKDAYS) + "|tues|weds|thurs?)"
_ON = rf"(?:(?P<weekday>{WEEKDAY})\.?,?\s+(?:the\s+)?)?"
_SPOKEN_YEAR = rf"(?:twenty|two thousand(?: and)?)[ -]twenty[ -](?:{'|'.join(HOURS[:9])})"  # 2021 to 2029
_YEAR = rf"(?P<year>\d{{4}}|'\d{{2}}|\d{{2}}|{_SPOKEN_YEAR})(?!\d|\s?[:h]\s?\d|\.\d|\s?[ap]\.?m\b|\s?(?:h|hrs?|hours?|m|mins?|minutes?)\b)"
_DAY = rf"(?P<day>\d{{1,2}}|{'|'.join(reversed(ORDINALS)).replace('-', '[ -]')})(?P<ordinal>st|nd|rd|th)?"
_LAST = r"(?:\s?(?:-|–|/|&|to|and|until|till|through)\s?\d{1,2}(?:st|nd|rd|th)?)?"  # of a range of days
_GAP = r"(?:\s*[-/,.]\s*|\s+|(?=\d))"
_CLOCK = r"\d{1,2}(?:[:.h]\d\d(?::\d\d)?(?:\s?[ap]\.?m\.?)?|\s?[ap]\.?m\.?)"
_JOINED = r"-(?:[01]?\d|2[0-3]):[0-5]\d"  # a time of 24 hours that a hyphen joins to its date
_YEAR_LATER = (
    rf"(?=(?:,?\s+(?:at\s+)?|(?={_JOINED})-){_CLOCK}(?:\s?[A-Z]{{2,5}}\b)?,?\s+\(?(?P<year>\d{{4}})\b)"
)
TO = r"(?:-|–|—|to|until|till|through)"
DATE_PATTERNS = {
    "YYYY-MM-DD": rf"{_ON}(?P<year>\d{{4}})\s?[-/.]\s?(?P<month>\d{{1,2}})\s?[-/.]\s?(?P<day>\d{{1,2}})",
    "YYYYMMDD": r"(?:(?<=\bon )|(?=\d{8}T))(?P<year>20\d\d)(?P<month>0[1-9]|1[0-2])(?P<day>0[1-9]|[12]\d|3[01])",
    "DD/MM/YYYY": rf"{_ON}(?P<day>\d{{1,2}})\s?[-/.]\s?(?P<month>\d{{1,2}})\s?[-/.]\s?{_YEAR}",
    "D Month YYYY": rf"{_ON}{_DAY}{_LAST}(?:\s+of\b)?(?:\s*[-/,.]\s*|\s+|(?=[a-z]))(?P<month>{MONTH})\b\.?{_GAP}{_YEAR}",
    "Month D, YYYY": rf"{_ON}(?P<month>{MONTH})\.?{_GAP}(?:the\s+)?{_DAY}{_LAST}(?:\s*[-/,.]\s*|\s+){_YEAR}",
    "YYYY Month D": rf"(?P<year>\d{{4}}),?\s+(?P<month>{MONTH})\.?\s+{_DAY}",
    "D Month – D Month YYYY": rf"{_ON}{_DAY}\s+(?P<month>{MONTH})\.?\s?{TO}\s?\d{{1,2}}(?:st|nd|rd|th)?\s+(?:{MONTH})\.?,?\s+{_YEAR}",
    "Month D – Month D, YYYY": rf"{_ON}(?P<month>{MONTH})\.?\s+{_DAY}\s?{TO}\s?(?:{MONTH})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+{_YEAR}",
    "D Month … YYYY": rf"{_ON}{_DAY}(?:\s+of)?\s+(?P<month>{MONTH})\b\.?{_YEAR_LATER}",
    "Month D … YYYY": rf"{_ON}(?P<month>{MONTH})\.?\s+{_DAY}{_YEAR_LATER}",
}
_COUNTED = re.compile(rf"\s(?:{_any('counted')}|(?P<other>(?-i:[a-z]+[b-rt-z])s)\b)", re.IGNORECASE)
_FOREIGN = re.compile(r"\b\d{1,2}\W{1,2}(?:de\s)?[^\W\d]{3,10}\.?(?:\sde)?\s\d{4}\b")
_PART = r"in\sthe\s(?:early\s)?(?:morning|afternoon|evening)|at\snight|(?:noon|midday|midnight)"
_HALF = rf"(?:\s?(?P<half>[ap])\.?\s?m\b\.?|(?<=\d)(?P<letter>[ap])\b|\s(?P<part>{_PART})\b)"
_MONTH_NAMES = [name for full in MONTHS for name in dict.fromkeys((full, full[:3]))]
_NO_DAY = "".join(rf"(?<!\b{name} )" for name in _MONTH_NAMES)  # the 5 of "May 5-16:30" is none of the hours
_DAY_BEFORE = "|".join(rf"(?<=[0-9] {name}-)" for name in _MONTH_NAMES)  # "5 May-16:30"
_BEGINS = rf"(?<![\w:/,.-])|(?<=\d[T-])|(?<=\d\d\d\d,)|(?<=\d(?:st|nd|rd|th)-)|(?<=-)(?:{_DAY_BEFORE})"
TIME_PATTERNS = {
    "12 h": rf"(?P<hour>1[0-2]|0?\d)(?:\s?[:.h]\s?(?P<minute>[0-5]\d)(?::[0-5]\d)?|(?P<minute_0>[0-5]\d))?(?:ish)?{_HALF}",
    "range": rf"(?P<hour>1[0-2]|0?\d)(?:[:.](?P<minute>[0-5]\d))?\s?(?P<half>[ap]\.?m\.?)?\s?{TO}\s?"
    r"(?P<end_hour>1[0-2]|0?\d)(?:[:.](?P<end_minute>[0-5]\d))?\s?(?P<end_half>[ap])\.?m\b\.?",
    "open range": rf"(?<!\d[-/.]){_NO_DAY}(?P<hour>[01]?\d|2[0-3])(?:[-–]|\s(?:to|till|until)\s)(?:[01]?\d|2[0-3]):[0-5]\d",
    "24 h with am/pm": r"(?P<hour>1[3-9]|2[0-3]|00):(?P<minute>[0-5]\d)\s?(?P<half>[ap])\.?\s?m\b\.?",
    "24 h": r"(?P<hour>[01]?\d|2[0-3])(?::(?P<minute>[0-5]\d)(?::[0-5]\d)?|h(?P<minute_h>[0-5]\d)?|\sUhr(?:\s(?P<minute_u>[0-5]\d))?\b)(?:\s?hrs?\b)?",
    "24 h compact": r"(?:(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)\s?(?:h|hrs|hours)\b"
    r"|(?P<hour_0>0\d)(?P<minute_0>[0-5]\d)\b"
    r"|(?:(?<=\bat )|(?<=@ )|(?<=@))(?P<hour_1>1\d|2[0-3])(?P<minute_1>[0-5][05])\b|(?<=\dT)(?P<hour_2>[01]\d|2[0-3])(?P<minute_2>[0-5]\d)(?:[0-5]\d)?)",
    "in words": r"(?:(?P<past>half|a\squarter|quarter|five|ten|twenty|twenty-five|5|10|20|25)\s(?:(?P<way>past|to)\s)?)?"
    rf"(?P<spoken>{'|'.join(HOURS)}|1[0-2]|[1-9])(?:\s(?P<more>thirty|fifteen|forty[ -]five))?(?:\so'?clock)?{_HALF}",
    "o'clock": rf"(?P<spoken>{'|'.join(HOURS)}|1[0-2]|[1-9])\so'?clock",
    "past": rf"(?!\d+\sto\s\d)(?P<past>half|a\squarter|quarter|five|ten|twenty|5|10|20)\s(?P<way>past|to)\s(?P<spoken>{'|'.join(HOURS)}|1[0-2]|[1-9])",
    "word": r"(?P<word>noon|midday|midnight)\b",
    "24 h with dot": r"(?P<hour>[01]?\d|2[0-3])\.(?P<minute>[0-5]\d)(?!\s?(?:[hmkgl]\b|hrs?|hours?|km|kg|mb|gb|[%€$£]|eur|usd|euros?|dollars?|pounds?)\b)",
}
_NUMBERED = re.compile(
    _any("numbered", r"\.?\s?#?$") + r"|[#€$£]\s?$|\b(?:usd|eur|gbp|chf)\s$", re.IGNORECASE
)
_EXPLICIT = re.compile(r":|[ap]\.?\s?m\b|clock|noon|midday|midnight|h\d", re.IGNORECASE)
_PRICED = re.compile(_any("priced", r"\s$"), re.IGNORECASE)
_NAMED = re.compile(rf"\b(?!(?i:{WEEKDAY}|{MONTH}|at|from|starts?|time|begins|ab|um)\b)[A-Z][\w+#.-]*\s$")
_EVENING, _MORNING = (re.compile(_any(name), re.IGNORECASE) for name in ("evening", "morning"))
_NUMBERS = WORDS["numbers"] | dict(zip(HOURS, range(1, 13)))
_UNITS = {"h": 60, "m": 1, "d": 1440, "w": 10080}  # minutes, by the first letter of the unit
_LONG_UNIT = "hours?|hrs?|minutes?|mins?|days?|weeks?"
DURATION_PATTERNS = {
    "compound": r"(?P<hours>\d{1,2})\s?(?:h|hrs?|hours?)\.?,?\s?(?:and\s|&\s)?(?P<minutes>[0-5]?\d)\s?"
    r"(?:m|mins?|minutes?)?(?![\w:])\.?",
    "digits": rf"(?P<number>\d{{1,3}}(?:[.,]\d{{1,2}})?)(?P<and> and a half)?\s?-?\s?(?P<unit>{_LONG_UNIT}|h|m)(?![\w/])",
    "fraction": r"(?P<whole>\d)?\s?(?P<glyph>½|1⁄2|1/2)\s?(?P<unit>hours?|hrs?|h)(?!\w)",
    "words": rf"(?P<words>{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})[\s-](?P<unit>{_LONG_UNIT})(?!\w)"
    r"(?P<more>\s+and\s+a\s+(?:half|quarter))?",
}
EITHER = re.compile(r"24 h (?:[1-9]|1[0-2]):|(?:o'clock|past) ")  # style and text of a time of either half


def _compiled(patterns: dict[str, str], before: str, after: str = "") -> dict[str, re.Pattern]:
    return {name: re.compile(before + pattern + after, re.IGNORECASE) for name, pattern in patterns.items()}


_DATES = _compiled(DATE_PATTERNS, r"(?<![\w/.-])", rf"(?!\w(?<!T)|(?!{_JOINED})[-/]\d)")
_TIMES = _compiled(TIME_PATTERNS, f"(?:{_BEGINS})", r"(?!\d|:\d)")
_DURATIONS = _compiled(DURATION_PATTERNS, r"(?<![\w.:/])")


class Mention(NamedTuple):
    """A date, time or duration found in a text."""

    start: int
    end: int
    text: str
    value: str  # `DD/MM/YYYY`, `H:MM AM/PM`, or minutes as a decimal number
    style: str  # name of the way of writing


def date_text(day: datetime.date) -> str:
    """`DD/MM/YYYY`."""
    return f"{day.day:02d}/{day.month:02d}/{day.year:04d}"


def time_text(hour: int, minute: int) -> str:
    """`H:MM AM/PM` of an hour from 0 to 23."""
    return f"{(hour - 1) % 12 + 1}:{minute:02d} {'PM' if hour >= 12 else 'AM'}"


def _read_as(form: str, value: str) -> datetime.datetime | None:
    try:
        return datetime.datetime.strptime(value, form)
    except ValueError:
        return None


def day_of(value: str) -> datetime.date | None:
    """The day of a canonical date, None for anything else."""
    return (moment := _read_as("%d/%m/%Y", value)) and moment.date()


def clock_of(value: str) -> tuple[int, int] | None:
    """Hour (0–23) and minute of a canonical time, None for anything else."""
    return (moment := _read_as("%I:%M %p", value)) and (moment.hour, moment.minute)


def _date(match: re.Match, day_first: bool = True) -> str | None:
    month, day, year = match["month"].lower(), match["day"].lower(), match["year"].lower()
    other = _COUNTED.match(match.string, match.end())
    if len(year) == 2 and other and not (other["other"] and 23 <= int(year) <= 35):
        return None  # "5 May 20 guests"
    day = int(day) if day.isdigit() else ORDINALS.index(day.replace(" ", "-")) + 1
    if month.isdigit() and not day_first and match.start("day") < match.start("year"):
        day, month = int(month), str(day)
    month = int(month) if month.isdigit() else _INFO.month(month)
    if month > 12 >= day:  # 12/25/2023 can only be the other order
        day, month = month, day
    number = int(year.lstrip("'")) if year[-1].isdigit() else 20 + _NUMBERS[re.split(r"\W", year)[-1]]
    try:
        return date_text(datetime.date(number + 2000 * (number < 100), month, day))
    except ValueError:
        return None


def _groups(match: re.Match) -> dict[str, str]:
    return {name: value.lower() for name, value in match.groupdict().items() if value is not None}


def _time(match: re.Match) -> str | None:
    groups = _groups(match)
    if "word" in groups:
        return time_text(0 if groups["word"] == "midnight" else 12, 0)
    if "spoken" in groups:
        hour, minute = _spoken(groups)
    else:
        hour = int(next(value for name, value in groups.items() if name.startswith("hour")))
        minute = int(next((value for name, value in groups.items() if name.startswith("minute")), 0))
    if minute < 0:
        return None
    half = (groups.get("half") or groups.get("letter") or groups.get("end_half", ""))[:1]
    if part := groups.get("part"):
        early = part == "midnight" or "night" in part and hour in (12, 1, 2, 3, 4)
        half = "a" if "morning" in part or early else "p"
    if "end_half" in groups and "half" not in groups and hour % 12 > int(groups["end_hour"]) % 12:
        half = "a" if half == "p" else "p"  # "11-2pm" begins in the morning
    if half and hour <= 12:
        return time_text(hour % 12 + 12 * (half == "p"), minute)
    plain = match.group()[0] != "0" and not re.search(r"h|\.", match.group(), re.IGNORECASE)
    if "spoken" in groups or (hour < 12 and plain and (hour < 7 or _EVENING.search(match.string))):
        hour = guessed_hour(hour, match.string)[0]
    return time_text(hour, minute)


def _spoken(groups: dict[str, str]) -> tuple[int, int]:
    """Hour and minute of "half past three", "ten to four", "half six" (half past, as in Britain); -1 where it is none."""
    spoken = groups["spoken"]
    hour = int(spoken) if spoken.isdigit() else _NUMBERS[spoken]
    if "past" not in groups:
        return hour, _MINUTES[groups["more"]] if "more" in groups else 0
    past = groups["past"]
    minute = int(past) if past.isdigit() else _MINUTES[" ".join(past.split())]
    if "way" not in groups and minute != 30 or "more" in groups:
        return hour, -1
    return ((hour - 2) % 12 + 1, 60 - minute) if groups.get("way") == "to" else (hour, minute)


@lru_cache(maxsize=64)
def _day_parts(text: str) -> tuple[bool, bool]:
    """Whether a text speaks of the evening and of the morning; once for all its numbers."""
    return bool(_EVENING.search(text)), bool(_MORNING.search(text))


def guessed_hour(hour: int, text: str) -> tuple[int, bool]:
    """The hour from 0 to 23 of one that does not say which half of the day it means, and whether the text tells.

    Parts of the day and kinds of events tell; without them an hour from 7 to 11 is one of the morning.
    """
    evening, morning = _day_parts(text)
    late = evening if evening != morning else not 7 <= hour <= 11
    return hour % 12 + 12 * late, evening != morning


def _duration(match: re.Match) -> str:
    groups = _groups(match)
    if "hours" in groups:
        return f"{60 * int(groups['hours']) + int(groups['minutes'])}"
    if "number" in groups:
        amount = float(groups["number"].replace(",", ".")) + 0.5 * ("and" in groups)
    elif "glyph" in groups:
        amount = int(groups.get("whole", 0)) + 0.5
    else:
        more = groups.get("more", "")
        amount = _NUMBERS[groups["words"]] + (0.5 if "half" in more else 0.25 if more else 0)
    return f"{amount * _UNITS[groups['unit'][0]]:g}"


@lru_cache(maxsize=65536)
def read_date(text: str, day_first: bool = True) -> str | None:
    """`DD/MM/YYYY` of a date with a year; None for what is no such date."""
    text = normalise(text)
    return next((m.value for m in find_dates(text, day_first) if m.text == text), None)


@lru_cache(maxsize=65536)
def read_time(text: str) -> str | None:
    """`H:MM AM/PM` of a time of day ("14:30", "9am", "08:00 AM", "14h30", "noon"); None for anything else."""
    text = normalise(text)
    compact = re.fullmatch(r"(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)", text)
    return _time(compact) if compact else next((m.value for m in find_times(text) if m.text == text), None)


@lru_cache(maxsize=65536)
def duration_minutes(text: str) -> float | None:
    """Minutes that a duration lasts ("1.5 hours", "half an hour", "1h 30m"), or None where it cannot be read."""
    text = re.sub(r"^(?:for|about|around|approx\.?|approximately|roughly|~)\s+", "", normalise(text).lower())
    text = re.sub(r"^(?:an )?(hour)(?: or so)?(?: and (?:a )?(half))?$", r"an \1 and a \2", text)
    text = text.rstrip(".").removesuffix(" and a ")
    matches = (pattern.fullmatch(text) for pattern in _DURATIONS.values())
    return next((float(_duration(match)) for match in matches if match), None)


def _mentions(
    text: str, patterns: dict[str, re.Pattern], read: Callable, taken: tuple[Mention, ...] = ()
) -> list[Mention]:
    """What the patterns match and can read; of two that overlap the longer ("6-8pm" before "8pm")."""
    matches = [(match, style) for style, pattern in patterns.items() for match in pattern.finditer(text)]
    found: list[Mention] = []
    for match, style in sorted(matches, key=lambda item: item[0].start() - item[0].end()):
        value = read(match)
        if value and all(match.end() <= m.start or match.start() >= m.end for m in (*found, *taken)):
            found.append(Mention(match.start(), match.end(), match.group(), value, style))
    return sorted(found)


def _ranged(text: str, found: list[Mention]) -> tuple[Mention, ...]:
    """Two that a dash or "to" joins are one, whose value is that of the first."""
    joined: list[Mention] = []
    for one in found:
        if joined and re.fullmatch(rf"\s*{TO}\s*", text[joined[-1].end : one.start]):
            first = joined.pop()
            one = first._replace(end=one.end, text=text[first.start : one.end])
        joined.append(one)
    return tuple(joined)


@lru_cache(maxsize=8192)
def find_dates(text: str, day_first: bool = True) -> tuple[Mention, ...]:
    """Dates with a year in the text, left to right; where there is none, one whose month is not English."""
    found = _mentions(text, _DATES, lambda match: _date(match, day_first))
    for match in () if found else _FOREIGN.finditer(text):
        import dateparser

        wanted = {"DATE_ORDER": "DMY", "REQUIRE_PARTS": ["day", "month", "year"]}
        if read := dateparser.parse(match.group(), settings=wanted):
            return (Mention(*match.span(), match.group(), date_text(read.date()), "foreign"),)
    return _ranged(text, found)


@lru_cache(maxsize=8192)
def find_times(text: str) -> tuple[Mention, ...]:
    """Times of day in the text, left to right.

    "1h30" is left to the durations; a number after "room" is none, nor one with a dot that follows a name (a version) or
    a word of money, as long as there is another.
    """
    dates = find_dates(text)
    found = _mentions(text, _TIMES, _time, dates)
    found = [m for m in found if not re.match("[1-6]h", m.text, re.IGNORECASE)]
    found = [m for m in found if _EXPLICIT.search(m.text) or not _NUMBERED.search(text[: m.start])]
    clear = [m for m in found if m.style != "24 h with dot"]
    for one in found:
        before = text[: one.start]
        if one.style == "24 h with dot" and not _PRICED.search(before):
            hour, minute = re.findall(r"\d+", one.text)[:2]
            sure = not _NAMED.search(before) or (not clear and len(hour) == 2 and int(minute) % 5 == 0)
            clear += [one] if sure else []
    return _ranged(text, sorted(clear))


@lru_cache(maxsize=8192)
def find_durations(text: str) -> tuple[Mention, ...]:
    """Durations in the text, left to right; `value` holds minutes."""
    return tuple(_mentions(text, _DURATIONS, _duration, find_dates(text) + find_times(text)))
