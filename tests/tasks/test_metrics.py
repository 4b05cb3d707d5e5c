"""Scores of fields and of tagged sentences against values worked out by hand, and against seqeval."""

import math

import numpy as np
import pytest
from crime_rows import TASK as CRIME
from crime_rows import headed, told
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from tiny_encoder import TAGS, sentence
from tiny_task import TASK, failed, record, row

from helpers.evaluation import slices
from helpers.tasks import load_task, metrics
from helpers.tasks.bio import to_iob2

GOLD = [
    row(0, name="budget talk", day="monday", people=["Ann", "Bo"]),
    row(1, name="lunch", day=None, people=["Cy"]),
    row(2, name="swim", day="tuesday", people=None),
    row(3, name="call", day=None, people=None),
]
RECORDS = [
    record(0, "budget talk", "monday", ["Bo", "Ann"]),  # order of people differs
    record(1, "team lunch", "monday", ["Cy"]),  # name too long, day invented
    record(2, "swim", "tuesday", None),  # right
    failed(3, '{"name": "ca'),
]


def test_score_of_a_worked_example():
    scores = metrics.score(TASK, GOLD, RECORDS)
    assert scores["exact_match"] == 1 / 4
    # right: row 0 two of three, row 1 one, row 2 three, row 3 none (its empty fields do not count as right)
    assert scores["field_accuracy"] == 6 / 12
    # hits 1+1+2, 0+0+1, 1+1, 0 = 7; gold values 4+2+2+1 = 9; predicted 4+3+2+0 = 9
    assert scores["exact_f1"] == pytest.approx(2 * 7 / 18)
    # filled pairs: row 0 three at 1; row 1 name 2/3, day 0, people 1; row 2 two at 1; row 3 name 0
    assert scores["token_f1"] == pytest.approx((3 + 2 / 3 + 0 + 1 + 2 + 0) / 9)
    # presence: both 3+2+2+0 = 7; gold 3+2+2+1 = 8; predicted 3+3+2+0 = 8
    assert scores["presence_f1"] == pytest.approx(14 / 16)
    assert scores["json_validity"] == 3 / 4
    assert scores["complete_fields"] == 3 / 4
    assert scores["parse_errors"] == {"truncated": 1}
    assert scores["response_length"] == pytest.approx(np.mean([len(one["raw"]) for one in RECORDS]))


def test_field_table_of_a_worked_example():
    table = metrics.field_table(TASK, metrics.field_results(TASK, GOLD, RECORDS))
    assert list(table.index) == list(TASK.fields)
    day = table.loc["day"]
    assert (day["precision"], day["recall"], day["f1"], day["support"]) == (2 / 3, 1.0, 0.8, 2)
    assert table.loc["people", "accuracy"] == 2 / 4  # order counts here …
    assert table.loc["people", "f1"] == 1.0  # … and does not here
    assert table.loc["name", ["precision", "recall"]].tolist() == [2 / 3, 2 / 4]
    empty = metrics.field_table(TASK, metrics.field_results(TASK, [row(0)], [record(0)]))
    assert empty["f1"].isna().all() and (empty["accuracy"] == 1).all(), "nothing to find"


def test_values_are_compared_after_normalisation_and_no_prediction_is_never_right():
    assert metrics.exact_match(TASK, [row(0, name="Ann’s  9\u202fam")], [record(0, name="Ann's 9 am")])[0]
    assert not metrics.exact_match(TASK, [row(0, name="Ann")], [record(0, name="ann")])[0]
    assert metrics.exact_match(TASK, [row(0)], [failed(0, "")]).tolist() == [False]
    assert metrics.score(TASK, [row(0)], [failed(0, "")])["parse_errors"] == {"no output": 1}


def test_rows_and_records_must_belong_together():
    with pytest.raises(ValueError, match="no prediction for 3 rows, first 1"):
        metrics.score(TASK, GOLD, RECORDS[:1])
    with pytest.raises(ValueError, match="more than one prediction for 1 rows, first 0"):
        metrics.score(TASK, GOLD, [*RECORDS, RECORDS[0]])
    with pytest.raises(ValueError, match="without a label"):
        metrics.score(TASK, GOLD[:3], RECORDS)
    assert metrics.score(TASK, GOLD, RECORDS[::-1])["exact_match"] == 1 / 4


def test_token_f1():
    for gold, predicted, f1 in (
        (["the budget talk"], ["Budget talk!"], 0.8),  # 2 shared of 3 + 2 words
        (["a a b"], ["a b b"], 2 / 3),  # bags: one a and one b shared
        (["Ann", "Bo"], ["Bo", "Ann"], 1.0),
        (["🎉"], ["🎈"], 0.0),
    ):
        assert metrics.token_f1(gold, predicted) == pytest.approx(f1)


TARGETS = st.fixed_dictionaries(
    {
        "name": st.none() | st.text(min_size=1).filter(lambda text: text.strip()),
        "day": st.none() | st.sampled_from(["monday", "tue"]),
        "people": st.none() | st.lists(st.sampled_from("ABC"), min_size=1),
    }
)


@settings(max_examples=30)
@given(st.lists(st.tuples(TARGETS, TARGETS), min_size=1, max_size=6))
def test_scores_stay_in_range_and_perfect_predictions_score_one(pairs):
    gold = [row(number, **target) for number, (target, _) in enumerate(pairs)]
    scores = metrics.score(TASK, gold, [record(number, **other) for number, (_, other) in enumerate(pairs)])
    assert all(math.isnan(scores[name]) or 0 <= scores[name] <= 1 for name in metrics.WRITTEN)
    assert scores["exact_match"] <= scores["field_accuracy"] + 1e-12
    perfect = metrics.score(TASK, gold, [record(at, **target) for at, (target, _) in enumerate(pairs)])
    assert all(math.isnan(perfect[name]) or perfect[name] == 1 for name in metrics.WRITTEN)


def test_intervals_hold_the_scores():
    gold = [row(number, name="a" if number % 3 else "b") for number in range(30)]
    records = [record(number, name="a") for number in range(30)]
    scores, bounds = metrics.score(TASK, gold, records), metrics.intervals(TASK, gold, records, seed=1)
    assert set(bounds) == set(metrics.WRITTEN)
    assert all(low <= scores[name] <= high for name, (low, high) in bounds.items())
    assert bounds["exact_match"][0] < scores["exact_match"] < bounds["exact_match"][1]
    wilson = [30 / (30 + 1.959964**2), 1.0]  # at 30 of 30
    assert bounds["json_validity"] == pytest.approx(wilson, abs=1e-5)


def test_soft_scores_of_a_worked_example():
    gold = [
        row(0, "", "the Budget talk", "monday", ["Ann", "Bo"]),
        row(1, "", "lunch", "tue", ["Cy", "Dee"]),
        row(2),
    ]
    # article, case, mark, spelling and order differ in the first row
    records = [record(0, "budget talk.", "Mon", ["Bo", "ann"]), record(1, "team lunch", "tuesday", ["Cy"])]
    records.append(failed(2, "{"))
    results = metrics.field_results(TASK, gold, records)
    soft = metrics.soft_scores(TASK, results)
    assert soft["soft_exact_match"] == pytest.approx(1 / 3)
    assert not metrics.exact_match(TASK, gold, records).any()
    # pairs 4 + (0 + 1 + 1) of 4 + 4 gold and 4 + 3 predicted values
    assert soft["soft_f1"] == pytest.approx(2 * 6 / 15)


def test_lists_are_right_in_meaning_where_each_value_has_its_own_partner():
    day = TASK.kinds["day"]
    assert metrics.soft_right(day, ["mon", "tue"], ["Tuesday", "Monday"])
    assert not metrics.soft_right(day, ["mon", "tue"], ["monday", "mon"])
    assert not metrics.soft_right(day, ["mon"], [])
    for gold, predicted, hits in (
        ([], ["a"], 0),
        (["12 Quay Lane, Arden"], ["12 Quay Lane Arden"], 1),
        (["CCTV footage"], ["a torn glove"], 0),
        (["two fingerprints"], ["two fingerprints", "two fingerprint"], 1),
        # the first could go with either, the second only with the first: pairing greedily would lose one
        (["abcdefghij", "abcdefghiX"], ["abcdefghij", "abcdefgkij"], 2),
    ):
        assert metrics.fuzzy_hits(gold, predicted) == hits


def test_where_f1_is_the_headline_a_row_adds_its_values_missed_and_made_up():
    rows = [headed(), told()]
    answers = [rows[0].target | {"Crime_Type": ["Theft"]}, rows[1].target]
    records = [
        {"id": at, "prediction": one, "raw": CRIME.chat.completion(one), "confidence": None}
        for at, one in enumerate(answers)
    ]
    parts = slices.row_parts(CRIME, rows, records)
    assert (parts["bottom"] - parts["top"]).tolist() == [2, 0]
    assert slices.group_score(CRIME, rows, records) == metrics.score(CRIME, rows, records)["exact_f1"]


def test_f1_of_values_that_train_has_not():
    train = [row(9, name="Swim", people=["Ann"])]
    gold = [row(0, name="swim", people=["Bo", "Cy"])]
    results = metrics.field_results(TASK, gold, [record(0, "swim", people=["Bo", "Ann"])])
    # of the unseen Bo and Cy one is found; Ann and swim are known
    assert metrics.unseen_f1(TASK, train, results) == pytest.approx(2 / 3)
    assert math.isnan(metrics.unseen_f1(TASK, train, results[results["field"] == "name"]))


# -- tagged sentences -------------------------------------------------------------------------------------------------
IT = load_task("it_ner")
SENTENCES = [
    sentence("Visual/B-SOFTWARE Studio/I-SOFTWARE 2019/B-VERSION on Windows/B-OS", 3),
    sentence("nothing here", 5),
]


def tagged(index, *tags):
    return {"id": index, "prediction": list(tags)}


def test_scores_of_a_worked_example_of_sentences():
    # 3 gold entities; 3 predicted: one right, one with a wrong border, one invented
    found = [tagged(5, "B-OS", "O"), tagged(3, "B-SOFTWARE", "O", "B-VERSION", "O", "O")]
    scores = metrics.score(IT, SENTENCES, found)
    assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx([1 / 3] * 3)
    assert scores["accuracy"] == pytest.approx(4 / 7) and scores["exact_match"] == 0
    # wrong: SOFTWARE and OS of one row, OS of the other
    assert scores["field_accuracy"] == pytest.approx(7 / 10)
    table = metrics.field_table(IT, metrics.field_results(IT, SENTENCES, found))
    assert table.loc["OS", ["f1", "support"]].tolist() == [0, 1] and table.loc["VERSION", "f1"] == 1
    assert table.loc["SOFTWARE", "f1"] == 0 and math.isnan(table.loc["ERROR", "f1"])
    assert {name: cells["support"] for name, cells in scores["fields"].items()} == table["support"].to_dict()


def test_what_is_inside_missing_or_nowhere_in_sentences():
    found = [tagged(3, "I-SOFTWARE", "I-SOFTWARE", "I-VERSION", "O", "I-OS"), tagged(5, "O", "O")]
    assert metrics.score(IT, SENTENCES, found)["f1"] == 1, "an inside tag may begin an entity"
    missed = metrics.score(IT, SENTENCES, [{"id": 3, "prediction": None}, tagged(5, "O", "O")])
    assert (missed["recall"], missed["f1"], missed["invalid"], missed["exact_match"]) == (0, 0, 1, 0.5)
    assert math.isnan(metrics.score(IT, SENTENCES[1:], [tagged(5, "O", "O")])["f1"])
    assert metrics.score(IT, SENTENCES, [tagged(3, *"OOOOO"), tagged(5, "O", "O")])["precision"] == 0
    with pytest.raises(ValueError, match="no rows"):
        metrics.score(IT, [], [])


TAGGED = st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1, max_size=8)


@settings(max_examples=40)
@given(st.lists(TAGGED, min_size=1, max_size=4))
def test_counts_and_seqeval_agree(rows):
    gold, found = ([to_iob2([pair[side] for pair in row]) for row in rows] for side in (0, 1))
    examples = [sentence(" ".join(f"w/{tag}" for tag in tags), index) for index, tags in enumerate(gold)]
    ours = metrics.score(IT, examples, [tagged(index, *tags) for index, tags in enumerate(found)])
    if not any(tag != "O" for tags in (*gold, *found) for tag in tags):
        assert metrics.entity_f1(gold, found) == 0  # seqeval has no answer
        return
    how = {"output_dict": True, "mode": "strict", "scheme": IOB2, "zero_division": 0}
    theirs = classification_report([*map(list, gold)], [*map(list, found)], **how)
    assert metrics.entity_f1(gold, found) == pytest.approx(ours["f1"])
    labels = {label: cells for label, cells in ours["fields"].items() if label in theirs}
    for label, one in {"micro avg": ours, **labels}.items():
        wanted = [theirs[label][name] for name in ("precision", "recall", "f1-score")]
        assert [one[name] for name in ("precision", "recall", "f1")] == pytest.approx(wanted)
