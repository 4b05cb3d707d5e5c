"""Rows in: JSONL files line by line, the three data sources, the public download; bad rows are kept apart."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from helpers.errors import UserError
from helpers.files import digest, write_file
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.tasks.records import Example, PublicFile

PARTS = ("train", "validation", "test")
MAX_BAD_SHARE = 0.05
PUBLIC_URL = "https://raw.githubusercontent.com"
TIMEOUT_SECONDS = 60
FILES = "files"  # the setting `public_source` where `--data public` reads the pinned files


# -- files ------------------------------------------------------------------------------------------------------------
def write_jsonl(path: str | Path, records: Iterable[dict[str, Any]]) -> Path:
    """Write one JSON object a line; the file is there whole or not at all, also after a kill."""
    write_file(Path(path), "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return Path(path)


def read_jsonl(path: str | Path) -> list[dict[str, Any]]:
    """Every line of a file that this project wrote itself."""
    with Path(path).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def fingerprint(source: str | Path | bytes | Iterable[dict[str, Any]]) -> str:
    """Hexadecimal SHA-256 of a file, of bytes, or of JSON rows in their order (key order does not count)."""
    if isinstance(source, (str, Path)):
        source = Path(source).read_bytes()
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    digest = hashlib.sha256()
    for row in source:
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


# -- rows -------------------------------------------------------------------------------------------------------------
def _no_constant(name: str) -> None:
    raise ValueError(f"malformed JSON: {name} is not a JSON value")


def _json_row(text: str) -> dict[str, Any]:
    """The JSON object of a line."""
    try:
        row = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"malformed JSON: {error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("malformed JSON: nested too deeply") from None
    if not isinstance(row, dict):
        raise ValueError(f"not a JSON object but a {type(row).__name__}")
    return row


def _decode(line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start}") from None


def _decode_or_stop(path: Path, number: int, line: bytes) -> str:
    """Text of a line in a format whose rows may span lines, so that a bad line cannot be set aside alone."""
    try:
        return _decode(line)
    except ValueError as error:
        raise UserError(f"{_shown(path)}, line {number}: {error}: save it as UTF-8") from None


def _parse_row(row: dict[str, Any], index: int, task: Task) -> Example:
    """A row as an example; a `ValueError` says in one line what is wrong with it."""
    try:
        json.dumps(row, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError("not UTF-8: half of a surrogate pair in an escape") from None
    example = task.rows.parse(row, index)
    if not example.text.strip():
        raise ValueError("empty text")
    return example


def _one_line(error: ValueError, limit: int = 300) -> str:
    """The message of an error without line breaks; pydantic's many-line report as `field: message`."""
    details = getattr(error, "errors", None)
    if callable(details):
        parts = (f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in details())
        return "; ".join(parts)[:limit]
    return " ".join(str(error).split())[:limit] or type(error).__name__


def _shown(path: Path) -> str:
    """A path as it is shown: relative to the repository where it lies inside."""
    absolute = path.resolve()
    return (absolute.relative_to(ROOT) if absolute.is_relative_to(ROOT) else path).as_posix()


def _content(path: Path) -> bytes:
    """Bytes of a text file, without byte order mark."""
    shown = _shown(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{shown} is missing: put a JSONL file there or choose other --data") from None
    except OSError as error:
        raise UserError(f"{shown} cannot be read: {error.strerror or error}") from None
    # UTF-16 and UTF-32 begin with these marks, or else every Latin letter brings zero bytes with it
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or content.count(b"\0") * 5 > len(content) > 0:
        raise UserError(f"{shown} is not UTF-8 but looks like UTF-16 or UTF-32: save it as UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise UserError(f"{shown} is empty: it needs one JSON object a line")
    return content


def _rows_of_content(path: Path, task: Task) -> Iterator[tuple[int, bytes, dict[str, Any] | ValueError]]:
    """Line number (from 1), line, and the row in it or the reason why there is none."""
    lines = _content(path).split(b"\n")
    if path.suffix in task.rows.suffixes:
        text = [_decode_or_stop(path, number, line) for number, line in enumerate(lines, start=1)]
        yield from (
            (number, lines[number - 1], row) for number, row in task.hooks.rows_of_file(path.suffix, text)
        )
        return
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if line:
            try:
                yield number, line, _json_row(_decode(line))
            except ValueError as error:
                yield number, line, error


def _scan(path: Path, task: Task) -> tuple[list[Example], list[dict[str, Any]], int]:
    """Good rows, bad rows and the number of rows of a file."""
    examples: list[Example] = []
    rejected: list[dict[str, Any]] = []
    count = undecodable = 0
    for index, (number, line, row) in enumerate(_rows_of_content(path, task)):
        count += 1
        try:
            if isinstance(row, ValueError):
                raise row
            examples.append(_parse_row(row, index, task))
        except ValueError as error:
            reason = _one_line(error)
            undecodable += reason.startswith("not UTF-8: byte")
            text = line.decode("utf-8", errors="backslashreplace")
            rejected.append({"file": _shown(path), "line": number, "reason": reason, "row": text})
    if not count:
        raise UserError(f"{_shown(path)} holds no row")
    if undecodable == count:
        raise UserError(f"{_shown(path)} is not UTF-8 text: save it as UTF-8")
    return examples, rejected, count


def _refuse_many(rejected: list[dict[str, Any]], count: int) -> None:
    """Stop where too large a share of a file's rows is bad."""
    if len(rejected) > MAX_BAD_SHARE * count:
        first = rejected[0]
        raise UserError(
            f"{first['file']}, line {first['line']}: {first['reason']} ({len(rejected)} of {count} rows "
            f"are bad, more than {MAX_BAD_SHARE:.0%}: mend the file)"
        )


# -- public data ------------------------------------------------------------------------------------------------------
def cache_dir() -> Path:
    """Where downloads are kept: `$STUDY_CACHE`, else `~/.cache/entity-extraction-study`."""
    given = os.environ.get("STUDY_CACHE")
    return Path(given).expanduser() if given else Path.home() / ".cache" / "entity-extraction-study"


def download(file: PublicFile, folder: Path) -> bytes:
    """Content of a pinned public file, from the cache or else from the network.

    The base address is `$STUDY_PUBLIC_URL` where set; `owner/repository/commit/path` is appended to it.
    """
    cached = folder / file.name
    if cached.is_file() and fingerprint(cached) == file.sha256:
        return cached.read_bytes()
    url = f"{os.environ.get('STUDY_PUBLIC_URL', PUBLIC_URL).rstrip('/')}/{file.path}"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            content = response.read()
    except (OSError, ValueError, http.client.HTTPException) as error:  # ValueError: no address at all
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"cannot download {url} ({reason}): go online or use --data sample or --data DIR"
        ) from None
    if fingerprint(content) != file.sha256:
        raise UserError(
            f"{url} is not the pinned file ({len(content)} bytes of {file.size}, SHA-256 differs): "
            "it was cut off or changed on the way; try again"
        )
    write_file(cached, content)
    return content


def fetch_public(task: Task, source: str = FILES) -> Path:
    """Folder with the parts of the task's public data, in the form of `--data DIR` for one task.

    `source` is `files` (the task's public files), `hub` (the task's data set there), or a folder with a copy of the
    latter. Prints source, licence and citation.
    """
    if not task.public.files:
        raise UserError(f"there is no public data for task {task.name!r}: use --data sample or --data DIR")
    folder = cache_dir() / (task.name if source == FILES else f"{task.name}-hub")
    if source == FILES:
        contents = {file.name: download(file, folder) for file in task.public.files}
        parts, origin = task.hooks.split_public(contents), ", ".join(file.path for file in task.public.files)
    else:
        from helpers.data.hub_data import hub_parts  # loads libraries of the hub

        parts, origin = hub_parts(task, source)
    print(f"Public data: {origin}")
    print(f"Licence: {task.public.licence}. Citation: {task.public.citation}")
    folder.mkdir(parents=True, exist_ok=True)
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


def _part_file(folder: Path, part: str, task: Task) -> Path:
    """`<part>.jsonl`, or where there is none the part in another format of the task."""
    files = [folder / f"{part}{suffix}" for suffix in (".jsonl", *task.rows.suffixes)]
    return next((file for file in files if file.exists()), files[0])


# -- sources ----------------------------------------------------------------------------------------------------------
def source_files(run: Run) -> dict[str, Path]:
    """Part → file of the run's data source; `{"all": file}` for the sample, which is not split."""
    task = run.task
    if run.data == "sample":
        return {"all": ROOT / "data" / task.name / task.rows.file}
    if run.data == "public":
        folder = fetch_public(task, run.settings.get("public_source", FILES))
    else:
        given = Path(run.data).expanduser()
        folder = given / task.name
        if not given.is_dir():
            raise UserError(
                f"no data folder {run.data!r}: give sample, public or a folder that holds "
                f"{task.name}/train.jsonl and {task.name}/validation.jsonl"
            )
        if not folder.is_dir():
            raise UserError(
                f"{given.as_posix()} has no folder {task.name!r}: put {task.name}/train.jsonl and "
                f"{task.name}/validation.jsonl there"
            )
    files = {part: _part_file(folder, part, task) for part in PARTS}
    if not files["test"].exists():
        del files["test"]
    return files


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
