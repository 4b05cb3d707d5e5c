"""Intervals and tests against closed forms and scipy's own answers."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from helpers.tasks import statistics


def test_bootstrap_of_a_proportion_is_close_to_wilson():
    values = [1.0] * 60 + [0.0] * 40
    low, high = statistics.score_ci(values, seed=3)
    exact = stats.binomtest(60, 100).proportion_ci(method="wilson")
    assert low == pytest.approx(exact.low, abs=0.02) and high == pytest.approx(exact.high, abs=0.02)


def test_a_difference_of_means_is_bootstrapped_over_pairs():
    generator = np.random.default_rng(0)
    left, right = (pd.DataFrame({"top": generator.random(40), "bottom": 1.0}) for _ in range(2))
    low, high = statistics.difference_ci(left, right, seed=1)
    exact = stats.ttest_rel(left["top"], right["top"]).confidence_interval()
    assert (low, high) == pytest.approx((exact.low, exact.high), abs=0.03)
    assert statistics.difference_ci(left[:1], left[:1], seed=1) == (0, 0)
    assert statistics.difference_ci(left, left, seed=1) == (0, 0)


def test_bootstrap_of_a_ratio_resamples_rows_whole():
    # long rows score 1 and short rows 0: weights move together with their rows
    top, bottom = [10.0, 10.0, 0.0, 0.0, 0.0, 0.0] * 5, [10.0, 10.0, 1.0, 1.0, 1.0, 1.0] * 5
    low, high = statistics.score_ci(top, bottom, seed=1)
    assert low < 20 / 24 < high < 1 and low > 0.5
    # each row scores one half: any resample does too, so the interval has no width
    assert statistics.score_ci([1.0, 2.0, 3.0], [2.0, 4.0, 6.0], seed=1) == (0.5, 0.5)
    # one row holds the whole numerator and denominators are zero elsewhere: the jackknife has no spread
    assert np.isfinite(statistics.score_ci([0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 2.0, 0.0], seed=1)).all()


def parts(top, bottom=1.0) -> pd.DataFrame:
    return pd.DataFrame({"top": np.asarray(top, float), "bottom": bottom})


def test_permutation_tests_are_exact_on_few_rows_and_close_to_mcnemar_on_many():
    left, right = [1, 1, 1, 1, 1, 0, 1], [0, 0, 0, 0, 0, 0, 1]  # five wins, no loss: 2 of 2**5 sign patterns
    assert statistics.paired_permutation_test(parts(left), parts(right), seed=1) == pytest.approx(2 / 2**5)
    assert statistics.mcnemar(5, 0) == pytest.approx(2 / 2**5)
    left = np.random.default_rng(0).integers(0, 2, 200)
    other = np.where(np.arange(200) < 20, 1 - left, left)  # as many wins as chance gives
    expected = statistics.mcnemar(int((left > other).sum()), int((left < other).sum()))
    found = statistics.paired_permutation_test(parts(left), parts(other), seed=1)
    assert found == pytest.approx(expected, abs=0.03)
    assert statistics.paired_permutation_test(parts(left), parts(left), seed=1) == 1.0


def test_permutation_test_of_a_ratio_swaps_rows_whole():
    # (top, bottom) of the left and of the right
    rows = [((8, 10), (4, 8)), ((2, 2), (1, 2)), ((4, 4), (0, 4))]
    gaps = []
    for swaps in itertools.product((0, 1), repeat=3):
        sides = [np.sum([row[swap ^ side] for row, swap in zip(rows, swaps)], axis=0) for side in (0, 1)]
        gaps.append(abs(sides[0][0] / sides[0][1] - sides[1][0] / sides[1][1]))
    expected = np.mean(np.array(gaps) >= gaps[0] - 1e-12)
    left, right = (parts(*zip(*(row[side] for row in rows))) for side in (0, 1))
    assert statistics.paired_permutation_test(left, right, seed=1) == pytest.approx(expected) == 0.25


def test_effect_size():
    assert statistics.cohens_h(0.5, 0.5) == 0
    assert statistics.cohens_h(1.0, 0.0) == pytest.approx(math.pi)
    assert statistics.cohens_h(0.75, 0.5) == pytest.approx(math.pi / 6)
    assert [statistics.effect_words(h) for h in (0.1, -0.3, 0.5)] == ["negligible", "small", "medium"]


def test_compare_sums_up_a_pair():
    one, other = [1] * 30 + [0] * 10, [1] * 15 + [0] * 15 + [1] * 2 + [0] * 8
    result = statistics.compare(parts(one), parts(other), seed=1)
    assert (result["left"], result["right"], result["wins"], result["losses"]) == (0.75, 0.425, 15, 2)
    assert result["difference"] == pytest.approx(0.325) and result["low"] > 0 and result["high"] < 0.6
    assert result["p_mcnemar"] == pytest.approx(stats.binomtest(15, 17).pvalue)
    assert result["effect"] == "medium"
    ratio = statistics.compare(parts([6, 1], [8, 2]), parts([2, 1], [8, 2]), seed=1)
    assert (ratio["left"], ratio["right"]) == (0.7, 0.3) and "p_permutation" in ratio
    assert not {"wins", "p_mcnemar", "cohens_h", "effect"} & set(ratio), "these are for proportions"
