"""Public data sets: pinned files of a repository, or a data set of the hub or a folder that holds a copy of one."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

from helpers.data.folders import part_file, table_rows
from helpers.errors import UserError
from helpers.tasks.base import PublicFile, Task

PUBLIC_URL = "https://raw.githubusercontent.com"
TIMEOUT_SECONDS = 60
FILES, HUB = (
    "files",
    "hub",
)  # the setting `public_source`: the pinned files, or the task's data set of the hub
PARTS = ("train", "validation", "test")
HUB_FILES = ["*.parquet", "README.md"]  # weights, pictures and scripts of a data set are of no use here


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


def public_parts(task: Task, source: str = FILES) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Public rows of a task by part, and where they come from, as a reader is told.

    `source` is `files` (the task's public files), `hub` (the task's data set there), or a folder with a copy of the
    latter.
    """
    if not task.public.files:
        raise UserError(f"there is no public data for task {task.name!r}: use --data sample or --data DIR")
    if source == FILES:
        contents = {file.name: download(file, cache_dir() / task.name) for file in task.public.files}
        return task.hooks.split_public(contents), ", ".join(file.path for file in task.public.files)
    place = download_hub(task.public.hub) if source == HUB else Path(source).expanduser()
    if not place.is_dir():
        raise UserError(
            f"no folder {source!r}: public_source is files, {HUB}, or a folder with a copy of {task.public.hub}"
        )
    origin = f"{task.public.hub} of the hub, commit {place.name}" if source == HUB else place.as_posix()
    return task.hooks.split_hub(read_parts(place)), origin
