"""Serve a trained model over HTTP.

Run as: python -m helpers.serve --task calendar          then
        curl localhost:8000/extract -H 'content-type: application/json' -d '{"text": "Lunch with Ana on 3 May at noon"}'
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from helpers.errors import UserError
from helpers.export.model_folder import ENGINES


def bind(host: str, port: int) -> socket.socket:
    """A socket at that address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except (OSError, OverflowError) as error:
        found.close()
        raise UserError(
            f"cannot listen at {host}:{port} ({getattr(error, 'strerror', None) or error}): choose another "
            "--port"
        ) from None
    return found


def server_of(app: Any, grace: float) -> Any:
    """A uvicorn server that ends with status 0 when it is asked to stop."""
    import uvicorn

    class Server(uvicorn.Server):
        """Stops on signals without raising them again."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Finish what has begun on the first signal, leave on the second."""
            if threading.current_thread() is not threading.main_thread():
                yield  # signals reach the main thread alone
                return
            before = {each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for each, handler in before.items():
                    signal.signal(each, handler)

    return Server(
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
    task: Annotated[
        str, typer.Option(metavar="calendar|crime|it_ner", help="What to look for.")
    ] = "calendar",
    run: Annotated[str, typer.Option(help="Folder of a finished run (artifacts/<task> by default).")] = "",
    variant: Annotated[
        str, typer.Option(help="A trained variant, a vote or rules (the best by default).")
    ] = "",
    engine: Annotated[
        str, typer.Option(metavar="|".join(ENGINES), help="ONNX: after helpers.export.")
    ] = ENGINES[0],
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, help="Texts in one pass through the model.")] = 16,
    wait_ms: Annotated[
        float, typer.Option(min=0, help="How long a text waits for others to share its pass.")
    ] = 4,
    queue: Annotated[
        int, typer.Option(min=1, help="Texts that may wait; more are told to come again.")
    ] = 256,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until a request is given up.")] = 10,
    cache: Annotated[int, typer.Option(min=0, help="Texts whose answers are kept.")] = 1024,
    threads: Annotated[
        int, typer.Option(min=0, help="Threads of the model (0: as many as there are cores).")
    ] = 0,
) -> None:
    """Answer over HTTP: POST /extract, GET /schema, /health, /metrics and /openapi.json."""
    listening = bind(host, port)
    try:
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
        print(f"{predictor.name} {predictor.version} at {address}", flush=True)
        server_of(app, timeout).run(sockets=[listening])
    finally:
        listening.close()
