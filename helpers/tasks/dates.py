"""Dates, times of day and durations as people write them: finding, reading and writing them.

One pattern finds candidates of each way of writing. Names of months are read by dateutil, those of other languages
by dateparser; this layer holds what they misread: day before month, "half past three", "7 to 9pm".
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from dateutil.parser import parserinfo

from helpers.tasks.text import normalise

_INFO = parserinfo(dayfirst=True)
MONTHS = [full for _, full in _INFO.MONTHS[:8]] + [names[-1] for names in _INFO.MONTHS[8:]]
WEEKDAYS = [full for _, full in _INFO.WEEKDAYS]

_MONTH = "|".join(f"{name[:3]}(?:{name[3:]})?" for name in MONTHS) + "|sept"
_WEEKDAY = rf"(?:(?P<weekday>{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in WEEKDAYS)}|tues|thurs?)\.?,?\s+(?:the\s+)?)?"
_YEAR = r"(?P<year>\d{4}|'\d{2}|\d{2})(?!\d|\s?[:h]\s?\d|\.\d|\s?[ap]\.?m\b|\s?(?:h|hrs?|hours?|m|mins?|minutes?)\b)"
_DAY = r"(?P<day>\d{1,2})(?P<ordinal>st|nd|rd|th)?"
DATE_PATTERNS = {
    "YYYY-MM-DD": rf"{_WEEKDAY}(?P<year>\d{{4}})\s?[-/.]\s?(?P<month>\d{{1,2}})\s?[-/.]\s?(?P<day>\d{{1,2}})",
    "DD/MM/YYYY": rf"{_WEEKDAY}(?P<day>\d{{1,2}})\s?[-/.]\s?(?P<month>\d{{1,2}})\s?[-/.]\s?{_YEAR}",
    "D Month YYYY": rf"{_WEEKDAY}{_DAY}(?:\s+of\b)?(?:\s*[-/,.]\s*|\s+|(?=[a-z]))(?P<month>{_MONTH})\.?"
    rf"(?:\s*[-/,.]\s*|\s+|(?=\d)){_YEAR}",
    "Month D, YYYY": rf"{_WEEKDAY}(?P<month>{_MONTH})\.?(?:\s*[-/,.]\s*|\s+|(?=\d))(?:the\s+)?{_DAY}"
    rf"(?:\s*[-/,.]\s*|\s+){_YEAR}",
}
_HOURS = dict(zip("one two three four five six seven eight nine ten eleven twelve".split(), range(1, 13)))
_MINUTES = {"half": 30, "a quarter": 15, "quarter": 15, "five": 5, "ten": 10, "fifteen": 15, "twenty": 20}
_MINUTES |= {"twenty-five": 25, "thirty": 30, "forty-five": 45, "forty five": 45}
_HALF = (
    r"\s?(?:(?P<half>[ap])(?:\.?\s?m\b\.?|\b)|(?P<part>in\sthe\s(?:morning|afternoon|evening)|at\snight)\b)"
)
TIME_PATTERNS = {
    "12 h": rf"(?P<hour>1[0-2]|0?\d)(?:\s?[:.]\s?(?P<minute>[0-5]\d)(?::[0-5]\d)?)?(?:ish)?{_HALF}",
    "range": r"(?P<hour>1[0-2]|0?\d)(?:[:.](?P<minute>[0-5]\d))?\s?(?P<half>[ap]\.?m\.?)?\s?(?:-|–|to)\s?"
    r"(?P<end_hour>1[0-2]|0?\d)(?:[:.](?P<end_minute>[0-5]\d))?\s?(?P<end_half>[ap])\.?m\b\.?",
    "24 h with am/pm": r"(?P<hour>1[3-9]|2[0-3]|00):(?P<minute>[0-5]\d)\s?(?P<half>[ap])\.?\s?m\b\.?",
    "24 h": r"(?P<hour>[01]?\d|2[0-3])(?::(?P<minute>[0-5]\d)(?::[0-5]\d)?|[hH](?P<minute_h>[0-5]\d)?)(?:\s?hrs?\b)?",
    "24 h compact": r"(?:(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)\s?(?:h|hrs|hours)\b"
    r"|(?P<hour_0>0\d)(?P<minute_0>[0-5]\d)\b)",
    "in words": r"(?:(?P<past>half|a\squarter|quarter|five|ten|twenty|twenty-five|5|10|20|25)\s"
    r"(?:(?P<way>past|to)\s)?)?"
    rf"(?P<spoken>{'|'.join(_HOURS)}|1[0-2]|[1-9])(?:\s(?P<more>thirty|fifteen|forty[ -]five))?"
    rf"(?:\so'?clock)?{_HALF}",
    "word": r"(?P<word>noon|midday|midnight)\b",
    "24 h with dot": r"(?P<hour>[01]?\d|2[0-3])\.(?P<minute>[0-5]\d)(?!\s?(?:h|hrs?|hours?|km|kg|%)\b)",
}
_NUMBERS = _HOURS | {
    "a": 1,
    "an": 1,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "forty-five": 45,
}
_NUMBERS |= {"fifty": 50, "sixty": 60, "ninety": 90, "couple of": 2, "a couple of": 2, "a couple": 2}
_NUMBERS |= {"a full": 1, "one full": 1, "a whole": 1, "one and a half": 1.5, "two and a half": 2.5}
_NUMBERS |= {"half a": 0.5, "half an": 0.5, "half": 0.5, "a half": 0.5}
_NUMBERS |= {"a quarter of an": 0.25, "quarter of an": 0.25}
_UNITS = {"h": 60, "m": 1, "d": 1440, "w": 10080}  # minutes, by the first letter of the unit
_LONG_UNIT = "hours?|hrs?|minutes?|mins?|days?|weeks?"
DURATION_PATTERNS = {
    "compound": r"(?P<hours>\d{1,2})\s?(?:h|hrs?|hours?)\.?,?\s?(?:and\s|&\s)?(?P<minutes>[0-5]?\d)\s?"
    r"(?:m|mins?|minutes?)?(?![\w:])\.?",
    "digits": rf"(?P<number>\d{{1,3}}(?:[.,]\d{{1,2}})?)\s?-?\s?(?P<unit>{_LONG_UNIT}|h|m)(?![\w/])",
    "fraction": r"(?P<whole>\d)?\s?(?P<glyph>½|1⁄2|1/2)\s?(?P<unit>hours?|hrs?|h)(?!\w)",
    "words": rf"(?P<words>{'|'.join(sorted(_NUMBERS, key=len, reverse=True))})[\s-](?P<unit>{_LONG_UNIT})(?!\w)"
    r"(?P<more>\s+and\s+a\s+(?:half|quarter))?",
}
_COMPACT = {"compact": r"(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)"}
_BARE = re.compile(r"(?<![\w:/.,-])(?P<hour>1[0-2]|0?[1-9])(?:[:.](?P<minute>[0-5]\d))?(?!\w|[:/.,-]\d)")
_FOREIGN = re.compile(r"\b\d{1,2}\W{1,2}(?:de\s)?[^\W\d]{3,10}\.?(?:\sde)?\s\d{4}\b")


def _compiled(patterns: dict[str, str], before: str = "", after: str = "") -> dict[str, re.Pattern]:
    return {name: re.compile(before + pattern + after, re.IGNORECASE) for name, pattern in patterns.items()}


_DATES, _WHOLE_DATES = _compiled(DATE_PATTERNS, r"(?<![\w/.-])", r"(?!\w|[-/]\d)"), _compiled(DATE_PATTERNS)
_TIMES = _compiled(TIME_PATTERNS, r"(?<![\w:/,.-])", r"(?!\d|:\d)")
_WHOLE_TIMES = _compiled(TIME_PATTERNS | _COMPACT)
_DURATIONS, _WHOLE_DURATIONS = _compiled(DURATION_PATTERNS, r"(?<![\w.:/])"), _compiled(DURATION_PATTERNS)


class Mention(NamedTuple):
    """A date, time or duration found in a text."""

    start: int
    end: int
    text: str
    value: str  # `DD/MM/YYYY`, `H:MM AM/PM`, or minutes as a decimal number
    style: str  # name of the way of writing


# -- canonical forms ------------------------------------------------------------------------------------------------
def date_text(day: datetime.date) -> str:
    """`DD/MM/YYYY`."""
    return f"{day.day:02d}/{day.month:02d}/{day.year:04d}"


def time_text(hour: int, minute: int) -> str:
    """`H:MM AM/PM` of an hour from 0 to 23."""
    return f"{(hour - 1) % 12 + 1}:{minute:02d} {'PM' if hour >= 12 else 'AM'}"


def day_of(value: str) -> datetime.date | None:
    """The day of a canonical date, None for anything else."""
    try:
        return datetime.datetime.strptime(value, "%d/%m/%Y").date()
    except ValueError:
        return None


def clock_of(value: str) -> tuple[int, int] | None:
    """Hour (0–23) and minute of a canonical time, None for anything else."""
    try:
        moment = datetime.datetime.strptime(value, "%I:%M %p")
    except ValueError:
        return None
    return moment.hour, moment.minute


# -- reading --------------------------------------------------------------------------------------------------------
def _date(match: re.Match) -> str | None:
    month = match["month"]
    month = int(month) if month.isdigit() else _INFO.month(month.lower())
    day, year = int(match["day"]), int(match["year"].lstrip("'"))
    if month > 12 >= day:  # 12/25/2023 can only be the American order
        day, month = month, day
    try:
        return date_text(datetime.date(year + 2000 * (year < 100), month, day))
    except ValueError:
        return None


def _time(match: re.Match) -> str | None:
    groups = {name: value.lower() for name, value in match.groupdict().items() if value is not None}
    if "word" in groups:
        return time_text(0 if groups["word"] == "midnight" else 12, 0)
    if "spoken" in groups:
        hour, minute = _spoken(groups)
    else:
        hour = int(groups.get("hour") or groups["hour_0"])
        minute = int(groups.get("minute") or groups.get("minute_h") or groups.get("minute_0") or 0)
    if minute < 0:
        return None
    half = groups.get("half", groups.get("end_half", ""))[:1]
    if "part" in groups:
        early = "night" in groups["part"] and hour in (12, 1, 2, 3, 4)
        half = "a" if "morning" in groups["part"] or early else "p"
    if "end_half" in groups and "half" not in groups and hour % 12 > int(groups["end_hour"]) % 12:
        half = "a" if half == "p" else "p"  # "11-2pm" begins in the morning
    if half and hour <= 12:
        hour = hour % 12 + 12 * (half == "p")
    return time_text(hour, minute)


def _spoken(groups: dict[str, str]) -> tuple[int, int]:
    """Hour and minute of "half past three", "ten to four", "half six" (half past, as in Britain); -1 where it is none."""
    spoken = groups["spoken"]
    hour = int(spoken) if spoken.isdigit() else _HOURS[spoken]
    if "past" not in groups:
        return hour, _MINUTES[groups["more"]] if "more" in groups else 0
    past = groups["past"]
    minute = int(past) if past.isdigit() else _MINUTES[" ".join(past.split())]
    if "way" not in groups and minute != 30 or "more" in groups:
        return hour, -1
    return ((hour - 2) % 12 + 1, 60 - minute) if groups.get("way") == "to" else (hour, minute)


def _duration(match: re.Match) -> str:
    groups = {name: value.lower() for name, value in match.groupdict().items() if value is not None}
    if "hours" in groups:
        return f"{60 * int(groups['hours']) + int(groups['minutes'])}"
    if "number" in groups:
        amount = float(groups["number"].replace(",", "."))
    elif "glyph" in groups:
        amount = int(groups.get("whole", 0)) + 0.5
    else:
        more = groups.get("more", "")
        amount = _NUMBERS[groups["words"]] + (0.5 if "half" in more else 0.25 if more else 0)
    return f"{amount * _UNITS[groups['unit'][0]]:g}"


def _read(text: str, patterns: dict[str, re.Pattern], read: Callable) -> str | None:
    matches = (pattern.fullmatch(text) for pattern in patterns.values())
    return next((value for match in matches if match and (value := read(match))), None)


@lru_cache(maxsize=65536)
def read_date(text: str) -> str | None:
    """`DD/MM/YYYY` of a date with a year, day first; None for what is no such date."""
    return _read(normalise(text), _WHOLE_DATES, _date)


@lru_cache(maxsize=65536)
def read_time(text: str) -> str | None:
    """`H:MM AM/PM` of a time of day ("14:30", "9am", "08:00 AM", "14h30", "noon"); None for anything else."""
    return _read(normalise(text), _WHOLE_TIMES, _time)


@lru_cache(maxsize=65536)
def duration_minutes(text: str) -> float | None:
    """Minutes that a duration lasts ("1.5 hours", "half an hour", "1h 30m"), or None where it cannot be read."""
    text = re.sub(r"^(?:for|about|around|approx\.?|approximately|roughly|~)\s+", "", normalise(text).lower())
    text = re.sub(r"^(?:an )?(hour)(?: or so)?(?: and (?:a )?(half))?$", r"an \1 and a \2", text)
    value = _read(text.rstrip(".").removesuffix(" and a "), _WHOLE_DURATIONS, _duration)
    return None if value is None else float(value)


def spell_minutes(minutes: float, in_minutes: bool = False) -> str:
    """Minutes under an hour or where asked for, hours otherwise: "45 minutes", "1 hour", "1.5 hours"."""
    hours = minutes >= 60 and minutes % 15 == 0 and not in_minutes
    number, unit = (minutes / 60, "hour") if hours else (minutes, "minute")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


# -- finding --------------------------------------------------------------------------------------------------------
def _mentions(
    text: str, patterns: dict[str, re.Pattern], read: Callable, taken: tuple[Mention, ...] = ()
) -> tuple[Mention, ...]:
    """What the patterns match and can read; of two that overlap the longer ("6-8pm" before "8pm")."""
    matches = [(match, style) for style, pattern in patterns.items() for match in pattern.finditer(text)]
    found: list[Mention] = []
    for match, style in sorted(matches, key=lambda item: item[0].start() - item[0].end()):
        value = read(match)
        if value and all(match.end() <= m.start or match.start() >= m.end for m in (*found, *taken)):
            found.append(Mention(match.start(), match.end(), match.group(), value, style))
    return tuple(sorted(found))


@lru_cache(maxsize=8192)
def find_dates(text: str) -> tuple[Mention, ...]:
    """Dates with a year in the text, left to right."""
    return _mentions(text, _DATES, _date)


@lru_cache(maxsize=8192)
def find_times(text: str) -> tuple[Mention, ...]:
    """Times of day in the text, left to right; "1h30" is left to the durations."""
    found = _mentions(text, _TIMES, _time, find_dates(text))
    return tuple(time for time in found if not re.match(r"0?[1-6]h", time.text, re.IGNORECASE))


@lru_cache(maxsize=8192)
def find_durations(text: str) -> tuple[Mention, ...]:
    """Durations in the text, left to right; `value` holds minutes."""
    return _mentions(text, _DURATIONS, _duration, find_dates(text) + find_times(text))


def find_bare_times(text: str) -> tuple[Mention, ...]:
    """Hours that do not say which half of the day they mean ("at 7", "5:30"); `value` is that of the morning."""
    return _mentions(text, {"bare": _BARE}, _time, find_dates(text) + find_durations(text))


def find_foreign_date(text: str) -> Mention | None:
    """The first date whose month is not English, read by dateparser."""
    import dateparser

    for match in _FOREIGN.finditer(text):
        settings = {"DATE_ORDER": "DMY", "REQUIRE_PARTS": ["day", "month", "year"]}
        read = dateparser.parse(match.group(), settings=settings)
        if read:
            return Mention(*match.span(), match.group(), date_text(read.date()), "foreign")
    return None


# -- writing --------------------------------------------------------------------------------------------------------
def _like_case(word: str, model: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.lower() if model.islower() else word.capitalize()


def ordinal(day: int) -> str:
    """`st`, `nd`, `rd` or `th`."""
    return "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def render_date(date: datetime.date, like: str) -> str | None:
    """The date written as the surface `like` is written, or None where `like` is no date."""
    matches = (pattern.fullmatch(like) for pattern in _WHOLE_DATES.values())
    match = next((match for match in matches if match and _date(match)), None)
    if match is None:
        return None
    groups = {name: value for name, value in match.groupdict().items() if value}
    numeric = groups["month"].isdigit()
    day, month = date.day, date.month
    if numeric and int(groups["month"]) > 12:  # American order stays so
        day, month = month, day
    numbers = [groups["day"], groups["month"]] if numeric else [groups["day"]]
    padded = any(number.startswith("0") for number in numbers) or (
        all(len(number) == 2 for number in numbers) and bool(re.search(r"\d\s?[-/.]", like))
    )
    width = 2 if padded else 1
    new = {"day": f"{day:0{width}d}", "month": f"{month:0{width}d}", "year": f"{date.year:04d}"}
    if not numeric:
        short = len(groups["month"]) <= 4 and groups["month"].lower() not in ("may", "june", "july")
        new["month"] = _like_case(MONTHS[date.month - 1][: 3 if short else None], groups["month"])
    if len(groups["year"]) < 4:
        new["year"] = "'" * groups["year"].startswith("'") + f"{date.year % 100:02d}"
    if "ordinal" in groups:
        new["ordinal"] = _like_case(ordinal(date.day), groups["ordinal"])
    if "weekday" in groups:
        long = groups["weekday"].lower().endswith("day")
        new["weekday"] = _like_case(WEEKDAYS[date.weekday()][: None if long else 3], groups["weekday"])
    return _fill(match, new)


def render_time(hour: int, minute: int, like: str) -> str | None:
    """The time of day written as the surface `like` is written, or None where that style cannot say it."""
    matches = ((style, pattern.fullmatch(like)) for style, pattern in _WHOLE_TIMES.items())
    style, match = next((pair for pair in matches if pair[1]), ("", None))
    if match is None:
        return None
    groups = {name: value for name, value in match.groupdict().items() if value}
    if style == "word":
        return _like_case("noon", like) if (hour, minute) == (12, 0) else None
    if style in ("range", "in words") or groups.keys() & {"part", "hour_0"} or "ish" in like:
        return None
    half = groups.get("half")
    shown = (hour - 1) % 12 + 1 if half and style != "24 h with am/pm" else hour
    padded = groups["hour"].startswith("0") or (not half and len(groups["hour"]) == 2)
    new = {"hour": f"{shown:02d}" if padded else str(shown)}
    minutes = groups.keys() & {"minute", "minute_h"}
    if minute and not minutes:
        return None
    new |= dict.fromkeys(minutes, f"{minute:02d}")
    if half:
        letter = "p" if hour >= 12 else "a"
        new["half"] = letter if half.islower() else letter.upper()
    return _fill(match, new)


def _fill(match: re.Match, new: dict[str, str]) -> str:
    """The matched text with some groups replaced."""
    text, parts, at = match.string, [], match.start()
    for start, end, word in sorted((match.start(name), match.end(name), word) for name, word in new.items()):
        parts += [text[at:start], word]
        at = end
    return "".join(parts) + text[at : match.end()]
