"""An answer as an iCalendar file (RFC 5545) that calendars open."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, time, timedelta, timezone
from typing import Any

from helpers.tasks.calendar.schema import Frequency
from helpers.tasks.dates import WEEKDAYS, clock_of, day_of, duration_minutes

DAYS = [day.lower() for day in WEEKDAYS]
CODES = [day[:2].upper() for day in DAYS]
STEPS = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}
USUAL = {
    "daily": ("DAILY", 1),
    "weekly": ("WEEKLY", 1),
    "biweekly": ("WEEKLY", 2),
    "monthly": ("MONTHLY", 1),
    "bimonthly": ("MONTHLY", 2),
    "quarterly": ("MONTHLY", 3),
    "annual": ("YEARLY", 1),
}


def rule_of(recurrence: str) -> dict[str, Any] | None:
    """Recurrence rule of a text such as "weekly" or "every other Tuesday", None where it says something else."""
    text = recurrence.lower().strip(" .")
    if text in ("weekdays", "every weekday", "each weekday"):
        return {"FREQ": "WEEKLY", "BYDAY": CODES[:5]}
    step, every = USUAL.get(Frequency().core(text), ("", 1))
    days: list[str] = []
    if not step:
        form = r"(?:every|each)\s+(?:(other|second|2nd|\d{1,2})\s+)?(\w+?)s?(?:\s*(?:,|and|&)\s*(\w+?)s?)?"
        found = re.fullmatch(form, text)
        if not found:
            return None
        words = [word for word in found.groups()[1:] if word]
        days = [CODES[DAYS.index(word)] for word in words if word in DAYS]
        step = "WEEKLY" if len(days) == len(words) else STEPS.get(" ".join(words), "")
        every = {"other": 2, "second": 2, "2nd": 2, None: 1}.get(found[1]) or int(found[1])
        if not step:
            return None
    return {"FREQ": step} | ({"BYDAY": days} if days else {}) | ({"INTERVAL": every} if every > 1 else {})


def calendar_file(
    fields: dict[str, Any], text: str, now: datetime | None = None
) -> tuple[str, bytes, list[str]]:
    """(media type, content, what to check) of an answer; the text that it was found in makes the event's identity.

    Times are those of the place where the file is opened. What has no place of its own in the format goes into the
    description. Without a date there is no event: the content is empty, and the first line to check says so.
    """
    from icalendar import Calendar, Event

    given = {name: value for name, value in fields.items() if value}
    day, hour = day_of(given.get("date", "")), clock_of(given.get("time", ""))
    if day is None:
        missing = "no date was found: there is no event to write"
        return "text/calendar", b"", [f"{given['date']} is no date" if "date" in given else missing]
    checks, notes = [], [given["notes"]] if "notes" in given else []
    event = Event()
    event.add("uid", f"{hashlib.sha256(f'{text} {fields}'.encode()).hexdigest()[:32]}@extraction")
    event.add("dtstamp", now or datetime.now(timezone.utc))
    event.add("summary", given.get("action", "Event"))
    event.add("dtstart", day if hour is None else datetime.combine(day, time(*hour)))
    if "action" not in given:
        checks.append("no action was found: the event is named “Event”")
    if hour is None:
        why = f"{given['time']} is no time" if "time" in given else "no time was found"
        checks.append(f"{why}: the event lasts all day")
    minutes = duration_minutes(given.get("duration", ""))
    if minutes and hour is not None:
        event.add("duration", timedelta(minutes=float(minutes)))
    elif "duration" in given:
        notes.append(f"Duration: {given['duration']}")
        checks.append(f"the duration {given['duration']} stands in the description only")
    elif hour is not None:
        checks.append("no duration was found")
    if "location" in given:
        event.add("location", given["location"])
    if "attendees" in given:  # an attendee needs an address, which no text gives
        notes.append(f"With {', '.join(given['attendees'])}")
    if rule := rule_of(given.get("recurrence", "")):
        event.add("rrule", rule)
    elif "recurrence" in given:
        notes.append(f"Repeats: {given['recurrence']}")
        checks.append(f"the recurrence {given['recurrence']} stands in the description only")
    if notes:
        event.add("description", "\n".join(notes))
    calendar = Calendar()
    calendar.add("prodid", "-//entity extraction study//calendar//EN")
    calendar.add("version", "2.0")
    calendar.add_component(event)
    return "text/calendar", calendar.to_ical(), checks
