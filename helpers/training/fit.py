"""Fine-tuning: one entry point, `fit`, for every variant of a task.

Every trainer leaves its best checkpoint, its history and a `finished.json`, and goes on where it was killed.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path

from helpers.files import digest, file_digest, read_json, sync_files, write_file, write_json
from helpers.machine import free_memory, is_main_process, seed_everything, wait_for_processes
from helpers.manifest import code_files, settings_files, timed
from helpers.models.base import device_of
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks import Example
from helpers.training.common import FitResult, clear_checkpoints
from helpers.training.distil import fit_distilled
from helpers.training.rows import variant_settings
from helpers.training.taggers import fit_tagger
from helpers.training.writers import fit_writer


def fit(run: Run, variant: str, train: list[Example], validation: list[Example]) -> FitResult:
    """Train one of `run.task.variants`, or load it where it is finished already with the same inputs."""
    folder, device = run.path("checkpoints", variant, "x").parent, device_of(run.profile).device
    key, done = fingerprint(run, variant, train, validation), folder / "finished.json"
    if is_main_process():
        _clear_folder(folder, key)
    wait_for_processes(device)
    saved = read_json(done)
    if saved.get("key") == key:
        result = FitResult(**saved["result"])
    else:
        seed_everything(run.seed)
        kind, trainer = run.task.variants[variant], fit_writer
        if variant in run.task.variants.taggers:
            trainer = fit_distilled if kind.teacher else fit_tagger
        with timed(run, variant, "train"):
            result = trainer(run, variant, train, validation, folder)
        free_memory()  # the next variant has a model of its own
        wait_for_processes(device)
    if is_main_process():
        if saved.get("key") != key:
            write_json(run.path("history", f"{variant}.json"), result.history)
            sync_files((folder / "best").glob("*"))
            write_json(done, {"key": key, "result": asdict(result)})
        clear_checkpoints(folder)  # not before: what is killed until here goes on from them
    return result


def _clear_folder(folder: Path, key: str) -> None:
    """Keep what a folder holds only if it was made from the same inputs, and not where the runner forces this stage.

    The runner's token is new for each forced run and stays the same through a kill and the run that goes on, so that
    checkpoints of the forced run itself are kept. A folder without a key was being cleared when it was killed.
    """
    token = os.environ.get("STUDY_FORCE", "")
    marks = {name: path.read_text() for name in ("force", "key") if (path := folder / name).exists()}
    if (token and marks.get("force") != token) or marks.get("key") != key:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / "key", key)
    if token:
        write_file(folder / "force", token)


def fingerprint(run: Run, variant: str, train: list[Example], validation: list[Example]) -> str:
    """Hash of all that decides the outcome of a training run."""
    rows = [_learnt(run, variant, example) for example in (*train, *validation)]
    shared = {k: v for k, v in run.settings.items() if k.split(".")[0] not in run.task.variants}
    own = variant_settings(run, variant)
    # a student is trained anew after its teacher
    known = [run.dir / "checkpoints" / name.strip() for name in own.get("teacher", "").split(",")]
    teachers = [read_json(folder / "finished.json").get("key") for folder in known]
    files = [settings_files(run), *map(file_digest, training_code(run))]
    parts = [variant, run.profile, run.seed, own, shared, rows, teachers, files]
    return digest(json.dumps(parts, sort_keys=True, default=str))


def _learnt(run: Run, variant: str, example: Example) -> list:
    """What a model reads and learns of a row: for one that writes, with the words of the prompt or chat around it."""
    if not run.task.writes:
        return [run.task.rows.to_json(example)]
    chat, read = run.task.chat, example.text
    if variant in run.task.variants.writers:
        read = chat.conversation(example) if chat.questions else chat.prompt(example.text)
    return [example.id, example.origin, read, example.target]


def training_code(run: Run) -> list[Path]:
    """Modules and word lists that decide how a model comes out; a change in others (plots, report) trains nothing anew."""
    rooms = ("models", "training", "writing", "tagging", "tasks", f"tasks/{run.task.name}")
    folders = [ROOT / "helpers" / room for room in rooms] + ([run.own_folder] if run.own_folder else [])
    found = [path for folder in folders for path in code_files(folder)]
    return [path for path in found if path.name != "settings.yaml"]  # what counts of it is in the settings
