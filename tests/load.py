"""How does the service hold up? Many clients at once against a server of its own on this machine, then a kill -TERM.

Run as: python -m tests.load --task calendar --variant tagger --clients 16 --seconds 600

Every answer is compared with what the model says without a server, whose cache is off, so that every request reaches the
model. Two clients more break their requests off half-way.
"""

import http.client
import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from helpers.command import Engine, RunFolder, SystemName, TaskName, start
from helpers.errors import UserError
from helpers.paths import ROOT

JSON_TYPE = {"content-type": "application/json"}


@dataclass
class Served:
    """A server in a process of its own."""

    port: int
    process: subprocess.Popen
    log: Path

    def memory_mb(self) -> float:
        """Resident memory now, in MB (1e6 bytes)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmRSS"))

    def stop(self) -> int:
        """Its exit status after a kill -TERM."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def answered(self) -> int:
        """Requests that it says it has answered with 200."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return sum(line["event"] == "request" and line["status"] == 200 for line in lines)


@contextmanager
def served(command: Sequence[str]) -> Iterator[Served]:
    """A server that begins to answer at the port that its first line ends with."""
    with tempfile.NamedTemporaryFile("w+") as log:
        pipes = {"stdout": subprocess.PIPE, "stderr": log, "text": True, "cwd": ROOT}
        with subprocess.Popen([sys.executable, *command], **pipes) as process:
            port = next(process.stdout).rpartition(":")[2].strip()
            try:
                yield Served(int(port), process, Path(log.name))
            finally:
                process.kill()


def ask(connection: http.client.HTTPConnection, text: str) -> tuple[int, Any]:
    """Status and content of the answer to one text."""
    connection.request("POST", "/extract", json.dumps({"text": text}), JSON_TYPE)
    response = connection.getresponse()
    content = response.read()
    return response.status, json.loads(content) if response.status == 200 else content


def client(port: int, expected: Mapping[str, Any], until: float, seed: int) -> list[dict[str, Any]]:
    """Ask one text after the other until the time is over: milliseconds, error and whether it was another answer."""
    rng, texts, seen = random.Random(seed), list(expected), []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while (started := time.perf_counter()) < until:
        text, error, wrong = rng.choice(texts), None, False
        try:
            status, content = ask(connection, text)
            error = None if status == 200 else str(status)
            wrong = status == 200 and content["results"][0]["fields"] != expected[text]
        except (OSError, http.client.HTTPException) as failure:
            error = type(failure).__name__
            connection.close()
        seen.append({"ms": 1000 * (time.perf_counter() - started), "error": error, "wrong": wrong})
    connection.close()
    return seen


def break_off(port: int, texts: Sequence[str], stop: threading.Event, seed: int) -> None:
    """Break requests off: half of the body sent, or all of it and the answer not waited for."""
    rng = random.Random(seed)
    while not stop.wait(0.02):
        body = json.dumps({"text": rng.choice(list(texts))}).encode()
        head = f"POST /extract HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                connection.sendall(
                    head.encode() + b"\r\n\r\n" + body[: rng.choice((len(body) // 2, len(body)))]
                )
                time.sleep(rng.uniform(0, 0.02))
        except OSError:
            pass


def press(
    port: int, expected: Mapping[str, Any], clients: int, seconds: float, breaking: int = 0
) -> pd.DataFrame:
    """Let clients ask for some seconds, and others break off; one line a request of the former, see :func:`client`."""
    until, stop = time.perf_counter() + seconds, threading.Event()
    with ThreadPoolExecutor(clients + breaking) as pool:
        broken = [pool.submit(break_off, port, list(expected), stop, seed) for seed in range(breaking)]
        asked = [pool.submit(client, port, expected, until, seed) for seed in range(clients)]
        seen = [one for each in asked for one in each.result()]
        stop.set()
        for each in broken:
            each.result()
    return pd.DataFrame(seen, columns=["ms", "error", "wrong"])


def summary(seen: pd.DataFrame, seconds: float) -> dict[str, float]:
    """Numbers of one press: times in milliseconds, throughput in requests a second."""
    return {
        "requests": len(seen),
        "errors": int(seen["error"].notna().sum()),
        "wrong_answers": int(seen["wrong"].sum()),
        "p50_ms": seen["ms"].median(),
        "p95_ms": seen["ms"].quantile(0.95),
        "throughput": len(seen) / seconds,
    }


def stopped_under_load(server: Served, expected: Mapping[str, Any], clients: int) -> dict[str, Any]:
    """What a kill -TERM does while clients ask: exit status, answers that were given and got, other errors."""
    before = -1
    while before != (before := server.answered()):  # requests that were broken off are still being answered
        time.sleep(0.5)
    with ThreadPoolExecutor(1) as pool:
        pressing = pool.submit(press, server.port, expected, clients, 3.0)
        time.sleep(1.5)
        status = server.stop()
        seen = pressing.result()
    got, given = int(seen["error"].isna().sum()), server.answered() - before
    errors = {error for error in seen["error"].dropna() if error.isdigit()}  # the others: nobody listens
    return {"status": status, "given": given, "got": got, "errors": sorted(errors)}


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    engine: Engine = "torch",
    clients: Annotated[int, typer.Option(min=1)] = 16,
    seconds: Annotated[float, typer.Option(min=1)] = 60,
    texts: Annotated[int, typer.Option(min=1, help="Distinct texts that are asked.")] = 200,
) -> None:
    """Press a served run with many clients and print how it did."""
    from helpers.serve.predictor import Predictor

    predictor = Predictor.open(task, run or None, variant or None, engine)
    rows = dict.fromkeys(row.text for row in predictor.run.load("validation"))
    pool = [text for text in list(rows)[:texts] if predictor.problem(text) is None]
    alone, together = [predictor.predict([text])[0] for text in pool], predictor.predict(pool)
    # rounding differs between batches: a text on the edge between two answers shows nothing of a mix-up
    pairs = zip(pool, alone, together)
    expected = {text: one["fields"] for text, one, other in pairs if one["fields"] == other["fields"]}
    if not expected:
        raise UserError("no text has the same answer alone and among others: choose another --variant")
    command = ["-m", "helpers.serve", "--port", "0", "--cache", "0", "--task", task, "--engine", engine]
    with served([*command, "--variant", predictor.variant, "--run", str(predictor.run.dir)]) as server:
        press(server.port, expected, clients, min(10.0, seconds / 5), 2)
        memory = server.memory_mb()
        found = summary(press(server.port, expected, clients, seconds, 2), seconds)
        found |= {"memory_mb_before": memory, "memory_mb": server.memory_mb()}
        stop = stopped_under_load(server, expected, clients)
    told = {"system": predictor.name, "engine": engine, "clients": clients, **found}
    told |= {f"kill -TERM: {name}": value for name, value in stop.items()}
    print(pd.Series(told).to_string())


if __name__ == "__main__":
    start(main)
