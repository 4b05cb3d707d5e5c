"""Where the repository is, and what Kaggle mounts. Nothing but the standard library: notebooks there start with it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUTS = Path("/kaggle/input")  # where Kaggle mounts the data sets and models of a notebook, read only


def input_folder(given: str) -> str:
    """A data folder: as given, or the Kaggle input of that name (`my-events` → `/kaggle/input/my-events`)."""
    if Path(given).expanduser().is_dir() or not re.fullmatch(r"[\w.-]+", given):
        return given
    return str(INPUTS / given) if (INPUTS / given).is_dir() else given


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
