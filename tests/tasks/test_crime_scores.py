"""Scores and views that crime reports brought: fuzzy matching, empty answers, slices, values made up, several readings."""

from __future__ import annotations

import pandas as pd
import pytest
from crime_rows import HEADED, TASK, TOLD, headed, told
from tiny_model import save_tiny_base
from tiny_task import TASK as TINY
from transformers import AutoTokenizer

from helpers.evaluation import measured, mistakes, slices
from helpers.tasks import metrics
from helpers.views import explore
from helpers.views.findings import tell
from helpers.writing import chat


def record(row, **changes) -> dict:
    """A prediction record that is right but for some types."""
    target = {**row.target, **changes}
    return {"id": row.id, "prediction": target, "raw": TASK.chat.completion(target), "confidence": None}


@pytest.mark.parametrize(
    ("gold", "predicted", "hits"),
    [
        ([], ["a"], 0),
        (["12 Quay Lane"], ["12 Quay Lane"], 1),
        (["12 Quay Lane, Arden"], ["12 Quay Lane Arden"], 1),
        (["CCTV footage"], ["a torn glove"], 0),
        (["two fingerprints"], ["two fingerprints", "two fingerprint"], 1),
        # the first could go with either, the second only with the first: pairing greedily would lose one
        (["abcdefghij", "abcdefghiX"], ["abcdefghij", "abcdefgkij"], 2),
    ],
)
def test_fuzzy_matching_pairs_each_value_once(gold, predicted, hits):
    assert metrics.fuzzy_hits(gold, predicted) == hits


def test_headline_decides_what_a_row_adds_to_the_score():
    rows, records = [headed(), told()], [record(headed(), Crime_Type=["Theft"]), record(told())]
    parts = slices.row_parts(TASK, rows, records)
    assert (parts["bottom"] - parts["top"]).tolist() == [2, 0]  # a value missed, another made up
    assert slices.group_score(TASK, rows, records) == metrics.score(TASK, rows, records)["exact_f1"]
    assert TASK.headline == "exact_f1" and TINY.headline == "exact_match"


def test_empty_accuracy_looks_at_empty_labels_only():
    rows = [headed()]
    scores = metrics.score(TASK, rows, [record(headed(), Victim_Age=["34"], Crime_Type=[])])
    assert scores["empty_accuracy"] == pytest.approx(
        3 / 4
    )  # of Victim_Name … Victim_CEO four types have no value


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"Witness_Name": []}, mistakes.NOTHING),
        ({"Victim_Manager": ["N/A"]}, mistakes.NOTHING),
        ({"Witness_Name": ["Not provided"]}, mistakes.NORMALISATION),
        ({"Evidence_Type": ["Pry bar", "two fingerprints"]}, mistakes.MISSING),
        ({"Victim_Owner": [], "Victim_Manager": ["Ines Calder"]}, mistakes.WRONG_FIELD),
        ({"Location": ["Quay Lane, Port Arden"]}, mistakes.BOUNDARY),
        ({"Victim_Age": ["34"]}, mistakes.INVENTED),
    ],
)
def test_error_classes_of_reports(changes, kind):
    errors = mistakes.classify_errors(TASK, [headed()], [record(headed(), **changes)])
    assert set(errors["kind"]) == {kind} and set(errors["field"]) == set(changes)


def test_values_that_stand_nowhere_are_made_up():
    wrong = record(
        headed(), Location=["Quay Lane"], Victim_Name=["Harbor Bakery"], Witness_Name=["port arden"]
    )
    made_up = mistakes.values_not_in_text(TASK, [headed()], [wrong])
    assert made_up[["field", "value"]].to_numpy().tolist() == [["Victim_Name", "Harbor Bakery"]]
    assert "**1** of 9" in tell("invented", made_up, 9)


def test_truncation_is_counted_and_named():
    times = pd.DataFrame(
        [("full", "free", "scored", 2, 1.0, 3), ("full", "source", "scored", 2, 1.0, 0)],
        columns=["variant", "decoding", "part", "rows", "seconds", "truncated"],
    )
    assert "**3** outputs reached the limit of 200" in tell("truncation", times, 200)


def test_published_results_stand_beside_f1(monkeypatch):
    monkeypatch.setattr(measured, "is_public", lambda run: True)
    ours = {name: 0.9 for name in metrics.WRITTEN} | {"token_accuracy": 0.98, "loss": 0.1, "fields": {}}
    run = type("R", (), {"task": TASK})
    table = measured.published_table(run, {"full": ours, "base_zero_shot": {"loss": 0.7}}, "full")
    assert table.loc["this run: full", ["exact_f1", "token_accuracy", "loss", "loss_before"]].tolist() == [
        0.9,
        0.98,
        0.1,
        0.7,
    ]
    assert "+11.9 points" in tell("published", table, TASK.headline)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return save_tiny_base(tmp_path_factory.mktemp("base"))


def test_lengths_are_those_of_the_whole_chat(base):
    tokenizer = AutoTokenizer.from_pretrained(base)
    frame = explore.lengths({"train": [headed(), told()]}, TASK, tokenizer)
    whole = tokenizer(chat.render(tokenizer, TASK.chat.conversation(told())), add_special_tokens=False)[
        "input_ids"
    ]
    assert frame["tokens"].iloc[1] == len(whole) and (frame["prompt_tokens"] < frame["tokens"]).all()
    assert frame["characters"].tolist() == [len(HEADED), len(TOLD)]
    limits = explore.length_limits(frame)
    assert limits["cut"].iloc[-1] == 0
