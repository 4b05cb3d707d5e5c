"""Where the repository is, and what Kaggle mounts. Nothing but the standard library: notebooks there start with it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUTS = Path("/kaggle/input")  # where Kaggle mounts the data sets and models of a notebook, read only


def input_folder(given: str) -> str:
    """A data folder: as given, or the Kaggle input of that name, at whatever depth it is mounted.

    `my-events` may be `/kaggle/input/my-events` or `/kaggle/input/datasets/OWNER/my-events`.
    """
    known = given in ("sample", "public") or not re.fullmatch(r"[\w.-]+", given)
    if known or Path(given).expanduser().is_dir():
        return given
    found = sorted((path for path in INPUTS.rglob(given) if path.is_dir()), key=lambda path: len(path.parts))
    return str(found[0]) if found else given


def input_folders(task: str) -> list[Path]:
    """The Kaggle inputs that hold training rows of a task."""
    return sorted(path.parent.parent for path in INPUTS.rglob(f"{task}/train.jsonl"))


def input_models() -> list[Path]:
    """Folders of the Kaggle inputs that hold a model: weights in safetensors beside a config.json."""
    found = {path.parent for path in INPUTS.glob("**/config.json")} if INPUTS.is_dir() else set()
    return sorted(folder for folder in found if any(folder.glob("*.safetensors")))


def input_model(name: str) -> Path | None:
    """The Kaggle input that holds a hub model: one of its folders is called like the model, but for case and marks."""

    def plain(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower())

    wanted = plain(name.rpartition("/")[2])
    return next(
        (folder for folder in input_models() if wanted in map(plain, folder.relative_to(INPUTS).parts)), None
    )
