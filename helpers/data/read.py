"""Rows in: files of any form that is read, and the three data sources; bad rows are kept apart."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.data.folders import part_file, shards_of, shown, table_rows
from helpers.data.formats import DoubledKey, records_of
from helpers.data.marked import LEFT_OUT, label_names, own_rows
from helpers.errors import UserError
from helpers.files import digest, write_file
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.base import Example, PublicFile, Task

MAX_BAD_SHARE = 0.05
PUBLIC_URL = "https://raw.githubusercontent.com"
TIMEOUT_SECONDS = 60
# the setting `public_source`: the pinned files, or the task's data set of the hub
FILES, HUB = "files", "hub"
PARTS = ("train", "validation", "test")
HUB_FILES = ["*.parquet", "README.md"]  # weights, pictures and scripts of a data set are of no use here


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


def scan(path: Path, task: Task) -> Scan:
    """Good rows and bad rows of a file; prints in one line what form it has where that is not the task's own.

    Too large a share of bad rows is a fault of the file; a key that stands twice spoils its own row alone.
    """
    found, doubled = Scan(), 0
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
            found.rejected.append({"file": shown(path), "line": number, "reason": reason, "row": text})
            doubled += isinstance(error, DoubledKey)
    if not found.examples and all(bad["reason"].startswith("not UTF-8: byte") for bad in found.rejected):
        why = "is not UTF-8 text: save it as UTF-8" if found.rejected else "holds no row"
        raise UserError(f"{shown(path)} {why}")
    if done or not form.startswith(("JSON lines", "lines of")):
        print(f"note: {shown(path)}: {form}, {len(records)} rows" + f"; {done}" * bool(done))
    good, bad = len(found.examples), len(found.rejected)
    if not good or bad - doubled > MAX_BAD_SHARE * (good + bad - doubled):
        found.faults = (
            f"{bad} of {good + bad} rows of {shown(path)} cannot be used, more than {MAX_BAD_SHARE:.0%}: "
            f"{grouped(found.rejected)}"
        )
    return found


def grouped(rejected: Sequence[dict[str, Any]], most: int = 6) -> str:
    """What is wrong with rows, the commonest first, each with the lines where it stands."""
    lines: dict[str, list[str]] = {}
    for bad in rejected:
        for reason in bad["reason"].split("; "):
            lines.setdefault(reason, []).append(str(bad["line"]))
    groups = sorted(lines.items(), key=lambda item: -len(item[1]))
    said = []
    for reason, where in groups[:most]:
        more = f" and {len(where) - 5} more" * (len(where) > 5)
        said.append(f"{reason} (line{'s' * (len(where) > 1)} {', '.join(where[:5])}{more})")
    return "; ".join(said + [f"{len(groups) - most} other faults"] * (len(groups) > most))


# -- public data ------------------------------------------------------------------------------------------------------
def cache_dir() -> Path:
    """Where downloads are kept: `$STUDY_CACHE`, else `~/.cache/entity-extraction-study`."""
    return Path(os.environ.get("STUDY_CACHE") or "~/.cache/entity-extraction-study").expanduser()


def download(file: PublicFile, folder: Path) -> bytes:
    """Content of a pinned public file, from the cache or else from the network.

    The base address is `$STUDY_PUBLIC_URL` where set; `owner/repository/commit/path` is appended to it.
    """
    import pooch

    pooch.get_logger().setLevel(logging.ERROR)
    url = f"{os.environ.get('STUDY_PUBLIC_URL', PUBLIC_URL).rstrip('/')}/{file.path}"
    load = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT_SECONDS)
    try:
        return Path(
            pooch.retrieve(url, f"sha256:{file.sha256}", file.name, folder, downloader=load)
        ).read_bytes()
    except (OSError, ValueError) as error:
        if "does not match the known hash" in str(error):
            raise UserError(
                f"{url} is not the pinned file of {file.size} bytes (SHA-256 differs): it was cut off or changed on "
                "the way; try again"
            ) from None
        reason = f"cannot download {url} ({error})"
        raise UserError(f"{reason}: go online or use --data sample or --data DIR") from None


def download_hub(name: str) -> Path:
    """Folder with the latest parquet files of a hub data set, from the hub's own cache where they have not changed."""
    from huggingface_hub import snapshot_download

    address = os.environ.get("HF_ENDPOINT")
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=HUB_FILES, endpoint=address))
    except Exception as error:  # the hub's client raises those of whichever HTTP library it uses
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise UserError(
            f"cannot download data set {name} from the hub ({reason}): go online, or give a folder with its "
            "parquet files with --set public_source=FOLDER"
        ) from None


def read_parts(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of the parts of a data set in a folder; classes that are kept as numbers become their names."""
    files = {part: file for part in PARTS if (file := part_file(folder, part))}
    if not files:
        raise UserError(f"{folder} holds no data set that can be read")
    rows = {part: [record.row for record in table_rows(file)] for part, file in files.items()}
    if missing := [part for part in PARTS[:2] if not rows.get(part)]:
        raise UserError(f"the data set in {folder} has no {missing[0]} part")
    return rows


def fetch_public(task: Task, source: str = FILES) -> Path:
    """Folder with the parts of the task's public data, in the form of `--data DIR` for one task.

    `source` is `files` (the task's public files), `hub` (its data set there), or a folder with a copy of the latter. Prints
    where the rows come from, licence and citation.
    """
    public, folder = task.public, cache_dir() / (task.name if source == FILES else f"{task.name}-hub")
    if not public.files:
        raise UserError(f"there is no public data for task {task.name!r}: use --data sample or --data DIR")
    if source == FILES:
        parts = task.hooks.split_public({file.name: download(file, folder) for file in public.files})
        origin = ", ".join(file.path for file in public.files)
    else:
        place = download_hub(public.hub) if source == HUB else Path(source).expanduser()
        if not place.is_dir():
            copy = f"a folder with a copy of {public.hub}"
            raise UserError(f"no folder {source!r}: public_source is files, {HUB}, or {copy}")
        parts = task.hooks.split_hub(read_parts(place))
        origin = f"{public.hub} of the hub, commit {place.name}" if source == HUB else place.as_posix()
    print(f"Public data: {origin}")
    print(f"Licence: {public.licence}. Citation: {public.citation}")
    # named by what it holds: runs on other rows, or at the same time, read theirs undisturbed
    folder /= digest(json.dumps(parts))[:12]
    for part, rows in parts.items():
        write_jsonl(folder / f"{part}.jsonl", rows)
    return folder


# -- sources ----------------------------------------------------------------------------------------------------------
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

    The parts are `{"all": …}` for the sample and where the setting `split` is `groups`, else `train`, `validation` and, where
    the data has one, `test`.

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
    for one in (one.rejected for one in scans.values() if one.rejected):
        print(f"note: {one[0]['file']}: {len(one)} rows set aside: {grouped(one)}")
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
