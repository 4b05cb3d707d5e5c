"""Public data from a data set of the hub, or from a folder that holds a copy of one."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from helpers.errors import UserError
from helpers.tasks.base import Task

HUB = "hub"  # the setting `public_source` where `--data public` reads the hub
PARTS = ("train", "validation", "test")
FILES = ("*.parquet", "README.md")  # weights, pictures and scripts of a data set are of no use here


def download_hub(name: str) -> Path:
    """Folder with the latest parquet files of a hub data set, from the hub's own cache where they have not changed."""
    import httpx2
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(
                name, repo_type="dataset", allow_patterns=list(FILES), endpoint=os.environ.get("HF_ENDPOINT")
            )
        )
    except (OSError, ValueError, httpx2.HTTPError) as error:
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else type(error).__name__
        raise UserError(
            f"cannot download data set {name} from the hub ({reason}): go online, or give a folder with its "
            "parquet files with --set public_source=FOLDER"
        ) from None


def read_parts(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Rows of the parts of a data set in a folder; classes that are kept as numbers become their names."""
    from datasets import ClassLabel, load_dataset

    def named(feature: Any, value: Any) -> Any:
        inner = getattr(feature, "feature", None)
        return [inner.int2str(item) for item in value] if isinstance(inner, ClassLabel) and value else value

    with tempfile.TemporaryDirectory() as scratch:
        try:
            found = load_dataset(str(folder), cache_dir=scratch)
            rows = {
                part: [
                    {key: named(found[part].features[key], value) for key, value in row.items()}
                    for row in found[part]
                ]
                for part in PARTS
                if part in found
            }
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder} holds no data set that can be read: {str(error).splitlines()[0][:150]}"
            ) from None
    if missing := [part for part in PARTS[:2] if not rows.get(part)]:
        raise UserError(f"the data set in {folder} has no {missing[0]} part")
    return rows


def hub_parts(task: Task, source: str) -> tuple[dict[str, list[dict[str, Any]]], str]:
    """Public rows of a task by part, and where they come from, as a reader is told.

    `source` is `hub`, or a folder with a copy of the task's `public.hub`.
    """
    place = download_hub(task.public.hub) if source == HUB else Path(source).expanduser()
    if not place.is_dir():
        raise UserError(
            f"no folder {source!r}: public_source is files, {HUB}, or a folder with a copy of "
            f"{task.public.hub}"
        )
    origin = f"{task.public.hub} of the hub, commit {place.name}" if source == HUB else place.as_posix()
    return task.hooks.split_hub(read_parts(place)), origin
