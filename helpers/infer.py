"""Label texts from the command line: one text, or files of any length line by line.

Run as: python -m helpers.infer --task calendar --text "Lunch with Ana on 3 May at noon"
        python -m helpers.infer --task calendar --file in.jsonl --out out.jsonl
        accelerate launch --num_processes 4 -m helpers.infer --task calendar --file in.jsonl --out out.jsonl

A line holds a JSON object with the text under `text` (or as the task's own files have it), or a JSON string. Every line
is answered once, also when the command was killed and given again; a line that cannot be answered is named with its
number in `<out>.bad.jsonl`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from helpers.errors import UserError
from helpers.export.model_folder import ENGINES
from helpers.files import read_json, write_json

LONGEST_LINE = 4_000_000  # bytes that are held of one line


# -- lines ------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Line:
    """One line of an input file: its number (from 1), and its text or the reason why it has none."""

    number: int
    text: str | None
    reason: str | None = None
    id: Any = None


def read_line(raw: bytes, number: int, task: Any) -> Line | None:
    """What stands in one line; None for an empty one."""
    if number == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    if len(raw) > LONGEST_LINE:
        return Line(number, None, f"line is longer than {LONGEST_LINE} bytes")
    if not raw.strip():
        return None
    try:
        row = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return Line(number, None, "line is not UTF-8")
    except (ValueError, RecursionError) as error:
        return Line(number, None, f"line is not JSON ({str(error).split(':')[0]})")
    if isinstance(row, str):
        return Line(number, row)
    if not isinstance(row, dict):
        return Line(number, None, f"line holds a JSON {type(row).__name__}, not an object")
    try:
        return Line(number, task.rows.text_of(row), id=row.get("id"))
    except ValueError as error:
        return Line(number, None, str(error), row.get("id"))


def raw_lines(path: Path) -> Iterator[tuple[bytes, int]]:
    """(content, bytes read) of every line, never more than :data:`LONGEST_LINE` in memory."""
    with path.open("rb") as file:
        while piece := file.readline(LONGEST_LINE + 1):
            size = len(piece)
            while len(piece) > LONGEST_LINE and not piece.endswith(b"\n"):
                rest = file.readline(LONGEST_LINE)
                size += len(rest)
                if not rest or rest.endswith(b"\n"):
                    break
            yield piece, size


# -- what has been written --------------------------------------------------------------------------------------------
def last_number(path: Path) -> int:
    """Line number of the last whole line that a run wrote, 0 where there is none; half a line after it is cut off."""
    if not path.exists():
        return 0
    size, last = 0, b""
    with path.open("rb+") as file:
        for line in iter(file.readline, b""):
            if line.endswith(b"\n"):
                size, last = size + len(line), line
        file.truncate(size)
    try:
        return int(json.loads(last)["line"]) if last else 0
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} holds lines that this command did not write: choose another --out") from None


def beside(out: Path, ending: str) -> Path:
    """A file next to the output."""
    return out.with_name(out.name + ending)


def check_state(out: Path, state: dict[str, Any], force: bool) -> None:
    """Begin, or go on with what the same model wrote about the same file."""
    kept = beside(out, ".state.json")
    if force:
        for path in (out, beside(out, ".bad.jsonl"), kept):
            path.unlink(missing_ok=True)
    before = read_json(kept)
    if before and {name: before.get(name) for name in state} != state:
        other = next(name for name in state if before.get(name) != state[name])
        raise UserError(
            f"{out} was begun with another {other} ({before.get(other)}): choose another --out, or start anew "
            "with --force"
        )
    if not before and out.exists() and out.stat().st_size:
        raise UserError(f"{out} is there already: choose another --out, or write over it with --force")
    if not before:
        write_json(kept, state)


# -- one file ---------------------------------------------------------------------------------------------------------
class Writer:
    """Writes each line's result at once and in order, so that after a kill the last one tells where to go on."""

    def __init__(self, out: Path):
        self.files = {True: out, False: beside(out, ".bad.jsonl")}
        self.done = max(last_number(path) for path in self.files.values())
        self.handles = {
            good: os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            for good, path in self.files.items()
        }

    def write(self, good: bool, record: dict[str, Any]) -> None:
        """Add one line in one piece."""
        content = (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        while content:
            content = content[os.write(self.handles[good], content) :]

    def close(self) -> None:
        """Bring everything to the disk."""
        for handle in self.handles.values():
            os.fsync(handle)
            os.close(handle)


def label_file(
    predictor: Any,
    source: Path,
    out: Path,
    batch: int = 64,
    rank: int = 0,
    world: int = 1,
    force: bool = False,
    progress: bool = True,
) -> dict[str, int]:
    """Answer the lines of a file, or every `world`-th of them from `rank` on; goes on where it was stopped.

    Returns the numbers of lines `answered` and `bad` now, and `before`: the number of the last line done before.
    """
    from tqdm import tqdm

    if not source.is_file():
        raise UserError(f"no file {source}")
    out.parent.mkdir(parents=True, exist_ok=True)
    check_state(
        out,
        {
            "model": f"{predictor.name} {predictor.version}",
            "file": source.name,
            "share": f"{rank + 1} of {world}",
        },
        force,
    )
    writer = Writer(out)
    counts, waiting = {"answered": 0, "bad": 0, "before": writer.done}, []
    bar = tqdm(total=source.stat().st_size, unit="B", unit_scale=True, desc=source.name, disable=not progress)

    def flush() -> None:
        answers = iter(predictor.predict([line.text for line in waiting if line.reason is None]))
        for line in waiting:
            head = {"line": line.number} | ({"id": line.id} if line.id is not None else {})
            good = line.reason is None
            writer.write(good, {**head, **next(answers)} if good else {**head, "reason": line.reason})
            counts["answered" if good else "bad"] += 1
        waiting.clear()
        bar.set_postfix(lines=sum(counts.values()) - counts["before"], bad=counts["bad"])

    try:
        for number, (raw, size) in enumerate(raw_lines(source), 1):
            bar.update(size)
            if number <= writer.done or (number - 1) % world != rank:
                continue
            line = read_line(raw, number, predictor.task)
            if line is None:
                continue
            problem = line.reason or predictor.problem(line.text or "")
            waiting.append(Line(number, line.text, problem, line.id))
            if len(waiting) >= batch:
                flush()
        if waiting:
            flush()
    finally:
        writer.close()
        bar.close()
    write_json(beside(out, ".state.json"), {**read_json(beside(out, ".state.json")), "complete": True})
    return counts


# -- several processes ------------------------------------------------------------------------------------------------
def place_among_processes() -> tuple[int, int]:
    """(rank, number of processes) as accelerate, torchrun or MPI tell them; on GPUs each process takes its own."""
    names = (
        ("RANK", "WORLD_SIZE"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        ("PMI_RANK", "PMI_SIZE"),
    )
    rank, world = next(
        ((int(os.environ[a]), int(os.environ[b])) for a, b in names if a in os.environ and b in os.environ),
        (0, 1),
    )
    if world > 1 and "LOCAL_RANK" in os.environ:
        import torch

        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    return rank, world


def share(out: Path, rank: int, world: int) -> Path:
    """Output of one process of several; the output itself where there is one process only."""
    return out if world == 1 else out.with_name(f"{out.name}.part{rank + 1}of{world}")


def join_shares(out: Path, world: int) -> bool:
    """Put the shares of all processes together in line order once the last of them is complete; whether that was done."""
    import heapq

    parts = [share(out, rank, world) for rank in range(world)]
    if not all(read_json(beside(part, ".state.json")).get("complete") for part in parts):
        return False
    for ending in ("", ".bad.jsonl"):
        handles = [beside(part, ending).open(encoding="utf-8") for part in parts]
        unfinished = beside(out, f"{ending}.{os.getpid()}.tmp")
        with unfinished.open("w", encoding="utf-8") as merged:
            merged.writelines(heapq.merge(*handles, key=lambda line: json.loads(line)["line"]))
        for handle in handles:
            handle.close()
        os.replace(unfinished, beside(out, ending))  # the last two processes may both do it, with one result
    return True


# -- command line -----------------------------------------------------------------------------------------------------
def main(
    task: Annotated[
        str, typer.Option(metavar="calendar|crime|it_ner", help="What to look for.")
    ] = "calendar",
    text: Annotated[str | None, typer.Option(help="One text; the answer is printed.")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="JSONL file; may be given several times.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output file; a folder for several files.")] = None,
    run: Annotated[str, typer.Option(help="Folder of a finished run (artifacts/<task> by default).")] = "",
    variant: Annotated[
        str, typer.Option(help="A trained variant, a vote or rules (the best by default).")
    ] = "",
    engine: Annotated[
        str, typer.Option(metavar="|".join(ENGINES), help="ONNX: after helpers.export.")
    ] = ENGINES[0],
    batch: Annotated[int, typer.Option(min=1, help="Lines that are answered together.")] = 64,
    force: Annotated[bool, typer.Option("--force", help="Start anew over an output that is there.")] = False,
) -> None:
    """Find the values of a task's fields in a text or in the lines of files."""
    from helpers.serve.predictor import Predictor

    if (text is None) == (not file):
        raise UserError('give either --text "…" or --file in.jsonl with --out out.jsonl')
    if file and out is None:
        raise UserError("--file needs --out: where the answers go")
    for path in file or []:
        if not path.is_file():
            raise UserError(f"no file {path}")
    rank, world = place_among_processes()
    predictor = Predictor.open(task, run or None, variant or None, engine)
    if text is not None:
        problem = predictor.problem(text)
        if problem:
            raise UserError(problem)
        print(json.dumps(predictor.predict([text])[0], ensure_ascii=False, indent=1))
        return
    folder = len(file or []) > 1 or bool(out and out.is_dir())
    for path in file or []:
        target = out / path.name if folder and out else out
        if target is None or target.resolve() == path.resolve():
            raise UserError("--out is the input file: choose another")
        counts = label_file(predictor, path, share(target, rank, world), batch, rank, world, force, rank == 0)
        if world > 1:
            join_shares(target, world)
        went_on = f", went on after line {counts['before']}" if counts["before"] else ""
        bad = (
            f"; {counts['bad']} could not be answered, see {beside(target, '.bad.jsonl')}"
            if counts["bad"]
            else ""
        )
        print(f"{target}: {counts['answered']} lines answered{went_on}{bad}", file=sys.stderr)


if __name__ == "__main__":
    from helpers.command import start

    start(main)
