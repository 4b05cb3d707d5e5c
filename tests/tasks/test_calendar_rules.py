"""The rules on what strangers write: people, places, notes, and what frames an event without being one."""

from __future__ import annotations

import math
import time

import pytest

from helpers.tasks import load_task
from helpers.tasks.calendar import rules

TASK = load_task("calendar")
DAY = "3 May 2027 at 9am"


@pytest.mark.parametrize(
    "text, action, attendees, location, notes",
    [
        # lists of people, divided by commas, slashes, "n", "+"; small letters, kin, titles with a dot
        (f"Pottery, {DAY}, Priya, Okke, Aunt Fenella", "Pottery", "Priya; Okke; Aunt Fenella", None, None),
        (f"Gym, {DAY}, Quenby / Anna / daddy", "Gym", "Quenby; Anna; daddy", None, None),
        (f"Carol + Ivo + Nils: rowing, {DAY}", "rowing", "Carol; Ivo; Nils", None, None),
        (
            f"Crown fitting: Dr. Abel, Dr. Sousa, Irene. {DAY}",
            "Crown fitting",
            "Dr. Abel; Dr. Sousa; Irene",
            None,
            None,
        ),
        (f"Flat viewing, Mr. & Mrs. Quist, {DAY}", "Flat viewing", "Mr. & Mrs. Quist", None, None),
        (f"Panel is Anna, Ravi, Dr. Ohm. Viva on {DAY}", "Viva", "Anna; Ravi; Dr. Ohm", None, None),
        # whom it is for, or between whom
        (f"Hearing test for Carlos and Ida, {DAY}", "Hearing test", "Carlos; Ida", None, None),
        (f"Fire drill for the new tenants on {DAY}", "Fire drill", "new tenants", None, None),
        (
            f"Handover between Nurse Bello and the day team on {DAY}",
            "Handover",
            "Nurse Bello; day team",
            None,
            None,
        ),
        (f"Budget for the spring fair, {DAY}", "Budget for the spring fair", None, None, None),
        # requests, and who comes
        (f"We need Anna and Marco for stage rigging, {DAY}", "stage rigging", "Anna; Marco", None, None),
        (f"Put Hugo and Dr. Ohm down for the sound check, {DAY}", "sound check", "Hugo; Dr. Ohm", None, None),
        ("Could you please block two hours on 3 May 2027 for tax filing", "tax filing", None, None, None),
        (f"Could you both attend the safety briefing on {DAY}", "safety briefing", None, None, None),
        (f"REMINDER: office closed, {DAY}", "office closed", None, None, None),
        (f"Supper {DAY}; Anna, Marco and Ida are coming", "Supper", "Anna; Marco; Ida", None, None),
        (f"Professor Lund joins me for a podcast on {DAY}", "podcast", "Professor Lund", None, None),
        # marks and signs are no part of a value
        ("3.5.2027 / 16.30 / crane training / 2 h", "crane training", None, None, None),
        (f"Send-off 🎈 {DAY}, with Ida and auntie Bea 🎉", "Send-off", "Ida; auntie Bea", None, None),
        # platforms, numbered places, a place within another, venues beside people
        (f"Retro, Slack huddle, {DAY}", "Retro", None, "Slack huddle", None),
        (f"Boiler check, {DAY}, number 4 Elm Row", "Boiler check", None, "number 4 Elm Row", None),
        (f"Futsal, {DAY}, court 2", "Futsal", None, "court 2", None),
        (f"Brass practice, {DAY}, chapel in Weir Park", "Brass practice", None, "chapel in Weir Park", None),
        (f"Dinner, {DAY}, Trattoria del Ponte, Anna", "Dinner", "Anna", "Trattoria del Ponte", None),
        (f"Contract talk, {DAY}, Advocate Thorn", "Contract talk", "Advocate Thorn", None, None),
        (f"Choir, {DAY}, Year 5 and Year 6, north aisle", "Choir", "Year 5; Year 6", "north aisle", None),
        (
            f"Supper with mum and aunt Ida 🥗 {DAY}, Copper Heron",
            "Supper",
            "mum; aunt Ida",
            "Copper Heron",
            None,
        ),
        (
            f"Photos w/ ushers Okke, Ravi and Bo, {DAY}, Hill Chapel",
            "Photos",
            "Okke; Ravi; Bo",
            "Hill Chapel",
            None,
        ),
        (f"Oral test in Italian, {DAY}, Room 5", "Oral test in Italian", None, "Room 5", None),
        (f"We're having the Olsens over for fondue, {DAY}", "fondue", "Olsens", None, None),
        (f"Blood test (fasting), {DAY}, Mill Clinic", "Blood test (fasting)", None, "Mill Clinic", None),
        (f"Mtg w/ Dr. Ohm re: the draft - {DAY}", "draft", "Dr. Ohm", None, None),
        (f"Tea - {DAY} - Guildhall", "Tea", None, "Guildhall", None),
        # remarks
        (f"Film night, {DAY}, phones off please", "Film night", None, None, "phones off please"),
        (
            f"Allergy test, {DAY}, no coffee for two days before",
            "Allergy test",
            None,
            None,
            "no coffee for two days before",
        ),
        (f"Stargazing, {DAY}, wear a hat", "Stargazing", None, None, "wear a hat"),
    ],
)
def test_rules_on_what_strangers_write(text, action, attendees, location, notes):
    found = TASK.hooks.rules(text)
    wanted = {
        "action": action,
        "attendees": attendees and attendees.split("; "),
        "location": location,
        "notes": notes,
    }
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    "text, wanted",
    [
        (
            "Ping 2027-05-03T09:00Z",
            {"action": "Ping", "date": "03/05/2027", "time": "9:00 AM", "attendees": None},
        ),
        ("Call Okke on 20270503 at 1530", {"date": "03/05/2027", "time": "3:30 PM"}),
        ("Viva the third of may twenty twenty seven at ten am", {"date": "03/05/2027", "time": "10:00 AM"}),
        ("Zahnarzt 3.5.2027 14 Uhr", {"action": "Zahnarzt", "time": "2:00 PM", "location": None}),
        ("Swim 3 May 2027 9-9:45", {"action": "Swim", "time": "9:00 AM"}),
        ("stretch three times a day", {"recurrence": "three times a day", "duration": None}),
        ("ale w/ sam, jo and bea 8pm 3 May 2027", {"action": "ale", "attendees": ["sam", "jo", "bea"]}),
        ("call doctor patel 3 May 2027", {"action": "call", "attendees": ["doctor patel"]}),
        ("Chat 3 May 2027 with Greg from Initech", {"attendees": ["Greg from Initech"], "location": None}),
        ("Open day, Lisbon, 3 May 2027", {"attendees": None, "location": "Lisbon"}),
        (
            "Viewing of flat 3, 18 Elm Row, 3 May 2027",
            {"action": "Viewing", "location": "flat 3, 18 Elm Row"},
        ),
        (
            "Where: Room 3 When: 3 May 2027 What: Viva",
            {"action": "Viva", "location": "Room 3", "notes": None},
        ),
    ],
)
def test_rules_on_other_habits_of_writing(text, wanted):
    found = TASK.hooks.rules(text)
    assert {name: found[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    "piece, end",
    [
        ("@", "x"),
        ("in a ", "x"),
        ("on y ", "street"),
        ("to ", "x"),
        (", at the y ", "x"),
        ("Dr. and ", "Ann"),
    ],
)
def test_reading_takes_time_in_proportion_to_the_text(piece, end):
    """Ten times the text may not take a hundred times the time: the service reads what strangers send."""

    def seconds(size: int) -> float:
        text, best = piece * (size // len(piece)) + end, math.inf
        for _ in range(3):
            started = time.process_time()
            rules.find(text)
            best = min(best, time.process_time() - started)
        return best

    rules.find("Lunch with Ann")  # loads the names
    assert seconds(1500) < 50 * max(seconds(150), 0.0005)
