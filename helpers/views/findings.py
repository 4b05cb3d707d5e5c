"""The sentences under tables and figures: each number is read from the table given, the words are in `sentences.jinja`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from scipy import stats

from helpers.evaluation import systems
from helpers.evaluation.confidence import coverage_at
from helpers.run import Run
from helpers.tasks.base import HEADLINES
from helpers.tasks.statistics import proportion_ci

LEAST_ROWS, LEVEL = 20, 0.05  # rows of a slice that is worth a sentence; level of a test
PLAIN, EXACT, SMALL = "PyTorch fp32", "ONNX fp32", "ONNX int8"  # forms of a tagger
ALL = "all fields"


# -- words that the sentences share -----------------------------------------------------------------------------------
def minus(text: str) -> str:
    """A number with a true minus sign, and none before zero."""
    return "+" + text[1:] if re.fullmatch(r"-0(\.0+)?", text) else text.replace("-", "−")


def percent(share: float) -> str:
    """`0.8319` → `83.2 %`."""
    return "unknown" if pd.isna(share) else f"{minus(f'{100 * share:.1f}')} %"


def points(difference: float) -> str:
    """`-0.07` → `−7.0`, to be followed by "points"."""
    return "unknown" if pd.isna(difference) else minus(f"{100 * difference:+.1f}")


def p_value(p: float) -> str:
    """A p-value with two significant digits, or its bound."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def times(count: float) -> str:
    """`1` → `once`, `3` → `3 times`."""
    return {0: "never", 1: "once", 2: "twice"}.get(int(count), f"{count:,.0f} times")


def name(variant: Any) -> str:
    """A system, field or slice as prose writes it: by its name in the code."""
    return f"`{variant}`"


def names(variants: Iterable[Any]) -> str:
    """Several variants as prose lists them."""
    listed = [name(variant) for variant in variants]
    return " and ".join(filter(None, (", ".join(listed[:-1]), *listed[-1:]))) or "none"


def quote(text: str) -> str:
    """A text, perhaps of many lines, as a Markdown quotation."""
    return "\n".join(f"> {line}  " for line in text.split("\n"))


def extreme(scores: pd.Series, highest: bool = True) -> list[Any]:
    """Which entries are highest (or lowest): several where they are level, none where all are undefined."""
    scores = scores.dropna()
    return list(scores.index[scores == (scores.max() if highest else scores.min())])


def _templates() -> Any:
    folder = Path(__file__).parent
    options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), **options)
    written = {
        "minus": minus,
        "percent": percent,
        "points": points,
        "p_value": p_value,
        "name": name,
        "times": times,
    }
    environment.filters |= {**written, "names": names, "count": "{:,.0f}".format}
    return environment.get_template("sentences.jinja").module


SENTENCES = _templates()


def say(sentence: str, *values: Any) -> str:
    """One of the sentences of `sentences.jinja` with these values, in one line."""
    return " ".join(getattr(SENTENCES, sentence)(*values).split())


# -- stage 05 ---------------------------------------------------------------------------------------------------------
def decoding_times(times: pd.DataFrame) -> str:
    """What the constraints cost the variants that know them all, from :func:`helpers.evaluation.scoring.decode_all`."""
    times = times[times["part"] == "scored"]
    ways = times.groupby("variant")["decoding"].transform("nunique")
    rates = times[ways == ways.max()].groupby("decoding", sort=False)[["rows", "seconds"]].sum()
    return say("decoding_times", (rates["rows"] / rates["seconds"]).round(1).to_dict())


def truncation(times: pd.DataFrame, limit: int) -> str:
    """How many outputs reached `max_new_tokens`, from :func:`helpers.evaluation.scoring.decode_all`."""
    return say("truncation", list(times[times["truncated"] > 0].itertuples()), limit)


def choice(table: pd.DataFrame, best: str, same_rows: bool, metric: str = "exact_match") -> str:
    """Which variant was chosen and by how much, from :func:`helpers.evaluation.scoring.validation_table`."""
    score, others = table.loc[best, metric], table[metric].drop(best)
    return say("choice", best, score, HEADLINES[metric], extreme(others), score - others.max(), same_rows)


def headline(table: pd.DataFrame, best: str, baseline: str, rows: int, metric: str = "exact_match") -> str:
    """Best variant against best baseline, from :func:`evaluation.comparisons.comparison_table`."""
    one, other = (table.loc[each].rename({metric: "score"}).to_dict() for each in (best, baseline))
    what = "of the rows right in every field" if metric == "exact_match" else HEADLINES[metric]
    apart = one["low"] > other["high"] or other["low"] > one["high"]
    return say("headline", best, one, baseline, other, rows, what, apart)


def learnt(table: pd.DataFrame, best: str) -> str:
    """What training did to the probability of the right answers, from :func:`helpers.evaluation.scoring.answer_likelihood`."""
    after = table.loc[best] if best in table.index else table.iloc[1:].sort_values("loss").iloc[0]
    return say("learnt", table.iloc[0].to_dict(), after.to_dict(), after.name)


def constraint_gain(exact: pd.DataFrame, validity: pd.DataFrame, metric: str = "exact_match") -> str:
    """What constraints add, from :func:`evaluation.comparisons.decoding_table` of a headline score and JSON validity."""
    first, last = exact.columns[0], exact.columns[-1]
    gains = (exact[last] - exact[first]).dropna()
    most = extreme(gains.abs())
    change = gains[most[0]] if most else 0.0
    return say("constraint_gain", first, last, validity.mean(), exact.mean(), HEADLINES[metric], most, change)


def field_extremes(table: pd.DataFrame) -> str:
    """Strongest and weakest field, from per-field scores."""
    scored = table[table["support"] > 0].dropna(subset=["f1"]).sort_values("f1", kind="stable")
    if scored.empty:
        return say("field_extremes", None, None, None, None, None)
    weakest, strongest = scored.iloc[0], scored.iloc[-1]
    return say(
        "field_extremes", weakest.name, strongest.name, weakest["f1"], strongest["f1"], weakest["support"]
    )


def paired_test(row: Mapping[str, Any], left: str, right: str) -> str:
    """One line of :func:`evaluation.comparisons.compare_variants` in words."""
    known = {what: value for what, value in dict(row).items() if not pd.isna(value)}
    return say("paired_test", known, left, right, row["p_permutation"] >= LEVEL)


def cheapest(costs: pd.DataFrame) -> str:
    """Quickest and smallest variants, from :func:`evaluation.comparisons.cost_table`."""
    kinds = {
        "seconds": ("fastest to decode", "{:,.3g} s"),
        "train_seconds": ("fastest to train", "{:,.3g} s"),
        "megabytes": ("smallest on disk", "{:,.3g} MB"),
        "trainable": ("fewest trained parameters", "{:,.0f}"),
    }
    known = {column: costs[column].dropna() for column in kinds if column in costs}
    return say(
        "cheapest",
        [
            (kinds[column][0], extreme(amounts, highest=False), kinds[column][1].format(amounts.min()))
            for column, amounts in known.items()
            if len(amounts)
        ],
    )


def published(table: pd.DataFrame | None, metric: str = "exact_match") -> str:
    """Where the run stands among published results, from :func:`helpers.evaluation.measured.published_table`."""
    if table is None:
        return say("published", False, None, None, None, None)
    scores = table[metric] if metric in table else pd.Series([None], dtype=float)
    theirs = scores.iloc[1:].dropna()
    ours = None if pd.isna(scores.iloc[0]) else scores.iloc[0]
    best = (theirs.max(), theirs.idxmax()) if len(theirs) else (None, None)
    return say("published", True, HEADLINES[metric], ours, *best)


def compression(table: pd.DataFrame, teachers: Mapping[str, str]) -> str:
    """What the forms of :func:`helpers.export.latency.compression_table` gain and lose; `teachers`: student → teacher."""

    def span(values: pd.Series, form: str) -> str:
        return " to ".join(dict.fromkeys(minus(format(end, form)) for end in (values.min(), values.max())))

    plain, exact, small = (table.xs(form, level="form") for form in (PLAIN, EXACT, SMALL))
    changes = (
        span(small["speedup"], ".1f"),
        span(small["megabytes"], ".0f"),
        span(100 * small["f1_change"], "+.1f"),
    )
    lines = [say("compressed", exact["largest_difference"].max(), *changes)]
    if {"full", "lora"} <= set(plain.index):
        lines.append(say("merged", plain.loc["lora", "ms"], plain.loc["full", "ms"]))
    for student, teacher in teachers.items():
        if {student, teacher} <= set(plain.index):
            one, other = plain.loc[student], plain.loc[teacher]
            lines.append(say("distilled", student, teacher, other["ms"] / one["ms"], one["f1"] - other["f1"]))
    return "\n".join(f"- {line}" for line in lines)


# -- stage 06 ---------------------------------------------------------------------------------------------------------
def label_suspicion(table: pd.DataFrame, values: int) -> str:
    """Labels in doubt, from :func:`helpers.evaluation.label_errors.suspected_labels`."""
    return say("label_suspicion", len(table), values, int(table["issue"].sum()), int(table["suspect"].sum()))


def error_classes(counts: pd.DataFrame) -> str:
    """Largest class and field of a table of counts, fields by error classes."""
    kinds, fields = counts.sum(), counts.sum(axis=1)
    tops = (part for sums in (kinds, fields) for part in (extreme(sums), sums.max()))
    return say("error_classes", int(counts.to_numpy().sum()), *tops)


def invented(table: pd.DataFrame, values: int) -> str:
    """Values made up, from :func:`helpers.evaluation.mistakes.values_not_in_text`; `values`: number of predicted ones."""
    fields = table["field"].value_counts()
    return say("invented", len(table), values, extreme(fields), fields.max())


def harder_slices(table: pd.DataFrame, overall: float) -> tuple[int, pd.DataFrame]:
    """Slices that are harder than all rows for certain, lowest first, and how many were compared.

    Slices of at least 20 rows are held against the score of all rows (`overall`), unless their score has no spread, as
    where it is 0 by construction. The interval gives the standard error; Bonferroni's correction is for their number.
    """
    known = table[(table["n"] >= LEAST_ROWS) & (table["high"] > table["low"])].dropna(subset=["score"])
    error = (known["high"] - known["low"]) / (2 * stats.norm.ppf(0.975))
    p = 2 * stats.norm.cdf((known["score"] - overall) / error)
    return len(known), known[p * len(known) < LEVEL].sort_values("score", kind="stable")


def slices(table: pd.DataFrame, overall: float) -> str:
    """Whether a slice stands out, from :func:`helpers.evaluation.slices.slice_table`."""
    compared, hard = harder_slices(table, overall)
    return say("slices", compared, hard.to_dict("records"), overall, LEAST_ROWS)


def seen(table: pd.DataFrame) -> str:
    """What having been seen in train is worth, from :func:`helpers.evaluation.slices.seen_table`."""
    ends = [table.iloc[at].to_dict() for at in (0, -1)]
    return say("seen", *ends, all(end["entities"] for end in ends))


def patterns(pairs: pd.DataFrame) -> str:
    """The commonest confusion: `pairs` has columns field, gold, predicted, count, the commonest first."""
    return say("patterns", pairs.iloc[0].to_dict() if len(pairs) else None)


def forgiven(line: Mapping[str, float], rows: int) -> str:
    """What equivalence forgives, one line of :func:`helpers.evaluation.mistakes.equivalence_table`."""
    return say("forgiven", dict(line), rows, round(line["convention_share"] * rows))


def ceiling(right: Any) -> str:
    """What uneven labels cost at least, from :func:`helpers.evaluation.mistakes.oracle_match`; empty without an oracle."""
    if right is None or not len(right):
        return ""
    return say("ceiling", right.mean(), *proportion_ci(int(right.sum()), len(right)))


def fragility(table: pd.DataFrame) -> str:
    """Most harmful perturbation, from :func:`helpers.evaluation.slices.robustness_table`."""
    if table.empty:
        return say("fragility", 0, None, None, None)
    worst = extreme(table["difference"], highest=False)
    harmful = table.index[table["difference_high"] < 0]
    return say("fragility", len(table), table.loc[worst[0]].to_dict(), worst, harmful)


# -- confidence, stages 06 and 07 -------------------------------------------------------------------------------------
def calibration(frame: pd.DataFrame, error: float) -> str:
    """Over- or underconfidence, from :func:`helpers.evaluation.confidence.confidence_frame` and its calibration error."""
    return say("calibration", len(frame), frame["confidence"].mean(), frame["right"].mean(), error)


def selective(curve: pd.DataFrame, risk: float = 0.05) -> str:
    """How many rows could go unread at a tolerated error rate, from :func:`helpers.evaluation.confidence.risk_coverage`."""
    if curve.empty:
        return say("selective", False, None, None, None)
    return say("selective", True, coverage_at(curve, risk), risk, curve["risk"].iloc[-1])


def thresholds(table: pd.DataFrame, precision: float) -> str:
    """What calibration changes over all fields, from :func:`helpers.calibrate.calibration_table`."""
    fields = table.drop(index=ALL)
    return say("thresholds", table.loc[ALL].to_dict(), precision, list(fields.index[fields["kept"] == 0]))


def parity(found: Mapping[str, Mapping[str, float]], score: str = "exact match") -> str:
    """How far exported forms are from the trained model, from :func:`helpers.export.folders.check_parity`."""
    return say("parity", found["merged"], found.get("onnx_int8"), score)


def served(variant: str, version: str, metric: str, score: float, writer: str) -> str:
    """What a run serves, and which variant its exports for language-model runtimes are made of."""
    return say("served", variant, version, metric, None if pd.isna(score) else score, writer)


def deployment(run: Run) -> str:
    """Which system of a run is to be used, and why (:func:`helpers.evaluation.systems.deployed`)."""
    return systems.deployed(run, systems.finished(run))[1]


def tell(sentence: str, *values: Any) -> str:
    """A sentence by its name, as notebooks ask for it: values that are still to be worked out go through the function here."""
    return globals().get(sentence, lambda *given: say(sentence, *given))(*values)
