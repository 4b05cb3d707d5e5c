"""Uncertainty of scores on few rows: bootstrap intervals, paired tests and effect sizes.

A score is the ratio of two sums over rows; where two systems are compared each has a line a row, in the same order, with
the columns `top` and `bottom` of that ratio.
"""

from __future__ import annotations

import warnings
from bisect import bisect
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


def _score(numerator: np.ndarray, denominator: np.ndarray, axis: int = -1) -> np.ndarray:
    """Ratio of sums, zero for a resample that drew no denominator at all, so that it stays a number."""
    return np.nan_to_num(ratio(numerator.sum(axis=axis), denominator.sum(axis=axis)), nan=0.0)


def _difference(*columns: np.ndarray, axis: int = -1) -> np.ndarray:
    return _score(*columns[:2], axis=axis) - _score(*columns[2:], axis=axis)


def _columns(*frames: pd.DataFrame) -> list[np.ndarray]:
    return [frame[name].to_numpy(float) for frame in frames for name in ("top", "bottom")]


def _bootstrap(
    statistic: Callable[..., np.ndarray], columns: Sequence[np.ndarray], seed: int, resamples: int
) -> tuple[float, float]:
    """95 % interval of a statistic of rows that are resampled whole, by BCa (bias-corrected and accelerated, Efron 1987),
    where that is not defined by percentiles."""
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a degenerate BCa warns and returns NaN
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
        if np.isfinite(found).all():
            break
    return float(found.low), float(found.high)


def score_ci(
    values: Sequence[float], denominators: Sequence[float] | None = None, *, seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """Bootstrap interval of a mean over rows between 0 and 1, or of a ratio of two sums over rows such as micro F1.

    Rows are resampled with replacement, numerator and denominator of a row together. Where all rows are at one end it is
    Wilson's interval over the rows: resampling them can only say "exactly 1", which no finite number of rows shows.
    """
    top = np.asarray(values, dtype=float)
    bottom = np.ones_like(top) if denominators is None else np.asarray(denominators, dtype=float)
    if top.shape != bottom.shape or not len(top):
        raise ValueError(f"expected two equally long vectors, got shapes {top.shape} and {bottom.shape}")
    low = high = float(_score(top, bottom))
    if len(top) > 1 and (top != low * bottom).any():
        low, high = _bootstrap(_score, (top, bottom), seed, resamples)
    return proportion_ci(low * len(top), len(top)) if low == high and low in (0.0, 1.0) else (low, high)


def difference_ci(
    left: pd.DataFrame, right: pd.DataFrame, *, seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """Bootstrap 95 % interval of the score of `left` minus that of `right`, the same rows drawn for both."""
    columns = _columns(left, right)
    single = (float(_difference(*columns)),) * 2
    return single if len(left) == 1 else _bootstrap(_difference, columns, seed, resamples)


def proportion_ci(hits: int, count: int) -> tuple[float, float]:
    """Wilson score interval of a proportion: keeps a width at 0 and 1 and on few rows, where the bootstrap has none."""
    interval = stats.binomtest(int(hits), int(count)).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def paired_permutation_test(
    left: pd.DataFrame, right: pd.DataFrame, *, seed: int, resamples: int = 9999
) -> float:
    """Two-sided p-value of "both systems score alike": what two systems did with a row changes places at random.

    The statistic is the difference of scores. Exact where there are no more than `resamples` ways to swap rows, sampled
    otherwise (Phipson and Smyth 2010); 1 where no row differs.
    """
    one, other = (frame[["top", "bottom"]].to_numpy(float) for frame in (left, right))
    change = (other - one)[(other != one).any(axis=1)]
    count, ways = len(change), 2 ** min(len(change), 62)
    if exact := ways <= resamples:
        swaps = (np.arange(ways)[:, None] >> np.arange(count)) & 1
    else:
        swaps = np.random.default_rng(seed).integers(0, 2, (resamples, count), dtype=np.int8)

    def gap(moved: np.ndarray) -> np.ndarray:
        first, second = (one.sum(axis=0) + moved).T, (other.sum(axis=0) - moved).T
        return np.abs(_difference(*(part[:, None] for part in (*first, *second))))

    as_far = int((gap(swaps @ change) >= gap(np.zeros((1, 2))) - 1e-12).sum())
    return as_far / ways if exact else (as_far + 1) / (resamples + 1)


def mcnemar(wins: int, losses: int) -> float:
    """Exact two-sided McNemar test: numbers of rows that only one of two systems gets right."""
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def cohens_h(left: float, right: float) -> float:
    """Effect size of two proportions: difference of their arcsine transforms (Cohen 1988), -π to π."""
    return float(2 * np.arcsin(np.sqrt(left)) - 2 * np.arcsin(np.sqrt(right)))


def effect_words(h: float) -> str:
    """Cohen's words for the size of h: small from 0.2, medium from 0.5, large from 0.8."""
    return ("negligible", "small", "medium", "large")[bisect((0.2, 0.5, 0.8), abs(h))]


def compare(left: pd.DataFrame, right: pd.DataFrame, *, seed: int) -> dict[str, Any]:
    """How much better `left` is than `right` on the same rows, and whether that could be chance.

    Returns
    -------
    dict
        left, right (scores), difference, low and high (its bootstrap 95 % interval over rows), p_permutation; where each
        row is right or wrong as a whole also wins, losses, p_mcnemar, cohens_h, effect (word).
    """
    scores = [float(_score(*_columns(one))) for one in (left, right)]
    found: dict[str, Any] = {"left": scores[0], "right": scores[1], "difference": scores[0] - scores[1]}
    found["low"], found["high"] = difference_ci(left, right, seed=seed)
    found["p_permutation"] = paired_permutation_test(left, right, seed=seed)
    both = pd.concat([left, right])
    if (both["bottom"] == 1).all() and both["top"].isin((0, 1)).all():
        gaps = left["top"].to_numpy(float) - right["top"].to_numpy(float)
        wins, losses, h = int((gaps > 0).sum()), int((gaps < 0).sum()), cohens_h(*scores)
        found |= {"wins": wins, "losses": losses, "p_mcnemar": mcnemar(wins, losses)}
        found |= {"cohens_h": h, "effect": effect_words(h)}
    return found
