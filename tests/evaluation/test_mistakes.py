"""Error classes, label errors and the oracle on rows small enough to check by eye."""

import json
import random

import pytest
from crime_rows import TASK as CRIME
from crime_rows import told
from hypothesis import given
from hypothesis import strategies as st
from tiny_task import GOLD, RECORDS, TASK, failed, record, row

from helpers.evaluation import label_errors, mistakes
from helpers.tasks import load_task
from helpers.views.findings import tell


def kinds(gold, predicted):
    """Field → class of one row's errors."""
    errors = mistakes.classify_errors(TASK, [gold], [predicted])
    return dict(zip(errors["field"], errors["kind"]))


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ({"name": "call"}, {"name": "call"}, {}),
        ({"name": "call"}, {}, {"name": "missing"}),
        ({}, {"day": "monday"}, {"day": "invented"}),
        ({"day": "monday"}, {"day": "Mon"}, {"day": "normalisation"}),
        ({"day": "monday"}, {"day": "friday"}, {"day": "other value"}),
        ({"name": "call"}, {"name": "team call"}, {"name": "boundary"}),
        ({"name": "big team call"}, {"name": "team call now"}, {"name": "boundary"}),
        ({"name": "call"}, {"name": "lunch"}, {"name": "other value"}),
        # the value went to the neighbour: there it is invented, but what happened is one misplacement
        ({"name": "Ann"}, {"people": ["Ann"]}, {"name": "wrong field", "people": "wrong field"}),
        ({"people": ["Ann", "Bo"]}, {"people": ["Bo", "Ann"]}, {"people": "normalisation"}),
        ({"people": ["Ann", "Bo"]}, {"people": ["Ann"]}, {"people": "missing"}),
        ({"people": ["Ann"]}, {"people": ["Ann", "Bo"]}, {"people": "invented"}),
        ({"people": ["Ann Lee", "Bo"]}, {"people": ["Ann", "Bo"]}, {"people": "boundary"}),
        ({"people": ["Ann", "Ann"]}, {"people": ["Ann"]}, {"people": "missing"}),
        # a word in common is no boundary error of what is no piece of the text
        ({"day": "3 may 2025"}, {"day": "4 may 2025"}, {"day": "other value"}),
        ({"day": "3 may"}, {"day": "3 may 2025"}, {"day": "boundary"}),
    ],
)
def test_error_classes(gold, predicted, expected):
    assert kinds(row(0, **gold), record(0, **predicted)) == expected


def test_an_error_of_each_class_is_shown_where_it_stands():
    errors = mistakes.classify_errors(TASK, GOLD, RECORDS)
    assert errors["kind"].tolist() == ["boundary", "boundary", "normalisation"]
    assert mistakes.error_examples(errors)["predicted"].tolist() == ["team call", "Mon"]
    report = "Nothing of note. " * 50 + "The gym on monday. " + "Nothing of note. " * 50
    errors = mistakes.classify_errors(TASK, [row(0, report, day="monday")], [record(0)])
    (text,) = mistakes.error_examples(errors)["text"]
    assert "The gym on monday." in text and len(text) < 260
    assert mistakes.error_examples(errors.head(0)).empty


@given(st.text(alphabet="ab .", max_size=120), st.text(alphabet="ab", max_size=3), st.integers(10, 60))
def test_an_excerpt_is_a_piece_of_the_text(text, value, room):
    piece = mistakes.excerpt(text, [value], room)
    assert piece == text if len(text) <= room else len(piece) <= room + 4
    assert piece.removeprefix("… ").removesuffix(" …") in text


def test_an_excerpt_shows_the_value_between_whole_words():
    text = "one two three four five six seven eight nine ten"
    assert mistakes.excerpt(text, ["seven"], 24) == "… six seven eight …"
    assert mistakes.excerpt(text, ["absent"], 24) == "one two three four five …"
    assert mistakes.excerpt(text, ["ten"], 24).endswith("nine ten")


def test_an_unparsable_output_is_a_parse_error_of_every_field_and_in_a_dialogue_of_its_own():
    assert kinds(row(0, name="call"), failed(0, "x")) == dict.fromkeys(TASK.fields, "parse")
    gold = told()
    raw = "\n".join(
        '{"Location": ["library' if name == "Location" else json.dumps({name: gold.target[name]})
        for name in CRIME.chat.questions
    )
    found = {"id": gold.id, "prediction": CRIME.chat.parse_output(raw)[0], "raw": raw, "confidence": None}
    errors = mistakes.classify_errors(CRIME, [gold], [found])
    assert list(zip(errors["field"], errors["kind"])) == [("Location", "parse")]


def test_meaning_aware_match_forgives_form_alone():
    nothing = mistakes.equivalence_table(TASK, [row(0)], {"model": [failed(0, "x")]}, seed=1)
    assert nothing.loc["model", "equivalent_match"] == 0
    line = mistakes.equivalence_table(TASK, GOLD, {"model": RECORDS}, seed=1).loc["model"]
    assert (line["exact_match"], line["equivalent_match"], line["convention_share"]) == (0.25, 0.5, 0.25)
    assert line["low"] <= 0.5 <= line["high"]


# -- label errors -----------------------------------------------------------------------------------------------------
def test_confident_disagreements_are_label_issues_and_need_support_from_elsewhere_to_become_suspects():
    """The model is unsure of every tenth row, and sure about three with wrong labels."""
    generator, wrong, gold, records = random.Random(1), {7, 31, 90}, [], []
    for at in range(200):
        unsure = at % 10 == 5
        gold.append(row(at, text="call", name="bad" if at in wrong else "call"))
        sure = 0.3 + 0.3 * generator.random() if unsure else 0.93 + 0.06 * generator.random()
        stated = {"name": 0.995 if at in wrong else sure, "day": 0.9, "people": 0.9}
        records.append(record(at, name="cal" if unsure else "call", confidence=stated))
    gold[31] = row(31, text="call bad", name="bad")  # this label does stand in the text
    table = label_errors.suspected_labels(TASK, gold, records, {})
    assert len(table) == 23 and set(table[table["issue"]]["id"]) == wrong == set(table["id"][:3])
    assert set(table["id"][table["suspect"]]) == {7, 90}
    rules = {"rules": [record(one.id, name="call") for one in gold]}
    table = label_errors.suspected_labels(TASK, gold, records, rules)
    assert set(table["id"][table["suspect"]]) == wrong
    table = label_errors.suspected_labels(TASK, GOLD, RECORDS, {"rules": RECORDS})  # state no confidence
    assert table.empty and "suspect" in table


# -- the most that can be reached -------------------------------------------------------------------------------------
def test_the_oracle_writes_what_the_majority_of_train_would_write():
    task = load_task("calendar")

    def event(hours, written):
        output = dict.fromkeys(task.fields) | {"action": "Nap", "duration": written}
        return task.rows.parse({"event_text": f"Nap for {hours}hr", "output": output}, hours)

    train = [event(hours, f"{hours} hours") for hours in range(2, 9)]
    right = mistakes.oracle_match(task, train, [event(4, "4 hours"), event(5, "5hr")])
    assert right.tolist() == [True, False]
    text = tell("ceiling", right)
    assert "**50.0 %**" in text and "9.5 % to 90.5 %" in text
