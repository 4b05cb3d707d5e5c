"""Augmentation of calendar rows: new rows are labelled rightly, values move along with the text, seeds decide."""

from __future__ import annotations

import random

import pytest
from helpers.tasks.calendar.pieces import join_pieces, split_pieces
from helpers.tasks.calendar.task import TASK
from helpers.tasks.calendar.text import align, canonical_date, canonical_time

from helpers.tasks.calendar.augment import random_clock, random_day
from helpers.tasks.calendar.pools import duration_like, lead_kind, mine_pools, place_kind
from helpers.tasks.text import is_word_span, typo

EMPTY = dict.fromkeys(TASK.fields)
ROWS = [
    (
        "Plan a design review with Amy and James on 5th, May 2025 at 3 PM in the design lab for 90 minutes.",
        {
            "action": "Plan a design review",
            "date": "05/05/2025",
            "time": "3:00 PM",
            "attendees": ["Amy", "James"],
            "location": "design lab",
            "duration": "90 minutes",
        },
    ),
    (
        "Schedule an audit with Bo and Zoe on 6th, June 2025 at 4 PM in the main hall for 2 hours.",
        {
            "action": "audit",
            "date": "06/06/2025",
            "time": "4:00 PM",
            "attendees": ["Bo", "Zoe"],
            "location": "main hall",
            "duration": "2 hours",
        },
    ),
    (
        "Plan an onboarding with Kim and Raj on 7th, June 2025 at 5 PM in the west room for 90 minutes.",
        {
            "action": "Plan an onboarding",
            "date": "07/06/2025",
            "time": "5:00 PM",
            "attendees": ["Kim", "Raj"],
            "location": "west room",
            "duration": "90 minutes",
        },
    ),
    (
        "Weekly sync 2025-01-09 5:00 pm w/ Liz & Sam Zoom 30m",
        {
            "action": "Weekly sync",
            "date": "2025-01-09",
            "time": "5:00 PM",
            "attendees": ["Liz", "Sam"],
            "location": "Zoom",
            "duration": "30m",
            "recurrence": "weekly",
        },
    ),
    (
        "Budget call 2025-01-11 9:15 am w/ Ann & Tom Teams 45m",
        {
            "action": "Budget call",
            "date": "2025-01-11",
            "time": "9:15 AM",
            "attendees": ["Ann", "Tom"],
            "location": "Teams",
            "duration": "45m",
        },
    ),
    (
        "Lunch Feb 10, 2025 12pm w/ Alex + Mia 1hr",
        {
            "action": "Lunch",
            "date": "10/02/2025",
            "time": "12:00 PM",
            "attendees": ["Alex", "Mia"],
            "duration": "1 hour",
        },
    ),
    (
        "Prep Q2 Feb 19, 2025 3pm w/ Dan + Lucy 1hr",
        {
            "action": "Prep Q2",
            "date": "19/02/2025",
            "time": "3:00 PM",
            "attendees": ["Dan", "Lucy"],
            "duration": "1 hour",
        },
    ),
    (
        "2025-03-01 10 AM Design session with Leo and Ana at the corporate HQ for 1 hour.",
        {
            "action": "Design session",
            "date": "01/03/2025",
            "time": "10:00 AM",
            "attendees": ["Leo", "Ana"],
            "location": "corporate HQ",
            "duration": "1 hour",
        },
    ),
    (
        "Zoom on Teams with Pat and Kit, 28 Feb 2025 at 14:00 (20 mins)",
        {
            "action": "Zoom",
            "date": "28/02/2025",
            "time": "2:00 PM",
            "attendees": ["Pat", "Kit"],
            "location": "Teams",
            "duration": "20 mins",
        },
    ),
    (
        "2025-03-02 at noon: coffee with Al and Jo, half an hour",
        {
            "action": "coffee",
            "date": "02/03/2025",
            "time": "12:00 PM",
            "attendees": ["Al", "Jo"],
            "duration": "30 minutes",
        },
    ),
    (
        "14th Jul, 2025 08:00 daily call on Google Meet",
        {
            "action": "daily call",
            "date": "14/07/2025",
            "time": "8:00 AM",
            "location": "Google Meet",
            "recurrence": "daily",
        },
    ),
]
TRAIN = [
    TASK.rows.parse({"event_text": text, "output": {**EMPTY, **values}}, index)
    for index, (text, values) in enumerate(ROWS)
]


def consistent(made) -> None:
    """The label is canonical, complete, and every value can be read off the text again."""
    assert TASK.canonical(made.target) == made.target and tuple(made.target) == TASK.fields
    spans = align(made)
    for name, values in TASK.values(made.target).items():
        assert len(spans[name]) == len(values), (name, made)
        for (start, end), value in zip(spans[name], values):
            written = made.text[start:end]
            if name == "date":
                assert canonical_date(written) == value
            elif name == "time":
                assert canonical_time(written) == value
            elif name in TASK.verbatim_fields:
                assert written == value and is_word_span(value, made.text)


def test_pieces_join_to_the_same_example():
    for row in TRAIN:
        assert join_pieces(split_pieces(row), row, "gold") == row


def test_a_row_whose_value_is_not_in_the_text_is_left_alone():
    odd = TASK.rows.parse({"event_text": "Lunch", "output": {**EMPTY, "action": "Dinner"}}, 0)
    assert split_pieces(odd) is None
    for change in [*TASK.hooks.augmenters(TRAIN).values(), *TASK.hooks.perturbations().values()]:
        assert change(odd, random.Random(0)) is None
    assert not mine_pools([odd]).rows


@pytest.mark.parametrize("name", ["entity_swap", "template", "style"])
def test_augmenters_make_consistent_new_rows(name):
    change, rng, made = TASK.hooks.augmenters(TRAIN)[name], random.Random(3), []
    for row in TRAIN * 6:
        new = change(row, rng)
        if new is not None:
            consistent(new)
            assert new.origin == name and new.text != row.text and new.id == row.id
            made.append(new)
    assert len({new.text for new in made}) >= 10
    if name != "entity_swap":  # told otherwise, the same event
        pairs = zip((r for r in TRAIN * 6), (change(r, rng) for r in TRAIN * 6))
        assert all(new.target["date"] == row.target["date"] for row, new in pairs if new is not None)


def test_entity_swap_takes_values_from_train_and_keeps_the_writing():
    change, rng = TASK.hooks.augmenters(TRAIN)["entity_swap"], random.Random(1)
    people = {name for row in TRAIN for name in row.target["attendees"] or ()}
    dates = set()
    for _ in range(30):
        new = change(TRAIN[5], rng)  # "Lunch Feb 10, 2025 12pm w/ Alex + Mia 1hr" → spelt duration
        assert set(new.target["attendees"]) <= people and len(set(new.target["attendees"])) == 2
        assert " w/ " in new.text and new.text.endswith(" 1hr") and new.target["duration"] == "1 hour"
        dates.add(new.target["date"])
    assert len(dates) > 20


def test_articles_and_leads_follow_the_words():
    change, rng = TASK.hooks.augmenters(TRAIN)["entity_swap"], random.Random(5)
    seen = {change(row, rng).target["action"] for row in TRAIN[:3] for _ in range(20)}
    assert {
        "Plan an audit",
        "Plan a design review",
        "Plan an onboarding",
        "design review",
        "onboarding",
    } <= seen
    texts = [change(TRAIN[1], rng).text for _ in range(20)]
    assert any(text.startswith("Schedule a design review") for text in texts)
    wrong = ("Schedule an design", "Schedule a audit", "Schedule a onboarding")
    assert not any(text.startswith(wrong) for text in texts)


def test_swapped_action_brings_its_recurrence():
    change, rng = TASK.hooks.augmenters(TRAIN)["entity_swap"], random.Random(2)
    for _ in range(30):
        new = change(TRAIN[4], rng)
        assert (new.target["recurrence"] is not None) == new.target["action"].lower().startswith(
            ("weekly", "daily")
        )


def test_template_tells_the_row_in_another_rows_words():
    change, rng = TASK.hooks.augmenters(TRAIN)["template"], random.Random(0)
    told = [row for row in (change(TRAIN[7], rng) for _ in range(30)) if row]
    assert {row.text: row.target["action"] for row in told} == {
        "Plan a design session with Leo and Ana on 1st, March 2025 at 10 AM in the corporate HQ for 60 minutes.": "Plan a design session",
        "Schedule a design session with Leo and Ana on 1st, March 2025 at 10 AM in the corporate HQ for 1 hour.": "design session",
    }
    assert {row.target["duration"] for row in told} == {"60 minutes", "1 hour"}


def test_synthetic_rows_are_new_consistent_and_seeded():
    made = TASK.hooks.synthesise(TRAIN, 60, random.Random(7))
    assert len(made) == 60 == len({row.text for row in made} - {row.text for row in TRAIN})
    assert [row.id for row in made] == list(range(len(TRAIN), len(TRAIN) + 60))
    for row in made:
        consistent(row)
        assert row.origin == "synthetic"
    known = {name for row in TRAIN for name in row.target["attendees"] or ()}
    assert sum(not set(row.target["attendees"] or ()) & known for row in made) > 50
    assert (
        TASK.hooks.synthesise(TRAIN, 60, random.Random(7))
        == made
        != TASK.hooks.synthesise(TRAIN, 60, random.Random(8))
    )
    assert (
        TASK.hooks.synthesise([], 5, random.Random(0))
        == []
        == TASK.hooks.synthesise(TRAIN, 0, random.Random(0))
    )


@pytest.mark.parametrize("name", list(TASK.hooks.perturbations()))
def test_perturbations_move_the_target_along(name):
    change, rng, applied = TASK.hooks.perturbations()[name], random.Random(4), 0
    for row in TRAIN:
        new = change(row, rng)
        if new is None:
            continue
        applied += 1
        consistent(new)
        assert new.text != row.text and new.id == row.id
        assert {k: new.target[k] for k in ("date", "time")} == {k: row.target[k] for k in ("date", "time")}
        assert {k for k, v in new.target.items() if v} == {k for k, v in row.target.items() if v}
    assert applied >= 3


def test_perturbations_by_example():
    changes, rng = TASK.hooks.perturbations(), random.Random(0)
    first = TRAIN[0]
    assert changes["lower case"](first, rng).text == first.text.lower()
    assert changes["lower case"](first, rng).target["attendees"] == ["amy", "james"]
    upper = changes["upper case"](TRAIN[5], rng)
    assert upper.target["attendees"] == ["ALEX", "MIA"] and upper.target["duration"] == "1 hour"
    assert changes["no punctuation"](first, rng).text == first.text.replace("5th,", "5th").rstrip(".")
    order = changes["word order"](first, rng)
    assert (
        order.text
        == "5th, May 2025 3 PM Plan a design review with Amy and James in the design lab for 90 minutes."
    )
    assert order.target == first.target
    assert changes["word order"](TRAIN[-1], rng) is None
    distracted = changes["distractor"](first, rng)
    assert distracted.target == first.target
    assert distracted.text.startswith(first.text[:-1] + " (") and distracted.text.endswith(").")


@pytest.mark.parametrize(
    "before, action, kind",
    [
        ("Schedule a ", "review", "a"),
        ("", "Schedule an audit", "a"),
        ("Book time to ", "finish it", "to"),
        ("", "Book dinner", "bare"),
        ("", "Budget call", ""),
        ("on Monday ", "Budget call", ""),
        ("the ", "call", "the"),
    ],
)
def test_lead_kind(before, action, kind):
    assert lead_kind(before, action) == kind


@pytest.mark.parametrize(
    "kind, minutes, text",
    [
        ("# hour", 90, "1.5 hours"),
        ("# hour", 60, "1 hour"),
        ("#m", 45, "45m"),
        ("# mins", 60, "60 mins"),
        ("#hr", 120, "2hrs"),
        ("# hour", 50, None),
        ("# minute", 240, None),
        ("half an hour", 30, None),
        ("# day", 1440, None),
    ],
)
def test_duration_like(kind, minutes, text):
    assert duration_like(kind, minutes) == text


def test_place_kind():
    assert (
        place_kind(" at the ") == ("at", "the")
        and place_kind(", ") == ("", "")
        and place_kind(" On ") == ("on", "")
    )


def test_typo_keeps_short_words_and_ends():
    rng = random.Random(0)
    assert typo("the", rng) == "the" and typo("Q2plan", rng) == "Q2plan"
    slips = {typo("meeting", rng) for _ in range(60)}
    assert (
        all(slip[0] == "m" and slip[-1] == "g" and abs(len(slip) - 7) <= 1 for slip in slips)
        and len(slips) > 5
    )


def test_random_moments_are_in_range():
    rng = random.Random(0)
    assert {random_day(rng).year for _ in range(300)} == set(range(2023, 2029))
    assert all(
        7 <= hour <= 21 and 0 <= minute < 60 for hour, minute in (random_clock(rng) for _ in range(100))
    )
