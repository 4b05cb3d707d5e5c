"""From a model's own confidence to the share of right answers, field by field, and below which of them to look twice.

Fitted on the validation part, whose labels no model was trained on (they chose the best checkpoint, though: expect new
texts to be a little harder). Run as: python -m helpers.calibrate --task calendar --precision 0.95
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from pydantic import TypeAdapter
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from helpers.command import RunFolder, SystemName, TaskName
from helpers.errors import UserError
from helpers.evaluation.confidence import (
    confidence_frame,
    coverage_at,
    expected_calibration_error,
    reliability_table,
    risk_coverage,
)
from helpers.evaluation.systems import read_predictions
from helpers.files import digest, read_json, write_json
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.tasks.records import Example

FILE = "calibration.json"
PRECISION = 0.95
FOLDS = 5
NEVER = 2.0  # a threshold that no confidence reaches: the field is always to be reviewed
METHODS = ("none", "temperature", "isotonic")
SURE = 1 - 1e-6  # no stated confidence counts as surer: its log-odds would be infinite
GRID = 1 / (1 + np.exp(-np.linspace(-14, 14, 113)))  # even in log-odds


@dataclass(frozen=True)
class FieldCalibration:
    """How the confidence in one field is to be read: a rising curve of straight pieces.

    Parameters
    ----------
    method : str
        How the curve was fitted: `none` (as stated), `constant`, `temperature` (the log-odds scaled and shifted) or
        `isotonic`.
    x, y : tuple of float
        Corners of the curve: stated and calibrated confidence.
    threshold : float
        Least calibrated confidence at which the wanted precision is reached.
    """

    method: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    threshold: float = 0.0

    def __call__(self, stated: Sequence[float] | float) -> np.ndarray:
        """Calibrated confidence of stated ones."""
        return np.interp(np.atleast_1d(stated), self.x, self.y)

    @property
    def high(self) -> float:
        """The surest that an answer can be."""
        return self.y[-1]


Calibrations = dict[str, FieldCalibration]
CALIBRATIONS = TypeAdapter(Calibrations)  # to JSON and back


def _log_odds(share: np.ndarray) -> np.ndarray:
    inside = np.clip(share, 1 - SURE, SURE)
    return np.log(inside / (1 - inside))


# -- fitting ----------------------------------------------------------------------------------------------------------
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
        fitted = LogisticRegression(C=10.0).fit(_log_odds(stated)[:, None], truth)
        x, y = GRID, fitted.predict_proba(_log_odds(GRID)[:, None])[:, 1]
    elif method == "isotonic":
        rising = IsotonicRegression(out_of_bounds="clip").fit(stated, truth)
        x, y = rising.X_thresholds_, rising.y_thresholds_
    return FieldCalibration(method, tuple(map(float, x)), tuple(map(float, np.clip(y, low, high))))


def held_out(stated: np.ndarray, right: np.ndarray, method: str, seed: int) -> np.ndarray:
    """Calibrated confidence of each row by a curve that was fitted without it."""
    places = np.random.default_rng(seed).permutation(len(stated)) % FOLDS
    found = np.empty(len(stated))
    for fold in range(FOLDS):
        inside = places == fold
        if inside.any():
            rest = inside if inside.all() else ~inside
            found[inside] = fit_curve(stated[rest], right[rest], method)(stated[inside])
    return found


def fit_field(
    stated: Sequence[float], right: Sequence[bool], precision: float, seed: int = 0
) -> FieldCalibration:
    """The method whose held-out confidence has the least squared error, fitted on all rows, with its threshold.

    The threshold is the lowest held-out confidence from which on the answers reach the wanted precision.
    """
    stated, truth = np.asarray(stated, dtype=float), np.asarray(right, dtype=bool)
    tried = {method: held_out(stated, truth, method, seed) for method in METHODS}
    method = min(METHODS, key=lambda name: round(float(np.mean((tried[name] - truth) ** 2)), 9))
    curve = fit_curve(stated, truth, method)
    safe = coverage_at(risk_coverage(tried[method], truth), 1 - precision)
    threshold = NEVER if np.isnan(safe["threshold"]) else min(safe["threshold"], float(curve(stated).max()))
    return replace(curve, threshold=threshold)


def stated_frame(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Stated confidence and truth of every field of every row with a prediction; 1 where a system states none."""
    frame = confidence_frame(task, gold, records, unstated=1.0)
    return frame[["id", "field", "confidence", "right"]]


# -- files ------------------------------------------------------------------------------------------------------------
def _mark(run: Run, variant: str) -> str:
    """Fingerprint of the predictions that a calibration was fitted on; empty where they are gone."""
    path = run.dir / "validation_predictions" / f"{variant}.jsonl"
    return digest(path.read_bytes()) if path.exists() else ""


def _stated(run: Run, variant: str) -> pd.DataFrame:
    return stated_frame(run.task, run.load("validation"), read_predictions(run, variant, part="validation"))


def calibrate(run: Run, variant: str, precision: float = PRECISION, save: bool = True) -> Calibrations:
    """Calibrations of a variant from its predictions on the validation part, kept in `calibration.json` of the run.

    Raises
    ------
    UserError
        If the precision is no share, or the predictions or the validation part are missing.
    """
    if not 0 < precision < 1:
        raise UserError(f"precision {precision} is no share: choose one between 0 and 1, such as {PRECISION}")
    frame = _stated(run, variant)
    found = {
        name: fit_field(group["confidence"], group["right"].astype(bool), precision, run.seed)
        for name, group in frame.groupby("field", sort=False)
    }
    if save:
        before = read_json(run.path(FILE))
        variants = before.get("variants", {}) if before.get("precision") == precision else {}
        fields = CALIBRATIONS.dump_python(found, mode="json")
        variants[variant] = {"predictions": _mark(run, variant), "fields": fields}
        rows = int(frame["id"].nunique())
        write_json(run.path(FILE), {"precision": precision, "rows": rows, "variants": variants})
    return found


def load_calibrations(run: Run, variant: str) -> Calibrations:
    """Calibrations of a variant: those kept, else fitted now, else none where there are no labelled predictions.

    Those of a model that has been trained anew since are not used.
    """
    kept = read_json(run.dir / FILE).get("variants", {}).get(variant)
    if kept and _mark(run, variant) in ("", kept["predictions"]):
        return CALIBRATIONS.validate_python(kept["fields"])
    try:
        return calibrate(run, variant, save=False)
    except UserError:
        return {}


# -- what it changes --------------------------------------------------------------------------------------------------
def calibration_table(frame: pd.DataFrame, precision: float = PRECISION, seed: int = 0) -> pd.DataFrame:
    """What calibration changes, measured on rows held out from it; last line all fields together.

    Returns
    -------
    DataFrame
        Index field; columns method, n, accuracy, ece_stated, ece_calibrated, brier_stated, brier_calibrated, threshold
        (NaN where no confidence is enough), kept (share of answers above the threshold) and precision among them.
    """
    lines, everything = {}, []
    for name, group in frame.groupby("field", sort=False):
        stated, truth = group["confidence"].to_numpy(float), group["right"].to_numpy(bool)
        one = fit_field(stated, truth, precision, seed)
        sure = held_out(stated, truth, one.method, seed)
        kept = sure >= one.threshold
        everything.append(pd.DataFrame({"stated": stated, "calibrated": sure, "right": truth, "kept": kept}))
        threshold = np.nan if one.threshold == NEVER else one.threshold
        lines[name] = {"method": one.method, **_line(everything[-1], threshold)}
    lines["all fields"] = {"method": "", **_line(pd.concat(everything), np.nan)}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("field")


def _line(rows: pd.DataFrame, threshold: float) -> dict[str, Any]:
    """Numbers of one line of :func:`calibration_table`."""
    found: dict[str, Any] = {"n": len(rows), "accuracy": rows["right"].mean()}
    for column in ("stated", "calibrated"):
        found[f"ece_{column}"] = expected_calibration_error(reliability_table(rows[column], rows["right"]))
        found[f"brier_{column}"] = float(np.mean((rows[column] - rows["right"]) ** 2))
    kept = rows[rows["kept"]]
    return found | {"threshold": threshold, "kept": len(kept) / len(rows), "precision": kept["right"].mean()}


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    precision: Annotated[float, typer.Option(help="Share of right values that is wanted.")] = PRECISION,
) -> None:
    """Fit the calibration of a variant and show what it changes."""
    from helpers.export.model_folder import open_run

    opened, name = open_run(task, run, variant)
    calibrate(opened, name, precision)
    print(calibration_table(_stated(opened, name), precision, opened.seed).round(3).to_string())


if __name__ == "__main__":
    from helpers.command import start

    start(main)
