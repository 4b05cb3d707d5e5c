"""Is the model right as often as it is sure? Calibration, its error, and risk against coverage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from helpers.tasks import metrics
from helpers.tasks.base import Example, Task

FOLDS = 5
SURE = 1 - 1e-6  # no stated confidence counts as surer: its log-odds would be infinite
GRID = 1 / (1 + np.exp(-np.linspace(-14, 14, 113)))  # even in log-odds


def confidence_frame(
    task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]], unstated: float | None = None
) -> pd.DataFrame:
    """Stated confidence beside the truth, for every field of every row that has a valid prediction.

    Returns
    -------
    DataFrame
        Columns id, field, gold, predicted, confidence (0 to 1), right. A value without a confidence has that of
        `unstated`, or gives no line.
    """
    aligned = metrics.align(gold, records)
    frame = metrics.field_results(task, gold, aligned)
    stated = [
        (record.get("confidence") or {}).get(name, unstated) for record in aligned for name in task.fields
    ]
    frame["confidence"] = pd.Series(stated, dtype=float, index=frame.index)
    kept = frame["valid"].astype(bool) & frame["confidence"].notna()
    columns = ["id", "field", "gold", "predicted", "confidence", "right"]
    return frame.loc[kept, columns].reset_index(drop=True)


def expected_calibration_error(confidence: pd.Series, right: pd.Series) -> float:
    """Mean gap of confidence and accuracy over ten equally wide bins of confidence, by size (Guo et al. 2017).

    Bins are open at their lower end (a confidence of 0 falls in the first).
    """
    bins = np.ceil(confidence * 10).clip(lower=1)
    gaps = right.astype(float).groupby(bins).sum() - confidence.groupby(bins).sum()
    return float(gaps.abs().sum() / len(confidence))


# -- selective answers ------------------------------------------------------------------------------------
def risk_coverage(confidence: Sequence[float], right: Sequence[bool]) -> pd.DataFrame:
    """Share of errors among the answers kept, when only the most confident ones are kept (Geifman and El-Yaniv 2017).

    Equally confident answers come in no order: among them the errors are spread evenly, which is what a random order
    gives on average.

    Returns
    -------
    DataFrame
        One line for each number of answers kept, 1 to all: threshold (least confidence kept), coverage, risk.
    """
    answers = pd.DataFrame({"threshold": list(confidence), "right": list(right)}, dtype=float)
    answers = answers.sort_values("threshold", ascending=False, kind="stable", ignore_index=True)
    wrong, kept = 1 - answers["right"], np.arange(1, len(answers) + 1)
    risk = wrong.groupby(answers["threshold"]).transform("mean").cumsum() / kept
    return pd.DataFrame({"threshold": answers["threshold"], "coverage": kept / len(answers), "risk": risk})


def coverage_at(curve: pd.DataFrame, risk: float) -> dict[str, float]:
    """The largest share of answers that can be kept with at most this risk: coverage, risk (reached) and threshold; 0, 0 and NaN
    where no answer is safe enough.

    Answers above a threshold are kept together, so only the last of equally confident answers counts.
    """
    ends = curve[~curve["threshold"].duplicated(keep="last")]
    safe = ends[ends["risk"] <= risk + 1e-12]
    if safe.empty:
        return {"coverage": 0.0, "risk": 0.0, "threshold": math.nan}
    return safe[["coverage", "risk", "threshold"]].iloc[-1].astype(float).to_dict()


# -- from stated confidence to the share of right answers -----------------------------------------------------
@dataclass(frozen=True)
class FieldCalibration:
    """How the confidence in one field is to be read: a rising curve of straight pieces."""

    # how it was fitted: `none` (as stated), `constant`, `temperature` (the log-odds scaled and shifted) or `isotonic`
    method: str
    x: tuple[float, ...]  # corners of the curve: stated confidence,
    y: tuple[float, ...]  # and calibrated
    threshold: float = 0.0  # least calibrated confidence at which the wanted precision is reached

    def __call__(self, stated: Sequence[float] | float) -> np.ndarray:
        """Calibrated confidence of stated ones."""
        return np.interp(np.atleast_1d(stated), self.x, self.y)

    @property
    def high(self) -> float:
        """The surest that an answer can be."""
        return self.y[-1]


def log_odds(share: Any) -> Any:
    """log(p / (1 - p)) of shares, those of 0 and 1 kept finite."""
    inside = np.clip(share, 1 - SURE, SURE)
    return np.log(inside / (1 - inside))


def fit_curve(stated: Sequence[float], right: Sequence[bool], method: str) -> FieldCalibration:
    """Fit one method; a field that is always right (or wrong) is told by the number of its rows alone.

    No answer is surer than the number of rows can show: after n right answers the next is right with
    (n + 1) / (n + 2), Laplace's rule of succession.
    """
    stated, truth = np.asarray(stated, dtype=float), np.asarray(right, dtype=bool)
    count, hits = len(truth), int(truth.sum())
    low, high = 1 / (count + 2), (count + 1) / (count + 2)
    x = y = np.array([0.0, low, high, 1.0])
    if hits in (0, count):
        method, x, y = "constant", np.zeros(1), np.array([hits / count])
    elif method == "temperature":
        fitted = LogisticRegression(C=10.0).fit(log_odds(stated)[:, None], truth)
        x, y = GRID, fitted.predict_proba(log_odds(GRID)[:, None])[:, 1]
    elif method == "isotonic":
        rising = IsotonicRegression(out_of_bounds="clip").fit(stated, truth)
        x, y = rising.X_thresholds_, rising.y_thresholds_
    return FieldCalibration(method, tuple(map(float, x)), tuple(map(float, np.clip(y, low, high))))


def held_out(stated: np.ndarray, right: np.ndarray, method: str, seed: int) -> np.ndarray:
    """Calibrated confidence of each row by a curve that was fitted without it, in :data:`FOLDS` folds."""
    places = np.random.default_rng(seed).permutation(len(stated)) % FOLDS
    found = np.empty(len(stated))
    for fold in range(FOLDS):
        inside = places == fold
        if inside.any():
            rest = inside if inside.all() else ~inside
            found[inside] = fit_curve(stated[rest], right[rest], method)(stated[inside])
    return found
