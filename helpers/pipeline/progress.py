"""What the terminal shows while notebooks run: a bar over stages and one over cells, or plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Sequence
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

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
            found = re.findall(r"^#+(.*)", "".join(cell["source"]), flags=re.MULTILINE)
            current = found[-1].strip() if found else current
        result.append(current)
    return result


class Progress:
    """Stages done, and the cell of the current stage with its heading and newest output.

    Bars are drawn only where the stream (standard error by default) is a terminal; elsewhere there are plain lines. It is the
    file that cells print to, and passes that on to the `log` of the stage.
    """

    log: TextIO

    def __init__(self, stages: int, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.drawn = self.stream.isatty()
        self.spoke = 0.0
        self.bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[unit]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}", markup=False),
            console=Console(file=self.stream, force_terminal=self.drawn),
            transient=True,
            disable=not self.drawn,
        )
        self.bars.add_task("", total=stages, unit="stages", state="")
        self.bars.add_task("", visible=False, unit="cells", state="")
        self.stages, self.cells = self.bars.tasks
        self.heading = ""
        self.bars.start()

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        if self.drawn:
            self.bars.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            print(line, file=self.stream, flush=True)

    def start(self, name: str, cells: int) -> None:
        """A stage begins."""
        self.spoke = time.monotonic()
        self.bars.update(self.stages.id, description=name)
        self.bars.reset(self.cells.id, total=cells, visible=True, unit="cells", state="")
        if not self.drawn:
            self.say(f"[{int(self.stages.completed) + 1}/{self.stages.total}] {name} ...")

    def cell(self, index: int, heading: str) -> None:
        """A cell of the current stage begins."""
        self.heading = heading[:50]
        self._show(self.heading, completed=index, refresh=True)

    def write(self, text: str) -> None:
        """A cell has printed something: it goes to the log, its newest line to the terminal, where its notes stay."""
        self.log.write(text)
        for line in text.splitlines():
            if line.startswith("note: "):
                self.say(line)
        lines = [line for line in re.split(r"[\r\n]+", text) if line.strip()]
        if lines:
            self._show(f"{self.heading} | {one_line(lines[-1], 80)}".removeprefix(" | "))

    def flush(self) -> None:
        """Called after each piece of output."""
        self.log.flush()

    def end(self, outcome: str) -> None:
        """The current stage, or a skipped one, is over."""
        self.bars.update(self.cells.id, visible=False)
        self.bars.advance(self.stages.id)
        self.say(f"[{int(self.stages.completed)}/{self.stages.total}] {outcome}")

    def close(self) -> None:
        """Take the bars off the terminal."""
        self.bars.stop()

    def _show(self, state: str, **changes: Any) -> None:
        self.bars.update(self.cells.id, state=state, **changes)
        if not self.drawn and time.monotonic() - self.spoke > PLAIN_SECONDS:
            self.spoke = time.monotonic()
            done, total = int(self.cells.completed), self.cells.total
            self.say(f"      cell {min(done + 1, total)}/{total}: {state}")
