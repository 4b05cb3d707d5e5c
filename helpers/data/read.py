"""Rows in: JSONL files line by line and the three data sources; bad rows are kept apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from helpers.data.public import FILES, PARTS, cache_dir, public_parts
from helpers.errors import UserError
from helpers.files import digest, write_file
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.tasks.records import Example

MAX_BAD_SHARE = 0.05


# -- files ------------------------------------------------------------------------------------------------------------
def write_jsonl(path: str | Path, records: Iterable[dict[str, Any]]) -> Path:
    """Write one JSON object a line; the file is there whole or not at all, also after a kill."""
    write_file(Path(path), "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return Path(path)


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Every line of a file that this project wrote itself."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def fingerprint(rows: Iterable[dict[str, Any]]) -> str:
    """Hexadecimal SHA-256 of JSON rows in their order (key order does not count)."""
    lines = (json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


# -- rows -------------------------------------------------------------------------------------------------------------
def _no_constant(name: str) -> None:
    raise ValueError(f"malformed JSON: {name} is not a JSON value")


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}") from None


def _json_row(line: bytes) -> dict[str, Any]:
    """The JSON object of a line."""
    try:
        row = json.loads(_decode(line), parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"malformed JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("malformed JSON: nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError(f"not a JSON object but a {type(row).__name__}")
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("not UTF-8: half of a surrogate pair in an escape") from None
    return row


def _reason(error: ValueError, limit: int = 300) -> str:
    """The message of an error without line breaks; pydantic's many-line report as `field: message`."""
    if details := getattr(error, "errors", None):
        parts = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in details())
        return "; ".join(parts)[:limit]
    return " ".join(str(error).split())[:limit] or type(error).__name__


def _shown(path: Path) -> str:
    """A path as it is shown: relative to the repository where it lies inside."""
    absolute = path.resolve()
    return (absolute.relative_to(ROOT) if absolute.is_relative_to(ROOT) else path).as_posix()


def _content(path: Path) -> bytes:
    """Bytes of a text file, without byte order mark."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{_shown(path)} is missing: put a JSONL file there or choose other --data") from None
    except OSError as error:
        raise UserError(f"{_shown(path)} cannot be read: {error.strerror or error}") from None
    # UTF-16 and UTF-32 begin with these marks, or else every Latin letter brings zero bytes with it
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or content.count(b"\0") * 5 > len(content) > 0:
        raise UserError(f"{_shown(path)} is not UTF-8 but looks like UTF-16 or UTF-32: save it as UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise UserError(f"{_shown(path)} is empty: it needs one JSON object a line")
    return content


def _rows_of_content(path: Path, task: Task) -> Iterator[tuple[int, bytes, dict[str, Any] | ValueError]]:
    """Line number (from 1), line, and the row in it or the reason why there is none."""
    lines = _content(path).split(b"\n")
    if path.suffix in task.rows.suffixes:  # rows may span lines, so that a bad line cannot be set aside alone
        text = []
        for number, line in enumerate(lines, start=1):
            try:
                text.append(_decode(line))
            except ValueError as error:
                raise UserError(f"{_shown(path)}, line {number}: {error}: save it as UTF-8") from None
        yield from (
            (number, lines[number - 1], row) for number, row in task.hooks.rows_of_file(path.suffix, text)
        )
        return
    for number, line in enumerate(map(bytes.strip, lines), start=1):
        if line:
            try:
                yield number, line, _json_row(line)
            except ValueError as error:
                yield number, line, error


def _scan(path: Path, task: Task) -> tuple[list[Example], list[dict[str, Any]], int]:
    """Good rows, bad rows and the number of rows of a file."""
    examples: list[Example] = []
    rejected: list[dict[str, Any]] = []
    index = -1
    for index, (number, line, row) in enumerate(_rows_of_content(path, task)):
        try:
            if isinstance(row, ValueError):
                raise row
            example = task.rows.parse(row, index)
            if not example.text.strip():
                raise ValueError("empty text")
            examples.append(example)
        except ValueError as error:
            text = line.decode("utf-8", errors="backslashreplace")
            rejected.append({"file": _shown(path), "line": number, "reason": _reason(error), "row": text})
    if index < 0:
        raise UserError(f"{_shown(path)} holds no row")
    if not examples and all(bad["reason"].startswith("not UTF-8: byte") for bad in rejected):
        raise UserError(f"{_shown(path)} is not UTF-8 text: save it as UTF-8")
    return examples, rejected, index + 1


def _refuse_many(rejected: list[dict[str, Any]], count: int) -> None:
    """Stop where too large a share of a file's rows is bad."""
    if len(rejected) > MAX_BAD_SHARE * count:
        first = rejected[0]
        raise UserError(
            f"{first['file']}, line {first['line']}: {first['reason']} ({len(rejected)} of {count} rows "
            f"are bad, more than {MAX_BAD_SHARE:.0%}: mend the file)"
        )


# -- sources ----------------------------------------------------------------------------------------------------------
def fetch_public(task: Task, source: str = FILES) -> Path:
    """Folder with the parts of the task's public data, in the form of `--data DIR` for one task.

    Prints source, licence and citation. `source` is as in :func:`helpers.data.public.public_parts`.
    """
    parts, origin = public_parts(task, source)
    print(f"Public data: {origin}")
    print(f"Licence: {task.public.licence}. Citation: {task.public.citation}")
    folder = cache_dir() / (task.name if source == FILES else f"{task.name}-hub")
    for part in PARTS:
        (folder / f"{part}.jsonl").unlink(missing_ok=True)
    for part, rows in parts.items():
        write_jsonl(folder / f"{part}.jsonl", rows)
    return folder


def is_public(run: Run) -> bool:
    """Whether the run trains on the task's public rows, be it as `--data public` or from a folder that holds them."""
    if run.data in ("sample", "public"):
        return run.data == "public"
    try:
        rows = read_jsonl(Path(run.data).expanduser() / run.task.name / "train.jsonl")
    except (OSError, ValueError):
        return False
    return fingerprint(rows) == run.task.public.train


def data_name(run: Run) -> str:
    """`sample`, `public` (also where a folder holds the public rows), or the name of the folder."""
    own = run.data if run.data == "sample" else re.sub(r"[^\w.-]+", "-", Path(run.data).name) or "data"
    return "public" if is_public(run) else own


def source_files(run: Run) -> dict[str, Path]:
    """Part → file of the run's data source; `{"all": file}` for the sample, which is not split.

    The sample of a task of the user's own is in its folder, in one file or in parts.
    """
    task = run.task
    if run.data == "sample":
        folder = run.own_folder or ROOT / "data" / task.name
        if run.own_folder is None or (folder / task.rows.file).exists():
            return {"all": folder / task.rows.file}
    elif run.data == "public":
        folder = fetch_public(task, run.settings.get("public_source", FILES))
    else:
        given = Path(run.data).expanduser()
        folder = given / task.name
        both = f"{task.name}/train.jsonl and {task.name}/validation.jsonl"
        if not given.is_dir():
            raise UserError(f"no data folder {run.data!r}: give sample, public or a folder that holds {both}")
        if not folder.is_dir():
            raise UserError(f"{given.as_posix()} has no folder {task.name!r}: put {both} there")
    files = {}
    for part in PARTS:
        forms = [folder / f"{part}{suffix}" for suffix in (".jsonl", *task.rows.suffixes)]
        files[part] = next((file for file in forms if file.exists()), forms[0])
    return {part: file for part, file in files.items() if part != "test" or file.exists()}


def load_source(run: Run) -> dict[str, list[Example]]:
    """Validated examples of the run's data source; the bad rows go to `artifacts/<task>/rejected.jsonl`.

    Returns
    -------
    dict of str to list of Example
        `{"all": …}` for the sample, else `train`, `validation` and, where the data has one, `test`.

    Raises
    ------
    UserError
        If the data cannot be used; the message names file, line and reason.
    """
    scans = {part: _scan(path, run.task) for part, path in source_files(run).items()}
    write_jsonl(run.path("rejected.jsonl"), [bad for _, rejected, _ in scans.values() for bad in rejected])
    for _, rejected, count in scans.values():
        _refuse_many(rejected, count)
    return {part: examples for part, (examples, _, _) in scans.items()}


def data_fingerprint(run: Run) -> str:
    """One hash over the bytes of the source files; of public data the pinned hashes are part of the task's code."""
    if run.data == "public":
        return digest("public", run.task.name)
    parts: list[str | bytes] = []
    for part, path in sorted(source_files(run).items()):
        parts += [part, path.read_bytes() if path.exists() else b"missing"]
    return digest(*parts)
