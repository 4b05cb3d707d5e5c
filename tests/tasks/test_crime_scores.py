"""Scores and views that crime reports brought: fuzzy matching, error classes, values made up, lengths of chats."""

from __future__ import annotations

from crime_rows import TASK, headed, told

from helpers.evaluation import measured, mistakes, slices
from helpers.tasks import metrics
from helpers.views import explore
from helpers.writing import chat


def record(row, **changes) -> dict:
    """A prediction record that is right but for some types."""
    target = {**row.target, **changes}
    return {"id": row.id, "prediction": target, "raw": TASK.chat.completion(target), "confidence": None}


def test_fuzzy_matching_pairs_each_value_once():
    for gold, predicted, hits in (
        ([], ["a"], 0),
        (["12 Quay Lane, Arden"], ["12 Quay Lane Arden"], 1),
        (["CCTV footage"], ["a torn glove"], 0),
        (["two fingerprints"], ["two fingerprints", "two fingerprint"], 1),
        # the first could go with either, the second only with the first: pairing greedily would lose one
        (["abcdefghij", "abcdefghiX"], ["abcdefghij", "abcdefgkij"], 2),
    ):
        assert metrics.fuzzy_hits(gold, predicted) == hits


def test_headline_decides_what_a_row_adds_to_the_score():
    rows, records = [headed(), told()], [record(headed(), Crime_Type=["Theft"]), record(told())]
    parts = slices.row_parts(TASK, rows, records)
    assert (parts["bottom"] - parts["top"]).tolist() == [2, 0]  # a value missed, another made up
    assert slices.group_score(TASK, rows, records) == metrics.score(TASK, rows, records)["exact_f1"]


def test_error_classes_of_reports():
    for changes, kind in (
        ({"Witness_Name": []}, mistakes.NOTHING),
        ({"Victim_Manager": ["N/A"]}, mistakes.NOTHING),
        ({"Witness_Name": ["Not provided"]}, mistakes.NORMALISATION),
        ({"Evidence_Type": ["Pry bar", "two fingerprints"]}, mistakes.MISSING),
        ({"Victim_Owner": [], "Victim_Manager": ["Ines Calder"]}, mistakes.WRONG_FIELD),
        ({"Location": ["Quay Lane, Port Arden"]}, mistakes.BOUNDARY),
        ({"Victim_Age": ["34"]}, mistakes.INVENTED),
    ):
        errors = mistakes.classify_errors(TASK, [headed()], [record(headed(), **changes)])
        assert set(errors["kind"]) == {kind} and set(errors["field"]) == set(changes)


def test_values_that_stand_nowhere_are_made_up():
    changes = {"Location": ["Quay Lane"], "Victim_Name": ["Harbor Bakery"], "Witness_Name": ["port arden"]}
    made_up = mistakes.values_not_in_text(TASK, [headed()], [record(headed(), **changes)])
    assert made_up[["field", "value"]].to_numpy().tolist() == [["Victim_Name", "Harbor Bakery"]]


def test_published_results_stand_beside_ours(monkeypatch):
    monkeypatch.setattr(measured, "is_public", lambda run: True)
    ours = {name: 0.9 for name in metrics.WRITTEN} | {"token_accuracy": 0.98, "loss": 0.1, "fields": {}}
    run = type("R", (), {"task": TASK})
    table = measured.published_table(run, {"full": ours, "base_zero_shot": {"loss": 0.7}}, "full")
    found = table.loc["this run: full", ["exact_f1", "token_accuracy", "loss", "loss_before"]]
    assert found.tolist() == [0.9, 0.98, 0.1, 0.7]


def test_lengths_are_those_of_the_whole_chat(tokenizer):
    frame = explore.lengths({"train": [headed(), told()]}, TASK, tokenizer)
    whole = chat.render(tokenizer, TASK.chat.conversation(told()))
    assert frame["tokens"].iloc[1] == len(tokenizer(whole, add_special_tokens=False)["input_ids"])
    assert (frame["prompt_tokens"] < frame["tokens"]).all()
