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


class Overloaded(Exception):
    """The queue is full; `retry_after` is in seconds."""

    def __init__(self, retry_after: int):
        super().__init__(f"too many texts are waiting: try again in {retry_after} s")
        self.retry_after = retry_after


class TooSlow(Exception):
    """No answer came in time."""


class Stopping(Exception):
    """The service is shutting down."""


@dataclass
class Batcher:
    """Collects texts into batches for a thread that predicts them.

    While one batch is computed the next one gathers. It goes as soon as it is full or no text has come for `wait`
    seconds, and no later than a tenth of the last pass after its beginning: batches grow with the load, clients that
    ask again at the same time stay together, and a lone request hardly waits. Beyond `capacity` waiting texts
    :class:`Overloaded` is raised, after `timeout` seconds :class:`TooSlow`, and what has not been begun by then is
    dropped. `on_batch` is told the size and the seconds of each batch.
    """

    predict: Callable[[Sequence[str]], Sequence[Answer]]
    max_batch: int = 16
    wait: float = 0.004
    capacity: int = 256
    timeout: float = 10.0
    on_batch: Callable[[int, float], None] | None = None
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
        """Answers of some texts, all or none of them taken in.

        Raises
        ------
        Overloaded, TooSlow, Stopping
        Exception
            What the model raised for one of the texts.
        """
        if self._stopping:
            raise Stopping("the service is stopping")
        if len(self._queue) + len(texts) > self.capacity:
            raise Overloaded(max(1, math.ceil(len(self._queue) * self.seconds_a_text)))
        futures = [asyncio.get_running_loop().create_future() for _ in texts]
        self._queue.extend(zip(texts, futures))
        self._arrived.set()
        try:
            return await asyncio.wait_for(asyncio.gather(*futures), self.timeout)
        except asyncio.TimeoutError:
            raise TooSlow(f"no answer within {self.timeout:g} s") from None
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
                future.set_exception(Stopping("the service has stopped"))

    # -- the model's side ---------------------------------------------------------------------------------------------
    async def _answer_all(self) -> None:
        loop, model = asyncio.get_running_loop(), ThreadPoolExecutor(1, "model")
        while batch := await self._take():
            texts = list(dict.fromkeys(text for text, _ in batch))
            started = time.perf_counter()
            found = dict(zip(texts, await loop.run_in_executor(model, self._predict, texts)))
            self._last_pass = time.perf_counter() - started
            self.seconds_a_text = 0.8 * self.seconds_a_text + 0.2 * self._last_pass / len(texts)
            if self.on_batch:
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
            patience = max(self.wait, min(LONGEST_WAIT, PATIENCE * self._last_pass)) if self.wait else 0.0
            until = time.monotonic() + patience
            while len(self._queue) < self.max_batch and not self._stopping:
                self._arrived.clear()
                try:
                    left = min(self.wait, until - time.monotonic())
                    await asyncio.wait_for(self._arrived.wait(), left)
                except asyncio.TimeoutError:
                    break
            while self._queue and len(batch) < self.max_batch:
                text, future = self._queue.popleft()
                if not future.done():
                    batch.append((text, future))
        return batch

    def _predict(self, texts: Sequence[str]) -> list[Answer | Exception]:
        """In the model's thread: answers, or what the model raised for a text."""
        try:
            return list(self.predict(texts))
        except Exception:
            return [self._predict_alone(text) for text in texts]

    def _predict_alone(self, text: str) -> Answer | Exception:
        """One text that the model cannot take must not cost the others their answer."""
        try:
            return self.predict([text])[0]
        except Exception as error:
            LOG.exception("prediction failed", extra={"facts": {"characters": len(text)}})
            return error
