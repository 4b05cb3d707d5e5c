"""Systems of finished runs: every kind answers in one form, which of them is taken, and votes worked by hand."""

import pytest
from tiny_task import TASK, failed, record, row

from helpers.errors import UserError
from helpers.evaluation import systems, vote
from helpers.files import write_json
from helpers.run import Run
from helpers.tasks import load_task


@pytest.mark.parametrize("name", ["full_entity_loss", "vote", "base_zero_shot"])
def test_systems_of_a_writing_task_give_records_of_texts_that_fit(calendar_run, name):
    run = calendar_run
    rows = [run.task.rows.example("Lunch with Ann on 3 May 2026", 4), run.task.rows.example("Call Bo", 7)]
    system = systems.load(run, name)
    records = system.predict(rows)
    assert [one["id"] for one in records] == [4, 7] and set(systems.KEPT) <= set(records[0])
    for one in records:
        assert one["prediction"] is None or list(one["prediction"]) == list(run.task.fields)
    assert system.problem("Lunch") is None and "which has room for" in system.problem("Lunch " * 5000)
    system.release()
    assert system.loaded is None


def test_what_is_not_there_is_one_line(calendar_run, tmp_path):
    with pytest.raises(UserError, match="unknown system 'taggr'.*did you mean 'tagger'"):
        systems.load(calendar_run, "taggr")
    empty = Run("calendar", profile="smoke", out=str(tmp_path))
    with pytest.raises(UserError, match="'lora' is not trained: run notebook 04"):
        systems.load(empty, "lora")
    with pytest.raises(UserError, match="run the stage that makes it first"):
        systems.read_predictions(empty, "lora")


def test_the_system_to_use_is_the_best_on_validation_if_it_is_there(tmp_path):
    run = Run("calendar", profile="smoke", out=str(tmp_path))
    with pytest.raises(UserError, match="no finished variant"):
        systems.choose(run)
    assert systems.choose(run, rules=True) == systems.choose(run, "rules") == "rules"
    for variant in ("lora", "tagger", "full_entity_loss"):
        write_json(run.path("checkpoints", variant, "finished.json"), {})
    assert systems.choose(run) == "full_entity_loss", "the task's first, as nothing is scored yet"
    write_json(run.path("metrics.json"), {"best": "vote"})
    assert systems.choose(run) == "vote" and systems.choose(run, "lora") == "lora"
    run.path("checkpoints", "tagger", "finished.json").unlink()
    assert systems.choose(run) == "full_entity_loss", "a member of the vote is missing"
    with pytest.raises(UserError, match="unknown variant"):
        systems.choose(run, "tagger")


def test_predictions_are_kept_without_what_only_decoding_needs(tmp_path):
    run, kept = Run("calendar", "smoke", out=str(tmp_path)), {"id": 3, "prediction": None, "raw": "{"}
    systems.write_predictions(run, "lora", [{**kept, "error": "truncated", "truncated": 1}])
    assert systems.read_predictions(run, "lora") == [{**kept, "confidence": None}]


def elected(*records, task=TASK):
    """The vote's record on one row, of members of whom nothing is known."""
    return vote.Weights(task, [], [[]] * len(records), 0).vote([[one] for one in records])[0]


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


@pytest.mark.parametrize(
    ("members", "elected_name"),
    [
        ([record(0, "a"), record(0), record(0)], None),  # an absent value is a vote too
        ([record(0), record(0, "a"), record(0, "a")], "a"),
        ([record(0, "a"), record(0, "b"), record(0, "c")], "a"),  # of equal ones the first member decides
        ([failed(0, "x"), record(0, "b"), record(0, "c")], "b"),  # without a prediction there is no vote
    ],
)
def test_who_votes_and_who_decides(members, elected_name):
    assert elected(*members)["prediction"]["name"] == elected_name


def test_where_nobody_predicts_there_is_no_prediction():
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
