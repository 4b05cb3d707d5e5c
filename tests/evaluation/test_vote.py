"""Votes: worked examples of the majority, its properties, and a vote that goes through the whole of stage 05."""

from __future__ import annotations

import json

import nbformat
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from tiny_task import TASK, failed, record

from helpers.evaluation import vote
from helpers.evaluation.display import words
from helpers.report.pages import build
from helpers.report.study import evidence, make_study
from helpers.run import Run
from helpers.tasks import TASK_NAMES, load_task

MEMBERS = ("large", "small", "rules")


def elected(*records, **more):
    """The vote's record on one row."""
    return vote.majority(TASK, [[one] for one in records], **more)[0]


# -- the vote ---------------------------------------------------------------------------------------------------------
def test_each_field_goes_to_the_value_that_most_members_give():
    one = elected(
        record(3, "talk", "monday", ["Ann"]),
        record(3, "budget talk", "monday", ["Bo"]),
        record(3, "budget talk", "tuesday", ["Bo"]),
    )
    assert one == {
        "id": 3,
        "prediction": {"name": "budget talk", "day": "monday", "people": ["Bo"]},
        "raw": None,
        "error": None,
        "confidence": dict.fromkeys(TASK.fields, 0.666667),
    }


def test_an_absent_value_is_a_vote_too():
    assert elected(record(0, "a"), record(0), record(0))["prediction"]["name"] is None
    assert elected(record(0), record(0, "a"), record(0, "a"))["prediction"]["name"] == "a"


def test_without_a_majority_the_first_member_decides():
    assert elected(record(0, "a"), record(0, "b"), record(0, "c"))["prediction"]["name"] == "a"
    assert elected(record(0, "a"), record(0, "b"))["prediction"]["name"] == "a"
    # half is not a majority, even where no other value has as many
    assert (
        elected(record(0, "a"), record(0, "b"), record(0, "b"), record(0, "c"))["prediction"]["name"] == "a"
    )


def test_members_without_a_prediction_have_no_vote():
    assert elected(failed(0, "x"), record(0, "b"), record(0, "c"))["prediction"]["name"] == "b"
    assert elected(failed(0, "x"), failed(0, "x"), record(0, "c"))["prediction"]["name"] == "c"
    two_of_three = elected(record(0, "a"), record(0, "b"), record(0, "b"), failed(0, "x"), failed(0, "x"))
    assert two_of_three["prediction"]["name"] == "b"
    assert elected(failed(0, "x"), failed(0, "y")) == {**failed(0, ""), "raw": None, "error": None}


def test_values_are_compared_as_they_are_scored():
    assert elected(
        record(0, "x", people=["Cy"]),
        record(0, "x", people=["Ann", "Bo"]),
        record(0, "x", people=["Bo", "Ann"]),
    )["prediction"]["people"] == ["Cy"]  # order of a list counts
    assert (
        elected(record(0, "Ann"), record(0, "ann"), record(0, "bo"))["prediction"]["name"] == "Ann"
    )  # so does case
    calendar = load_task("calendar")
    blank = dict.fromkeys(calendar.fields)
    times = [{"id": 0, "prediction": {**blank, "time": time}} for time in ("9:00 AM", "14:00", "2 pm")]
    assert (
        vote.majority(calendar, [[one] for one in times])[0]["prediction"]["time"] == "2:00 PM"
    )  # in canonical form


def test_confidence_is_the_mean_over_members_of_what_they_give_the_value():
    sure = dict.fromkeys(TASK.fields, 0.9)
    one = elected(
        record(0, "a", "monday", confidence=sure),
        record(0, "a", confidence={**sure, "name": 0.6}),
        record(0, "b"),
    )  # a member without confidences
    assert one["confidence"] == {
        "name": 0.5,
        "day": round((0.9 + 1) / 3, 6),
        "people": round((0.9 + 0.9 + 1) / 3, 6),
    }
    alone = elected(failed(0, "x"), record(0, "a", confidence=sure), record(0, "b"))
    assert alone["confidence"]["name"] == 0.3 and alone["prediction"]["name"] == "a"


def test_members_must_have_predicted_the_same_rows():
    with pytest.raises(ValueError, match="same rows"):
        vote.majority(TASK, [[record(0)], [record(1)]])
    with pytest.raises(ValueError, match="same rows"):
        vote.majority(TASK, [[record(0)], []])
    with pytest.raises(ValueError, match="same rows"):
        vote.majority(TASK, [])


PREDICTIONS = st.none() | st.fixed_dictionaries(
    {
        "name": st.none() | st.sampled_from(["a", "b", "A"]),
        "day": st.none() | st.sampled_from(["monday", "tue"]),
        "people": st.none() | st.lists(st.sampled_from("AB"), min_size=1, max_size=2),
    }
)


def given_by(prediction):
    return failed(0, "x") if prediction is None else record(0, **prediction)


@given(PREDICTIONS, st.integers(1, 4))
def test_unanimous_members_are_returned_unchanged(prediction, count):
    one = elected(*[given_by(prediction)] * count)
    assert one["prediction"] == prediction
    assert one["confidence"] == (None if prediction is None else dict.fromkeys(TASK.fields, 1.0))


@given(st.lists(PREDICTIONS, min_size=3, max_size=5), st.randoms(use_true_random=False))
def test_a_majority_wins_whatever_the_order_and_else_the_first_does(predictions, random):
    def choice(ordered):
        return elected(*map(given_by, ordered))["prediction"]

    shuffled = random.sample(predictions, len(predictions))
    for name in TASK.fields:
        cast = [json.dumps(one[name]) for one in predictions if one is not None]
        common = [value for value in cast if 2 * cast.count(value) > len(cast)]
        if common:
            assert json.dumps(choice(predictions)[name]) == json.dumps(choice(shuffled)[name]) == common[0]
        elif cast:
            assert json.dumps(choice(predictions)[name]) == cast[0]
    assert all(one is None for one in predictions) == (choice(predictions) is None)


# -- agreement and costs ----------------------------------------------------------------------------------------------
def test_costs_are_sums_and_peaks_over_the_members():
    names = [*vote.SUMS, *vote.PEAKS]
    costs = {
        "large": dict(zip(names, (9.0, 2.0, 16.0, 900.0, 500.0))),
        "small": dict(zip(names, (1.0, 0.5, 0.25, 950.0, 400.0))),
        "rules": {"predict_seconds": 0.1, "predict_peak_memory_mb": 600.0},
    }
    found = vote.vote_costs(costs, MEMBERS, 0.01)
    assert found == dict(zip(names, (10.0, 2.61, 16.25, 950.0, 600.0)))
    del costs["small"]["train_seconds"]
    known = vote.vote_costs(costs, MEMBERS, 0.0)
    assert known["train_seconds"] is None and known["size_mb"] == 16.25


@pytest.mark.parametrize("name", TASK_NAMES)
def test_votes_of_the_tasks_name_systems_that_there_are(name):
    task = load_task(name)
    for title, members in task.variants.votes.items():
        assert (
            title not in (*task.variants, "base_zero_shot", "base_few_shot", "llm", vote.RULES)
            and "@" not in title
        )
        assert len(set(members)) == len(members) >= 2 and set(members) <= {*task.variants, vote.RULES}
        assert vote.vote_names(task, task.variants) and not vote.vote_names(task, [])


# -- the report -------------------------------------------------------------------------------------------------------
def test_report_tells_of_a_vote_that_is_best(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    members = run.task.variants.votes["vote"]

    def scores(value):
        return {
            "exact_match": value,
            "field_accuracy": value,
            "json_validity": 1.0,
            "response_length": None,
            "ci95": {"exact_match": [value - 0.1, value + 0.1]},
            "fields": {"date": {"f1": 0.9}},
            "parameters": {"total": 900, "trainable": 450},
        }

    run.path("metrics.json").write_text(
        json.dumps(
            {
                "task": "calendar",
                "profile": "smoke",
                "best": "vote",
                "data": {"source": "sample", "rows": 9, "fingerprint": "c0"},
                "variants": {name: scores(0.5) for name in members} | {"vote": scores(0.75)},
            }
        )
    )
    run.path("costs.json").write_text(json.dumps({"vote": {"train_seconds": 12.0, "size_mb": 9.0}}))
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# 5 · Evaluation")]),
        run.path("notebooks", "05_evaluate.ipynb"),
    )
    study = make_study("calendar", **evidence(run))
    assert study.default_names[0] == "rules" == study.baseline and study.default_names[-1] == "vote"
    text = " ".join(BeautifulSoup(build(run).read_text(encoding="utf-8"), "html.parser").text.split())
    listed = f"{', '.join(map(words, members[:-1]))} and {words(members[-1])}"
    assert f"validation part, vote (which takes what most of {listed} found), reaches" in text
    assert "Training its members took 12 seconds for 450 trained parameters" in text
    assert "sums of its members" in text
