"""Questions about one text: answered side by side, and what becomes of the answers."""

from __future__ import annotations

import pytest
from crime_rows import HEADED, TASK, TOLD
from random_model import varied_model

from helpers.writing.prompts import predict_texts


@pytest.fixture(scope="module")
def model(tokenizer):
    return varied_model(tokenizer.name_or_path, seed=3)


def test_predictions_keep_the_order_of_the_texts_and_count_what_was_cut(model, tokenizer):
    texts = [HEADED, TOLD]
    records = predict_texts(model, tokenizer, TASK, texts, "free", max_new_tokens=4, batch_size=18)
    again = predict_texts(model, tokenizer, TASK, texts[::-1], "free", max_new_tokens=4, batch_size=36)
    assert [r["raw"] for r in records] == [r["raw"] for r in again[::-1]]
    assert all(record["truncated"] > 0 and record["raw"].count("\n") == 17 for record in records)


def test_grammar_makes_every_answer_valid_and_part_of_the_report(model, tokenizer):
    record = predict_texts(model, tokenizer, TASK, [TOLD], "source", max_new_tokens=12)[0]
    assert record["prediction"] is not None and not TASK.chat.failed_fields(record)
    values = [value for found in record["prediction"].values() for value in found]
    allowed = TOLD + " Not provided None identified N/A Adult Young Adult"
    assert values and all(value in allowed for value in values)
    assert set(record["confidence"]) <= set(TASK.fields)
