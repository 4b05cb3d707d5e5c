"""Crime reports as spans: places of labels, what train rows teach about them, and values from marked places."""

import json
from dataclasses import asdict

import torch
from crime_rows import HEADED, HEADED_ANSWERS, TASK, TOLD, TOLD_ANSWERS, example, headed, told

from helpers.tagging.encode import spans_of_tags, tags_of_spans, widen
from helpers.tasks.crime.spans import Conventions, learn_conventions, value_spans, values_of_spans
from helpers.tasks.text import word_units


def pieces(row, name):
    spans = value_spans(row)[name]
    return None if spans is None else [row.text[start:end] for start, end in spans]


def marked(text, train=(), **words):
    """Values of a text whose types have their first places marked by words, with what train rows teach."""
    spans = {name: [(text.index(one), text.index(one) + len(one))] for name, one in words.items()}
    return values_of_spans(text, spans, learn_conventions(train))


def victim(age, group):
    """A headed report about a person of that age; labels give the group."""
    text = HEADED.replace(
        "Harbour Bakery, Owner: Ines Calder, Email: ines@harbourbakery.example", f"Ada Holm, {age} years old"
    )
    answers = {**HEADED_ANSWERS, "Victim_Name": ["Ada Holm"], "Victim_Owner": [], "Victim_Email": []}
    return example(text, {**answers, "Victim_Age": [str(age)], "Victim_AgeRange": [group] if group else []})


# -- places -----------------------------------------------------------------------------------------------------------
def test_every_value_is_found_under_its_own_heading_first_or_its_type_is_unknown():
    assert {name: pieces(headed(), name) for name in TASK.fields} == headed().target
    text = HEADED.replace("**Location:**", "\n**Location:**")
    text = f"Report of Sergeant Mila Brandt, 21:15 hours\n\n{text}"
    spans = value_spans(example(text, HEADED_ANSWERS))
    assert text[: spans["Officer_Name"][0][0]].endswith("Reporting Officer:** ")
    assert text[: spans["Crime_Time"][0][0]].endswith("at ")
    # a type with a value that is not in the report is unknown
    row = example(HEADED, {**HEADED_ANSWERS, "Victim_AgeRange": ["Adult"], "Witness_Name": ["Rolf Unseen"]})
    spans = value_spans(row)
    assert (spans["Victim_AgeRange"], spans["Witness_Name"], spans["Victim_Age"]) == (None, None, [])


def test_a_name_within_another_a_value_given_twice_and_an_age_within_its_word():
    text = TOLD + " Ms Moreau will be asked again. Rita Moreau agreed."
    row = example(text, {**TOLD_ANSWERS, "Witness_Name": ["Moreau", "Rita Moreau", "Rita Moreau"]})
    whole, part = value_spans(row)["Witness_Name"]
    assert text[slice(*whole)] == "Rita Moreau" and text[part[0] - 3 : part[1]] == "Ms Moreau"
    twice = {"Witness_Name": [whole, (text.rindex("Rita"), text.rindex("Rita") + len("Rita Moreau"))]}
    assert values_of_spans(text, twice, Conventions())["Witness_Name"] == ["Rita Moreau"]
    inside = example(TOLD, {**TOLD_ANSWERS, "Witness_Name": ["Rita Moreau", "Moreau"]})
    assert pieces(inside, "Witness_Name") == ["Rita Moreau"]
    text = TOLD.replace("Jonas Weil (34)", "Jonas Weil, a 34-year-old clerk")
    row = example(text, TOLD_ANSWERS)
    assert pieces(row, "Victim_Age") == ["34-year-old"]
    assert values_of_spans(text, value_spans(row), learn_conventions([row]))["Victim_Age"] == ["34"]


def test_marked_places_give_the_labels_back():
    for row in (headed(), told()):
        units, found = word_units(row.text), {}
        for name, spans in value_spans(row).items():
            tags = tags_of_spans(units, [spans])[:, 0].tolist()
            sure = spans_of_tags(tags, units, torch.zeros(len(units), 3))
            found[name] = [widen(span, row.text) for span, _ in sure]
        learnt = TASK.hooks.learn_conventions([row])
        assert TASK.values(TASK.from_spans(row.text, found, learnt)) == TASK.values(row.target)


# -- conventions ------------------------------------------------------------------------------------------------------
def test_stops_of_abbreviations_teach_nothing_about_full_stops():
    def at(time, told_time="noon"):
        text = TOLD.replace("half past ten", told_time).replace("ride away.", f"ride away at {time}.")
        return example(text, {**TOLD_ANSWERS, "Crime_Time": [time], "Crime_Summary": []})

    evening = example(TOLD.replace("half past ten", "9 p.m."), {"Crime_Time": ["9 p.m."]})
    train = [evening] * 3 + [at("21:15")]
    assert learn_conventions(train).stops["Crime_Time"][""] is False
    assert marked(at("23:10").text, train, Crime_Time="23:10")["Crime_Time"] == ["23:10"]


def test_a_stop_after_an_address_or_a_number_is_the_sentences_and_a_currency_sign_the_amounts():
    text = (
        TOLD
        + " He is 7. Write to rita@moreau.example. She lives at 4. That is all at 9 p.m. today. £50 fell."
    )
    words = {"Victim_Age": "7.", "Victim_Email": "rita@moreau.example.", "Crime_Time": "9 p.m."}
    found = marked(text, **words, Location="at 4.", Evidence_Type="50")
    assert [found[name] for name in words] == [["7"], ["rita@moreau.example"], ["9 p.m."]]
    assert (found["Location"], found["Evidence_Type"]) == (["at 4"], ["£50"])
    kept = example(TOLD + " They live at Dock 4. So they say.", {**TOLD_ANSWERS, "Location": ["Dock 4."]})
    assert marked(kept.text, [kept] * 3, Location="Dock 4.")["Location"] == ["Dock 4."]


def test_groups_of_ages_are_learnt_and_survive_json_and_a_stated_one_wins():
    train = [victim(34, "Adult"), victim(37, "Adult"), victim(22, "Young Adult"), victim(61, None)]
    assert marked(victim(33, None).text, train, Victim_Age="33")["Victim_AgeRange"] == ["Adult"]
    assert marked(victim(65, None).text, train, Victim_Age="65")["Victim_AgeRange"] == []
    stated = marked(victim(33, None).text, train, Victim_Age="33", Victim_AgeRange="years old")
    assert stated["Victim_AgeRange"] == ["years old"]
    learnt = learn_conventions([victim(34, "Adult"), headed(), told(), *[headed()] * 3])
    assert learnt.stops and learnt.groups and learnt.nothing and learnt.emails
    assert Conventions(**json.loads(json.dumps(asdict(learnt)))) == learnt


def test_addresses_and_words_for_nothing_follow_the_labels():
    other = example(HEADED.replace("Burglary", "Burglary, told to press@police.example"), HEADED_ANSWERS)
    mixed = [headed(), headed(), victim(30, None), other]
    found = [marked(HEADED, train)["Victim_Email"] for train in ([headed()] * 3, mixed, [headed()] * 2)]
    assert found == [["ines@harbourbakery.example"], [], []]
    # words for nothing become what labels make of them
    rows = [example(HEADED, {**HEADED_ANSWERS, "Witness_Name": ["Not provided"]})] * 3
    assert marked(HEADED, rows, Witness_Name="None identified")["Witness_Name"] == ["Not provided"]
    assert marked(HEADED, rows[:2], Witness_Name="None identified")["Witness_Name"] == ["None identified"]
