"""Does any request end in a server error or without an answer? Bad and odd ones by the thousand, as bytes over HTTP.

Run as: python -m tests.bad_requests --task calendar --variant tagger --requests 10000

Request `n` of a seed is always the same, so that one that does harm can be sent again with --first n --requests 1.
"""

import contextlib
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any

import pandas as pd
import typer

from helpers.command import RunFolder, SystemName, TaskName, start
from tests.load import served

SLOW = 2.0  # seconds after which a request counts as hanging
PATIENCE = 0.2  # seconds in which an answer to a request that may not be whole is waited for
LARGEST = 1_000_000  # bytes of a body that the service reads
JSON_KIND = "content-type: application/json"
PATHS = ["/extract", "/extract/", "/health", "/schema", "/metrics", "/openapi.json", "/docs", "/", "//", "*"]
ODD_PATHS = [
    "/%00",
    "/%ff%fe",
    "/%",
    "/extract%2f",
    "/extract?x=%ff",
    "/a/../extract",
    "/é",
    "/#",
    "http://[",
]
METHODS = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "extract", "G T"]
HOSTS = ["x", "", "[", "[::1", "[::1]:99999", "a b", "a/b?c#d", "x:y", "x:-1", "é", "%00", "x" * 300, "@:@"]
HEADERS = [
    "content-type: application/json; charset=utf-16",
    "content-type: application/x-www-form-urlencoded",
    "content-type: multipart/form-data",
    "content-type: ",
    "content-encoding: gzip",
    "content-encoding: identity",
    "accept: */*;q=nonsense",
    "accept-encoding: gzip;q=-1, \xff",
    "authorization: Bearer \xe9\xff",
    "authorization: " + "x" * 5000,
    "x-request-id: " + "a" * 5000,
    "x-request-id: \xff\x01",
    "cookie: " + "a=b;" * 500,
    "expect: 100-continue",
    "expect: nonsense",
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAA",
    "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk",
    "range: bytes=5-1",
    "if-none-match: *",
    "x-forwarded-for: [::::\r\nx-forwarded-proto: gopher",
    "transfer-encoding: identity",
    "te: trailers",
    "no colon",
    ": no name",
    " folded",
    "nul: a\x00b",
    "name with space: x",
]
LENGTHS = ["-1", "+5", "0x10", "5, 5", "5, 6", "99999999999999999999", "nonsense", "1e3", "", "٣"]
SIGNS = [
    "ab c",
    "0123456789:/.-, ",
    "가힣각",
    "e\u0301\u0327\u200d\u2066\u202e",
    "\ufeff\u200b\u00ad\u2060",
    "😀👩\u200d👩\u200d👧",
    "ﷺ½ﬁ①",
    "\x00\x1f\x7f\x85",
    '"\\{}[]',
    "ǅİıßẞΣς",
]


@dataclass(frozen=True)
class Sent:
    """The bytes of a request, and whether they are all that it promises: else the connection is closed behind them."""

    kind: str
    content: bytes
    whole: bool = True


def text_of(rng: random.Random, longest: int = 700) -> str:
    """A text in one or several scripts, some of them made to be slow to normalise, some longer than allowed."""
    signs = "".join(rng.sample(SIGNS, rng.choice((1, 1, 2, len(SIGNS)))))
    return "".join(rng.choices(signs, k=rng.choice((0, 1, 20, 200, longest))))


def value_of(rng: random.Random, depth: int = 3) -> Any:
    """Any JSON value."""
    inside = rng.randrange(9 if depth else 7)
    if inside == 7:
        return [value_of(rng, depth - 1) for _ in range(rng.randrange(4))]
    if inside == 8:
        names = ("text", "texts", "Text", "", "__proto__", text_of(rng, 30))
        return {rng.choice(names): value_of(rng, depth - 1) for _ in range(rng.randrange(4))}
    plain = (None, True, rng.randrange(-9, 9), 10 ** rng.randrange(400), rng.uniform(-1e300, 1e300))
    return (*plain, text_of(rng, 50), float(rng.choice(("nan", "inf"))))[inside]


@lru_cache(maxsize=None)
def large_body(kind: int) -> bytes:
    """Bodies about as large as allowed that take long where time does not grow in proportion to length; and too large ones."""
    keys = ", ".join(f'"{at}": 0' for at in range(60_000))
    texts = ["e" + "\u0301\u0327" * 299] * 64
    made = (
        f"{{{keys}}}",
        f'{{{keys}, "9": 0}}',
        f'{{"texts": [{", ".join(["1"] * 200_000)}]}}',
        json.dumps({"texts": texts}, ensure_ascii=False),
        json.dumps({"text": "x" * LARGEST}),
        "[" * 900_000,
    )
    return made[kind].encode()


def body_of(rng: random.Random) -> bytes:
    """A body that is JSON, was JSON, or never was."""
    if rng.random() < 0.03:
        return large_body(rng.randrange(6))
    several = [text_of(rng, 300) for _ in range(rng.choice((0, 1, 2, 5, 65)))]
    body = rng.choice(({"text": text_of(rng)}, {"texts": several}, {"text": value_of(rng)}, value_of(rng)))
    content = json.dumps(body, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    at = rng.randrange(len(content) + 1)
    changes: Sequence[Callable[[], bytes]] = (
        lambda: content,
        lambda: content,
        lambda: content,
        lambda: content[:at],
        lambda: content[:at] + rng.randbytes(3) + content[at:],
        lambda: content[:at] + b"\\ud83d" + content[at:],
        lambda: content + content,
        lambda: b"\xef\xbb\xbf" + content,
        lambda: json.dumps(body).encode(rng.choice(("utf-16", "utf-32", "utf-7"))),
        lambda: b'{"text": "a", "text": ' + content + b"}",
        lambda: rng.choice((b"[", b'{"text":', b"[{")) * rng.choice((10, 2000, 90_000)),
        lambda: b'{"text": ' + rng.choice((b"9" * 5000, b"1e999", b"-", b"NaN", b"01")) + b"}",
        lambda: b'{"text": "' + b"x" * rng.choice((601, 20_000)) + b'"}',
        lambda: rng.randbytes(rng.randrange(300)),
    )
    return rng.choice(changes)()


def request_of(first: str, headers: Sequence[str], body: bytes = b"") -> bytes:
    """A request after which the connection ends."""
    head = "\r\n".join([first, *headers, "connection: close", "", ""])
    return head.encode("utf-8" if any(map(lambda sign: ord(sign) > 255, head)) else "latin-1") + body


def bad_body(rng: random.Random) -> Sent:
    """A body that is sent as it should be."""
    body = body_of(rng)
    headers = ["host: x", JSON_KIND, f"content-length: {len(body)}"]
    return Sent("body", request_of("POST /extract HTTP/1.1", headers, body))


def bad_head(rng: random.Random) -> Sent:
    """Methods, paths, hosts and headers of all kinds, some of which announce a body that does not come."""
    path = rng.choice([*PATHS, *ODD_PATHS, "/" + "a" * rng.choice((5, 3000, 70_000)), "/" + text_of(rng, 50)])
    version = rng.choice(["HTTP/1.1"] * 6 + ["HTTP/1.0", "HTTP/2.0", "HTTP/9.9", "http/1.1", "", "RTSP/1.0"])
    hosts = [f"host: {host}" for host in rng.sample(HOSTS, rng.choice((0, 1, 1, 1, 2)))]
    more = rng.sample(HEADERS, rng.randrange(4))
    body = rng.choice((b"", body_of(rng)))
    length = [f"content-length: {rng.choice([*LENGTHS, str(len(body)), str(len(body) + 9)])}"] if body else []
    content = request_of(f"{rng.choice(METHODS)} {path} {version}", [*hosts, *more, *length], body)
    return Sent("head", content, whole=False)


def bad_chunks(rng: random.Random) -> Sent:
    """A body in pieces whose lengths may be wrong."""
    pieces = []
    for _ in range(rng.randrange(6)):
        piece = body_of(rng)[:2000]
        size = rng.choice([f"{len(piece):x}"] * 4 + ["zz", "-5", f"{len(piece) + 3:x}", "f" * 30, "5;a=b"])
        pieces.append(size.encode() + b"\r\n" + piece + rng.choice((b"\r\n", b"\r\n", b"\n", b"")))
    last = rng.choice((b"0\r\n\r\n", b"0\r\nx: y\r\n\r\n", b"0\r\n", b""))
    headers = ["host: x", JSON_KIND, "transfer-encoding: chunked"]
    headers += rng.choice(([], [], ["content-length: 5"], ["transfer-encoding: gzip"]))
    content = request_of("POST /extract HTTP/1.1", headers, b"".join(pieces) + last)
    return Sent("chunks", content, whole=False)


def broken(rng: random.Random) -> Sent:
    """A good request, cut off or with some bytes changed; or no HTTP at all."""
    body = json.dumps({"text": text_of(rng)}).encode()
    headers = ["host: x", JSON_KIND, f"content-length: {len(body)}"]
    content = bytearray(request_of("POST /extract HTTP/1.1", headers, body))
    for _ in range(rng.randrange(5)):
        content[rng.randrange(len(content))] = rng.randrange(256)
    cut = content[: rng.randrange(len(content))]
    return Sent(
        "broken", bytes(rng.choice((content, cut, rng.randbytes(rng.randrange(1, 400))))), whole=False
    )


def several(rng: random.Random) -> Sent:
    """Requests one behind the other without waiting for answers."""
    body = json.dumps({"text": text_of(rng, 100)}).encode()
    good = f"POST /extract HTTP/1.1\r\nhost: x\r\n{JSON_KIND}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    last = request_of("GET /health HTTP/1.1", ["host: x"])
    return Sent("several", (good + body) * rng.randrange(1, 4) + last)


KINDS = (bad_body, bad_body, bad_body, bad_head, bad_head, bad_chunks, broken, several)


def make(seed: int, number: int) -> Sent:
    """The request of a number."""
    rng = random.Random(f"{seed}:{number}")
    return rng.choice(KINDS)(rng)


def send(port: int, sent: Sent) -> tuple[str, float]:
    """What comes of a request, and after how many seconds: the worst status, `closed` or `hangs`."""
    started, answer = time.perf_counter(), b""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5 * SLOW) as connection:
            connection.sendall(sent.content)
            if not sent.whole:
                connection.settimeout(PATIENCE)
                with contextlib.suppress(TimeoutError):
                    answer = connection.recv(65536)
                if not answer:  # it waits for what does not come, which it may for its --timeout
                    connection.shutdown(socket.SHUT_WR)
                connection.settimeout(5 * SLOW)
            while piece := connection.recv(65536):
                answer += piece
    except TimeoutError:
        return "hangs", time.perf_counter() - started
    except OSError:
        pass  # closed while it was still being sent
    lines = [line for line in answer.splitlines() if line.startswith(b"HTTP/1.1 ")]
    status = max((line.split()[1].decode() for line in lines), default="closed")
    return status, time.perf_counter() - started


def press(port: int, requests: int, clients: int, seed: int = 0, first: int = 0) -> pd.DataFrame:
    """Send many requests; one line each: number, kind, outcome, seconds, and whether it is `bad`."""

    def one(number: int) -> dict[str, Any]:
        sent = make(seed, number)
        outcome, seconds = send(port, sent)
        harmed = outcome == "hangs" or outcome >= "500" and outcome.isdigit()
        read = sent.whole and len(sent.content) < LARGEST  # of what is larger the end may not be waited for
        bad = harmed or read and outcome == "closed"
        return {"number": number, "kind": sent.kind, "outcome": outcome, "seconds": seconds, "bad": bad}

    with ThreadPoolExecutor(clients) as pool:
        return pd.DataFrame(pool.map(one, range(first, first + requests)))


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    requests: Annotated[int, typer.Option(min=1)] = 10_000,
    clients: Annotated[int, typer.Option(min=1)] = 8,
    seed: int = 0,
    first: Annotated[int, typer.Option(min=0, help="Number of the first request.")] = 0,
) -> int:
    """Send bad requests to a served run and count what comes of them; status 1 where any does harm."""
    command = ["-m", "helpers.serve", "--port", "0", "--task", task]
    command += [*(["--variant", variant] if variant else []), *(["--run", run] if run else [])]
    with served(command) as server:
        before = server.memory_mb()
        seen = press(server.port, requests, clients, seed, first)
        memory, log, status = server.memory_mb(), server.log.read_text(), server.stop()
    levels = Counter(json.loads(line)["level"] for line in log.splitlines() if line.startswith("{"))
    slow = int((seen["seconds"] > SLOW).sum())
    told = {"requests": len(seen), "bad": int(seen["bad"].sum()), f"slower than {SLOW:g} s": slow}
    told |= {"slowest (s)": seen["seconds"].max(), "memory_mb_before": before, "memory_mb": memory}
    told |= {"errors in the log": levels["error"], "traces in the log": log.count("Traceback")}
    print(pd.crosstab(seen["kind"], seen["outcome"]).to_string())
    print(pd.Series(told | {"status of the server": status}).to_string())
    print(seen[seen["bad"]].head(20).to_string(index=False))
    return int(seen["bad"].any() or levels["error"] > 0 or "Traceback" in log or status != 0)


if __name__ == "__main__":
    start(main)
