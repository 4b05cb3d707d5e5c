"""Rows in: files of any form that is read, and the three data sources; bad rows are kept apart."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.data.folders import part_file, shards_of, shown
from helpers.data.formats import DoubledKey, records_of
from helpers.data.marked import LEFT_OUT, label_names, own_rows
from helpers.data.public import FILES, PARTS, cache_dir, public_parts
from helpers.errors import UserError
from helpers.files import digest, write_file
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.base import Example, Task

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
@dataclass
class Scan:
    """What a file holds: good rows, those set aside (`file`, `line`, `reason`, `row`), and what is wrong with the whole."""

    examples: list[Example] = field(default_factory=list)
    rejected: list[dict[str, Any]] = field(default_factory=list)
    faults: str = ""

    def refuse_many(self) -> None:
        """Note as a fault where too large a share of the rows is bad; a key that stands twice spoils its own row alone."""
        bad = [one for one in self.rejected if not one.pop("doubled")]
        count = len(self.examples) + len(self.rejected)
        if len(bad) > MAX_BAD_SHARE * (count - len(self.rejected) + len(bad)) or not self.examples:
            self.faults = (
                f"{len(self.rejected)} of {count} rows of {self.rejected[0]['file']} cannot be used, more than "
                f"{MAX_BAD_SHARE:.0%}: {grouped(self.rejected)}"
            )


def scan(path: Path, task: Task) -> Scan:
    """Good rows and bad rows of a file; prints in one line what form it has where that is not the task's own."""
    found, number = Scan(), 0
    form, records = records_of(path, task)
    records, done = own_rows(records, task, path)
    for index, (number, text, row) in enumerate(records):
        try:
            if row is LEFT_OUT:
                continue
            if isinstance(row, ValueError):
                raise row
            example = task.rows.parse(row, index)
            if not example.text.strip():
                raise ValueError("empty text")
            found.examples.append(example.with_(extra={**example.extra, "line": number}))
        except ValueError as error:
            reason = " ".join(str(error).split())[:300]
            bad = {"file": shown(path), "line": number, "reason": reason, "row": text}
            found.rejected.append(bad | {"doubled": isinstance(error, DoubledKey)})
    if not found.examples and all(bad["reason"].startswith("not UTF-8: byte") for bad in found.rejected):
        why = "is not UTF-8 text: save it as UTF-8" if found.rejected else "holds no row"
        raise UserError(f"{shown(path)} {why}")
    if done or not form.startswith(("JSON lines", "lines of")):
        print(f"note: {shown(path)}: {form}, {len(records)} rows" + f"; {done}" * bool(done))
    found.refuse_many()
    return found


def grouped(rejected: Sequence[dict[str, Any]], most: int = 6) -> str:
    """What is wrong with rows, the commonest first, each with the lines where it stands."""
    lines: dict[str, list[str]] = {}
    for bad in rejected:
        for reason in bad["reason"].split("; "):
            lines.setdefault(reason, []).append(str(bad["line"]))
    groups = sorted(lines.items(), key=lambda item: -len(item[1]))
    said = [
        f"{reason} (line{'s' * (len(where) > 1)} {', '.join(where[:5])}{f' and {len(where) - 5} more' * (len(where) > 5)})"
        for reason, where in groups[:most]
    ]
    return "; ".join(said + [f"{len(groups) - most} other faults"] * (len(groups) > most))


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
        whole = folder / task.rows.file if run.own_folder is None else part_file(folder, "rows")
        if whole:
            return {"all": whole}
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
    files = {part: part_file(folder, part) or folder / f"{part}.jsonl" for part in PARTS}
    return {part: file for part, file in files.items() if part != "test" or file.exists()}


def load_source(run: Run) -> dict[str, list[Example]]:
    """Validated examples of the run's data source; the bad rows go to `artifacts/<task>/rejected.jsonl`.

    Returns
    -------
    dict of str to list of Example
        `{"all": …}` for the sample and where the setting `split` is `groups`, else `train`, `validation` and, where the data
        has one, `test`.

    Raises
    ------
    UserError
        If the data cannot be used: all that is wrong with the files, by kind, with the lines.
    """
    scans: dict[str, Scan] = {}
    for part, path in source_files(run).items():
        try:
            scans[part] = scan(path, run.task)
        except UserError as error:
            scans[part] = Scan(faults=str(error))
    rejected = [bad for one in scans.values() for bad in one.rejected]
    write_jsonl(run.path("rejected.jsonl"), rejected)
    if faults := [one.faults for one in scans.values() if one.faults]:
        listed = f"; every row is listed in {shown(run.path('rejected.jsonl'))}" * bool(rejected)
        raise UserError("; ".join(faults) + listed)
    for one in scans.values():
        if one.rejected:
            print(
                f"note: {one.rejected[0]['file']}: {len(one.rejected)} rows set aside: {grouped(one.rejected)}"
            )
    parts = {part: one.examples for part, one in scans.items()}
    if run.settings.get("split") != "groups" or "all" in parts:
        return parts
    rows = [example for examples in parts.values() for example in examples]
    return {"all": [example.with_(id=at) for at, example in enumerate(rows)]}


def data_fingerprint(run: Run) -> str:
    """One hash over the bytes of the source files; of public data the pinned hashes are part of the task's code."""
    if run.data == "public":
        return digest("public", run.task.name)
    parts: list[str | bytes] = []
    for part, path in sorted(source_files(run).items()):
        parts += [part, *label_names(path)]
        parts += [one.read_bytes() if one.is_file() else b"missing" for one in shards_of(path)]
    return digest(*parts)
