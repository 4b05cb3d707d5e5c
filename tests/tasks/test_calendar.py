"""The calendar task: rows, answers, what labellers rewrite, rules, and made rows."""

from __future__ import annotations

import json
import random

import pytest
from grammars import accepts
from hypothesis import given
from hypothesis import strategies as st

from helpers.tasks import load_task
from helpers.tasks.calendar.conventions import value_of
from helpers.tasks.text import word_spans
from helpers.tasks.variation import join_pieces, split_pieces

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


REVIEW = example(
    "Weekly review w/ Anna's team & Bo 2nd, Jun 2025 08:15 in Room 12B (east wing) for an hour",
    action="Weekly review",
    date="2/6/2025",
    time="08:15",
    attendees=["Anna", "Bo"],
    location="Room 12B (east wing)",
    duration="1 hour",
    recurrence="weekly",
)


# -- rows ---------------------------------------------------------------------------------------------------------------
def test_row_becomes_canonical():
    values = {"action": "Lunch", "date": "2024-03-07", "time": "14:05", "attendees": [" Bo ", ""]}
    parsed = example(" Lunch \u2013 2024-03-07 ", **values, location="", notes=" ")
    assert parsed.text == "Lunch – 2024-03-07"
    assert parsed.target == EMPTY | {
        "action": "Lunch",
        "date": "07/03/2024",
        "time": "2:05 PM",
        "attendees": ["Bo"],
    }
    assert TASK.rows.from_json(json.loads(json.dumps(TASK.rows.to_json(parsed)))) == parsed


@pytest.mark.parametrize(
    "change, reason",
    [
        (lambda r: r["output"].pop("notes"), "missing key 'output.notes'"),
        (lambda r: r.pop("event_text"), "missing key 'event_text'"),
        (lambda r: r["output"].update(colour="red"), "unknown key 'output.colour'"),
        (lambda r: r["output"].update(time=9), "'output.time' should be a string or null, got number"),
        (
            lambda r: r["output"].update(attendees="Bo"),
            "'output.attendees' should be a list of strings or null, got string",
        ),
        (lambda r: r["output"].update(attendees=[None]), "'output.attendees.0' should be a string, got null"),
        (lambda r: r.update(event_text=" \n"), "'event_text' is empty"),
        (lambda r: r.update(output=[]), "'output' should be an object, got list"),
    ],
)
def test_bad_rows_are_refused_with_a_reason(change, reason):
    bad = row("Lunch", action="Lunch")
    change(bad)
    with pytest.raises(ValueError) as error:
        TASK.rows.parse(bad, 0)
    assert str(error.value) == reason


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
GOOD = TASK.chat.completion(REVIEW.target)


def test_prompt_and_completion():
    assert TASK.chat.prompt("Lunch") == "Extract entities from: Lunch → "
    assert GOOD == (
        '{"action": "Weekly review", "date": "02/06/2025", "time": "8:15 AM", "attendees": ["Anna", "Bo"], '
        '"location": "Room 12B (east wing)", "duration": "1 hour", "recurrence": "weekly", "notes": null}'
    )
    assert "Café" in TASK.chat.completion({**EMPTY, "location": "Café"})


@pytest.mark.parametrize(
    "field, value, text, written",
    [
        ("date", "16/06/2027", "Call on 16 June 2027 at 2pm", "16 June 2027"),
        ("date", "16/06/2027", "Call on the day after tomorrow", "16/06/2027"),
        ("time", "2:30 PM", "Call Bo at 14:30", "14:30"),
        ("time", "7:00 PM", "dinner at 7 on 2 May 2027", "7:00 PM"),  # "7" alone says neither AM nor PM
    ],
)
def test_a_writer_learns_the_words_of_the_text_that_can_be_read_by_themselves(field, value, text, written):
    target = EMPTY | {"action": "Call", field: value}
    completion = TASK.chat.completion(target, text)
    assert json.loads(completion)[field] == written
    assert TASK.chat.parse_output(completion) == (target, None)
    assert held(text, **{field: written})


@pytest.mark.parametrize(
    "raw, kind",
    [
        ("  \n", "empty"),
        (GOOD[:-1], "truncated"),
        (GOOD[:40], "truncated"),
        ("Sure: " + GOOD, "not json"),
        (GOOD + " done", "not json"),
        ("[1]", "not an object"),
        ("null", "not an object"),
        ("[" * 100_000, "not json"),
        (GOOD.replace(', "notes": null', ""), "missing keys"),
        (GOOD[:-1] + ', "mood": null}', "extra keys"),
        (GOOD[:-1] + ', "notes": null}', "extra keys"),
        (GOOD.replace("null", "1"), "wrong type"),
        (GOOD.replace('["Anna", "Bo"]', '"Anna"'), "wrong type"),
        (GOOD.replace('"Bo"', "null"), "wrong type"),
    ],
)
def test_parse_errors_have_kinds(raw, kind):
    assert TASK.chat.parse_output(raw) == (None, kind)


def test_parse_output_canonicalises():
    loose = GOOD.replace("8:15 AM", "08:15").replace("null", '""').replace(", ", " ,\n")
    assert TASK.chat.parse_output(f" {loose} ") == (REVIEW.target, None)


def held(text: str, **values) -> bool:
    """Whether an answer can be generated that is held to the text."""
    return accepts(TASK.chat.grammar(text, "source"), json.dumps(EMPTY | values, ensure_ascii=False))


@pytest.mark.parametrize(
    "field, good, bad",
    [
        ("action", "Weekly review", "weekly review"),
        ("location", "Room 12B (east wing)", "Room 12B (east win"),
        ("attendees", ["Anna", "Bo"], ["Anna & Bo", "Carl"]),
        ("date", "2/6/2025", "22/6/2025"),
        ("time", "08:15 AM", "8:15 PM"),
        ("duration", "1.5 hours", "1.5 lightyears"),
        ("duration", "an hour", "a long hour"),
        ("recurrence", "weekly", "sometimes"),
        ("recurrence", "every Monday", "every blue moon"),
    ],
)
def test_answers_are_held_to_the_text_and_to_what_labels_make_of_it(field, good, bad):
    assert held(REVIEW.text, **{field: good}) and not held(REVIEW.text, **{field: bad})


def test_abbreviations_and_capitals_as_in_labels():
    text = "Budget mtg, then UX sess. with Bo for the new plan"
    for action in ("Budget mtg", "Budget meeting", "UX session", "UX sess."):
        assert held(text, action=action), action
    assert held(text, notes="New plan") and not held(text, action="Budget session")


# -- places and conventions -----------------------------------------------------------------------------------------------
def pieces_of(row) -> dict:
    return {name: [row.text[a:b] for a, b in spans or ()] for name, spans in TASK.spans(row).items()}


def test_spans_are_found_in_any_writing():
    assert pieces_of(REVIEW) == {
        "action": ["Weekly review"],
        "date": ["2nd, Jun 2025"],
        "time": ["08:15"],
        "attendees": ["Anna", "Bo"],
        "location": ["Room 12B (east wing)"],
        "duration": ["an hour"],
        "recurrence": ["Weekly"],
        "notes": [],
    }
    assert pieces_of(example("Strategy mtg at 7", action="Strategy meeting", time="7:00 PM"))["time"] == ["7"]


def test_a_place_named_twice_is_the_one_outside_the_action_and_what_is_not_there_has_none():
    twice = example("Zoom check-in 1/2/2025 Zoom", action="Zoom check-in", date="1/2/2025", location="Zoom")
    assert TASK.spans(twice)["location"] == [(23, 27)] and TASK.spans(twice)["action"] == [(0, 13)]
    absent = example("Schedule the next client review", action="Schedule client review", attendees=["Bo"])
    assert TASK.spans(absent)["action"] is None and TASK.spans(absent)["attendees"] is None
    assert TASK.spans(absent)["notes"] == []


def test_conventions_are_counted_by_style():
    kept = [
        example(f"Sync {d} Mar 2024 9am for {m}m", action="Sync", duration=f"{m}m")
        for d, m in ((1, 20), (2, 40))
    ]
    spelt = [
        example(f"Sync 2024-03-0{d} 9am for {m}m", action="Sync", duration=f"{m} minutes")
        for d, m in ((1, 20), (2, 40))
    ]
    words = [example("Budget mtg", action="Budget meeting"), example("Team mtg", action="Team meeting")]
    halves = [
        example("Run at 6", action="Run", time="6:00 AM"),
        example("Swim at 6", action="Swim", time="6:00 AM"),
    ]
    learnt = json.loads(json.dumps(TASK.hooks.learn_conventions(kept + spelt + words + halves)))
    assert value_of("duration", "30m", "Call 5 Mar 2024 9am for 30m", learnt) == "30m"
    assert value_of("duration", "30m", "Call 2024-03-05 9am for 30m", learnt) == "30 minutes"
    assert value_of("action", "Sales mtg", "Sales mtg", learnt) == "Sales meeting"
    assert value_of("action", "Sales mtg", "", {}) == "Sales mtg"
    assert value_of("duration", "half an hour", "", {}) == "half an hour"
    kept = [example(f"Book a {what}", action=f"Book a {what}") for what in ("car", "hall")]
    assert (
        TASK.from_spans("Book a tent", {"action": [(7, 11)]}, TASK.hooks.learn_conventions(kept))["action"]
        == "Book a tent"
    )
    assert TASK.from_spans("Book a tent", {"action": [(7, 11)]}, {})["action"] == "tent"
    text = "Row at 6, 5th, Mar 2024"
    found = TASK.from_spans(text, {"time": [(7, 8)], "date": [(10, 23)]}, learnt)
    assert (found["time"], found["date"]) == ("6:00 AM", "05/03/2024")
    assert TASK.from_spans("Tea at 4", {"time": [(7, 8)]}, {})["time"] == "4:00 PM"


@pytest.mark.parametrize(
    "field, left, right, same",
    [
        ("action", "Schedule a team mtg", "Team meeting", True),
        ("action", "Talk w/ vendor", "talk with vendor", True),
        ("action", "Book club", "book fair", False),
        ("location", "at the library", "Library", True),
        ("location", "Room 1", "Room 2", False),
        ("recurrence", "every week", "Weekly", True),
        ("recurrence", "weekly", "monthly", False),
        ("notes", "for the new policies", "New policies", True),
        ("attendees", "Bo", "Bob", False),
    ],
)
def test_equivalent(field, left, right, same):
    kind = TASK.kinds[field]
    assert kind.equivalent(left, right) is same and kind.equivalent(right, left) is same


def test_slices_and_formats():
    bare = example("2024-03-07 lunch", date="7/3/2024", action="lunch")
    first, second, _ = TASK.hooks.slices([REVIEW, bare, example("Lunch at Anna's", action="Lunch")])
    assert first == {
        "length": "long",
        "values": "many",
        "date format": "D Month YYYY",
        "time format": "24 h",
        "order": "action first",
        "attendees": "several",
    }
    assert second["length"] == "medium" and second["order"] == "date first" and second["attendees"] == "none"
    assert TASK.hooks.surface_formats(bare)["duration format"] == "none"


# -- rules ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "line",
    [
        "Sales review 10th, Dec 2026 10:30 am w/ Pam Teams 30 mins|Sales review|10/12/2026|10:30 AM|Pam|Teams|30 mins|",
        "Organize a launch review on July 4, 2025 at 4:30 pm for 45 minutes with Amy and Bo at the Event Hall, Floor 7."
        "|launch review|04/07/2025|4:30 PM|Amy Bo|Event Hall, Floor 7|45 minutes|",
        "2025-01-22 4 PM Planning session with Monica at the rooftop café, one hour."
        "|Planning session|22/01/2025|4:00 PM|Monica|rooftop café|one hour|",
        "Weekly sync 2025-02-03 9:00 am Maya, Luke, Jen 45mins"
        "|Weekly sync|03/02/2025|9:00 AM|Maya Luke Jen||45mins|Weekly",
        # numbers that are no time
        "Ruby 2.7 migration on 9 March 2027 at 13:45 in Room 6|Ruby 2.7 migration|09/03/2027|1:45 PM||Room 6||",
        "Return the 8.30 voucher on 4 Feb 2027 at 11am|Return the 8.30 voucher|04/02/2027|11:00 AM||||",
        "Choir in flat 9 B on 1 June 2027 at 18:15|Choir|01/06/2027|6:15 PM||flat 9 B||",
        # a day apart from its year, or without one
        "Backup window Mon Jun 14 22:30:00 CET 2027|Backup window|14/06/2027|10:30 PM||||",
        "Picnic on 8 July 30 visitors in the garden|Picnic||||garden||",
        # hours without a half of the day, noon and midnight, ranges, words
        "Supper with Ines at 8 on 2 April 2027|Supper|02/04/2027|8:00 PM|Ines|||",
        "Breakfast with Ole at 8 on 2 April 2027|Breakfast|02/04/2027|8:00 AM|Ole|||",
        "Fireworks 31/12/2027 12 midnight at the pier|Fireworks|31/12/2027|12:00 AM||pier||",
        "Rehearsal 6 May 2027 915am Hall 3|Rehearsal|06/05/2027|9:15 AM||Hall 3||",
        "Stocktake 6 May 2027 14h00 - 16h30, Store 2|Stocktake|06/05/2027|2:00 PM||Store 2||",
        "Sailing trip 12-19 August 2027|Sailing trip|12/08/2027|||||",
        "Vote on the twenty-first of June 2027 at 5pm|Vote|21/06/2027|5:00 PM||||",
        # people in small letters, recurrence before places
        "call with nadia and tom on 3 jun 2027 at 9am|call|03/06/2027|9:00 AM|nadia tom|||",
        "Chess Mondays and Fridays 19:00 at the library|Chess||7:00 PM||library||Mondays and Fridays",
        "!!!|||||||",
    ],
)
def test_rules(line):
    wanted = event(line)
    assert TASK.hooks.rules(wanted.text) == wanted.target


def test_rules_read_months_in_other_languages():
    assert TASK.hooks.rules("Réunion le 5 juin 2025")["date"] == "05/06/2025"


@given(st.text(max_size=80))
def test_rules_answer_anything_in_canonical_form(text):
    found = TASK.hooks.rules(text)
    assert tuple(found) == TASK.fields and TASK.canonical(found) == found


# -- answers that are not given ------------------------------------------------------------------------------------------------
def test_what_is_not_canonical_is_withheld_with_its_reason():
    record = TASK.given(EMPTY | {"action": "Tea", "date": "16 June 2027-17:00", "time": "5:00 PM"})
    assert record["prediction"] == EMPTY | {"action": "Tea", "time": "5:00 PM"}
    assert record["withheld"] == {
        "date": {
            "values": ["16 June 2027-17:00"],
            "reason": "“16 June 2027-17:00” does not say day, month and year",
        }
    }
    assert TASK.given(REVIEW.target) == {"prediction": REVIEW.target} and TASK.given(None) == {
        "prediction": None
    }


def test_a_marked_piece_is_read_where_it_stands():
    text = "Supper at 7, 16 June 2027-17:00"
    assert TASK.from_spans(text, {"date": [(13, 31)], "time": [(10, 11)]}, {}) == {
        "date": "16/06/2027",
        "time": "7:00 PM",
    } | {name: None for name in TASK.fields if name not in ("date", "time")}


@pytest.mark.parametrize("text, doubt", [("Gym at 8", True), ("Dinner at 8", False), ("Gym at 8am", False)])
def test_a_guessed_half_of_the_day_is_a_doubt(text, doubt):
    assert ("time" in TASK.doubts(text, TASK.hooks.rules(text))) is doubt


# -- made rows -----------------------------------------------------------------------------------------------------------------
EVENTS = """\
Plan a design review with Amy and James on 5th, May 2025 at 3 PM in the design lab for 90 minutes.\
|Plan a design review|05/05/2025|3:00 PM|Amy James|design lab|90 minutes|
Schedule an audit with Bo and Zoe on 6th, June 2025 at 4 PM in the main hall for 2 hours.\
|audit|06/06/2025|4:00 PM|Bo Zoe|main hall|2 hours|
Plan an onboarding with Kim and Raj on 7th, June 2025 at 5 PM in the west room for 90 minutes.\
|Plan an onboarding|07/06/2025|5:00 PM|Kim Raj|west room|90 minutes|
Weekly sync 2025-01-09 5:00 pm w/ Liz & Sam Zoom 30m|Weekly sync|2025-01-09|5:00 PM|Liz Sam|Zoom|30m|weekly
Budget call 2025-01-11 9:15 am w/ Ann & Tom Teams 45m|Budget call|2025-01-11|9:15 AM|Ann Tom|Teams|45m|
Lunch Feb 10, 2025 12pm w/ Alex + Mia 1hr|Lunch|10/02/2025|12:00 PM|Alex Mia||1 hour|
Prep Q2 Feb 19, 2025 3pm w/ Dan + Lucy 1hr|Prep Q2|19/02/2025|3:00 PM|Dan Lucy||1 hour|
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


def test_pieces_join_to_the_same_example():
    for one in TRAIN:
        assert join_pieces(TASK, split_pieces(TASK, one), one, "gold") == one


@pytest.fixture(scope="module")
def composed():
    return TASK.hooks.synthesise(TRAIN, 300, random.Random(7))


def test_every_label_of_a_made_row_is_found_in_its_text(composed):
    assert len(composed) == 300 == len({one.text for one in composed})
    assert [one.id for one in composed] == list(range(len(TRAIN), len(TRAIN) + 300))
    for one in composed:
        consistent(one)
        assert one.origin == "synthetic"


def test_made_rows_are_seeded_and_varied(composed):
    assert TASK.hooks.synthesise(TRAIN, 300, random.Random(7)) == composed
    assert TASK.hooks.synthesise(TRAIN, 20, random.Random(8)) != composed[:20]
    assert (
        TASK.hooks.synthesise([], 5, random.Random(0))
        == []
        == TASK.hooks.synthesise(TRAIN, 0, random.Random(0))
    )
    for name in TASK.fields:
        assert sum(one.target[name] is not None for one in composed) > 20
    styles = {TASK.hooks.surface_formats(one)["date format"] for one in composed}
    assert len(styles) >= 6 and len({TASK.hooks.surface_formats(one)["time format"] for one in composed}) >= 6


def test_a_row_whose_value_is_not_in_the_text_is_left_alone():
    odd = example("Lunch", action="Dinner")
    assert split_pieces(TASK, odd) is None
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


def test_perturbations_by_example():
    changes, rng, first = TASK.hooks.perturbations(), random.Random(0), TRAIN[0]
    assert changes["lower case"](first, rng).text == first.text.lower()
    upper = changes["upper case"](TRAIN[5], rng)
    assert upper.target["attendees"] == ["ALEX", "MIA"] and upper.target["duration"] == "1 hour"
    assert changes["no punctuation"](first, rng).text == first.text.replace("5th,", "5th").rstrip(".")
    order = changes["word order"](first, rng)
    assert order.text == (
        "5th, May 2025 3 PM Plan a design review with Amy and James in the design lab for 90 minutes."
    )
    assert order.target == first.target and changes["word order"](TRAIN[-1], rng) is None
    distracted = changes["distractor"](first, rng)
    assert distracted.target == first.target
    assert distracted.text.startswith(first.text[:-1] + " (") and distracted.text.endswith(").")
