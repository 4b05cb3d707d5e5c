"""The calendar task: rows, answers, what labellers rewrite, made rows, and iCalendar files."""

import json
import random
from datetime import date, datetime, timedelta

import pytest
from grammars import accepts
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from helpers.tasks import load_task
from helpers.tasks.calendar.conventions import value_of
from helpers.tasks.calendar.file import calendar_file, rule_of
from helpers.tasks.text import word_spans

TASK = load_task("calendar")
EMPTY = dict.fromkeys(TASK.fields)


def row(text: str, **values) -> dict:
    return {"event_text": text, "output": {**EMPTY, **values}}


def example(text: str, **values):
    return TASK.rows.parse(row(text, **values), 0)


def event(line: str):
    """A row from its text and its values, notes left out."""
    text, *values = line.split("|")
    values[3] = values[3].split()
    return example(text, **dict(zip(TASK.fields, values)))


REVIEW = event(
    "Weekly review w/ Anna's team & Bo 2nd, Jun 2025 08:15 in Room 12B (east wing) for an hour"
    "|Weekly review|2/6/2025|08:15|Anna Bo|Room 12B (east wing)|1 hour|weekly"
)


# -- rows ---------------------------------------------------------------------------------------------------------------
def test_row_becomes_canonical():
    values = {"action": "Lunch", "date": "2024-03-07", "time": "14:05", "attendees": [" Bo ", ""]}
    parsed = example(" Lunch \u2013 2024-03-07 ", **values, location="", notes=" ")
    assert parsed.text == "Lunch – 2024-03-07"
    assert parsed.target == EMPTY | values | {"date": "07/03/2024", "time": "2:05 PM", "attendees": ["Bo"]}
    assert TASK.rows.from_json(json.loads(json.dumps(TASK.rows.to_json(parsed)))) == parsed


def test_bad_rows_are_refused_with_a_reason():
    for old, new, reason in (
        (', "notes": null', "", "missing key 'output.notes'"),
        ('"event_text": "Lunch", ', "", "missing key 'event_text'"),
        ('"time": null', '"time": 9', "'output.time' should be a string or null, got number"),
        ('"attendees": null', '"attendees": [null]', "'output.attendees.0' should be a string, got null"),
        ('"Lunch"', '" \\n"', "'event_text' is empty"),
        (json.dumps(EMPTY), "[]", "'output' should be an object, got list"),
    ):
        with pytest.raises(ValueError) as error:
            TASK.rows.parse(json.loads(json.dumps(row("Lunch")).replace(old, new)), 0)
        assert str(error.value).startswith(reason)


value = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.from_regex(r"\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}", fullmatch=True),
    st.from_regex(r"\d{1,2}[:.h]?\d{0,2} ?([ap]\.?m\.?)?", fullmatch=True),
)
several = st.one_of(st.none(), st.lists(st.text(max_size=12), max_size=4))


@given(st.fixed_dictionaries({name: several if kind.many else value for name, kind in TASK.kinds.items()}))
def test_canonical_is_idempotent_and_round_trips_through_the_completion(target):
    canonical = TASK.canonical(target)
    assert TASK.canonical(canonical) == canonical
    assert TASK.chat.parse_output(TASK.chat.completion(canonical)) == (canonical, None)
    assert all(part for values in TASK.values(canonical).values() for part in values)


# -- answers --------------------------------------------------------------------------------------------------------------
GOOD = (
    '{"action": "Weekly review", "date": "02/06/2025", "time": "8:15 AM", "attendees": ["Anna", "Bo"], '
    '"location": "Room 12B (east wing)", "duration": "1 hour", "recurrence": "weekly", "notes": null}'
)


def test_a_completion_has_all_fields_in_canonical_form():
    assert TASK.chat.completion(REVIEW.target) == GOOD
    loose = GOOD.replace("8:15 AM", "08:15").replace("null", '""').replace(", ", " ,\n")
    assert TASK.chat.parse_output(f" {loose} ") == (REVIEW.target, None)


def test_a_writer_learns_the_words_of_the_text_that_can_be_read_by_themselves():
    for field, value, text, written in (
        ("date", "16/06/2027", "Call on 16 June 2027 at 2pm", "16 June 2027"),
        ("date", "16/06/2027", "Call on the day after tomorrow", "16/06/2027"),
        ("time", "2:30 PM", "Call Bo at 14:30", "14:30"),
        ("time", "7:00 PM", "dinner at 7 on 2 May 2027", "7:00 PM"),  # "7" alone says neither AM nor PM
    ):
        target = EMPTY | {"action": "Call", field: value}
        completion = TASK.chat.completion(target, text)
        assert json.loads(completion)[field] == written and held(text, **{field: written})
        assert TASK.chat.parse_output(completion) == (target, None)


def test_parse_errors_have_kinds():
    for kind, answers in {
        "empty": ["  \n"],
        "truncated": [GOOD[:-1], GOOD[:40]],
        "not json": ["Sure: " + GOOD, GOOD + " done", "[" * 100_000],
        "not an object": ["[1]", "null"],
        "missing keys": [GOOD.replace(', "notes": null', "")],
        "extra keys": [GOOD[:-1] + ', "mood": null}', GOOD[:-1] + ', "notes": null}'],
        "wrong type": [GOOD.replace("null", "1"), GOOD.replace('["Anna", "Bo"]', '"Anna"')],
    }.items():
        assert [TASK.chat.parse_output(raw) for raw in answers] == [(None, kind)] * len(answers)


def held(text: str, **values) -> bool:
    """Whether an answer can be generated that is held to the text."""
    return accepts(TASK.chat.grammar(text, "source"), json.dumps(EMPTY | values, ensure_ascii=False))


def test_answers_are_held_to_the_text_and_to_what_labels_make_of_it():
    short = "Budget mtg, then UX sess. with Bo for the new plan"
    for field, text, good, bad in (
        ("action", REVIEW.text, ["Weekly review"], ["weekly review"]),
        ("duration", REVIEW.text, ["1.5 hours", "an hour"], ["1.5 lightyears", "a long hour"]),
        ("recurrence", REVIEW.text, ["weekly", "every Monday"], ["sometimes", "every blue moon"]),
        ("action", short, ["Budget mtg", "Budget meeting", "UX session", "UX sess."], ["Budget session"]),
        ("notes", short, ["New plan"], ["Plan new"]),
    ):
        assert all(held(text, **{field: value}) for value in good), field
        assert not any(held(text, **{field: value}) for value in bad), field


# -- places and conventions -----------------------------------------------------------------------------------------------
def pieces_of(row) -> dict:
    return {name: [row.text[a:b] for a, b in spans or ()] for name, spans in TASK.spans(row).items()}


def test_spans_are_found_in_any_writing():
    found = list(pieces_of(REVIEW).values())
    assert found[:4] == [["Weekly review"], ["2nd, Jun 2025"], ["08:15"], ["Anna", "Bo"]]
    assert found[4:] == [["Room 12B (east wing)"], ["an hour"], ["Weekly"], []]
    assert pieces_of(example("Strategy mtg at 7", action="Strategy meeting", time="7:00 PM"))["time"] == ["7"]


def test_a_place_named_twice_is_the_one_outside_the_action_and_what_is_not_there_has_none():
    twice = example("Zoom check-in 1/2/2025 Zoom", action="Zoom check-in", date="1/2/2025", location="Zoom")
    assert TASK.spans(twice)["location"] == [(23, 27)] and TASK.spans(twice)["action"] == [(0, 13)]
    absent = example("Schedule the next client review", action="Schedule client review", attendees=["Bo"])
    assert TASK.spans(absent)["action"] is None and TASK.spans(absent)["attendees"] is None
    assert TASK.spans(absent)["notes"] == []


def test_conventions_are_counted_by_style():
    train = [example(f"Sync 1 Mar 2024 9am for {m}m", action="Sync", duration=f"{m}m") for m in (20, 40)]
    train += [example(f"Sync 2024-03-01 9am for {m}m", duration=f"{m} minutes") for m in (20, 40)]
    train += [example(f"{what} mtg", action=f"{what} meeting") for what in ("Budget", "Team")]
    train += [example(f"{what} at 6", action=what, time="6:00 AM") for what in ("Run", "Swim")]
    learnt = json.loads(json.dumps(TASK.hooks.learn_conventions(train)))
    assert value_of("duration", "30m", "Call 5 Mar 2024 9am for 30m", learnt) == "30m"
    assert value_of("duration", "30m", "Call 2024-03-05 9am for 30m", learnt) == "30 minutes"
    assert value_of("action", "Sales mtg", "Sales mtg", learnt) == "Sales meeting"
    found = TASK.from_spans("Row at 6, 5th, Mar 2024", {"time": [(7, 8)], "date": [(10, 23)]}, learnt)
    assert (found["time"], found["date"]) == ("6:00 AM", "05/03/2024")


def test_without_conventions_a_value_is_as_typed_and_read_where_it_stands():
    assert value_of("action", "Sales mtg", "", {}) == "Sales mtg"
    assert value_of("duration", "half an hour", "", {}) == "half an hour"
    found = TASK.from_spans("Supper at 7, 16 June 2027-17:00", {"date": [(13, 31)], "time": [(10, 11)]}, {})
    assert found == EMPTY | {"date": "16/06/2027", "time": "7:00 PM"}
    learnt = TASK.hooks.learn_conventions(
        [example(f"Book a {it}", action=f"Book a {it}") for it in ("car", "hall")]
    )
    for habits, action in (({}, "tent"), (learnt, "Book a tent")):
        assert TASK.from_spans("Book a tent", {"action": [(7, 11)]}, habits)["action"] == action


def test_equivalent():
    for field, value, same, other in (
        ("action", "Schedule a team mtg", "Team meeting", "team talk"),
        ("action", "Talk w/ vendor", "talk with vendor", "talk with vendors"),
        ("location", "at the library", "Library", "Library 2"),
        ("recurrence", "every week", "Weekly", "monthly"),
        ("notes", "for the new policies", "New policies", "old policies"),
        ("attendees", "Bo", "bo", "Bob"),
    ):
        kind = TASK.kinds[field]
        assert kind.equivalent(value, same) and kind.equivalent(same, value)
        assert not kind.equivalent(value, other) and not kind.equivalent(other, value)


def test_what_is_not_canonical_is_withheld_with_its_reason():
    record = TASK.given(EMPTY | {"action": "Tea", "date": "16 June 2027-17:00", "time": "5:00 PM"})
    assert record["prediction"] == EMPTY | {"action": "Tea", "time": "5:00 PM"}
    withheld = record["withheld"]["date"]
    assert withheld["values"] == ["16 June 2027-17:00"] and "day, month and year" in withheld["reason"]
    assert TASK.given(REVIEW.target) == {"prediction": REVIEW.target}


# -- made rows -----------------------------------------------------------------------------------------------------------------
EVENTS = """\
Plan a design review with Amy and James on 5th, May 2025 at 3 PM in the design lab for 90 minutes.\
|Plan a design review|05/05/2025|3:00 PM|Amy James|design lab|90 minutes|
Schedule an audit with Bo and Zoe on 6th, June 2025 at 4 PM in the main hall for 2 hours.\
|audit|06/06/2025|4:00 PM|Bo Zoe|main hall|2 hours|
Weekly sync 2025-01-09 5:00 pm w/ Liz & Sam Zoom 30m|Weekly sync|2025-01-09|5:00 PM|Liz Sam|Zoom|30m|weekly
Lunch Feb 10, 2025 12pm w/ Alex + Mia 1hr|Lunch|10/02/2025|12:00 PM|Alex Mia||1 hour|
2025-03-01 10 AM Design session with Leo and Ana at the corporate HQ for 1 hour.\
|Design session|01/03/2025|10:00 AM|Leo Ana|corporate HQ|1 hour|
Zoom on Teams with Pat and Kit, 28 Feb 2025 at 14:00 (20 mins)|Zoom|28/02/2025|2:00 PM|Pat Kit|Teams|20 mins|
2025-03-02 at noon: coffee with Al and Jo, half an hour|coffee|02/03/2025|12:00 PM|Al Jo||30 minutes|
14th Jul, 2025 08:00 daily call on Google Meet|daily call|14/07/2025|8:00 AM||Google Meet||daily"""
TRAIN = [event(line).with_(id=at) for at, line in enumerate(EVENTS.split("\n"))]


def consistent(made) -> None:
    """The label is canonical, complete, and every value can be read off the text again."""
    assert TASK.canonical(made.target) == made.target and tuple(made.target) == TASK.fields
    for name, spans in TASK.spans(made).items():
        values = TASK.values(made.target)[name]
        assert len(spans) == len(values), (name, made)
        for (start, end), value in zip(spans, values):
            written = made.text[start:end]
            if name in ("date", "time"):
                assert TASK.kinds[name].said(made.text, (start, end)) == value
            elif TASK.kinds[name].verbatim:
                assert written == value and word_spans(value, made.text)


def test_made_rows_are_new_labelled_rightly_varied_and_seeded():
    composed = TASK.hooks.synthesise(TRAIN, 300, random.Random(7))
    assert len({one.text for one in composed}) == 300
    assert [one.id for one in composed] == list(range(len(TRAIN), len(TRAIN) + 300))
    for one in composed:
        consistent(one)
    for name in TASK.fields:
        assert sum(one.target[name] is not None for one in composed) > 20
    formats = [TASK.hooks.surface_formats(one) for one in composed]
    assert all(len({one[kind] for one in formats}) >= 6 for kind in ("date format", "time format"))
    assert TASK.hooks.synthesise(TRAIN, 300, random.Random(7)) == composed
    assert TASK.hooks.synthesise(TRAIN, 20, random.Random(8)) != composed[:20]
    assert TASK.hooks.synthesise([], 5, random.Random(0)) == []


def test_a_row_whose_value_is_not_in_the_text_is_left_alone():
    odd = example("Lunch", action="Dinner")
    for change in [*TASK.hooks.augmenters(TRAIN).values(), *TASK.hooks.perturbations().values()]:
        assert change(odd, random.Random(0)) is None


@pytest.mark.parametrize("name", list(TASK.hooks.perturbations()))
def test_perturbations_move_the_target_along(name):
    change, rng, applied = TASK.hooks.perturbations()[name], random.Random(4), 0
    for one in TRAIN:
        new = change(one, rng)
        if new is not None:
            applied += 1
            consistent(new)
            assert new.text != one.text and new.id == one.id
            assert all(new.target[k] == one.target[k] for k in ("date", "time"))
            assert {k for k, v in new.target.items() if v} == {k for k, v in one.target.items() if v}
    assert applied >= 3


# -- calendar files -----------------------------------------------------------------------------------------------------
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


def read(**changes):
    """The event of an answer's file as another library reads it, and what is to be checked."""
    _, content, checks = calendar_file(FULL | changes, "text")
    return (Calendar.from_ical(content).walk("VEVENT")[0] if content else None), checks


def test_a_full_answer_reads_back_whole():
    event, checks = read()
    assert checks == []
    assert str(event["summary"]) == FULL["action"] and str(event["location"]) == "Birch Room"
    assert event.decoded("dtstart") == datetime(2027, 3, 12, 14, 30)
    assert event.decoded("duration") == timedelta(minutes=90)
    assert event["rrule"] == {"FREQ": ["WEEKLY"], "BYDAY": ["FR"], "INTERVAL": [2]}
    assert str(event["description"]) == "bring slides\nWith Amara, Tobias"
    ((name, (kind, content, _)),) = TASK.hooks.downloads(FULL, "text").items()
    assert name == "event.ics" and kind == "text/calendar" and content.startswith(b"BEGIN:VCALENDAR\r\n")


def test_what_is_missing_is_said():
    event, checks = read(action=None, time=None)
    assert event.decoded("dtstart") == date(2027, 3, 12) and len(checks) == 3
    event, checks = read(date=None)
    assert event is None and "no date" in checks[0]
    assert "31/02/2027 is no date" in read(date="31/02/2027")[1][0]
    event, checks = read(duration="all afternoon", recurrence="whenever it rains")
    assert "all afternoon" in str(event["description"]) and len(checks) == 2 and "rrule" not in event


def test_recurrences():
    for words, rule in {
        "weekly": {"FREQ": "WEEKLY"},
        "Quarterly": {"FREQ": "MONTHLY", "INTERVAL": 3},
        "every 3 months": {"FREQ": "MONTHLY", "INTERVAL": 3},
        "every Monday and Thursday": {"FREQ": "WEEKLY", "BYDAY": ["MO", "TH"]},
        "weekdays": {"FREQ": "WEEKLY", "BYDAY": ["MO", "TU", "WE", "TH", "FR"]},
        "every first Monday": None,
        "every Monday and week": None,
    }.items():
        assert rule_of(words) == rule
