"""Labels under suspicion: confident learning on the model's disagreements.

How confident learning (Northcutt et al. 2021, cleanlab) is put to use on extracted values: for one field, each row is
given one of two classes, "the label is the model's value" or "the label is another value", and the probability of the
first is the model's confidence in its value. Predictions on held-out rows make these probabilities out of sample, as
the method asks. A row of the second class whose confidence reaches the mean confidence of the rows of the first class
is then an issue: the model is as sure there as it usually is where it agrees with the label. Since a model can be sure
and wrong, an issue becomes a suspect only when something that does not come from this model points the same way.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from helpers.evaluation.confidence import confidence_frame
from helpers.tasks.base import Task
from helpers.tasks.metrics import align, comparable
from helpers.tasks.records import Example
from helpers.tasks.text import is_word_span, normalise

ISSUE_COLUMNS = ["id", "field", "label", "predicted", "confidence", "quality", "issue"]


def confident_learning(agrees: Sequence[bool], confidence: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Label quality and label issues of one field, see the module's text for the reduction to two classes.

    The quality is the probability of the label: the confidence where model and label agree, what is left of one
    elsewhere. Issues are the disagreements that cleanlab holds for errors of the label; none where all rows agree or
    none does.
    """
    from cleanlab.filter import find_label_issues  # takes seconds to import
    from cleanlab.rank import get_label_quality_scores

    labels, sure = np.asarray(agrees, dtype=int), np.clip(np.asarray(confidence, dtype=float), 0.0, 1.0)
    if len(set(labels)) < 2:
        return np.where(labels == 1, sure, 1 - sure), np.zeros(len(labels), dtype=bool)
    probabilities = np.column_stack([1 - sure, sure])
    quality = get_label_quality_scores(labels, probabilities, method="self_confidence")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # cleanlab warns where it finds no issue at all
        issue = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    return quality, np.asarray(issue, dtype=bool) & (labels == 0)


def label_issues(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Every disagreement of model and label, the least likely label first.

    Returns
    -------
    DataFrame
        Columns id, field, label, predicted (tuples), confidence, quality (0 to 1), issue (bool). Empty where the
        records carry no confidence.
    """
    frame = confidence_frame(task, gold, records)
    parts = []
    for _, group in frame.groupby("field", sort=False):
        quality, issue = confident_learning(group["right"], group["confidence"])
        parts.append(group.assign(quality=quality, issue=issue))
    if not parts:
        return pd.DataFrame(columns=ISSUE_COLUMNS)
    table = pd.concat(parts).rename(columns={"gold": "label"})
    return (
        table[~table["right"]].sort_values(["quality", "id", "field"])[ISSUE_COLUMNS].reset_index(drop=True)
    )


def suspected_labels(
    task: Task,
    gold: Sequence[Example],
    records: Sequence[dict[str, Any]],
    witnesses: dict[str, Sequence[dict[str, Any]]],
) -> pd.DataFrame:
    """Label issues with what speaks for them besides the model.

    Parameters
    ----------
    task : Task
    gold : sequence of Example
    records : sequence of dict
        Prediction records of the model, with confidences.
    witnesses : dict
        Name to records of systems that were not trained on these labels, such as hand-written rules.

    Returns
    -------
    DataFrame
        :func:`label_issues` and: not_in_text (the label of a verbatim field is no piece of the text, the prediction
        is), witnesses (systems that found the model's value too), suspect (an issue with at least one of the two).
    """
    table, rows = label_issues(task, gold, records), {row.id: row for row in gold}
    aligned = {
        name: dict(zip(rows, (comparable(task, record["prediction"]) for record in align(gold, theirs))))
        for name, theirs in witnesses.items()
    }

    def in_text(values: Sequence[str], text: str) -> bool:
        return all(is_word_span(value, normalise(text), ignore_case=True) for value in values)

    table["not_in_text"] = [
        task.kinds[line.field].verbatim
        and in_text(line.predicted, rows[line.id].text)
        and not in_text(line.label, rows[line.id].text)
        for line in table.itertuples()
    ]
    table["witnesses"] = [
        sum(found[line.id][line.field] == line.predicted != () for found in aligned.values())
        for line in table.itertuples()
    ]
    support = table["not_in_text"].astype(bool) | (table["witnesses"] > 0)
    table["suspect"] = table["issue"].astype(bool) & support
    return table


def suspects(table: pd.DataFrame) -> set[tuple[int, str]]:
    """The (id, field) pairs of :func:`suspected_labels` that :func:`helpers.evaluation.mistakes.classify_errors` takes."""
    chosen = table[table["suspect"].astype(bool)]
    return set(zip(chosen["id"], chosen["field"]))
