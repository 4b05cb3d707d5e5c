"""Votes: systems that train nothing and let the majority of other systems decide each field.

Members that err in different ways seldom err alike, so a value that most of them found is more often right than the
value of any one. Values are compared as the task views them (:meth:`helpers.tasks.base.Task.values`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from helpers.files import read_json
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.training.costs import record_costs

RULES = "rules"  # the one member that is not trained
KINDS = ("unanimous", "majority", "split")
ALL_FIELDS = "all fields"
SUMS = ["train_seconds", "predict_seconds", "size_mb"]
PEAKS = ["train_peak_memory_mb", "predict_peak_memory_mb"]
Records = list[dict[str, Any]]
Value = tuple[str, ...] | None


def vote_names(task: Task, trained: Iterable[str]) -> list[str]:
    """Votes of the task whose trained members are all among `trained`, in the task's order."""
    there = {*trained, RULES}
    return [name for name, members in task.variants.votes.items() if there.issuperset(members)]


# -- the vote ---------------------------------------------------------------------------------------------
def _rows(members: Sequence[Records]) -> Iterator[tuple[dict[str, Any], ...]]:
    """The members' records row by row."""
    if len({tuple(record["id"] for record in records) for records in members}) != 1:
        raise ValueError("a vote needs members that have predicted the same rows")
    return zip(*members, strict=True)


def _values(task: Task, predictions: Sequence[Any]) -> dict[str, list[Value]]:
    """Field → value of each member, None for a member without a prediction."""
    views = [None if one is None else task.values(one) for one in predictions]
    return {
        name: [None if view is None else tuple(view.get(name, ())) for view in views] for name in task.fields
    }


def _elect(given: Sequence[Value]) -> Value:
    """The value of more than half of the members that have one; without a majority that of the first of them."""
    cast = [value for value in given if value is not None]
    value, votes = Counter(cast).most_common(1)[0]
    return value if 2 * votes > len(cast) else cast[0]


def majority(task: Task, members: Sequence[Records]) -> Records:
    """For each row and field the value that more than half of the members give.

    Members without a valid prediction for a row have no vote there. Where no value has a majority, that of the first
    member with a prediction stands, so the order of the members matters: the best comes first.

    Parameters
    ----------
    members : sequence of list of dict
        The prediction records of each member, all for the same rows in the same order; else a ValueError.

    Returns
    -------
    list of dict
        Records of `id`, `prediction` (None where no member has one), `raw` and `error` (None) and `confidence`: for
        each field the mean over all members of their confidence in the elected value. It is 0 for a member that gave
        another value or none, and 1 for one that gave it and states no confidence.
    """
    return [_decide(task, records) for records in _rows(members)]


def _decide(task: Task, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The vote on one row."""
    decided = {"id": records[0]["id"], "prediction": None, "raw": None, "error": None, "confidence": None}
    predictions = [
        None if one["prediction"] is None else task.canonical(one["prediction"]) for one in records
    ]
    if all(one is None for one in predictions):
        return decided
    prediction, confidence = {}, {}
    for name, given in _values(task, predictions).items():
        elected = _elect(given)
        prediction[name] = predictions[given.index(elected)][name]
        stated = [(one.get("confidence") or {}).get(name) for one in records]
        agreed = [1.0 if sure is None else sure for sure, value in zip(stated, given) if value == elected]
        confidence[name] = round(sum(agreed) / len(records), 6)
    return {**decided, "prediction": task.canonical(prediction), "confidence": confidence}


# -- how the members agree --------------------------------------------------------------------------------
# -- what a vote costs ------------------------------------------------------------------------------------
def vote_costs(
    costs: Mapping[str, Mapping[str, Any]], members: Sequence[str], seconds: float
) -> dict[str, float | None]:
    """Costs of a vote, named as in costs.json: sums over its members, of memory their highest peak.

    Rules train nothing and hold no weights: they count where their costs are known. `seconds` is what counting the
    votes took. None for a cost that is not known of every trained member.
    """
    known = pd.DataFrame({name: costs.get(name, {}) for name in members}, index=SUMS + PEAKS, dtype=float).T
    total = pd.concat([known[SUMS].sum(), known[PEAKS].max()])
    total["predict_seconds"] += seconds
    complete = known.drop(index=RULES, errors="ignore").notna().all()
    return {what: round(float(value), 4) if complete[what] else None for what, value in total.items()}


def count_votes(run: Run, vote: str, members: Sequence[Records]) -> Records:
    """Predictions of a vote from those that its members have made, in their order; costs.json learns what it costs."""
    started = time.perf_counter()
    records = majority(run.task, members)
    seconds, costs = time.perf_counter() - started, read_json(run.path("costs.json"))
    record_costs(run, vote, **vote_costs(costs, run.task.variants.votes[vote], seconds))
    return records
