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


def names(variants: Iterable[Any]) -> str:
    """Several systems, fields or slices as prose lists them, by their names in the code."""
    listed = [f"`{variant}`" for variant in variants]
    return " and ".join(filter(None, (", ".join(listed[:-1]), *listed[-1:]))) or "none"


def extreme(scores: pd.Series, highest: bool = True) -> list[Any]:
    """Which entries are highest (or lowest): several where they are level, none where all are undefined."""
    scores = scores.dropna()
    return list(scores.index[scores == (scores.max() if highest else scores.min())])


def harder_slices(table: pd.DataFrame, overall: float) -> tuple[int, pd.DataFrame]:
    """Slices that are harder than all rows for certain, lowest first, and how many were compared.

    Slices of at least 20 rows are held against the score of all rows (`overall`), unless their score has no spread, as
    where it is 0 by construction. The interval gives the standard error; Bonferroni's correction is for their number.
    """
    known = table[(table["n"] >= LEAST_ROWS) & (table["high"] > table["low"])].dropna(subset=["score"])
    error = (known["high"] - known["low"]) / (2 * stats.norm.ppf(0.975))
    p = 2 * stats.norm.cdf((known["score"] - overall) / error)
    return len(known), known[p * len(known) < LEVEL].sort_values("score", kind="stable")


def _sentences() -> Any:
    folder = Path(__file__).parent
    options = {"trim_blocks": True, "lstrip_blocks": True, "undefined": jinja2.StrictUndefined}
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), **options)
    for function in (minus, percent, points, p_value, times, names):
        environment.filters[function.__name__] = function
    environment.filters |= {"name": "`{}`".format, "count": "{:,.0f}".format, "words": HEADLINES.get}
    environment.tests["unknown"] = pd.isna
    for function in (extreme, harder_slices, coverage_at, proportion_ci):
        environment.globals[function.__name__] = function
    environment.globals |= {"LEAST_ROWS": LEAST_ROWS, "LEVEL": LEVEL}
    return environment.get_template("sentences.jinja").module


SENTENCES = _sentences()


def say(sentence: str, *values: Any) -> str:
    """One of the sentences of `sentences.jinja` with these values, in one line."""
    return " ".join(getattr(SENTENCES, sentence)(*values).split())


# -- sentences whose numbers have to be worked out first ----------------------------------------------------------------
def decoding_times(times: pd.DataFrame) -> str:
    """What the constraints cost the variants that know them all, from :func:`helpers.evaluation.scoring.decode_all`."""
    times = times[times["part"] == "scored"]
    ways = times.groupby("variant")["decoding"].transform("nunique")
    rates = times[ways == ways.max()].groupby("decoding", sort=False)[["rows", "seconds"]].sum()
    return say("decoding_times", (rates["rows"] / rates["seconds"]).round(1).to_dict())


def compression(table: pd.DataFrame, teachers: Mapping[str, str]) -> str:
    """What the forms of :func:`helpers.export.latency.compression_table` gain and lose; `teachers`: student → teacher."""

    def span(values: pd.Series, form: str) -> str:
        return " to ".join(dict.fromkeys(minus(format(end, form)) for end in (values.min(), values.max())))

    plain, exact, small = (table.xs(form, level="form") for form in (PLAIN, EXACT, SMALL))
    speed, size = span(small["speedup"], ".1f"), span(small["megabytes"], ".0f")
    change = span(100 * small["f1_change"], "+.1f")
    lines = [say("compressed", exact["largest_difference"].max(), speed, size, change)]
    if {"full", "lora"} <= set(plain.index):
        lines.append(say("merged", plain.loc["lora", "ms"], plain.loc["full", "ms"]))
    for student, teacher in teachers.items():
        if {student, teacher} <= set(plain.index):
            one, other = plain.loc[student], plain.loc[teacher]
            lines.append(say("distilled", student, teacher, other["ms"] / one["ms"], one["f1"] - other["f1"]))
    return "\n".join(f"- {line}" for line in lines)


def deployment(run: Run) -> str:
    """Which system of a run is to be used, and why (:func:`helpers.evaluation.systems.deployed`)."""
    return systems.deployed(run, systems.finished(run))[1]


def quote(text: str) -> str:
    """A text, perhaps of many lines, as a Markdown quotation."""
    return "\n".join(f"> {line}  " for line in text.split("\n"))


WORKED_OUT = {one.__name__: one for one in (decoding_times, compression, deployment, quote)}


def tell(sentence: str, *values: Any) -> str:
    """A sentence by its name, from the tables and numbers that its macro in `sentences.jinja` takes."""
    return WORKED_OUT[sentence](*values) if sentence in WORKED_OUT else say(sentence, *values)
