"""What notebook 07 and the demo show: sentences that read their numbers from the tables, and marked texts."""

from __future__ import annotations

import pandas as pd
import pytest

from helpers.calibrate import NEVER, FieldCalibration
from helpers.report import deploy_views

SPANS = {
    "action": [{"start": 0, "end": 5, "text": "Lunch"}],
    "time": [{"start": 9, "end": 12, "text": "1pm"}],
    "notes": [{"start": 3, "end": 10, "text": "ch <at> "}],
}


def test_marks_stand_where_the_values_are_and_text_is_escaped():
    html = deploy_views.marked_text(
        "Lunch <at> 1pm",
        {"action": SPANS["action"], "time": [{"start": 11, "end": 14, "text": "1pm"}]},
        ("action", "time"),
    )
    assert 'title="time"' in html and "&lt;at&gt;" in html and html.index(">Lunch<") < html.index(">1pm<")


def test_an_answer_becomes_a_table():
    answer = {
        "fields": {"action": "Lunch", "attendees": ["Ann", "Bo"], "date": None},
        "spans": {"action": SPANS["action"]},
        "confidence": {"action": 0.9, "attendees": None},
        "needs_review": ["attendees"],
    }
    table = deploy_views.answer_table(answer)
    assert table["value"].tolist() == ["Lunch", "Ann, Bo", None]
    assert table["characters"].tolist()[0] == "0–5" and table["review"].tolist() == ["", "yes", ""]
    assert pd.isna(table["confidence"][1])


def test_sentences_read_their_tables():
    calibration = pd.DataFrame(
        {
            "accuracy": [0.9, 0.9],
            "ece_stated": [0.2, 0.2],
            "ece_calibrated": [0.01, 0.01],
            "kept": [0.0, 0.5],
            "precision": [float("nan"), 0.97],
        },
        index=["notes", "all fields"],
    )
    text = deploy_views.calibration_sentence(calibration, 0.95)
    for words in ("0.200 to 0.010", "95.0 %", "50.0 %", "97.0 %", "90.0 %", "looked at: notes"):
        assert words in text
    thresholds = deploy_views.threshold_table(
        {
            "a": FieldCalibration("isotonic", (0.0,), (0.5,), NEVER),
            "b": FieldCalibration("constant", (0.0,), (0.9,), 0.8),
        }
    )
    assert thresholds["threshold"].isna().tolist() == [True, False]
    assert thresholds["surest possible"].tolist() == [0.5, 0.9]
    parity = {
        form: {
            "rows": 8,
            "same_predictions": same,
            "largest_logit_gap": 1e-5,
            "score": score,
            "score_before": 0.5,
        }
        for form, same, score in (("merged", 1.0, 0.5), ("onnx_int8", 0.75, 0.625))
    }
    text = deploy_views.parity_sentence(parity, "entity F1")
    assert (
        "100.0 % of 8 rows" in text
        and "75.0 % of the answers stay, and the entity F1 goes from 0.500 to 0.625" in text
    )
    table = deploy_views.parity_table(parity, "entity F1")
    assert (
        table.loc["merged", "largest_logit_gap"] == "1.0e-05" and table.loc["onnx_int8", "entity F1"] == 0.625
    )


def test_a_section_of_a_card_is_quoted():
    card = "# A\n\n## Use\n\n```python\nprint()\n```\n\n## Data\n\nrows\n"
    assert deploy_views.quoted_section(card, "Use") == "> ```python\n> print()\n> ```"
    assert deploy_views.quoted_section(card, "Data") == "> rows"


def test_optional_stages_run_only_when_asked_for_and_are_forgotten_when_models_change(tmp_path):
    from helpers.pipeline import stages
    from helpers.run import Run

    plain, whole = stages.find_stages(), stages.find_stages(optional=True)
    assert [stage.name for stage in whole if stage not in plain] == ["07_deploy"]
    assert stages.pick_stage(whole, "7") == len(whole) - 2
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    for stage in whole[-2:]:
        for path in (stage.stamp(run), stage.output(run)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("{}")
    stages.forget_optional(run, whole)
    assert all(stage.output(run).exists() for stage in whole[-2:])
    stages.forget_optional(run, plain)
    assert [stage.output(run).exists() for stage in whole[-2:]] == [False, True]
    with pytest.raises(stages.UserError):
        stages.pick_stage(plain, "07")
