"""An answer as an iCalendar file (RFC 5545) that calendars open."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime, time, timedelta, timezone
from typing import Any

from helpers.tasks.dates import WEEKDAYS, clock_of, day_of, duration_minutes

MEDIA_TYPE = "text/calendar"
DAYS = [day.lower() for day in WEEKDAYS]
CODES = [day[:2].upper() for day in DAYS]
STEPS = {"day": "DAILY", "week": "WEEKLY", "month": "MONTHLY", "year": "YEARLY"}
WORDS = {
    "daily": ("DAILY", 1),
    "weekly": ("WEEKLY", 1),
    "monthly": ("MONTHLY", 1),
    "quarterly": ("MONTHLY", 3),
}
WORDS |= dict.fromkeys(("biweekly", "bi-weekly", "fortnightly"), ("WEEKLY", 2)) | {
    "bimonthly": ("MONTHLY", 2)
}
WORDS |= dict.fromkeys(("yearly", "annually", "annual"), ("YEARLY", 1))


def rule_of(recurrence: str) -> dict[str, Any] | None:
    """Recurrence rule of a text such as "weekly" or "every other Tuesday", None where it says something else."""
    text = recurrence.lower().strip(" .")
    if text in WORDS:
        step, every = WORDS[text]
        return {"FREQ": step} | ({"INTERVAL": every} if every > 1 else {})
    if text in ("weekdays", "every weekday", "each weekday"):
        return {"FREQ": "WEEKLY", "BYDAY": list(CODES[:5])}
    found = re.fullmatch(
        r"(?:every|each)\s+(?:(other|second|2nd|\d{1,2})\s+)?(\w+?)s?(?:\s*(?:,|and|&)\s*(\w+?)s?)?", text
    )
    if not found:
        return None
    every = {"other": 2, "second": 2, "2nd": 2, None: 1}.get(found[1]) or int(found[1])
    days = [DAYS.index(word) for word in found.groups()[1:] if word in DAYS]
    if days and len(days) == sum(word is not None for word in found.groups()[1:]):
        rule: dict[str, Any] = {"FREQ": "WEEKLY", "BYDAY": [CODES[day] for day in days]}
    elif found[2] in STEPS and found[3] is None:
        rule = {"FREQ": STEPS[found[2]]}
    else:
        return None
    return rule | ({"INTERVAL": every} if every > 1 else {})


def calendar_file(
    fields: dict[str, Any], text: str, now: datetime | None = None
) -> tuple[str, bytes, list[str]]:
    """(media type, content, what to check) of an answer.

    Times are those of the place where the file is opened. What has no place of its own in the format goes into the
    description. Without a date there is no event: the content is empty, and the first line to check says so.

    Parameters
    ----------
    fields : dict
        The eight fields.
    text : str
        What they were found in; it makes the event's identity.
    now : datetime, optional
        When the file is made.
    """
    from icalendar import Calendar, Event

    day, hour = day_of(fields.get("date") or ""), clock_of(fields.get("time") or "")
    if day is None:
        given = fields.get("date")
        missing = f"{given} is no date" if given else "no date was found: there is no event to write"
        return MEDIA_TYPE, b"", [missing]
    checks, notes = [], [fields["notes"]] if fields.get("notes") else []
    event = Event()
    event.add("uid", f"{hashlib.sha256(f'{text} {fields}'.encode()).hexdigest()[:32]}@extraction")
    event.add("dtstamp", now or datetime.now(timezone.utc))
    event.add("summary", fields.get("action") or "Event")
    if not fields.get("action"):
        checks.append("no action was found: the event is named “Event”")
    if hour is None:
        event.add("dtstart", day)
        checks.append(
            f"{fields['time']} is no time: the event lasts all day"
            if fields.get("time")
            else "no time was found: the event lasts all day"
        )
    else:
        event.add("dtstart", datetime.combine(day, time(*hour)))
    minutes = duration_minutes(fields["duration"]) if fields.get("duration") else None
    if minutes and hour is not None:
        event.add("duration", timedelta(minutes=float(minutes)))
    elif fields.get("duration"):
        notes.append(f"Duration: {fields['duration']}")
        checks.append(f"the duration {fields['duration']} stands in the description only")
    elif hour is not None:
        checks.append("no duration was found")
    if fields.get("location"):
        event.add("location", fields["location"])
    if fields.get("attendees"):
        # an attendee needs an address, which no text gives
        notes.append(f"With {', '.join(fields['attendees'])}")
    rule = rule_of(fields["recurrence"]) if fields.get("recurrence") else None
    if rule:
        event.add("rrule", rule)
    elif fields.get("recurrence"):
        notes.append(f"Repeats: {fields['recurrence']}")
        checks.append(f"the recurrence {fields['recurrence']} stands in the description only")
    if notes:
        event.add("description", "\n".join(notes))
    calendar = Calendar()
    calendar.add("prodid", "-//entity extraction study//calendar//EN")
    calendar.add("version", "2.0")
    calendar.add_component(event)
    return MEDIA_TYPE, calendar.to_ical(), checks
