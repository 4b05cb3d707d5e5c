"""From a model's own confidence to the share of right answers, field by field, and below which of them to look twice.

Fitted on the validation part, whose labels no model was trained on (they chose the best checkpoint, though: expect new
texts to be a little harder). Run as: python -m helpers.calibrate --task calendar --precision 0.95
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from pydantic import TypeAdapter

from helpers.command import RunFolder, SystemName, TaskName
from helpers.errors import UserError
from helpers.evaluation.confidence import (
    FieldCalibration,
    confidence_frame,
    coverage_at,
    expected_calibration_error,
    fit_curve,
    held_out,
    risk_coverage,
)
from helpers.evaluation.measured import HOME, read_transfer
from helpers.evaluation.systems import predictions_path, read_predictions
from helpers.files import digest, read_json, write_json
from helpers.run import Run

FILE = "calibration.json"
PRECISION = 0.95
NEVER = 2.0  # a threshold that no confidence reaches: the field is always to be reviewed
METHODS = ("none", "temperature", "isotonic")
Calibrations = dict[str, FieldCalibration]
CALIBRATIONS = TypeAdapter(Calibrations)  # to JSON and back


# -- fitting ----------------------------------------------------------------------------------------------
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


def _away(run: Run, variant: str) -> list[dict[str, Any]]:
    """What was measured of a system away from home, a line a case."""
    return [line for line in read_transfer(run).get("lines", ()) if line["variant"] == variant]


def stated_rows(run: Run, variant: str) -> pd.DataFrame:
    """Stated confidence and truth of every field of every row with a prediction, 1 where a system states none.

    Columns field, confidence, right, where: `home` for the validation part, else the batch that the system was not
    trained on (:mod:`helpers.evaluation.transfer`), or the other source; kind: `home`, `batch` or `source`.
    """
    gold, records = run.load("validation"), read_predictions(run, variant, part="validation")
    frame = confidence_frame(run.task, gold, records, unstated=1.0)
    columns = ["field", "confidence", "right", "where", "kind"]
    away = [
        (name, float(stated), at < hits, place, line["group"])
        for line in _away(run, variant)
        for place, found in line["sets"].items()
        if place != HOME
        for name, counts in found["confidence"].items()
        for stated, (hits, count) in counts.items()
        for at in range(count)
    ]
    home = frame.assign(where=HOME, kind=HOME)[columns].values.tolist()
    return pd.DataFrame(home + away, columns=columns)


def fit_fields(rows: pd.DataFrame, precision: float, seed: int) -> Calibrations:
    """:func:`fit_field` for every field of :func:`stated_rows`, on home and on batches away from it."""
    known = rows[rows["kind"] != "source"]
    return {
        name: fit_field(group["confidence"], group["right"].astype(bool), precision, seed)
        for name, group in known.groupby("field", sort=False)
    }


# -- files ------------------------------------------------------------------------------------------------
def _mark(run: Run, variant: str) -> str:
    """Fingerprint of what a calibration was fitted on; empty where the predictions are gone."""
    path = predictions_path(run, variant, "validation")
    return digest(path.read_bytes(), json.dumps(_away(run, variant))) if path.exists() else ""


def calibrate(run: Run, variant: str, precision: float = PRECISION, save: bool = True) -> Calibrations:
    """Calibrations of a variant from its predictions on the validation part, and away from home where that was measured;
    kept in `calibration.json` of the run. A UserError if predictions or rows are missing, or the precision is no share."""
    if not 0 < precision < 1:
        raise UserError(f"precision {precision} is no share: choose one between 0 and 1, such as {PRECISION}")
    found = fit_fields(stated_rows(run, variant), precision, run.seed)
    if save:
        before = read_json(run.path(FILE))
        variants = before.get("variants", {}) if before.get("precision") == precision else {}
        fields = CALIBRATIONS.dump_python(found, mode="json")
        variants[variant] = {"predictions": _mark(run, variant), "fields": fields}
        count = len(run.load("validation"))
        write_json(run.path(FILE), {"precision": precision, "rows": count, "variants": variants})
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


# -- what it changes --------------------------------------------------------------------------------------
def calibration_table(rows: pd.DataFrame, precision: float = PRECISION, seed: int = 0) -> pd.DataFrame:
    """What calibration changes at home, measured on rows held out from it; last line all fields together.

    Returns
    -------
    DataFrame
        Index field; columns method, n, accuracy, ece_stated, ece_calibrated, brier_stated, brier_calibrated, threshold
        (NaN where no confidence is enough), kept (share of answers above the threshold) and precision among them.
    """
    judged, limits = {}, {}
    for name, group in rows[rows["kind"] == HOME].groupby("field", sort=False):
        truth = group["right"].to_numpy(bool)
        limits[name] = one = fit_field(group["confidence"], truth, precision, seed)
        sure = held_out(group["confidence"].to_numpy(float), truth, one.method, seed)
        judged[name] = group.assign(right=truth, calibrated=sure, kept=sure >= one.threshold)
    lines = {}
    for name, group in {**judged, "all fields": pd.concat(judged.values())}.items():
        right, one = group["right"], limits.get(name)
        line = {"method": one.method if one else "", "n": len(group), "accuracy": right.mean()}
        for label, column in (("stated", "confidence"), ("calibrated", "calibrated")):
            line[f"ece_{label}"] = expected_calibration_error(group[column], right)
            line[f"brier_{label}"] = float(np.mean((group[column] - right) ** 2))
        line["threshold"] = one.threshold if one and one.threshold != NEVER else np.nan
        lines[name] = line | {"kept": group["kept"].mean(), "precision": right[group["kept"]].mean()}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("field")


def selective_table(rows: pd.DataFrame, precision: float = PRECISION, seed: int = 0) -> pd.DataFrame:
    """What the thresholds for a precision keep at home and away, when fitted at home alone and on batches away too.

    A batch is judged by thresholds that were fitted without it. Index (fitted on, where); columns n, accuracy (of all
    answers), kept (share of answers above the threshold) and precision among them.
    """
    lines = {}
    for kinds, place in itertools.product(((HOME,), (HOME, "batch")), rows["where"].unique()):
        known = rows["kind"].isin(kinds) & ((rows["where"] != place) | (rows["kind"] == HOME))
        curves, group = fit_fields(rows[known], precision, seed), rows[rows["where"] == place]
        kept = [
            name in curves and float(curves[name](stated)[0]) >= curves[name].threshold
            for name, stated in zip(group["field"], group["confidence"])
        ]
        right = group["right"].astype(float)
        lines[" and ".join(kinds), place] = (len(group), right.mean(), np.mean(kept), right[kept].mean())
    table = pd.DataFrame.from_dict(lines, orient="index", columns=["n", "accuracy", "kept", "precision"])
    return table.set_axis(pd.MultiIndex.from_tuples(table.index, names=["fitted on", "where"]))


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    precision: Annotated[float, typer.Option(help="Share of right values that is wanted.")] = PRECISION,
) -> None:
    """Fit the calibration of a variant and show what it changes, at home and away."""
    from helpers.export.model_folder import open_run

    opened, name = open_run(task, run, variant)
    calibrate(opened, name, precision)
    rows = stated_rows(opened, name)
    print(calibration_table(rows, precision, opened.seed).round(3).to_string(), end="\n\n")
    print(selective_table(rows, precision, opened.seed).round(3).to_string())


if __name__ == "__main__":
    from helpers.command import start

    start(main)
