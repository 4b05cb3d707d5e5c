"""Votes: worked examples of the majority, and a report that tells of one."""

from __future__ import annotations

import nbformat
import pytest
from bs4 import BeautifulSoup
from tiny_task import TASK, failed, record, row

from helpers.evaluation import vote
from helpers.files import write_json
from helpers.report.pages import build
from helpers.report.study import Study, evidence
from helpers.run import Run
from helpers.tasks import load_task


def elected(*records, task=TASK):
    """The vote's record on one row, of members of whom nothing is known."""
    return vote.Weights(task, [], [[]] * len(records), 0).vote([[one] for one in records])[0]


# -- the vote ---------------------------------------------------------------------------------------------------------
def test_members_of_whom_nothing_is_known_count_the_same():
    one = elected(
        record(3, "talk", "monday", ["Ann"]),
        record(3, "budget talk", "monday", ["Bo"]),
        record(3, "budget talk", "tuesday", ["Bo"]),
    )
    assert one["prediction"] == {"name": "budget talk", "day": "monday", "people": ["Bo"]}
    # odds of one member: 0.8 / 0.2 * 9 = 36, of two 1296, of each of the eight other values 1
    assert one["confidence"]["name"] == pytest.approx(1296 / (1296 + 36 + 8), abs=1e-6)
    assert elected(record(0, "a"))["confidence"]["name"] == pytest.approx(0.8)


def test_an_absent_value_is_a_vote_too_and_of_equal_ones_the_first_member_decides():
    assert elected(record(0, "a"), record(0), record(0))["prediction"]["name"] is None
    assert elected(record(0), record(0, "a"), record(0, "a"))["prediction"]["name"] == "a"
    assert elected(record(0, "a"), record(0, "b"), record(0, "c"))["prediction"]["name"] == "a"


def test_members_without_a_prediction_have_no_vote():
    assert elected(failed(0, "x"), record(0, "b"), record(0, "c"))["prediction"]["name"] == "b"
    assert elected(failed(0, "x"), failed(0, "y")) == {**failed(0, ""), "raw": None}


def test_values_are_compared_as_they_are_scored():
    ordered = [record(0, "x", people=people) for people in (["Cy"], ["Bo", "Ann"], ["Bo", "Ann"])]
    assert elected(*ordered)["prediction"]["people"] == ["Bo", "Ann"]
    calendar = load_task("calendar")
    blank = dict.fromkeys(calendar.fields)
    times = [{"id": 0, "prediction": {**blank, "time": time}} for time in ("9:00 AM", "14:00", "2 pm")]
    assert elected(*times, task=calendar)["prediction"]["time"] == "2:00 PM"


def test_a_member_weighs_what_it_got_right_and_no_row_judges_itself():
    gold = [row(at, name="a") for at in range(40)]
    good = [record(at, "a", confidence={"name": 0.9}) for at in range(40)]
    bad = [record(at, "a" if at % 4 == 0 else "b", confidence={"name": 0.99}) for at in range(40)]
    weights = vote.Weights(TASK, gold, [bad, good, bad], 0)
    one = [[record(99, value, confidence={"name": 0.9})] for value in ("b", "a", "b")]
    assert weights.vote(one)[0]["prediction"]["name"] == "a", (
        "one that is right against two mostly wrong ones"
    )
    known = weights.vote([bad, good, bad], known=True)
    assert [record["id"] for record in known] == list(range(40))
    assert {record["prediction"]["name"] for record in known} == {"a"}


def test_members_must_have_predicted_the_same_rows():
    for members in ([[record(0)], [record(1)]], [[record(0)], []]):
        with pytest.raises(ValueError, match="same rows"):
            vote.Weights(TASK, [], [[], []], 0).vote(members)


# -- the report -------------------------------------------------------------------------------------------------------
def test_report_tells_of_a_vote_that_is_best(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    members = run.task.variants.votes["vote"]

    def scores(value):
        shown = {"exact_match": value, "field_accuracy": value, "json_validity": 1.0}
        ci95, counts = {"exact_match": [value - 0.1, value + 0.1]}, {"total": 900, "trainable": 450}
        return {**shown, "ci95": ci95, "fields": {"date": {"f1": 0.9}}, "parameters": counts}

    data = {"source": "sample", "rows": 9, "fingerprint": "c0"}
    known = {"task": "calendar", "profile": "smoke", "best": "vote", "data": data}
    variants = {name: scores(0.5) for name in members} | {"vote": scores(0.75)}
    write_json(run.path("metrics.json"), known | {"variants": variants})
    write_json(run.path("costs.json"), {"vote": {"train_seconds": 12.0, "size_mb": 9.0}})
    cells = [nbformat.v4.new_markdown_cell("# 5 · Evaluation")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), run.path("notebooks", "05_evaluate.ipynb"))
    study = Study(run.task, **evidence(run))
    assert study.default_names[0] == "rules" == study.baseline and study.default_names[-1] == "vote"
    text = " ".join(BeautifulSoup(build(run).read_text(encoding="utf-8"), "html.parser").text.split())
    assert "(the vote of " in text and all(name in text for name in members)
