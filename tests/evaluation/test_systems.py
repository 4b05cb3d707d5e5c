"""Systems of finished runs: every kind answers in one form, and which of them is taken."""

from __future__ import annotations

import pytest
from tiny_run import make_run, make_token_run

from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.export.model_folder import open_run
from helpers.files import write_json
from helpers.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return open_run("calendar", make_run(tmp_path_factory.mktemp("run")))[0]


@pytest.fixture(scope="module")
def token_run(tmp_path_factory) -> Run:
    return open_run("it_ner", make_token_run(tmp_path_factory.mktemp("run")))[0]


@pytest.mark.parametrize("name", ["full_entity_loss", "lora", "tagger", "vote", "rules", "base_zero_shot"])
def test_every_system_of_a_writing_task_gives_records(run, name):
    rows = [run.task.rows.example("Lunch with Ann on 3 May 2026", 4), run.task.rows.example("Call Bo", 7)]
    system = systems.load(run, name)
    records = system.predict(rows)
    assert [record["id"] for record in records] == [4, 7]
    for record in records:
        assert set(systems.KEPT) <= set(record)
        assert record["prediction"] is None or list(record["prediction"]) == list(run.task.fields)
    assert system.problem("Lunch") is None
    system.release()
    assert system.loaded is None
    if name in ("full_entity_loss", "vote"):
        long = " ".join(["Lunch"] * 5000)
        assert "which has room for" in systems.load(run, name).problem(long)


@pytest.mark.parametrize("name", ["full", "enhanced", "rules", "majority", "untuned"])
def test_every_system_of_a_tagging_task_gives_tags(token_run, name):
    row = token_run.task.rows.example("Docker fails on Debian 12 .")
    (record,) = systems.load(token_run, name).predict([row])
    assert record["id"] == 0 and len(record["prediction"]) == 6


def test_what_is_not_there_is_one_line(run, tmp_path):
    with pytest.raises(UserError, match="unknown system 'taggr'.*did you mean 'tagger'"):
        systems.load(run, "taggr")
    empty = Run("calendar", profile="smoke", out=str(tmp_path))
    with pytest.raises(UserError, match="'lora' is not trained: run notebook 04"):
        systems.load(empty, "lora")
    with pytest.raises(UserError, match="run the stage that makes it first"):
        systems.read_predictions(empty, "lora")


def test_the_system_to_use_is_the_best_on_validation_if_it_is_there(tmp_path):
    run = Run("calendar", profile="smoke", out=str(tmp_path))
    with pytest.raises(UserError, match="no finished variant"):
        systems.choose(run)
    assert systems.choose(run, rules=True) == systems.choose(run, "rules") == "rules"
    for variant in ("lora", "tagger", "full_entity_loss"):
        write_json(run.path("checkpoints", variant, "finished.json"), {})
    assert systems.choose(run) == "full_entity_loss", "the task's first, as nothing is scored yet"
    write_json(run.path("metrics.json"), {"best": "vote"})
    assert systems.choose(run) == "vote" and systems.choose(run, "lora") == "lora"
    run.path("checkpoints", "tagger", "finished.json").unlink()
    assert systems.choose(run) == "full_entity_loss", "a member of the vote is missing"
    with pytest.raises(UserError, match="unknown variant"):
        systems.choose(run, "tagger")


def test_predictions_are_kept_without_what_only_decoding_needs(tmp_path):
    run, kept = Run("calendar", "smoke", out=str(tmp_path)), {"id": 3, "prediction": None, "raw": "{"}
    systems.write_predictions(run, "lora", [{**kept, "error": "truncated", "truncated": 1}])
    assert systems.read_predictions(run, "lora") == [{**kept, "confidence": None}]
