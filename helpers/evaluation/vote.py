"""Votes: systems that train nothing and let the majority of other systems decide each field.

Members that err in different ways seldom err alike, so a value that most of them found is more often right than the
value of any one. Predictions are taken as mappings of field to value, and compared as the task views them
(:meth:`helpers.tasks.base.Task.values`).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from helpers.files import read_json
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.training.costs import record_costs

RULES = "rules"  # the one member that is not trained
KINDS = ("unanimous", "majority", "split")
ALL_FIELDS = "all fields"
SUMS = ("train_seconds", "predict_seconds", "size_mb")
PEAKS = ("train_peak_memory_mb", "predict_peak_memory_mb")

Records = list[dict[str, Any]]


def vote_names(task: Task, trained: Iterable[str]) -> list[str]:
    """Votes of the task whose trained members are all among `trained`, in the task's order."""
    there = {*trained, RULES}
    return [name for name, members in task.variants.votes.items() if there.issuperset(members)]


# -- the vote ---------------------------------------------------------------------------------------------------------
def _elect(given: Sequence[tuple[str, ...] | None]) -> int:
    """Place of the first member that gave the elected value, from the members' values (None: no prediction).

    A value needs more than half of the members that have a prediction; without one the first of these decides.
    """
    counts = Counter(value for value in given if value is not None)
    value, votes = counts.most_common(1)[0]
    if 2 * votes <= counts.total():
        value = next(value for value in given if value is not None)
    return given.index(value)


def _stated(record: Mapping[str, Any], name: str) -> float:
    """Confidence of a record in its own value; 1 where it states none."""
    value = (record.get("confidence") or {}).get(name)
    return 1.0 if value is None else value


def _columns(task: Task, predictions: Sequence[Any]) -> dict[str, list[tuple[str, ...] | None]]:
    """Field → value of each member, None for a member without a prediction."""
    views = [None if one is None else task.values(one) for one in predictions]
    return {
        name: [None if view is None else tuple(view.get(name, ())) for view in views] for name in task.fields
    }


def _rows(members: Sequence[Sequence[dict[str, Any]]]) -> list[tuple[dict[str, Any], ...]]:
    """The members' records row by row."""
    if not members:
        raise ValueError("a vote needs members")
    ids = [[record["id"] for record in records] for records in members]
    if any(one != ids[0] for one in ids):
        raise ValueError("the members of a vote have predicted different rows")
    return list(zip(*members))


def majority(task: Task, members: Sequence[Records]) -> Records:
    """For each row and field the value that more than half of the members give.

    Members without a valid prediction for a row have no vote there. Where no value has a majority, that of the first
    member with a prediction stands, so the order of the members matters: the best comes first.

    Parameters
    ----------
    task : Task
    members : sequence of list of dict
        The prediction records of each member, all for the same rows in the same order.

    Returns
    -------
    list of dict
        Records of `id`, `prediction` (None where no member has one), `raw` and `error` (None) and `confidence`: for
        each field the mean over all members of their confidence in the elected value. It is 0 for a member that gave
        another value or none, and 1 for one that gave it and states no confidence.

    Raises
    ------
    ValueError
        If there is no member, or they have not predicted the same rows in the same order.
    """
    return [_decide(task, records) for records in _rows(members)]


def _decide(task: Task, records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The vote on one row."""
    predictions = [
        None if one["prediction"] is None else task.canonical(one["prediction"]) for one in records
    ]
    decided = {"id": records[0]["id"], "prediction": None, "raw": None, "error": None, "confidence": None}
    if all(one is None for one in predictions):
        return decided
    prediction, confidence = {}, {}
    for name, given in _columns(task, predictions).items():
        place = _elect(given)
        agreed = [_stated(record, name) for record, value in zip(records, given) if value == given[place]]
        prediction[name], confidence[name] = predictions[place][name], round(sum(agreed) / len(records), 6)
    return {**decided, "prediction": task.canonical(prediction), "confidence": confidence}


# -- how the members agree --------------------------------------------------------------------------------------------
def agreement_table(task: Task, gold: Sequence[Example], members: Sequence[Records]) -> pd.DataFrame:
    """How often the members agree on each field, and how often the elected value is right then.

    Columns unanimous (share of rows on which all members give one value), majority (more than half of those with a
    prediction), split (neither, the first decides), each followed by the share of right values among these rows (NaN
    where there are none); mended and spoilt, the numbers of values of the first member that the vote makes right and
    wrong. Rows that no member predicts are left out; the last line is the sum over all fields.
    """
    rows = _rows(members)
    if [example.id for example in gold] != [records[0]["id"] for records in rows]:
        raise ValueError("the members of a vote have not predicted these rows")
    lines = []
    for example, records in zip(gold, rows):
        label = task.values(example.target)
        for name, given in _columns(task, [record["prediction"] for record in records]).items():
            cast = [value for value in given if value is not None]
            if cast:
                elected, truth = given[_elect(given)], tuple(label.get(name, ()))
                votes = cast.count(elected)
                kind = KINDS[0] if votes == len(given) else KINDS[1] if 2 * votes > len(cast) else KINDS[2]
                right, before = elected == truth, given[0] == truth
                lines.append((name, kind, right, right and not before, before and not right))
    frame = pd.DataFrame(lines, columns=["field", "kind", "right", "mended", "spoilt"])
    parts = {name: frame[frame["field"] == name] for name in task.fields} | {ALL_FIELDS: frame}
    table = pd.DataFrame.from_dict({name: _summary(part) for name, part in parts.items()}, orient="index")
    return table.astype({"mended": int, "spoilt": int}).rename_axis("field")


def _summary(part: pd.DataFrame) -> dict[str, float]:
    """One line of :func:`agreement_table`."""
    cells: dict[str, float] = {}
    for kind in KINDS:
        right = part.loc[part["kind"] == kind, "right"].astype(float)
        cells |= {kind: len(right) / len(part) if len(part) else float("nan"), f"{kind}_right": right.mean()}
    return cells | {name: part[name].sum() for name in ("mended", "spoilt")}


# -- what a vote costs ------------------------------------------------------------------------------------------------
def vote_costs(
    costs: Mapping[str, Mapping[str, Any]], members: Sequence[str], seconds: float
) -> dict[str, float | None]:
    """Costs of a vote, named as in costs.json: sums over its members, of memory their highest peak.

    Rules train nothing and hold no weights: they count where their costs are known. `seconds` is what counting the
    votes took. None for a cost that is not known of every trained member.
    """
    found: dict[str, float | None] = {}
    for what in (*SUMS, *PEAKS):
        known = {name: costs.get(name, {}).get(what) for name in members}
        values = [value for value in known.values() if value is not None]
        complete = all(known[name] is not None for name in members if name != RULES) and values
        found[what] = (sum(values) if what in SUMS else max(values)) if complete else None
    if found["predict_seconds"] is not None:
        found["predict_seconds"] += seconds
    return {what: None if value is None else round(value, 4) for what, value in found.items()}


def count_votes(run: Run, vote: str, members: Sequence[Records]) -> Records:
    """Predictions of a vote from those that its members have made, in their order; costs.json learns what it costs."""
    started = time.perf_counter()
    records = majority(run.task, members)
    seconds, costs = time.perf_counter() - started, read_json(run.path("costs.json"))
    record_costs(run, vote, **vote_costs(costs, run.task.variants.votes[vote], seconds))
    return records


def sum_parameters(counts: Mapping[str, Mapping[str, int | None]]) -> dict[str, int | None]:
    """Total and trainable parameters over all trained members (member → its counts), None where one is not known."""
    known = [one for name, one in counts.items() if name != RULES]
    return {
        what: sum(one[what] for one in known)
        if known and all(one[what] is not None for one in known)
        else None
        for what in ("total", "trainable")
    }
