"""The crime task: rows, answers, grammars, what makes an answer right, and the file that is for measuring only."""

import json

import pytest
from crime_rows import HEADED, HEADED_ANSWERS, QUESTIONS, TASK, TOLD, conversation, example, headed, told
from grammars import accepts
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz import fuzz, process

from helpers.data.read import load_source
from helpers.data.splits import make_splits
from helpers.evaluation import measured, mistakes
from helpers.evaluation.transfer import rows_of_file
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks import metrics
from helpers.tasks.crime.report import normalise_report, sections
from helpers.tasks.text import places
from helpers.views import explore
from helpers.writing import chat


def parse(text: str):
    return TASK.rows.parse({"conversation": text}, 0)


# -- rows -------------------------------------------------------------------------------------------------------------
def test_row_is_read_into_report_and_all_types():
    row = example(HEADED.replace("\n", "  \n").replace("12 Quay", "12\u00a0 Quay"))
    assert row.text == HEADED  # with its lines, without other space
    assert row.target == {name: HEADED_ANSWERS.get(name, []) for name in TASK.fields}
    # numbers become text, and types that are not asked for are empty
    asked = ("Victim_Age", "Location")
    row = parse(conversation(answers={"Victim_Age": [34, 41.5], "Location": [" x  y "]}, questions=asked))
    assert row.target["Victim_Age"] == ["34", "41.5"] and row.target["Location"] == ["x y"]
    assert row.target["Crime_Type"] == []
    assert TASK.rows.write(row)["conversation"].count("User: What describes") == 2


line = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=40)
answer = st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=20), max_size=3)


@given(st.lists(line, min_size=1, max_size=6), st.dictionaries(st.sampled_from(QUESTIONS), answer))
def test_any_row_that_is_read_can_be_written(lines, answers):
    if not normalise_report("\n".join(lines)) or any("read this text." in line for line in lines):
        return
    row = parse(conversation("\n".join(lines), answers))
    assert TASK.rows.parse(TASK.rows.write(row), 0) == row


PLACE = '{"Location": ["12 Quay Lane, Port Arden"]}'


def test_a_row_that_does_not_parse_says_which_turn_is_wrong():
    for old, new, reason in (
        ("A virtual assistant", "An assistant", "line 1 should be"),
        ("User: Text:", "User: Report:", "turn 1 should begin"),
        ("I’ve read this text.", "Fine.", "turn 2 is missing"),
        (HEADED, "", "turn 1 holds no report"),
        ("What describes Location in", "What describes Weather in", "unknown type 'Weather'"),
        ("Officer_BadgeNumber", "Location", "turn 5 asks for Location a second time"),
        (conversation().split("\n")[-1], "", "turn 38, the answer to Suspect_Description, is missing"),
        (f"Assistant: {PLACE}", f"Bot: {PLACE}", "turn 4, the answer to Location, is missing or does not"),
        (PLACE, PLACE[:-3], "turn 4, the answer to Location"),
        (PLACE, '{"Location": "12"}', "not a list"),
        (PLACE, '{"Place": ["12"]}', "wrong key"),
    ):
        with pytest.raises(ValueError, match=reason) as error:
            parse(conversation().replace(old, new))
        assert "\n" not in str(error.value)
    for row, reason in (
        ({}, "is missing"),
        ({"conversation": 3}, "no string"),
        ({"id": 1}, "unknown key 'id'"),
    ):
        with pytest.raises(ValueError, match=reason):
            TASK.rows.parse(row, 0)


def test_public_split_is_shuffled_once_and_keeps_its_test_file():
    lines = {
        "dataset.jsonl": b"\n".join(b'{"conversation": "%d"}' % n for n in range(250)),
        "test_dataset.jsonl": b'{"conversation": "t"}\n',
    }
    parts = TASK.hooks.split_public(lines)
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 225, "validation": 25, "test": 1}
    numbers = [int(row["conversation"]) for row in parts["validation"] + parts["train"]]
    assert sorted(numbers) == list(range(250)) and numbers.index(0) == 88  # random.Random(42)


# -- answers ----------------------------------------------------------------------------------------------------------
def test_answer_is_parsed_strictly():
    for raw, values in (('{"Location": ["a", 3]}', ["a", "3"]), (' {"Location": []}\n', [])):
        assert TASK.chat.parse_answer("Location", raw) == (values, None)
    for raw, error in (
        ('{"Location": ["a"', "truncated"),
        ('{"Place": []}', "wrong key"),
        ('{"Location": [], "Place": []}', "extra keys"),
        ('{"Location": {}}', "not a list"),
        ('{"Location": [true]}', "wrong type"),
    ):
        assert TASK.chat.parse_answer("Location", raw) == (None, error)


def test_an_answer_that_does_not_parse_fails_alone():
    raw = [TASK.chat.answer(headed().target, name) for name in QUESTIONS]
    broken = [*raw]
    broken[QUESTIONS.index("Crime_Type")] = '{"Crime_Type": ["Burglary"'
    broken[QUESTIONS.index("Victim_Age")] = "none"  # the label is empty, and so is what was understood

    def scores(lines):
        text = "\n".join(lines)
        return metrics.score(
            TASK, [headed()], [{"id": 0, "raw": text, "prediction": TASK.chat.parse_output(text)[0]}]
        )

    whole, part = scores(raw), scores(broken)
    assert whole["json_validity"] == whole["exact_match"] == whole["field_accuracy"] == whole["exact_f1"] == 1
    assert part["json_validity"] == part["field_accuracy"] == pytest.approx(16 / 18)
    assert part["parse_errors"] == {"not json": 1, "truncated": 1}
    assert part["recall"] == pytest.approx(15 / 16) and part["precision"] == 1
    assert part["empty_accuracy"] == pytest.approx(3 / 4)


# -- grammars ---------------------------------------------------------------------------------------------------------
def taken(report: str, name: str, *values: object) -> tuple[bool, bool]:
    """Whether the free grammar takes these values as an answer, and whether the one held to the text does."""
    answer = json.dumps({name: values}, ensure_ascii=False)
    return tuple(accepts(TASK.chat.grammar(report, way, name), answer) for way in ("schema", "source"))


def test_source_holds_values_to_words_of_one_line():
    for value, wanted in (
        ("Harbour Bakery", (True, True)),
        ("Not provided", (True, True)),
        ("Harbour Shop", (True, False)),  # not in the report
        ("arbour Bakery", (True, False)),  # half a word
        ("Port Arden\n**Reporting Officer:** Sergeant", (True, False)),  # over a line's end
        ("", (False, False)),
        (3, (False, False)),
    ):
        assert taken(HEADED, "Victim_Name", "Ines Calder", value) == wanted, value
    assert taken(HEADED, "Victim_Age") == (True, True)


def test_source_knows_shared_surnames_and_ages_and_takes_many_long_values():
    report = "**Description of Victim(s):** Mr. and Mrs. Holm, ages 45 and 43, called John and Mary Holm."
    assert taken(report, "Victim_Name", "Mr. Holm", "John Holm") == (True, True)
    assert taken(report, "Location", "John Holm") == (True, False)
    assert taken(report, "Victim_AgeRange", "Adult") == (True, True)
    assert taken("A thirty-eight-year-old man.", "Victim_Age", "thirty-eight") == (True, True)
    assert taken("A thirty-eight-year-old man.", "Victim_Age", "thirty") == (True, False)
    items = [f"item {number}, " + "seized at the pier " * 20 + f"on day {number}" for number in range(20)]
    assert taken(f"**Evidence Collected:** {'; '.join(items)}", "Evidence_Type", *items) == (True, True)


def test_sections_are_found_by_their_headings():
    found = sections("WITNESSES\n- Ann Lee\n- Bo Day\nLocation: Pier 4")
    contents = {section.name: section.content for section in found}
    assert contents == {"witnesses": "- Ann Lee\n- Bo Day", "location": "Pier 4"}


def test_notices_name_their_style_and_are_of_the_test_part_alone(tmp_path):
    row = parse(conversation(TOLD))
    notice = TASK.rows.parse({"conversation": conversation(TOLD), "style": "blotter"}, 0)
    assert TASK.rows.write(notice)["style"] == "blotter" and "style" not in TASK.rows.write(row)
    assert [one["layout"] for one in TASK.hooks.slices([row, notice])] == ["narrative", "notice"]
    run = Run("crime", out=str(tmp_path))
    parts = make_splits(run, load_source(run)).parts
    styles = {part: {row.extra.get("style") for row in rows} for part, rows in parts.items()}
    assert styles["test"] == {None, "press release", "blotter", "log"}
    assert styles["train"] == styles["validation"] == {None}


def test_the_third_layout_is_near_no_report_of_the_sample_and_holds_its_values():
    rows = rows_of_file(TASK, ROOT / "data" / "crime" / "third_layout.jsonl")
    sample = load_source(Run("crime", "cpu", data="sample"))["all"]
    near = process.cdist([row.text for row in rows], [row.text for row in sample], scorer=fuzz.ratio)
    assert len(rows) == 24 and near.max() < 60
    for row in rows:
        for name in ("Location", "Officer_Name", "Crime_Date", "Crime_Summary", "Evidence_Type"):
            assert all(places(value, row.text) for value in row.target[name]), (row.id, name)


# -- what is right ------------------------------------------------------------------------------------------------------
def test_a_negation_of_what_is_told_or_found_says_nothing():
    kind = TASK.kinds["Suspect_Description"]
    for nothing, values in (
        (True, ["n/a", "Not yet identified.", "No description available", "None at this time"]),
        (True, ["No clear description was given", "Nobody described the rider"]),
        (False, ["No taller than a boy, in a green coat", "one not seen from the front", "Noah Nonesuch"]),
    ):
        for value in values:
            assert kind.says_nothing(value) == nothing == kind.equivalent(value, "Not provided"), value


def test_equivalence_forgives_articles_stops_and_order_only():
    assert TASK.kinds["Evidence_Type"].equivalent("a torn glove", "Torn glove.")
    assert TASK.kinds["Witness_Name"].equivalent("Not provided", "None identified")
    assert not TASK.kinds["Victim_Name"].equivalent("Ada Holm", "Ada Holt")
    evidence = ["two fingerprints", "a torn glove", "Pry bar", "Pry bar"]
    assert TASK.values({**headed().target, "Evidence_Type": evidence}) == TASK.values(headed().target)


def test_a_value_without_its_form_is_no_answer():
    for name, sound, flawed in (
        ("Victim_Age", ["34", "thirty-eight", "Not provided"], ["clerk", "34 Mill Lane", "Adult"]),
        ("Crime_Date", ["3 May 2023", "4 mei"], ["yesterday"]),
        ("Crime_Time", ["10:30", "half past ten", "noon"], ["the evening"]),
        ("Victim_Email", ["a@b.example"], ["Ines Calder"]),
        ("Officer_BadgeNumber", ["W-31"], ["badge"]),
    ):
        assert not any(map(TASK.kinds[name].flaw, sound)) and all(map(TASK.kinds[name].flaw, flawed)), name


def test_words_for_nothing_are_an_error_class_of_their_own():
    for changes, kind in (
        ({"Witness_Name": []}, mistakes.NOTHING),
        ({"Victim_Manager": ["N/A"]}, mistakes.NOTHING),
        ({"Witness_Name": ["Not provided"]}, mistakes.NORMALISATION),
    ):
        target = headed().target | changes
        record = {"id": 0, "prediction": target, "raw": TASK.chat.completion(target), "confidence": None}
        errors = mistakes.classify_errors(TASK, [headed()], [record])
        assert errors[["kind", "field"]].to_numpy().tolist() == [[kind, *changes]]


def test_published_results_stand_beside_ours(monkeypatch):
    monkeypatch.setattr(measured, "is_public", lambda run: True)
    ours = {name: 0.9 for name in metrics.WRITTEN} | {"token_accuracy": 0.98, "loss": 0.1, "fields": {}}
    run = type("R", (), {"task": TASK})
    table = measured.published_table(run, {"full": ours, "base_zero_shot": {"loss": 0.7}}, "full")
    found = table.loc["this run: full", ["exact_f1", "token_accuracy", "loss", "loss_before"]]
    assert found.tolist() == [0.9, 0.98, 0.1, 0.7]


def test_lengths_are_those_of_the_whole_chat(tokenizer):
    frame = explore.lengths({"train": [headed(), told()]}, TASK, tokenizer)
    whole = chat.render(tokenizer, TASK.chat.conversation(told()))
    assert frame["tokens"].iloc[1] == len(tokenizer(whole, add_special_tokens=False)["input_ids"])
    assert (frame["prompt_tokens"] < frame["tokens"]).all()
