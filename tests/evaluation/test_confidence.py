"""Calibration and risk–coverage against hand-computed curves."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_task import TASK, failed, record, row

from helpers.evaluation import confidence


def test_frame_pairs_confidence_with_truth_and_leaves_out_what_has_none():
    gold = [row(0, name="a", day="monday"), row(1, name="b"), row(2, name="c"), row(3, name="d")]
    records = [
        record(0, name="a", day="tue", confidence={"name": 0.9, "day": 0.4}),
        record(1, name="b", confidence=None),
        {**failed(2, "x"), "confidence": {"name": 0.5}},
        record(3, name="x", confidence={"name": 0.8}),
    ]
    frame = confidence.confidence_frame(TASK, gold, records[::-1])
    wanted = [[0, "name", 0.9, True], [0, "day", 0.4, False], [3, "name", 0.8, False]]
    assert frame[["id", "field", "confidence", "right"]].values.tolist() == wanted


def test_calibration_error_of_bins():
    # 0.6 falls in the bin of 0.55, 0 in that of 0.1
    sure, right = pd.Series([0.0, 0.1, 0.55, 0.6, 1.0, 1.0]), pd.Series([0, 1, 1, 0, 1, 1])
    assert confidence.expected_calibration_error(sure, right) == pytest.approx((2 * 0.45 + 2 * 0.075) / 6)


def test_risk_coverage_of_a_worked_example():
    curve = confidence.risk_coverage([0.2, 0.9, 0.8, 0.5], [0, 1, 0, 1])
    assert curve["coverage"].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve["risk"].tolist() == pytest.approx([0, 1 / 2, 1 / 3, 1 / 2])
    safe = {"coverage": 0.75, "risk": pytest.approx(1 / 3), "threshold": 0.5}
    assert confidence.coverage_at(curve, 0.4) == safe
    assert confidence.coverage_at(curve, 0.1)["coverage"] == 0.25


def test_equally_sure_answers_are_kept_together():
    curve = confidence.risk_coverage([0.9, 0.9, 0.5], [1, 0, 1])
    nothing = {"coverage": 0.0, "risk": 0.0, "threshold": pytest.approx(math.nan, nan_ok=True)}
    assert confidence.coverage_at(curve, 0.3) == nothing
    assert confidence.coverage_at(confidence.risk_coverage([], []), 0.1)["coverage"] == 0.0


ANSWERS = st.lists(st.tuples(st.sampled_from([0.0, 0.3, 0.5, 1.0]), st.booleans()), min_size=1, max_size=30)


@given(ANSWERS, st.randoms())
def test_curves_end_at_the_error_rate_hang_on_no_order_and_never_beat_the_oracle(answers, rng):
    risks = []
    for pairs in (
        answers,
        rng.sample(answers, len(answers)),
        [(float(right), right) for _, right in answers],
    ):
        risks.append(confidence.risk_coverage(*zip(*pairs))["risk"].tolist())
        assert risks[-1][-1] == pytest.approx(1 - np.mean([right for _, right in answers]))
    assert risks[0] == pytest.approx(risks[1]) and np.mean(risks[0]) >= np.mean(risks[2]) - 1e-9
