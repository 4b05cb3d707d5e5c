"""Single rows as they are shown: places of values."""

from tiny_task import TASK, row

from helpers.views import rows


def test_entity_spans_take_each_place_once():
    example = row(0, text="Ann calls Ann on Monday", name="Ann", day="monday", people=["Ann", "Bo"])
    found = rows.entity_spans(TASK, example, example.target)
    assert found == [(0, 3, "name"), (10, 13, "people"), (17, 23, "day")]
    assert rows.entity_spans(TASK, example, None) == []
