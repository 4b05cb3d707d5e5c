"""The crime task as spans: places of labels, what train rows teach about them, and values from marked places."""

from __future__ import annotations

import json

import torch
from crime_rows import HEADED, HEADED_ANSWERS, TASK, TOLD, TOLD_ANSWERS, example, headed, told

from helpers.tagging.encode import spans_of_tags, tags_of_spans, widen
from helpers.tasks import metrics
from helpers.tasks.crime.spans import learn_conventions, section_spans, value_spans, values_of_spans
from helpers.tasks.crime.text import FIELDS
from helpers.tasks.text import word_units


def pieces(row, name):
    spans = value_spans(row)[name]
    return None if spans is None else [row.text[start:end] for start, end in spans]


def test_sections_stand_where_their_content_does():
    found = section_spans(HEADED)
    ((start, end),) = found["victims"]
    assert HEADED[start:end] == ":** Harbour Bakery, Owner: Ines Calder, Email: ines@harbourbakery.example"
    ((start, end),) = found["status"]
    assert HEADED[start:end] == ":** Under Investigation"


def test_every_value_is_found_and_its_own_heading_comes_first():
    assert {name: pieces(headed(), name) for name in FIELDS} == {
        name: HEADED_ANSWERS.get(name, []) for name in FIELDS
    }
    text = f"Report of Sergeant Mila Brandt, 21:15 hours\n\n{HEADED}".replace(
        "**Location:**", "\n**Location:**"
    )
    row = example(text, HEADED_ANSWERS)
    ((start, _),) = value_spans(row)["Officer_Name"]
    assert text[:start].endswith("Reporting Officer:** ")
    ((start, _),) = value_spans(row)["Crime_Time"]
    assert text[:start].endswith("at ")


def test_a_name_within_another_and_a_value_given_twice():
    text = TOLD + " Ms Moreau will be asked again. Rita Moreau agreed."
    row = example(text, {**TOLD_ANSWERS, "Witness_Name": ["Moreau", "Rita Moreau", "Rita Moreau"]})
    whole, part = value_spans(row)["Witness_Name"]
    assert text[slice(*whole)] == "Rita Moreau" and text[part[0] - 3 : part[1]] == "Ms Moreau"
    spans = {
        "Witness_Name": [whole, (text.rindex("Rita Moreau"), text.rindex("Rita Moreau") + len("Rita Moreau"))]
    }
    assert values_of_spans(text, spans, learn_conventions([]))["Witness_Name"] == ["Rita Moreau"]


def test_stops_of_abbreviations_teach_nothing_about_full_stops():
    def at(time: str):
        return example(
            TOLD.replace("half past ten", "noon").replace("ride away.", f"ride away at {time}."),
            {**TOLD_ANSWERS, "Crime_Time": [time], "Crime_Summary": []},
        )

    evening = example(
        TOLD.replace("half past ten", "9 p.m."),
        {**TOLD_ANSWERS, "Crime_Time": ["9 p.m."], "Crime_Summary": []},
    )
    rows = [evening] * 3 + [at("21:15")]
    learnt = learn_conventions(rows)
    assert learnt.stops["Crime_Time", ""] is False
    row = at("23:10")
    assert values_of_spans(row.text, value_spans(row), learnt)["Crime_Time"] == ["23:10"]


def test_a_type_with_a_value_that_is_not_in_the_report_is_unknown():
    row = example(HEADED, {**HEADED_ANSWERS, "Victim_AgeRange": ["Adult"], "Witness_Name": ["Rolf Unseen"]})
    assert value_spans(row)["Victim_AgeRange"] is None and value_spans(row)["Witness_Name"] is None
    assert value_spans(row)["Victim_Age"] == []


def test_a_tagger_writes_no_text_and_all_its_answers_count():
    record = {"id": 0, "prediction": headed().target, "raw": None, "error": None, "confidence": None}
    assert not TASK.failed_fields(record)
    assert metrics.score(TASK, [headed()], [record])["field_accuracy"] == 1


def test_marked_places_give_the_labels_back():
    for row in (headed(), told()):
        learnt = learn_conventions([row])
        units, found = word_units(row.text), {}
        for name, spans in value_spans(row).items():
            tags = tags_of_spans(units, [spans])[:, 0].tolist()
            found[name] = [
                widen(span, row.text) for span, _ in spans_of_tags(tags, units, torch.zeros(len(units), 3))
            ]
        assert TASK.values(TASK.from_spans(row.text, found, learnt)) == TASK.values(row.target)


def victim(age: int, group: str | None):
    text = HEADED.replace(
        "Harbour Bakery, Owner: Ines Calder, Email: ines@harbourbakery.example", f"Ada Holm, {age} years old"
    )
    return example(
        text,
        {
            **HEADED_ANSWERS,
            "Victim_Name": ["Ada Holm"],
            "Victim_Owner": [],
            "Victim_Email": [],
            "Victim_Age": [str(age)],
            "Victim_AgeRange": [group] if group else [],
        },
    )


def test_groups_of_ages_are_learnt_and_a_stated_one_wins():
    learnt = learn_conventions(
        [victim(34, "Adult"), victim(37, "Adult"), victim(22, "Young Adult"), victim(61, None)]
    )
    row = victim(33, None)
    spans = value_spans(row)
    assert values_of_spans(row.text, spans, learnt)["Victim_AgeRange"] == ["Adult"]
    old = victim(65, None)
    assert values_of_spans(old.text, value_spans(old), learnt)["Victim_AgeRange"] == []
    place = row.text.index("years old")
    stated = values_of_spans(
        row.text, {**spans, "Victim_AgeRange": [(place, place + len("years old"))]}, learnt
    )
    assert stated["Victim_AgeRange"] == ["years old"]


def test_addresses_are_read_by_their_form_where_labels_give_every_one():
    report = HEADED.replace("Witnesses", "Contact: press@police.example\n\n**Witnesses", 1)
    unmarked = {"Crime_Date": []}
    sure, unsure = (
        learn_conventions([headed()] * 3),
        learn_conventions([headed(), headed(), victim(30, None), example(report, HEADED_ANSWERS)]),
    )
    assert values_of_spans(HEADED, unmarked, sure)["Victim_Email"] == ["ines@harbourbakery.example"]
    assert values_of_spans(HEADED, unmarked, unsure)["Victim_Email"] == []
    assert values_of_spans(HEADED, unmarked, learn_conventions([headed()] * 2))["Victim_Email"] == []


def test_words_for_nothing_become_what_labels_make_of_them():
    rows = [example(HEADED, {**HEADED_ANSWERS, "Witness_Name": ["Not provided"]}, id) for id in range(3)]
    row = headed()
    assert values_of_spans(row.text, value_spans(row), learn_conventions(rows))["Witness_Name"] == [
        "Not provided"
    ]
    assert values_of_spans(row.text, value_spans(row), learn_conventions(rows[:2]))["Witness_Name"] == [
        "None identified"
    ]


def test_a_stop_after_an_address_or_a_number_is_the_sentences():
    text = TOLD + " He is 7. Write to rita@moreau.example. She lives at 4. That is all at 9 p.m. today."
    spans = {
        "Victim_Age": "7.",
        "Victim_Email": "rita@moreau.example.",
        "Crime_Time": "9 p.m.",
        "Location": "at 4.",
    }
    found = values_of_spans(
        text,
        {name: [(text.index(value), text.index(value) + len(value))] for name, value in spans.items()},
        learn_conventions([]),
    )
    assert [found[name] for name in spans] == [["7"], ["rita@moreau.example"], ["9 p.m."], ["at 4"]]
    kept = [
        example(TOLD + " They live at Dock 4. So they say.", {**TOLD_ANSWERS, "Location": ["Dock 4."]}, id)
        for id in range(3)
    ]
    learnt = learn_conventions(kept)
    assert learnt.stops["Location", "dock"] is True
    place = kept[0].text.index("Dock 4")
    assert values_of_spans(kept[0].text, {"Location": [(place, place + 7)]}, learnt)["Location"] == [
        "Dock 4."
    ]


def test_a_value_that_stands_only_inside_another_has_no_place_of_its_own():
    row = example(TOLD, {**TOLD_ANSWERS, "Witness_Name": ["Rita Moreau", "Moreau"]})
    assert pieces(row, "Witness_Name") == ["Rita Moreau"]


def test_a_currency_sign_belongs_to_the_amount():
    report = HEADED.replace("Pry bar", "£50 in coins")
    at = report.index("50 in coins")
    found = values_of_spans(report, {"Evidence_Type": [(at, at + len("50 in coins"))]}, learn_conventions([]))
    assert found["Evidence_Type"] == ["£50 in coins"]


def test_conventions_survive_json():
    learnt = learn_conventions([victim(34, "Adult"), headed(), told(), *[headed()] * 3])
    assert learnt.stops and learnt.groups and learnt.nothing and learnt.emails
    content = json.loads(json.dumps(TASK.conventions_to_json(learnt)))
    assert TASK.conventions_from_json(content) == learnt
