"""From a model's own confidence to the share of right answers, field by field, and below which of them to look twice.

Fitted on the validation part, whose labels no model was trained on (they chose the best checkpoint, though: expect new
texts to be a little harder). Run as: python -m helpers.calibrate --task calendar --precision 0.95
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import numpy as np
import pandas as pd
import typer
from pydantic import TypeAdapter

from helpers.command import RunFolder, SystemName, TaskName
from helpers.errors import UserError
from helpers.evaluation.away import HOME, read_transfer
from helpers.evaluation.confidence import (
    FieldCalibration,
    confidence_frame,
    coverage_at,
    expected_calibration_error,
    fit_curve,
    held_out,
    risk_coverage,
)
from helpers.evaluation.systems import read_predictions
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


def stated_rows(run: Run, variant: str) -> pd.DataFrame:
    """Stated confidence and truth of every field of every row with a prediction, 1 where a system states none.

    Columns field, confidence, right, where: `home` for the validation part, else the batch that the system was not
    trained on (:mod:`helpers.evaluation.transfer`), or the other source; kind: `home`, `batch` or `source`.
    """
    gold, records = run.load("validation"), read_predictions(run, variant, part="validation")
    frame = confidence_frame(run.task, gold, records, unstated=1.0)
    columns = ["field", "confidence", "right", "where", "kind"]
    home = frame.assign(where=HOME, kind=HOME)[columns].values.tolist()
    away = [
        (name, float(stated), at < hits, place, line["group"])
        for line in read_transfer(run).get("lines", ())
        if line["variant"] == variant
        for place, found in line["sets"].items()
        if place != HOME
        for name, counts in found["confidence"].items()
        for stated, (hits, count) in counts.items()
        for at in range(count)
    ]
    return pd.DataFrame(home + away, columns=columns)


# -- files ------------------------------------------------------------------------------------------------
def _mark(run: Run, variant: str) -> str:
    """Fingerprint of what a calibration was fitted on; empty where the predictions are gone."""
    path = run.dir / "validation_predictions" / f"{variant}.jsonl"
    away = [line for line in read_transfer(run).get("lines", ()) if line["variant"] == variant]
    return digest(path.read_bytes(), json.dumps(away)) if path.exists() else ""


def fit_fields(rows: pd.DataFrame, precision: float, seed: int) -> Calibrations:
    """:func:`fit_field` for every field of :func:`stated_rows`, on home and on batches away from it."""
    known = rows[rows["kind"] != "source"]
    return {
        name: fit_field(group["confidence"], group["right"].astype(bool), precision, seed)
        for name, group in known.groupby("field", sort=False)
    }


def calibrate(run: Run, variant: str, precision: float = PRECISION, save: bool = True) -> Calibrations:
    """Calibrations of a variant from its predictions on the validation part, and away from home where that was measured;
    kept in `calibration.json` of the run.

    Raises
    ------
    UserError
        If the precision is no share, or the predictions or the validation part are missing.
    """
    if not 0 < precision < 1:
        raise UserError(f"precision {precision} is no share: choose one between 0 and 1, such as {PRECISION}")
    rows = stated_rows(run, variant)
    found = fit_fields(rows, precision, run.seed)
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
    judged, limits = [], {}
    for name, group in rows[rows["kind"] == HOME].groupby("field", sort=False):
        truth = group["right"].to_numpy(bool)
        limits[name] = one = fit_field(group["confidence"], truth, precision, seed)
        sure = held_out(group["confidence"].to_numpy(float), truth, one.method, seed)
        judged.append(group.assign(right=truth, calibrated=sure, kept=sure >= one.threshold))
    lines = {}
    for name, group in (*zip(limits, judged), ("all fields", pd.concat(judged))):
        line = {"method": limits[name].method if name in limits else "", "n": len(group)}
        line["accuracy"] = group["right"].mean()
        for label, column in (("stated", "confidence"), ("calibrated", "calibrated")):
            line[f"ece_{label}"] = expected_calibration_error(group[column], group["right"])
            line[f"brier_{label}"] = float(np.mean((group[column] - group["right"]) ** 2))
        known = name in limits and limits[name].threshold != NEVER
        line["threshold"] = limits[name].threshold if known else np.nan
        lines[name] = line | {"kept": group["kept"].mean(), "precision": group["right"][group["kept"]].mean()}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("field")


def selective_table(rows: pd.DataFrame, precision: float = PRECISION, seed: int = 0) -> pd.DataFrame:
    """What the thresholds for a precision keep at home and away, when fitted at home alone and on batches away too.

    A batch is judged by thresholds that were fitted without it. Index (fitted on, where); columns n, accuracy (of all
    answers), kept (share of answers above the threshold) and precision among them.
    """
    lines, fitted = {}, {}
    batches = set(rows["where"][rows["kind"] == "batch"])
    for kinds, place in itertools.product(((HOME,), (HOME, "batch")), rows["where"].unique()):
        left_out = place if place in batches and len(kinds) > 1 else ""
        if (kinds, left_out) not in fitted:
            known = rows[rows["kind"].isin(kinds) & (rows["where"] != left_out)]
            fitted[kinds, left_out] = fit_fields(known, precision, seed)
        curves, group = fitted[kinds, left_out], rows[rows["where"] == place]
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
