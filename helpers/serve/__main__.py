"""Serve a trained model over HTTP.

Run as: python -m helpers.serve --task calendar          then
        curl localhost:8000/extract -H 'content-type: application/json' -d '{"text": "Lunch with Ana on 3 May at noon"}'
"""

from __future__ import annotations

import ipaddress
import signal
import socket
import sys
import threading
from typing import Annotated, Any

import typer

from helpers.command import Engine, RunFolder, SystemName, TaskName, start
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


def server_of(app: Any, grace: float, connections: int = 256) -> Any:
    """A uvicorn server; asked to stop it ends what has begun, on a second signal it leaves at once.

    What comes beyond `connections` at a time is answered with 503; one that sends no whole head of a request within `grace`
    seconds, or of another one a few seconds later, is closed.
    """
    import uvicorn
    from h11 import LocalProtocolError
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.timer = self.loop.call_later(grace, lambda: self.cycle or transport.close())

        def on_response_complete(self) -> None:
            done, seconds = self.cycle, self.timeout_keep_alive + grace
            self.timer.cancel()
            self.timer = self.loop.call_later(
                seconds, lambda: self.cycle is not done or self.transport.close()
            )
            super().on_response_complete()

        def connection_lost(self, error: Exception | None) -> None:
            self.timer.cancel()
            super().connection_lost(error)

        def send_400_response(self, msg: str) -> None:
            try:
                super().send_400_response(msg)
            except LocalProtocolError:  # to a HEAD; the trace would show the body in the log
                self.transport.close()

    if threading.current_thread() is threading.main_thread():
        for each in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises the signal again when it has ended:
            signal.signal(each, lambda *_: None)  # that was wanted, and the status is 0
    quiet = {"log_config": None, "access_log": False, "server_header": False}
    limits = {"timeout_graceful_shutdown": max(1, round(grace)), "limit_concurrency": connections}
    return uvicorn.Server(uvicorn.Config(app, http=Protocol, ws="none", lifespan="on", **quiet, **limits))


def main(
    task: TaskName = "calendar",
    run: RunFolder = "",
    variant: SystemName = "",
    engine: Engine = "torch",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0 takes a free one.")] = 8000,
    token: Annotated[str, typer.Option(envvar="STUDY_TOKEN", help="What clients have to send.")] = "",
    connections: Annotated[int, typer.Option(min=1, help="Connections at a time.")] = 256,
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

        from helpers.serve.batching import Limits
        from helpers.serve.predictor import Predictor
        from helpers.serve.service import create_app, log_to

        address, found = listening.getsockname()[:2]
        if not token and not ipaddress.ip_address(address).is_loopback:
            print(
                f"WARNING: anyone who reaches {host}:{found} may ask; --token lets in who knows it",
                file=sys.stderr,
            )
        if threads:
            torch.set_num_threads(threads)
        log_to(sys.stderr)
        predictor = Predictor.open(task, run or None, variant or None, engine)
        if predictor.task.words.examples:  # the first pass is the slowest: not for the first user to wait for
            predictor.predict([predictor.task.words.examples[0]])
        limits = Limits(
            min(64, queue), batch=batch, wait=wait_ms / 1000, queue=queue, seconds=timeout, cache=cache
        )
        app = create_app(predictor, limits, token)
        listening.listen()  # whoever reads the next line may come
        place = f"[{host}]" if ":" in host else host
        print(f"{predictor.name} {predictor.version} at http://{place}:{found}", flush=True)
        server_of(app, timeout, connections).run(sockets=[listening])


if __name__ == "__main__":
    start(main)
