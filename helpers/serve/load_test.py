"""How does the service hold up? Many clients at once against a server of its own on this machine.

Run as: python -m helpers.serve.load_test --task calendar --clients 16 --seconds 60

Every answer is compared with what the model says without a server. The cache of the server is off, so that every request
reaches the model.
"""

from __future__ import annotations

import http.client
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Annotated, Any

import pandas as pd
import typer

from helpers.command import Engine, RunFolder, SystemName, TaskName
from helpers.errors import UserError
from helpers.machine import peak_memory_mb
from helpers.paths import ROOT

JSON_TYPE = {"content-type": "application/json"}


@contextmanager
def served(*options: str) -> Iterator[tuple[int, int]]:
    """(port, process id) of a server on a free port of the loopback address, which has begun to answer."""
    command = [sys.executable, "-m", "helpers.serve", "--port", "0", "--cache", "0", *options]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        line = next((line for line in process.stdout or () if "at http" in line), "")  # once it listens
        if not line:
            raise UserError(f"the server did not start: {' '.join(command[1:])}")
        try:
            yield int(line.rpartition(":")[2]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def client(port: int, expected: Mapping[str, Any], until: float, seed: int) -> list[dict[str, Any]]:
    """Ask one text after the other until the time is over: milliseconds, error and whether it was another answer."""
    rng, texts, seen = random.Random(seed), list(expected), []
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    while (started := time.perf_counter()) < until:
        text, error, wrong = rng.choice(texts), None, False
        try:
            connection.request("POST", "/extract", json.dumps({"text": text}), JSON_TYPE)
            response = connection.getresponse()
            content = json.load(response)
            if response.status == 200:
                wrong = content["results"][0]["fields"] != expected[text]
            else:
                error = str(response.status)
        except (OSError, http.client.HTTPException) as failure:
            error = type(failure).__name__
            connection.close()
        seen.append({"ms": 1000 * (time.perf_counter() - started), "error": error, "wrong": wrong})
    connection.close()
    return seen


def press(port: int, expected: Mapping[str, Any], clients: int, seconds: float) -> pd.DataFrame:
    """Let clients ask for some seconds; one line a request, see :func:`client`."""
    until = time.perf_counter() + seconds
    with ThreadPoolExecutor(clients) as pool:
        asked = [pool.submit(client, port, expected, until, seed) for seed in range(clients)]
        return pd.DataFrame([one for each in asked for one in each.result()])


def summary(seen: pd.DataFrame, seconds: float) -> dict[str, float]:
    """Numbers of one press: rates in texts a second, times in milliseconds."""
    return {
        "requests": len(seen),
        "errors": int(seen["error"].notna().sum()),
        "wrong_answers": int(seen["wrong"].sum()),
        "p50_ms": seen["ms"].median(),
        "p95_ms": seen["ms"].quantile(0.95),
        "throughput": len(seen) / seconds,
    }


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    engine: Engine = "torch",
    clients: Annotated[int, typer.Option(min=1)] = 16,
    seconds: Annotated[float, typer.Option(min=1)] = 60,
    texts: Annotated[int, typer.Option(min=1, help="Distinct texts that are asked.")] = 200,
    batch: Annotated[int, typer.Option(min=1, help="Texts in one pass of the server.")] = 16,
) -> None:
    """Press a served run with many clients and print how it did."""
    from helpers.serve.predictor import Predictor

    predictor = Predictor.open(task, run or None, variant or None, engine)
    rows = dict.fromkeys(row.text for row in predictor.run.load("validation"))
    pool = [text for text in list(rows)[:texts] if predictor.problem(text) is None]
    alone, together = [predictor.predict([text])[0] for text in pool], predictor.predict(pool)
    # rounding differs between batches: a text on the edge between two answers shows nothing of a mix-up
    answers = {text: (one["fields"], other["fields"]) for text, one, other in zip(pool, alone, together)}
    expected = {text: one for text, (one, other) in answers.items() if one == other}
    options = ["--task", task, "--variant", predictor.variant, "--engine", engine, "--batch", str(batch)]
    options += ["--run", str(predictor.run.dir)]
    with served(*options) as (port, process):
        press(port, expected, clients, min(2.0, seconds / 5))
        memory = peak_memory_mb(process)
        found = summary(press(port, expected, clients, seconds), seconds)
        found |= {"memory_mb_before": memory, "memory_mb": peak_memory_mb(process)}
    print(pd.Series({"system": predictor.name, "engine": engine, "clients": clients, **found}).to_string())


if __name__ == "__main__":
    from helpers.command import start

    start(main)
