"""Baselines: which run, what they leave, and a server that speaks the OpenAI protocol."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from tiny_model import save_tiny_base

from helpers.data.read import write_jsonl
from helpers.errors import UserError
from helpers.evaluation import baselines
from helpers.evaluation.predict import pick_shots, read_predictions, write_predictions
from helpers.run import Run
from helpers.tasks import load_task
from helpers.writing import prompts


@pytest.fixture()
def run(tmp_path):
    task = load_task("calendar")
    run = Run(
        task="calendar",
        profile="smoke",
        out=str(tmp_path),
        settings={"base_model": str(save_tiny_base(tmp_path / "base")), "max_new_tokens": 12, "few_shot": 2},
    )
    rows = [
        task.rows.parse(
            {
                "event_text": f"Lunch with {name} on 12/03/2026 at 1pm",
                "output": dict.fromkeys(task.fields)
                | {"action": "Lunch", "date": "12/03/2026", "time": "1:00 PM", "attendees": [name]},
            },
            number,
        )
        for number, name in enumerate(["Ann", "Bo", "Cy", "Dee"])
    ]
    for part in ("train", "validation"):
        write_jsonl(run.path("splits", f"{part}.jsonl"), map(task.rows.to_json, rows))
    return run


@pytest.fixture()
def llm(monkeypatch):
    """A server that answers every question with one label; yields the requests it got."""
    requests = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            requests.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            answer = {
                "action": "Lunch",
                "date": "12/03/2026",
                "time": "1:00 PM",
                "attendees": ["Ann"],
                "location": None,
                "duration": None,
                "recurrence": None,
                "notes": None,
            }
            message = {"role": "assistant", "content": f"```json\n{json.dumps(answer)}\n```"}
            body = json.dumps(
                {
                    "id": "x",
                    "object": "chat.completion",
                    "created": 0,
                    "model": "m",
                    "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                }
            ).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LLM_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("LLM_MODEL", "tiny")
    yield requests
    server.shutdown()


def test_rules_are_scored_by_their_accuracy(run):
    result = baselines.run_baseline(run, "rules", run.load("validation"))
    assert result["exact_match"] == 1.0 and result["ci95"]["exact_match"][1] == 1.0
    assert [r["id"] for r in read_predictions(run, "rules", "validation")] == [0, 1, 2, 3]


def test_server_gets_the_shots_and_its_fenced_answer_is_read(run, llm):
    result = baselines.run_baseline(run, "llm", run.load("validation"))
    assert result["exact_match"] == 0.25 and result["json_validity"] == 1.0
    roles = [message["role"] for message in llm[0]["messages"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"] and llm[0]["temperature"] == 0
    assert llm[0]["messages"][0]["content"].startswith(run.task.words.instruction)


def test_unreachable_server_is_one_clear_line(run, monkeypatch):
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(UserError, match="LLM_BASE_URL=http://127.0.0.1:9/v1: .*unset LLM_BASE_URL"):
        baselines.run_baseline(run, "llm", run.load("validation"))


def test_predictions_of_a_server_that_is_gone_are_dropped(run, monkeypatch):
    monkeypatch.delenv("LLM_BASE_URL", raising=False)
    write_predictions(run, "llm", [{"id": 0, "prediction": None, "raw": ""}])
    for name in baselines.available(run):
        baselines.run_baseline(run, name, run.load("validation"))
    baselines.predict_scored(run)
    left = {path.stem for path in run.path("predictions", "x").parent.glob("*.jsonl")}
    assert left == {"rules", "base_zero_shot", "base_few_shot"}


def test_shots_come_from_train_and_are_solved(run):
    shots = pick_shots(run, run.load("train"), 2)
    asked = " ".join(turn["content"] for turn in prompts.opening(run.task, "Call Bo", shots))
    assert len(shots) == 2 and all(run.task.chat.completion(shot.target) in asked for shot in shots)


def test_shots_that_do_not_fit_are_left_out_with_the_reason(run):
    assert baselines.no_shots(run) == "" and "base_few_shot" in baselines.available(run)
    run.settings["max_new_tokens"] = 10**6
    assert "the model has room for" in baselines.no_shots(run) and "base_few_shot" not in baselines.available(
        run
    )
    run.settings["few_shot"] = 0
    assert baselines.no_shots(run) == "the setting `few_shot` is 0"
