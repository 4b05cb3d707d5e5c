"""Labels under suspicion: confident learning on the model's disagreements.

How confident learning (Northcutt et al. 2021, cleanlab) is put to use on extracted values: for one field, each row is
given one of two classes, "the label is the model's value" or "the label is another value", and the probability of the
first is the model's confidence in its value. Predictions on held-out rows make these probabilities out of sample, as
the method asks. Since a model can be sure and wrong, an issue becomes a suspect only when something that does not come
from this model points the same way.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.evaluation.confidence import confidence_frame
from helpers.tasks.base import Example, Task
from helpers.tasks.metrics import align, comparable
from helpers.tasks.text import normalise, word_spans

Records = Sequence[dict[str, Any]]


def label_issues(agrees: Sequence[bool], confidence: Sequence[float]) -> np.ndarray:
    """The disagreements that cleanlab holds for errors of the label: the model is as sure there as it usually is where it
    agrees. None where all rows of the field agree or none does."""
    from cleanlab.filter import find_label_issues  # takes seconds to import

    labels, sure = np.asarray(agrees, dtype=int), np.asarray(confidence, dtype=float)
    if len(set(labels)) < 2:
        return np.zeros(len(labels), dtype=bool)
    chances = np.column_stack([1 - sure, sure])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab warns where it finds no issue at all
        issue = find_label_issues(labels, chances, filter_by="confident_learning", n_jobs=1)
    return issue & (labels == 0)


def suspected_labels(
    task: Task, gold: Sequence[Example], records: Records, witnesses: dict[str, Records]
) -> pd.DataFrame:
    """Every disagreement of model and label, the least likely label first, with what speaks for it besides the model.

    Parameters
    ----------
    records : sequence of dict
        Prediction records of the model, with confidences; without any the table is empty.
    witnesses : dict
        Name to records of systems that were not trained on these labels, such as hand-written rules.

    Returns
    -------
    DataFrame
        Columns id, field, label, predicted (tuples), confidence, quality (probability of the label), issue (bool),
        not_in_text (the label of a verbatim field is no piece of the text, the prediction is), witnesses (systems that
        found the model's value too), suspect (an issue with at least one of the two).
    """
    frame = confidence_frame(task, gold, records).rename(columns={"gold": "label"})
    frame["quality"], frame["issue"] = 1 - frame["confidence"], False
    for _, group in frame.groupby("field", sort=False):
        frame.loc[group.index, "issue"] = label_issues(group["right"], group["confidence"])
    table = frame[~frame["right"].astype(bool)].drop(columns="right")
    table = table.sort_values(["quality", "id", "field"]).reset_index(drop=True)
    texts = {row.id: normalise(row.text) for row in gold}
    found = [
        {record["id"]: comparable(task, record["prediction"]) for record in align(gold, theirs)}
        for theirs in witnesses.values()
    ]

    def in_text(line: Any, values: Sequence[str]) -> bool:
        return all(word_spans(value, texts[line.id], ignore_case=True) for value in values)

    lines = list(table.itertuples())
    table["not_in_text"] = [
        task.kinds[line.field].verbatim and in_text(line, line.predicted) and not in_text(line, line.label)
        for line in lines
    ]
    table["witnesses"] = [
        sum(one[line.id][line.field] == line.predicted != () for one in found) for line in lines
    ]
    table["suspect"] = table["issue"] & (table["not_in_text"].astype(bool) | (table["witnesses"] > 0))
    return table
