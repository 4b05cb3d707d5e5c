"""How people write dates, times of day and durations: finding, reading and rewriting them."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from functools import lru_cache

from helpers.tasks.text import normalise

MONTHS = "january february march april may june july august september october november december".split()
WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)
_WEEKDAY = (
    r"(?:(?P<weekday>mon(?:day)?|tue(?:s(?:day)?)?|wed(?:nesday)?|thu(?:rs?(?:day)?)?|fri(?:day)?"
    r"|sat(?:urday)?|sun(?:day)?)\.?,?\s+(?:the\s+)?)?"
)
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
_HOUR_WORDS = "one two three four five six seven eight nine ten eleven twelve".split()
_MINUTE_WORDS = {
    "half": 30,
    "a quarter": 15,
    "quarter": 15,
    "five": 5,
    "ten": 10,
    "twenty": 20,
    "twenty-five": 25,
    "5": 5,
    "10": 10,
    "20": 20,
    "25": 25,
    "thirty": 30,
    "fifteen": 15,
    "forty-five": 45,
    "forty five": 45,
}
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
    rf"(?P<spoken>{'|'.join(_HOUR_WORDS)}|1[0-2]|[1-9])(?:\s(?P<more>thirty|fifteen|forty[ -]five))?"
    rf"(?:\so'?clock)?{_HALF}",
    "word": r"(?P<word>noon|midday|midnight)\b",
    "24 h with dot": r"(?P<hour>[01]?\d|2[0-3])\.(?P<minute>[0-5]\d)(?!\s?(?:h|hrs?|hours?|km|kg|%)\b)",
}
_NUMBER_WORDS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "forty-five": 45,
    "fifty": 50,
    "sixty": 60,
    "ninety": 90,
    "half a": 0.5,
    "half an": 0.5,
    "half": 0.5,
    "couple of": 2,
    "a couple of": 2,
    "a couple": 2,
    "a full": 1,
    "one full": 1,
    "a quarter of an": 0.25,
    "quarter of an": 0.25,
    "a whole": 1,
    "one and a half": 1.5,
    "two and a half": 2.5,
    "a half": 0.5,
}
_UNITS = {
    "h": 60,
    "hr": 60,
    "hrs": 60,
    "hour": 60,
    "hours": 60,
    "m": 1,
    "min": 1,
    "mins": 1,
    "minute": 1,
    "minutes": 1,
    "day": 1440,
    "days": 1440,
    "week": 10080,
    "weeks": 10080,
}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_LONG_UNIT = "hours?|hrs?|minutes?|mins?|days?|weeks?"
DURATION_PATTERNS = {
    "compound": r"(?P<hours>\d{1,2})\s?(?:h|hrs?|hours?)\.?,?\s?(?:and\s|&\s)?(?P<minutes>[0-5]?\d)\s?"
    r"(?:m|mins?|minutes?)?(?![\w:])\.?",
    "digits": rf"(?P<number>\d{{1,3}}(?:[.,]\d{{1,2}})?)(?P<gap>\s?-?\s?)(?P<unit>{_UNIT})(?![\w/])",
    "fraction": r"(?P<whole>\d)?\s?(?P<glyph>½|1⁄2|1/2)\s?(?P<unit>hours?|hrs?|h)(?!\w)",
    "words": rf"(?P<words>{'|'.join(sorted(_NUMBER_WORDS, key=len, reverse=True))})[\s-](?P<unit>{_LONG_UNIT})(?!\w)"
    r"(?P<more>\s+and\s+a\s+(?:half|quarter))?",
}
_FLAGS = re.IGNORECASE
_DATES = {
    name: re.compile(rf"(?<![\w/.-]){pattern}(?!\w|[-/]\d)", _FLAGS)
    for name, pattern in DATE_PATTERNS.items()
}
_TIMES = {
    name: re.compile(rf"(?<![\w:/,.-]){pattern}(?!\d|:\d)", _FLAGS) for name, pattern in TIME_PATTERNS.items()
}
_DURATIONS = {
    name: re.compile(rf"(?<![\w.:/]){pattern}", _FLAGS) for name, pattern in DURATION_PATTERNS.items()
}
_FULL_DATES = {name: re.compile(pattern, _FLAGS) for name, pattern in DATE_PATTERNS.items()}
_FULL_TIMES = {
    **{name: re.compile(pattern, _FLAGS) for name, pattern in TIME_PATTERNS.items()},
    "compact": re.compile(r"(?P<hour>[01]\d|2[0-3])(?P<minute>[0-5]\d)", _FLAGS),
}


@dataclass(frozen=True)
class Mention:
    """A date, time or duration found in a text.

    Parameters
    ----------
    start, end : int
        Offsets in the text.
    text : str
        The surface.
    value : str
        `DD/MM/YYYY`, `H:MM AM/PM`, or minutes as a decimal number.
    style : str
        Name of the pattern that found it.
    """

    start: int
    end: int
    text: str
    value: str
    style: str


def month_number(word: str) -> int:
    """1–12 for a month's number, name or abbreviation."""
    return int(word) if word.isdigit() else [name[:3] for name in MONTHS].index(word.lower()[:3]) + 1


def _read_date(match: re.Match) -> str | None:
    day, month, year = int(match["day"]), month_number(match["month"]), int(match["year"].lstrip("'"))
    year += 2000 if year < 100 else 0
    if month > 12 >= day and match["month"].isdigit():  # 12/25/2023 can only be the American order
        day, month = month, day
    try:
        return datetime.date(year, month, day).strftime("%d/%m/") + f"{year:04d}"
    except ValueError:
        return None


def _read_time(match: re.Match) -> str | None:
    groups = {name: value.lower() for name, value in match.groupdict().items() if value is not None}
    if "word" in groups:
        return "12:00 AM" if groups["word"] == "midnight" else "12:00 PM"
    if "spoken" in groups:
        clock = _spoken(groups)
        if clock is None:
            return None
        hour, minute = clock
    else:
        hour = int(groups.get("hour") or groups["hour_0"])
        minute = int(groups.get("minute") or groups.get("minute_h") or groups.get("minute_0") or 0)
    half = groups.get("half", groups.get("end_half", ""))[:1]
    if "part" in groups:
        half = (
            "a"
            if "morning" in groups["part"] or ("night" in groups["part"] and hour in (12, *range(1, 5)))
            else "p"
        )
    if "end_half" in groups and "half" not in groups and hour % 12 > int(groups["end_hour"]) % 12:
        half = "a" if half == "p" else "p"  # "11-2pm" begins in the morning
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "p" else 0)
    return f"{(hour - 1) % 12 + 1}:{minute:02d} {'PM' if hour >= 12 else 'AM'}"


def _spoken(groups: dict[str, str]) -> tuple[int, int] | None:
    """Hour and minute of "half past three", "ten to four", "seven thirty", "half six" (half past, as in Britain)."""
    hour = int(groups["spoken"]) if groups["spoken"].isdigit() else _HOUR_WORDS.index(groups["spoken"]) + 1
    if "past" not in groups:
        return hour, _MINUTE_WORDS[groups["more"]] if "more" in groups else 0
    minute = _MINUTE_WORDS[" ".join(groups["past"].split())]
    if "way" not in groups and minute != 30 or "more" in groups:
        return None
    return ((hour - 2) % 12 + 1, 60 - minute) if groups.get("way") == "to" else (hour, minute)


def _read_duration(match: re.Match) -> float | None:
    groups = {name: value for name, value in match.groupdict().items() if value is not None}
    if "hours" in groups:
        return 60.0 * int(groups["hours"]) + int(groups["minutes"])
    scale = _UNITS[groups["unit"].lower()]
    if "number" in groups:
        return float(groups["number"].replace(",", ".")) * scale
    if "glyph" in groups:
        return (int(groups.get("whole", 0)) + 0.5) * scale
    more = groups.get("more", "")
    return (
        float(_NUMBER_WORDS[groups["words"].lower()] + (0.5 if "half" in more else 0.25 if more else 0))
        * scale
    )


@lru_cache(maxsize=65536)
def canonical_date(text: str) -> str:
    """`DD/MM/YYYY` of any date with a year, day first; what cannot be read comes back normalised."""
    text = normalise(text)
    for pattern in _FULL_DATES.values():
        match = pattern.fullmatch(text)
        value = _read_date(match) if match else None
        if value:
            return value
    return text


@lru_cache(maxsize=65536)
def canonical_time(text: str) -> str:
    """`H:MM AM/PM` of a time of day ("14:30", "9am", "08:00 AM", "14h30", "noon"); else the normalised text."""
    text = normalise(text)
    for style, pattern in _FULL_TIMES.items():  # noqa: B007 (read behind the loop)
        match = pattern.fullmatch(text)
        if match:
            return _read_time(match) or text
    return text


@lru_cache(maxsize=65536)
def duration_minutes(text: str) -> float | None:
    """Minutes that a duration lasts ("1.5 hours", "half an hour", "1h 30m"), or None where it cannot be read."""
    text = re.sub(r"^(?:for|about|around|approx\.?|approximately|roughly|~)\s+", "", normalise(text).lower())
    if text in ("hour", "an hour or so"):
        return 60.0
    if text in ("hour and a half", "an hour and half"):
        return 90.0
    for pattern in DURATION_PATTERNS.values():
        match = re.fullmatch(pattern, text.rstrip("."), _FLAGS)
        if match:
            return _read_duration(match)
    return None


def spell_minutes(minutes: float, in_minutes: bool = False) -> str:
    """Minutes under an hour or where asked for, hours otherwise: "45 minutes", "1 hour", "1.5 hours"."""
    if minutes >= 60 and minutes % 15 == 0 and not in_minutes:
        hours = minutes / 60
        return f"{hours:g} hour{'' if hours == 1 else 's'}"
    return f"{minutes:g} minute{'' if minutes == 1 else 's'}"


def _mentions(text: str, patterns: dict[str, re.Pattern], read) -> list[Mention]:
    """What the patterns match and can read; of two that overlap the longer ("6-8pm" before "8pm")."""
    matches = [(match, style) for style, pattern in patterns.items() for match in pattern.finditer(text)]
    found: list[Mention] = []
    for match, style in sorted(matches, key=lambda item: item[0].start() - item[0].end()):
        value = read(match)
        if value is not None and all(match.end() <= m.start or match.start() >= m.end for m in found):
            value = f"{value:g}" if isinstance(value, float) else value
            found.append(Mention(match.start(), match.end(), match.group(), value, style))
    return sorted(found, key=lambda mention: mention.start)


@lru_cache(maxsize=8192)
def find_dates(text: str) -> tuple[Mention, ...]:
    """Dates with a year in the text, left to right."""
    return tuple(_mentions(text, _DATES, _read_date))


@lru_cache(maxsize=8192)
def find_times(text: str) -> tuple[Mention, ...]:
    """Times of day in the text, left to right; "1h30" is left to the durations."""
    taken = find_dates(text)
    return tuple(
        mention
        for mention in _mentions(text, _TIMES, _read_time)
        if all(mention.end <= date.start or mention.start >= date.end for date in taken)
        and not re.match(r"0?[1-6]h", mention.text, re.IGNORECASE)
    )


@lru_cache(maxsize=8192)
def find_durations(text: str) -> tuple[Mention, ...]:
    """Durations in the text, left to right; `value` holds minutes."""
    taken = find_dates(text) + find_times(text)
    return tuple(
        mention
        for mention in _mentions(text, _DURATIONS, _read_duration)
        if all(mention.end <= other.start or mention.start >= other.end for other in taken)
    )


def _like_case(word: str, model: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.lower() if model.islower() else word.capitalize()


def ordinal(day: int) -> str:
    """`st`, `nd`, `rd` or `th`."""
    return "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def render_date(date: datetime.date, like: str) -> str | None:
    """The date written as the surface `like` is written, or None where `like` is no date."""
    for pattern in _FULL_DATES.values():
        match = pattern.fullmatch(like)
        if match and _read_date(match):
            break
    else:
        return None
    groups = match.groupdict()
    numeric = groups["month"].isdigit()
    day, month = date.day, date.month
    if numeric and int(groups["month"]) > 12:  # American order stays so
        day, month = month, day
    numbers = [groups["day"], groups["month"]] if numeric else [groups["day"]]
    padded = any(number.startswith("0") for number in numbers) or (
        all(len(number) == 2 for number in numbers) and bool(re.search(r"\d\s?[-/.]", like))
    )
    new = {"day": f"{day:02d}" if padded else str(day)}
    if numeric:
        new["month"] = f"{month:02d}" if padded else str(month)
    else:
        name = MONTHS[month - 1]
        short = len(groups["month"]) <= 4 and groups["month"].lower() not in ("may", "june", "july")
        new["month"] = _like_case(name[:3] if short else name, groups["month"])
    old_year = groups["year"]
    short_year = ("'" if old_year[0] == "'" else "") + f"{date.year % 100:02d}"
    new["year"] = f"{date.year:04d}" if len(old_year) == 4 else short_year
    if groups.get("ordinal"):
        new["ordinal"] = _like_case(ordinal(date.day), groups["ordinal"])
    if groups.get("weekday"):
        name = WEEKDAYS[date.weekday()]
        new["weekday"] = _like_case(
            name if groups["weekday"].lower().endswith("day") else name[:3], groups["weekday"]
        )
    return _fill(match, new)


def render_time(hour: int, minute: int, like: str) -> str | None:
    """The time of day written as the surface `like` is written, or None where that style cannot say it."""
    for style, pattern in _FULL_TIMES.items():  # noqa: B007 (read behind the loop)
        match = pattern.fullmatch(like)
        if match:
            break
    else:
        return None
    groups = match.groupdict()
    if style == "word":
        return _like_case("noon", like) if (hour, minute) == (12, 0) else None
    if style in ("range", "in words") or groups.get("part") or groups.get("hour_0") or "ish" in like:
        return None
    half = groups.get("half")
    shown = (hour - 1) % 12 + 1 if half and style != "24 h with am/pm" else hour
    padded = groups["hour"].startswith("0") or (not half and len(groups["hour"]) == 2)
    new = {"hour": f"{shown:02d}" if padded else str(shown)}
    name = "minute" if groups.get("minute") else "minute_h" if groups.get("minute_h") else None
    if name:
        new[name] = f"{minute:02d}"
    elif minute:
        return None
    if half:
        new["half"] = (
            _like_case("p" if hour >= 12 else "a", half) if half.islower() else ("P" if hour >= 12 else "A")
        )
    return _fill(match, new)


def _fill(match: re.Match, new: dict[str, str]) -> str:
    """The matched text with some groups replaced."""
    text, parts, at = match.string, [], match.start()
    for start, end, word in sorted((match.start(name), match.end(name), word) for name, word in new.items()):
        parts += [text[at:start], word]
        at = end
    return "".join(parts) + text[at : match.end()]
