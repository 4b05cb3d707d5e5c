"""Calendar task: rows, canonical form, completions, what parses, what the grammars let through, rules, equivalence."""

from __future__ import annotations

import json

import pytest
from helpers.tasks.calendar.surface import (
    canonical_date,
    canonical_time,
    duration_minutes,
    find_dates,
    find_durations,
    find_times,
    render_date,
    render_time,
)
from helpers.tasks.calendar.task import TASK
from helpers.tasks.calendar.text import align, learn_conventions, normalise_span
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import save_tiny_base
from transformers import AutoTokenizer

from helpers.tasks.text import balanced, is_word_span, normalise, span_terminal, word_spans
from helpers.writing.grammar import GrammarMask

llguidance = pytest.importorskip("llguidance")
TOKENIZER = llguidance.LLTokenizer("byte")
EMPTY = dict.fromkeys(TASK.fields)


def row(text: str, **values) -> dict:
    return {"event_text": text, "output": {**EMPTY, **values}}


def example(text: str, **values):
    return TASK.rows.parse(row(text, **values), 0)


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


# -- text -----------------------------------------------------------------------------------------------------------
def test_normalise_makes_variants_of_one_text_equal():
    messy = "  10:30\u202fam \u2013 Caf\u0065\u0301\t\u201cX\u201d Bo\u2019s\x00 "
    assert normalise(messy) == '10:30 am – Café "X" Bo\'s'


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


# -- rows -----------------------------------------------------------------------------------------------------------
def test_row_becomes_canonical():
    parsed = example(
        " Lunch \u2013 2024-03-07 ",
        action="Lunch",
        date="2024-03-07",
        time="14:05",
        attendees=[" Bo ", ""],
        location="",
        notes=" ",
    )
    assert parsed.text == "Lunch – 2024-03-07"
    assert parsed.target == {
        **EMPTY,
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
        (lambda r: r.update(id=3), "unknown key 'id'"),
        (lambda r: r["output"].update(time=9), "'output.time' should be a string or null, got number"),
        (
            lambda r: r["output"].update(attendees="Bo"),
            "'output.attendees' should be a list of strings or null, got string",
        ),
        (
            lambda r: r["output"].update(attendees=["Bo", 1]),
            "'output.attendees.1' should be a string, got number",
        ),
        (lambda r: r.update(event_text=" \n"), "'event_text' is empty"),
        (lambda r: r.update(event_text=None), "'event_text' should be a string, got null"),
        (lambda r: r.update(output=[]), "'output' should be an object, got list"),
    ],
)
def test_bad_rows_are_refused_with_a_reason(change, reason):
    bad = row("Lunch", action="Lunch")
    change(bad)
    with pytest.raises(ValueError) as error:
        TASK.rows.parse(bad, 0)
    assert str(error.value) == reason


def test_row_that_is_no_object():
    with pytest.raises(ValueError, match="row should be an object, got list"):
        TASK.rows.parse([], 0)


# -- dates, times, durations ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "written, canonical",
    [
        ("2024-03-07", "07/03/2024"),
        ("7/3/24", "07/03/2024"),
        ("7.3.2024", "07/03/2024"),
        ("04 - Dec - 2023", "04/12/2023"),
        ("10th, Dec 2026", "10/12/2026"),
        ("September 30, 2024", "30/09/2024"),
        ("Thu 7th of March 2024", "07/03/2024"),
        ("12/25/2023", "25/12/2023"),
        ("31/02/2024", "31/02/2024"),
        ("tomorrow", "tomorrow"),
        ("5 June", "5 June"),
    ],
)
def test_canonical_date(written, canonical):
    assert canonical_date(written) == canonical


@pytest.mark.parametrize(
    "written, canonical",
    [
        ("08:00 AM", "8:00 AM"),
        ("9am", "9:00 AM"),
        ("14h30", "2:30 PM"),
        ("noon", "12:00 PM"),
        ("midnight", "12:00 AM"),
        ("00:15", "12:15 AM"),
        ("12:00 am", "12:00 AM"),
        ("9.30 p.m.", "9:30 PM"),
        ("16:15 PM", "4:15 PM"),
        ("0900 hrs", "9:00 AM"),
        ("half past three in the afternoon", "3:30 PM"),
        ("7 to 9pm", "7:00 PM"),
        ("quarter to nine in the morning", "8:45 AM"),
        ("half six in the evening", "6:30 PM"),
        ("11-2pm", "11:00 AM"),
        ("24:00", "24:00"),
        ("after lunch", "after lunch"),
        ("10:30\u202fam", "10:30 AM"),
    ],
)
def test_canonical_time(written, canonical):
    assert canonical_time(written) == canonical


@pytest.mark.parametrize(
    "written, minutes",
    [
        ("1hr", 60),
        ("90m", 90),
        ("1.5 hours", 90),
        ("1h 30m", 90),
        ("1h30", 90),
        ("half an hour", 30),
        ("one-hour", 60),
        ("an hour and a half", 90),
        ("a couple of hours", 120),
        ("2-hour", 120),
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


@pytest.mark.parametrize(
    "like, text",
    [
        ("2023-12-01", "2026-02-03"),
        ("1st, Dec 2023", "3rd, Feb 2026"),
        ("December 21, 2023", "February 3, 2026"),
        ("04 - Dec - 2023", "03 - Feb - 2026"),
        ("7/3/24", "3/2/26"),
        ("Thu 5 Jun 2025", "Tue 3 Feb 2026"),
        ("soon", None),
    ],
)
def test_dates_rendered_like_another(like, text):
    import datetime

    assert render_date(datetime.date(2026, 2, 3), like) == text


@pytest.mark.parametrize(
    "like, text",
    [
        ("9am", None),
        ("9:30 am", "4:05 PM".lower()),
        ("09:30", "16:05"),
        ("14h30", "16h05"),
        ("9.30 P.M.", "4.05 P.M."),
    ],
)
def test_times_rendered_like_another(like, text):
    assert render_time(16, 5, like) == text


value = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.from_regex(r"\d{1,2}[-/. ]\d{1,2}[-/. ]\d{2,4}", fullmatch=True),
    st.from_regex(r"\d{1,2}[:.h]?\d{0,2} ?([ap]\.?m\.?)?", fullmatch=True),
    st.just("noon"),
)
targets = st.fixed_dictionaries(
    {
        name: st.one_of(st.none(), st.lists(st.text(max_size=12), max_size=4))
        if name == "attendees"
        else value
        for name in TASK.fields
    }
)


@given(targets)
@settings(deadline=None)
def test_canonical_is_idempotent_and_round_trips_through_the_completion(target):
    canonical = TASK.canonical(target)
    assert TASK.canonical(canonical) == canonical
    assert TASK.chat.parse_output(TASK.chat.completion(canonical)) == (canonical, None)
    assert all(part for values in TASK.values(canonical).values() for part in values)


# -- prompt, completion, parsing ------------------------------------------------------------------------------------
def test_prompt_and_completion():
    assert TASK.chat.prompt("Lunch") == "Extract entities from: Lunch → "
    assert TASK.chat.completion(REVIEW.target) == (
        '{"action": "Weekly review", "date": "02/06/2025", "time": "8:15 AM", "attendees": ["Anna", "Bo"], '
        '"location": "Room 12B (east wing)", "duration": "1 hour", "recurrence": "weekly", "notes": null}'
    )
    assert "Café" in TASK.chat.completion({**EMPTY, "location": "Café"})


GOOD = TASK.chat.completion(REVIEW.target)


@pytest.mark.parametrize(
    "raw, kind",
    [
        ("", "empty"),
        ("  \n", "empty"),
        (GOOD[:-1], "truncated"),
        (GOOD[:40], "truncated"),
        ("{", "truncated"),
        ("Sure: " + GOOD, "not json"),
        (GOOD + " done", "not json"),
        (GOOD.replace('"', "'"), "not json"),
        ("[1]", "not an object"),
        ("null", "not an object"),
        ('"action"', "not an object"),
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


def test_values():
    assert TASK.values(None) == dict.fromkeys(TASK.fields, ())
    assert (
        TASK.values(REVIEW.target)["attendees"] == ("Anna", "Bo")
        and TASK.values(REVIEW.target)["notes"] == ()
    )


# -- grammars -------------------------------------------------------------------------------------------------------
def accepts(grammar: str, text: str) -> bool:
    matcher = llguidance.LLMatcher(TOKENIZER, grammar, log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    tokens = TOKENIZER.tokenize_str(text)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()


def completes(text: str, constraint: str, **values) -> bool:
    return accepts(TASK.chat.grammar(text, constraint), json.dumps({**EMPTY, **values}, ensure_ascii=False))


@pytest.mark.parametrize("constraint", ["schema", "source"])
def test_grammars_accept_the_gold_completion(constraint):
    assert accepts(TASK.chat.grammar(REVIEW.text, constraint), TASK.chat.completion(REVIEW.target))
    assert completes(REVIEW.text, constraint)
    assert not accepts(TASK.chat.grammar(REVIEW.text, constraint), GOOD[:-1])
    assert not accepts(TASK.chat.grammar(REVIEW.text, constraint), GOOD.replace(": ", ":"))
    assert not completes(REVIEW.text, constraint, date="2025-06-02")
    assert not completes(REVIEW.text, constraint, date="30/02/2025")
    assert completes(
        REVIEW.text, constraint, time="08:15 AM", date="2/6/2025"
    )  # both become canonical when they are read
    read, _ = TASK.chat.parse_output(json.dumps({**EMPTY, "time": "08:15 AM", "date": "2/6/2025"}))
    assert (read["time"], read["date"]) == ("8:15 AM", "02/06/2025")
    assert not completes(REVIEW.text, constraint, time="24:15 PM")
    assert not completes(REVIEW.text, constraint, attendees=[])
    assert not completes(REVIEW.text, constraint, action="")


@pytest.mark.parametrize(
    "field, good, bad",
    [
        ("action", "Weekly review", "weekly review"),
        ("action", "review", "revie"),
        ("location", "Room 12B (east wing)", "Room 12B (east"),
        ("location", "east wing", "east wing)"),
        ("location", "Room 12B", "Room 12B "),
        ("attendees", ["Anna", "Bo"], ["Anna & Bo", "Carl"]),
        ("notes", "For an hour", "For an Hour"),
        ("duration", "an hour", "a long hour"),
        ("duration", "1.5 hours", "1.5 lightyears"),
        ("recurrence", "weekly", "sometimes"),
        ("recurrence", "every Monday", "every blue moon"),
    ],
)
def test_source_grammar_holds_values_to_spans(field, good, bad):
    assert completes(REVIEW.text, "source", **{field: good})
    assert not completes(REVIEW.text, "source", **{field: bad})
    assert completes(REVIEW.text, "schema", **{field: bad})


def test_dates_and_times_are_those_of_the_text_where_it_has_any():
    text = "Dentist on 2 June 2025 at 16:55, not on 3 June"
    for time, fits in (("4:55 PM", True), ("04:55 PM", True), ("1:55 PM", False), ("16:55 PM", False)):
        assert completes(text, "source", time=time) is fits
    assert completes(text, "schema", time="1:55 PM") and completes(text, "schema", time="16:55 AM")
    assert TASK.chat.parse_output(json.dumps({**EMPTY, "time": "16:55 AM"}))[0]["time"] == "4:55 PM"
    for date, fits in (("02/06/2025", True), ("2/6/2025", True), ("2/06/2025", True), ("22/06/2025", False)):
        assert completes(text, "source", date=date) is fits
    assert completes("Dentist, some day", "source", date="22/06/2025", time="1:55 PM")


def test_source_grammar_spells_abbreviations_as_train_labels_do():
    text = "Budget mtg, then UX sess. with Bo"
    for action in (
        "Budget mtg",
        "Budget meeting",
        "UX session",
        "UX sess.",
        "Budget meeting, then UX session with Bo",
    ):
        assert completes(text, "source", action=action), action
    assert not completes(text, "source", action="Budget session")


@pytest.mark.parametrize(
    "text", ["!!!", '"', "((((", 'say "hi\\there" \\ now', "日本語 会議 🎂", "राहुल के साथ", "a" * 3000]
)
@pytest.mark.parametrize("constraint", ["schema", "source"])
def test_grammar_of_odd_texts_is_valid(text, constraint):
    assert completes(normalise(text), constraint)
    assert not completes(normalise(text), "source", action="elsewhere")


@given(st.text(alphabet=st.sampled_from("ab Z9-'.,()[]\"&#+/:@éД🎂\\"), max_size=14))
@settings(deadline=None, max_examples=60)
def test_span_grammar_agrees_with_word_spans(text):
    """Exactly the balanced word spans pass; of unclosed brackets the grammar may refuse more."""
    text = normalise(text)
    lines = span_terminal(text, "SPAN")
    pieces = {text[i:j] for i in range(len(text)) for j in range(i + 1, len(text) + 1)}
    if not lines:
        assert not any(is_word_span(piece, text) for piece in pieces)
        return
    grammar = "\n".join(['start: "<" SPAN ">"', *lines])
    simple = not set(text) & set('()[]"')
    for piece in pieces:
        passes = accepts(grammar, f"<{json.dumps(piece, ensure_ascii=False)[1:-1]}>")
        if passes or simple:
            assert passes == is_word_span(piece, text), (piece, text)
        if passes:
            assert balanced(piece)


def test_grammar_grows_linearly_with_the_text():
    short, long = (
        len(TASK.chat.grammar(" ".join(f"word{n}" for n in range(count)), "source")) for count in (20, 80)
    )
    assert long < 4.5 * short


@pytest.mark.parametrize("constraint", ["schema", "source"])
def test_masks_let_the_gold_tokens_pass(tmp_path, constraint):
    tokenizer = AutoTokenizer.from_pretrained(save_tiny_base(tmp_path))
    mask = GrammarMask(tokenizer, [TASK.chat.grammar(REVIEW.text, constraint)], len(tokenizer))
    for token in tokenizer(TASK.chat.completion(REVIEW.target), add_special_tokens=False)["input_ids"]:
        assert mask.allowed([0], len(tokenizer))[0, token], tokenizer.convert_ids_to_tokens(token)
        finished = mask.accept(0, token)
    assert finished


def test_unknown_constraint():
    with pytest.raises(ValueError, match="neither schema nor source"):
        TASK.chat.grammar("Lunch", "strict")


# -- alignment and conventions --------------------------------------------------------------------------------------
def test_align_finds_every_value():
    spans = {name: [REVIEW.text[a:b] for a, b in places] for name, places in align(REVIEW).items()}
    assert spans == {
        "action": ["Weekly review"],
        "date": ["2nd, Jun 2025"],
        "time": ["08:15"],
        "attendees": ["Anna", "Bo"],
        "location": ["Room 12B (east wing)"],
        "duration": ["an hour"],
        "recurrence": ["Weekly"],
        "notes": [],
    }


def test_align_prefers_the_place_outside_the_action_and_gives_up_on_what_is_not_there():
    twice = example("Zoom check-in 1/2/2025 Zoom", action="Zoom check-in", date="1/2/2025", location="Zoom")
    assert align(twice)["location"] == [(23, 27)] and align(twice)["action"] == [(0, 13)]
    absent = example("Schedule the next client review", action="Schedule client review", attendees=["Bo"])
    assert not any(align(absent).values())


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
    learnt = learn_conventions(kept + spelt + words)
    assert normalise_span("duration", "30m", "Call 5 Mar 2024 9am for 30m", learnt) == "30m"
    assert normalise_span("duration", "30m", "Call 2024-03-05 9am for 30m", learnt) == "30 minutes"
    assert normalise_span("action", "Sales mtg", "Sales mtg", learnt) == "Sales meeting"
    assert normalise_span("action", "Sales mtg") == "Sales mtg"
    assert normalise_span("duration", "half an hour") == "30 minutes"
    assert (
        normalise_span("date", "5th, Mar 2024") == "05/03/2024"
        and normalise_span("time", "16h15") == "4:15 PM"
    )


# -- equivalence, slices --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "field, left, right, same",
    [
        ("time", "2pm", "14:00", True),
        ("time", "2pm", "3pm", False),
        ("date", "2024-03-07", "7/3/2024", True),
        ("duration", "1hr", "60 minutes", True),
        ("duration", "1 hour", "an hour", True),
        ("duration", "1 hour", "2 hours", False),
        ("duration", "all day", "all night", False),
        ("action", "Schedule a team mtg", "Team meeting", True),
        ("action", "Talk w/ vendor", "talk with vendor", True),
        ("action", "Book dinner", "dinner", True),
        ("action", "Book club", "book fair", False),
        ("action", "Team sync", "Team meeting", False),
        ("location", "at the library", "Library", True),
        ("location", "Room 1", "Room 2", False),
        ("recurrence", "every week", "Weekly", True),
        ("recurrence", "weekly", "monthly", False),
        ("notes", "for the new policies", "New policies", True),
        ("attendees", "Bo", "Bob", False),
        ("notes", "!", "?", False),
    ],
)
def test_equivalent(field, left, right, same):
    assert TASK.kinds[field].equivalent(left, right) is same
    assert TASK.kinds[field].equivalent(right, left) is same


def test_slices_and_formats():
    assert TASK.slices(REVIEW) == {
        "length": "long",
        "date format": "D Month YYYY",
        "time format": "24 h",
        "order": "action first",
        "attendees": "several",
    }
    bare = example("2024-03-07 lunch", date="7/3/2024", action="lunch")
    assert TASK.slices(bare) == {
        "length": "short",
        "date format": "YYYY-MM-DD",
        "time format": "none",
        "order": "date first",
        "attendees": "none",
    }
    assert TASK.hooks.surface_formats(bare)["duration format"] == "none"


# -- rules ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "Sales review 10th, Dec 2026 10:30 am w/ Pam Teams 30 mins",
            {
                "action": "Sales review",
                "date": "10/12/2026",
                "time": "10:30 AM",
                "attendees": ["Pam"],
                "location": "Teams",
                "duration": "30 mins",
            },
        ),
        (
            "Organize a launch review on July 4, 2025 at 4:30 pm for 45 minutes with Amy and Bo at the Event Hall, Floor 7.",
            {
                "action": "Organize a launch review",
                "date": "04/07/2025",
                "time": "4:30 PM",
                "attendees": ["Amy", "Bo"],
                "location": "Event Hall, Floor 7",
                "duration": "45 minutes",
            },
        ),
        (
            "2025-01-22 4 PM Planning session with Monica at the rooftop café, one hour.",
            {
                "action": "Planning session",
                "date": "22/01/2025",
                "time": "4:00 PM",
                "attendees": ["Monica"],
                "location": "rooftop café",
                "duration": "1 hour",
            },
        ),
        (
            "Weekly sync 2025-02-03 9:00 am Maya, Luke, Jen 45mins",
            {
                "action": "Weekly sync",
                "date": "03/02/2025",
                "time": "9:00 AM",
                "attendees": ["Maya", "Luke", "Jen"],
                "duration": "45 mins",
                "recurrence": "weekly",
            },
        ),
        ("Réunion le 5 juin 2025", {"date": "05/06/2025"}),
        ("", {}),
        ("!!!", {}),
    ],
)
def test_rules(text, expected):
    found = TASK.hooks.rules(text)
    if expected and "action" not in expected:
        found = {name: found[name] for name in expected}
        assert found == expected
    else:
        assert found == {**EMPTY, **expected}


@given(st.text(max_size=80))
@settings(deadline=None, max_examples=80)
def test_rules_answer_anything_in_canonical_form(text):
    found = TASK.hooks.rules(text)
    assert tuple(found) == TASK.fields and TASK.canonical(found) == found


# -- settings -------------------------------------------------------------------------------------------------------
def test_profiles_have_the_same_settings():
    smoke, cpu, gpu = (TASK.settings(profile) for profile in ("smoke", "cpu", "gpu"))
    assert smoke.keys() == cpu.keys() == gpu.keys()
    assert smoke["synthetic"] < cpu["synthetic"] == gpu["synthetic"] == 1000
