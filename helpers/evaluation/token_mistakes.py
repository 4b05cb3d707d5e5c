"""Errors of token taggers: confusions, slipped borders, strings that train had not seen, changed input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from helpers.evaluation.display import entity_text
from helpers.evaluation.robustness import perturb
from helpers.tasks.base import Task
from helpers.tasks.bio import Span, label_of, spans_of
from helpers.tasks.records import Example
from helpers.tasks.statistics import paired_permutation_test, proportion_ci, ratio, score_ci
from helpers.tasks.token_metrics import predicted_tags, row_sums

Records = list[dict[str, Any]]
RIGHT, BOUNDARY, TYPE, BOTH, MISSED, INVENTED = (
    "right",
    "boundary",
    "type",
    "boundary and type",
    "missed",
    "invented",
)
OUTCOMES = (RIGHT, BOUNDARY, TYPE, BOTH, MISSED, INVENTED)


# -- one line an entity -----------------------------------------------------------------------------------------------
def _partner(span: Span, others: Sequence[Span], taken: set[Span]) -> Span | None:
    """The free span that overlaps most, of the same label before another, else the first."""
    free = [
        (min(span[1], o[1]) - max(span[0], o[0]), o[2] == span[2], -o[0], o) for o in others if o not in taken
    ]
    best = max(free, default=(0, False, 0, None), key=lambda item: item[:3])
    return best[3] if best[0] > 0 else None


def match_spans(
    gold: Sequence[Span], predicted: Sequence[Span]
) -> list[tuple[Span | None, Span | None, str]]:
    """Pairs of gold and predicted entity with the outcome; each entity is in one pair, alone if nothing overlaps it."""
    exact = set(gold) & set(predicted)
    pairs: list[tuple[Span | None, Span | None, str]] = [
        (span, span, RIGHT) for span in gold if span in exact
    ]
    taken = set(exact)
    for span in gold:
        if span in exact:
            continue
        other = _partner(span, predicted, taken)
        if other is None:
            pairs.append((span, None, MISSED))
            continue
        taken.add(other)
        same_place, same_label = span[:2] == other[:2], span[2] == other[2]
        pairs.append((span, other, TYPE if same_place else BOUNDARY if same_label else BOTH))
    pairs += [(None, span, INVENTED) for span in predicted if span not in taken]
    return sorted(pairs, key=lambda pair: (pair[0] or pair[1])[:2])


def entity_outcomes(task: Task, gold: Sequence[Example], records: Records) -> pd.DataFrame:
    """One line for every gold entity and every predicted one that overlaps none.

    Returns
    -------
    DataFrame
        Columns id, outcome (:data:`OUTCOMES`), label and text (gold; None for invented ones), predicted_label and
        predicted_text (None for missed ones).
    """
    lines = []
    for example, tags in zip(gold, predicted_tags(task, gold, records)):
        words = example.target.tokens
        for span, other, outcome in match_spans(spans_of(example.target.tags), spans_of(tags)):
            lines.append(
                (
                    example.id,
                    outcome,
                    *((span[2], " ".join(words[span[0] : span[1]])) if span else (None, None)),
                    *((other[2], " ".join(words[other[0] : other[1]])) if other else (None, None)),
                )
            )
    return pd.DataFrame(
        lines, columns=["id", "outcome", "label", "text", "predicted_label", "predicted_text"]
    )


def outcome_table(task: Task, outcomes: pd.DataFrame) -> pd.DataFrame:
    """Number of entities by label (index; invented ones under the label they were given) and outcome (columns)."""
    label = outcomes["label"].fillna(outcomes["predicted_label"])
    table = pd.crosstab(label, outcomes["outcome"])
    table = table.reindex(index=list(task.fields), columns=list(OUTCOMES), fill_value=0)
    return table.rename_axis(index="label", columns=None)


def confusion_matrix(task: Task, gold: Sequence[Example], records: Records) -> pd.DataFrame:
    """Tokens by the label they have (index) and the one they got (columns), `O` for outside."""
    counts: Counter[tuple[str, str]] = Counter()
    for example, tags in zip(gold, predicted_tags(task, gold, records)):
        counts.update(
            (label_of(one) or "O", label_of(other) or "O") for one, other in zip(example.target.tags, tags)
        )
    names = [*task.fields, "O"]
    return pd.DataFrame(
        [[counts[one, other] for other in names] for one in names],
        index=pd.Index(names, name="label"),
        columns=names,
    )


def slice_table(task: Task, gold: Sequence[Example], records: Records, seed: int) -> pd.DataFrame:
    """Entity F1 in every slice that the task names, with bootstrap 95 % intervals over sentences.

    Returns
    -------
    DataFrame
        Columns slice, value, n (sentences), score, low, high, as :func:`helpers.evaluation.mistakes.slice_table` has them; slices
        without any entity, right or wrong, are left out.
    """
    counts = row_sums(task, gold, records)[["twice_right", "gold_and_predicted"]]
    lines: dict[tuple[str, str], list[int]] = {}
    for at, slices in enumerate(task.hooks.slices(gold)):
        for pair in slices.items():
            lines.setdefault(pair, []).append(at)
    table = []
    order = list(dict.fromkeys(name for name, _ in lines))
    for name, value in sorted(lines, key=lambda pair: (order.index(pair[0]), pair[1])):
        rows = counts.iloc[lines[name, value]]
        if rows["gold_and_predicted"].sum():
            table.append(
                (
                    name,
                    value,
                    len(rows),
                    float(ratio(rows["twice_right"].sum(), rows["gold_and_predicted"].sum())),
                    *score_ci(rows["twice_right"], rows["gold_and_predicted"], seed=seed),
                )
            )
    return pd.DataFrame(table, columns=["slice", "value", "n", "score", "low", "high"])


# -- what train had seen ----------------------------------------------------------------------------------------------
def seen_table(
    task: Task, train: Sequence[Example], gold: Sequence[Example], records: Records
) -> pd.DataFrame:
    """Recall of entities by what train says of their string.

    Returns
    -------
    DataFrame
        Index `seen with this label`, `seen with another label`, `seen unlabelled` (the words stand in train, but never
        as an entity), `never seen`; columns entities, right, recall, low, high (Wilson 95 %).
    """
    labels: dict[str, set[str]] = {}
    text = "\n".join(" " + " ".join(example.target.tokens).lower() + " " for example in train)
    for example in train:
        for label, value in example.target.entities():
            labels.setdefault(value.lower(), set()).add(label)
    counts: dict[str, Counter[str]] = {
        kind: Counter()
        for kind in ("seen with this label", "seen with another label", "seen unlabelled", "never seen")
    }
    for outcome in entity_outcomes(task, gold, records).query("label.notna()").itertuples():
        known = labels.get(outcome.text.lower())
        kind = (
            ("seen with this label" if outcome.label in known else "seen with another label")
            if known
            else "seen unlabelled"
            if f" {outcome.text.lower()} " in text
            else "never seen"
        )
        counts[kind].update(entities=1, right=outcome.outcome == RIGHT)
    lines = {
        kind: (
            c["entities"],
            c["right"],
            float(ratio(c["right"], c["entities"])),
            *(proportion_ci(c["right"], c["entities"]) if c["entities"] else (np.nan, np.nan)),
        )
        for kind, c in counts.items()
    }
    return pd.DataFrame.from_dict(
        lines, orient="index", columns=["entities", "right", "recall", "low", "high"]
    )


def rare_label_table(task: Task, train: Sequence[Example], scores: dict[str, Any]) -> pd.DataFrame:
    """F1 of each label beside the number of its entities in train, rarest first."""
    counts = Counter(label for example in train for label, _ in example.target.entities())
    table = pd.DataFrame(
        {
            "entities in train": {label: counts[label] for label in task.fields},
            "f1": {label: scores["fields"][label]["f1"] for label in task.fields},
            "support": {label: scores["fields"][label]["support"] for label in task.fields},
        }
    )
    return table.sort_values(["entities in train"], kind="stable").rename_axis("label")


# -- sentences to look at ---------------------------------------------------------------------------------------------
def wrong_sentences(
    task: Task, gold: Sequence[Example], records: Records, count: int = 6
) -> list[tuple[Example, tuple[str, ...]]]:
    """(row, predicted tags) of wrong rows: in turn the first that shows each kind of error, then the next."""
    found: dict[str, list[int]] = {}
    tags = predicted_tags(task, gold, records)
    for at, example in enumerate(gold):
        for outcome in dict.fromkeys(
            o for *_, o in match_spans(spans_of(example.target.tags), spans_of(tags[at]))
        ):
            if outcome != RIGHT:
                found.setdefault(outcome, []).append(at)
    order: list[int] = []
    for depth in range(max(map(len, found.values()), default=0)):
        order += [rows[depth] for kind in OUTCOMES if depth < len(rows := found.get(kind, []))]
    return [(gold[at], tags[at]) for at in list(dict.fromkeys(order))[:count]]


def character_spans(tokens: Sequence[str], tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Entities as (start, end, label) in the tokens joined by spaces."""
    starts = [0]
    for token in tokens:
        starts.append(starts[-1] + len(token) + 1)
    return [(starts[start], starts[end] - 1, label) for start, end, label in spans_of(tags)]


def comparison_html(task: Task, example: Example, tags: Sequence[str]) -> str:
    """Label and prediction of a sentence, one under the other; labels are written out, so that colour is not needed."""
    tokens = example.target.tokens
    shown = {
        title: entity_text(" ".join(tokens), character_spans(tokens, one), task.fields)
        for title, one in (("Label", example.target.tags), ("Prediction", tags))
    }
    return "".join(f"<p><strong>{title}</strong></p>{text}" for title, text in shown.items())


# -- robustness -------------------------------------------------------------------------------------------------------
def robustness_table(
    task: Task,
    examples: Sequence[Example],
    clean: Records,
    predict: Callable[[list[Example]], Records],
    seed: int,
) -> pd.DataFrame:
    """Entity F1 on changed sentences, against the same sentences unchanged.

    Parameters
    ----------
    examples : sequence of Example
    clean : list of dict
        Prediction records of the unchanged rows; more rows than `examples` do no harm.
    predict : callable
        Examples → prediction records.
    seed : int

    Returns
    -------
    DataFrame
        Index perturbation; columns n (rows it fits), clean, score (F1 before and after), low, high (95 % of score),
        difference, difference_low, difference_high (paired bootstrap 95 %), p (paired permutation of the number of
        wrong entities a sentence).
    """
    by_id, rows = {record["id"]: record for record in clean}, {row.id: row for row in examples}
    lines = {}
    for name, changed in tqdm(perturb(task, examples, seed).items(), desc="perturbations", unit="kind"):
        if not changed:
            continue
        originals = [rows[row.id] for row in changed]
        before = row_sums(task, originals, [by_id[row.id] for row in changed])
        after = row_sums(task, changed, predict(changed))
        scores = [
            float(ratio(one["twice_right"].sum(), one["gold_and_predicted"].sum())) for one in (before, after)
        ]
        errors = [one["gold_and_predicted"] - one["twice_right"] for one in (before, after)]
        lines[name] = (
            len(changed),
            *scores,
            *score_ci(after["twice_right"], after["gold_and_predicted"], seed=seed),
            scores[1] - scores[0],
            *_difference_ci(before, after, seed),
            paired_permutation_test(errors[1], errors[0], seed=seed),
        )
    columns = ["n", "clean", "score", "low", "high", "difference", "difference_low", "difference_high", "p"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("perturbation")


def _difference_ci(
    before: pd.DataFrame, after: pd.DataFrame, seed: int, resamples: int = 2000
) -> tuple[float, float]:
    """Bootstrap 95 % interval of F1 after minus F1 before, the same sentences drawn for both."""
    drawn = np.random.default_rng(seed).integers(0, len(before), (resamples, len(before)))
    scores = [
        ratio(*(one[name].to_numpy()[drawn].sum(1) for name in ("twice_right", "gold_and_predicted")))
        for one in (before, after)
    ]
    low, high = np.nanpercentile(np.nan_to_num(scores[1]) - np.nan_to_num(scores[0]), [2.5, 97.5])
    return float(low), float(high)


# -- sentences for the notebook -----------------------------------------------------------------------------------------
def confusion_finding(matrix: pd.DataFrame) -> str:
    """The commonest confusion, from :func:`confusion_matrix`."""
    wrong = matrix.where(~np.eye(len(matrix), dtype=bool), 0)
    if not wrong.to_numpy().sum():
        return "No token has a wrong label."
    label, found = wrong.stack().idxmax()
    share = wrong.loc[label].max() / matrix.loc[label].sum()
    return (
        f"Most often **{label}** is taken for {found}: {wrong.loc[label, found]:,.0f} tokens, {share:.1%} of those of "
        f"{label}. Between two entity labels {wrong.drop(index='O', columns='O').to_numpy().sum():,.0f} tokens change, "
        f"between entity and outside {wrong['O'].sum() + wrong.loc['O'].sum():,.0f}."
    )


def outcome_finding(table: pd.DataFrame) -> str:
    """What kind of error is commonest, from :func:`outcome_table`."""
    wrong = table.drop(columns=RIGHT).sum()
    if not wrong.sum():
        return "Every entity is right."
    return (
        f"Of **{wrong.sum()}** wrong entities {wrong[MISSED]} are missed, {wrong[INVENTED]} invented, {wrong[BOUNDARY]} "
        f"have the right label at wrong borders, {wrong[TYPE]} wrong labels at the right borders, and {wrong[BOTH]} are "
        f"wrong in both. Most errors are in *{table.drop(columns=RIGHT).sum(axis=1).idxmax()}*."
    )


def seen_finding(table: pd.DataFrame) -> str:
    """What having been seen is worth, from :func:`seen_table`."""
    seen, never = table.loc["seen with this label"], table.loc["never seen"]
    if not seen["entities"] or not never["entities"]:
        return "These sentences hold no entities of both kinds, seen and never seen, to compare."
    return (
        f"Entities whose words train labels the same way are found in {seen['recall']:.1%} of the cases "
        f"({seen['entities']:.0f} entities), those that train never shows in **{never['recall']:.1%}** "
        f"({never['entities']:.0f}): the difference is what the model knows by heart."
    )
