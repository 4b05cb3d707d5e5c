"""Dates, times and headings of reports: how they are written, and the same style with another value."""

from __future__ import annotations

import datetime
import re

from helpers.tasks.crime.text import is_headed, means_nothing, sections
from helpers.tasks.records import Example

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_NAMES = "|".join(MONTHS)
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
# name of the style → pattern and how a date is written in it
DATE_STYLES: dict[str, tuple[re.Pattern[str], str]] = {
    "March 4, 2024": (
        re.compile(rf"\b(?P<month>{_NAMES}) {_DAY}, (?P<year>\d{{4}})\b"),
        "{name} {day}, {year}",
    ),
    "4 March 2024": (re.compile(rf"\b{_DAY} (?P<month>{_NAMES}) (?P<year>\d{{4}})\b"), "{day} {name} {year}"),
    "2024-03-04": (
        re.compile(r"\b(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})\b"),
        "{year}-{month:02}-{day:02}",
    ),
    "04/03/2024": (
        re.compile(r"\b(?P<day>\d{1,2})/(?P<month>\d{1,2})/(?P<year>\d{4})\b"),
        "{day:02}/{month:02}/{year}",
    ),
    "04.03.2024": (
        re.compile(r"\b(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})\b"),
        "{day:02}.{month:02}.{year}",
    ),
}
_TIME = re.compile(r"\b(?P<hour>\d{1,2}):(?P<minute>\d{2})(?P<half>\s?[AaPp]\.?[Mm]\.?)?(?!\d)")
_HEADING_STYLES = {
    "bold": re.compile(r"^\*\*[^*\n]+:\*\*|^\*\*[^*\n]+\*\*:", re.MULTILINE),
    "plain": re.compile(r"^[A-Z][^:*\n]{1,40}:", re.MULTILINE),
}


def find_date(text: str) -> tuple[str, datetime.date, str] | None:
    """The first date of a text: as written, its day, the name of its style."""
    found = []
    for style, (pattern, _) in DATE_STYLES.items():
        match = pattern.search(text)
        if match:
            month = match["month"]
            try:
                day = datetime.date(
                    int(match["year"]),
                    MONTHS.index(month) + 1 if month in MONTHS else int(month),
                    int(match["day"]),
                )
            except ValueError:  # no such day
                continue
            found.append((match.start(), match.group(), day, style))
    return min(found)[1:] if found else None


def find_dates(text: str) -> dict[str, tuple[datetime.date, str]]:
    """Every date of a text as written, with its day and its style."""
    dates: dict[str, tuple[datetime.date, str]] = {}
    for pattern, _ in DATE_STYLES.values():
        for match in pattern.finditer(text):
            found = find_date(match.group())
            if found:
                dates[found[0]] = found[1:]
    return dates


def write_date(day: datetime.date, style: str) -> str:
    """A date in a style of :data:`DATE_STYLES`."""
    return DATE_STYLES[style][1].format(
        name=MONTHS[day.month - 1], day=day.day, month=day.month, year=day.year
    )


def find_times(text: str) -> list[re.Match[str]]:
    """Every clock time of a text; groups hour, minute and half (of the day)."""
    return list(_TIME.finditer(text))


def shift_time(match: re.Match[str], minutes: int) -> str:
    """A time some minutes later, in the same style."""
    half = match["half"] or ""
    hour = int(match["hour"]) % 12 + 12 * ("p" in half.lower()) if half else int(match["hour"])
    total = (60 * hour + int(match["minute"]) + minutes) % (24 * 60)
    hour, minute = divmod(total, 60)
    if not half:
        return f"{hour:02}:{minute:02}" if len(match["hour"]) == 2 else f"{hour}:{minute:02}"
    letter = "AP"[hour >= 12] if half.strip()[0].isupper() else "ap"[hour >= 12]
    return f"{(hour - 1) % 12 + 1}:{minute:02}{re.sub('[AaPp]', letter, half, count=1)}"


def surface_formats(example: Example) -> dict[str, str]:
    """Ways in which a report is written: layout, headings, date, time, and its word for "nothing there"."""
    text = example.text
    heading = next(
        (name for name, pattern in _HEADING_STYLES.items() if len(pattern.findall(text)) >= 4), "other"
    )
    date, times = find_date(text), find_times(text)
    nothing = [
        section.content for section in sections(text) if section.content and means_nothing(section.content)
    ]
    return {
        "layout": "headed" if is_headed(text) else "narrative",
        "headings": heading if is_headed(text) else "none",
        "date format": date[2] if date else "other",
        "time format": "none" if not times else "12 h" if times[0]["half"] else "24 h",
        "nothing there": nothing[0].strip(" .-") if nothing else "not said",
    }
