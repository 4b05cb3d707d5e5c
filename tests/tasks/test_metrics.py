"""Scores against values worked out by hand."""

from __future__ import annotations

import json
import math
import sys
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_task import TASK, failed, record, row

import helpers.evaluation
import helpers.evaluation.variants as evaluation
from helpers.data.read import write_jsonl
from helpers.errors import UserError
from helpers.evaluation import comparisons
from helpers.tasks import metrics
from helpers.tasks.records import Tagger

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
    table = metrics.field_table(metrics.field_results(TASK, GOLD, RECORDS))
    assert list(table.index) == list(TASK.fields)
    day = table.loc["day"]
    assert (day["precision"], day["recall"], day["f1"], day["support"]) == (2 / 3, 1.0, 0.8, 2)
    assert table.loc["people", "accuracy"] == 2 / 4  # order counts here …
    assert table.loc["people", "f1"] == 1.0  # … and does not here
    assert table.loc["name", ["precision", "recall"]].tolist() == [2 / 3, 2 / 4]


def test_a_field_that_never_occurs_has_no_f1_but_an_accuracy():
    table = metrics.field_table(metrics.field_results(TASK, [row(0, name="a")], [record(0, name="a")]))
    assert math.isnan(table.loc["people", "f1"]) and math.isnan(table.loc["people", "presence_f1"])
    assert table.loc["people", "accuracy"] == 1.0


def test_comparison_is_after_normalisation():
    assert metrics.exact_match(TASK, [row(0, name="Ann’s  9\u202fam")], [record(0, name="Ann's 9 am")])[0]
    assert not metrics.exact_match(TASK, [row(0, name="Ann")], [record(0, name="ann")])[0]


def test_no_prediction_is_never_an_exact_match():
    assert metrics.exact_match(TASK, [row(0)], [failed(0, "")]).tolist() == [False]
    assert metrics.score(TASK, [row(0)], [failed(0, "")])["parse_errors"] == {"no output": 1}


def test_rows_and_records_must_belong_together():
    with pytest.raises(ValueError, match="no prediction for 3 rows, first 1"):
        metrics.score(TASK, GOLD, RECORDS[:1])
    with pytest.raises(ValueError, match="two predictions for row 0"):
        metrics.score(TASK, GOLD, [*RECORDS, RECORDS[0]])
    with pytest.raises(ValueError, match="without a label"):
        metrics.score(TASK, GOLD[:3], RECORDS)
    assert metrics.score(TASK, GOLD, RECORDS[::-1])["exact_match"] == 1 / 4


def test_record_order_does_not_matter_to_rows():
    assert metrics.exact_match(TASK, GOLD, RECORDS[::-1]).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("gold", "predicted", "f1"),
    [
        (("the budget talk",), ("Budget talk!",), 0.8),  # 2 shared of 3 + 2 words
        (("a a b",), ("a b b",), 2 / 3),  # bags: one a and one b shared
        (("Ann", "Bo"), ("Bo", "Ann"), 1.0),
        ((), ("x",), 0.0),
        (("🎉",), ("🎉",), 1.0),
        (("🎉",), ("🎈",), 0.0),
    ],
)
def test_token_f1(gold, predicted, f1):
    assert metrics.token_f1(gold, predicted) == pytest.approx(f1)


TARGETS = st.fixed_dictionaries(
    {
        "name": st.none() | st.text(min_size=1).filter(lambda text: text.strip()),
        "day": st.none() | st.sampled_from(["monday", "tue"]),
        "people": st.none() | st.lists(st.sampled_from("ABC"), min_size=1),
    }
)


@given(st.lists(st.tuples(TARGETS, TARGETS), min_size=1, max_size=6))
def test_scores_stay_in_range_and_perfect_predictions_score_one(pairs):
    gold = [row(number, **target) for number, (target, _) in enumerate(pairs)]
    scores = metrics.score(TASK, gold, [record(number, **other) for number, (_, other) in enumerate(pairs)])
    assert all(math.isnan(scores[name]) or 0 <= scores[name] <= 1 for name in metrics.SCORES)
    assert scores["exact_match"] <= scores["field_accuracy"] + 1e-12
    perfect = metrics.score(
        TASK, gold, [record(number, **target) for number, (target, _) in enumerate(pairs)]
    )
    assert all(math.isnan(perfect[name]) or perfect[name] == 1 for name in metrics.SCORES)


def test_intervals_hold_the_scores():
    gold = [row(number, name="a" if number % 3 else "b") for number in range(30)]
    records = [record(number, name="a") for number in range(30)]
    scores, bounds = metrics.score(TASK, gold, records), metrics.intervals(TASK, gold, records, seed=1)
    assert set(bounds) == set(metrics.SCORES)
    for name, (low, high) in bounds.items():
        assert low <= scores[name] <= high
    assert bounds["exact_match"][0] < scores["exact_match"] < bounds["exact_match"][1]
    assert bounds["json_validity"] == pytest.approx(
        [30 / (30 + 1.959964**2), 1.0], abs=1e-5
    )  # Wilson at 30 of 30


# -- the stage around the scores --------------------------------------------------------------------------------------
class FakeRun:
    """What evaluation asks of a run."""

    task, profile, data, seed = TASK, "cpu", "sample", 1

    def __init__(self, folder):
        self.folder = folder

    def path(self, *parts):
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def load(self, part):
        return GOLD


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with two trained variants whose decoder answers from a table."""
    answers = {"large": RECORDS, "small": [failed(number, "x") for number in range(4)]}
    store, calls = {}, []

    def predict_variant(run, variant, examples, constraint):
        calls.append((variant, constraint))
        return answers[variant]

    fake = types.ModuleType("helpers.evaluation.predict")
    fake.predict_variant = predict_variant
    fake.variants_trained = lambda run: list(answers)
    fake.read_predictions = lambda run, name, part="scored": store[name, part]

    def write_predictions(run, name, records, part):
        store[name, part] = records
        if part == "scored":
            write_jsonl(run.path("predictions", f"{name}.jsonl"), records)

    fake.write_predictions = write_predictions
    fake.load_variant = lambda run, variant: None
    monkeypatch.setitem(sys.modules, "helpers.evaluation.predict", fake)
    without = types.ModuleType("helpers.evaluation.baselines")  # tests/test_baselines.py runs the real ones
    without.predict_scored = lambda run: None
    monkeypatch.setitem(sys.modules, "helpers.evaluation.baselines", without)
    monkeypatch.setattr(helpers.evaluation, "baselines", without, raising=False)
    run = FakeRun(tmp_path)
    run.store, run.calls, run.answers = store, calls, answers
    write_jsonl(run.path("splits", "train.jsonl"), [])
    write_jsonl(run.path("splits", "validation.jsonl"), [])
    return run


def test_one_part_is_decoded_once_and_written_as_both(run):
    table = evaluation.decode_all(run)
    assert run.calls == [(variant, way) for variant in ("large", "small") for way in ("free", "source")]
    assert set(run.store) == {
        (name + way, part)
        for name in ("large", "small")
        for way in ("", "@free")
        for part in ("scored", "validation")
    }
    assert len(table) == 4
    costs = json.loads(run.path("costs.json").read_text())
    assert costs["large@free"]["predict_seconds"] >= 0 and costs["large"]["size_mb"] == 0


def test_a_tagger_is_decoded_in_the_default_way_only(run, monkeypatch):
    monkeypatch.setitem(TASK.variants, "small", Tagger())
    evaluation.decode_all(run)
    assert [way for variant, way in run.calls if variant == "small"] == ["source"]
    scores = evaluation.score_all(run, GOLD, evaluation.load_predictions(run))
    assert list(scores) == ["large@free", "large", "small"]
    assert list(comparisons.decoding_table(TASK, scores).index) == ["large"]
    assert (
        evaluation.best_writer(TASK, scores, "small")
        == "large"
        == evaluation.best_writer(TASK, scores, "large")
    )


def test_two_parts_are_both_decoded(run):
    write_jsonl(run.path("splits", "test.jsonl"), [])
    times = evaluation.decode_all(run)
    assert len(times) == len(run.calls) == 6  # validation in the default way alone
    assert times.groupby("part").size().to_dict() == {"scored": 4, "validation": 2}


def test_best_is_chosen_on_validation_with_ties_by_field_accuracy_then_name(run):
    def choose(large, small):
        run.store["large", "validation"], run.store["small", "validation"] = large, small
        return evaluation.choose_best(run)

    nothing = [failed(number, "x") for number in range(4)]
    one_field = [record(0, name="budget talk"), *nothing[1:]]
    assert choose(nothing, RECORDS) == "small"
    assert choose(nothing, one_field) == "small"
    assert choose(nothing, nothing) == "large"


def test_nothing_trained_is_a_clear_error(run):
    run.answers.clear()
    with pytest.raises(UserError, match="run notebook 04"):
        evaluation.choose_best(run)


def test_metrics_file_is_complete_and_the_same_every_time(run):
    evaluation.decode_all(run)
    run.store["rules", "scored"] = RECORDS
    for stale in ("rules", "old@free", "small@nonsense"):
        write_jsonl(run.path("predictions", f"{stale}.jsonl"), [])
    run.store["old@free", "scored"] = RECORDS
    predictions = evaluation.load_predictions(run)
    assert "small@nonsense" not in predictions and list(predictions)[:2] == ["old@free", "rules"]
    run.path("checkpoints", "large", "finished.json").write_text(
        '{"key": "k", "result": {"parameters": {"total": 7, "trainable": 2}}}'
    )
    scores = evaluation.score_all(run, GOLD, predictions)
    evaluation.write_metrics(run, scores, "large")
    first = run.path("metrics.json").read_bytes()
    run.path("costs.json").write_text('{"large": {"predict_seconds": 99}}')
    evaluation.write_metrics(run, evaluation.score_all(run, GOLD, predictions), "large")
    assert run.path("metrics.json").read_bytes() == first
    content = json.loads(first, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(content) == {"task", "profile", "data", "best", "variants"}
    assert set(content["data"]) == {"source", "fingerprint", "rows"} and content["data"]["rows"] == 4
    large = content["variants"]["large@free"]
    assert large["exact_match"] == 0.25 and large["exact_f1"] == 0.777778
    assert set(large["ci95"]) == set(metrics.SCORES) and large["parameters"] == {"total": 7, "trainable": 2}
    assert content["variants"]["rules"]["parameters"] == {"total": None, "trainable": None}


def test_tables_of_the_stage(run):
    evaluation.decode_all(run)
    predictions = {
        "rules": RECORDS[:3] + [record(3, name="call")],
        "none": run.answers["small"],
        **{name: run.store[name, "scored"] for name in ("large", "large@free")},
    }
    scores = evaluation.score_all(run, GOLD, predictions)
    assert comparisons.best_baseline(TASK, scores) == "rules"
    assert comparisons.decoding_table(TASK, scores).to_dict("index") == {
        "large": dict.fromkeys(TASK.variants.decodings, 0.25)
    }
    table = comparisons.comparison_table(scores, ["rules", "large"])
    assert table.loc["rules", "exact_match"] == 0.5 and (table["low"] <= table["exact_match"]).all()
    pair = comparisons.compare_variants(run, GOLD, predictions, [("rules", "large")]).iloc[0]
    assert (pair["wins"], pair["losses"], pair["difference"]) == (1, 0, 0.25)
    assert comparisons.field_matrix(scores, ["large"]).loc["day", "large"] == 0.8
    assert comparisons.parse_error_table(scores).loc["none", "not json"] == 4
    costs = comparisons.cost_table(run, scores)
    assert costs.loc["large", "score"] == 0.25 and math.isnan(costs.loc["large", "train_seconds"])
    assert costs.loc["large", "seconds"] >= 0
