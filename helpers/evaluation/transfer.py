"""How systems do away from home: on another source, on what is held out whole (a layout, a half, a topic), on a file.

Run as: python -m helpers.evaluation.transfer calendar --public ../shared/data --file my-events.jsonl

Home are the rows that a run trains on and chooses by. Its test part is left alone: what is measured here chooses which
variant is deployed (:func:`helpers.evaluation.systems.deployed`).
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from tqdm import tqdm

from helpers import files
from helpers.data import read as data
from helpers.data.splits import make_splits, write_splits
from helpers.errors import UserError, one_of
from helpers.evaluation import scoring, systems
from helpers.evaluation.away import HOME, transfer_path, transfer_table
from helpers.evaluation.confidence import confidence_frame
from helpers.evaluation.measured import Line
from helpers.evaluation.sweep import Parts, fit_variant, held_out_parts
from helpers.evaluation.vote import Records, Weights, vote_names
from helpers.machine import hardware
from helpers.manifest import environment_fingerprint
from helpers.paths import ROOT
from helpers.run import SEED, Run
from helpers.tasks.base import Task
from helpers.tasks.metrics import SOFT_HEADLINE, soft_scores, unseen_f1
from helpers.tasks.records import Example
from helpers.tasks.scores import metrics_of

TOPICS = 4
LEAST = 5  # rows that a held-out batch has, and leaves
Sets = dict[str, list[Example]]


class Case(NamedTuple):
    """What is trained on and chosen by, and where it is scored: `kind` is `source` or `batch` (held out whole)."""

    name: str
    kind: str
    parts: Parts
    away: Sets


# -- what is home, what is away ---------------------------------------------------------------------------
def topics(texts: Sequence[str], count: int = TOPICS) -> list[str]:
    """Which of `count` worlds each text speaks of: k-means of TF-IDF vectors reduced by SVD (latent semantic analysis)."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    words = TfidfVectorizer(
        sublinear_tf=True, stop_words="english", min_df=2, token_pattern=r"[^\W\d]{3,}"
    ).fit_transform(texts)
    room = max(1, min(30, words.shape[1] - 1, len(texts) - 1))
    places = make_pipeline(TruncatedSVD(room, random_state=SEED), Normalizer()).fit_transform(words)
    return [f"topic {at + 1}" for at in KMeans(count, n_init=10, random_state=SEED).fit_predict(places)]


def batches(run: Run, rows: Sequence[Example]) -> dict[str, Sets]:
    """Grouping (:attr:`Task.batches`) → its values → rows of each; `half` is what `halves.txt` beside a sample says."""
    told = run.task.hooks.slices(rows)
    columns = {name: [own.get(name) for own in told] for name in run.task.batches}
    if "half" in columns:
        file = next(iter(data.source_files(run).values())).with_name("halves.txt")
        halves = file.read_text(encoding="utf-8").split() if run.data == "sample" else []
        columns["half"] = [halves[row.id] if halves else None for row in rows]
    if "topic" in columns:
        columns["topic"] = topics([row.text for row in rows])
    found: dict[str, Sets] = {}
    for name, values in columns.items():
        for row, value in zip(rows, values):
            if value is not None:
                found.setdefault(name, {}).setdefault(value, []).append(row)
    return {name: dict(sorted(sets.items())) for name, sets in found.items()}


def rows_of_file(task: Task, path: Path) -> list[Example]:
    """Rows of a file to be scored: those of the task's own form, or `text` and what is `expected` of it."""
    found = []
    try:
        for at, line in enumerate(filter(str.strip, path.read_text(encoding="utf-8").splitlines())):
            row = files.parse_json(line)
            if "expected" in row:
                example = task.rows.example(row["text"], at)
                found.append(example.with_(target=task.canonical(task.bind(row["expected"], example))))
            else:
                found.append(task.rows.parse(row, at))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}, row {len(found) + 1}: {error!r}: a row has a text and what is expected"
        ) from None
    return found


def plan(run: Run, other: Run | None, extra: Sets) -> list[Case]:
    """All cases: home and the other source, each scored on the other, then home without each batch.

    Only the train and validation parts of both sources are touched.
    """
    own, name = make_splits(run, data.load_source(run)).parts, data.data_name(run)
    pool = sorted(own["train"] + own["validation"], key=lambda row: row.id)
    groups, theirs = batches(run, pool), {}
    if other:
        theirs = make_splits(other, data.load_source(other)).parts
    found = [
        Case(HOME, "source", own, ({data.data_name(other): theirs["validation"]} if other else {}) | extra)
    ]
    if other:
        first = next(iter(groups.values()), {"": pool})
        away = {f"{name} {value}".strip(): rows for value, rows in first.items()}
        found.append(Case(data.data_name(other), "source", theirs, away | extra))
    for sets in groups.values():
        for value, rows in sets.items():
            if min(len(rows), len(pool) - len(rows)) >= LEAST:
                held = {row.id for row in rows}
                parts = held_out_parts(pool, [row.id in held for row in pool], run.seed)
                found.append(Case(f"without {value}", "batch", parts, {value: parts["test"]}))
    return found


# -- one system in one case -------------------------------------------------------------------------------
def finished_at_home(run: Run, home: Run, case: Case, system: str) -> bool:
    """Whether a run of the same data, profile and seed has trained the system already."""
    made = files.read_json(home.dir / "manifest.json")
    same = (made.get("profile"), made.get("seed"), made.get("data", {}).get("source"))
    return case.name == HOME and same == (run.profile, run.seed, run.data) and system in systems.trained(home)


def answers(run: Run, home: Run, case: Case, system: str) -> dict[str, Records]:
    """Set → records of one system in a case, `home` among them; it is trained where need be, and kept in files."""
    sets = {HOME: case.parts["validation"]} | case.away
    key = key_of(run, case, system)
    paths = {name: run.path("away", key, f"{files.digest(name)[:8]}.jsonl") for name in sets}
    if not all(path.exists() for path in paths.values()):
        found = ask(run, home, case, system, sets)
        for name, records in found.items():
            data.write_jsonl(paths[name], [{key: one.get(key) for key in systems.KEPT} for one in records])
    return {name: data.read_jsonl(path) for name, path in paths.items()}


def ask(run: Run, home: Run, case: Case, system: str, sets: Sets) -> dict[str, Records]:
    """Set → records; a vote counts what its members answer, weighed by what they got right at home."""
    if system in run.task.variants.votes:
        members = [answers(run, home, case, one) for one in run.task.variants.votes[system]]
        weights = Weights(run.task, sets[HOME], [one[HOME] for one in members], run.seed)
        return {name: weights.vote([one[name] for one in members], name == HOME) for name in sets}
    if not run.path("splits", "validation.jsonl").exists():
        write_splits(run, case.parts)
    there = finished_at_home(run, home, case, system)
    if system in run.task.variants and not there:
        fit_variant(run, system, case.parts)
    loaded = systems.load(home if there else run, system)
    found = {name: loaded.predict(rows) for name, rows in sets.items()}
    loaded.release()
    return found


def scores_of(task: Task, case: Case, rows: Sequence[Example], records: Records) -> Line:
    """Scores on one set, and for each field how many answers of each confidence were right: [right, all]."""
    bound = scoring.bound(task, rows, records)
    results = metrics_of(task).field_results(task, rows, bound)
    strict, soft = metrics_of(task).score(task, rows, bound), soft_scores(task, results)
    scores = {
        task.headline: strict[task.headline],
        **soft,
        "field_accuracy": strict["field_accuracy"],
        "unseen_f1": unseen_f1(task, case.parts["train"], results),
    }
    counts: dict[str, dict[str, list[int]]] = {}
    for line in confidence_frame(task, rows, bound, unstated=1.0).itertuples():
        pair = counts.setdefault(line.field, {}).setdefault(f"{line.confidence:.4f}", [0, 0])
        pair[0] += int(line.right)
        pair[1] += 1
    return {
        "rows": len(rows),
        **{name: round(value, 6) for name, value in scores.items() if math.isfinite(value)},
        "confidence": counts,
    }


# -- all of them ------------------------------------------------------------------------------------------
def key_of(run: Run, case: Case, system: str = "") -> str:
    """What the answers of a system in a case depend on; without a system what the case's folder does."""
    from helpers.training.fit import training_code

    variants, sets = run.task.variants, {f"part {name}": rows for name, rows in case.parts.items()}
    sets |= case.away if system else {}
    rows = {name: data.fingerprint(map(run.task.rows.to_json, own)) for name, own in sets.items()}
    others = set(variants) - {system, *variants.votes.get(system, ())}
    own = {name: value for name, value in run.settings.items() if name.split(".")[0] not in others}
    code = [file.read_bytes() for file in training_code(run)]
    return files.digest(json.dumps([run.profile, run.seed, own, case.name, rows, system]), *code)[:16]


def carry_out(
    run: Run,
    other: Run | None = None,
    extra: Sets | None = None,
    variants: Sequence[str] = (),
    only: Sequence[str] = (),
    max_seconds: float = math.inf,
    work: Path | None = None,
    results: Path | None = None,
) -> Path:
    """Train and score variants (taggers by default), the rules and the votes of these in every case.

    What is measured already is not done again: a stopped command goes on, and more variants or cases join.

    Parameters
    ----------
    run, other : Run
        Home and the other source; `run.dir` is where finished variants of home are looked for.
    extra : dict
        Further sets to score, name → rows.
    only : sequence of str
        Cases to do, all by default.
    max_seconds : float
        Nothing is begun after that time.

    Returns
    -------
    Path
        The results: `{"task", "data", "headline", "lines": […], …}` with what they were measured on.
    """
    task, started = run.task, time.monotonic()
    cheap = [name for name, one in task.variants.items() if name in task.variants.taggers and not one.teacher]
    asked = [one_of(name, [systems.RULES, *task.variants], "variant") for name in variants or cheap]
    variants = [name for name in asked if name != systems.RULES]
    planned = plan(run, other, extra or {})
    names = [case.name for case in planned]
    chosen = [one_of(name, names, "case") for name in only] or names
    work, results = work or ROOT / "artifacts" / "transfer", results or transfer_path(run)
    lines = {(line["case"], line["variant"]): line for line in files.read_json(results).get("lines", [])}
    jobs = [
        (case, system)
        for case in planned
        for system in (systems.RULES, *variants, *vote_names(task, variants))
        if case.name in chosen
    ]
    for case, system in tqdm(jobs, desc=f"{task.name}, away", unit="system"):
        if time.monotonic() - started >= max_seconds:
            print("stopped after the time given; the same command goes on")
            break
        key = key_of(run, case, system)
        if lines.get((case.name, system), {}).get("key") == key:
            continue
        place = work / task.name / key_of(run, case)
        inner = Run(run.own_folder or task.name, run.profile, run.data, str(place), run.settings, run.seed)
        with (
            (place / "log.txt").open("a", encoding="utf-8", buffering=1) as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            records = answers(inner, run, case, system)
        sets = {HOME: case.parts["validation"]} | case.away
        lines[case.name, system] = {
            "key": key,
            "case": case.name,
            "kind": case.kind,
            "variant": system,
            "train_rows": len(case.parts["train"]),
            "sets": {name: scores_of(task, case, rows, records[name]) for name, rows in sets.items()},
        }
        order = dict.fromkeys([*names, *(name for name, _ in lines)])
        ordered = [line for name in order for line in lines.values() if line["case"] == name]
        files.write_json(results, about(run) | {"lines": ordered})
        if case.kind == "batch" and system == jobs[-1][1]:  # nothing else will be asked of its models
            shutil.rmtree(inner.dir / "checkpoints", ignore_errors=True)
    return results


def about(run: Run) -> dict[str, Any]:
    """What lines were measured on."""
    return {
        "task": run.task.name,
        "data": data.data_name(run),
        "profile": run.profile,
        "seed": run.seed,
        "models": {
            name: run.settings[name] for name in ("base_model", "encoder_model") if name in run.settings
        },
        "headline": run.task.headline,
        "soft": SOFT_HEADLINE[run.task.headline],
        "hardware": hardware(),
        "environment": environment_fingerprint(),
    }


def main(
    task: Annotated[str, typer.Argument(metavar="TASK", help="calendar, crime, it_ner or a folder.")],
    variants: Annotated[str, typer.Option(metavar="NAME,…", help="Taggers by default, rules always.")] = "",
    cases: Annotated[str, typer.Option(metavar="NAME,…", help="Some of the cases.")] = "",
    source: Annotated[str, typer.Option("--data", metavar="sample|public|DIR", help="Home.")] = "sample",
    public: Annotated[str, typer.Option(metavar="DIR|public", help="The other source.")] = "",
    file: Annotated[
        list[Path] | None, typer.Option(help="Texts with what is expected; more than once.")
    ] = None,
    profile: Annotated[str, typer.Option(metavar="smoke|cpu|gpu")] = "cpu",
    seed: Annotated[int, typer.Option()] = SEED,
    settings: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE")] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For results and work.")] = None,
    max_seconds: Annotated[float, typer.Option(min=0, help="Begin nothing after that time.")] = math.inf,
) -> None:
    """Measure systems away from home; the same command goes on where it was stopped."""
    own = dict(setting.split("=", 1) for setting in settings or ())
    make = partial(Run, task, profile, settings=own, seed=seed)
    run = make(data=source, out=str(out) if out else None)
    work = out / "work" if out else None
    other = (
        make(data=public, out=str((work or ROOT / "artifacts" / "transfer") / "other")) if public else None
    )
    extra = {path.stem: rows_of_file(run.task, path) for path in file or ()}
    split = [[name.strip() for name in text.split(",") if name.strip()] for text in (variants, cases)]
    results = transfer_path(run, out) if out else None
    path = carry_out(run, other, extra, *split, max_seconds, work, results)
    print(transfer_table(files.read_json(path)).round(3).to_string())


if __name__ == "__main__":
    from helpers.command import start

    start(main)
