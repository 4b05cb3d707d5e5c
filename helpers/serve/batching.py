"""Requests that come at the same time share one pass through the model; one thread owns the model."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
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
class _Item:
    """One waiting text."""

    text: str
    future: asyncio.Future
    loop: asyncio.AbstractEventLoop


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
    _queue: deque[_Item] = field(default_factory=deque)
    _condition: threading.Condition = field(default_factory=threading.Condition)
    _stopping: bool = False
    _last_pass: float = 0.0
    _thread: threading.Thread | None = None

    # -- the service's side -------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return len(self._queue)

    @property
    def alive(self) -> bool:
        """Whether answers can be expected."""
        return not self._stopping and self._thread is not None and self._thread.is_alive()

    async def answer(self, texts: Sequence[str]) -> list[Answer]:
        """Answers of some texts, all or none of them taken in.

        Raises
        ------
        Overloaded, TooSlow, Stopping
        Exception
            What the model raised for one of the texts.
        """
        loop = asyncio.get_running_loop()
        items = [_Item(text, loop.create_future(), loop) for text in texts]
        with self._condition:
            if self._stopping:
                raise Stopping("the service is stopping")
            if len(self._queue) + len(items) > self.capacity:
                raise Overloaded(max(1, math.ceil(len(self._queue) * self.seconds_a_text)))
            self._queue.extend(items)
            self._condition.notify()
        futures = [item.future for item in items]
        try:
            _, late = await asyncio.wait(futures, timeout=self.timeout)
            if late:
                raise TooSlow(f"no answer within {self.timeout:g} s")
            return [future.result() for future in futures]
        finally:
            for future in futures:  # those of a request that has failed or gone need no answer any more
                if not future.cancel() and not future.cancelled():
                    future.exception()  # seen, so that asyncio does not complain of it

    def close(self, grace: float = 10.0) -> None:
        """Take no more texts, answer those that wait, and end the thread."""
        with self._condition:
            self._stopping = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(grace)
        with self._condition:
            left = list(self._queue)
            self._queue.clear()
        _settle([(item, Stopping("the service has stopped")) for item in left])

    # -- the model's side ---------------------------------------------------------------------------------------------
    def _take(self) -> list[_Item]:
        """The next batch; empty once the service stops and nothing waits."""
        with self._condition:
            while not self._queue and not self._stopping:
                self._condition.wait()
            until = time.monotonic() + max(
                self.wait, min(LONGEST_WAIT, PATIENCE * self._last_pass) * bool(self.wait)
            )
            while 0 < len(self._queue) < self.max_batch and not self._stopping:
                before, left = len(self._queue), min(self.wait, until - time.monotonic())
                if left <= 0:
                    break
                self._condition.wait(left)
                if len(self._queue) == before:
                    break
            batch: list[_Item] = []
            while self._queue and len(batch) < self.max_batch:
                item = self._queue.popleft()
                if not item.future.cancelled():
                    batch.append(item)
            return batch

    def _work(self) -> None:
        while True:
            batch = self._take()
            if batch:
                self._run(batch)
            elif self._stopping and not self._queue:
                return

    def _run(self, batch: list[_Item]) -> None:
        texts = list(dict.fromkeys(item.text for item in batch))
        started = time.perf_counter()
        found: dict[str, Any] = {}
        try:
            found = dict(zip(texts, self.predict(texts), strict=True))
        except Exception:
            for text in texts:  # one text that the model cannot take must not cost the others their answer
                try:
                    found[text] = self.predict([text])[0]
                except Exception as error:
                    LOG.exception("prediction failed", extra={"facts": {"characters": len(text)}})
                    found[text] = error
        seconds = time.perf_counter() - started
        self._last_pass = seconds
        self.seconds_a_text = 0.8 * self.seconds_a_text + 0.2 * seconds / len(texts)
        if self.on_batch:
            self.on_batch(len(batch), seconds)
        _settle([(item, found[item.text]) for item in batch])


def _settle(pairs: Sequence[tuple[_Item, Any]]) -> None:
    """Hand results or errors to the event loops that wait for them."""

    def give(part: Sequence[tuple[_Item, Any]]) -> None:
        for item, result in part:
            if not item.future.done():
                item.future.set_exception(result) if isinstance(
                    result, Exception
                ) else item.future.set_result(result)

    for loop in {item.loop for item, _ in pairs}:
        part = [pair for pair in pairs if pair[0].loop is loop]
        if not loop.is_closed():
            loop.call_soon_threadsafe(give, part)
