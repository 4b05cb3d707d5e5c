"""Requests that come at the same time share one pass through the model; one thread owns the model."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

Answer = dict[str, Any]
LOG = logging.getLogger("study.serve")
LONGEST_WAIT = 0.05  # seconds that a batch gathers at most
PATIENCE = 0.1  # of the last pass


class NoAnswer(Exception):
    """Why there is no answer: the words, the status of HTTP, and the seconds after which to ask again."""

    def __init__(self, words: str, status: int, retry_after: int | None = None):
        super().__init__(words)
        self.status, self.retry_after = status, retry_after


@dataclass(frozen=True)
class Limits:
    """What the service takes at most."""

    texts: int = 64  # of one request
    bytes: int = 1_000_000  # of its body
    batch: int = 16  # texts in one pass through the model
    wait: float = 0.004  # seconds that a text waits for others to share its pass
    queue: int = 256  # texts that may wait
    seconds: float = 10.0  # until a request is given up, its body or its answer
    cache: int = 1024  # texts whose answers are kept; 0 for none


LIMITS = Limits()


@dataclass
class Batcher:
    """Collects texts into batches for a thread that checks and predicts them.

    While one batch is computed the next one gathers. It goes as soon as it is full or no text has come for
    `limits.wait` seconds, and no later than a tenth of the last pass after its beginning: batches grow with the load,
    clients that ask again at the same time stay together, and a lone request hardly waits. Beyond `limits.queue`
    waiting texts a request is refused, after `limits.seconds` it is given up, and what has not been begun by then is
    dropped.
    `problem` says why a text cannot be answered; it runs in the model's thread, since tokenizers take time and are not
    made for two threads. `on_batch` is told the size and the seconds of each batch.
    """

    predict: Callable[[Sequence[str]], Sequence[Answer]]
    problem: Callable[[str], str | None] = lambda text: None
    limits: Limits = LIMITS
    on_batch: Callable[[int, float], None] = lambda size, seconds: None
    seconds_a_text: float = 0.01
    _queue: deque[tuple[str, asyncio.Future]] = field(default_factory=deque)
    _arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _stopping: bool = False
    _last_pass: float = 0.0
    _work: asyncio.Task | None = None

    def start(self) -> None:
        """Begin to answer, in the event loop that runs."""
        self._work = asyncio.get_running_loop().create_task(self._answer_all())

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return len(self._queue)

    @property
    def alive(self) -> bool:
        """Whether answers can be expected."""
        return not self._stopping and self._work is not None and not self._work.done()

    async def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Answers of some texts, all or none of them taken in; NoAnswer, or what the model raised for one of them."""
        if self._stopping:
            raise NoAnswer("the service is stopping", 503, 5)
        if len(self._queue) + len(texts) > self.limits.queue:
            seconds = max(1, math.ceil(len(self._queue) * self.seconds_a_text))
            raise NoAnswer(f"too many texts are waiting: try again in {seconds} s", 429, seconds)
        futures = [asyncio.get_running_loop().create_future() for _ in texts]
        self._queue.extend(zip(texts, futures))
        self._arrived.set()
        try:
            return await asyncio.wait_for(asyncio.gather(*futures), self.limits.seconds)
        except asyncio.TimeoutError:
            raise NoAnswer(f"no answer within {self.limits.seconds:g} s", 504) from None
        finally:
            for future in futures:  # those of a request that has failed or gone are not computed any more
                future.cancel()

    async def close(self, grace: float = 10.0) -> None:
        """Take no more texts, answer those that wait, and end."""
        self._stopping = True
        self._arrived.set()
        if self._work is not None:
            await asyncio.wait([self._work], timeout=grace)
        for _, future in self._queue:
            if not future.done():
                future.set_exception(NoAnswer("the service has stopped", 503, 5))

    # -- the model's side ---------------------------------------------------------------------------------------------
    async def _answer_all(self) -> None:
        loop, model = asyncio.get_running_loop(), ThreadPoolExecutor(1, "model")
        while batch := await self._take():
            texts = list(dict.fromkeys(text for text, _ in batch))
            started = time.perf_counter()
            found = dict(zip(texts, await loop.run_in_executor(model, self._predict, texts)))
            self._last_pass = time.perf_counter() - started
            self.seconds_a_text = 0.8 * self.seconds_a_text + 0.2 * self._last_pass / len(texts)
            self.on_batch(len(batch), self._last_pass)
            for text, future in batch:
                if future.done():  # given up meanwhile
                    continue
                if isinstance(found[text], Exception):
                    future.set_exception(found[text])
                else:
                    future.set_result(found[text])
        model.shutdown(wait=False)

    async def _take(self) -> list[tuple[str, asyncio.Future]]:
        """The next batch; empty once the service stops and nothing waits."""
        batch: list[tuple[str, asyncio.Future]] = []
        while not batch and (self._queue or not self._stopping):
            if not self._queue:
                self._arrived.clear()
                await self._arrived.wait()
            wait = self.limits.wait
            patience = max(wait, min(LONGEST_WAIT, PATIENCE * self._last_pass)) if wait else 0.0
            until = time.monotonic() + patience
            while len(self._queue) < self.limits.batch and not self._stopping:
                self._arrived.clear()
                try:
                    left = min(wait, until - time.monotonic())
                    await asyncio.wait_for(self._arrived.wait(), left)
                except asyncio.TimeoutError:
                    break
            while self._queue and len(batch) < self.limits.batch:
                text, future = self._queue.popleft()
                if not future.done():
                    batch.append((text, future))
        return batch

    def _predict(self, texts: Sequence[str]) -> list[Answer | Exception]:
        """In the model's thread: for each text the answer, or why there is none; no text costs the others theirs."""
        try:
            refused = {text: NoAnswer(why, 422) for text in texts if (why := self.problem(text))}
            good = [text for text in texts if text not in refused]
            found = dict(zip(good, self.predict(good) if good else (), strict=True))
            return [refused.get(text) or found[text] for text in texts]
        except Exception as error:
            if len(texts) > 1:
                return [self._predict([text])[0] for text in texts]
            LOG.exception("prediction failed", extra={"facts": {"characters": len(texts[0])}})
            return [error]
