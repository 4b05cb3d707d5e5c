"""The web service around a predictor: limits, batches, cache, metrics, and logs that hold no text."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from cachetools import LRUCache
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from starlette.exceptions import HTTPException as StarletteHTTPException

from helpers.serve.batching import Batcher, Overloaded, Stopping, TooSlow
from helpers.serve.service_models import Answer, Extract, Health, Problem, Schema

LOG = logging.getLogger("study.serve")
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
PROBLEMS = {
    400: "body cannot be read",
    413: "too many texts or bytes",
    422: "text or type is wrong",
    429: "too many texts are waiting",
    500: "the model failed",
    503: "the service is stopping",
    504: "no answer in time",
}


@dataclass(frozen=True)
class Limits:
    """What the service takes at most.

    Parameters
    ----------
    texts, body_bytes : int
        Of one request.
    batch : int
        Texts in one pass through the model.
    wait : float
        Seconds that a text waits for others to share its pass.
    queue : int
        Texts that may wait.
    timeout : float
        Seconds until a request is given up.
    cache : int
        Texts whose answers are kept; 0 for none.
    """

    texts: int = 64
    body_bytes: int = 1_000_000
    batch: int = 16
    wait: float = 0.004
    queue: int = 256
    timeout: float = 10.0
    cache: int = 1024


# -- logs and metrics -------------------------------------------------------------------------------------------------
class JsonLines(logging.Formatter):
    """One JSON object a line; facts come as `extra={"facts": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; of an error its kind and place, not its message, which may hold a text."""
        line: dict[str, Any] = {
            "time": round(record.created, 3),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            trace = record.exc_info[2]
            while trace and trace.tb_next:
                trace = trace.tb_next
            line["at"] = (
                f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
            )
        return json.dumps(line, ensure_ascii=False)


def log_to(stream: Any = sys.stderr) -> None:
    """Write the service's log to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


class Meters:
    """Prometheus metrics of one service."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("extract_requests", "Requests by outcome", ["status"], registry=self.registry)
        self.seconds = Histogram(
            "extract_seconds", "Seconds a request", buckets=SECONDS, registry=self.registry
        )
        self.texts = Counter("extract_texts", "Texts answered", registry=self.registry)
        self.cached = Counter("extract_cache_hits", "Texts answered from the cache", registry=self.registry)
        self.batch = Histogram(
            "extract_batch_texts", "Texts a pass", buckets=BATCH_SIZES, registry=self.registry
        )
        self.model = Histogram(
            "extract_batch_seconds", "Seconds a pass", buckets=SECONDS, registry=self.registry
        )
        self.waiting = Gauge("extract_waiting_texts", "Texts in the queue", registry=self.registry)
        self.review = Counter(
            "extract_needs_review", "Values below the wanted precision", ["field"], registry=self.registry
        )

    def saw_batch(self, size: int, seconds: float) -> None:
        """Count one pass through the model."""
        self.batch.observe(size)
        self.model.observe(seconds)


# -- limits of a body -------------------------------------------------------------------------------------------------
class BodyLimit:
    """ASGI middleware: a body over the limit ends in 413, whether its length is announced or not."""

    def __init__(self, app: Any, limit: int):
        self.app, self.limit = app, limit

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on what is small enough."""
        size = 0

        async def counted() -> Any:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self.limit:
                raise HTTPException(413, f"body is larger than {self.limit} bytes")
            return message

        await self.app(scope, counted, send)


class Watch:
    """ASGI middleware: a request number, a line in the log and in the metrics, and 500 where the model failed."""

    def __init__(self, app: Any, meters: Meters):
        self.app, self.meters = app, meters

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on and tell how it went."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, seen = time.perf_counter(), {"status": 0}
        given = dict(scope["headers"]).get(b"x-request-id", b"")[:64]
        name = given if given.isalnum() else uuid.uuid4().hex.encode()
        scope["state"] = {**scope.get("state", {})}

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", name)]
            await send(message)

        facts = {"id": name.decode()}
        try:
            await self.app(scope, receive, answer)
        except Exception:
            LOG.exception("request failed", extra={"facts": facts})
            if not seen["status"]:
                await JSONResponse({"detail": "the model could not answer"}, 500)(scope, receive, answer)
        if scope["path"] == "/extract":
            seconds = time.perf_counter() - started
            self.meters.requests.labels(seen["status"]).inc()
            self.meters.seconds.observe(seconds)
            LOG.info(
                "request",
                extra={
                    "facts": {
                        **facts,
                        **seen,
                        "milliseconds": round(1000 * seconds, 2),
                        **scope["state"].get("facts", {}),
                    }
                },
            )


# -- the service ------------------------------------------------------------------------------------------------------
def create_app(predictor: Any, limits: Limits = Limits()) -> FastAPI:
    """The service of one predictor (see :class:`helpers.serve.predictor.Predictor`)."""
    task, meters = predictor.task, Meters()
    batcher = Batcher(
        predictor.predict, limits.batch, limits.wait, limits.queue, limits.timeout, meters.saw_batch
    )
    cache: LRUCache = LRUCache(max(1, limits.cache))
    model = {"name": predictor.name, "version": predictor.version}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        LOG.info("started", extra={"facts": model})
        yield
        await asyncio.to_thread(batcher.close, limits.timeout)
        LOG.info("stopped", extra={"facts": model})

    app = FastAPI(
        title=f"{task.words.title}: extraction",
        version=predictor.version,
        description=task.words.description,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(BodyLimit, limit=limits.body_bytes)
    app.add_middleware(Watch, meters=meters)  # the last one added is the outermost
    app.state.batcher, app.state.cache, app.state.meters = batcher, cache, meters
    meters.waiting.set_function(lambda: batcher.waiting)
    _handle_errors(app)

    def refuse(texts: Sequence[str]) -> None:
        if len(texts) > limits.texts:
            raise HTTPException(413, f"{len(texts)} texts, more than the {limits.texts} of one request")
        for place, text in enumerate(texts):
            reason = predictor.problem(text)
            if reason:
                raise HTTPException(422, reason if len(texts) == 1 else f"texts[{place}]: {reason}")

    async def results_of(texts: Sequence[str]) -> list[dict[str, Any]]:
        known = {text: cache[text] for text in texts if text in cache} if limits.cache else {}
        meters.cached.inc(len(known))
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known |= zip(missing, await batcher.answer(missing))
            if limits.cache:
                cache.update({text: known[text] for text in missing})
        return [known[text] for text in texts]

    @app.post(
        "/extract",
        response_model=Answer,
        responses={code: {"model": Problem, "description": text} for code, text in PROBLEMS.items()},
    )
    async def extract(body: Extract, request: Request) -> Any:
        """Find the values of the task's fields in one text or several."""
        started = time.perf_counter()
        texts = body.given
        request.state.facts = {"texts": len(texts), "characters": sum(map(len, texts))}
        refuse(texts)
        results = await results_of(texts)
        meters.texts.inc(len(texts))
        for name in (name for result in results for name in result["needs_review"]):
            meters.review.labels(name).inc()
        milliseconds = round(1000 * (time.perf_counter() - started), 2)
        return JSONResponse({"results": results, "model": model, "milliseconds": milliseconds})

    @app.get("/schema", response_model=Schema)
    async def schema() -> Any:
        """What the service looks for, and its limits."""
        return {
            "task": task.name,
            "title": task.words.title,
            "description": task.words.description,
            "fields": task.rows.schema(),
            "verbatim": sorted(name for name in task.fields if task.kinds[name].verbatim),
            "examples": list(task.words.examples),
            "model": model,
            "limits": {
                "characters": task.rows.longest_text,
                "texts": limits.texts,
                "bytes": limits.body_bytes,
                "seconds": limits.timeout,
            },
        }

    @app.get(
        "/health", response_model=Health, responses={503: {"model": Health, "description": PROBLEMS[503]}}
    )
    async def health() -> Any:
        """Whether the service can answer."""
        content = {
            "status": "ok" if batcher.alive else "stopping",
            "model": model,
            "waiting": batcher.waiting,
        }
        return JSONResponse(content, 200 if batcher.alive else 503)

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Any:
        """Prometheus metrics."""
        return Response(generate_latest(meters.registry), media_type=CONTENT_TYPE_LATEST)

    return app


def _reason(error: RequestValidationError) -> str:
    """What is wrong with a body, without what it held."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")
    kind = "malformed JSON" if first["type"] == "json_invalid" else first["msg"].removeprefix("Value error, ")
    return f"{where}: {kind}" if where and first["type"] != "json_invalid" else kind


def _handle_errors(app: FastAPI) -> None:
    """Every failure that is no fault of the model as one line of JSON."""
    answers: dict[type[Exception], Any] = {
        RequestValidationError: lambda error: (422, _reason(error), None),
        StarletteHTTPException: lambda error: (
            error.status_code,
            error.detail,
            getattr(error, "headers", None),
        ),
        Overloaded: lambda error: (429, error, {"Retry-After": str(error.retry_after)}),
        TooSlow: lambda error: (504, error, None),
        Stopping: lambda error: (503, error, {"Retry-After": "5"}),
    }
    for kind, read in answers.items():

        async def refuse(request: Request, error: Exception, read: Any = read) -> JSONResponse:
            status, detail, headers = read(error)
            return JSONResponse({"detail": str(detail)}, status, headers)

        app.add_exception_handler(kind, refuse)
