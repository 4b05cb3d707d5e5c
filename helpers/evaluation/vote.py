"""Votes: systems that train nothing and decide each field by what other systems say and how sure they may be.

Members that err in different ways seldom err alike, so a value that several of them found is more often right than the
value of any one. What a member's confidence in a field is worth is learnt where the answers are known
(:class:`Weights`). Values are compared as the task views them (:meth:`helpers.tasks.base.Task.values`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.evaluation.confidence import FieldCalibration, confidence_frame, fit_curve, held_out, log_odds
from helpers.tasks.base import Example, Task

RULES = "rules"  # the one member that is not trained
WRONG = 9  # values on which errors are thought to fall alike
UNKNOWN = 0.8  # trust in a member of whom nothing is known
SUMS = ["train_seconds", "predict_seconds", "size_mb"]
PEAKS = ["train_peak_memory_mb", "predict_peak_memory_mb"]
Records = list[dict[str, Any]]


def vote_names(task: Task, trained: Iterable[str]) -> list[str]:
    """Votes of the task whose trained members are all among `trained`, in the task's order."""
    there = {*trained, RULES}
    return [name for name, members in task.variants.votes.items() if there.issuperset(members)]


# -- the vote ---------------------------------------------------------------------------------------------
def _decide(
    task: Task, records: Sequence[dict[str, Any]], trust: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    """The vote on one row; `trust` is the probability of each member's value, field by field."""
    decided = {"id": records[0]["id"], "prediction": None, "raw": None, "error": None, "confidence": None}
    predictions = [
        None if one["prediction"] is None else task.canonical(one["prediction"]) for one in records
    ]
    if all(one is None for one in predictions):
        return decided
    prediction, confidence = {}, {}
    views = [None if one is None else task.values(one) for one in predictions]
    for name in task.fields:
        weights: dict[tuple[str, ...], float] = {}
        given = [None if view is None else tuple(view.get(name, ())) for view in views]
        for value, sure in zip(given, trust):
            if value is not None:
                weights[value] = weights.get(value, 0.0) + log_odds(sure[name]) + math.log(WRONG)
        elected = max(weights, key=weights.get)  # of equal ones that of the first member
        prediction[name] = predictions[given.index(elected)][name]
        unsaid = WRONG + 1 - len(weights)
        total = np.logaddexp.reduce([*weights.values(), math.log(unsaid)])
        confidence[name] = round(float(np.exp(weights[elected] - total)), 6)
    return {**decided, "prediction": task.canonical(prediction), "confidence": confidence}


class Weights:
    """How far each member is to be trusted in each field, learnt on rows whose answers are known.

    A member's stated confidence p (1 where it states none) is calibrated to the share of right answers; its value gets
    log(p / (1 - p)) + log(:data:`WRONG`), which weighs members whose errors are independent and fall on so many values
    alike (Nitzan and Paroush 1982; Dawid and Skene 1979). Without known rows all members count the same.

    Parameters
    ----------
    gold : sequence of Example
        The known rows.
    members : sequence of list of dict
        Prediction records of each member on them.
    """

    def __init__(self, task: Task, gold: Sequence[Example], members: Sequence[Records], seed: int):
        self.task = task
        self.curves: list[dict[str, FieldCalibration]] = []
        self.known: list[dict[tuple[int, str], float]] = []  # by curves that were fitted without the row
        for records in members:
            curves, known = {}, {}
            frame = (
                confidence_frame(task, gold, records, unstated=1.0) if gold else pd.DataFrame({"field": []})
            )
            for name, rows in frame.groupby("field"):
                stated, right = rows["confidence"].to_numpy(float), rows["right"].to_numpy(bool)
                curves[name] = fit_curve(stated, right, "temperature")
                sure = held_out(stated, right, "temperature", seed)
                known |= {(row, name): float(one) for row, one in zip(rows["id"], sure)}
            self.curves.append(curves)
            self.known.append(known)

    def vote(self, members: Sequence[Records], known: bool = False) -> Records:
        """For each row and field the value with most weight.

        Parameters
        ----------
        members : sequence of list of dict
            The prediction records of each member, all for the same rows in the same order; else a ValueError.
        known : bool
            Whether these are the rows that the weights were learnt on: each is then weighed by what the others show.

        Returns
        -------
        list of dict
            Records of `id`, `prediction` (None where no member has one), `raw` and `error` (None) and `confidence`:
            the probability of each elected value under the assumptions above.
        """
        if len({tuple(record["id"] for record in records) for records in members}) != 1:
            raise ValueError("a vote needs members that have predicted the same rows")
        found = []
        for records in zip(*members, strict=True):
            trust = [self._trust(at, record, known) for at, record in enumerate(records)]
            found.append(_decide(self.task, records, trust))
        return found

    def _trust(self, member: int, record: dict[str, Any], known: bool) -> dict[str, float]:
        stated, found = record.get("confidence") or {}, {}
        for name in self.task.fields:
            curve = self.curves[member].get(name)
            sure = stated.get(name)
            found[name] = float(curve(1.0 if sure is None else sure)[0]) if curve else UNKNOWN
            if known:
                found[name] = self.known[member].get((record["id"], name), found[name])
        return found


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
