"""Answers of tasks whose values are not all strings."""

from __future__ import annotations

from pydantic import BaseModel

from helpers.serve.service_models import answer_model
from helpers.tasks.json_task import JsonTask


class Order(BaseModel):
    item: str | None
    count: int | None
    urgent: bool | None
    notes: list[str] | None


def test_numbers_and_truth_values_stay_what_they_are():
    fields = (
        answer_model(JsonTask(Order)).model_fields["results"].annotation.__args__[0].model_fields["fields"]
    )
    given = {"item": "pens", "count": 3, "urgent": False, "notes": ["blue"]}
    assert fields.annotation(**given).model_dump() == given
