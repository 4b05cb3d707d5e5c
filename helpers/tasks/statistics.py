"""Uncertainty of scores on few rows: bootstrap intervals, paired tests and effect sizes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
BATCH_NUMBERS = 2_000_000  # resampled numbers held at once: bounds memory on large parts


def ratio(numerator: Any, denominator: Any) -> Any:
    """`numerator / denominator`, NaN where the denominator is zero (nothing to divide by)."""
    top, bottom = np.asarray(numerator, dtype=float), np.asarray(denominator, dtype=float)
    return np.divide(top, bottom, out=np.full(np.broadcast(top, bottom).shape, np.nan), where=bottom != 0)


def _ratio_of_sums(numerator: np.ndarray, denominator: np.ndarray, axis: int = -1) -> np.ndarray:
    """Ratio of sums, zero for a resample that drew no denominator at all, so that it stays a number."""
    return np.nan_to_num(ratio(numerator.sum(axis=axis), denominator.sum(axis=axis)), nan=0.0)


def _difference(*columns: np.ndarray, axis: int = -1) -> np.ndarray:
    """Difference of two ratios of sums."""
    return _ratio_of_sums(*columns[:2], axis=axis) - _ratio_of_sums(*columns[2:], axis=axis)


def _bootstrap(
    statistic: Callable[..., np.ndarray], columns: Sequence[np.ndarray], seed: int, resamples: int
) -> tuple[float, float]:
    """95 % interval of a statistic of rows that are resampled whole, by BCa (bias-corrected and accelerated, Efron 1987).

    Where that is not defined by percentiles.
    """

    def interval(method: str) -> tuple[float, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a degenerate BCa warns and returns NaN, which is handled below
            found = stats.bootstrap(
                columns,
                statistic,
                paired=True,
                vectorized=True,
                method=method,
                confidence_level=LEVEL,
                n_resamples=resamples,
                batch=max(1, BATCH_NUMBERS // len(columns[0])),
                rng=np.random.default_rng(seed),
            ).confidence_interval
        return float(found.low), float(found.high)

    bounds = interval("BCa")
    return bounds if np.all(np.isfinite(bounds)) else interval("percentile")


def bootstrap_ci(
    values: Sequence[float],
    denominators: Sequence[float] | None = None,
    *,
    seed: int,
    resamples: int = 2000,
) -> tuple[float, float]:
    """Bootstrap interval of a mean over rows, or of a ratio of two sums over rows such as micro F1.

    Rows are resampled with replacement, numerator and denominator of a row together. Values that do not vary give an
    interval of no width.
    """
    top = np.asarray(values, dtype=float)
    bottom = np.ones_like(top) if denominators is None else np.asarray(denominators, dtype=float)
    top, bottom = _pair(top, bottom)
    estimate = float(_ratio_of_sums(top, bottom))
    if len(top) == 1 or np.all(top == estimate * bottom):
        return estimate, estimate
    return _bootstrap(_ratio_of_sums, (top, bottom), seed, resamples)


def difference_ci(
    left: pd.DataFrame, right: pd.DataFrame, *, seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """Bootstrap 95 % interval of the score of `left` minus that of `right`, the same rows drawn for both.

    Both hold a line a row, in the same order; a score is the sum of column `top` over that of `bottom`.
    """
    columns = [one[name].to_numpy(float) for one in (left, right) for name in ("top", "bottom")]
    if len(left) == 1:
        return (float(_difference(*columns)),) * 2
    return _bootstrap(_difference, columns, seed, resamples)


def score_ci(
    values: Sequence[float], denominators: Sequence[float] | None = None, *, seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """:func:`bootstrap_ci` of a score between 0 and 1; where all rows are at one end, Wilson's interval over the rows.

    Resampling rows that are all right (or all wrong) can only say "exactly 1", which no finite number of rows shows.
    """
    low, high = bootstrap_ci(values, denominators, seed=seed, resamples=resamples)
    if low == high and low in (0.0, 1.0):
        return proportion_ci(round(low) * len(values), len(values))
    return low, high


def proportion_ci(hits: int, count: int) -> tuple[float, float]:
    """Wilson score interval of a proportion: keeps a width at 0 and 1 and on few rows, where the bootstrap has none."""
    interval = stats.binomtest(int(hits), int(count)).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def _pair(left: Sequence[float], right: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Both as float vectors of one length."""
    first, second = np.asarray(left, dtype=float), np.asarray(right, dtype=float)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise ValueError(f"expected two equally long vectors, got shapes {first.shape} and {second.shape}")
    return first, second


def paired_permutation_test(
    left: pd.DataFrame, right: pd.DataFrame, *, seed: int, resamples: int = 9999
) -> float:
    """Two-sided p-value of "both systems score alike": what two systems did with a row changes places at random.

    Both hold a line a row, as in :func:`difference_ci`, and the statistic is that difference of scores. Exact where there
    are no more than `resamples` ways to swap rows, sampled otherwise (Phipson and Smyth 2010); 1 where no row differs.
    """
    one, other = (frame[["top", "bottom"]].to_numpy(float) for frame in (left, right))
    change = (other - one)[(other != one).any(axis=1)]
    count, ways = len(change), 2 ** min(len(change), 62)
    if exact := ways <= resamples:
        swaps = (np.arange(ways)[:, None] >> np.arange(count)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(0, 2, (resamples, count), dtype=np.int8)
    moved = swaps @ change

    def gap(moved: np.ndarray) -> np.ndarray:
        first, second = (one.sum(axis=0) + moved).T, (other.sum(axis=0) - moved).T
        return np.abs(_difference(*(part[:, None] for part in (*first, *second))))

    as_far = int((gap(moved) >= gap(np.zeros((1, 2))) - 1e-12).sum())
    return as_far / ways if exact else (as_far + 1) / (resamples + 1)


def mcnemar(left: Sequence[float], right: Sequence[float]) -> float:
    """Exact two-sided McNemar test on the rows that only one of two systems gets right (0 or 1 a row)."""
    first, second = _pair(left, right)
    wins, losses = int((first > second).sum()), int((first < second).sum())
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def cohens_h(left: float, right: float) -> float:
    """Effect size of two proportions: difference of their arcsine transforms (Cohen 1988), -π to π."""
    return float(2 * np.arcsin(np.sqrt(left)) - 2 * np.arcsin(np.sqrt(right)))


def effect_words(h: float) -> str:
    """Cohen's words for the size of h: small from 0.2, medium from 0.5, large from 0.8."""
    return next(
        (word for bound, word in ((0.8, "large"), (0.5, "medium"), (0.2, "small")) if abs(h) >= bound),
        "negligible",
    )


def compare(left: pd.DataFrame, right: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """How much better `left` is than `right` on the same rows, and whether that could be chance.

    Parameters
    ----------
    left, right : DataFrame
        A line a row, in the same order; a score is the sum of column `top` over that of `bottom`.

    Returns
    -------
    dict
        left, right (scores), difference, low and high (its bootstrap 95 % interval over rows), p_permutation; where each
        row is right or wrong as a whole also wins, losses, p_mcnemar, cohens_h, effect (word).
    """
    scores = [float(_ratio_of_sums(one["top"].to_numpy(), one["bottom"].to_numpy())) for one in (left, right)]
    low, high = difference_ci(left, right, seed=seed)
    found: dict[str, Any] = {
        "left": scores[0],
        "right": scores[1],
        "difference": scores[0] - scores[1],
        "low": low,
        "high": high,
        "p_permutation": paired_permutation_test(left, right, seed=seed),
    }
    both = pd.concat([left, right])
    if (both["bottom"] == 1).all() and both["top"].isin((0, 1)).all():
        first, second = left["top"].to_numpy(float), right["top"].to_numpy(float)
        h = cohens_h(*scores)
        found |= {"wins": int((first > second).sum()), "losses": int((first < second).sum())}
        found |= {"p_mcnemar": mcnemar(first, second), "cohens_h": h, "effect": effect_words(h)}
    return found
