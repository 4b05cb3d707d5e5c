"""Votes: systems that train nothing and decide each field by what other systems say and how sure they may be.

Members that err in different ways seldom err alike, so a value that several of them found is more often right than the
value of any one. What a member's confidence in a field is worth is learnt where the answers are known
(:class:`Weights`). Values are compared as the task views them (:meth:`helpers.tasks.base.Task.values`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from helpers.evaluation.confidence import FieldCalibration, confidence_frame, fit_curve, held_out, log_odds
from helpers.tasks.base import Example, Task

WRONG = 9  # values on which errors are thought to fall alike
UNKNOWN = 0.8  # trust in a member of whom nothing is known
Records = list[dict[str, Any]]


class Weights:
    """How far each member is to be trusted in each field, learnt on rows whose answers are known.

    A member's stated confidence p (1 where it states none) is calibrated to the share of right answers; its value gets
    log(p / (1 - p)) + log(:data:`WRONG`), which weighs members whose errors are independent and fall on so many values
    alike (Nitzan and Paroush 1982; Dawid and Skene 1979). `members` are the prediction records of each on the known rows,
    `gold`; without such rows all members count the same.
    """

    def __init__(self, task: Task, gold: Sequence[Example], members: Sequence[Records], seed: int):
        self.task = task
        self.curves: list[dict[str, FieldCalibration]] = [{} for _ in members]
        # trust in each known row, by curves that were fitted without it
        self.known: list[dict[int, dict[str, float]]] = [{} for _ in members]
        for records, curves, known in zip(members if gold else (), self.curves, self.known):
            for name, rows in confidence_frame(task, gold, records, unstated=1.0).groupby("field"):
                stated, right = rows["confidence"].to_numpy(float), rows["right"].to_numpy(bool)
                curves[name] = fit_curve(stated, right, "temperature")
                for row, sure in zip(rows["id"], held_out(stated, right, "temperature", seed)):
                    known.setdefault(row, {})[name] = float(sure)

    def vote(self, members: Sequence[Records], known: bool = False) -> Records:
        """For each row and field the value with most weight; a ValueError if the members have predicted other rows.

        `known` says that these are the rows that the weights were learnt on: each is then weighed by what the others show.
        The prediction is None where no member has one, the confidence the probability of each elected value under the
        assumptions above.
        """
        if len({tuple(record["id"] for record in records) for records in members}) != 1:
            raise ValueError("a vote needs members that have predicted the same rows")
        return [self._decide(records, known) for records in zip(*members, strict=True)]

    def _trust(self, member: int, record: dict[str, Any], known: bool) -> dict[str, float]:
        """The probability of a member's value, field by field."""
        stated, found = record.get("confidence") or {}, dict.fromkeys(self.task.fields, UNKNOWN)
        for name, curve in self.curves[member].items():
            sure = stated.get(name)
            found[name] = float(curve(1.0 if sure is None else sure)[0])
        return found | (self.known[member].get(record["id"], {}) if known else {})

    def _decide(self, records: Sequence[dict[str, Any]], known: bool) -> dict[str, Any]:
        """The vote on one row."""
        task, decided = (
            self.task,
            {"id": records[0]["id"], "prediction": None, "raw": None, "confidence": None},
        )
        given = [
            (task.canonical(record["prediction"]), self._trust(member, record, known))
            for member, record in enumerate(records)
            if record["prediction"] is not None
        ]
        if not given:
            return decided
        views, prediction, confidence = [task.values(one) for one, _ in given], {}, {}
        for name in task.fields:
            weights: dict[tuple[str, ...], float] = {}
            values = [tuple(view.get(name, ())) for view in views]
            for value, (_, trust) in zip(values, given):
                weights[value] = weights.get(value, 0.0) + log_odds(trust[name]) + math.log(WRONG)
            elected = max(weights, key=weights.get)  # of equal ones that of the first member
            prediction[name] = given[values.index(elected)][0][name]
            total = np.logaddexp.reduce([*weights.values(), math.log(WRONG + 1 - len(weights))])
            confidence[name] = round(float(np.exp(weights[elected] - total)), 6)
        return {**decided, "prediction": task.canonical(prediction), "confidence": confidence}
