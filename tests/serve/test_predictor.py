"""Predictors of finished runs: every kind of system, its spans and versions, and folders that cannot be used."""

from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import make_run, make_token_run

from helpers import infer
from helpers.command import status
from helpers.errors import UserError
from helpers.serve.predictor import Predictor
from helpers.tasks import load_task
from helpers.tasks.text import normalise


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("variant", ["tagger", "full_entity_loss", "lora", "vote", "rules"])
def test_every_system_answers_with_fields_spans_and_confidence(folder, variant):
    predictor = Predictor.open("calendar", folder, variant)
    texts = ["Lunch with  Ann on 3 May 2026", "Call “Bo” 9\u202fam"]
    assert [predictor.problem(text) for text in texts] == [None, None]
    for text, answer in zip(texts, predictor.predict(texts)):
        assert list(answer["fields"]) == list(predictor.task.fields)
        for name, spans in answer["spans"].items():
            assert all(text[span["start"] : span["end"]] == span["text"] for span in spans)
            value = answer["fields"][name]
            if predictor.task.kinds[name].verbatim and value and len(spans) == 1 and variant != "rules":
                assert normalise(spans[0]["text"]).lower() in normalise(str(value)).lower()
        assert all(value is None or 0 <= value <= 1 for value in answer["confidence"].values())
        assert set(answer["needs_review"]) <= set(predictor.task.fields)
    assert predictor.predict(texts) == [predictor.predict([text])[0] for text in texts]


@pytest.fixture(scope="module")
def token_folder(tmp_path_factory):
    return make_token_run(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize("variant", ["full", "lora", "enhanced", "rules"])
def test_taggers_of_tokens_answer_in_the_same_form(token_folder, variant):
    predictor = Predictor.open("it_ner", token_folder, variant)
    texts = ["Docker (on  Debian 12) fails: “SIGSEGV”, isn't it? " * 8, "Ubuntu 24.04"]
    assert [predictor.problem(text) for text in texts] == [None, None]  # long texts are read in windows
    answers = predictor.predict(texts)
    for text, answer in zip(texts, answers):
        assert list(answer["fields"]) == list(answer["spans"]) == list(predictor.task.fields)
        for name, spans in answer["spans"].items():
            assert len(spans) == len(answer["fields"][name])
            for span, value in zip(spans, answer["fields"][name]):
                assert text[span["start"] : span["end"]] == span["text"]
                assert "".join(normalise(span["text"]).split()) == "".join(value.split())
    assert any(answer["fields"][name] for answer in answers for name in predictor.task.fields)
    if variant == "rules":
        assert answers[0]["spans"]["OS"][0]["text"] == "Debian" and answers[1]["fields"]["VERSION"] == [
            "24.04"
        ]
    else:
        assert all(0 <= value <= 1 for value in answers[0]["confidence"].values())


def test_rows_of_tokens_are_labelled_token_by_token(token_folder):
    task = Predictor.open("it_ner", token_folder, "rules").task
    row = {"tokens": ["Docker", "fails", "on", "Debian", "12", "."], "ner_tags": ["O"] * 6}
    assert task.rows.text_of(row) == "Docker fails on Debian 12 ." and task.rows.text_of({"text": "a"}) == "a"
    for wrong in ({"tokens": "Docker"}, {}):
        with pytest.raises(ValueError, match="tokens"):
            task.rows.text_of(wrong)


@given(st.text(max_size=60))
def test_tokens_of_a_typed_text_stay_as_they_are(text):
    task = load_task("it_ner")
    row = task.rows.example(text)
    assert row.text == " ".join(row.target.tokens) == task.rows.reading(row.text)
    assert task.rows.parse(task.rows.write(row), 0).text == row.text


def test_texts_that_do_not_fit_the_model_are_refused(folder):
    predictor = Predictor.open("calendar", folder, "full_entity_loss")
    predictor.system.loaded[0].config.max_position_embeddings = 20
    assert "tokens" in predictor.problem("Lunch with Ann on 3 May 2026 at noon")


def test_versions_follow_the_weights(folder, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    assert Predictor.open("calendar", copy).version == Predictor.open("calendar", folder).version
    card = copy / "checkpoints" / "tagger" / "best" / "tagger.json"
    card.write_text(card.read_text().replace('"multiple": 0.0', '"multiple": 0.5'))
    assert Predictor.open("calendar", copy).version != Predictor.open("calendar", folder).version


def test_missing_and_damaged_folders_end_in_one_line(folder, tmp_path, capsys):
    def line(*arguments):
        assert status(infer.main, ["--text", "Lunch", *arguments]) == 2
        printed = capsys.readouterr().err.strip().splitlines()
        assert printed[-1].startswith("error: ")
        return printed[-1]

    assert "no model folder" in line("--run", str(tmp_path / "none"))
    assert "unknown variant" in line("--run", str(folder), "--variant", "taggr")
    for number, (file, damage) in enumerate(
        [
            ("model.safetensors", b"nothing"),
            ("config.json", b"{"),
            ("tagger.json", b"[]"),
            ("extras.safetensors", b"nothing"),
            ("model.safetensors", None),
        ]
    ):
        copy = tmp_path / f"copy{number}"
        shutil.copytree(folder, copy)
        path = copy / "checkpoints" / "tagger" / "best" / file
        path.unlink() if damage is None else path.write_bytes(damage)
        assert "cannot be loaded" in line("--run", str(copy))
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    assert "no finished variant" in line("--run", str(tmp_path / "empty"))


def test_one_text_is_printed_as_json_alone(folder, capsys):
    assert status(infer.main, ["--run", str(folder), "--text", "Lunch with Ann"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {
        "fields",
        "spans",
        "confidence",
        "needs_review",
        "reasons",
    }


def test_reports_keep_their_lines_and_need_no_model_with_rules(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    predictor = Predictor.open("crime", tmp_path, "rules")
    text = predictor.task.words.examples[0].replace("was called to", "was called\n  to")
    assert predictor.problem(text) is None and "characters" in predictor.problem("x" * 6000)
    answer = predictor.predict([text])[0]
    assert "4471" in answer["fields"]["Officer_BadgeNumber"]
    span = answer["spans"]["Officer_BadgeNumber"][0]
    assert text[span["start"] : span["end"]] == "4471" == span["text"]
    assert not (tmp_path.parent / "artifacts").exists()


@pytest.mark.parametrize(
    "variant, engine, words",
    [
        ("tagger", "onnx", r"helpers\.export"),
        ("tagger", "onx", "unknown engine"),
        ("lora", "onnx_int8", "--engine torch"),
    ],
)
def test_another_engine_is_for_taggers_and_needs_an_export(folder, variant, engine, words):
    with pytest.raises(UserError, match=words):
        Predictor.open("calendar", folder, variant, engine)


def test_what_is_exported_writes_where_something_does(folder, token_folder, tmp_path):
    from helpers.export.model_folder import open_run, pick_writer

    assert (
        pick_writer(open_run("calendar", folder)[0]) == "full_entity_loss"
    )  # the tagger is best, and writes nothing
    assert pick_writer(open_run("it_ner", token_folder)[0]) == "lora"
    copy = tmp_path / "calendar"
    shutil.copytree(folder, copy)
    metrics = json.loads((copy / "metrics.json").read_text())
    metrics["variants"]["full_entity_loss"]["exact_match"] = 0.9
    (copy / "metrics.json").write_text(json.dumps({**metrics, "best": "lora"}))
    assert (
        pick_writer(open_run("calendar", copy)[0]) == "lora"
    )  # chosen on validation, whatever the scored part says
