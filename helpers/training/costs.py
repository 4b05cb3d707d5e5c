"""Seconds and memory a variant took."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from helpers.files import read_json, write_json
from helpers.machine import peak_memory_mb, reset_peak_memory
from helpers.models import processes
from helpers.run import Run


def record_costs(run: Run, variant: str, **costs: float | None) -> None:
    """Merge costs of one variant into `artifacts/<task>/costs.json`; of several processes the first one writes."""
    if not processes.is_main():
        return
    path = run.path("costs.json")
    content = read_json(path)
    content[variant] = {**content.get(variant, {}), **costs}
    write_json(path, dict(sorted(content.items())))


@contextmanager
def timed(run: Run, variant: str, what: str) -> Iterator[None]:
    """Record wall time and peak memory of a block as `<what>_seconds` and `<what>_peak_memory_mb` of a variant.

    A block that raises leaves no record. On a GPU the peak is that of the GPU.
    """
    reset_peak_memory()
    started = time.perf_counter()
    yield
    seconds, peak = round(time.perf_counter() - started, 2), peak_memory_mb()
    torch = sys.modules.get("torch")
    if run.profile == "gpu" and torch is not None and torch.cuda.is_available():
        peak = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    record_costs(run, variant, **{f"{what}_seconds": seconds, f"{what}_peak_memory_mb": peak})
