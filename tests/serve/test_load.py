"""Many clients at once, requests that break off, a kill -TERM in the midst of it: every answer is the right one."""

import contextlib
import socket

import bad_requests
import load
import pytest
from echo import FIELDS

SERVER = """
import sys
sys.path[:0] = ["tests", "."]
from echo import Echo
from helpers.serve import __main__ as serve
from helpers.serve.batching import Limits
from helpers.serve.service import create_app, log_to
listening = serve.bind("127.0.0.1", 0)
listening.listen()
log_to(sys.stderr)
print(f"at :{listening.getsockname()[1]}", flush=True)
serve.server_of(create_app(Echo(seconds=0.02), Limits(cache=0)), 2, connections=60).run(sockets=[listening])
"""


def fields(action):
    return dict.fromkeys(FIELDS) | {"action": action}


EXPECTED = {f"text {at}": fields(f"text {at}") for at in range(20)}


@pytest.fixture(scope="module")
def server():
    with load.served(["-c", SERVER]) as found:
        yield found


def test_many_clients_get_their_own_answers_while_others_break_off(server):
    found = load.summary(load.press(server.port, EXPECTED, 8, 2, breaking=2), 2)
    assert found["requests"] > 0 and found["errors"] == found["wrong_answers"] == 0


def test_mixed_up_and_missing_answers_are_found(server):
    swapped = {text: fields("text 0") for text in EXPECTED}
    assert load.summary(load.press(server.port, swapped, 2, 0.5), 0.5)["wrong_answers"] > 0
    assert set(load.press(server.port, {"": fields("")}, 1, 0.3)["error"]) == {"422"}
    assert set(load.press(1, EXPECTED, 2, 0.2)["error"]) == {"ConnectionRefusedError"}


def test_more_connections_than_allowed_are_sent_away(server):
    seen = load.press(server.port, EXPECTED, 90, 1)
    refused = set(seen["error"].dropna())
    # a connection closed while its request was still being sent is a reset
    assert "503" in refused and refused <= {"503", "ConnectionResetError", "BrokenPipeError"}
    assert seen["error"].isna().any()
    assert not load.press(server.port, EXPECTED, 4, 0.5)["error"].notna().any()


def told(server, sent):
    """What a server answers before it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(1000), b""))


HEAD = b"POST /extract HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize("sent", [b"", HEAD, b"HEAD /health HTTP/1.1\r\nhost: x\r\n\r\n" + HEAD])
def test_who_stays_silent_is_not_waited_for(server, sent):
    assert told(server, sent).count(b"HTTP/1.1 200") == sent.count(b"/health")


CHUNKS = HEAD + b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
BAD_HTTP = (
    b"\x16\x03\x01\x02\x00 who speaks TLS to it\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET\r\n\r\n",
    HEAD + b"no colon\r\n\r\n",
    HEAD + b"content-length: -1\r\n\r\n",
    HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
    CHUNKS + b"zz\r\n",
    CHUNKS.replace(b"POST", b"HEAD") + b"my secret\r\n",
    HEAD + b"x: " + b"x" * 200_000 + b"\r\n\r\n",
    HEAD.replace(b"/extract", b"/%ff%00\xff") + b"\r\n",
)


@pytest.mark.parametrize("sent", BAD_HTTP, ids=range(len(BAD_HTTP)))
def test_what_is_no_http_is_refused_and_harms_nobody(server, sent):
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # closed while it was still being sent
        assert told(server, sent).startswith(b"HTTP/1.1 4")
    assert not load.press(server.port, EXPECTED, 2, 0.2)["error"].notna().any()
    assert "Traceback" not in server.log.read_text()


def test_bad_requests_get_an_answer_that_is_no_error_of_the_server(server):
    seen = bad_requests.press(server.port, 120, 4)
    bad = seen[seen["bad"] & (seen["outcome"] != "504")]  # that is a busy machine
    assert bad.empty and {"200", "400", "422"} <= set(seen["outcome"]), bad
    assert "Traceback" not in server.log.read_text()


def test_a_request_that_ends_in_500_or_without_an_answer_is_found(server, monkeypatch):
    boom = bad_requests.request_of(
        "POST /extract HTTP/1.1",
        ["host: x", bad_requests.JSON_KIND, "content-length: 16"],
        b'{"text": "boom"}',
    )
    monkeypatch.setattr(bad_requests, "make", lambda *_: bad_requests.Sent("boom", boom))
    assert bad_requests.press(server.port, 2, 1)[["outcome", "bad"]].values.tolist() == [["500", True]] * 2
    assert bad_requests.press(1, 1, 1)["bad"].all()


def test_a_stop_under_load_loses_no_accepted_request(server):  # the last one: the server is gone then
    found = load.stopped_under_load(server, EXPECTED, 8)
    assert found["status"] == 0 and found["given"] == found["got"] >= 8 and found["errors"] == []
