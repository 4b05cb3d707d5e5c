"""The sentences say what their tables say, also where a table is empty or level; rows are shown as they are."""

from __future__ import annotations

import math

import pandas as pd
from tiny_task import TASK, failed, record, row

from helpers.evaluation import confidence, mistakes
from helpers.views import findings, inspection


# -- stage 05 ---------------------------------------------------------------------------------------------------------
def validation(**scores: float) -> pd.DataFrame:
    return pd.DataFrame({"exact_match": scores})


def test_choice_names_the_margin_the_tie_and_the_shared_rows():
    assert "with 80.0 % exact match, 5.0 points before *b*." in findings.choice(
        validation(a=0.8, b=0.75), "a", False
    )
    assert "level with *b*" in findings.choice(validation(a=0.8, b=0.8), "a", False)
    assert "a little too good" in findings.choice(validation(a=0.8), "a", True)


def test_headline_says_whether_intervals_overlap():
    table = pd.DataFrame(
        {"exact_match": [0.8, 0.3], "low": [0.7, 0.2], "high": [0.9, 0.4]}, index=["my_lora", "rules"]
    )
    text = findings.headline(table, "my_lora", "rules", 50)
    assert "On 50 rows *my lora* gets **80.0 %**" in text and "do not overlap" in text
    table.loc["rules", "high"] = 0.75
    assert "do not overlap" not in findings.headline(table, "my_lora", "rules", 50)


def test_paired_test_in_words():
    line = {
        "p_permutation": 0.04,
        "p_mcnemar": 0.0001,
        "wins": 9,
        "losses": 2,
        "difference": 0.07,
        "low": 0.01,
        "high": 0.13,
        "cohens_h": 0.2,
        "effect": "small",
    }
    text = findings.paired_test(line, "a", "b")
    assert "9 times" in text and "+7.0 points" in text and "more than chance" in text
    assert "p = 0.04" in text and "p < 0.001" in text
    assert "could well be chance" in findings.paired_test({**line, "p_permutation": 0.2}, "a", "b")


def test_field_extremes_leave_out_fields_without_values():
    table = pd.DataFrame({"f1": [0.5, 0.9, 0.0], "support": [10, 20, 0]}, index=["a", "b", "empty"])
    assert "weakest field is **a**" in findings.field_extremes(table)
    assert findings.field_extremes(table.iloc[:1]) == "All fields have the same F1, 0.500."
    assert "No field" in findings.field_extremes(table.iloc[2:])


def test_constraint_gain_reads_first_and_last_decoding():
    exact = pd.DataFrame({"free": [0.5, 0.6], "source": [0.7, 0.6]}, index=["a", "b"])
    text = findings.constraint_gain(
        exact, pd.DataFrame({"free": [0.9, 0.8], "source": [1.0, 1.0]}, index=["a", "b"])
    )
    assert (
        "from 85.0 % to 100.0 %" in text.replace("goes ", "") and "*a* changes most, by +20.0 points" in text
    )
    assert "one way of decoding" in findings.constraint_gain(exact[["free"]], exact[["free"]])


def test_decoding_speed_leaves_out_variants_with_one_way():
    times = pd.DataFrame(
        [
            ("a", "free", "scored", 10, 1.0),
            ("a", "source", "scored", 10, 2.0),
            ("a", "source", "validation", 90, 1.0),
            ("tagger", "source", "scored", 10, 0.001),
        ],
        columns=["variant", "decoding", "part", "rows", "seconds"],
    )
    assert findings.decoding_times(times) == "Rows decoded a second: free 10, source 5."


def test_costs_and_published_results():
    costs = pd.DataFrame(
        {"train_seconds": [9.0, 3.0], "megabytes": [math.nan] * 2, "trainable": [100.0, 2000.0]},
        index=["small", "quick"],
    )
    text = findings.cheapest(costs)
    assert "Fastest to train: *quick* (3 s)" in text and "*small* (100)" in text and "disk" not in text
    table = pd.DataFrame({"exact_match": [0.8, 0.83, math.nan]}, index=["this run", "study", "other"])
    assert "83.0 % (study)" in findings.published(table) and "-3.0 points" in findings.published(table)
    assert "Not shown" in findings.published(None)
    assert "None of the published" in findings.published(table.iloc[[0, 2]])


# -- stage 06 ---------------------------------------------------------------------------------------------------------
def test_sentences_on_no_errors():
    errors = mistakes.classify_errors(TASK, [row(0, name="a")], [record(0, name="a")])
    assert findings.error_classes(mistakes.error_counts(TASK, errors)) == "There is no error to class."
    assert "no pattern" in findings.patterns(mistakes.frequent_pairs(errors), mistakes.edge_words(errors))
    assert "no confidence" in findings.calibration(pd.DataFrame(columns=["confidence", "right"]), math.nan)
    assert "no confidence" in findings.selective(confidence.risk_coverage([], []))
    assert "No perturbation" in findings.fragility(pd.DataFrame())


def test_error_classes_and_patterns_name_the_largest():
    gold = [row(0, name="call"), row(1, name="lunch"), row(2, day="monday")]
    errors = mistakes.classify_errors(
        TASK, gold, [record(0, name="team call"), record(1, name="team lunch"), record(2)]
    )
    text = findings.error_classes(mistakes.error_counts(TASK, errors))
    assert "Of **3** wrong fields" in text and "*boundary* (2, 66.7 %)" in text and "*name* (2)" in text
    text = findings.patterns(mistakes.frequent_pairs(errors), mistakes.edge_words(errors))
    assert text.startswith("No confusion") and "the start of *name*" in text and "kept “team” (2×)" in text


def test_errors_by_slice_name_the_worst_and_the_best():
    table = pd.DataFrame(
        {"rows": [20, 30], "missing": [40.0, 10.0], "boundary": [60.0, 5.0]},
        index=pd.Index(["narrative", "headed"], name="layout"),
    )
    assert findings.errors_by_slice(table) == (
        "Errors are most frequent where the layout is *narrative*: 100 a hundred rows, "
        "most of them *boundary*, against 15 where it is *headed*."
    )
    assert findings.errors_by_slice(table.head(1)) == "There are 100 errors a hundred rows."


def test_slices_weigh_intervals_against_all_rows():
    table = pd.DataFrame(
        [
            ("people", "none", 40, 0.9, 0.8, 0.95),
            ("people", "some", 40, 0.3, 0.2, 0.45),
            ("length", "long", 4, 0.0, 0.0, 0.5),
        ],
        columns=["slice", "value", "n", "score", "low", "high"],
    )
    text = findings.slices(table, 0.6)
    assert "*people: some* with 30.0 % of 40 rows" in text and "lies below" in text and "(60.0 %)" in text
    assert "All slices score the same" in findings.slices(table.iloc[:1], 0.9)
    assert "No slice" in findings.slices(table.iloc[2:], 0.6)


def test_fragility_names_what_hurts_for_certain():
    table = pd.DataFrame(
        {
            "clean": [0.8, 0.8],
            "score": [0.5, 0.79],
            "difference": [-0.3, -0.01],
            "difference_low": [-0.4, -0.05],
            "difference_high": [-0.2, 0.03],
        },
        index=["typos", "upper case"],
    )
    text = findings.fragility(table)
    assert text.startswith("*typos* costs most: 80.0 % → 50.0 %, -30.0 points") and text.endswith(
        "below zero: *typos*."
    )
    assert "None of the 2" in findings.fragility(table.assign(difference=0.0))


def test_calibration_and_acceptance():
    frame = pd.DataFrame({"confidence": [0.9, 0.9], "right": [True, False]})
    assert "surer than it is right" in findings.calibration(frame, 0.4)
    curve = confidence.risk_coverage([0.9, 0.8, 0.5], [1, 1, 0])
    text = findings.selective(curve)
    assert "at least 0.800 keeps **66.7 %**" in text and "(all rows: 33.3 %)" in text
    assert "No threshold" in findings.selective(confidence.risk_coverage([0.9], [0]))
    assert "All rows can be accepted" in findings.selective(confidence.risk_coverage([0.9], [1]))


def test_forgiven_counts_rows():
    text = findings.forgiven({"exact_match": 0.5, "equivalent_match": 0.6, "convention_share": 0.1}, 20)
    assert "50.0 % to **60.0 %**. The 2 rows" in text
    assert "changes nothing" in findings.forgiven(
        {"exact_match": 0.5, "equivalent_match": 0.5, "convention_share": 0.0}, 2
    )


# -- single rows ------------------------------------------------------------------------------------------------------
def test_entity_spans_take_each_place_once():
    example = row(0, text="Ann calls Ann on Monday", name="Ann", day="monday", people=["Ann", "Bo"])
    assert inspection.entity_spans(TASK, example, example.target) == [
        (0, 3, "name"),
        (10, 13, "people"),
        (17, 23, "day"),
    ]
    assert inspection.entity_spans(TASK, example, None) == []


def test_wrong_rows_are_valid_ones():
    gold = [
        row(0, "long text", name="a", day="monday"),
        row(1, "short", name="b", day="tuesday"),
        row(2, "x", name="c"),
        row(3, "y", name="d", day="monday", people=["A"]),
    ]
    records = [record(0, "a", "monday"), record(1, "b", "tuesday"), record(2, "c"), record(3, "no")]
    assert [one.id for one, _ in inspection.wrong_rows(TASK, gold, records, 5)] == [3]
    assert inspection.wrong_rows(TASK, [row(0)], [failed(0, "")]) == []
    table = inspection.label_and_prediction(TASK, gold[3], records[3]["prediction"])
    assert table.loc["name"].tolist() == ["d", "no", "no"] and table.loc["people", "label"] == "A"


def test_label_suspicion_counts_fields_once():
    table = pd.DataFrame({"issue": [True, True, False], "suspect": [True, False, False]})
    text = findings.label_suspicion(table, 30)
    assert "disagree on 3 of 30" in text and "holds 2" in text and "**1**" in text
