"""The load test: it finds wrong and missing answers, and its numbers are what they say."""

from __future__ import annotations

import threading
import time

import pytest
from test_service import FIELDS, Echo

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
    seen = load_test.press(port, expected, clients=4, seconds=1)
    assert len(seen.seconds) > 10 and not seen.errors and seen.wrong == 0
    swapped = {text: fields("text 0") for text in expected}
    seen = load_test.press(port, swapped, clients=2, seconds=0.5)
    assert 0 < seen.wrong <= len(seen.seconds)
    seen = load_test.press(port, {"": fields("")}, clients=1, seconds=0.3)
    assert set(seen.errors) == {"422"}


def test_a_dead_server_is_an_error_not_a_crash():
    with bind("127.0.0.1", 0) as listening:
        free = listening.getsockname()[1]
    seen = load_test.press(free, {"a": fields("a")}, clients=2, seconds=0.2)
    assert set(seen.errors) == {"ConnectionRefusedError"} and not seen.seconds


def test_summary_of_hand_made_numbers():
    seen = load_test.Seen(seconds=[0.1] * 95 + [0.5] * 5, errors=["429"], wrong=1)
    found = load_test.summary(seen, seconds=10, clients=4, rate=2)
    assert found["p50_ms"] == pytest.approx(100) and 100 < found["p95_ms"] <= 500
    assert (found["requests"], found["errors"], found["wrong_answers"]) == (100, 1, 1)
    assert found["throughput"] == 10 and found["speed_up"] == 5


def test_the_loop_answers_one_text_after_the_other():
    predictor = Echo(seconds=0.002)
    rate, answers = load_test.loop_rate(predictor, ["a", "b"], 0.1)
    assert 0 < rate < 500 and set(answers) == {"a", "b"}
    assert all(len(batch) == 1 for batch in predictor.batches)
