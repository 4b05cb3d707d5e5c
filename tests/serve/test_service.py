"""The service: batches, overload, time-outs, mixed answers, bad requests and a stop in the middle of work."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import asynccontextmanager

import pytest
import torch
from echo import FIELDS, Echo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from helpers.command import status
from helpers.paths import ROOT
from helpers.serve.batching import Batcher, Overloaded, Stopping, TooSlow
from helpers.serve.service import LOG, Limits, create_app, log_to

FUZZ = int(os.environ.get("STUDY_FUZZ", "250"))  # bodies that are tried; 10000 takes a minute


@pytest.fixture
def served():
    """(client, predictor) of a service with small limits."""
    predictor = Echo()
    limits = Limits(texts=5, body_bytes=10_000, batch=4, wait=0.002, queue=6, timeout=0.5, cache=10)
    with TestClient(create_app(predictor, limits)) as client:
        yield client, predictor


JSON_TYPE = {"content-type": "application/json"}


def actions(response):
    return actions_of(response.json()["results"])


# -- batches ----------------------------------------------------------------------------------------------------------
@asynccontextmanager
async def batching(predictor, **options):
    """A batcher of a predictor that works inside the block."""
    batcher = Batcher(predictor.predict, **options)
    batcher.start()
    yield batcher
    await batcher.close()


@pytest.fixture
def anyio_backend():
    """Tests that are coroutines run in asyncio."""
    return "asyncio"


def actions_of(answers):
    return [one["fields"]["action"] for one in answers]


@pytest.mark.anyio
async def test_concurrent_texts_share_passes_and_each_gets_its_own_answer():
    predictor = Echo(seconds=0.01)
    async with batching(predictor, max_batch=8, wait=0.05, capacity=100) as batcher:
        found = await asyncio.gather(*(batcher.answer([f"t{at}", f"u{at}"]) for at in range(20)))
    assert list(map(actions_of, found)) == [[f"t{at}", f"u{at}"] for at in range(20)]
    sizes = list(map(len, predictor.batches))
    assert sum(sizes) == 40 and max(sizes) == 8 and len(sizes) <= 8


@pytest.mark.anyio
async def test_clients_that_ask_again_stay_together_and_a_lone_one_does_not_wait():
    predictor = Echo(seconds=0.2)
    async with batching(predictor, max_batch=8, wait=0.02) as batcher:

        async def client(at):
            for turn in range(3):
                await asyncio.sleep(0.001 * at)
                await batcher.answer([f"{at} {turn}"])

        await asyncio.gather(*map(client, range(8)))
        assert len(predictor.batches) <= 6  # three at best; one a request without the wait
        predictor.seconds, started = 0, time.monotonic()
        await batcher.answer(["alone"])
        assert time.monotonic() - started < 1


@pytest.mark.anyio
async def test_a_full_queue_refuses_at_once_and_keeps_what_it_has():
    predictor = Echo()
    predictor.gate.clear()
    async with batching(predictor, max_batch=1, wait=0, capacity=3) as batcher:
        first = asyncio.create_task(batcher.answer(["in the model"]))
        await asyncio.sleep(0.05)
        waiting = asyncio.create_task(batcher.answer(["a", "b"]))
        await asyncio.sleep(0.05)
        assert batcher.waiting == 2
        with pytest.raises(Overloaded) as refused:
            await batcher.answer(["c", "d"])
        assert refused.value.retry_after >= 1
        predictor.gate.set()
        assert len(await first) == 1 and len(await waiting) == 2


@pytest.mark.anyio
async def test_late_requests_are_given_up_and_never_computed():
    predictor = Echo()
    predictor.gate.clear()
    async with batching(predictor, max_batch=1, wait=0, timeout=0.05) as batcher:
        first = asyncio.create_task(batcher.answer(["held"]))
        await asyncio.sleep(0.01)
        with pytest.raises(TooSlow):
            await batcher.answer(["too late"])
        with pytest.raises(TooSlow):
            await first
        predictor.gate.set()
        assert await batcher.answer(["next"])
    assert ["too late"] not in predictor.batches


@pytest.mark.anyio
async def test_a_text_that_breaks_the_model_costs_the_others_nothing():
    async with batching(Echo(), max_batch=8, wait=0.05) as batcher:
        asked = (batcher.answer([text]) for text in ("a", "boom", "b"))
        good, bad, other = await asyncio.gather(*asked, return_exceptions=True)
    assert actions_of([*good, *other]) == ["a", "b"] and isinstance(bad, RuntimeError)


@pytest.mark.anyio
async def test_closing_answers_what_waits_and_refuses_what_comes():
    async with batching(Echo(seconds=0.02), max_batch=1, wait=0) as batcher:
        tasks = [asyncio.create_task(batcher.answer([f"t{at}"])) for at in range(5)]
        await asyncio.sleep(0.01)
    assert [actions_of(found) for found in await asyncio.gather(*tasks)] == [[f"t{at}"] for at in range(5)]
    assert not batcher.alive
    with pytest.raises(Stopping):
        await batcher.answer(["late"])


# -- requests ---------------------------------------------------------------------------------------------------------
def test_one_text_and_several(served):
    client, predictor = served
    answer = client.post("/extract", json={"text": "Lunch"}).json()
    assert answer["model"] == {"name": "calendar/echo", "version": "abc"} and answer["milliseconds"] >= 0
    assert answer["results"][0]["spans"]["action"] == [{"start": 0, "end": 5, "text": "Lunch"}]
    assert answer["results"][0]["needs_review"] == ["notes"]
    assert actions(client.post("/extract", json={"texts": ["b", "a", "b"]})) == ["b", "a", "b"]
    assert sorted(text for batch in predictor.batches for text in batch) == ["Lunch", "a", "b"]


def test_the_cache_answers_a_text_again_and_forgets_the_oldest(served):
    client, predictor = served
    for text in ["same", "same", *map(str, range(10)), "same"]:
        assert actions(client.post("/extract", json={"text": text})) == [text]
    assert [text for batch in predictor.batches for text in batch].count("same") == 2
    assert "extract_cache_hits_total 1.0" in client.get("/metrics").text


@pytest.mark.parametrize(
    "body, code, words",
    [
        ({"text": ""}, 422, "empty"),
        ({"text": "  \n "}, 422, "empty"),
        ({"text": "x" * 601}, 422, "601 characters"),
        ({"text": "a\x00b"}, 422, "U+0000"),
        ({"text": 5}, 422, "string"),
        ({"text": None}, 422, "string"),
        ({"texts": "abc"}, 422, "list"),
        ({"texts": []}, 422, "at least 1"),
        ({}, 422, "either"),
        ({"text": "a", "texts": ["a"]}, 422, "either"),
        ({"text": "a", "more": 1}, 422, "more"),
        ([], 422, ""),
        ({"texts": ["good", ""]}, 422, "texts[1]"),
        ({"texts": ["a"] * 6}, 413, "6 texts"),
        ({"text": "x" * 20_000}, 413, "larger"),
    ],
)
def test_bad_bodies_are_refused_with_the_reason(served, body, code, words):
    client, predictor = served
    response = client.post("/extract", json=body)
    assert (response.status_code, words in response.json()["detail"]) == (code, True), response.text
    assert not predictor.batches


@pytest.mark.parametrize(
    "content, code",
    [
        (b"", 422),
        (b"{", 422),
        (b"null", 422),
        (b'{"text": NaN}', 422),
        (b'{"text": "\\ud800"}', 422),
        (b'{"\\ud800": "half a pair"}', 422),
        (b'{"text": "a", "text": "b"}', 422),
        (b'{"text": ' + b"[" * 9_000, 400),
        ('{"text": "Café"}'.encode("latin-1"), 400),
        ('{"text": "a"}'.encode("utf-16"), 400),
    ],
)
def test_bodies_that_are_no_json_are_refused(served, content, code):
    response = served[0].post("/extract", content=content, headers=JSON_TYPE)
    assert (response.status_code, bool(response.json()["detail"])) == (code, True)


@pytest.mark.parametrize(
    "headers, words",
    [
        ({"content-type": "application/x-www-form-urlencoded"}, "send application/json"),
        ({}, "missing"),
        ({**JSON_TYPE, "content-encoding": "gzip"}, "gzip"),
    ],
)
def test_another_type_or_packing_is_named(served, headers, words):
    response = served[0].post("/extract", content=b'{"text": "a"}', headers=headers)
    assert response.status_code == 415 and words in response.json()["detail"]


def test_other_methods_paths_and_numbers_of_requests(served):
    client, _ = served
    head = client.head("/health")
    assert (head.status_code, head.content) == (200, b"")
    options = client.options("/extract")
    assert options.status_code == 405 and options.headers["allow"] == "POST"
    assert client.post("/extract/", json={"text": "a"}).status_code == 404, (
        "no redirect, which would lose TLS"
    )
    for name, kept in (("6f1c0f0e-8a31-4d0e-9c55-1f2e3d4c5b6a", True), ("a\tb", False), ("x" * 65, False)):
        answer = client.post("/extract", json={"text": "a"}, headers={"x-request-id": name})
        assert (answer.headers["x-request-id"] == name) == kept


def test_a_body_that_does_not_come_is_given_up(served):
    def slowly():
        yield b'{"text": '
        time.sleep(1)  # longer than the service waits
        yield b'"a"}'

    assert served[0].post("/extract", content=slowly(), headers=JSON_TYPE).status_code == 408


def test_a_body_without_announced_length_is_cut_off(served):
    response = served[0].post(
        "/extract",
        content=iter([b'{"text": "', *[b"x" * 1000] * 20, b'"}']),
        headers=JSON_TYPE,
    )
    assert response.status_code == 413


def test_overload_and_time_out_reach_the_client(served):
    client, predictor = served
    predictor.gate.clear()
    codes, headers = [], []

    def ask(at):
        response = client.post("/extract", json={"texts": [f"{at} {n}" for n in range(3)]})
        codes.append(response.status_code)
        headers.append(response.headers.get("retry-after"))

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    predictor.gate.set()
    assert set(codes) == {429, 504} and len(codes) == 6
    assert all(
        (code == 429) == (header is not None and int(header) >= 1) for code, header in zip(codes, headers)
    )
    deadline = time.monotonic() + 10
    while client.post("/extract", json={"text": "after"}).status_code != 200:
        assert time.monotonic() < deadline


def test_a_failing_model_gives_500_in_one_line_and_the_service_lives(served):
    client, _ = served
    response = client.post("/extract", json={"text": "boom"})
    assert response.status_code == 500 and response.json() == {"detail": "the model could not answer"}
    assert actions(client.post("/extract", json={"text": "fine"})) == ["fine"]


def test_health_schema_and_metrics(served):
    client, _ = served
    assert client.get("/health").json()["status"] == "ok"
    schema = client.get("/schema").json()
    assert schema["task"] == "calendar" and set(schema["fields"]["properties"]) == set(FIELDS)
    assert schema["limits"]["texts"] == 5
    client.post("/extract", json={"texts": ["a", "b"]})
    client.post("/extract", json={"text": ""})
    text = client.get("/metrics").text
    for line in (
        'extract_requests_total{status="200"} 1.0',
        'extract_requests_total{status="422"} 1.0',
        "extract_texts_total 2.0",
        'extract_needs_review_total{field="notes"} 2.0',
    ):
        assert line in text, line
    assert client.get("/extract").status_code == 405 and client.get("/nothing").status_code == 404


def test_logs_are_json_without_texts(served):
    client, _ = served
    stream = io.StringIO()
    log_to(stream)
    client.post("/extract", json={"text": "my secret boom"}, headers={"x-request-id": "abc1"})
    client.post("/extract", json={"text": "my secret meeting"})
    client.post("/extract", json={"text": "my secret \x00"})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    LOG.handlers[:] = [logging.NullHandler()]
    assert "secret" not in stream.getvalue()
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [500, 200, 422]
    assert requests[0]["id"] == "abc1" and requests[1]["characters"] == len("my secret meeting")
    assert any(line.get("error") == "RuntimeError" for line in lines)


# -- anything at all --------------------------------------------------------------------------------------------------
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["text", "texts", "x"]) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


BODY = JSON | st.dictionaries(
    st.sampled_from(["text", "texts"]),
    st.text(max_size=700) | st.lists(st.text(max_size=20), max_size=7),
    max_size=2,
)


@given(content=BODY.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=200))
@settings(max_examples=FUZZ, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_ends_in_500(served, content):
    response = served[0].post("/extract", content=content, headers=JSON_TYPE)
    assert response.status_code in (200, 400, 413, 422), response.text
    if response.status_code == 200:
        body = json.loads(content)
        assert actions(response) == body.get("texts", [body.get("text")])
    else:
        assert isinstance(response.json()["detail"], str)


@pytest.fixture
def smallest_numbers():
    """Numbers below 1e-38 are kept, as the makers of examples want it (see helpers.models)."""
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(True)


def test_the_openapi_description_is_kept(smallest_numbers):
    schemathesis = pytest.importorskip("schemathesis")
    logging.getLogger("schemathesis").setLevel(logging.ERROR)
    app, counted = create_app(Echo(), Limits()), []
    schema = schemathesis.openapi.from_dict(app.openapi())
    fields = schema.raw_schema["components"]["schemas"]["Fields"]["properties"]
    assert set(fields) == set(FIELDS) and fields["attendees"]["anyOf"][0]["type"] == "array"
    with TestClient(app) as client:
        for operation in schema.get_all_operations():
            api = operation.ok()

            @given(case=api.as_strategy())
            @settings(max_examples=40, suppress_health_check=list(HealthCheck))
            def every_case(case):
                given = case.as_transport_kwargs(base_url="http://testserver")
                given.pop("cookies", None)
                response = client.request(**given)
                counted.append(response.status_code)
                assert response.status_code < 500
                case.validate_response(response, checks=[schemathesis.checks.not_a_server_error])

            every_case()
    assert counted.count(200) >= 4


# -- the real process -------------------------------------------------------------------------------------------------
SERVER = """
import sys
sys.path[:0] = ["tests"]
from echo import Echo
from helpers.serve import server as serve
from helpers.serve.service import Limits, create_app
listening = serve.bind("127.0.0.1", 0)
print(listening.getsockname()[1], flush=True)
serve.server_of(create_app(Echo(seconds=0.5), Limits(batch=1)), 5).run(sockets=[listening])
"""


def test_a_stop_lets_requests_end():
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        port = int(process.stdout.readline())
        found = []

        def ask(text):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/extract",
                json.dumps({"text": text}).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=20) as response:
                found.append(json.load(response)["results"][0]["fields"]["action"])

        deadline = time.monotonic() + 300
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=20).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        threads = [threading.Thread(target=ask, args=(text,)) for text in ("one", "two")]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(20)
        assert process.wait(60) == 0
        assert sorted(found) == ["one", "two"]
    finally:
        process.kill()


def test_a_service_without_model_or_port_ends_in_one_line(tmp_path, capsys):
    from helpers.serve import server as serve

    assert status(serve.main, ["--run", str(tmp_path / "none"), "--port", "0"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "no model folder" in lines[0]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert status(serve.main, ["--port", str(taken.getsockname()[1])]) == 2
        assert "choose another --port" in capsys.readouterr().err
