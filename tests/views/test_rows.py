"""Single rows as they are shown: places of values, label beside prediction, an answer of the predictor."""

import pandas as pd
from tiny_task import TASK, row

from helpers.views import rows


def test_entity_spans_take_each_place_once():
    example = row(0, text="Ann calls Ann on Monday", name="Ann", day="monday", people=["Ann", "Bo"])
    found = rows.entity_spans(TASK, example, example.target)
    assert found == [(0, 3, "name"), (10, 13, "people"), (17, 23, "day")]
    assert rows.entity_spans(TASK, example, None) == []


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
