"""Where a system is weak: slices of the rows, strings that train never showed, input that is written less neatly."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers.tasks import metrics
from helpers.tasks.base import Example, Task
from helpers.tasks.metrics import comparable
from helpers.tasks.statistics import difference_ci, paired_permutation_test, proportion_ci, ratio, score_ci

Records = Sequence[dict[str, Any]]
KNOWN = ("seen with this label", "seen with another label", "seen unlabelled", "never seen")


# -- the score of some rows -------------------------------------------------------------------------------
def row_parts(task: Task, gold: Sequence[Example], records: Records) -> pd.DataFrame:
    """What each row adds to the two sums whose ratio is the headline score: index id, columns top, bottom.

    Records of other rows do no harm.
    """
    by_id = {record["id"]: record for record in records}
    sums = metrics.row_sums(task, gold, [by_id[example.id] for example in gold])
    return sums[list(metrics.scores_of(task)[task.headline])].set_axis(["top", "bottom"], axis=1)


def group_score(task: Task, gold: Sequence[Example], records: Records) -> float:
    """Score of some of the rows that the records were made for, see :func:`row_parts`."""
    return _score(row_parts(task, gold, records))


def _score(parts: pd.DataFrame) -> float:
    return float(ratio(parts["top"].sum(), parts["bottom"].sum()))


def _interval(parts: pd.DataFrame, seed: int) -> tuple[float, float]:
    """95 % interval of the score: Wilson's where each row is right or wrong, else by bootstrap over rows."""
    top, bottom = parts["top"].to_numpy(), parts["bottom"].to_numpy()
    if (bottom == 1).all() and np.isin(top, (0, 1)).all():
        return proportion_ci(int(top.sum()), len(top))
    return score_ci(top, bottom, seed=seed)


# -- slices -----------------------------------------------------------------------------------------------
def slice_table(task: Task, gold: Sequence[Example], records: Records, seed: int) -> pd.DataFrame:
    """Score in every slice that the task names.

    Slices whose rows have no value are left out where the score counts values: it is 0 there by construction. Columns
    slice, value, n (rows), score, low, high (95 %); slices in the task's order, values by name.
    """
    parts, slices, table = row_parts(task, gold, records), pd.DataFrame(task.hooks.slices(gold)), []
    by_row = (parts["bottom"] == 1).all()  # each row is right or wrong
    filled = np.array([any(task.values(row.target).values()) for row in gold])
    for name, values in slices.items():
        for value, rows in values.groupby(values):
            group = parts.iloc[rows.index]
            if group["bottom"].sum() and (by_row or filled[rows.index].any()):
                table.append((name, value, len(group), _score(group), *_interval(group, seed)))
    return pd.DataFrame(table, columns=["slice", "value", "n", "score", "low", "high"])


# -- what train had seen ----------------------------------------------------------------------------------
def seen_table(
    task: Task, train: Sequence[Example], gold: Sequence[Example], records: Records
) -> pd.DataFrame:
    """Recall of values by what train says of their words; unlabelled: they stand in train, but never as a value.

    Index :data:`KNOWN`; columns entities, right, recall, low, high (Wilson 95 %).
    """
    fields: dict[str, set[str]] = {}
    for row in train:
        for name, values in comparable(task, row.target).items():
            for value in values:
                fields.setdefault(value.lower(), set()).add(name)
    text = "\n".join(row.text for row in train).lower()

    def known(name: str, value: str) -> str:
        if there := fields.get(value.lower()):
            return KNOWN[0] if name in there else KNOWN[1]
        stands = re.search(rf"(?<!\w){re.escape(value.lower())}(?!\w)", text)
        return KNOWN[2] if stands else KNOWN[3]

    counts = pd.DataFrame(0, index=list(KNOWN), columns=["entities", "right"])
    for line in metrics.field_results(task, gold, records).itertuples():
        for value, wanted in Counter(line.gold).items():
            counts.loc[known(line.field, value)] += wanted, min(wanted, line.predicted.count(value))
    bounds = [
        proportion_ci(right, found) if found else (np.nan, np.nan) for found, right in counts.to_numpy()
    ]
    counts["recall"] = ratio(counts["right"], counts["entities"])
    return counts.join(pd.DataFrame(bounds, index=counts.index, columns=["low", "high"]))


# -- untidy input -----------------------------------------------------------------------------------------
def perturb(task: Task, examples: Sequence[Example], seed: int) -> dict[str, list[Example]]:
    """Every perturbation of the task applied to every row it fits and changes; ids stay, targets may move along.

    Each (perturbation, row) has a generator of its own, so that one more row or perturbation changes no other.
    """
    changed: dict[str, list[Example]] = {}
    for name, change in task.hooks.perturbations().items():
        pairs = ((row, change(row, random.Random(f"{seed}:{name}:{row.id}"))) for row in examples)
        changed[name] = [new for row, new in pairs if new is not None and new.text != row.text]
    return changed


def robustness_table(
    task: Task,
    examples: Sequence[Example],
    clean: Records,
    predict: Callable[[list[Example]], Records],
    seed: int,
) -> pd.DataFrame:
    """Score on perturbed inputs, against the same rows unperturbed, whose prediction records are `clean`.

    Returns
    -------
    DataFrame
        Index perturbation; columns n (rows it fits), clean, score (before and after), low, high (95 % of
        score), difference (score − clean), difference_low, difference_high (paired 95 %), p (paired permutation of
        what the rows got wrong).
    """
    rows, lines = {row.id: row for row in examples}, {}
    for name, changed in tqdm(perturb(task, examples, seed).items(), desc="perturbations", unit="kind"):
        if not changed:
            continue
        before = row_parts(task, [rows[row.id] for row in changed], clean)
        after = row_parts(task, changed, predict(changed))
        lines[name] = (
            len(changed),
            _score(before),
            _score(after),
            *score_ci(after["top"], after["bottom"], seed=seed),
            _score(after) - _score(before),
            *difference_ci(after, before, seed=seed),
            paired_permutation_test(after, before, seed=seed),
        )
    columns = ["n", "clean", "score", "low", "high", "difference", "difference_low", "difference_high", "p"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("perturbation")
