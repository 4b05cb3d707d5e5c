"""Dates and times of day in the ways in which people write them."""

from __future__ import annotations

import datetime
from itertools import product

from helpers.tasks.dates import (
    HOURS,
    MONTHS,
    ORDINALS,
    WEEKDAYS,
    WORDS,
    clock_of,
    date_text,
    day_of,
    read_date,
    read_time,
    time_text,
)

DATE_FORMS, TIME_FORMS = (
    ["".join(parts) for group in WORDS[name] for parts in product(*group)]
    for name in ("date_forms", "time_forms")
)


def ordinal(day: int) -> str:
    """`st`, `nd`, `rd` or `th`."""
    return "th" if 10 <= day % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")


def _alike(forms: list[str], before: dict[str, object], after: dict[str, object], like: str) -> list[str]:
    """The new words in the forms and the case in which the old ones give a surface."""
    cases = (str, str.lower, str.upper)
    pairs = ((form, case) for form in forms for case in cases if case(form.format_map(before)) == like)
    return [case(form.format_map(after)) for form, case in pairs]


def date_words(day: datetime.date) -> dict[str, object]:
    """What the fields of :data:`DATE_FORMS` stand for."""
    month, weekday = MONTHS[day.month - 1], WEEKDAYS[day.weekday()]
    words = dict(d=day.day, dd=f"{day.day:02d}", o=f"{day.day}{ordinal(day.day)}", nth=ORDINALS[day.day - 1])
    words |= dict(m=day.month, mm=f"{day.month:02d}", mon=month[:3], month=month)
    return words | dict(y=day.year, yy=f"{day.year % 100:02d}", wd=weekday[:3], weekday=weekday)


def time_words(hour: int, minute: int) -> dict[str, object]:
    """What the fields of :data:`TIME_FORMS` stand for."""
    short, part = (hour - 1) % 12 + 1, "morning" if hour < 12 else "afternoon" if hour < 18 else "evening"
    words = dict(h=short, hh=f"{short:02d}", H=hour, HH=f"{hour:02d}", MM=f"{minute:02d}", part=part)
    return words | dict(a="ap"[hour >= 12], word=HOURS[short - 1])


def render_date(date: datetime.date, like: str, day_first: bool = True) -> str | None:
    """The date written as the surface `like` is written, or None where that style cannot say it."""
    old, new = day_of(read_date(like, day_first) or ""), date_text(date)
    written = _alike(DATE_FORMS, date_words(old), date_words(date), like) if old else []
    return next((one for one in written if read_date(one, day_first) == new), None)


def render_time(hour: int, minute: int, like: str) -> str | None:
    """The time of day written as the surface `like` is written, or None where that style cannot say it."""
    old, new = clock_of(read_time(like) or ""), time_text(hour, minute)
    written = _alike(TIME_FORMS, time_words(*old), time_words(hour, minute), like) if old else []
    return next((one for one in written if read_time(one) == new), None)
