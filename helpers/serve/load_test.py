"""How does the service hold up? Many clients at once against a server of its own on this machine.

Run as: python -m helpers.serve.load_test --task calendar --clients 16 --seconds 60

Every answer is compared with what the model says about that text when it is asked alone. The cache of the server is off,
so that every request reaches the model. The loop that the throughput is compared with answers one text after the other
in a process without a server.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from helpers.errors import UserError
from helpers.export.model_folder import ENGINES
from helpers.machine import peak_memory_mb
from helpers.paths import ROOT

START_SECONDS = 300


@dataclass
class Seen:
    """What the clients have met with."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wrong: int = 0


def pick_texts(run: Any, count: int) -> list[str]:
    """Distinct texts of a run: validation rows first, then train rows."""
    try:
        rows = [*run.load("validation"), *run.load("train")]
    except UserError:
        raise UserError(
            f"{run.dir} holds no texts (splits/ is missing): give another folder with --run"
        ) from None
    return list(dict.fromkeys(row.text for row in rows))[:count]


def loop_rate(predictor: Any, texts: list[str], seconds: float) -> tuple[float, dict[str, Any]]:
    """Texts a second when they are answered one after the other, and those answers."""
    predictor.predict(texts[:1])
    answers: dict[str, Any] = {}
    started = time.perf_counter()
    count = 0
    while time.perf_counter() - started < seconds:
        text = texts[count % len(texts)]
        answers[text] = predictor.predict([text])[0]
        count += 1
    return count / (time.perf_counter() - started), answers


# -- the server -------------------------------------------------------------------------------------------------------
def start_server(arguments: list[str]) -> tuple[subprocess.Popen, int]:
    """A server on a free port of the loopback address; waits until it answers."""
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "helpers.serve",
            "--host",
            "127.0.0.1",
            "--port",
            "0",
            "--cache",
            "0",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
    )
    lines = iter(process.stdout)  # type: ignore[arg-type]
    for line in lines:
        found = re.search(r"at http://127\.0\.0\.1:(\d+)$", line.strip())
        if found:
            port = int(found[1])
            threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
            break
    else:
        raise UserError(f"the server did not start: python -m helpers.serve {' '.join(arguments)}")
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if ask(port, "GET", "/health")[0] == 200:
                return process, port
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise UserError("the server did not answer")


def ask(port: int, method: str, path: str, body: Any = None, connection: Any = None) -> tuple[int, bytes]:
    """Status and content of one request to the loopback address."""
    own = connection or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        own.request(
            method, path, None if body is None else json.dumps(body), {"content-type": "application/json"}
        )
        response = own.getresponse()
        return response.status, response.read()
    finally:
        if connection is None:
            own.close()


# -- the clients ------------------------------------------------------------------------------------------------------
def client(port: int, expected: dict[str, Any], until: float, seed: int, seen: Seen) -> None:
    """Ask one text after the other until the time is over."""
    rng, texts = random.Random(seed), list(expected)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while time.perf_counter() < until:
        text = rng.choice(texts)
        started = time.perf_counter()
        try:
            status, content = ask(port, "POST", "/extract", {"text": text}, connection)
        except (OSError, http.client.HTTPException) as error:
            seen.errors.append(type(error).__name__)
            connection.close()
            continue
        seen.seconds.append(time.perf_counter() - started)
        if status != 200:
            seen.errors.append(str(status))
        elif json.loads(content)["results"][0]["fields"] != expected[text]:
            seen.wrong += 1
    connection.close()


def press(port: int, expected: dict[str, Any], clients: int, seconds: float, seed: int = 0) -> Seen:
    """Let clients ask for some seconds."""
    seen, until = Seen(), time.perf_counter() + seconds
    threads = [
        threading.Thread(target=client, args=(port, expected, until, seed + at, seen), daemon=True)
        for at in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def summary(seen: Seen, seconds: float, clients: int, rate: float) -> dict[str, float]:
    """Numbers of one press: rates in texts a second, times in milliseconds."""
    low, high = np.percentile(1000 * np.array(seen.seconds or [np.nan]), [50, 95])
    throughput = len(seen.seconds) / seconds
    return {
        "clients": clients,
        "seconds": seconds,
        "requests": len(seen.seconds),
        "errors": len(seen.errors),
        "wrong_answers": seen.wrong,
        "p50_ms": float(low),
        "p95_ms": float(high),
        "throughput": throughput,
        "loop_throughput": rate,
        "speed_up": throughput / rate,
    }


def load_test(
    task: str,
    folder: str,
    variant: str,
    clients: int,
    seconds: float,
    texts: int = 200,
    engine: str = ENGINES[0],
    extra: tuple[str, ...] = (),
) -> pd.DataFrame:
    """Measure a served run against the loop, which is that of the same engine; one line, see :func:`summary`."""
    from helpers.serve.predictor import Predictor

    predictor = Predictor.open(task, folder or None, variant or None, engine)
    pool = [text for text in pick_texts(predictor.run, texts) if predictor.problem(text) is None]
    rate, alone = loop_rate(predictor, pool, max(3.0, min(20.0, seconds / 3)))
    together = predictor.predict(pool)
    # rounding differs between batches: a text on the edge between two answers shows nothing of a mix-up
    expected = {
        text: answer["fields"]
        for text, answer in zip(pool, together)
        if alone.get(text, answer)["fields"] == answer["fields"]
    }
    name = predictor.variant
    del predictor
    arguments = [
        "--task",
        task,
        "--variant",
        name,
        "--engine",
        engine,
        *(["--run", folder] if folder else []),
        *extra,
    ]
    process, port = start_server(arguments)
    try:
        press(port, expected, clients, min(2.0, seconds / 5), seed=1000)
        seen = press(port, expected, clients, seconds)
        numbers = summary(seen, seconds, clients, rate)
        metrics = ask(port, "GET", "/metrics")[1].decode()
        batches = {
            key: float(re.search(rf"^extract_batch_texts_{key} (\S+)$", metrics, re.MULTILINE)[1])  # type: ignore[index]
            for key in ("sum", "count")
        }
        numbers["texts_a_pass"] = batches["sum"] / max(1.0, batches["count"])
        numbers["memory_mb"] = peak_memory_mb(process.pid) or np.nan
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
    label = name if engine == ENGINES[0] else f"{name} ({engine})"
    return pd.DataFrame([{"variant": label, **numbers}]).set_index("variant")


def main(
    task: Annotated[str, typer.Option(metavar="calendar|crime|it_ner")] = "calendar",
    run: Annotated[str, typer.Option(help="Folder of a finished run (artifacts/<task> by default).")] = "",
    variant: Annotated[list[str] | None, typer.Option(help="May be given several times.")] = None,
    engine: Annotated[
        str, typer.Option(metavar="|".join(ENGINES), help="ONNX: after helpers.export.")
    ] = ENGINES[0],
    clients: Annotated[int, typer.Option(min=1)] = 16,
    seconds: Annotated[float, typer.Option(min=1)] = 60,
    texts: Annotated[int, typer.Option(min=1, help="Distinct texts that are asked.")] = 200,
    out: Annotated[Path | None, typer.Option(help="Keep the numbers as CSV.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Texts in one pass of the server.")] = 16,
) -> None:
    """Press a served run with many clients and print how it did."""
    folder = str(Path(run).resolve()) if run else ""
    table = pd.concat(
        [
            load_test(task, folder, name, clients, seconds, texts, engine, ("--batch", str(batch)))
            for name in variant or [""]
        ]
    )
    print(table.T.round(3).to_string())
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        table.to_csv(out)


if __name__ == "__main__":
    from helpers.command import start

    start(main)
