"""The web service around a predictor: limits, batches, cache, metrics, and logs that hold no text."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import re
import time
import traceback
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import prometheus_client
from cachetools import LRUCache
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import Counter, Gauge, Histogram
from pydantic import (
    ValidationError,
)
from starlette.requests import ClientDisconnect

from helpers.files import parse_json
from helpers.serve.batching import LIMITS, LOG, Batcher, Limits, NoAnswer
from helpers.serve.messages import Extract, Health, Problem, Schema, answer_model

SIZES, SECONDS = (1, 2, 4, 8, 16, 32, 64), (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
REQUEST_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
PROBLEMS = (400, 401, 408, 413, 415, 422, 429, 500, 503, 504)


# -- logs and metrics -------------------------------------------------------------------------------------------------
class JsonLines(logging.Formatter):
    """One JSON object a line; facts come as `extra={"facts": {…}}`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record; of an error its kind and place, not its message, which may hold a text."""
        line = {"time": round(record.created, 3), "level": record.levelname.lower()}
        line |= {"event": record.getMessage(), **getattr(record, "facts", {})}
        if record.exc_info:
            line["error"], place = record.exc_info[0].__name__, traceback.extract_tb(record.exc_info[2])[-1]
            line["at"] = f"{Path(place.filename).name}:{place.lineno}"
        return json.dumps(line, ensure_ascii=False)


def log_to(stream: Any) -> None:
    """Write the service's log to a stream."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    LOG.handlers[:] = [handler]
    LOG.setLevel(logging.INFO)
    LOG.propagate = False


class Meters:
    """Prometheus metrics of one service."""

    def __init__(self) -> None:
        self.registry = own = prometheus_client.CollectorRegistry()
        self.requests = Counter("extract_requests", "Requests by outcome", ["status"], registry=own)
        self.seconds = Histogram("extract_seconds", "Seconds a request", buckets=SECONDS, registry=own)
        self.texts = Counter("extract_texts", "Texts answered", registry=own)
        self.cached = Counter("extract_cache_hits", "Texts answered from the cache", registry=own)
        self.batch = Histogram("extract_batch_texts", "Texts a pass", buckets=SIZES, registry=own)
        self.model = Histogram("extract_batch_seconds", "Seconds a pass", buckets=SECONDS, registry=own)
        self.waiting = Gauge("extract_waiting_texts", "Texts in the queue", registry=own)
        self.review = Counter("extract_needs_review", "Values to be looked at", ["field"], registry=own)

    def saw_answers(self, results: Sequence[dict[str, Any]]) -> None:
        """Count the texts of a request, and what a person should look at."""
        self.texts.inc(len(results))
        for name in (name for result in results for name in result["needs_review"]):
            self.review.labels(name).inc()


# -- bodies -----------------------------------------------------------------------------------------------------------
async def read_body(request: Request, limits: Limits) -> list[str]:
    """The texts in the body of a request: JSON of a bounded size that comes within a bounded time."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(415, f"content-type is {kind or 'missing'}: send application/json")
    if (packed := request.headers.get("content-encoding", "identity")) != "identity":
        raise HTTPException(415, f"content-encoding {packed} is not unpacked here: send the body as it is")
    content = bytearray()

    async def read() -> None:
        async for piece in request.stream():
            content.extend(piece)
            if len(content) > limits.bytes:
                raise HTTPException(413, f"body is larger than {limits.bytes} bytes")

    try:
        await asyncio.wait_for(read(), limits.seconds)
        body = Extract.model_validate(parse_json(content.decode()))
        return body.texts or [body.text]
    except asyncio.TimeoutError:
        raise HTTPException(408, f"the body did not come within {limits.seconds:g} s") from None
    except ClientDisconnect:
        raise HTTPException(400, "the body was not sent to its end") from None
    except ValidationError as error:
        raise HTTPException(422, reason(error)) from None
    except (UnicodeDecodeError, RecursionError):
        raise HTTPException(400, "the body is no UTF-8, or nested too deeply") from None
    except json.JSONDecodeError:
        raise HTTPException(422, "malformed JSON") from None
    except ValueError as error:  # a key stands twice
        raise HTTPException(422, printable(str(error))) from None


def reason(error: ValidationError) -> str:
    """What is wrong with a body, without what it held."""
    first = error.errors()[0]
    where, kind = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
    return printable(f"{where}: {kind}" if where else kind)


def printable(line: str) -> str:
    """A line that can be sent: a key may be half a surrogate pair."""
    return line.encode("utf-8", "backslashreplace").decode()


# -- the service ------------------------------------------------------------------------------------------------------
def create_app(predictor: Any, limits: Limits = LIMITS, token: str = "") -> FastAPI:
    """The service of one predictor (see :class:`helpers.serve.predictor.Predictor`).

    With a `token` only requests with the header `Authorization: Bearer TOKEN` are answered.
    """
    task, meters = predictor.task, Meters()

    def on_batch(size: int, seconds: float) -> None:
        meters.batch.observe(size)
        meters.model.observe(seconds)

    batcher = Batcher(predictor.predict, predictor.problem, limits, on_batch)
    meters.waiting.set_function(lambda: batcher.waiting)
    cache: LRUCache = LRUCache(limits.cache)
    model = {"name": predictor.name, "version": predictor.version}
    told = {"texts": limits.texts, "bytes": limits.bytes, "seconds": limits.seconds}
    described = Schema(
        task=task.name,
        title=task.words.title,
        description=task.words.description,
        fields=task.rows.schema(),
        verbatim=sorted(name for name in task.fields if task.kinds[name].verbatim),
        limits={"characters": task.rows.longest_text, **told},
        examples=list(task.words.examples),
        model=model,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        batcher.start()
        LOG.info("started", extra={"facts": model})
        yield
        await batcher.close(limits.seconds)
        LOG.info("stopped", extra={"facts": model})

    about = {"title": f"{task.words.title}: extraction", "description": task.words.description}
    pages = {"docs_url": None, "redoc_url": None, "redirect_slashes": False}
    app = FastAPI(**about, **pages, version=predictor.version, lifespan=lifespan)
    watch(app, meters, token)

    async def results_of(texts: Sequence[str]) -> list[dict[str, Any]]:
        known = {text: cache[text] for text in texts if text in cache}
        meters.cached.inc(len(known))
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known |= zip(missing, await batcher.answer(missing))
            if limits.cache:
                cache.update({text: known[text] for text in missing})
        return [known[text] for text in texts]

    body = {"required": True, "content": {"application/json": {"schema": Extract.model_json_schema()}}}
    about = {"responses": dict.fromkeys(PROBLEMS, {"model": Problem}), "openapi_extra": {"requestBody": body}}

    @app.post("/extract", response_model=answer_model(task), **about)
    async def extract(request: Request) -> Any:
        """Find the values of the task's fields in one text or several."""
        started = time.perf_counter()
        texts = await read_body(request, limits)
        request.state.facts = {"texts": len(texts), "characters": sum(map(len, texts))}
        if len(texts) > limits.texts:
            raise HTTPException(413, f"{len(texts)} texts, more than the {limits.texts} of one request")
        for place, text in enumerate(texts):
            if why := task.rows.bad_text(text):
                raise HTTPException(422, why if len(texts) == 1 else f"texts[{place}]: {why}")
        results = await results_of(texts)
        meters.saw_answers(results)
        milliseconds = round(1000 * (time.perf_counter() - started), 2)
        return {"results": results, "model": model, "milliseconds": milliseconds}

    @app.get("/schema", response_model=Schema)
    async def schema() -> Any:
        """What the service looks for, and its limits."""
        return described

    @app.head("/health", include_in_schema=False)
    @app.get("/health", response_model=Health, responses={503: {"model": Health}})
    async def health(response: Response) -> Any:
        """Whether the service can answer."""
        response.status_code = 200 if batcher.alive else 503
        status = "ok" if batcher.alive else "stopping"
        return {"status": status, "model": model, "waiting": batcher.waiting}

    @app.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Any:
        """Prometheus metrics."""
        now = prometheus_client.generate_latest(meters.registry)
        return Response(now, media_type=prometheus_client.CONTENT_TYPE_LATEST)

    return app


def watch(app: FastAPI, meters: Meters, token: str) -> None:
    """See to what all requests share: the token, a number, a line in the log and in the metrics, and what fails."""

    @app.exception_handler(NoAnswer)
    async def refuse(request: Request, error: NoAnswer) -> JSONResponse:
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
        return JSONResponse({"detail": str(error)}, error.status, headers)

    @app.middleware("http")
    async def watched(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        started, given = time.perf_counter(), request.headers.get("x-request-id", "")
        name = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        path = request.scope["path"] = request.url.path.rstrip("/") or "/"  # a redirect would lose TLS
        request.state.facts = {}
        shown = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if token and path != "/health" and not hmac.compare_digest(shown, token.encode()):
            asked = {"WWW-Authenticate": "Bearer"}
            response: Response = JSONResponse({"detail": "send Authorization: Bearer TOKEN"}, 401, asked)
        else:
            try:
                response = await call_next(request)
            except Exception:
                LOG.exception("request failed", extra={"facts": {"id": name}})
                response = JSONResponse({"detail": "the model could not answer"}, 500)
        response.headers["x-request-id"] = name
        if path == "/extract":
            seconds = time.perf_counter() - started
            meters.requests.labels(response.status_code).inc()
            meters.seconds.observe(seconds)
            facts = {"id": name, "status": response.status_code, "milliseconds": round(1000 * seconds, 2)}
            LOG.info("request", extra={"facts": {**facts, **request.state.facts}})
        return response
