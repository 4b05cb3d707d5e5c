"""Kinds of fields: what they read, find, compare, write in another way, and let a grammar generate."""

from __future__ import annotations

import datetime
import json
import random
from typing import Annotated, Literal

import pytest
from grammars import accepts
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from helpers.tasks.chat import answer_grammar, object_grammar
from helpers.tasks.date_forms import render_date, render_time
from helpers.tasks.dates import (
    duration_minutes,
    find_dates,
    find_durations,
    find_times,
    read_time,
)
from helpers.tasks.fields import Boolean, Choice, Date, Duration, Number, Span, Text, Time
from helpers.tasks.json_task import kinds_of
from helpers.tasks.text import normalise, word_spans


class Order(BaseModel):
    """One field of each kind."""

    what: str | None
    day: Annotated[str | None, Date()]
    hour: Annotated[str | None, Time()]
    lasts: Annotated[str | None, Duration()]
    people: list[str] | None
    count: int | None = None
    urgent: bool | None
    size: Literal["small", "large"] | None
    summary: Annotated[str | None, Text()]


KINDS = kinds_of(Order)


def test_kinds_follow_from_the_schema():
    wanted = [Span, Date, Time, Duration, Span, Number, Boolean, Choice, Text]
    assert list(map(type, KINDS.values())) == wanted
    assert [name for name, kind in KINDS.items() if kind.many] == ["people"]
    assert [name for name, kind in KINDS.items() if not kind.needed] == ["count"]
    assert KINDS["size"].options == ("small", "large")

    class Deep(BaseModel):
        inside: Order

    with pytest.raises(TypeError, match="field 'inside' holds"):
        kinds_of(Deep)


# -- text -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "written, plain",
    [
        ("  10:30\u202fam \u2013 Caf\u0065\u0301\t\u201cX\u201d Bo\u2019s\x00 ", '10:30 am – Café "X" Bo\'s'),
        ("Tea \u200f3\u200e/5/2027", "Tea 3/5/2027"),  # direction marks
        # byte-order mark, soft hyphen, zero-width space, word joiner
        ("\ufeffT\u00adea\u200b 3/\u20605/2027", "Tea 3/5/2027"),
        ("Tea ٣/٥/٢٠٢٧", "Tea 3/5/2027"),
        ("Ｔｅａ\u3000３／５／２０２７\x0b", "Tea 3/5/2027"),
        ("👩\u200d👧 می\u200cخواهم", "👩\u200d👧 می\u200cخواهم"),  # joiners that hold signs together stay
    ],
)
def test_variants_of_one_text_become_equal(written, plain):
    assert normalise(written) == plain


@given(st.text())
def test_normalise_is_idempotent(text):
    once = normalise(text)
    assert normalise(once) == once
    assert once.encode("utf-8").decode("utf-8") == once


@pytest.mark.parametrize(
    "value, text, spans",
    [
        ("in", "Check-in in Berlin", [(9, 11)]),
        ("Anna", "Lunch at Anna's with Anna", [(9, 13), (21, 25)]),
        ("Meeting", "Meetings: Meeting", [(10, 17)]),
        ("Brew & Co.", "Coffee at Brew & Co. on Monday", [(10, 20)]),
        ("park.", "Run in the park.", []),
        ("", "Run", []),
    ],
)
def test_word_spans(value, text, spans):
    assert word_spans(value, text) == spans


# -- dates, times, durations -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "kind, written, canonical",
    [
        (Date(), "2024-03-07", "07/03/2024"),
        (Date(), "7/3/24", "07/03/2024"),
        (Date(), "04 - Dec - 2023", "04/12/2023"),
        (Date(), "10th, Dec 2026", "10/12/2026"),
        (Date(), "September 30, 2024", "30/09/2024"),
        (Date(), "Thu 7th of March 2024", "07/03/2024"),
        (Date(), "12/25/2023", "25/12/2023"),
        (Date(), "31/02/2024", "31/02/2024"),
        (Date(), "tomorrow", "tomorrow"),
        (Time(), "08:00 AM", "8:00 AM"),
        (Time(), "9am", "9:00 AM"),
        (Time(), "14h30", "2:30 PM"),
        (Time(), "midnight", "12:00 AM"),
        (Time(), "00:15", "12:15 AM"),
        (Time(), "9.30 p.m.", "9:30 PM"),
        (Time(), "16:15 PM", "4:15 PM"),
        (Time(), "half past three in the afternoon", "3:30 PM"),
        (Time(), "7 to 9pm", "7:00 PM"),
        (Time(), "half six in the evening", "6:30 PM"),
        (Time(), "11-2pm", "11:00 AM"),
        (Time(), "24:00", "24:00"),
        (Time(), "after lunch", "after lunch"),
        (Choice(options=("Small", "Large")), " small ", "Small"),
        (Number(), "about 1,5 kg", 1.5),
        (Number(), 12.0, 12),
        (Span(), " \t", None),
    ],
)
def test_canonical_form(kind, written, canonical):
    assert kind.canonical(written) == canonical
    assert canonical is None or kind.canonical(canonical) == canonical


@pytest.mark.parametrize(
    "written, minutes",
    [
        ("1hr", 60),
        ("1.5 hours", 90),
        ("1h 30m", 90),
        ("half an hour", 30),
        ("an hour and a half", 90),
        ("a couple of hours", 120),
        ("about 20 mins", 20),
        ("all day", None),
    ],
)
def test_duration_minutes(written, minutes):
    assert duration_minutes(written) == minutes


def test_mentions_keep_date_time_and_duration_apart():
    text = "v2 demo 03.04.2024 14.30 for 1.5 hours, 6-8pm is taken"
    assert [m.text for m in find_dates(text)] == ["03.04.2024"]
    assert [m.value for m in find_times(text)] == ["2:30 PM", "6:00 PM"]
    assert [m.value for m in find_durations(text)] == ["90"]
    assert find_times("Call 5th May 16:00")[0].text == "16:00" and not find_dates("Call 5th May 16:00")


def test_a_date_stays_what_it_is_whatever_comes_first_in_texts():
    kind = Date(day_first=False)
    assert [kind.canonical(value) for value in ("3/5/2027", "2027-03-05", "05/03/2027")] == ["05/03/2027"] * 3
    assert Date().canonical("3/5/2027") == "03/05/2027" and kind.canonical("3.14") == "3.14"


@pytest.mark.parametrize(
    "kind, value, text, found",
    [
        (Date(), "02/06/2025", "on 3 June 2025, not 2nd of June 2025", ["2nd of June 2025"]),
        (Date(), "tomorrow", "come Tomorrow", ["Tomorrow"]),
        (Time(), "7:00 PM", "dinner at 7 for 8 people", ["7"]),
        (Time(), "7:30 PM", "dinner at 7:30, room 7", ["7:30"]),
        (Time(), "4:00 PM", "16:00 or 4pm", ["16:00", "4pm"]),
        (Duration(), "1 hour", "60 mins with Bo", ["60 mins"]),
        (Number(), "12", "room 12B, 12 chairs, v1.12", ["12"]),
        (Span(), "Anna", "anna and Bo", ["anna"]),
        (Boolean(), "true", "it is true", []),
    ],
)
def test_values_are_found_in_any_writing(kind, value, text, found):
    assert [text[slice(*span)] for span in kind.find(value, text)] == found


@pytest.mark.parametrize(
    "kind, left, right, same",
    [
        (Date(), "2024-03-07", "7/3/2024", True),
        (Time(), "2pm", "14:00", True),
        (Time(), "2pm", "3pm", False),
        (Duration(), "1hr", "60 minutes", True),
        (Duration(), "all day", "all night", False),
        (Span(), "the Library.", "library", True),
        (Span(), "!", "?", False),
        (Choice(options=("A", "B")), "A", "B", False),
    ],
)
def test_equivalent(kind, left, right, same):
    assert kind.equivalent(left, right) is same and kind.equivalent(right, left) is same


@pytest.mark.parametrize(
    "like, text",
    [
        ("9am", None),
        ("9:30 am", "4:05 pm"),
        ("9.30 P.M.", "4.05 P.M."),
        ("2023-12-01", "2026-02-03"),
        ("1st, Dec 2023", "3rd, Feb 2026"),
        ("04 - Dec - 2023", "03 - Feb - 2026"),
        ("Thu 5 Jun 2025", "Tue 3 Feb 2026"),
        ("soon", None),
    ],
)
def test_dates_and_times_are_rendered_like_another(like, text):
    made = render_time(16, 5, like) if read_time(like) else render_date(datetime.date(2026, 2, 3), like)
    assert made == text


@pytest.mark.parametrize(
    "kind, surface",
    [
        (Date(), "1st, Dec 2023"),
        (Time(), "9am"),
        (Time(), "09:30"),
        (Number(), "40"),
        (Duration(), "2 hours"),
    ],
)
def test_another_value_is_written_alike_and_read_back(kind, surface):
    rng = random.Random(3)
    made = {kind.vary(surface, rng) for _ in range(40)}
    assert len(made) > 3
    assert all(kind.canonical(written) == value for written, value in made)
    assert kind.vary("some day" if surface != "40" else "x", rng) in (None, ("x", None))


# -- grammars -----------------------------------------------------------------------------------------------------------
TEXT = 'Move "B 2" (east wing) tomorrow or 2 June 2025 at 16:55 with Bo, Al & Cy'
FULL = {"what": "Move", "day": "2/6/2025", "hour": "04:55 PM", "lasts": "1 hour", "people": ["Al"] * 12}
FULL |= {"count": 3.5, "urgent": True, "size": "large", "summary": "A move."}


@pytest.mark.parametrize(
    "change, free, held",
    [
        ({}, True, True),
        (dict.fromkeys(FULL), True, True),
        ({"what": '"B 2" (east wing)'}, True, True),
        ({"what": "Mov"}, True, False),
        ({"what": ""}, False, False),
        ({"people": ["Bo", "Dee"]}, True, False),
        ({"people": []}, False, False),
        ({"day": "tomorrow"}, True, True),
        ({"day": "22/06/2025"}, True, False),
        ({"day": "2025-06-02"}, False, False),
        ({"day": "30/02/2025"}, False, False),
        ({"hour": "1:55 PM"}, True, False),
        ({"hour": "24:15 PM"}, False, False),
        ({"hour": "7"}, True, False),
        ({"lasts": "all day"}, True, False),
        ({"count": "3"}, False, False),
        ({"size": "huge"}, False, False),
    ],
)
def test_object_grammar(change, free, held):
    answer = json.dumps(FULL | change)
    assert accepts(object_grammar(KINDS, TEXT, "schema"), answer) is free
    assert accepts(object_grammar(KINDS, TEXT, "source"), answer) is held


def test_answers_about_one_field():
    def held(kind, text, *values):
        return accepts(answer_grammar("Who", kind, text, "source"), json.dumps({"Who": values}))

    many, one = Span(many=True), Span()
    assert held(many, TEXT, "Bo", "Al") and held(one, TEXT, "Bo")
    assert not held(one, TEXT, "Bo", "Al") and not held(many, TEXT, "Bo Al")
    assert not held(many, "one\ntwo", "one two")
    with pytest.raises(ValueError, match="neither schema nor source"):
        answer_grammar("Who", many, TEXT, "strict")


@pytest.mark.parametrize(
    "text", ["!!!", '"', "((((", 'say "hi\\there" \\ now', "日本語 会議 🎂", "राहुल के साथ", "a" * 3000]
)
def test_grammar_of_odd_texts_is_valid(text):
    nothing = json.dumps(dict.fromkeys(FULL))
    for way in ("schema", "source"):
        assert accepts(object_grammar(KINDS, normalise(text), way), nothing)
    assert not accepts(object_grammar(KINDS, normalise(text), "source"), json.dumps(FULL))


@given(st.text(alphabet=st.sampled_from("ab Z9-'.,()[]\"&#+/:@éД🎂\\"), max_size=14))
@settings(deadline=None, max_examples=60)
def test_whatever_stands_in_a_text_as_whole_words_can_be_generated(text):
    text = normalise(text)
    grammar = answer_grammar("x", Span(), text, "source")
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            if word_spans(text[start:end], text):
                assert accepts(grammar, json.dumps({"x": [text[start:end]]}, ensure_ascii=False))
