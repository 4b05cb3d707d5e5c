"""How much of a score is left when the input is written less neatly."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from helpers.tasks.base import Task
from helpers.tasks.metrics import row_scores
from helpers.tasks.records import Example
from helpers.tasks.statistics import compare, score_ci

Records = list[dict[str, Any]]
ROWS = 120  # rows that stage 06 perturbs at most: each perturbation decodes them anew


def perturb(task: Task, examples: Sequence[Example], seed: int) -> dict[str, list[Example]]:
    """Every perturbation of the task applied to every row it fits and changes; ids stay, targets may move along.

    Each (perturbation, row) has a generator of its own, so that one more row or perturbation changes no other.
    """
    changed: dict[str, list[Example]] = {}
    for name, change in task.hooks.perturbations().items():
        pairs = ((row, change(row, random.Random(f"{seed}:{name}:{row.id}"))) for row in examples)
        changed[name] = [new for row, new in pairs if new is not None and new.text != row.text]
    return changed


def sample_rows(examples: Sequence[Example], limit: int, seed: int) -> list[Example]:
    """At most `limit` rows in their order, drawn at random: perturbed copies have to be decoded anew."""
    kept = sorted(random.Random(seed).sample(range(len(examples)), min(limit, len(examples))))
    return [examples[at] for at in kept]


def robustness_table(
    task: Task,
    examples: Sequence[Example],
    clean: Sequence[dict[str, Any]],
    predict: Callable[[list[Example]], Records],
    seed: int,
) -> pd.DataFrame:
    """Mean row score on perturbed inputs, against the same rows unperturbed.

    Parameters
    ----------
    task : Task
    examples : sequence of Example
    clean : sequence of dict
        Prediction records of the unperturbed rows (more rows than `examples` do no harm).
    predict : callable
        Examples → prediction records of the variant under test.
    seed : int

    Returns
    -------
    DataFrame
        Index perturbation; columns n (rows it fits), clean, score (before and after), low, high (95 % of
        score), difference (score − clean), difference_low, difference_high (paired 95 %), p (paired permutation).
    """
    by_id, rows = {record["id"]: record for record in clean}, {row.id: row for row in examples}
    lines = {}
    for name, changed in tqdm(perturb(task, examples, seed).items(), desc="perturbations", unit="kind"):
        if not changed:
            continue
        before = row_scores(task, [rows[row.id] for row in changed], [by_id[row.id] for row in changed])
        after = row_scores(task, changed, predict(changed))
        result = compare(after, before, seed=seed)
        lines[name] = (
            len(changed),
            result["right"],
            result["left"],
            *score_ci(after, seed=seed),
            result["difference"],
            result["low"],
            result["high"],
            result["p_permutation"],
        )
    columns = ["n", "clean", "score", "low", "high", "difference", "difference_low", "difference_high", "p"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("perturbation")
