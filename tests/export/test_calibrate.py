"""Calibration: what is too sure is mended, few rows make nobody sure, and what was fitted is kept and used."""

import numpy as np
import pandas as pd
import pytest
from tiny_run import make_run

from helpers.calibrate import NEVER, calibrate, fit_field, load_calibrations, selective_table
from helpers.errors import UserError
from helpers.evaluation.confidence import fit_curve, held_out
from helpers.evaluation.systems import write_predictions
from helpers.export.model_folder import open_run
from helpers.serve.predictor import Predictor


def too_sure(count=2000):
    """Stated confidence, truth and the probability that lies behind them."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(size=count)
    return truth**0.25, rng.uniform(size=count) < truth, truth


def test_calibration_mends_what_is_too_sure_and_keeps_the_order():
    stated, right, truth = too_sure()
    found = fit_field(stated, right, 0.9)
    sure = found(stated)
    assert np.mean((sure - truth) ** 2) < 0.2 * np.mean((stated - truth) ** 2)
    assert (np.diff(found(np.linspace(0, 1, 50))) >= -1e-12).all()
    kept = sure >= found.threshold
    assert right[kept].mean() == pytest.approx(0.9, abs=0.03) and 0.1 < kept.mean() < 0.4


def test_curves_are_those_of_their_methods():
    stated, right, _ = too_sure(400)
    low, high = 1 / 402, 401 / 402
    assert fit_curve(stated, right, "none")([0, 0.3, 1]) == pytest.approx([low, 0.3, high])
    scaled = fit_curve(stated, right, "temperature")
    odds = np.log(scaled([0.2, 0.5, 0.8]) / (1 - scaled([0.2, 0.5, 0.8])))
    assert odds[2] - odds[1] == pytest.approx(odds[1] - odds[0], rel=0.02)  # a line in log-odds
    rising = fit_curve([0.1, 0.2, 0.8, 0.9], [False, True, False, True], "isotonic")
    assert rising([0.1, 0.2, 0.5, 0.8, 0.9]) == pytest.approx([1 / 6, 0.5, 0.5, 0.5, 5 / 6])


def test_few_rows_make_nobody_sure_and_no_row_judges_itself():
    always = fit_field([0.99] * 8, [True] * 8, 0.95)
    assert always([1.0])[0] == pytest.approx(9 / 10) == always.high and always.threshold <= always.high
    assert fit_field([0.9] * 8, [False] * 8, 0.95).threshold == NEVER
    stated, right = np.array([0.1, 0.9] * 10), np.array([False, True] * 10)
    right[0] = True  # its own label must not decide its confidence
    one = held_out(stated, right, "isotonic", 0)[0]
    right[0] = False
    assert held_out(stated, right, "isotonic", 0)[0] == one


def test_calibrations_are_kept_and_used(tmp_path):
    run = open_run("calendar", make_run(tmp_path))[0]
    examples = run.load("validation")
    assert load_calibrations(run, "tagger") == {}
    plain = Predictor(run, "tagger").version
    stated = [dict.fromkeys(run.task.fields, sure) for sure in (0.2, 0.9)]
    found = [
        (row.target | {"action": ("Dinner", "Lunch")[row.id % 2]}, stated[row.id % 2]) for row in examples
    ]
    records = [
        {"id": row.id, "prediction": target, "raw": "", "confidence": sure}
        for row, (target, sure) in zip(examples, found)
    ]
    write_predictions(run, "tagger", records, part="validation")
    found = calibrate(run, "tagger", 0.9)
    assert found["action"]([0.9])[0] > 0.7 and found["action"]([0.2])[0] < 0.4
    predictor, example = Predictor(run, "tagger"), run.task.rows.example("Lunch with Ann")
    assert predictor.version != plain, "answers with other confidence are those of another version"
    unsure, sure = (
        predictor.answer(example.text, example, {"prediction": examples[0].target, "confidence": one})
        for one in stated
    )
    assert "action" not in sure["needs_review"] and "action" in unsure["needs_review"]
    assert sure["confidence"]["action"] > unsure["confidence"]["action"]
    assert load_calibrations(run, "tagger") == found
    for record in records:
        record["prediction"] = examples[0].target  # as if the model had been trained anew
    write_predictions(run, "tagger", records, part="validation")
    assert load_calibrations(run, "tagger") != found
    with pytest.raises(UserError, match="precision"):
        calibrate(run, "tagger", 1.5)


def test_rows_from_away_make_confidence_modest_there():
    rng, stated = np.random.default_rng(1), np.full(300, 0.98)
    home = pd.DataFrame({"field": "a", "confidence": stated, "right": True, "where": "home", "kind": "home"})
    away = [
        home.assign(confidence=shown, right=rng.uniform(size=300) < shown - 0.3, where=place, kind="batch")
        for place, shown in (("farm", np.linspace(0.5, 1, 300)), ("clinic", np.linspace(0.6, 1, 300)))
    ]
    elsewhere = away[0].assign(where="public", kind="source")
    table = selective_table(pd.concat([home, *away, elsewhere]), 0.9)
    assert table.loc[("home", "farm"), "kept"] > table.loc[("home and batch", "farm"), "kept"]
    assert table.loc[("home", "farm"), "accuracy"] == table.loc[("home and batch", "farm"), "accuracy"]
    assert table.loc[("home", "public"), "precision"] < 0.6
