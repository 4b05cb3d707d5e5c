"""Answers as iCalendar files: what a calendar reads back, and what the reader is told to check."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

from icalendar import Calendar

from helpers.tasks import load_task
from helpers.tasks.calendar.file import calendar_file, rule_of

NOW = datetime(2026, 1, 2, tzinfo=timezone.utc)
FULL = {
    "action": "Review; budget, 2027",
    "date": "12/03/2027",
    "time": "2:30 PM",
    "attendees": ["Amara", "Tobias"],
    "location": "Birch Room",
    "duration": "1.5 hours",
    "recurrence": "every other Friday",
    "notes": "bring slides",
}


def read(fields):
    _, content, checks = calendar_file(fields, "text", NOW)
    return (Calendar.from_ical(content).walk("VEVENT")[0] if content else None), checks, content


def test_a_full_answer_reads_back_whole():
    event, checks, content = read(FULL)
    assert checks == []
    assert str(event["summary"]) == FULL["action"] and str(event["location"]) == "Birch Room"
    assert event.decoded("dtstart") == datetime(2027, 3, 12, 14, 30)
    assert event.decoded("duration") == timedelta(minutes=90)
    assert event["rrule"] == {"FREQ": ["WEEKLY"], "BYDAY": ["FR"], "INTERVAL": [2]}
    assert str(event["description"]) == "bring slides\nWith Amara, Tobias"
    assert content.startswith(b"BEGIN:VCALENDAR\r\n") and all(
        len(line) <= 75 for line in content.split(b"\r\n")
    )


def test_what_is_missing_is_said():
    empty = dict.fromkeys(FULL)
    event, checks, _ = read(empty | {"date": "12/03/2027"})
    assert event.decoded("dtstart") == date(2027, 3, 12)
    assert all(words in " ".join(checks) for words in ("action", "time"))
    event, checks, content = read(empty | {"action": "Lunch"})
    assert event is None and content == b"" and "no date" in checks[0]
    assert "31/02/2027 is no date" in read(FULL | {"date": "31/02/2027"})[1][0]
    event, checks, _ = read(FULL | {"duration": "all afternoon", "recurrence": "whenever it rains"})
    assert "all afternoon" in str(event["description"]) and len(checks) == 2 and "rrule" not in event


def test_recurrences():
    for words, rule in {
        "weekly": {"FREQ": "WEEKLY"},
        "Quarterly": {"FREQ": "MONTHLY", "INTERVAL": 3},
        "every Tuesday": {"FREQ": "WEEKLY", "BYDAY": ["TU"]},
        "every 3 months": {"FREQ": "MONTHLY", "INTERVAL": 3},
        "every Monday and Thursday": {"FREQ": "WEEKLY", "BYDAY": ["MO", "TH"]},
        "weekdays": {"FREQ": "WEEKLY", "BYDAY": ["MO", "TU", "WE", "TH", "FR"]},
        "every first Monday": None,
        "every Monday and week": None,
    }.items():
        assert rule_of(words) == rule


def test_the_task_offers_the_file():
    task = load_task("calendar")
    ((name, (kind, content, _)),) = task.hooks.downloads(FULL, "text").items()
    assert name == "event.ics" and kind == "text/calendar" and b"BEGIN:VEVENT" in content
    assert load_task("crime").hooks.downloads({}, "text") == {}
