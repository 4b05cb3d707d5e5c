"""Fine-tuning: one entry point, `fit`, for every variant of a task.

Every trainer leaves its best checkpoint, its history and a `finished.json`, and goes on where it was killed.
"""
from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Callable

from helpers import processes
from helpers.costs import timed
from helpers.errors import UserError
from helpers.files import read_json, write_json
from helpers.lookup import load_function
from helpers.machine import seed_everything
from helpers.models.base import base_files
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks import Example
from helpers.writing.encode import Encoded, encode_conversation, encode_example
from helpers.writing.questions import predict_texts


@dataclass
class FitResult:
    """What a trainer leaves.

    Parameters
    ----------
    variant : str
    history : list of dict
        Records of `step`, `epoch`, `loss`, `lr`, and at evaluations `val_loss` and the scores of :func:`exact_scores`,
        or `val_` with the headline of a task whose trainers are its own.
    parameters : dict
        `trainable` and `total`.
    best_score, best_step
        The task's headline score of the kept checkpoint on validation, and its step.
    note : str
        What the reader should know, e.g. why 4 bits were not used.
    """

    variant: str
    history: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, int] = field(default_factory=dict)
    best_score: float = 0.0
    best_step: int = 0
    note: str = ""


def variant_settings(run: Run, variant: str) -> dict[str, Any]:
    """The settings `<variant>.<name>` of a run, without the prefix."""
    prefix = f"{variant}."
    return {key[len(prefix):]: value for key, value in run.settings.items() if key.startswith(prefix)}


def fit(run: Run, variant: str, train: list[Example], validation: list[Example]) -> FitResult:
    """Train one variant of the run's task, or load it where it is finished already with the same inputs.

    Parameters
    ----------
    run : Run
    variant : str
        One of `run.task.variants`.
    train, validation : list of Example
    """
    folder = run.path("checkpoints", variant, "x").parent
    key = fingerprint(run, variant, train, validation)
    done = folder / "finished.json"
    if processes.is_main():
        _clear_folder(folder, key)
    processes.wait()
    if done.exists():
        saved = json.loads(done.read_text(encoding="utf-8"))
        if saved["key"] == key:
            return FitResult(**saved["result"])
    seed_everything(run.seed)
    trainer = _trainer(run, variant)
    with timed(run, variant, "train"):
        result = trainer(run, variant, train, validation, folder)
    processes.wait()
    if processes.is_main():
        write_json(run.path("history", f"{variant}.json"), result.history)
        write_json(done, {"key": key, "result": asdict(result)})
    return result


def _trainer(run: Run, variant: str) -> Callable[..., FitResult]:
    """The function that trains a variant: one for all that write, the task's own for taggers."""
    if variant in run.task.writers:
        from helpers.training.writers import fit_writer

        return fit_writer
    return load_function(run.task.trainers[variant])


def _clear_folder(folder: Path, key: str) -> None:
    """Keep what a folder holds only if it was made from the same inputs, and not where the stage is forced."""
    _forget_if_forced(folder)
    if (folder / "key").exists() and (folder / "key").read_text() != key:
        for path in folder.iterdir():
            if path.name != "force":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key").write_text(key)


def _forget_if_forced(folder: Path) -> None:
    """Drop what an earlier run left when the runner forces this stage.

    The runner's token is new for each forced run and stays the same through a kill and the run that goes on, so
    that checkpoints of the forced run itself are kept.
    """
    token, kept = os.environ.get("STUDY_FORCE", ""), folder / "force"
    if token and (not kept.exists() or kept.read_text() != token):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        kept.write_text(token)


def fingerprint(run: Run, variant: str, train: list[Example], validation: list[Example]) -> str:
    """Hash of all that decides the outcome of a training run."""
    rows = [json.dumps([e.text, run.task.example_to_json(e)], ensure_ascii=False, default=str)
            for e in (*train, *validation)]
    shared = {k: v for k, v in run.settings.items() if k.split(".")[0] not in run.task.variants}
    own = variant_settings(run, variant)
    teachers = [read_json(run.dir / "checkpoints" / name.strip() / "finished.json").get("key")
                for name in own.get("teacher", "").split(",")]  # a student is trained anew after its teacher
    parts = [variant, run.profile, run.seed, own, shared, rows, *([teachers] if "teacher" in own else []),
             [hashlib.sha256(path.read_bytes()).hexdigest() for path in (*training_code(run), *base_files(run))]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def training_code(run: Run) -> list[Path]:
    """The modules that decide how a model comes out; a change in others (plots, report) trains nothing anew."""
    names = ("dropout", "train_tagger", "tagging", "token_encode", "encoder", "text", *run.task.training_modules)
    shared = [ROOT / "helpers" / f"{name}.py" for name in names]
    rooms = [path for room in ("models", "training", "writing") for path in sorted((ROOT / "helpers" / room).glob("*.py"))]
    return shared + rooms + sorted((ROOT / "helpers" / "tasks").glob(f"{run.task.name}*.py"))


def encode_rows(run: Run, tokenizer, rows: list[Example], questions: int = 0) -> list[Encoded]:
    """Training sequences of the rows; for a dialogue the whole chat of each, or a seeded part of its questions.

    With `questions` above 0 a row asks so many; where a row occurs several times each copy asks others, until all have been
    asked. Where questions see each other (setting `dialogue`), made rows ask them in an order of their own, so that a model
    learns to answer any question first.

    Raises
    ------
    UserError
        If a sequence is longer than `max_length`: nothing is cut silently.
    """
    task = run.task
    if task.questions():
        copies: Counter[tuple[int, str]] = Counter()
        encoded = []
        for row in rows:
            order = question_order(run, row)
            if 0 < questions < len(order):
                asked = order.copy()
                run.rng("questions", row.id, row.origin).shuffle(asked)
                start = copies[row.id, row.origin] * questions
                asked = {asked[at % len(asked)] for at in range(start, start + questions)}
                order = [name for name in order if name in asked]
                copies[row.id, row.origin] += 1
            encoded.append(encode_conversation(tokenizer, task, row, order, run["dialogue"] == "independent"))
    else:
        encoded = [encode_example(tokenizer, task.prompt(row.text), task.completion(row.target), task.fields)
                   for row in rows]
    longest = max(range(len(encoded)), key=lambda index: len(encoded[index]))
    if len(encoded[longest]) > run["max_length"]:
        raise UserError(f"row {rows[longest].id} has {len(encoded[longest])} tokens, more than max_length="
                        f"{run['max_length']}: raise it with --set max_length=…, or shorten the row")
    return encoded


def question_order(run: Run, row: Example) -> list[str]:
    """Order in which a row asks its questions: the task's own for gold rows and wherever no question sees another."""
    order = list(run.task.questions())
    if run["dialogue"] == "sequential" and row.origin != "gold":
        run.rng("question order", row.id, row.origin).shuffle(order)
    return order


def validation_score(run: Run, model, tokenizer, rows: list[Example]) -> dict[str, float]:
    """Scores of greedy decoding with the constraint `score_constraint` on (some of) the validation rows."""
    rows = rows[:run["score_rows"] or None]
    records = predict_texts(model, tokenizer, run.task, [row.text for row in rows], run["score_constraint"],
                            run["max_new_tokens"], run["generation_batch_size"],
                            dialogue=run.settings.get("dialogue", "independent"))
    return exact_scores(run.task, rows, records)


def exact_scores(task, rows: list[Example], records: list[dict[str, Any]]) -> dict[str, float]:
    """Exact match, field accuracy and F1 over values of prediction records, as the training history holds them."""
    gold = [task.values(row.target) for row in rows]
    found = [task.values(record["prediction"]) for record in records]
    right = [[g[name] == f[name] for name in task.fields] for g, f in zip(gold, found)]
    pairs = [(set(g[name]), set(f[name])) for g, f in zip(gold, found) for name in task.fields]
    values = sum(len(wanted) + len(got) for wanted, got in pairs)
    return {"val_exact_match": sum(map(all, right)) / len(rows),
            "val_field_accuracy": sum(map(sum, right)) / len(rows) / len(task.fields),
            "val_exact_f1": 2 * sum(len(wanted & got) for wanted, got in pairs) / values if values else 1.0}


def check_finite(value: float, what: str, run: Run, variant: str, step: int) -> None:
    """Stop with a clear message where a loss or gradient is no number any more."""
    if not math.isfinite(value):
        raise UserError(f"{variant}: the {what} is {value} at step {step}; lower {variant}.learning_rate "
                        f"(now {run[f'{variant}.learning_rate']}) with --set {variant}.learning_rate=…")


def training_rows(run: Run, variant: str) -> list[Example]:
    """The rows a variant trains on: gold rows, `gold_repeats` times, and `made_rows` of those stage 02 made (-1: all).

    Made rows add variety, gold rows carry the conventions of labelling: the two settings balance them within the
    time that training may take. Variants with the same settings get the same rows.
    """
    own, gold = variant_settings(run, variant), run.load("train")
    made, limit = [row for row in run.load("train_augmented") if row.origin != "gold"], own.get("made_rows", -1)
    if 0 <= limit < len(made):
        made = run.rng("made rows").sample(made, limit)
    return gold * own.get("gold_repeats", 1) + made
