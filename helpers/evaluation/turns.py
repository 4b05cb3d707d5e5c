"""Ways that take turns: A B A B in one process, so that a busy machine slows both."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from helpers.data import read as data
from helpers.data.splits import make_splits
from helpers.run import Run
from helpers.tasks.records import Example

Line = dict[str, Any]
Rates = dict[str, list[float]]


@dataclass(frozen=True)
class Bench:
    """What is measured, and how long.

    Parameters
    ----------
    run : Run
        Its data and settings; where it writes.
    trained : Run, optional
        A finished run whose adapter decodes; without one the untuned base model does.
    repeats : int
        Turns of each way.
    seconds : float
        Least time of a turn.
    texts : int
        Texts that are decoded together.
    """

    run: Run
    trained: Run | None = None
    repeats: int = 3
    seconds: float = 20.0
    texts: int = 64

    def rows(self, run: Run | None = None) -> dict[str, list[Example]]:
        """Parts of the data of this run or another one."""
        return make_splits(run or self.run, data.load_source(run or self.run)).parts

    def in_turns(self, part: str, ways: dict[str, Callable[[], float]]) -> Rates:
        """Way → its rates, what it gets done in a second, turn by turn."""
        rates: Rates = {name: [] for name in ways}
        for name, way in tqdm([*ways.items()] * self.repeats, desc=part, unit="turn"):
            rates[name].append(way())
        return rates


def pair(part: str, rates: Rates, ours: str, theirs: str, unit: str) -> Line:
    """Two ways side by side: median rates; smallest, median and largest ratio of the turns of a round."""
    ratios = sorted(one / other for one, other in zip(rates[ours], rates[theirs], strict=True))
    return {
        "part": part,
        "ours": ours,
        "against": theirs,
        "unit": unit,
        "rate": statistics.median(rates[ours]),
        "other_rate": statistics.median(rates[theirs]),
        "low": ratios[0],
        "ratio": statistics.median(ratios),
        "high": ratios[-1],
    }


def rate_of(work: Callable[[], int], seconds: float) -> float:
    """How much a piece of work, done again until the time is over, gets done in a second."""
    work()  # what is made only once, such as compiled grammars, does not count
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds or not done:
        done += work()
    return done / spent
