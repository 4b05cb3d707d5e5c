"""The service: batches, overload, time-outs, bad requests, tokens, and what stands in the log."""

import asyncio
import io
import json
import logging
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import torch
from echo import FIELDS, Echo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.testclient import TestClient

from helpers.command import status
from helpers.files import parse_json
from helpers.serve import __main__ as serve
from helpers.serve.batching import LOG, Batcher, Limits
from helpers.serve.messages import Extract
from helpers.serve.service import create_app, log_to

FUZZ = int(os.environ.get("STUDY_FUZZ", "250"))  # bodies that are tried; 10000 takes a minute
JSON_TYPE = {"content-type": "application/json"}


@pytest.fixture
def served():
    """(client, predictor) of a service with small limits."""
    predictor = Echo()
    limits = Limits(texts=5, bytes=10_000, batch=4, wait=0.002, queue=6, seconds=0.5, cache=10)
    with TestClient(create_app(predictor, limits)) as client:
        yield client, predictor


def actions(results):
    return [one["fields"]["action"] for one in results]


def found(client, **body):
    return actions(client.post("/extract", json=body).json()["results"])


pytestmark = pytest.mark.anyio  # tests that are coroutines


@pytest.fixture
def anyio_backend():
    return "asyncio"


async def asked(predictor, *requests):
    """What a batcher of a predictor answers to requests that come at once."""
    batcher = Batcher(predictor.predict, predictor.problem, Limits(batch=8, wait=0.05, queue=100))
    batcher.start()
    answers = await asyncio.gather(*map(batcher.answer, requests), return_exceptions=True)
    await batcher.close()
    return answers


async def test_concurrent_texts_share_passes_and_each_gets_its_own_answer():
    predictor, requests = Echo(seconds=0.01), [[f"t{at}", f"u{at}"] for at in range(20)]
    assert list(map(actions, await asked(predictor, *requests))) == requests
    sizes = list(map(len, predictor.batches))
    assert sum(sizes) == 40 and max(sizes) == 8 and len(sizes) <= 8


async def test_a_text_that_is_refused_or_breaks_the_model_costs_the_others_nothing():
    good, bad, refused, other = await asked(Echo(), ["a"], ["boom"], ["much too long"], ["b"])
    assert actions([*good, *other]) == ["a", "b"] and isinstance(bad, RuntimeError) and refused.status == 422


def test_the_tokenizer_does_not_hold_up_the_event_loop():
    """Its thread is the model's: there a slow one delays answers, but neither health nor other requests."""
    threads = []

    class Slow(Echo):
        def problem(self, text):
            threads.append(threading.current_thread().name[:5])
            return super().problem(text)

    with TestClient(create_app(Slow())) as client:
        assert found(client, texts=["a", "b"]) == ["a", "b"] and threads == ["model"] * 2


def test_one_text_and_several_and_the_cache(served):
    client, predictor = served
    answer = client.post("/extract", json={"text": "Lunch"}).json()
    assert answer["model"] == {"name": "calendar/echo", "version": "abc"} and answer["milliseconds"] >= 0
    assert answer["results"][0]["spans"]["action"] == [{"start": 0, "end": 5, "text": "Lunch"}]
    assert answer["results"][0]["needs_review"] == ["notes"]
    assert found(client, texts=["b", "a", "b"]) == ["b", "a", "b"]
    for text in ["Lunch", *map(str, range(10)), "Lunch"]:  # the oldest is forgotten
        assert found(client, text=text) == [text]
    asked = [text for batch in predictor.batches for text in batch]
    assert sorted(asked) == sorted(["Lunch", "Lunch", "a", "b", *map(str, range(10))])
    assert "extract_cache_hits_total 1.0" in client.get("/metrics").text


@pytest.mark.parametrize(
    "body, code, words",
    [
        ({"text": "  \n "}, 422, "empty"),
        ({"text": "too long"}, 422, "text is too long"),
        ({"text": "x" * 601}, 422, "601 characters"),
        ({"text": "a\x00b"}, 422, "U+0000"),
        ({"text": "a" + "\u0301\u0327" * 16}, 422, "marks"),
        ({"text": None}, 422, "string"),
        ({"texts": "abc"}, 422, "list"),
        ({"texts": []}, 422, "at least 1"),
        ({}, 422, "either"),
        ({"text": "a", "texts": ["a"]}, 422, "either"),
        ({"text": "a", "more": 1}, 422, "more"),
        (dict.fromkeys("abc", 1), 422, "either"),
        ([], 422, "valid"),
        ({"texts": ["good", ""]}, 422, "texts[1]"),
        ({"texts": ["a"] * 6}, 413, "6 texts"),
        ({"text": "x" * 20_000}, 413, "larger"),
        (b"", 422, "malformed"),
        (b'{"text": "\\ud800"}', 422, "surrogate"),
        (b'{"\\ud800": "half a pair"}', 422, "unicode"),
        (b'{"text": "a", "text": "b"}', 422, "twice"),
        (b'{"text": ' + b"[" * 9_000, 400, "nested"),
        ('{"text": "Café"}'.encode("latin-1"), 400, "UTF-8"),
        (iter([b'{"text": "', *[b"x" * 1000] * 20, b'"}']), 413, "larger"),  # no length announced
    ],
)
def test_bad_bodies_are_refused_with_the_reason(served, body, code, words):
    client, predictor = served
    content = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    response = client.post("/extract", content=content, headers=JSON_TYPE)
    assert (response.status_code, words in response.json()["detail"]) == (code, True), response.text
    assert not predictor.batches


@pytest.mark.parametrize("body", [{"texts": [1] * 9}, dict.fromkeys("abcdefghi")])
def test_what_is_wrong_with_a_body_is_told_once(body):
    """A megabyte has room for 300,000 wrong texts or keys."""
    with pytest.raises(ValidationError) as caught:
        Extract.model_validate(body)
    assert caught.value.error_count() == 1


@contextmanager
def work_of_at_most(seconds):
    """Fails where more CPU time is spent, which others on the machine cannot lengthen."""

    def stop(*_):
        raise AssertionError(f"more than {seconds} s of work")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.signal(signal.SIGPROF, before)


def test_keys_of_a_large_body_are_compared_in_time_by_their_number():
    """By the square of it this takes a minute."""
    keys = ",".join(f'"{at}": 0' for at in range(60_000))
    with work_of_at_most(15), pytest.raises(ValueError, match="'7' stands twice"):
        parse_json(f'{{{keys}, "7": 0}}')


def test_other_types_methods_paths_and_numbers_of_requests(served):
    client, _ = served
    form, packed = {"content-type": "application/x-www-form-urlencoded"}, {"content-encoding": "gzip"}
    for headers, words in ((form, "x-www-form-urlencoded"), ({}, "missing"), (JSON_TYPE | packed, "gzip")):
        response = client.post("/extract", content=b'{"text": "a"}', headers=headers)
        assert response.status_code == 415 and words in response.json()["detail"]
    head = client.head("/health")
    assert (head.status_code, head.content) == (200, b"")
    options = client.options("/extract")
    assert options.status_code == 405 and options.headers["allow"] == "POST"
    assert client.get("/nothing").status_code == 404
    slash = client.post("/extract/", json={"text": "a"}, follow_redirects=False)
    assert slash.status_code == 200, "a redirect behind TLS would lead to http"
    for name, kept in (("6f1c0f0e-8a31-4d0e-9c55-1f2e3d4c5b6a", True), ("a\tb", False), ("x" * 65, False)):
        answer = client.post("/extract", json={"text": "a"}, headers={"x-request-id": name})
        assert (answer.headers["x-request-id"] == name) == kept


def test_a_token_lets_in_who_sends_it():
    with TestClient(create_app(Echo(), token="sesame")) as client:
        assert client.get("/health").status_code == 200
        for sent, code in ((None, 401), ("Bearer open", 401), ("Bearer sesame", 200), ("Bearer é", 401)):
            headers = {"authorization": sent.encode()} if sent else {}
            assert client.post("/extract", json={"text": "a"}, headers=headers).status_code == code
            assert client.get("/schema", headers=headers).status_code == code
        assert client.get("/metrics").headers["www-authenticate"] == "Bearer"


def test_a_body_that_does_not_come_is_given_up(served):
    def slowly():
        yield b'{"text": '
        time.sleep(1)  # longer than the service waits
        yield b'"a"}'

    assert served[0].post("/extract", content=slowly(), headers=JSON_TYPE).status_code == 408


def test_overload_time_out_and_failure_reach_the_client(served):
    client, predictor = served
    predictor.gate.clear()
    with ThreadPoolExecutor(6) as pool:
        bodies = [{"texts": [f"{at} {n}" for n in range(3)]} for at in range(6)]
        answers = list(pool.map(lambda body: client.post("/extract", json=body), bodies))
    predictor.gate.set()
    assert {one.status_code for one in answers} == {429, 504}
    assert all((one.status_code == 429) == (one.headers.get("retry-after") == "1") for one in answers)
    deadline = time.monotonic() + 10
    while client.post("/extract", json={"text": "after"}).status_code != 200:
        assert time.monotonic() < deadline
    # the late are not computed
    assert len(predictor.batches[0]) <= 4 and predictor.batches[1:] == [["after"]]
    response = client.post("/extract", json={"text": "boom"})
    assert (response.status_code, response.json()) == (500, {"detail": "the model could not answer"})


def test_health_schema_and_metrics(served):
    client, _ = served
    assert client.get("/health").json()["status"] == "ok"
    schema = client.get("/schema").json()
    assert schema["task"] == "calendar" and set(schema["fields"]["properties"]) == set(FIELDS)
    assert schema["limits"]["texts"] == 5 and schema["limits"]["characters"] == 600
    for text in ("a", "b", ""):
        client.post("/extract", json={"text": text})
    counted = ('requests_total{status="200"} 2', 'requests_total{status="422"} 1')
    for line in (*counted, 'needs_review_total{field="notes"} 2'):
        assert f"extract_{line}.0" in client.get("/metrics").text


def test_logs_are_json_without_texts(served):
    stream = io.StringIO()
    log_to(stream)
    for text in ("my secret boom", "my secret meeting", "my secret \x00"):
        served[0].post("/extract", json={"text": text}, headers={"x-request-id": "abc1"})
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    LOG.handlers[:] = [logging.NullHandler()]
    assert "secret" not in stream.getvalue()
    requests = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in requests] == [500, 200, 422]
    assert requests[0]["id"] == "abc1" and requests[1]["characters"] == len("my secret meeting")
    assert any(line.get("error") == "RuntimeError" for line in lines)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_subnormal=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["text", "texts", "x"]) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
TEXTS = st.text(max_size=700) | st.lists(st.text(max_size=20), max_size=7)
BODY = JSON | st.dictionaries(st.sampled_from(["text", "texts"]), TEXTS, max_size=2)


@given(content=BODY.map(lambda body: json.dumps(body).encode()) | st.binary(max_size=200))
@settings(max_examples=FUZZ, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_ends_in_500(served, content):
    response = served[0].post("/extract", content=content, headers=JSON_TYPE)
    assert response.status_code in (200, 400, 408, 413, 422), response.text  # 408: a busy machine
    if response.status_code == 200:
        body = json.loads(content)
        assert actions(response.json()["results"]) == body.get("texts", [body.get("text")])
    else:
        assert isinstance(response.json()["detail"], str)


def test_no_request_made_from_the_openapi_description_ends_in_500(request):
    schemathesis = pytest.importorskip("schemathesis")
    # the makers of examples want numbers below 1e-38 kept (see helpers.models)
    torch.set_flush_denormal(False)
    request.addfinalizer(lambda: torch.set_flush_denormal(True))
    logging.getLogger("schemathesis").setLevel(logging.ERROR)
    app, counted = create_app(Echo(), Limits()), []
    schema = schemathesis.openapi.from_dict(app.openapi())
    fields = schema.raw_schema["components"]["schemas"]["Fields"]["properties"]
    assert set(fields) == set(FIELDS) and fields["attendees"]["anyOf"][0]["type"] == "array"
    with TestClient(app) as client:
        for operation in schema.get_all_operations():

            @given(case=operation.ok().as_strategy())
            @settings(max_examples=40, suppress_health_check=list(HealthCheck))
            def every_case(case):
                sent = case.as_transport_kwargs(base_url="http://testserver")
                sent.pop("cookies", None)
                counted.append(client.request(**sent).status_code)

            every_case()
    assert counted.count(200) >= 4 and max(counted) < 500


def test_a_service_without_model_or_port_ends_in_one_line_and_an_open_one_is_loud(tmp_path, capsys):
    nothing, open_to_all = ["--run", str(tmp_path / "none"), "--port", "0"], ["--host", "0.0.0.0"]
    for more, warned in (([], False), (open_to_all, True), ([*open_to_all, "--token", "x"], False)):
        assert status(serve.main, [*nothing, *more]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert "no model folder" in lines[-1] and len(lines) == 1 + warned
        assert lines[0].startswith("WARNING: anyone") == warned
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert status(serve.main, ["--port", str(taken.getsockname()[1])]) == 2
        assert "choose another --port" in capsys.readouterr().err
