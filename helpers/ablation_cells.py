"""Cells of an ablation: one trained model on one split, its scores row by row, and the file that keeps them.

A cell's key is a hash over all that decides its outcome, so that configurations of several ablations share one training
and nothing that is finished is trained again.
"""
from __future__ import annotations

import contextlib
import copy
import gc
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from tqdm import tqdm

from helpers.ablation_folds import Pool, Split, fold_splits, validation_split
from helpers.augment import augment_train
from helpers.config import ROOT, Run, merge_settings
from helpers.environment import digest
from helpers.lookup import load_function, load_module
from helpers.metrics import align
from helpers.splits import write_splits
from helpers.tasks.records import Ablation, Configuration, Example
from helpers.vote import RULES, majority

# beside the modules that decide how a model comes out
CODE = ("ablation_losses", "augment", "splits", "metrics", "predict", "vote")


@dataclass(frozen=True)
class Cell:
    """One training of a configuration, or a vote of several.

    Parameters
    ----------
    configuration : Configuration
    split : Split
        The rows, already cut to the configuration's number of them.
    seed : int
    key : str
        Equal for cells that come out the same.
    members : tuple of Cell
        Of a vote: those that vote, in their order.
    """

    configuration: Configuration
    split: Split
    seed: int
    key: str
    members: tuple[Cell, ...] = ()


# -- what there is to do ----------------------------------------------------------------------------------------------
def deciding_code(run: Run) -> str:
    """Hash of the modules that decide scores; the list of ablations itself is not one of them."""
    from helpers.train import training_code

    paths = {*training_code(run), *(ROOT / "helpers" / f"{name}.py" for name in CODE)}
    kept = sorted(path for path in paths if not path.stem.endswith("_ablations"))
    return digest(*(part for path in kept for part in (path.name, path.read_bytes())))


@lru_cache(maxsize=64)
def _hash_once(path: Path, size: int, changed: int) -> str:
    return digest(path.read_bytes())


def base_models(run: Run) -> str:
    """Hash of the base model and the encoder where they are local files."""
    from helpers.models import base_files

    found = [(path, path.stat()) for path in base_files(run)]
    return digest(*(_hash_once(path, stat.st_size, stat.st_mtime_ns) for path, stat in found))


def cell_key(run: Run, configuration: Configuration, split: Split, seed: int, code: str) -> str:
    """Hash of variant, trainer, settings, seed, rows and code; settings of other variants do not count."""
    settings = merge_settings(run.settings, configuration.settings)
    own = {name: value for name, value in settings.items()
           if name.split(".")[0] not in run.task.variants or name.split(".")[0] == configuration.variant}
    parts = [run.task.name, run.profile, configuration.variant, configuration.trainer, seed, own, split.sha256, code]
    return digest(json.dumps(parts, sort_keys=True, default=str))


def plan_cells(run: Run, pool: Pool, ablations: dict[str, Ablation], folds: int) -> dict[str, dict[str, list[Cell]]]:
    """Ablation → configuration → its cells, one a split and seed.

    A configuration for more rows than there are is left out.
    """
    code = digest(deciding_code(run), base_models(run))
    splits = fold_splits(run, pool, folds)
    plan: dict[str, dict[str, list[Cell]]] = {}
    for name, ablation in ablations.items():
        plan[name] = {}
        for one in ablation.configurations:
            own = splits if ablation.scored_on == "folds" else [validation_split(run, pool, one.rows)]
            cells = [_make_cell(run, one, split, run.seed + more, code)
                     for split in own if split is not None for more in range(one.seeds)]
            if cells:
                plan[name][one.name] = cells
    return plan


def _make_cell(run: Run, configuration: Configuration, split: Split, seed: int, code: str) -> Cell:
    """The cell of a configuration, with those of the members where it is a vote."""
    names = run.task.votes.get(configuration.variant, ())
    members = tuple(_make_cell(run, replace(configuration, name=name, variant=name), split, seed, code)
                    for name in names)
    key = cell_key(run, configuration, split, seed, code)
    return Cell(configuration, split, seed, digest(key, *(one.key for one in members)) if members else key, members)


def decoding_of(run: Run, configuration: Configuration) -> str:
    """The configuration's decoding, by default that of its variant."""
    return configuration.decoding or run.task.decodings_of(configuration.variant)[-1]


def decodings_by_key(run: Run, plan: dict[str, dict[str, list[Cell]]]) -> dict[str, list[str]]:
    """Key → every decoding that some ablation asks of that model, so that it has to be trained once only."""
    wanted: dict[str, set[str]] = {}
    for configurations in plan.values():
        for cells in configurations.values():
            for one in cells:
                for cell in (one, *one.members):
                    wanted.setdefault(cell.key, set()).add(decoding_of(run, cell.configuration))
    return {key: [way for way in run.task.decodings if way in ways] for key, ways in wanted.items()}


# -- one cell ---------------------------------------------------------------------------------------------------------
def cell_run(run: Run, cell: Cell, folder: Path) -> Run:
    """The run that trains a cell: its own folder, settings and seed, and its split in files as stage 02 leaves them.

    What chooses the epoch is its validation part, what is held out its test part.
    """
    task, one = run.task, cell.configuration
    if one.trainer:
        task = copy.copy(task)
        task.trainers = {**task.trainers, one.variant: one.trainer}
    own = Run(task=task, profile=run.profile, data=run.data, out=str(folder),
              settings=merge_settings(run.settings, one.settings), seed=cell.seed)
    split = cell.split
    write_splits(own, {"train": list(split.train), "validation": list(split.choosing), "test": list(split.held_out)})
    return own


def train_and_score(run: Run, cell: Cell, decodings: Sequence[str], folder: Path) -> dict[str, Any]:
    """Make rows from the cell's training rows, train, choose the epoch on the choosing rows, score the held-out rows.

    Returns
    -------
    dict
        What :func:`append_cell` keeps: key, names and sizes, seconds, and for each decoding the prediction, the exact
        match (0 or 1) and the number of right fields of every held-out row, in the order of `ids`; where the task's
        headline is another score, also its numerator (`top`) and denominator (`bottom`) of every row.
    """
    from helpers.predict import predict_rules, predict_variant
    from helpers.train import fit, training_rows

    own, variant = cell_run(run, cell, folder), cell.configuration.variant
    held_out, made, seconds = list(cell.split.held_out), 0, 0.0
    train, choosing = own.load("train"), own.load("validation")
    if variant in own.task.baselines:
        baseline = load_function(own.task.baselines[variant])(own, held_out)
        predictions = {way: baseline for way in decodings}
    elif variant == RULES:
        predictions = {way: predict_rules(own, held_out) for way in decodings}
    else:
        augment_train(own, train)
        rows = training_rows(own, variant)
        made = sum(row.origin != "gold" for row in rows)
        started = time.perf_counter()
        fit(own, variant, rows, choosing)
        seconds = time.perf_counter() - started
        predictions = {way: predict_variant(own, variant, held_out, way, progress=False) for way in decodings}
    return _record(own, cell, predictions, made, seconds)


def count_votes(run: Run, cell: Cell, cells: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Score a vote from what its members, all finished, have predicted; otherwise as :func:`train_and_score`."""
    own = [cells[one.key] for one in cell.members]
    ballots = [[{"id": row, "prediction": prediction} for row, prediction in zip(record["ids"], given)]
               for one, record in zip(cell.members, own)
               for given in [record["scores"][decoding_of(run, one.configuration)]["predictions"]]]
    predictions = {decoding_of(run, cell.configuration): majority(run.task, ballots)}
    return _record(run, cell, predictions, max(record["made_rows"] for record in own), 0.0)


def _record(run: Run, cell: Cell, predictions: dict[str, list[dict[str, Any]]], made: int,
            seconds: float) -> dict[str, Any]:
    split, held_out = cell.split, list(cell.split.held_out)
    return {"key": cell.key, "variant": cell.configuration.variant, "split": split.name, "seed": cell.seed,
            "train_rows": len(split.train), "choosing_rows": len(split.choosing), "made_rows": made,
            "seconds": round(seconds, 1), "fields": len(run.task.fields), "ids": [row.id for row in held_out],
            "scores": {way: _row_scores(run, held_out, records) for way, records in predictions.items()}}


def _row_scores(run: Run, held_out: list[Example], records: list[dict[str, Any]]) -> dict[str, list[Any]]:
    metrics, headline = load_module(run.task.metrics), run.task.headline
    rows = metrics.row_sums(run.task, held_out, records)
    exact, right, sums = (metrics.SCORES[name] for name in ("exact_match", "field_accuracy", headline))
    found = {"exact": rows[exact[0]].astype(int).tolist(), "right": rows[right[0]].astype(int).tolist(),
             "predictions": [record["prediction"] for record in align(held_out, records)]}
    if headline != "exact_match":  # a ratio of two sums over rows
        found |= {"top": rows[sums[0]].tolist(), "bottom": rows[sums[1]].tolist()}
    return found


# -- all cells --------------------------------------------------------------------------------------------------------
def read_cells(path: Path) -> dict[str, dict[str, Any]]:
    """Finished cells by key; a last line that a kill cut short is taken off the file."""
    if not path.exists():
        return {}
    content = path.read_bytes()
    whole = content[:content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return {record["key"]: record for record in map(json.loads, whole.splitlines())}


def append_cell(path: Path, record: dict[str, Any]) -> None:
    """Add a finished cell at the end of the file, and have it on the disk before going on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(record, ensure_ascii=False) + "\n")
        file.flush()
        os.fsync(file.fileno())


def is_finished(cells: dict[str, dict[str, Any]], key: str, decodings: Iterable[str]) -> bool:
    """Whether a cell has been scored under all these decodings."""
    return key in cells and set(decodings) <= set(cells[key]["scores"])


def carry_out(run: Run, plan: dict[str, dict[str, list[Cell]]], only: Sequence[str], folder: Path,
              max_seconds: float | None = None, clock: Callable[[], float] = time.monotonic) -> bool:
    """Train and score every cell of the chosen ablations that is not finished.

    Parameters
    ----------
    run : Run
    plan : dict
        From :func:`plan_cells`.
    only : sequence of str
        Names of ablations.
    folder : Path
        Holds `cells.jsonl`, `ablate.log` and, while a cell is in progress, its checkpoints. A training that was killed
        goes on from its last checkpoint.
    max_seconds : float, optional
        No cell is begun after that time.
    clock : callable

    Returns
    -------
    bool
        Whether all of them are finished.
    """
    path, wanted = folder / "cells.jsonl", decodings_by_key(run, plan)
    cells, started = read_cells(path), clock()
    chosen = {cell.key: cell for name in only for group in plan[name].values() for one in group
              for cell in (*one.members, one)}  # members before their vote
    todo = [cell for key, cell in chosen.items() if not is_finished(cells, key, wanted[key])]
    _forget_others(folder / "cells", {cell.key for cell in todo})
    bar = tqdm(total=len(chosen), initial=len(chosen) - len(todo), unit="cell", file=sys.stderr)
    try:
        with (folder / "ablate.log").open("a", encoding="utf-8", buffering=1) as log:
            for cell in todo:
                if max_seconds is not None and clock() - started >= max_seconds:
                    return False
                bar.set_description_str(f"{cell.configuration.name}, {cell.split.name}")
                place = folder / "cells" / cell.key[:16]
                print(f"\n{cell.configuration.name}, {cell.split.name}, seed {cell.seed}", file=log)
                with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                    cells[cell.key] = (count_votes(run, cell, cells) if cell.members else
                                       train_and_score(run, cell, wanted[cell.key], place))
                append_cell(path, cells[cell.key])
                shutil.rmtree(place, ignore_errors=True)
                gc.collect()
                bar.update()
    finally:
        bar.close()
    return True


def _forget_others(folder: Path, keys: set[str]) -> None:
    """Remove checkpoints of cells that are finished or no longer asked for."""
    for path in folder.glob("*"):
        if path.name not in {key[:16] for key in keys}:
            shutil.rmtree(path, ignore_errors=True)
