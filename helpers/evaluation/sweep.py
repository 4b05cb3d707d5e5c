"""A sweep: settings × seeds (× folds) of one YAML file, one line a system, one table of their means.

Run as: python -m helpers.evaluation.sweep configs/sweeps/calendar_seeds.yaml --data public
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import math
import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated, Any, NamedTuple

import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from tqdm import tqdm

from helpers import files
from helpers.data import augment
from helpers.data import read as data
from helpers.data.splits import make_splits, near_groups, write_splits
from helpers.errors import UserError, one_of
from helpers.evaluation import scoring, systems
from helpers.evaluation.measured import SCORES, SWEEPS, Line, sweep_table
from helpers.evaluation.vote import vote_names
from helpers.machine import hardware
from helpers.manifest import environment_fingerprint
from helpers.paths import ROOT
from helpers.run import SEED, Run
from helpers.tasks.records import Example
from helpers.tasks.scores import metrics_of

CHOOSING_SHARE = 0.1  # of the rows outside a fold: they choose the checkpoint and are not trained on
Parts = dict[str, list[Example]]


class Sweep(BaseModel):
    """What a file in `configs/sweeps/` says; task, data and profile as in `./run_all.sh`."""

    model_config = ConfigDict(extra="forbid")
    task: str
    data: str = "sample"
    profile: str = "cpu"
    # what is fitted; votes whose members are all among them are counted too
    variants: list[str] = Field(min_length=1)
    # name → settings that differ from the profile's
    settings: dict[str, dict[str, Any]] = Field({"default": {}}, min_length=1)
    # each makes rows and trains anew, on the parts that the first one splits
    seeds: list[int] = Field([SEED], min_length=1)
    # of the train part, held out and scored in turn; 0: the data's own parts
    folds: int = Field(0, ge=0)

    def run(self, settings: str, seed: int, source: str, out: Path) -> Run:
        """The run of a named setting and a seed."""
        return Run(self.task, self.profile, source or self.data, str(out), self.settings[settings], seed)


class Job(NamedTuple):
    """One system to fit or count; `fold` is 0 for the data's own parts, `folder` that of its run."""

    settings: str
    seed: int
    fold: int
    variant: str
    parts: Parts
    folder: Path
    key: str


def read_sweep(path: Path) -> Sweep:
    """The sweep of a YAML file; what it must not say is one line (UserError)."""
    try:
        return Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None


# -- what there is to do ----------------------------------------------------------------------------------
def held_out_parts(rows: Sequence[Example], held_out: Sequence[bool], seed: int) -> Parts:
    """Some rows as `test`, a tenth of the others as `validation`, where rows in like words stay together."""
    from sklearn.model_selection import GroupShuffleSplit

    others = [row for row, out in zip(rows, held_out) if not out]
    chooser = GroupShuffleSplit(1, test_size=CHOOSING_SHARE, random_state=seed)
    places = next(chooser.split(others, groups=near_groups([row.text for row in others])))
    train, choosing = ([others[at] for at in chosen] for chosen in places)
    return {"train": train, "validation": choosing, "test": [row for row, out in zip(rows, held_out) if out]}


def fold_parts(rows: Sequence[Example], count: int, seed: int) -> list[Parts]:
    """Parts for each fold: it is `test`; alike rows stay together."""
    from sklearn.model_selection import GroupKFold

    groups = near_groups([row.text for row in rows])
    if not 2 <= count < len(set(groups)):
        raise UserError(f"{len(rows)} rows in {len(set(groups))} wordings cannot be cut into {count} folds")
    folds = (set(fold.tolist()) for _, fold in GroupKFold(count).split(rows, groups=groups))
    return [held_out_parts(rows, [at in fold for at in range(len(rows))], seed) for fold in folds]


def plan(sweep: Sweep, source: str, work: Path) -> list[Job]:
    """All jobs, a vote after its members; unknown settings and variants are refused (UserError)."""
    runs = {name: sweep.run(name, sweep.seeds[0], source, work) for name in sweep.settings}
    first = next(iter(runs.values()))
    variants = [one_of(name, first.task.variants, "variant") for name in sweep.variants]
    own, jobs = make_splits(first, data.load_source(first)).parts, []
    folds = fold_parts(own["train"], sweep.folds, first.seed) if sweep.folds else [own]
    for number, parts in enumerate(folds, start=bool(sweep.folds)):
        rows = data.fingerprint(
            [first.task.rows.to_json(row) | {"part": part} for part in parts for row in parts[part]]
        )
        for name, seed in itertools.product(runs, sweep.seeds):
            inputs = json.dumps([sweep.profile, seed, number, rows, runs[name].settings])
            folder = work / files.digest(inputs)[:16]
            for system in (*variants, *vote_names(first.task, variants)):
                key = files.digest(inputs, name, system)[:16]
                jobs.append(Job(name, seed, number, system, parts, folder, key))
    return jobs


# -- one system -------------------------------------------------------------------------------------------
def fit_variant(run: Run, variant: str, parts: Parts) -> int:
    """Fit a variant on the train part and what is made of it there; returns the number of rows it learnt from."""
    from helpers.training.fit import fit
    from helpers.training.rows import training_rows

    if not run.path("splits", "train_augmented.jsonl").exists():
        write_splits(run, parts)
        augment.augment_train(run, parts["train"])
    rows = training_rows(run, variant)
    fit(run, variant, rows, parts["validation"])
    return len(rows)


def fit_and_decode(run: Run, system: str, parts: Parts) -> tuple[int | None, list[Line]]:
    """Fit a variant, or count a vote of fitted ones: rows trained on, and what was decoded."""
    if system not in run.task.variants.votes:
        return fit_variant(run, system, parts), scoring.decode(run, system)
    for one in run.task.variants.votes[system]:  # what has its line from an earlier plan left no predictions
        if one != systems.RULES and not systems.predictions_path(run, one).exists():
            fit_and_decode(run, one, parts)
    return None, scoring.decode(run, system)


def answer(sweep: Sweep, job: Job, source: str) -> Line:
    """Carry out a job; its line with rows, seconds, and the scores of each part and decoding.

    Without a test part the scored rows are the validation part.
    """
    run = sweep.run(job.settings, job.seed, source, job.folder)
    rows, decoded = fit_and_decode(run, job.variant, job.parts)
    scores: dict[str, dict[str, dict[str, float]]] = {}
    for line in decoded:
        way, part, gold = line["decoding"], line["part"], run.load(line["part"])
        records = systems.read_predictions(run, scoring.prediction_name(run.task, job.variant, way), part)
        found = metrics_of(run.task).score(run.task, gold, scoring.bound(run.task, gold, records))
        known = {name: found[name] for name in SCORES if found.get(name) is not None}
        scores.setdefault(part, {})[way] = {
            name: round(value, 6) for name, value in known.items() if math.isfinite(value)
        }
    costs = files.read_json(run.path("costs.json")).get(job.variant, {})
    return {
        **{name: getattr(job, name) for name in ("key", "settings", "seed", "fold", "variant")},
        "train_rows": rows,
        "train_seconds": costs.get("train_seconds"),
        "predict_seconds": costs.get("predict_seconds"),
        "scores": scores,
    }


# -- all of them ------------------------------------------------------------------------------------------
def read_lines(file: IO[bytes]) -> dict[str, Line]:
    """Lines of a results file by key; a last one that a kill cut short is taken off."""
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)
    return {line["key"]: line for line in map(json.loads, content[: content.rfind(b"\n") + 1].splitlines())}


def carry_out(
    path: Path, source: str = "", out: Path | None = None, max_seconds: float = math.inf
) -> Path | None:
    """Carry out the sweep of a YAML file; what is finished is not done again.

    Parameters
    ----------
    source : str
        Data source in place of the file's.
    out : Path, optional
        Folder of results and, while there is work, of checkpoints; `results/sweeps` and `artifacts/sweeps`.
    max_seconds : float
        Nothing is begun after that time.

    Returns
    -------
    Path
        The results file, with a manifest beside it; None where the time was over before the end.
    """
    from helpers.training.fit import training_code

    sweep, started = read_sweep(path), time.monotonic()
    work = (out or ROOT / "artifacts" / "sweeps") / f"{path.stem}-work"
    jobs = plan(sweep, source, work)
    first = sweep.run(jobs[0].settings, jobs[0].seed, source, work)
    code = files.digest(*(file.read_bytes() for file in training_code(first)))
    other = f"-{data.data_name(first)}" * (data.data_name(first) != sweep.data)
    results = (out or SWEEPS) / f"{path.stem}{other}.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("a+b") as file, (work / "log.txt").open("a", encoding="utf-8", buffering=1) as log:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another process is writing {results}: wait for it, or give --out") from None
        lines = read_lines(file)
        todo = [job for job in jobs if job.key not in lines]
        if todo:
            results.with_suffix(".json").unlink(missing_ok=True)  # what is not complete is not shown
        for job in tqdm(todo, initial=len(jobs) - len(todo), total=len(jobs), desc=path.stem, unit="system"):
            if time.monotonic() - started >= max_seconds:
                print("stopped after the time given; the same command goes on")
                return None
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                line = answer(sweep, job, source)
            lines[job.key] = {**line, "code": code}
            file.write(json.dumps(lines[job.key]).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        complete = [lines[job.key] for job in jobs]
        data.write_jsonl(results, complete)  # in their order, without those of an earlier plan
    files.write_json(
        results.with_suffix(".json"),
        {
            "task": sweep.task,
            "data": data.data_name(first),
            "headline": first.task.headline,
            "sweep": sweep.model_dump(),
            "rows": {part: len(rows) for part, rows in jobs[0].parts.items()},
            "seconds": round(sum(line["train_seconds"] or 0 for line in complete if line["train_rows"])),
            "code": sorted({line["code"] for line in complete}),
            "hardware": hardware(),
            "environment": environment_fingerprint(),
        },
    )
    shutil.rmtree(work)
    return results


def main(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="One of configs/sweeps, or your own.")],
    data: Annotated[str, typer.Option(metavar="sample|public|DIR", help="In place of the file's.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For results and work.")] = None,
    max_seconds: Annotated[float, typer.Option(min=0, help="Begin nothing after that time.")] = math.inf,
) -> None:
    """Fit and score every setting and seed of a file; the same command goes on where it was stopped."""
    source = data if data in ("", "sample", "public") else str(Path(data).expanduser().resolve())
    results = carry_out(file, source, out, max_seconds)
    if results:
        print(sweep_table(results)[0].to_string())


if __name__ == "__main__":
    from helpers.command import start

    start(main)
