"""What the terminal shows while notebooks run: two bars, or plain lines where there is no terminal."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any, TextIO

from tqdm import tqdm

PLAIN_SECONDS = 20.0  # without a terminal, a line on the current cell comes at most this often
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def plain(text: str) -> str:
    """A text without terminal colours."""
    return _ANSI.sub("", text)


def one_line(text: str, limit: int = 400) -> str:
    """Runs of white space as single spaces, cut where it is too long for a terminal line."""
    line = " ".join(plain(text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def headings(cells: Sequence[Any]) -> list[str]:
    """For each notebook cell the last Markdown heading at or above it."""
    current, result = "", []
    for cell in cells:
        if cell["cell_type"] == "markdown":
            for line in "".join(cell["source"]).splitlines():
                if line.startswith("#"):
                    current = line.lstrip("#").strip()
        result.append(current)
    return result


class Progress:
    """A bar over stages and one over the cells of the current stage, with the cell's heading and newest output.

    They are drawn only where the stream (standard error by default) is a terminal; elsewhere there are plain lines.
    """

    def __init__(self, stages: int, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.bars = self.stream.isatty()
        self.done, self.total, self.spoke = 0, stages, 0.0
        self.cells: tqdm | None = None
        self.index, self.count, self.heading, self.newest = 0, 0, "", ""
        self.stages = tqdm(
            total=stages,
            unit="stage",
            position=0,
            file=self.stream,
            disable=not self.bars,
            bar_format="{desc} {bar} {n_fmt}/{total_fmt} stages, {elapsed}",
        )
        self.over = threading.Event()
        self.ticker = threading.Thread(target=self._tick, daemon=True)
        self.ticker.start()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        if self.bars:
            tqdm.write(line, file=self.stream)
        else:
            print(line, file=self.stream, flush=True)

    def start(self, name: str, cells: int) -> None:
        """A stage begins."""
        self.index, self.count, self.heading, self.newest = 0, cells, "", ""
        self.spoke = time.monotonic()
        self.stages.set_description_str(name)
        if self.bars:
            self.cells = tqdm(
                total=cells,
                unit="cell",
                position=1,
                leave=False,
                file=self.stream,
                bar_format="  {bar:20} cell {n_fmt}/{total_fmt}, {elapsed} {desc}",
            )
        else:
            self.say(f"[{self.done + 1}/{self.total}] {name} ...")

    def cell(self, index: int, heading: str) -> None:
        """A cell of the current stage begins."""
        self.index, self.heading, self.newest = index, heading, ""
        self._draw()

    def note(self, text: str) -> None:
        """A cell has printed something."""
        lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
        if lines:
            self.newest = one_line(lines[-1], 80)

    def end(self, outcome: str) -> None:
        """The current stage, or a skipped one, is over."""
        self._close_cells()
        self.done += 1
        self.say(f"[{self.done}/{self.total}] {outcome}")
        self.stages.update(1)

    def close(self) -> None:
        """Take the bars off the terminal."""
        self.over.set()
        self.ticker.join()
        self._close_cells()
        self.stages.close()

    def _close_cells(self) -> None:
        cells, self.cells, self.count = self.cells, None, 0
        if cells is not None:
            cells.close()

    def _state(self) -> str:
        return " | ".join(filter(None, (self.heading[:50], self.newest)))

    def _draw(self) -> None:
        cells = self.cells
        if cells is not None:
            cells.n = self.index
            cells.set_description_str(self._state())

    def _tick(self) -> None:
        """Every second: elapsed time goes on in long cells."""
        while not self.over.wait(1.0):
            self._draw()
            if not self.bars and self.count and time.monotonic() - self.spoke > PLAIN_SECONDS:
                self.spoke = time.monotonic()
                self.say(f"      cell {min(self.index + 1, self.count)}/{self.count}: {self._state()}")
