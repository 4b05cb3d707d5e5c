"""Systems trained and scored in many cases, with results that grow: what sweeps and measuring away from home share."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.model_selection import GroupShuffleSplit
from tqdm import tqdm

from helpers import files
from helpers.data import augment
from helpers.data import read as data
from helpers.data.splits import near_groups, write_splits
from helpers.errors import UserError
from helpers.evaluation import scoring, systems
from helpers.evaluation.away import HOME
from helpers.evaluation.confidence import confidence_frame
from helpers.evaluation.vote import Records, Weights, vote_names
from helpers.machine import hardware
from helpers.manifest import environment_fingerprint
from helpers.run import Run
from helpers.tasks import metrics
from helpers.tasks.base import Example
from helpers.training.fit import fit, training_code
from helpers.training.rows import training_rows

CHOOSING_SHARE = 0.1  # of the rows outside a held-out part: they choose the checkpoint and are not trained on
Sets = dict[str, list[Example]]
Line = dict[str, Any]


class Case(NamedTuple):
    """What is trained on and chosen by, and where it is scored besides.

    Parameters
    ----------
    name, group : str
        The group is what lines are averaged or told apart by: a setting, or `source` and `batch`.
    run : Run
        Its task, profile, settings and seed.
    parts : dict
        `train` and `validation`, which is scored as `home`.
    away : dict
        Name → rows of the other sets.
    """

    name: str
    group: str
    run: Run
    parts: Sets
    away: Sets

    @property
    def sets(self) -> Sets:
        """All that is scored."""
        return {HOME: self.parts["validation"]} | self.away

    def key(self, system: str = "") -> str:
        """What the answers of a system depend on; without a system what the case's folder does."""
        run, variants = self.run, self.run.task.variants
        sets = {f"part {name}": rows for name, rows in self.parts.items()} | (self.away if system else {})
        rows = {name: data.fingerprint(map(run.task.rows.to_json, own)) for name, own in sets.items()}
        others = set(variants) - {system, *variants.votes.get(system, ())}
        own = {name: value for name, value in run.settings.items() if name.split(".")[0] not in others}
        code = [file.read_bytes() for file in training_code(run)]
        return files.digest(json.dumps([run.profile, run.seed, own, self.name, rows, system]), *code)[:16]


def held_out_parts(rows: Sequence[Example], held_out: Sequence[bool], seed: int) -> Sets:
    """Some rows as `test`, a tenth of the others as `validation`, where rows in like words stay together."""
    others = [row for row, out in zip(rows, held_out) if not out]
    chooser = GroupShuffleSplit(1, test_size=CHOOSING_SHARE, random_state=seed)
    places = next(chooser.split(others, groups=near_groups([row.text for row in others])))
    train, choosing = ([others[at] for at in chosen] for chosen in places)
    return {"train": train, "validation": choosing, "test": [row for row, out in zip(rows, held_out) if out]}


# -- one system in one case -------------------------------------------------------------------------------
def ask(run: Run, case: Case, system: str) -> dict[str, Records]:
    """Set → records of one system in a case, from files where it was asked before, else after training it.

    A vote weighs what its members answer by what they got right at home. The case's own run lends what it has finished
    itself, if it was made of the same rows and settings.
    """
    paths = {
        name: run.path("answers", case.key(system), f"{files.digest(name)[:8]}.jsonl") for name in case.sets
    }
    if all(path.exists() for path in paths.values()):
        return {name: data.read_jsonl(path) for name, path in paths.items()}
    if system in run.task.variants.votes:
        members = [ask(run, case, one) for one in run.task.variants.votes[system]]
        weights = Weights(run.task, case.parts["validation"], [one[HOME] for one in members], run.seed)
        found = {name: weights.vote([one[name] for one in members], name == HOME) for name in case.sets}
    else:
        there = _finished(case, system)
        if not run.path("splits", "train.jsonl").exists():
            write_splits(run, case.parts)
        if system in run.task.variants and not there:
            if not run.path("splits", "train_augmented.jsonl").exists():
                augment.augment_train(run, case.parts["train"])
            fit(run, system, training_rows(run, system), case.parts["validation"])
        loaded = systems.load(case.run if there else run, system)
        found = {name: loaded.predict(rows) for name, rows in case.sets.items()}
        loaded.release()
    for name, records in found.items():
        data.write_jsonl(paths[name], [{key: one.get(key) for key in systems.KEPT} for one in records])
    return found


def _finished(case: Case, system: str) -> bool:
    """Whether the case's own run has trained the system on its own data."""
    made = files.read_json(case.run.dir / "manifest.json")
    its = (made.get("profile"), made.get("seed"), made.get("data", {}).get("source"))
    own = (case.run.profile, case.run.seed, case.run.data)
    return case.name == HOME and its == own and system in systems.trained(case.run)


def scores(case: Case, rows: Sequence[Example], records: Records) -> Line:
    """Scores on one set, and for each field how many answers of each confidence were right: [right, all]."""
    task, bound = case.run.task, scoring.bound(case.run.task, rows, records)
    results = metrics.field_results(task, rows, bound)
    strict, sums = metrics.scores_of(task), metrics.row_results(results).sum()
    found = {name: float(metrics.ratio(sums[top], sums[bottom])) for name, (top, bottom) in strict.items()}
    found |= metrics.soft_scores(task, results)
    found["unseen_f1"] = metrics.unseen_f1(task, case.parts["train"], results)
    counts: dict[str, dict[str, list[int]]] = {}
    for line in confidence_frame(task, rows, bound, unstated=1.0).itertuples():
        pair = counts.setdefault(line.field, {}).setdefault(f"{line.confidence:.4f}", [0, 0])
        pair[0] += int(line.right)
        pair[1] += 1
    known = {name: round(value, 6) for name, value in found.items() if math.isfinite(value)}
    return {"rows": len(rows), **known, "confidence": counts}


# -- all of them ------------------------------------------------------------------------------------------
def measure(
    cases: Sequence[Case],
    variants: Sequence[str],
    results: Path,
    work: Path,
    more: Mapping[str, Any],
    only: Iterable[str] = (),
    max_seconds: float = math.inf,
) -> bool:
    """Measure variants, the rules, and the votes of these in every case, or in those named by `only`.

    `results` is written after each: `{"task", "data", "lines": […], …}` with what they were measured on and `more`. What is
    there already and depends on the same is not done again: a stopped command goes on, other variants and cases join.

    Returns
    -------
    bool
        Whether nothing of what was asked is left: nothing is begun after `max_seconds`.
    """
    run, started, only = cases[0].run, time.monotonic(), set(only) or {case.name for case in cases}
    asked = [systems.RULES, *variants, *vote_names(run.task, variants)]
    jobs = [(case, system) for case in cases if case.name in only for system in asked]
    before, now = files.read_json(results), about(run)
    same = all(before.get(name) == now[name] for name in ("task", "data", "profile", "seed", "models"))
    lines = {(line["case"], line["variant"]): line for line in before.get("lines", []) if same}
    work.mkdir(parents=True, exist_ok=True)
    with (work / "log.txt").open("a", encoding="utf-8", buffering=1) as log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another process works in {work}: wait for it, or give --out") from None
        for case, system in tqdm(jobs, desc=results.stem, unit="system"):
            key = case.key(system)
            if lines.get((case.name, system), {}).get("key") == key:
                continue
            if time.monotonic() - started >= max_seconds:
                print("stopped after the time given; the same command goes on")
                return False
            of = case.run
            place = str(work / case.key())
            inner = Run(of.own_folder or of.task.name, of.profile, of.data, place, of.settings, of.seed)
            with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
                records = ask(inner, case, system)
            costs = files.read_json(inner.path("costs.json")).get(system, {})
            lines[case.name, system] = {
                "key": key,
                "case": case.name,
                "group": case.group,
                "variant": system,
                "train_rows": len(case.parts["train"]),
                "train_seconds": costs.get("train_seconds"),
                "sets": {name: scores(case, rows, records[name]) for name, rows in case.sets.items()},
            }
            order = dict.fromkeys([*(one.name for one in cases), *(name for name, _ in lines)])
            ordered = [line for name in order for line in lines.values() if line["case"] == name]
            files.write_json(results, {**now, **more, "lines": ordered})
            if case.group != "source" and system == asked[-1]:  # nothing else will be asked of these models
                shutil.rmtree(inner.dir / "checkpoints", ignore_errors=True)
    return True


def about(run: Run) -> Line:
    """What lines were measured on."""
    models = {name: run.settings[name] for name in ("base_model", "encoder_model") if name in run.settings}
    return {
        "task": run.task.name,
        "data": data.data_name(run),
        "profile": run.profile,
        "seed": run.seed,
        "models": models,
        "headline": run.task.headline,
        "soft": metrics.SOFT_HEADLINE[run.task.headline],
        "hardware": hardware(),
        "environment": environment_fingerprint(),
    }
