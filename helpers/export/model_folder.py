"""From a folder that a run left to the run and its system, or to one line that says what is wrong with the folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from helpers.errors import UserError
from helpers.evaluation.systems import RULES, best_of, best_writer, choose, deployed, trained
from helpers.files import digest, file_digest, read_json
from helpers.models.base import base_path
from helpers.paths import ROOT
from helpers.run import SEED, Run
from helpers.tasks import load_task

ENGINES = ("torch", "onnx", "onnx_int8")
GRAPHS = {"onnx": "model.onnx", "onnx_int8": "model_int8.onnx"}
SERVED = (".safetensors", ".json", ".jinja", ".txt", ".model")


def open_run(task: str, folder: str | Path | None = None, variant: str | None = None) -> tuple[Run, str]:
    """A finished run and the name of the system to use of it.

    `folder` is what the run left for the task (`artifacts/<task>` of the repository by default), wherever it lies now;
    `variant` a trained variant, a vote of trained ones or `rules`, by default the one that did best on validation.
    """
    chosen = load_task(task)
    place = Path(folder).expanduser().resolve() if folder else ROOT / "artifacts" / chosen.name
    if not (place / "checkpoints").is_dir() and (place / "artifacts" / chosen.name).is_dir():
        place = place / "artifacts" / chosen.name  # the folder that was given to --out
    if not place.is_dir():
        raise UserError(
            f"no model folder {place}: train one with ./run_all.sh {task}, or give its place with --run"
        )
    manifest = read_json(place / "manifest.json")
    if manifest.get("task", chosen.name) != chosen.name:
        raise UserError(f"{place} holds a run of task {manifest['task']!r}, not of {chosen.name!r}")
    profile, data = manifest.get("profile", "cpu"), manifest.get("data", {}).get("source", "sample")
    known = chosen.settings(profile)
    settings = {name: value for name, value in manifest.get("settings", {}).items() if name in known}
    at_home = place.parts[-2:] == ("artifacts", chosen.name)  # elsewhere no folder is to be made for it
    out = str(place.parent.parent) if at_home else None
    run = Run(task, profile, data, out, settings, manifest.get("seed", SEED))
    run.dir = place
    return run, choose(run, variant)


def open_trained(task: str, folder: str | Path | None, variant: str | None) -> tuple[Run, str, str]:
    """A finished run, the variant to hand on, and in a clause why that one.

    It is the one asked for, else the one that is deployed. A vote is several models and cannot be handed on as one: the
    best of its trained members then stands for it.
    """
    run, name = open_run(task, folder, variant)
    if variant:
        return run, name, "as asked for"
    if name in (there := trained(run)):
        return run, name, "what is deployed"
    members = [one for one in run.task.variants.votes[name] if one in there]
    scores = read_json(run.dir / "metrics.json").get("variants", {})
    if scores.keys() >= set(members):  # else in the order of the vote
        first = best_of(run.task, scores, members)
        members.sort(key=lambda one: one != first)
    return (
        run,
        deployed(run, members)[0],
        f"the best member of {name}, which is deployed but is no single model",
    )


def pick_writer(run: Run) -> str:
    """The variant to export: the best of the run, or the best that writes where that is a vote or a tagger beside writers."""
    if not (there := trained(run)):
        raise UserError(f"{run.dir} holds no trained variant: run stage 04 first")
    metrics = read_json(run.dir / "metrics.json")
    scores = {name: metrics.get("variants", {}).get(name) or {run.task.headline: 0.0} for name in there}
    return best_writer(run.task, scores, metrics.get("best") or there[0])


def model_files(run: Run, variant: str, engine: str = ENGINES[0]) -> list[Path]:
    """Files that decide what a variant answers: its own, and those of the local base where it is an adapter."""
    files: list[Path] = []
    for name in run.task.variants.votes.get(variant, (variant,)):
        best = sorted((run.dir / "checkpoints" / name / "best").glob("*"))
        files += [path for path in best if path.suffix in SERVED]
        if engine != ENGINES[0]:
            files += sorted((run.dir / "export" / name / "onnx").glob(f"{GRAPHS[engine]}*"))
        if name != RULES and name not in run.task.variants.taggers:
            base = Path(base_path(run))
            parts = [base / part for part in ("config.json", "model.safetensors", "tokenizer.json")]
            files += [path for path in parts if path.is_file()]
    return files


def version_of(files: Iterable[Path], *more: bytes) -> str:
    """Twelve signs that change with the content of any of the files, and with what else decides the answers."""
    parts = [part for path in files for part in (path.name, file_digest(path))]
    return digest(*parts, *more)[:12]
