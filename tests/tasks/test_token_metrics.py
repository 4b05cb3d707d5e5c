"""Scores of tagged sentences: worked examples, seqeval and the counts agree, rows that train has seen."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import classification_report
from seqeval.scheme import IOB2
from tiny_encoder import TAGS, sentence

from helpers.tasks import load_task
from helpers.tasks.bio import to_iob2
from helpers.tasks.metrics import entity_f1, field_results, field_table, score

TASK = load_task("it_ner")
GOLD = [
    sentence("Visual/B-SOFTWARE Studio/I-SOFTWARE 2019/B-VERSION on Windows/B-OS", 3),
    sentence("nothing here", 5),
]


def record(index, *tags):
    return {"id": index, "prediction": list(tags)}


def test_scores_of_a_worked_example():
    """3 gold entities; 3 predicted: one right, one with a wrong border, one invented: P = 1/3, R = 1/3, F1 = 1/3."""
    found = [record(5, "B-OS", "O"), record(3, "B-SOFTWARE", "O", "B-VERSION", "O", "O")]
    scores = score(TASK, GOLD, found)
    assert [scores[name] for name in ("precision", "recall", "f1")] == pytest.approx([1 / 3] * 3)
    assert scores["accuracy"] == pytest.approx(4 / 7) and scores["exact_match"] == 0
    # wrong: SOFTWARE and OS of one row, OS of the other
    assert scores["field_accuracy"] == pytest.approx(7 / 10)
    table = field_table(TASK, field_results(TASK, GOLD, found))
    assert table.loc["OS", ["f1", "support"]].tolist() == [0, 1] and table.loc["VERSION", "f1"] == 1
    assert table.loc["SOFTWARE", "f1"] == 0 and math.isnan(table.loc["ERROR", "f1"])
    assert {name: cells["support"] for name, cells in scores["fields"].items()} == table["support"].to_dict()


def test_an_inside_tag_that_begins_an_entity_is_read_as_its_beginning():
    found = [record(3, "I-SOFTWARE", "I-SOFTWARE", "I-VERSION", "O", "I-OS"), record(5, "O", "O")]
    assert score(TASK, GOLD, found)["f1"] == 1


def test_rows_without_a_prediction_count_as_missed():
    scores = score(TASK, GOLD, [{"id": 3, "prediction": None}, record(5, "O", "O")])
    assert (scores["recall"], scores["f1"], scores["invalid"], scores["exact_match"]) == (0, 0, 1, 0.5)


def test_no_entity_anywhere_is_no_score():
    assert math.isnan(score(TASK, GOLD[1:], [record(5, "O", "O")])["f1"])
    assert score(TASK, GOLD, [record(3, *"OOOOO"), record(5, "O", "O")])["precision"] == 0
    with pytest.raises(ValueError, match="no rows"):
        score(TASK, [], [])


TAGGED = st.integers(1, 8).flatmap(
    lambda n: st.tuples(*[st.lists(st.sampled_from(TAGS), min_size=n, max_size=n)] * 2)
)


@settings(max_examples=40)
@given(st.lists(TAGGED, min_size=1, max_size=4))
def test_counts_and_seqeval_agree(pairs):
    gold, found = ([to_iob2(pair[side]) for pair in pairs] for side in (0, 1))
    examples = [sentence(" ".join(f"w/{tag}" for tag in tags), index) for index, tags in enumerate(gold)]
    ours = score(TASK, examples, [record(index, *tags) for index, tags in enumerate(found)])
    if not any(tag != "O" for tags in (*gold, *found) for tag in tags):
        assert entity_f1(gold, found) == 0  # seqeval has no answer
        return
    theirs = classification_report(
        [*map(list, gold)], [*map(list, found)], output_dict=True, mode="strict", scheme=IOB2, zero_division=0
    )
    assert entity_f1(gold, found) == pytest.approx(ours["f1"])
    for one, other in [(ours, theirs["micro avg"])] + [
        (cells, theirs[label]) for label, cells in ours["fields"].items() if label in theirs
    ]:
        assert [one[name] for name in ("precision", "recall", "f1")] == pytest.approx(
            [other[name] for name in ("precision", "recall", "f1-score")]
        )
