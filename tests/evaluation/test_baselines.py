"""Baselines: which run, what they leave, and a server that speaks the OpenAI protocol."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tiny_encoder import sentence, sentences
from tiny_run import rows

from helpers.data.read import write_jsonl
from helpers.data.splits import write_splits
from helpers.errors import UserError
from helpers.evaluation import baselines, scoring, systems
from helpers.run import Run

LUNCH = {"action": "Lunch", "date": "01/03/2026", "time": "1:00 PM", "attendees": ["Ann"]}


@pytest.fixture
def run(base, tmp_path):
    settings = {"base_model": str(base), "max_new_tokens": 12, "few_shot": 2}
    run = Run(task="calendar", profile="smoke", out=str(tmp_path), settings=settings)
    write_splits(run, {"train": rows(run.task, 4), "validation": rows(run.task, 4)})
    return run


@pytest.fixture
def token_run(tmp_path):
    run = Run(task="it_ner", profile="smoke", out=str(tmp_path))
    write_splits(run, {"train": sentences(), "validation": sentences()[:3]})
    write_jsonl(run.path("splits", "train_augmented.jsonl"), [])
    return run


@pytest.fixture
def llm(monkeypatch):
    """A server that gives the same answers over and over; its `requests` and `answers` are lists."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            server.requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            content = server.answers[(len(server.requests) - 1) % len(server.answers)]
            body = json.dumps({"choices": [{"message": {"role": "assistant", "content": content}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.requests, server.answers = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LLM_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("LLM_MODEL", "tiny")
    yield server
    server.shutdown()


def test_baselines_of_a_tagging_task_are_run_and_scored(token_run, monkeypatch):
    monkeypatch.delenv("LLM_BASE_URL", raising=False)
    assert baselines.available(token_run) == ("majority", "rules", "dictionary", "untuned")
    names, part = ("dictionary", "majority", "rules"), token_run.load("validation")
    found = {name: scoring.run_baseline(token_run, name, part) for name in names}
    # it takes "the windows in room 4" for an entity
    assert found["dictionary"]["f1"] == pytest.approx(10 / 11)
    assert found["majority"]["f1"] == 0 < found["majority"]["accuracy"] < 1
    assert found["rules"]["precision"] == 1


def test_server_gets_the_shots_and_its_fenced_answer_is_read(run, llm):
    llm.answers.append(f"```json\n{json.dumps(dict.fromkeys(run.task.fields) | LUNCH)}\n```")
    result = scoring.run_baseline(run, "llm", run.load("validation"))
    assert result["exact_match"] == 0.25 and result["json_validity"] == 1.0
    turns = llm.requests[0]["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    assert turns[0]["content"].startswith(run.task.words.instruction) and llm.requests[0]["temperature"] == 0


def test_answers_of_a_language_model_become_tags(token_run, llm):
    asked = "Visual/B-SOFTWARE Studio/I-SOFTWARE 2019/B-VERSION on Windows/B-OS", "nothing here"
    llm.answers += ['{"SOFTWARE": ["Visual Studio"], "OS": null}', "no json"]
    assert baselines.available(token_run)[-1] == "llm"
    scores = scoring.run_baseline(token_run, "llm", list(map(sentence, asked, (3, 5))))
    assert scores["precision"] == 1 and scores["recall"] == pytest.approx(1 / 3) and scores["invalid"] == 1
    kept = [record["prediction"] for record in systems.read_predictions(token_run, "llm", "validation")]
    assert kept == [["B-SOFTWARE", "I-SOFTWARE", "O", "O", "O"], None]


def test_an_unreachable_server_is_one_clear_line_and_what_one_that_is_gone_left_is_dropped(run, monkeypatch):
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="LLM_BASE_URL=http://127.0.0.1:9/v1: .*unset LLM_BASE_URL"):
        scoring.run_baseline(run, "llm", run.load("validation"))
    monkeypatch.delenv("LLM_BASE_URL")
    systems.write_predictions(run, "llm", [{"id": 0, "prediction": None, "raw": ""}])
    for name in baselines.available(run):
        scoring.run_baseline(run, name, run.load("validation"))
    scoring.answer_baselines(run)
    left = {path.stem for path in run.path("predictions", "x").parent.glob("*.jsonl")}
    assert left == {"rules", "base_zero_shot", "base_few_shot"}


@pytest.mark.parametrize("own", [{"max_new_tokens": 10**6}, {"few_shot": 0}])
def test_no_shots_are_shown_where_they_do_not_fit_or_are_not_wanted(run, own):
    assert "base_few_shot" in baselines.available(run)
    run.settings |= own
    assert "base_few_shot" not in baselines.available(run)
