"""The sentences under tables and figures of stages 05 and 06: each number in them is read from the table it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from helpers.evaluation.confidence import coverage_at
from helpers.tasks.base import HEADLINES
from helpers.tasks.statistics import proportion_ci


def percent(share: float) -> str:
    """`0.8319` → `83.2 %`."""
    return "unknown" if pd.isna(share) else f"{100 * share:.1f} %"


def name(variant: str) -> str:
    """A variant as prose writes it."""
    return f"*{variant.replace('_', ' ')}*"


def plain(text: str) -> str:
    """A sentence without its Markdown emphasis, for captions."""
    return text.replace("*", "")


def names(variants: Sequence[str]) -> str:
    """Several variants as prose lists them."""
    listed = [name(variant) for variant in variants]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} and {listed[-1]}"


def p_value(p: float) -> str:
    """A p-value with two significant digits, or its bound."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


# -- stage 05 ---------------------------------------------------------------------------------------------------------
def decoding_times(times: pd.DataFrame) -> str:
    """What the constraints cost the variants that know them all, from :func:`evaluation.variants.decode_all`."""
    times = times[times["part"] == "scored"]
    ways = times.groupby("variant")["decoding"].transform("nunique")
    rates = times[ways == ways.max()].groupby("decoding", sort=False)[["rows", "seconds"]].sum()
    speed = (rates["rows"] / rates["seconds"]).round(1)
    parts = ", ".join(f"{way} {rate:g}" for way, rate in speed.items())
    return f"Rows decoded a second: {parts}."


def agreement(table: pd.DataFrame, first: str) -> str:
    """What the members' agreement is worth, from :func:`helpers.evaluation.vote.agreement_table`; `first` is the first member."""
    line = table.iloc[-1]
    text = (
        f"All members give one value for {percent(line['unanimous'])} of the fields, which is right in "
        f"{percent(line['unanimous_right'])} of the cases"
    )
    if line["majority"]:
        text += f"; where only most of them do, the value is right in {percent(line['majority_right'])}"
    if line["split"]:
        text += f"; where there is no majority, in {percent(line['split_right'])}"
    return (
        f"{text}. Against {name(first)} alone the vote turns {line['mended']:.0f} wrong values right and "
        f"{line['spoilt']:.0f} right values wrong."
    )


def quote(text: str) -> str:
    """A text, perhaps of many lines, as a Markdown quotation."""
    return "\n".join(f"> {line}  " for line in text.split("\n"))


def choice(table: pd.DataFrame, best: str, same_rows: bool, metric: str = "exact_match") -> str:
    """Which variant was chosen and by how much, from :func:`evaluation.variants.validation_table`."""
    scores = table[metric]
    others = scores.drop(best)
    text = f"The validation part chooses {name(best)} with {percent(scores[best])} {HEADLINES[metric][0]}"
    if len(others) and others.max() == scores[best]:
        text += f", level with {name(others.idxmax())}, so field accuracy and then the name decide"
    elif len(others):
        text += f", {100 * (scores[best] - others.max()):.1f} points before {name(others.idxmax())}"
    if same_rows:
        text += (
            ". **Mind:** this data has no test part, so the rows that choose are also the rows that are scored, "
            "and the best variant's score below is a little too good"
        )
    return text + "."


def headline(table: pd.DataFrame, best: str, baseline: str, rows: int, metric: str = "exact_match") -> str:
    """Best variant against best baseline, from :func:`evaluation.comparisons.comparison_table`."""
    one, other = table.loc[best], table.loc[baseline]
    apart = one["low"] > other["high"] or other["low"] > one["high"]
    what = "of the rows right in every field" if metric == "exact_match" else HEADLINES[metric][0]
    return (
        f"On {rows} rows {name(best)} gets **{percent(one[metric])}** {what} "
        f"(95 % interval {percent(one['low'])} to {percent(one['high'])}); the best system without training, "
        f"{name(baseline)}, gets {percent(other[metric])}. The two intervals "
        f"{'do not overlap' if apart else 'overlap'}."
    )


def constraint_gain(exact: pd.DataFrame, validity: pd.DataFrame, metric: str = "exact_match") -> str:
    """What constraints add, from :func:`evaluation.comparisons.decoding_table` of a headline score and JSON validity."""
    first, last = exact.columns[0], exact.columns[-1]
    if first == last:
        return f"This task has one way of decoding, *{first}*."
    gains = exact[last] - exact[first]
    most = gains.idxmax()
    return (
        f"From *{first}* to *{last}* decoding, valid output goes from {percent(validity[first].mean())} to "
        f"{percent(validity[last].mean())} on average over variants, {HEADLINES[metric][0]} from "
        f"{percent(exact[first].mean())} "
        f"to {percent(exact[last].mean())}; {name(most)} changes most, by {100 * gains[most]:+.1f} points."
    )


def field_extremes(table: pd.DataFrame) -> str:
    """Strongest and weakest field, from per-field scores."""
    scored = table[table["support"] > 0]["f1"].dropna()
    if scored.empty:
        return "No field has a value in these labels."
    low, high = scored.idxmin(), scored.idxmax()
    if scored[low] == scored[high]:
        return f"All fields have the same F1, {scored[low]:.3f}."
    return (
        f"The weakest field is **{low}** (F1 {scored[low]:.3f}, {table.loc[low, 'support']:.0f} values), the "
        f"strongest **{high}** (F1 {scored[high]:.3f}). An F1 on few values is itself a rough number."
    )


def paired_test(row: Mapping[str, Any], left: str, right: str) -> str:
    """One line of :func:`evaluation.comparisons.compare_variants` in words."""
    sure = "could well be chance" if row["p_permutation"] >= 0.05 else "is more than chance would give"
    return (
        f"On the same rows {name(left)} does better than {name(right)} {row['wins']:.0f} times and worse "
        f"{row['losses']:.0f} times: a difference of {100 * row['difference']:+.1f} points (95 % interval "
        f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}), which {sure} ({p_value(row['p_permutation'])}, "
        f"paired permutation; {p_value(row['p_mcnemar'])}, McNemar). Cohen's h is {row['cohens_h']:.2f}: a "
        f"{row['effect']} effect."
    )


def cheapest(costs: pd.DataFrame) -> str:
    """Fastest to train and smallest variant, from :func:`evaluation.comparisons.cost_table`."""
    parts = []
    for column, words, unit in (
        ("train_seconds", "Fastest to train", "s"),
        ("megabytes", "Smallest on disk", "MB"),
        ("trainable", "Fewest trained parameters", "parameters"),
    ):
        known = costs[column].dropna()
        if len(known):
            parts.append(
                f"{words}: {name(known.idxmin())} ({known.min():,.3g} {unit})"
                if column != "trainable"
                else f"{words}: {name(known.idxmin())} ({known.min():,.0f})"
            )
    return "; ".join(parts) + "." if parts else "No costs were recorded."


def published(table: pd.DataFrame | None, metric: str = "exact_match") -> str:
    """Where the run stands among published results, from :func:`evaluation.comparisons.published_table`."""
    if table is None:
        return (
            "**Not shown:** published results stand beside ours only when the run is on that public data; this run "
            "is on other data, whose numbers could not be compared."
        )
    known = table[metric].dropna() if metric in table else pd.Series(dtype=float)
    if len(known) < 2:
        return f"None of the published results gives {HEADLINES[metric][0]}."
    ours, theirs = known.iloc[0], known.iloc[1:]
    return (
        f"The best published {HEADLINES[metric][0]} on this data is {percent(theirs.max())} ({theirs.idxmax()}); "
        f"this run is {100 * (ours - theirs.max()):+.1f} points from it. Splits and seeds differ between studies."
    )


def truncation(times: pd.DataFrame, limit: int) -> str:
    """How many outputs reached `max_new_tokens`, from :func:`evaluation.variants.decode_all`."""
    cut = times[times["truncated"] > 0]
    if cut.empty:
        return f"No output reached the limit of {limit} tokens."
    listed = ", ".join(
        f"{line.variant}, {line.decoding} ({line.part}): {line.truncated}" for line in cut.itertuples()
    )
    return (
        f"**{cut['truncated'].sum()}** outputs reached the limit of {limit} tokens ({listed}). Under a grammar such an "
        "output is closed there and stays valid; free output stays cut."
    )


def learnt(table: pd.DataFrame, best: str) -> str:
    """What training did to the probability of the right answers, from :func:`helpers.evaluation.likelihood.measure`."""
    before = table.iloc[0]
    after = table.loc[best] if best in table.index else table.iloc[1:].sort_values("loss").iloc[0]
    return (
        f"Training takes the loss on a token of the right answers from {before['loss']:.3f} to **{after['loss']:.3f}** "
        f"({name(str(after.name))}), perplexity from {before['perplexity']:.2f} to {after['perplexity']:.2f}, and the "
        f"share of tokens that are the likeliest one from {percent(before['token_accuracy'])} to "
        f"**{percent(after['token_accuracy'])}**."
    )


def invented(table: pd.DataFrame, values: int) -> str:
    """Values made up, from :func:`helpers.evaluation.mistakes.values_not_in_text`; `values` is the number of predicted ones."""
    if table.empty:
        return f"None of the {values} predicted values is made up: each stands in its text or in the label."
    fields = table["field"].value_counts()
    return (
        f"**{len(table)}** of {values} predicted values are neither in the label nor anywhere in the text, most of "
        f"them in *{fields.index[0]}* ({fields.iloc[0]})."
    )


# -- stage 06 ---------------------------------------------------------------------------------------------------------
def label_suspicion(table: pd.DataFrame, values: int) -> str:
    """Labels in doubt, from :func:`helpers.evaluation.label_errors.suspected_labels`."""
    issues, marked = int(table["issue"].sum()), int(table["suspect"].sum())
    return (
        f"Model and label disagree on {len(table)} of {values} fields. Confident learning holds {issues} of these "
        f"for doubtful labels, and for **{marked}** something besides the model agrees."
    )


def error_classes(counts: pd.DataFrame) -> str:
    """Largest class and field, from :func:`helpers.evaluation.mistakes.error_counts`."""
    total = int(counts.to_numpy().sum())
    if not total:
        return "There is no error to class."
    kinds, fields = counts.sum(), counts.sum(axis=1)
    return (
        f"Of **{total}** wrong fields most are of the class *{kinds.idxmax()}* ({int(kinds.max())}, "
        f"{percent(kinds.max() / total)}), and most are in *{fields.idxmax()}* ({int(fields.max())})."
    )


def errors_by_slice(rates: pd.DataFrame) -> str:
    """Where errors are most frequent and of which class, from :func:`helpers.evaluation.mistakes.errors_by_slice`."""
    kinds = rates.drop(columns="rows")
    totals = kinds.sum(axis=1)
    worst, best = totals.idxmax(), totals.idxmin()
    if worst == best or totals[worst] == totals[best]:
        return f"There are {totals[worst]:.0f} errors a hundred rows."
    return (
        f"Errors are most frequent where the {rates.index.name} is *{worst}*: {totals[worst]:.0f} a hundred rows, most of "
        f"them *{kinds.loc[worst].idxmax()}*, against {totals[best]:.0f} where it is *{best}*."
    )


def slices(table: pd.DataFrame, overall: float, least: int = 5) -> str:
    """Hardest slice of at least `least` rows, and whether it stands out, from :func:`helpers.evaluation.mistakes.slice_table`.

    `overall` is the score of all rows.
    """
    large = table[table["n"] >= least]
    if large.empty:
        return "No slice holds enough rows to say anything."
    worst = large.loc[large["score"].idxmin()]
    if worst["score"] == large["score"].max():
        return f"All slices score the same, {percent(worst['score'])}."
    stands_out = "lies below" if worst["high"] < overall else "includes"
    return (
        f"The hardest slice is *{worst['slice']}: {worst['value']}* with {percent(worst['score'])} of "
        f"{worst['n']:.0f} rows; its interval {stands_out} the score of all rows ({percent(overall)})."
    )


def patterns(pairs: pd.DataFrame, edges: pd.DataFrame) -> str:
    """The commonest confusion and edge, from :func:`helpers.evaluation.mistakes.frequent_pairs` and `edge_words`."""
    if pairs.empty:
        return "There is no pattern, as there is no error."
    text = "No confusion of one value with another occurs twice"
    if pairs["count"].max() > 1:
        top = pairs.iloc[0]
        text = (
            f"The most frequent confusion is in *{top['field']}*: “{top['gold'] or 'nothing'}” → "
            f"“{top['predicted'] or 'nothing'}” ({top['count']}×)"
        )
    if len(edges) and edges["count"].max() > 1:
        top = edges.iloc[0]
        return (
            f"{text}; the edge that is misplaced most often is the {top['edge']} of *{top['field']}*, where the "
            f"prediction {top['change']} “{top['words']}” ({top['count']}×)."
        )
    return f"{text}, and no word is kept or dropped twice at an edge."


def forgiven(line: Mapping[str, float], rows: int) -> str:
    """What equivalence forgives, one line of :func:`helpers.evaluation.mistakes.equivalence_table`."""
    if not line["convention_share"]:
        return (
            f"Counting values that mean the same as right changes nothing: none of the {rows} rows is wrong in form "
            "only, so no clash of conventions shows here."
        )
    return (
        f"Counting values that mean the same as right lifts exact match from {percent(line['exact_match'])} to "
        f"**{percent(line['equivalent_match'])}**. The {round(line['convention_share'] * rows)} rows between the two "
        f"({percent(line['convention_share'])}) are wrong in form only: this estimates how many rows are labelled by "
        "another convention than the one that the model learnt."
    )


def ceiling(right: Any) -> str:
    """What uneven labels cost at least, from :func:`helpers.evaluation.mistakes.oracle_match`; empty where there is no oracle."""
    if right is None or not len(right):
        return ""
    low, high = proportion_ci(int(right.sum()), len(right))
    return (
        f"An oracle that is told the right pieces of each text and writes them as train usually does gets "
        f"**{percent(right.mean())}** of the rows right (95 % interval {percent(low)} to {percent(high)}): the rest "
        "is lost to uneven writing alone."
    )


def fragility(table: pd.DataFrame) -> str:
    """Most harmful perturbation, from :func:`helpers.evaluation.robustness.robustness_table`."""
    if table.empty:
        return "No perturbation fits these rows."
    worst = table.loc[table["difference"].idxmin()]
    if worst["difference"] >= 0:
        return f"None of the {len(table)} perturbations lowers the score."
    harmful = table.index[table["difference_high"] < 0]
    listed = names(list(harmful)) if len(harmful) else "none"
    return (
        f"{name(table['difference'].idxmin())} costs most: {percent(worst['clean'])} → {percent(worst['score'])}, "
        f"{100 * worst['difference']:+.1f} points (95 % interval {100 * worst['difference_low']:+.1f} to "
        f"{100 * worst['difference_high']:+.1f}). Perturbations whose whole interval is below zero: {listed}."
    )


def calibration(frame: pd.DataFrame, error: float) -> str:
    """Over- or underconfidence, from :func:`helpers.evaluation.confidence.confidence_frame` and its calibration error."""
    if frame.empty:
        return "These predictions carry no confidence."
    sure, right = frame["confidence"].mean(), frame["right"].mean()
    word = (
        "surer than it is right"
        if sure > right + 0.005
        else "less sure than it is right"
        if sure < right - 0.005
        else "as sure as it is right"
    )
    return (
        f"Over all fields the model states {percent(sure)} and is right in {percent(right)}: on average it is "
        f"**{word}**. The expected calibration error is {error:.3f}."
    )


def selective(curve: pd.DataFrame, risk: float = 0.05) -> str:
    """How many rows could go unread at a tolerated error rate, from :func:`helpers.evaluation.confidence.risk_coverage`."""
    kept = coverage_at(curve, risk)
    if curve.empty:
        return "There is no confidence to rank by."
    if kept["coverage"] == 1:
        return f"All rows can be accepted: their error rate is {percent(kept['risk'])} as it is."
    if not kept["coverage"]:
        return f"No threshold on the confidence of a row keeps the error rate at or below {percent(risk)}."
    return (
        f"Accepting only rows with a confidence of at least {kept['threshold']:.3f} keeps "
        f"**{percent(kept['coverage'])}** of them at an error rate of {percent(kept['risk'])} (all rows: "
        f"{percent(curve['risk'].iloc[-1])}). The threshold was read off these rows; on new rows it will do a little "
        "worse."
    )
