"""The load test: it finds wrong and missing answers, and its numbers are what they say."""

from __future__ import annotations

import threading
import time

import pandas as pd
import pytest
from echo import FIELDS, Echo

from helpers.serve import load_test
from helpers.serve.server import bind, server_of
from helpers.serve.service import Limits, create_app


@pytest.fixture
def port():
    """Port of a service in a thread of this process."""
    listening = bind("127.0.0.1", 0)
    server = server_of(create_app(Echo(seconds=0.005), Limits(cache=0)), 5)
    thread = threading.Thread(target=lambda: server.run(sockets=[listening]), daemon=True)
    thread.start()
    deadline = time.monotonic() + 120
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(20)


def fields(action):
    return dict.fromkeys(FIELDS) | {"action": action}


def test_right_answers_are_counted_and_mixed_up_ones_found(port):
    expected = {f"text {at}": fields(f"text {at}") for at in range(20)}
    found = load_test.summary(load_test.press(port, expected, 16, 1), 1)
    assert found["requests"] > 10 and found["errors"] == found["wrong_answers"] == 0
    swapped = {text: fields("text 0") for text in expected}
    assert load_test.press(port, swapped, 2, 0.5)["wrong"].any()
    refused = load_test.press(port, {"": fields("")}, 1, 0.3)
    assert set(refused["error"]) == {"422"}


def test_a_dead_server_is_an_error_not_a_crash():
    with bind("127.0.0.1", 0) as listening:
        free = listening.getsockname()[1]
    assert set(load_test.press(free, {"a": fields("a")}, 2, 0.2)["error"]) == {"ConnectionRefusedError"}


def test_summary_of_hand_made_numbers():
    seen = pd.DataFrame({"ms": [100.0] * 94 + [500.0] * 6, "error": None, "wrong": False})
    seen.loc[0, "error"], seen.loc[1, "wrong"] = "429", True
    found = load_test.summary(seen, seconds=10)
    assert (found["requests"], found["errors"], found["wrong_answers"]) == (100, 1, 1)
    assert (found["p50_ms"], found["p95_ms"], found["throughput"]) == (100, 500, 10)
