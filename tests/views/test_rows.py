"""Single rows as they are shown: places of values, label beside prediction, an answer of the predictor."""

from __future__ import annotations

import pandas as pd
import pytest
from tiny_encoder import save_tiny_encoder, tiny_run
from tiny_task import TASK, failed, record, row

from helpers.export.latency import teachers
from helpers.views import rows


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_tiny_encoder(tmp_path_factory.mktemp("views") / "encoder")


def test_entity_spans_take_each_place_once():
    example = row(0, text="Ann calls Ann on Monday", name="Ann", day="monday", people=["Ann", "Bo"])
    assert rows.entity_spans(TASK, example, example.target) == [
        (0, 3, "name"),
        (10, 13, "people"),
        (17, 23, "day"),
    ]
    assert rows.entity_spans(TASK, example, None) == []


def test_wrong_rows_are_valid_ones():
    gold = [
        row(0, "long text", name="a", day="monday"),
        row(1, "short", name="b", day="tuesday"),
        row(2, "x", name="c"),
        row(3, "y", name="d", day="monday", people=["A"]),
    ]
    records = [record(0, "a", "monday"), record(1, "b", "tuesday"), record(2, "c"), record(3, "no")]
    assert [one.id for one, _ in rows.wrong_rows(TASK, gold, records, 5)] == [3]
    assert rows.wrong_rows(TASK, [row(0)], [failed(0, "")]) == []
    table = rows.label_and_prediction(TASK, gold[3], records[3]["prediction"])
    assert table.loc["name"].tolist() == ["d", "no", "no"] and table.loc["people", "label"] == "A"


def test_an_answer_becomes_a_table_and_a_marked_text():
    spans = {"action": [{"start": 0, "end": 5}], "time": [{"start": 11, "end": 14}]}
    answer = {
        "fields": {"action": "Lunch", "attendees": ["Ann", "Bo"], "date": None},
        "spans": {"action": spans["action"]},
        "confidence": {"action": 0.9, "attendees": None},
        "needs_review": ["attendees"],
    }
    table = rows.answer_table(answer)
    assert table["value"].tolist() == ["Lunch", "Ann, Bo", None] and pd.isna(table["confidence"][1])
    assert table["characters"].tolist()[0] == "0–5" and table["review"].tolist() == ["", "yes", ""]
    html = rows.marked_text("Lunch <at> 1pm", spans, ("action", "time"))
    assert 'title="time"' in html and "&lt;at&gt;" in html and html.index(">Lunch<") < html.index(">1pm<")


def test_students_know_their_teachers(encoder, tmp_path):
    assert teachers(tiny_run(encoder, tmp_path)) == {"distilled": "enhanced"}
    assert teachers(tiny_run(encoder, tmp_path, distilled__teacher="full, lora")) == {"distilled": "full"}
