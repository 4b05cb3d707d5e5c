"""A sweep: settings × seeds (× folds) of one YAML file, and one table of their means; and what it shares with transfers.

Run as: python -m helpers.evaluation.sweep configs/sweeps/calendar_seeds.yaml --data public
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from tqdm import tqdm

from helpers import files
from helpers.data import augment
from helpers.data import read as data
from helpers.data.splits import make_splits, near_groups, write_splits
from helpers.errors import UserError, one_of
from helpers.evaluation import scoring, systems
from helpers.evaluation.confidence import confidence_frame
from helpers.evaluation.measured import HOME, SCORED, SWEEPS, Line, sweep_table
from helpers.evaluation.vote import Records, Weights
from helpers.machine import hardware
from helpers.manifest import environment_fingerprint
from helpers.paths import ROOT
from helpers.run import SEED, Run
from helpers.tasks import metrics
from helpers.tasks.base import Example
from helpers.training.fit import fit, training_code
from helpers.training.rows import training_rows

CHOOSING_SHARE = 0.1  # of the rows outside a held-out part: they choose the checkpoint and are not trained on
Sets = dict[str, list[Example]]


# -- one case ---------------------------------------------------------------------------------------------
class Case(NamedTuple):
    """What is trained on and chosen by, and where it is scored besides."""

    name: str
    group: str  # what lines are averaged or told apart by: a setting, or `source` and `batch`
    run: Run  # its task, profile, settings and seed
    parts: Sets  # `train` and `validation`, which is scored as `home`
    away: Sets  # name → rows of the other sets

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

    def has_finished(self, system: str) -> bool:
        """Whether the case's own run has trained the system, and on its own data: then it lends it."""
        made = files.read_json(self.run.dir / "manifest.json")
        its = made.get("profile"), made.get("seed"), made.get("data", {}).get("source")
        own = self.run.profile, self.run.seed, self.run.data
        return self.name == HOME and its == own and system in systems.trained(self.run)


def held_out_parts(rows: Sequence[Example], held_out: Sequence[bool], seed: int) -> Sets:
    """Some rows as `test`, a tenth of the others as `validation`, where rows in like words stay together."""
    others = [row for row, out in zip(rows, held_out) if not out]
    chooser = GroupShuffleSplit(1, test_size=CHOOSING_SHARE, random_state=seed)
    places = next(chooser.split(others, groups=near_groups([row.text for row in others])))
    train, choosing = ([others[at] for at in chosen] for chosen in places)
    return {"train": train, "validation": choosing, "test": [row for row, out in zip(rows, held_out) if out]}


def ask(run: Run, case: Case, system: str) -> dict[str, Records]:
    """Set → records of one system in a case, from files where it was asked before, else after training it in `run`.

    A vote weighs what its members answer by what they got right at home.
    """
    path = run.path("answers", f"{case.key(system)}.json")
    if path.exists():
        return files.read_json(path)
    variants = run.task.variants
    if system in variants.votes:
        members = [ask(run, case, one) for one in variants.votes[system]]
        weights = Weights(run.task, case.parts["validation"], [one[HOME] for one in members], run.seed)
        found = {name: weights.vote([one[name] for one in members], name == HOME) for name in case.sets}
    else:
        if not run.path("splits", "train.jsonl").exists():
            write_splits(run, case.parts)
        lender = case.run if case.has_finished(system) else run
        if system in variants and lender is run:
            if not run.path("splits", "train_augmented.jsonl").exists():
                augment.augment_train(run, case.parts["train"])
            fit(run, system, training_rows(run, system), case.parts["validation"])
        loaded = systems.load(lender, system)
        found = {name: loaded.predict(rows) for name, rows in case.sets.items()}
        loaded.release()
    files.write_json(path, {name: systems.kept(records) for name, records in found.items()})
    return found


def scores(case: Case, rows: Sequence[Example], records: Records) -> Line:
    """Scores on one set, and for each field how many answers of each confidence were right: [right, all]."""
    task, bound = case.run.task, scoring.bound(case.run.task, rows, records)
    results = metrics.field_results(task, rows, bound)
    sums = metrics.row_results(results).sum()
    ratios = metrics.scores_of(task).items()
    found = {name: float(metrics.ratio(sums[top], sums[bottom])) for name, (top, bottom) in ratios}
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
    Nothing is begun after `max_seconds`; returns whether nothing of what was asked is left.
    """
    run, started = cases[0].run, time.monotonic()
    asked = [systems.RULES, *variants, *systems.votes_of(run.task, variants)]
    jobs = [(case, system) for case in cases if not only or case.name in only for system in asked]
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
            of, place = case.run, str(work / case.key())
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


# -- the sweep of a file ----------------------------------------------------------------------------------
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


def read_sweep(path: Path) -> Sweep:
    """The sweep of a YAML file; what it must not say is one line (UserError)."""
    try:
        return Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None


def fold_parts(rows: Sequence[Example], count: int, seed: int) -> list[Sets]:
    """Parts for each fold: it is `test`; alike rows stay together."""
    groups = near_groups([row.text for row in rows])
    if not 2 <= count < len(set(groups)):
        raise UserError(f"{len(rows)} rows in {len(set(groups))} wordings cannot be cut into {count} folds")
    folds = (set(fold.tolist()) for _, fold in GroupKFold(count).split(rows, groups=groups))
    return [held_out_parts(rows, [at in fold for at in range(len(rows))], seed) for fold in folds]


def plan(sweep: Sweep, source: str, work: Path) -> list[Case]:
    """A case for each fold, setting and seed; unknown settings and variants are refused (UserError)."""
    runs = {
        (name, seed): Run(sweep.task, sweep.profile, source or sweep.data, str(work / "plan"), own, seed)
        for name, own in sweep.settings.items()
        for seed in sweep.seeds
    }
    first = next(iter(runs.values()))
    for name in sweep.variants:
        one_of(name, first.task.variants, "variant")
    own = make_splits(first, data.load_source(first)).parts
    folds = fold_parts(own["train"], sweep.folds, first.seed) if sweep.folds else [own]
    return [
        Case(
            f"{settings}, seed {seed}, part {at}",
            settings,
            run,
            parts,
            {SCORED: parts["test"]} if "test" in parts else {},
        )
        for at, parts in enumerate(folds)
        for (settings, seed), run in runs.items()
    ]


def carry_out(
    path: Path, source: str = "", out: Path | None = None, max_seconds: float = math.inf
) -> Path | None:
    """Carry out the sweep of a YAML file; what is finished is not done again.

    `source` stands in place of the file's data; `out` gets results and, while there is work, checkpoints (`results/sweeps`
    and `artifacts/sweeps` by default). Returns the results file; None where `max_seconds` were over before the end.
    """
    sweep, work = read_sweep(path), (out or ROOT / "artifacts" / "sweeps") / f"{path.stem}-work"
    cases = plan(sweep, source, work)
    name = data.data_name(cases[0].run)
    results = (out or SWEEPS) / f"{path.stem}{f'-{name}' * (name != sweep.data)}.json"
    done = measure(cases, sweep.variants, results, work, {"sweep": sweep.model_dump()}, (), max_seconds)
    return results if done else None


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
    from helpers.command import fix_hashes, start

    fix_hashes()
    start(main)
