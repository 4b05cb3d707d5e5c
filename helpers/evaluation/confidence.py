"""Is the model right as often as it is sure? Reliability, calibration error and risk against coverage."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.tasks.base import Task
from helpers.tasks.metrics import align
from helpers.tasks.records import Example
from helpers.tasks.scores import metrics_of
from helpers.tasks.statistics import proportion_ci


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
    aligned = align(gold, records)
    stated = [
        {**dict.fromkeys(task.fields, unstated), **(record.get("confidence") or {})} for record in aligned
    ]
    results = metrics_of(task).field_results(task, gold, aligned)
    confidence = [one[name] for one in stated for name in task.fields]
    results["confidence"] = pd.Series(confidence, dtype=float, index=results.index)
    kept = results[results["valid"].astype(bool) & results["confidence"].notna()]
    return kept[["id", "field", "gold", "predicted", "confidence", "right"]].reset_index(drop=True)


def _answers(confidence: Sequence[float], right: Sequence[bool]) -> pd.DataFrame:
    """Both as columns of numbers."""
    frame = pd.DataFrame({"confidence": list(confidence), "right": list(right)}, dtype=float)
    if not frame["confidence"].between(0, 1).all():
        raise ValueError("a confidence lies outside 0..1")
    return frame


# -- calibration ------------------------------------------------------------------------------------------
def reliability_table(confidence: Sequence[float], right: Sequence[bool], bins: int = 10) -> pd.DataFrame:
    """Accuracy within equally wide bins of confidence; empty bins are left out.

    Bins are open at their lower end (a confidence of 0 falls in the first).

    Returns
    -------
    DataFrame
        One line a bin: lower, upper (its edges), confidence (mean), accuracy, count, low, high (Wilson 95 % of the
        accuracy).
    """
    answers = _answers(confidence, right)
    place = np.clip(np.ceil(answers["confidence"] * bins).astype(int) - 1, 0, bins - 1)
    lines = [
        (
            number / bins,
            (number + 1) / bins,
            group["confidence"].mean(),
            group["right"].mean(),
            len(group),
            *proportion_ci(group["right"].sum(), len(group)),
        )
        for number, group in answers.groupby(place)
    ]
    return pd.DataFrame(lines, columns=["lower", "upper", "confidence", "accuracy", "count", "low", "high"])


def expected_calibration_error(table: pd.DataFrame) -> float:
    """Mean gap of confidence and accuracy over the bins of :func:`reliability_table`, by size (Guo et al. 2017)."""
    if table.empty:
        return math.nan
    return float(np.average((table["confidence"] - table["accuracy"]).abs(), weights=table["count"]))


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
    ranked = _answers(confidence, right).sort_values("confidence", ascending=False, kind="stable")
    threshold = ranked["confidence"].reset_index(drop=True)
    wrong = 1 - ranked["right"].reset_index(drop=True)
    kept = np.arange(1, len(ranked) + 1)
    risk = wrong.groupby(threshold).transform("mean").cumsum() / kept
    return pd.DataFrame({"threshold": threshold, "coverage": kept / len(ranked), "risk": risk})


def coverage_at(curve: pd.DataFrame, risk: float) -> dict[str, float]:
    """The largest share of answers that can be kept with at most this risk.

    Answers above a threshold are kept together, so only the last of equally confident answers counts.

    Returns
    -------
    dict
        coverage, risk (reached) and threshold; coverage 0, risk 0 and threshold NaN where no answer is safe enough.
    """
    ends = curve[~curve["threshold"].duplicated(keep="last")]
    safe = ends[ends["risk"] <= risk + 1e-12]
    if safe.empty:
        return {"coverage": 0.0, "risk": 0.0, "threshold": math.nan}
    return safe[["coverage", "risk", "threshold"]].iloc[-1].astype(float).to_dict()
