"""Serve a trained model over HTTP.

Run as: python -m helpers.serve --task calendar          then
        curl localhost:8000/extract -H 'content-type: application/json' -d '{"text": "Lunch with Ana on 3 May at noon"}'
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from typing import Annotated, Any

import typer

from helpers.command import Engine, RunFolder, SystemName, TaskName
from helpers.errors import UserError


def bind(host: str, port: int) -> socket.socket:
    """A socket at that address."""
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        why = getattr(error, "strerror", None) or error
        raise UserError(f"cannot listen at {host}:{port} ({why}): choose another --port") from None
    return found


def server_of(app: Any, grace: float) -> Any:
    """A uvicorn server; asked to stop it ends what has begun, on a second signal it leaves at once."""
    import uvicorn

    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises the signal again when it has ended:
            signal.signal(each, lambda *_: None)  # that was wanted, and the status is 0
    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="on",
            server_header=False,
            timeout_graceful_shutdown=max(1, round(grace)),
            ws="none",
        )
    )


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    engine: Engine = "torch",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, help="Texts in one pass through the model.")] = 16,
    wait_ms: Annotated[float, typer.Option(min=0, help="Time for others to share a text's pass.")] = 4,
    queue: Annotated[int, typer.Option(min=1, help="Texts that may wait; more come again.")] = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until a request is given up.")] = 10,
    cache: Annotated[int, typer.Option(min=0, help="Texts whose answers are kept.")] = 1024,
    threads: Annotated[int, typer.Option(min=0, help="Threads of the model (0: one a core).")] = 0,
) -> None:
    """Answer over HTTP: POST /extract, GET /schema, /health, /metrics and /openapi.json."""
    with bind(host, port) as listening:
        import torch

        from helpers.serve.predictor import Predictor
        from helpers.serve.service import Limits, create_app, log_to

        if threads:
            torch.set_num_threads(threads)
        log_to(sys.stderr)
        predictor = Predictor.open(task, run or None, variant or None, engine)
        if predictor.task.words.examples:  # the first pass is the slowest: not for the first user to wait for
            predictor.predict([predictor.task.words.examples[0]])
        limits = Limits(
            texts=min(64, queue), batch=batch, wait=wait_ms / 1000, queue=queue, timeout=timeout, cache=cache
        )
        app = create_app(predictor, limits)
        address = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
        listening.listen()  # whoever reads the next line may come
        print(f"{predictor.name} {predictor.version} at {address}", flush=True)
        server_of(app, timeout).run(sockets=[listening])
