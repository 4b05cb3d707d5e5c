"""How many of the errors are the labels' own: label and prediction differ on what train decides both ways.

An error counts as label inconsistency if every question that sets its label and its prediction apart (see
:mod:`helpers.label_questions`) is decided both ways by the labels of train, also among texts that are built alike, so
that no reader of train could know which way this row went. The scored row's own label is never among the votes.

Beside it stands a ceiling: an oracle that is told the right pieces of the text and writes them as train usually does.
"""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from typing import Any

import pandas as pd

from helpers.findings import percent
from helpers.label_questions import Question, TrainLabels
from helpers.label_votes import MIN_CASES, locate
from helpers.metrics import align, exact_match, field_results
from helpers.mistakes import excerpt
from helpers.statistics import proportion_ci
from helpers.tasks.base import Task
from helpers.tasks.records import Example

MINORITY = 0.1  # a rarer way of labelling than this is taken for slips, not for a second convention
SHARES = (0.05, MINORITY, 0.2)
BOTH, FORETOLD, ONE_WAY = "both ways", "both ways, foretold", "one way"
EXCEPTION, FEW, NONE = "label against train", "too few cases", "no question"
VERDICTS = {
    BOTH: "train decides it both ways, also where texts are built alike",
    FORETOLD: "train decides it both ways, but the rest of the text tells which",
    EXCEPTION: "train, or its rows built most like this one, decide it as the prediction does, not as the label",
    ONE_WAY: "train decides it one way, which the label follows: the model's error",
    FEW: f"fewer than {MIN_CASES} train rows pose the question",
    NONE: "another value altogether, or no valid output: nothing to ask train",
}
# An error is only as excusable as its least excusable question, so the first of these that any question gets is it.
_STRICTEST = (ONE_WAY, NONE, FEW, FORETOLD, BOTH, EXCEPTION)
_QUESTION = ["kind", "about", "label_way", "prediction_way", "as_label", "as_prediction", "unforeseen",
             "foretold"]
COLUMNS = ["id", "field", "text", "label", "prediction", *_QUESTION]


def ask_train(task: Task, train: Iterable[Example], gold: Sequence[Example],
              records: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Every question of labelling that the errors of one variant pose, with the votes of train.

    Parameters
    ----------
    task : Task
    train : iterable of Example
        Labelled rows that the variant learnt from; augmented rows and rows with the text of a scored row do not vote.
    gold : sequence of Example
        The scored rows.
    records : iterable of dict
        Prediction records of one variant.

    Returns
    -------
    DataFrame
        One line a question, at least one a wrong field: id, field, text, label, prediction (text), kind, about,
        label_way and prediction_way (how each answers the question), as_label and as_prediction (train rows labelled
        so), unforeseen (how many of these went against most of the rows built most alike), foretold (whether the rows
        built most like this one are labelled as it is). `kind` is empty where there is nothing to ask.
    """
    aligned = align(gold, records)
    results = field_results(task, gold, aligned)
    wrong, lines = results[~results["right"].astype(bool)], []
    rows = {row.id: (row, record["prediction"]) for row, record in zip(gold, aligned)}
    labels = TrainLabels(task, train, gold) if len(wrong) else None
    located: dict[int, tuple] = {}
    for line in wrong.itertuples():
        row, prediction = rows[line.id]
        asked = [Question()]
        if line.valid:
            if line.id not in located:
                located[line.id] = locate(task, row, row.target), locate(task, row, prediction)
            asked = labels.questions(line.field, *located[line.id], line.gold, line.predicted)
        texts = row.text, "; ".join(line.gold), "; ".join(line.predicted)
        lines += [(line.id, line.field, *texts, *astuple(one)) for one in asked]
    return pd.DataFrame(lines, columns=COLUMNS)


def verdict(kind: str, as_label: int, as_prediction: int, unforeseen: float, foretold: bool | None,
            share: float = MINORITY) -> str:
    """What the votes on one question say, one of :data:`VERDICTS`.

    Parameters
    ----------
    kind : str
        Empty where there was nothing to ask.
    as_label, as_prediction : int
        Train rows labelled like the label and like the prediction.
    unforeseen : float
        How many of them the most alike texts did not foretell.
    foretold : bool or None
        Whether the texts most like this row's foretell its label.
    share : float
        Least share of cases that makes a second convention.
    """
    cases = as_label + as_prediction
    if not kind:
        return NONE
    if cases < MIN_CASES:
        return FEW
    if min(as_label, as_prediction) < share * cases:
        return ONE_WAY if as_label > as_prediction else EXCEPTION
    if unforeseen >= share * cases:
        return BOTH
    return FORETOLD if foretold else EXCEPTION


def judge(asked: pd.DataFrame, share: float = MINORITY) -> pd.DataFrame:
    """Verdict on every error, from :func:`ask_train`.

    Returns
    -------
    DataFrame
        One line an error (id, field): the columns of the question that decides it, `verdict`, and `rarer` (the label
        went the rarer of the two ways, so that following train is bound to fail).
    """
    verdicts = [verdict(line.kind, line.as_label, line.as_prediction, line.unforeseen, line.foretold,
                        share)
                for line in asked.itertuples()]
    judged = asked.assign(verdict=pd.Series(verdicts, index=asked.index, dtype=object),
                          rarer=asked["as_label"].astype(float) < asked["as_prediction"].astype(float))
    order = judged["verdict"].map({name: at for at, name in enumerate(_STRICTEST)}).astype(float)
    first = judged.assign(_order=order).sort_values("_order", kind="stable").drop_duplicates(["id", "field"])
    return first.sort_index().drop(columns="_order").reset_index(drop=True)


def excused_rows(judged: pd.DataFrame) -> set[int]:
    """Rows all of whose errors are label inconsistency."""
    both = (judged["verdict"] == BOTH).astype(bool).groupby(judged["id"]).all()
    return set(both.index[both.astype(bool)])


def verdict_table(judged: pd.DataFrame) -> pd.DataFrame:
    """Errors by verdict: index verdict; columns errors, share, low, high (95 % Wilson), meaning."""
    counts = judged["verdict"].value_counts()
    lines = {name: (int(counts.get(name, 0)), counts.get(name, 0) / len(judged),
                    *proportion_ci(counts.get(name, 0), len(judged)), meaning)
             for name, meaning in VERDICTS.items() if len(judged)}
    return pd.DataFrame.from_dict(lines, orient="index", columns=["errors", "share", "low", "high", "meaning"]
                                  ).rename_axis("verdict")


def threshold_table(asked: pd.DataFrame, shares: Sequence[float] = SHARES) -> pd.DataFrame:
    """The estimate under several thresholds: how it depends on what is called a second convention.

    Returns
    -------
    DataFrame
        Index minority (least share of cases, per cent); columns errors (label inconsistency), share, low, high (95 %
        Wilson over errors), votes_alone (share if it does not matter whether the rest of the text tells which way),
        with_against (share if labels that go against train are counted too), rows (share of wrong rows without any
        other error).
    """
    lines = {}
    for share in shares:
        judged, alone = judge(asked, share), judge(asked.assign(unforeseen=float("inf")), share)
        if len(judged):
            hits, blurred = (int((one["verdict"] == BOTH).sum()) for one in (judged, alone))
            against = judged["verdict"].isin([BOTH, EXCEPTION]).mean()
            lines[f"{100 * share:g} %"] = (hits, hits / len(judged), *proportion_ci(hits, len(judged)),
                                           blurred / len(judged), against,
                                           len(excused_rows(judged)) / judged["id"].nunique())
    columns = ["errors", "share", "low", "high", "votes_alone", "with_against", "rows"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("minority")


def examples(judged: pd.DataFrame, count: int = 8) -> pd.DataFrame:
    """Errors that are label inconsistency: text, field, label, prediction, question, train (votes in words).

    Every question comes once before any comes twice, the most evenly divided first.
    """
    chosen = judged[judged["verdict"] == BOTH]
    votes = chosen[["as_label", "as_prediction"]].astype(float)
    chosen = chosen.assign(even=votes.min(axis=1) / votes.sum(axis=1),
                           again=chosen.groupby(["field", "about"]).cumcount())
    chosen = chosen.sort_values(["again", "even", "id"], ascending=[True, False, True]).head(count)
    said = [f"{line.label_way}: {line.as_label}, {line.prediction_way}: {line.as_prediction}"
            for line in chosen.itertuples()]
    shown = chosen.rename(columns={"about": "question"})[["text", "field", "label", "prediction", "question"]]
    shown["text"] = [excerpt(line.text, (line.label, line.prediction)) for line in shown.itertuples()]
    return shown.assign(train=pd.Series(said, index=shown.index, dtype=object)).reset_index(drop=True)


def consistency_ceiling(task: Task, train: Iterable[Example], gold: Sequence[Example]) -> pd.DataFrame:
    """Exact match of an oracle that is told the right pieces of the text and writes them as train usually does.

    Returns
    -------
    DataFrame
        One line, `rows`, `exact_match`, `low`, `high` (95 % Wilson) and `unplaced` (rows with a value that is not in
        the text as the task reads it; they count as wrong unless the rest happens to be enough). Empty for a task
        that has no spans, and for no rows.
    """
    columns = ["rows", "exact_match", "low", "high", "unplaced"]
    try:
        places = [task.spans(row) for row in gold]
    except NotImplementedError:
        places = []
    if not places:
        return pd.DataFrame(columns=columns)
    seen = {row.text for row in gold}
    learnt = task.learn_conventions([row for row in train if row.origin == "gold" and row.text not in seen])
    records = [{"id": row.id, "prediction": task.from_spans(row.text, {name: found or [] for name, found in
                                                                      spans.items()}, learnt)}
               for row, spans in zip(gold, places)]
    right = exact_match(task, gold, records)
    unplaced = sum(any(found is None for found in spans.values()) for spans in places)
    return pd.DataFrame([(len(gold), right.mean(), *proportion_ci(right.sum(), len(gold)), unplaced)], columns=columns)


def finding(judged: pd.DataFrame, rows: int) -> str:
    """The estimate in words, from :func:`judge` and the number of scored rows."""
    if judged.empty:
        return "There are no errors, so none that the labels could excuse."
    errors, wrong, excused = len(judged), judged["id"].nunique(), len(excused_rows(judged))
    mine = judged[judged["verdict"] == BOTH]
    low, high = proportion_ci(len(mine), errors)
    foretold, against = (int((judged["verdict"] == name).sum()) for name in (FORETOLD, EXCEPTION))
    text = (f"Of {errors} errors, **{len(mine)}** ({percent(len(mine) / errors)}, 95 % interval {percent(low)} to "
            f"{percent(high)}) lie where the labels of train go both ways: label inconsistency")
    if len(mine):
        text += f" (label on the rarer side: {int(mine['rarer'].astype(bool).sum())})"
    text += (f". Errors where train goes both ways but the rest of the text tells which: {foretold}. Labels that "
             f"contradict train, or the rows built most alike: {against}; with them the share is "
             f"{percent((len(mine) + against) / errors)}. Wrong rows without any error besides label inconsistency: "
             f"{excused} of {wrong}")
    return text + (f"; counted as right, they would lift exact match from {percent(1 - wrong / rows)} to "
                   f"{percent(1 - (wrong - excused) / rows)}." if excused else ".")


def ceiling_finding(ceiling: pd.DataFrame) -> str:
    """What :func:`consistency_ceiling` says; empty where there is none."""
    if ceiling.empty:
        return ""
    line = ceiling.iloc[0]
    return (f"An oracle that is told the right pieces of each text and writes them as train usually does gets "
            f"**{percent(line['exact_match'])}** of the rows right (95 % interval {percent(line['low'])} to "
            f"{percent(line['high'])}): the rest is lost to uneven writing alone.")
