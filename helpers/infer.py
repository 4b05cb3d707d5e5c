"""Label texts from the command line: one text, or files of any length line by line.

Run as: python -m helpers.infer --task calendar --text "Lunch with Ana on 3 May at noon"
        python -m helpers.infer --task calendar --file in.jsonl --out out.jsonl
        accelerate launch --num_processes 4 -m helpers.infer --task calendar --file in.jsonl --out out.jsonl

A line holds a JSON object with the text under `text` (or as the task's own files have it), or a JSON string. Every line
is answered once, also when the command was killed and given again; a line that cannot be answered is named with its
number in `<out>.bad.jsonl`.
"""

from __future__ import annotations

import fcntl
import hashlib
import heapq
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from tqdm import tqdm

from helpers.command import Engine, RunFolder, SystemName, TaskName
from helpers.errors import UserError
from helpers.files import parse_json, read_json, write_json

LONGEST_LINE = 4_000_000  # bytes that are held of one line
BAD, STATE = ".bad.jsonl", ".state.json"


# -- the input --------------------------------------------------------------------------------------------------------
def read_line(raw: bytes, predictor: Any) -> tuple[dict[str, Any], str]:
    """What stands in a line that is not empty: its `id`, or the `reason` why it cannot be answered, and its text."""
    head: dict[str, Any] = {}
    text, reason = "", None
    try:
        if len(raw) > LONGEST_LINE:
            raise ValueError(f"line is longer than {LONGEST_LINE} bytes")
        row = parse_json(raw.decode("utf-8-sig"))
        if not isinstance(row, (dict, str)):
            raise ValueError(f"line holds a JSON {type(row).__name__}, not an object")
        row = {"text": row} if isinstance(row, str) else row
        head = {"id": row["id"]} if row.get("id") is not None else {}
        text = predictor.task.rows.text_of(row)
        reason = predictor.problem(text)
    except UnicodeDecodeError:
        reason = "line is not UTF-8"
    except (json.JSONDecodeError, RecursionError) as error:
        reason = f"line is not JSON ({str(error).split(':')[0]})"
    except ValueError as error:
        reason = str(error)
    return head | ({"reason": reason} if reason else {}), text


def raw_lines(file: BinaryIO) -> Iterator[bytes]:
    """Every line of a file, never more than a byte over :data:`LONGEST_LINE` of it in memory."""
    while piece := file.readline(LONGEST_LINE + 1):
        rest = piece
        while len(piece) > LONGEST_LINE and rest and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST_LINE)
        yield piece


def mark(source: Path, size: int) -> dict[str, Any]:
    """What a file begins with: a number of bytes, their SHA-256, and whether they end a line."""
    total, last, left = hashlib.sha256(), b"\n", size
    with source.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, 1 << 20))):
            total.update(piece)
            last, left = piece, left - len(piece)
    return {"bytes": size - left, "sha256": total.hexdigest(), "ends": last.endswith(b"\n")}


# -- the output -------------------------------------------------------------------------------------------------------
def beside(out: Path, ending: str) -> Path:
    """A file next to the output."""
    return out.with_name(out.name + ending)


def last_number(path: Path) -> int:
    """Line number of the last whole line that a run wrote, 0 where there is none; half a line after it is cut off."""
    size, last = 0, b""
    with path.open("rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                size, last = size + len(line), line
        file.truncate(size)
    try:
        return int(json.loads(last)["line"]) if last else 0
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} holds lines that this command did not write: choose another --out") from None


class Output:
    """Answers about one file, in order, and what could not be answered; the last lines tell where to go on after a kill.

    `maker` says who answers which of the lines; with `force` all begins anew. A UserError if another process writes here, or
    if what is there was made by another maker or of another input.
    """

    def __init__(self, path: Path, source: Path, maker: str, force: bool = False):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.state, bad = beside(path, STATE), beside(path, BAD)
        self.files = {"good": path.open("ab", 0), "bad": bad.open("ab", 0)}
        try:
            fcntl.flock(self.files["good"], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process writes {path}: choose another --out") from None
        if force:
            self.state.unlink(missing_ok=True)
            for file in self.files.values():
                file.truncate(0)
        before, now = read_json(self.state), mark(source, source.stat().st_size)
        then = before.get("source", now)
        grown = mark(source, then["bytes"]) == then and (then["ends"] or then == now)
        if not before and path.stat().st_size:
            other = "is there already"
        elif before and before["maker"] != maker:
            other = f"was begun with another model, calibration or code ({before['maker']})"
        else:
            other = "" if grown else f"was begun with another content of {source}"
        if other:
            raise UserError(f"{path} {other}: choose another --out, or start anew with --force")
        self.kept = {"maker": maker, "source": now}
        write_json(self.state, self.kept)
        self.done = max(map(last_number, (path, bad)))

    def write(self, record: dict[str, Any]) -> None:
        """Add one line."""
        content = (json.dumps(record, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")
        file = self.files["bad" if "reason" in record else "good"]
        while content:
            content = content[file.write(content) :]

    def __enter__(self) -> Output:
        return self

    def __exit__(self, error: type | None, *_: object) -> None:
        """Bring everything to the disk, complete where nothing went wrong."""
        for file in self.files.values():
            os.fsync(file)
            file.close()
        if not error:
            write_json(self.state, {**self.kept, "complete": True})


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
    look = {"total": source.stat().st_size, "unit": "B", "unit_scale": True, "disable": not progress}
    maker = f"{predictor.name} {predictor.version}, {rank + 1} of {world}"
    output, bar = Output(out, source, maker, force), tqdm(desc=source.name, **look)
    with output, bar, source.open("rb") as file:
        counts = {"answered": 0, "bad": 0, "before": output.done}

        def lines() -> Iterator[tuple[dict[str, Any], str]]:
            for number, raw in enumerate(raw_lines(file), 1):
                bar.update(file.tell() - bar.n)
                if number > output.done and (number - 1) % world == rank and raw.strip():
                    head, text = read_line(raw, predictor)
                    yield {"line": number, **head}, text

        to_answer = lines()
        while waiting := list(islice(to_answer, batch)):
            texts = [text for head, text in waiting if "reason" not in head]
            answers = iter(predictor.predict(texts) if texts else ())
            for head, _ in waiting:
                output.write(head if "reason" in head else head | next(answers))
                counts["bad" if "reason" in head else "answered"] += 1
    return counts


# -- several processes ------------------------------------------------------------------------------------------------
def share(out: Path, rank: int, world: int) -> Path:
    """Output of one process of several; the output itself where there is one process only."""
    return out if world == 1 else out.with_name(f"{out.name}.part{rank + 1}of{world}")


def join_shares(out: Path, world: int) -> bool:
    """Put the shares of all processes together in line order once the last of them is complete; whether that was done."""
    parts = [share(out, rank, world) for rank in range(world)]
    if not all(read_json(beside(part, STATE)).get("complete") for part in parts):
        return False
    for ending in ("", BAD):
        unfinished = beside(out, f"{ending}.{os.getpid()}.tmp")
        with ExitStack() as files:
            lines = [files.enter_context(beside(part, ending).open(encoding="utf-8")) for part in parts]
            merged = files.enter_context(unfinished.open("w", encoding="utf-8"))
            merged.writelines(heapq.merge(*lines, key=lambda line: json.loads(line)["line"]))
        os.replace(unfinished, beside(out, ending))  # the last two processes may both do it, with one result
    return True


# -- command line -----------------------------------------------------------------------------------------------------
def targets_of(files: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """Input → output; refused where two inputs would share one, or an output is an input."""
    if out is None:
        raise UserError("--file needs --out: where the answers go")
    for path in files:
        if not path.is_file():
            raise UserError(f"no file {path}")
    found = {path: out / path.name if len(files) > 1 or out.is_dir() else out for path in files}
    if len(set(found.values())) < len(files):
        raise UserError("two files have one name: give each an --out of its own")
    for target in found.values():
        if target.exists() and any(target.samefile(path) for path in files):
            raise UserError(f"--out {target} is an input file: choose another")
    return found


def main(
    task: TaskName = "calendar",
    text: Annotated[str | None, typer.Option(help="One text; the answer is printed.")] = None,
    file: Annotated[list[Path] | None, typer.Option(help="JSONL file; may be given several times.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output file; a folder for several files.")] = None,
    run: RunFolder = "",
    variant: SystemName = "",
    engine: Engine = "torch",
    batch: Annotated[int, typer.Option(min=1, help="Lines that are answered together.")] = 64,
    force: Annotated[bool, typer.Option("--force", help="Start anew over an output that is there.")] = False,
) -> None:
    """Find the values of a task's fields in a text or in the lines of files."""
    from helpers.serve.predictor import Predictor

    if (text is None) == (not file):
        raise UserError('give either --text "…" or --file in.jsonl with --out out.jsonl')
    targets = targets_of(file or [], out) if file else {}
    predictor = Predictor.open(task, run or None, variant or None, engine)
    if text is not None:
        if problem := predictor.problem(text):
            raise UserError(problem)
        print(json.dumps(predictor.predict([text])[0], ensure_ascii=False, indent=1))
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))  # of accelerate
    for path, target in targets.items():
        counts = label_file(predictor, path, share(target, rank, world), batch, rank, world, force, rank == 0)
        if world > 1:
            join_shares(target, world)
        said = f"{target}: {counts['answered']} lines answered"
        said += f", went on after line {counts['before']}" if counts["before"] else ""
        said += f"; {counts['bad']} could not be answered, see {beside(target, BAD)}" if counts["bad"] else ""
        print(said, file=sys.stderr)


if __name__ == "__main__":
    from helpers.command import start

    start(main)
