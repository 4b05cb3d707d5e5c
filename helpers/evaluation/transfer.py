"""How systems do away from home: on another source, on what is held out whole (a layout, a half, a topic), on a file.

Run as: python -m helpers.evaluation.transfer calendar --public my-public-data --file my-events.jsonl

Home are the rows that a run trains on and chooses by. Its test part is left alone: what is measured here chooses which
variant is deployed (:func:`helpers.evaluation.systems.deployed`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from sklearn.cluster import KMeans
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from helpers import files
from helpers.data import read as data
from helpers.data.splits import make_splits
from helpers.errors import UserError, one_of
from helpers.evaluation import systems
from helpers.evaluation.measured import HOME, transfer_path, transfer_table
from helpers.evaluation.sweep import Case, Sets, held_out_parts, measure
from helpers.paths import ROOT
from helpers.run import SEED, Run
from helpers.tasks.base import Example, Task

TOPICS = 4
LEAST = 5  # rows that a held-out batch has, and leaves


def topics(texts: Sequence[str], count: int = TOPICS) -> list[str]:
    """Which of `count` worlds each text speaks of: k-means of TF-IDF vectors reduced by SVD (latent semantic analysis)."""
    weigh = TfidfVectorizer(sublinear_tf=True, stop_words="english", min_df=2, token_pattern=r"[^\W\d]{3,}")
    words = weigh.fit_transform(texts)
    room = max(1, min(30, words.shape[1] - 1, len(texts) - 1))
    places = normalize(TruncatedSVD(room, random_state=SEED).fit_transform(words))
    return [f"topic {at + 1}" for at in KMeans(count, n_init=10, random_state=SEED).fit_predict(places)]


def batches(run: Run, rows: Sequence[Example]) -> dict[str, Sets]:
    """Grouping (:attr:`Rows.batches`) → its values → rows of each; `half` is what `halves.txt` beside a sample says."""
    told = run.task.hooks.slices(rows)
    columns = {name: [own.get(name) for own in told] for name in run.task.rows.batches}
    if "half" in columns:
        file = next(iter(data.source_files(run).values())).with_name("halves.txt")
        halves = file.read_text(encoding="utf-8").split() if run.data == "sample" else []
        columns["half"] = [halves[row.id] if halves else None for row in rows]
    if "topic" in columns:
        columns["topic"] = topics([row.text for row in rows])
    found = {}
    for name, values in columns.items():
        if known := sorted({value for value in values if value is not None}):
            found[name] = {value: [row for row, own in zip(rows, values) if own == value] for value in known}
    return found


def rows_of_file(task: Task, path: Path) -> list[Example]:
    """Rows of a file to be scored: those of the task's own form, or `text` and what is `expected` of it."""
    found = []
    try:
        for at, line in enumerate(filter(str.strip, path.read_text(encoding="utf-8").splitlines())):
            row = files.parse_json(line)
            if "expected" in row:
                example = task.rows.example(row["text"], at)
                found.append(
                    example.with_(target=task.canonical(task.bind(task.rows.flat(row["expected"]), example)))
                )
            else:
                found.append(task.rows.parse(row, at))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{path}, row {len(found) + 1}: {error!r}: a row has a text and what is expected"
        ) from None
    return found


def plan(run: Run, other: Run | None = None, extra: Sets | None = None) -> list[Case]:
    """All cases: home and the other source, each scored on the other, then home without each batch.

    Only the train and validation parts of both sources are touched.
    """
    own, name, extra = make_splits(run, data.load_source(run)).parts, data.data_name(run), extra or {}
    pool = sorted(own["train"] + own["validation"], key=lambda row: row.id)
    groups = batches(run, pool)
    found = [Case(HOME, "source", run, own, extra)]
    if other:
        theirs, their_name = make_splits(other, data.load_source(other)).parts, data.data_name(other)
        first = next(iter(groups.values()), {"": pool})
        away = {f"{name} {value}".strip(): rows for value, rows in first.items()}
        found = [
            Case(HOME, "source", run, own, {their_name: theirs["validation"]} | extra),
            Case(their_name, "source", run, theirs, away | extra),
        ]
    for sets in groups.values():
        for value, rows in sets.items():
            if min(len(rows), len(pool) - len(rows)) >= LEAST:
                held = {row.id for row in rows}
                parts = held_out_parts(pool, [row.id in held for row in pool], run.seed)
                found.append(Case(f"without {value}", "batch", run, parts, {value: parts["test"]}))
    return found


def names_among(text: str, known: list[str], what: str) -> list[str]:
    """Names that a user gave, parted by commas; a UserError for one that is not known."""
    return [one_of(name.strip(), known, what) for name in text.split(",") if name.strip()]


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
    work = (out or ROOT / "artifacts") / "transfer"
    run = make(data=source, out=str(out) if out else None)
    other = make(data=public, out=str(work / "other")) if public else None
    known = run.task.variants
    cheap = ",".join(name for name, one in known.items() if name in known.taggers and not one.teacher)
    asked = names_among(variants or cheap, [systems.RULES, *known], "variant")
    planned = plan(run, other, {path.stem: rows_of_file(run.task, path) for path in file or ()})
    only = names_among(cases, [case.name for case in planned], "case")
    results = transfer_path(run, out)
    trained = [name for name in asked if name != systems.RULES]  # which are always measured
    measure(planned, trained, results, work / run.task.name, {}, only, max_seconds)
    print(transfer_table(files.read_json(results)).round(3).to_string())


if __name__ == "__main__":
    from helpers.command import fix_hashes, start

    fix_hashes()
    start(main)
