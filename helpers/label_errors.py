"""Labels under suspicion: confident learning on the model's disagreements, and near-alike texts labelled unalike.

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
from rapidfuzz import fuzz, process

from helpers.confidence import confidence_frame
from helpers.metrics import align, comparable
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.text import is_word_span, normalise

SIMILARITY = 65.0  # rapidfuzz ratio (0-100) of neighbours: one sentence pattern with other names and dates reaches it
ISSUE_COLUMNS = ["id", "field", "label", "predicted", "confidence", "quality", "issue"]
CONFLICT_COLUMNS = ["id", "field", "label", "neighbour_label", "similarity", "text", "neighbour_text"]


def confident_learning(agrees: Sequence[bool], confidence: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Label quality and label issues of one field, see the module's text for the reduction to two classes.

    Parameters
    ----------
    agrees : sequence of bool, shape (rows,)
        Whether the label is the model's value.
    confidence : sequence of float, shape (rows,)
        Probability of the model's value, out of sample.

    Returns
    -------
    quality : ndarray, shape (rows,)
        Probability of the label: the confidence where model and label agree, what is left of one elsewhere.
    issue : ndarray of bool, shape (rows,)
        Disagreements that cleanlab holds for errors of the label; none where all rows agree or none does.
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
    return table[~table["right"]].sort_values(["quality", "id", "field"])[ISSUE_COLUMNS].reset_index(drop=True)


def neighbour_conflicts(task: Task, gold: Sequence[Example], reference: Sequence[Example],
                        similarity: float = SIMILARITY) -> pd.DataFrame:
    """Fields that two near-alike texts label differently although either label would fit both texts.

    Two labels conflict when every value that only one of them has stands, as whole words, in both texts; where the
    texts are the same but for case, any difference is a conflict.

    Parameters
    ----------
    task : Task
    gold : sequence of Example
        Rows whose labels are examined.
    reference : sequence of Example
        Rows to compare with; a row is not compared with itself.
    similarity : float
        Least rapidfuzz ratio (0–100) of the lower-case texts.

    Returns
    -------
    DataFrame
        Columns id, field, label, neighbour_label (tuples), similarity, text, neighbour_text; most alike first.
    """
    texts, others = ([normalise(row.text).casefold() for row in rows] for rows in (gold, reference))
    if not texts or not others:
        return pd.DataFrame(columns=CONFLICT_COLUMNS)
    ratios = process.cdist(texts, others, scorer=fuzz.ratio, score_cutoff=similarity, workers=1)
    labels, known = ([comparable(task, row.target) for row in rows] for rows in (gold, reference))
    lines = []
    for left, right in zip(*np.nonzero(ratios)):
        row, other, ours, theirs = gold[left], reference[right], labels[left], known[right]
        if row is other or ours == theirs:
            continue
        for name in task.fields:
            differ = set(ours[name]) ^ set(theirs[name])
            both = all(is_word_span(value, text, ignore_case=True) for value in differ
                       for text in (row.text, other.text))
            if differ and (both or texts[left] == others[right]):
                lines.append((row.id, name, ours[name], theirs[name], float(ratios[left, right]), row.text, other.text))
    table = pd.DataFrame(lines, columns=CONFLICT_COLUMNS)
    return table.sort_values(["similarity", "id", "field"], ascending=[False, True, True], ignore_index=True)


def suspected_labels(task: Task, gold: Sequence[Example], records: Sequence[dict[str, Any]],
                     witnesses: dict[str, Sequence[dict[str, Any]]],
                     conflicts: pd.DataFrame | None = None) -> pd.DataFrame:
    """Label issues with what speaks for them besides the model.

    Parameters
    ----------
    task : Task
    gold : sequence of Example
    records : sequence of dict
        Prediction records of the model, with confidences.
    witnesses : dict
        Name to records of systems that were not trained on these labels, such as hand-written rules.
    conflicts : DataFrame, optional
        What :func:`neighbour_conflicts` found.

    Returns
    -------
    DataFrame
        :func:`label_issues` and: not_in_text (the label of a verbatim field is no piece of the text, the prediction
        is), witnesses (systems that found the model's value too), conflict (a near-alike text is labelled
        differently), suspect (an issue with at least one of the three).
    """
    table, rows = label_issues(task, gold, records), {row.id: row for row in gold}
    aligned = {name: dict(zip(rows, (comparable(task, record["prediction"]) for record in align(gold, theirs))))
               for name, theirs in witnesses.items()}
    marked = set() if conflicts is None else set(zip(conflicts["id"], conflicts["field"]))

    def in_text(values: Sequence[str], text: str) -> bool:
        return all(is_word_span(value, normalise(text), ignore_case=True) for value in values)

    table["not_in_text"] = [line.field in task.verbatim_fields and in_text(line.predicted, rows[line.id].text)
                            and not in_text(line.label, rows[line.id].text) for line in table.itertuples()]
    table["witnesses"] = [sum(found[line.id][line.field] == line.predicted != () for found in aligned.values())
                          for line in table.itertuples()]
    table["conflict"] = [(line.id, line.field) in marked for line in table.itertuples()]
    support = table["not_in_text"].astype(bool) | (table["witnesses"] > 0) | table["conflict"].astype(bool)
    table["suspect"] = table["issue"].astype(bool) & support
    return table


def suspects(table: pd.DataFrame) -> set[tuple[int, str]]:
    """The (id, field) pairs of :func:`suspected_labels` that :func:`helpers.mistakes.classify_errors` takes."""
    chosen = table[table["suspect"].astype(bool)]
    return set(zip(chosen["id"], chosen["field"]))
