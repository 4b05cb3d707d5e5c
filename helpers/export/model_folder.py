"""From a folder that a run left to models in memory, or to one line that says what is wrong with the folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from helpers.errors import UserError
from helpers.evaluation.systems import choose
from helpers.evaluation.vote import RULES
from helpers.files import read_json
from helpers.paths import ROOT
from helpers.run import SEED, Run
from helpers.tasks import get_task

ENGINES = ("torch", "onnx", "onnx_int8")
ONNX_FILES = {"onnx": "model.onnx", "onnx_int8": "model_int8.onnx"}
SERVED = (".safetensors", ".json", ".jinja", ".txt", ".model", ".onnx", ".data")


def open_run(task: str, folder: str | Path | None = None, variant: str | None = None) -> tuple[Run, str]:
    """A finished run and the name of the system to use of it.

    `folder` is what the run left for the task (`artifacts/<task>` of the repository by default), wherever it lies now;
    `variant` a trained variant, a vote of trained ones or `rules`, by default the one that did best on validation.
    """
    chosen = get_task(task)
    place = Path(folder).expanduser().resolve() if folder else ROOT / "artifacts" / chosen.name
    if not (place / "checkpoints").is_dir() and (place / "artifacts" / chosen.name).is_dir():
        place = place / "artifacts" / chosen.name  # the folder that was given to --out
    if not place.is_dir():
        raise UserError(
            f"no model folder {place}: train one with ./run_all.sh {chosen.name}, or give its place with --run"
        )
    manifest = read_json(place / "manifest.json")
    if manifest.get("task", chosen.name) != chosen.name:
        raise UserError(f"{place} holds a run of task {manifest['task']!r}, not of {chosen.name!r}")
    profile = manifest.get("profile", "cpu")
    known = chosen.settings(profile)
    settings = {name: value for name, value in manifest.get("settings", {}).items() if name in known}
    at_home = (
        place.name == chosen.name and place.parent.name == "artifacts"
    )  # elsewhere no folder is to be made for it
    run = Run(
        task=chosen,
        profile=profile,
        data=manifest.get("data", {}).get("source", "sample"),
        out=str(place.parent.parent) if at_home else None,
        settings=settings,
        seed=manifest.get("seed", SEED),
    )
    run.dir = place
    return run, choose(run, variant)


def members_of(run: Run, variant: str) -> tuple[str, ...]:
    """Systems whose answers make those of a variant: itself, or the members of a vote."""
    return run.task.votes.get(variant, (variant,))


def model_files(run: Run, variant: str, engine: str = ENGINES[0]) -> list[Path]:
    """Files that decide what a variant answers: its own, and those of the local base where it is an adapter."""
    from helpers.models.base import base_path

    files: list[Path] = []
    for name in members_of(run, variant):
        folder = run.dir / "checkpoints" / name / "best"
        files += sorted(path for path in folder.glob("*") if path.suffix in SERVED)
        if engine != ENGINES[0]:
            files += sorted((run.dir / "export" / name / "onnx").glob(f"{ONNX_FILES[engine]}*"))
        if name != RULES and name not in run.task.taggers and Path(base_path(run)).is_dir():
            files += sorted(
                path
                for path in Path(base_path(run)).iterdir()
                if path.name in ("model.safetensors", "tokenizer.json", "config.json")
            )
    return files


def version_of(files: Iterable[Path]) -> str:
    """Twelve signs that change with the content of any of the files."""
    total = hashlib.sha256()
    for path in files:
        with path.open("rb") as content:
            total.update(
                path.name.encode() + hashlib.file_digest(content, "sha256").digest()
                if hasattr(hashlib, "file_digest")
                else path.name.encode() + path.read_bytes()
            )
    return total.hexdigest()[:12]
