"""Rows of an ablation: which are pooled, how they fall into folds, and which choose the checkpoint."""
from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path

from helpers.config import Run, UserError
from helpers.data import fingerprint, is_public, load_source
from helpers.splits import alike_rows, grouped_split, make_splits
from helpers.tasks.base import Task
from helpers.tasks.records import Example

CHOOSING_SHARE = 0.10
"""Share of the training rows that choose the best epoch and are not trained on."""


@dataclass(frozen=True)
class Pool:
    """The rows that an ablation may use; the test part is not among them.

    Parameters
    ----------
    train, validation : tuple of Example
        Parts of the run's data, numbered anew so that no two rows share an id.
    name : str
        `sample`, `public` (also from a folder that holds the public rows), or the folder's name.
    sha256 : str
        :func:`rows_fingerprint` of both.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    name: str
    sha256: str

    @property
    def rows(self) -> list[Example]:
        """Train and validation rows together."""
        return [*self.train, *self.validation]


@dataclass(frozen=True)
class Split:
    """One division of the rows: what is trained on, what chooses the epoch, what is scored.

    Parameters
    ----------
    name : str
        `fold 1` …, or `validation`.
    train, choosing, held_out : tuple of Example
    sha256 : str
        Over all three, ids included.
    """

    name: str
    train: tuple[Example, ...]
    choosing: tuple[Example, ...]
    held_out: tuple[Example, ...]
    sha256: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        rows = [{"part": part, "id": row.id, "text": row.text,
                 "target": asdict(row.target) if is_dataclass(row.target) else row.target}
                for part in ("train", "choosing", "held_out") for row in getattr(self, part)]
        object.__setattr__(self, "sha256", fingerprint(rows))


def rows_fingerprint(task: Task, train: Sequence[Example], validation: Sequence[Example]) -> str:
    """Hash of the rows of both parts in their order; how they are numbered does not count."""
    return fingerprint([{"part": part, "row": task.to_row(row)}
                        for part, rows in (("train", train), ("validation", validation)) for row in rows])


def data_name(run: Run) -> str:
    """The name under which results on the run's data are kept."""
    if is_public(run):
        return "public"
    return run.data if run.data == "sample" else re.sub(r"[^\w.-]+", "-", Path(run.data).name) or "data"


def read_pool(run: Run) -> Pool:
    """Train and validation rows of the run's data, split and cleared of repeats as stage 02 does."""
    parts = make_splits(run, load_source(run)).parts
    sha256 = rows_fingerprint(run.task, parts["train"], parts["validation"])
    rows = [row.with_(id=at) for at, row in enumerate([*parts["train"], *parts["validation"]])]
    border = len(parts["train"])
    return Pool(tuple(rows[:border]), tuple(rows[border:]), data_name(run), sha256)


def make_folds(examples: Sequence[Example], count: int, rng: random.Random) -> list[list[Example]]:
    """Folds of about one size; rows of like wording (see :func:`helpers.splits.near_groups`) stay together.

    Large groups are dealt first, each to the smallest fold; which group comes first among equals is random.

    Raises
    ------
    UserError
        If there are fewer wordings than folds.
    """
    dealt = alike_rows(examples)
    if len(dealt) < count:
        raise UserError(f"{len(examples)} rows in {len(dealt)} different wordings are too few for {count} folds: "
                        "give fewer --folds or more rows")
    rng.shuffle(dealt)
    folds: list[list[Example]] = [[] for _ in range(count)]
    for members in sorted(dealt, key=len, reverse=True):
        min(folds, key=len).extend(members)
    return [sorted(fold, key=lambda example: example.id) for fold in folds]


def choosing_split(examples: Sequence[Example], rng: random.Random) -> tuple[list[Example], list[Example]]:
    """(rows to train on, rows that choose the epoch); like wordings stay together."""
    share = max(CHOOSING_SHARE, 2 / max(len(examples), 1))
    parts = grouped_split(list(examples), rng, {"train": 1 - share, "choosing": share})
    return parts["train"], parts["choosing"]


def first_rows(examples: Sequence[Example], count: int, rng: random.Random) -> list[Example]:
    """`count` random rows (0: all); with the same generator a smaller choice is part of a larger one."""
    order = rng.sample(list(examples), len(examples))
    return sorted(order[:count or len(order)], key=lambda example: example.id)


def fold_splits(run: Run, pool: Pool, count: int) -> list[Split]:
    """One split a fold: the fold is held out, a tenth of the others chooses, the rest trains."""
    folds = make_folds(pool.rows, count, run.rng("folds", count))
    splits = []
    for number, held_out in enumerate(folds, 1):
        others = sorted((row for fold in folds if fold is not held_out for row in fold), key=lambda row: row.id)
        train, choosing = choosing_split(others, run.rng("choosing", count, number))
        splits.append(Split(f"fold {number}", tuple(train), tuple(choosing), tuple(held_out)))
    return splits


def validation_split(run: Run, pool: Pool, count: int = 0) -> Split | None:
    """The validation part held out; of the train part a tenth chooses and `count` of the rest (0: all) train.

    Smaller counts are part of larger ones, and the same rows choose whatever the count. None where the train part has
    no more than `count` rows left, so that all of them is the same.
    """
    train, choosing = choosing_split(pool.train, run.rng("choosing", "validation"))
    if count >= len(train):
        return None
    return Split("validation", tuple(first_rows(train, count, run.rng("learning curve"))), tuple(choosing),
                 pool.validation)
