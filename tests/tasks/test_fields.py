"""Kinds of fields: what they read, find, compare, write in another way, and let a grammar generate."""

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
from helpers.tasks.dates import duration_minutes, find_dates, find_durations, find_times, read_time
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


# -- text -------------------------------------------------------------------------------------------------------------
def test_variants_of_one_text_become_equal():
    for written, plain in (
        ("  10:30\u202fam \u2013 Caf\u0065\u0301\t\u201cX\u201d Bo\u2019s\x00 ", '10:30 am – Café "X" Bo\'s'),
        ("Tea \u200f3\u200e/5/2027", "Tea 3/5/2027"),  # direction marks
        # byte-order mark, soft hyphen, zero-width space, word joiner
        ("\ufeffT\u00adea\u200b 3/\u20605/2027", "Tea 3/5/2027"),
        ("Tea ٣/٥/٢٠٢٧", "Tea 3/5/2027"),
        ("Ｔｅａ\u3000３／５／２０２７\x0b", "Tea 3/5/2027"),
        ("👩\u200d👧 می\u200cخواهم", "👩\u200d👧 می\u200cخواهم"),  # joiners that hold signs together stay
    ):
        assert normalise(written) == plain


@given(st.text())
def test_normalise_is_idempotent(text):
    assert normalise(normalise(text)) == normalise(text)


def test_words_are_found_whole():
    for value, text, spans in (
        ("in", "Check-in in Berlin", [(9, 11)]),
        ("Anna", "Lunch at Anna's with Anna", [(9, 13), (21, 25)]),
        ("Brew & Co.", "Coffee at Brew & Co. on Monday", [(10, 20)]),
        ("park.", "Run in the park.", []),
        ("", "Run", []),
    ):
        assert word_spans(value, text) == spans, value


# -- dates, times, durations -------------------------------------------------------------------------------------------
def test_canonical_form_where_there_is_one():
    for kind, canonical, written in (
        (Date(), "07/03/2024", ["2024-03-07", "7/3/24", "7.3.2024", "Thu 7th of March 2024"]),
        (Date(), "04/12/2023", ["04 - Dec - 2023", "4th, Dec 2023", "December 4, 2023"]),
        (Date(), "25/12/2023", ["12/25/2023"]),
        (Time(), "9:00 AM", ["9am", "09:00 AM", "0900 hrs", "9:00\u202fam"]),
        (Time(), "2:30 PM", ["14h30", "2.30 p.m.", "14:30 PM", "half past two in the afternoon"]),
        (Time(), "6:30 PM", ["half six in the evening"]),
        (Time(), "12:00 AM", ["midnight", "00:00"]),
        (Time(), "7:00 PM", ["7 to 9pm"]),
        (Time(), "11:00 AM", ["11-2pm"]),
        (Choice(options=("Small", "Large")), "Small", [" small "]),
        (Number(), 1.5, ["about 1,5 kg"]),
        (Number(), 12, [12.0]),
    ):
        for one in (*written, canonical):
            assert kind.canonical(one) == canonical
    for kind, unread in ((Date(), ["31/02/2024", "tomorrow", "5 June"]), (Time(), ["24:00", "after lunch"])):
        assert [kind.canonical(one) for one in unread] == unread
    assert Span().canonical(" \t") is None


def test_duration_minutes():
    for minutes, written in (
        (60, ["1hr", "one-hour"]),
        (90, ["90m", "1.5 hours", "1h 30m", "1h30", "an hour and a half"]),
        (30, ["half an hour"]),
        (120, ["a couple of hours"]),
        (20, ["about 20 mins"]),
        (None, ["all day"]),
    ):
        assert [duration_minutes(one) for one in written] == [minutes] * len(written)


def test_mentions_keep_date_time_and_duration_apart():
    text = "v2 demo 03.04.2024 14.30 for 1.5 hours, 6-8pm is taken"
    assert [m.text for m in find_dates(text)] == ["03.04.2024"]
    assert [m.value for m in find_times(text)] == ["2:30 PM", "6:00 PM"]
    assert [m.value for m in find_durations(text)] == ["90"]
    assert find_times("Call 5th May 16:00")[0].text == "16:00" and not find_dates("Call 5th May 16:00")


@pytest.mark.parametrize(
    "text, date, time",
    [
        ("Ferry May 5-16:30 2027, quay 4", "May 5", "16:30"),
        ("Ferry 5 May-16:30, 2027", "5 May", "16:30"),
        ("Talk on May 5th, 2027-09:15", "May 5th, 2027", "09:15"),
        ("Talk 05/05/2027-16:30-17:30", "05/05/2027", "16:30-17:30"),
        ("Talk 2027-05-05-16:30", "2027-05-05", "16:30"),
        ("Ferry June 5-7:30", None, "7:30"),
        ("Ferry June 5th-16:30", None, "16:30"),
        ("Trip May 5-16, 2027", "May 5-16, 2027", None),
        ("Trip 5-16 May 2027, 5-16:30 each day", "5-16 May 2027", "5-16:30"),
    ],
)
def test_a_time_that_a_hyphen_joins_to_its_date_is_no_range(text, date, time):
    assert [m.text for m in find_dates(text)] == [date] * bool(date)
    assert [m.text for m in find_times(text)] == [time] * bool(time)


def test_a_date_stays_what_it_is_whatever_comes_first_in_texts():
    kind = Date(day_first=False)
    assert [kind.canonical(value) for value in ("3/5/2027", "2027-03-05", "05/03/2027")] == ["05/03/2027"] * 3
    assert Date().canonical("3/5/2027") == "03/05/2027" and kind.canonical("3.14") == "3.14"


def test_values_are_found_in_any_writing():
    for kind, value, text, found in (
        (Date(), "02/06/2025", "on 3 June 2025, not 2nd of June 2025", ["2nd of June 2025"]),
        (Date(), "tomorrow", "come Tomorrow", ["Tomorrow"]),
        (Time(), "7:00 PM", "dinner at 7 for 8 people", ["7"]),
        (Time(), "7:30 PM", "dinner at 7:30, room 7", ["7:30"]),
        (Time(), "4:00 PM", "16:00 or 4pm", ["16:00", "4pm"]),
        (Duration(), "1 hour", "60 mins with Bo", ["60 mins"]),
        (Number(), "12", "room 12B, 12 chairs, v1.12", ["12"]),
        (Span(), "Anna", "anna and Bo", ["anna"]),
        (Boolean(), "true", "it is true", []),
    ):
        assert [text[slice(*span)] for span in kind.find(value, text)] == found


def test_equivalent():
    for kind, value, same, other in (
        (Date(), "2024-03-07", "7/3/2024", "7/4/2024"),
        (Time(), "2pm", "14:00", "3pm"),
        (Duration(), "1hr", "60 minutes", "all night"),
        (Span(), "the Library.", "library", "!"),
        (Choice(options=("A", "B")), "A", "A", "B"),
    ):
        assert kind.equivalent(value, same) and kind.equivalent(same, value)
        assert not kind.equivalent(value, other) and not kind.equivalent(other, value)


def test_dates_and_times_are_rendered_like_another():
    for like, text in (
        ("9am", None),
        ("9:30 am", "4:05 pm"),
        ("9.30 P.M.", "4.05 P.M."),
        ("2023-12-01", "2026-02-03"),
        ("1st, Dec 2023", "3rd, Feb 2026"),
        ("04 - Dec - 2023", "03 - Feb - 2026"),
        ("Thu 5 Jun 2025", "Tue 3 Feb 2026"),
        ("soon", None),
    ):
        made = render_time(16, 5, like) if read_time(like) else render_date(datetime.date(2026, 2, 3), like)
        assert made == text


def test_another_value_is_written_alike_and_read_back():
    rng, kinds = random.Random(3), {"1st, Dec 2023": Date(), "9am": Time(), "09:30": Time(), "40": Number()}
    for surface, kind in (kinds | {"2 hours": Duration()}).items():
        made = {kind.vary(surface, rng) for _ in range(40)}
        assert len(made) > 3 and all(kind.canonical(written) == value for written, value in made)


# -- grammars -----------------------------------------------------------------------------------------------------------
TEXT = 'Move "B 2" (east wing) tomorrow or 2 June 2025 at 16:55 with Bo, Al & Cy'
FULL = {"what": "Move", "day": "2/6/2025", "hour": "04:55 PM", "lasts": "1 hour", "people": ["Al"] * 12}
FULL |= {"count": 3.5, "urgent": True, "size": "large", "summary": "A move."}


def test_object_grammar():
    for changes, free, held in (
        ([{}, dict.fromkeys(FULL), {"what": '"B 2" (east wing)'}, {"day": "tomorrow"}], True, True),
        ([{"what": "Mov"}, {"what": " Move"}, {"people": ["Bo", "Dee"]}, {"day": "22/06/2025"}], True, False),
        ([{"day": "next week"}, {"hour": "1:55 PM"}, {"hour": "7"}, {"lasts": "all day"}], True, False),
        ([{"what": ""}, {"people": []}, {"day": "2025-06-02"}, {"day": "30/02/2025"}], False, False),
        ([{"hour": "24:15 PM"}, {"count": "3"}, {"size": "huge"}, {"colour": "red"}], False, False),
    ):
        for change in changes:
            answer = json.dumps(FULL | change)
            assert accepts(object_grammar(KINDS, TEXT, "schema"), answer) is free, change
            assert accepts(object_grammar(KINDS, TEXT, "source"), answer) is held, change


def test_a_question_about_one_value_takes_one():
    for kind, taken in ((Span(many=True), True), (Span(), False)):
        assert accepts(answer_grammar("Who", kind, TEXT, "source"), '{"Who": ["Bo", "Al"]}') is taken
    with pytest.raises(ValueError, match="neither schema nor source"):
        answer_grammar("Who", Span(), TEXT, "strict")


@pytest.mark.parametrize("text", ["!!!", '"hi\\there" \\ ((', "日本語 会議 🎂", "राहुल के साथ", "a" * 3000])
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
