"""Predictors of finished runs: every kind of system, its spans and versions, and folders that cannot be used."""

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_tasks import write_rooms
from pydantic import BaseModel

from helpers import infer
from helpers.command import status
from helpers.errors import UserError
from helpers.export.model_folder import open_trained, pick_writer
from helpers.files import read_json, write_json
from helpers.serve.messages import answer_model
from helpers.serve.predictor import Predictor
from helpers.tasks import load_task
from helpers.tasks.json_task import JsonTask
from helpers.tasks.text import normalise


@pytest.fixture(scope="module")
def folder(calendar_run):
    return calendar_run.dir


EVENTS = ["Lunch with  Ann on 3 May 2026", "Call “Bo” 9\u202fam"]
TICKETS = [
    "Docker (on  Debian 12) fails: “SIGSEGV”, isn't it? " * 8,
    "Ubuntu 24.04",
]  # one is read in windows


@pytest.mark.parametrize(
    ("task", "variant"),
    [("calendar", name) for name in ("tagger", "full_entity_loss", "lora", "vote", "rules")]
    + [("it_ner", name) for name in ("full", "lora", "enhanced", "rules")],
)
def test_every_system_answers_with_fields_spans_and_confidence(folder, token_run, task, variant):
    predictor = Predictor.open(task, folder if task == "calendar" else token_run.dir, variant)
    texts = EVENTS if task == "calendar" else TICKETS
    assert [predictor.problem(text) for text in texts] == [None, None]
    answers = predictor.predict(texts)
    for text, answer in zip(texts, answers):
        assert list(answer["fields"]) == list(predictor.task.fields)
        assert set(answer["needs_review"]) <= set(predictor.task.fields)
        assert all(value is None or 0 <= value <= 1 for value in answer["confidence"].values())
        for name, spans in answer["spans"].items():
            assert all(text[span["start"] : span["end"]] == span["text"] for span in spans)
            values = answer["fields"][name] or []
            if task == "it_ner":
                read = ["".join(normalise(span["text"]).split()) for span in spans]
                assert read == ["".join(value.split()) for value in values]
            elif predictor.task.kinds[name].verbatim and values and len(spans) == 1 and variant != "rules":
                assert normalise(spans[0]["text"]).lower() in normalise(str(values)).lower()
    if task == "calendar":
        assert answers == [predictor.predict([text])[0] for text in texts]
    elif variant == "rules":
        assert answers[0]["spans"]["OS"][0]["text"] == "Debian"
        assert answers[1]["fields"]["VERSION"] == ["24.04"]


def test_threads_that_ask_at_once_wait_for_each_other(folder, monkeypatch):
    """As two visitors of the demo page, who share a predictor."""
    predictor, inside = Predictor.open("calendar", folder, "rules"), threading.Lock()
    answer = predictor.system.predict

    def alone(*given):
        assert inside.acquire(blocking=False)
        time.sleep(0.02)
        inside.release()
        return answer(*given)

    monkeypatch.setattr(predictor.system, "predict", alone)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda at: predictor.predict([f"Lunch on {at}/03/2026"])[0], range(1, 7)))
    assert [one["fields"]["date"] for one in answers] == [f"0{at}/03/2026" for at in range(1, 7)]


@pytest.mark.parametrize("piece", ["\u1112\u1161", "“½ ", "e\u0301\u0327", "ab", "\u200e1/", "Ana and "])
def test_time_grows_with_the_length_and_no_faster(folder, piece):
    predictor = Predictor.open("calendar", folder, "rules")
    assert "ligatures" in predictor.problem("\ufdfa" * 600) and predictor.problem("ﬁle " * 100) is None

    def seconds(length):
        text, spent = (piece * length)[:length], []
        for _ in range(5):
            began = time.process_time()
            assert predictor.problem(text) is None
            predictor.predict([text])
            spent.append(time.process_time() - began)
        return min(spent)

    assert seconds(600) < 3 * seconds(300) + 0.05 and seconds(600) < 0.5


@given(st.text(max_size=60))
def test_tokens_of_a_typed_text_stay_as_they_are(text):
    task = load_task("it_ner")
    row = task.rows.example(text)
    assert row.text == " ".join(row.target.tokens) == task.rows.reading(row.text)
    assert task.rows.parse(task.rows.write(row), 0).text == row.text


def test_versions_follow_weights_calibration_and_code(folder, tmp_path, monkeypatch):
    copy = tmp_path / "elsewhere"
    shutil.copytree(folder, copy)
    seen = [Predictor.open("calendar", place).version for place in (folder, copy)]
    kept = {"predictions": "", "fields": {"date": {"method": "none", "x": [0, 1], "y": [0, 1]}}}
    write_json(copy / "calibration.json", {"precision": 0.9, "variants": {"tagger": kept}})
    seen.append(Predictor.open("calendar", copy).version)
    card = copy / "checkpoints" / "tagger" / "best" / "tagger.json"
    write_json(card, read_json(card) | {"knowledge": {}})
    seen.append(Predictor.open("calendar", copy).version)
    monkeypatch.setattr("helpers.serve.predictor.code_fingerprint", lambda: "other")
    seen.append(Predictor.open("calendar", copy).version)
    assert seen[0] == seen[1] and len(set(seen)) == 4


def test_the_version_of_a_task_of_ones_own_follows_its_folder_but_not_its_rows(tmp_path):
    task, run = write_rooms(tmp_path / "rooms"), tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    seen = [Predictor.open(str(task), run, "rules").version]
    for name in ("schema.py", "hooks.py", "settings.yaml", "rows.jsonl", "test.json"):
        with (task / name).open("a") as file:
            file.write("\n")
        seen.append(Predictor.open(str(task), run, "rules").version)
    assert len(set(seen[:4])) == 4 and len(set(seen[3:])) == 1


DAMAGE = {"model.safetensors": None, "config.json": "{", "tagger.json": "[]", "extras.safetensors": "nothing"}


@pytest.mark.parametrize(("file", "damage"), DAMAGE.items())
def test_a_damaged_folder_is_one_line(folder, tmp_path, capsys, file, damage):
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    path = copy / "checkpoints" / "tagger" / "best" / file
    path.unlink() if damage is None else path.write_text(damage)
    assert "cannot be loaded" in printed(capsys, 2, copy)


def printed(capsys, code, folder, *more):
    """What the command says of a text: the last line of its errors, or its answer."""
    assert status(infer.main, ["--text", "Lunch with Ann", "--run", str(folder), *more]) == code
    shown = capsys.readouterr()
    return shown.err.strip().splitlines()[-1] if code else shown.out


def test_a_text_is_answered_as_json_alone_and_a_folder_that_is_none_named(folder, tmp_path, capsys):
    answer = json.loads(printed(capsys, 0, folder))
    assert set(answer) == {"fields", "spans", "confidence", "needs_review", "reasons"}
    (tmp_path / "empty" / "checkpoints").mkdir(parents=True)
    for place, words in ((tmp_path / "none", "no model folder"), (tmp_path / "empty", "no finished variant")):
        assert words in printed(capsys, 2, place)
    assert "unknown variant" in printed(capsys, 2, folder, "--variant", "taggr")


def test_reports_keep_their_lines_and_need_no_model_with_rules(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    predictor = Predictor.open("crime", tmp_path, "rules")
    text = predictor.task.words.examples[0].replace("was called to", "was called\n  to")
    assert predictor.problem(text) is None and "characters" in predictor.problem("x" * 6000)
    (span,) = predictor.predict([text])[0]["spans"]["Officer_BadgeNumber"]
    assert text[span["start"] : span["end"]] == "4471" == span["text"]


def test_another_engine_is_for_taggers_and_needs_an_export(folder):
    for variant, engine, words in (
        ("tagger", "onnx", r"helpers\.export"),
        ("tagger", "onx", "unknown engine"),
        ("lora", "onnx_int8", "--engine torch"),
    ):
        with pytest.raises(UserError, match=words):
            Predictor.open("calendar", folder, variant, engine)


def test_what_is_exported_writes_where_something_does(calendar_run, token_run, tmp_path):
    copy = tmp_path / "calendar"
    assert pick_writer(calendar_run) == "full_entity_loss"  # the tagger is best
    assert pick_writer(token_run) == "lora"
    shutil.copytree(calendar_run.dir, copy)
    metrics = read_json(copy / "metrics.json")
    metrics["variants"]["full_entity_loss"]["exact_match"] = 0.9
    for best, score, taken in (
        ("lora", 0.1, "lora"),
        ("tagger", 0.1, "tagger"),
        ("vote", 0.1, "lora"),
        ("vote", 0.8, "tagger"),
        ("tagger_and_rules", 0.1, "tagger"),
    ):
        metrics["variants"]["tagger"]["exact_match"] = score
        write_json(copy / "metrics.json", {**metrics, "best": best})
        _, name, why = open_trained("calendar", copy, None)
        assert name == taken and (f"member of {best}" in why) == (best != taken)
    write_json(copy / "metrics.json", {"best": "vote"})  # nothing is scored
    assert open_trained("calendar", copy, None)[1] == "tagger"
    assert open_trained("calendar", copy, "full_entity_loss")[1:] == ("full_entity_loss", "as asked for")


class Order(BaseModel):
    item: str | None
    count: int | None
    urgent: bool | None
    notes: list[str] | None


def test_numbers_and_truth_values_of_an_answer_stay_what_they_are():
    result = answer_model(JsonTask(Order)).model_fields["results"].annotation.__args__[0]
    given = {"item": "pens", "count": 3, "urgent": False, "notes": ["blue"]}
    assert result.model_fields["fields"].annotation(**given).model_dump() == given
