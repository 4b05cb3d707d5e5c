"""What the ablations showed, as tables, a learning curve and sentences; every number is read from the results file."""
from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from helpers.ablation_folds import rows_fingerprint
from helpers.ablation_results import read_results
from helpers.config import Run
from helpers.display import MARKERS, PALETTE, WIDTH, words
from helpers.findings import name, p_value, percent
from helpers.tasks.base import HEADLINES

Results = dict[str, Any]


def command(run: Run) -> str:
    """The command line that carries out all ablations of a task; a folder of data is not named."""
    data = run.data if run.data in ("sample", "public") else "DIR"
    return f"python -m helpers.ablate --task {run.task.name} --data {data}"


# -- where the numbers come from --------------------------------------------------------------------------------------
def same_rows(run: Run, results: Results) -> bool:
    """Whether the results were measured on the train and validation rows of this run."""
    own = rows_fingerprint(run.task, run.load("train"), run.load("validation"))
    return own == results["data"]["sha256"]


def measured_on(results: Results) -> str:
    """The rows of the results, in words."""
    data = results["data"]
    count = data["train"] + data["validation"]
    return f"{count} rows of the {data['name']} data (train and validation parts, no test row)"


def origin(run: Run, folder: Path | None = None) -> str:
    """Where the numbers come from, or in one line how to get them where there are none."""
    if not run.task.ablations(run.profile):
        return "This task has no ablations."
    results = read_results(run, folder)
    if results is None:
        return f"No ablations have been carried out on these data: `{command(run)}` does it, in hours."
    manifest = results["manifest"]
    text = (f"Measured once on {measured_on(results)}, {manifest['trained']} trainings in the {results['profile']} "
            f"profile, {manifest['seconds'] / 3600:.1f} hours of training on {manifest['hardware']['cpu']}. "
            f"Each model keeps {results['checkpoint']}.")
    missing = [label for one in results["ablations"].values() for label in one["missing"]]
    if missing:
        text += f" Not finished: {', '.join(missing)}."
    return text if same_rows(run, results) else f"**These are not the rows of this run.** {text}"


# -- tables -----------------------------------------------------------------------------------------------------------
def ablation_tables(run: Run, folder: Path | None = None) -> dict[str, pd.DataFrame]:
    """One table an ablation, nothing where there are no results.

    Returns
    -------
    dict of str to DataFrame
        Index configuration; the task's headline score with its 95 % interval (`low`, `high`), field accuracy, the paired
        difference in it to the configuration in `against` with its interval and p-value (where there is one), its
        standard deviation over seeds (where there are several), sizes and mean seconds of one training. Of an ablation
        over seeds: mean, standard deviation, smallest and largest score.
    """
    results = read_results(run, folder)
    return {label: _table(one, headline(results)) for label, one in results["ablations"].items()} if results else {}


def headline(results: Results) -> str:
    """Name of the score that the results are told by."""
    return results.get("headline", "exact_match")


def _table(ablation: dict[str, Any], score: str) -> pd.DataFrame:
    line = _seeds_line if ablation["view"] == "seeds" else _line
    frame = pd.DataFrame([line(one, score) for one in ablation["configurations"]])
    return frame.set_index("configuration").dropna(axis=1, how="all")


def _shared(one: dict[str, Any]) -> dict[str, Any]:
    trained = sum(part["seconds"] > 0 for part in one["parts"])
    return {"train_rows": one["train_rows"], "made_rows": one["made_rows"],
            "seconds": one["seconds"] / trained if trained else None}


def _line(one: dict[str, Any], score: str) -> dict[str, Any]:
    low, high = one["ci95"][score]
    change = one.get("differences", {}).get(score, {})
    seeds = len({part["seed"] for part in one["parts"]})
    return {"configuration": words(one["name"]), score: one[score], "low": low, "high": high,
            "seeds": seeds if seeds > 1 else None, "sd": one["spread"]["sd"] if seeds > 1 else None,
            "field_accuracy": one["field_accuracy"], "against": words(one["against"]) if change else None,
            "difference": change.get("difference"), "from": change.get("low"), "to": change.get("high"),
            "p": change.get("p"), **_shared(one)}


def _seeds_line(one: dict[str, Any], score: str) -> dict[str, Any]:
    low, high = one["ci95"][score]
    return {"configuration": words(one["name"]), "seeds": len(one["parts"]),
            **{label: one["spread"][label] for label in ("mean", "sd", "min", "max")}, "low": low, "high": high,
            "field_accuracy": one["field_accuracy"], **_shared(one)}


def caption(run: Run, label: str, folder: Path | None = None) -> str:
    """Caption of an ablation's table: what is varied, on which rows, and what the columns are."""
    results = read_results(run, folder)
    assert results is not None
    one, data = results["ablations"][label], results["data"]
    where = (f"{results['folds']} folds, every row held out once" if one["scored_on"] == "folds"
             else f"trained on the train part, scored on the {data['validation']} validation rows")
    score = HEADLINES[headline(results)][0]
    columns = (f"mean, standard deviation, smallest and largest {score} over seeds; low and high bound the 95 % "
               "interval of the mean over rows" if one["view"] == "seeds" else
               f"low and high bound the 95 % interval of {score}, from and to that of its difference")
    if any(len({part["seed"] for part in each["parts"]}) > 1 for each in one["configurations"]) and one["view"] != "seeds":
        columns += "; sd is the standard deviation over seeds"
    rows = "" if same_rows(run, results) else f" Not the rows of this run: {measured_on(results)}."
    return f"{one['title']}: {where}; {columns}.{rows}"


# -- the learning curve -----------------------------------------------------------------------------------------------
def curve_frame(run: Run, folder: Path | None = None) -> pd.DataFrame | None:
    """The headline score against gold training rows: columns variant, made (bool), rows, score, low, high; None without it."""
    results = read_results(run, folder)
    found = [one for ablation in (results or {"ablations": {}})["ablations"].values() if ablation["view"] == "curve"
             for one in ablation["configurations"]]
    if not found:
        return None
    score = headline(results or {})
    lines = [(one["variant"], one["made_rows"] > 0, one["train_rows"], one[score], *one["ci95"][score])
             for one in found]
    frame = pd.DataFrame(lines, columns=["variant", "made", "rows", "score", "low", "high"])
    return frame.sort_values(["variant", "made", "rows"], ignore_index=True)


def learning_curve(frame: pd.DataFrame, score: str = "exact match") -> Figure:
    """A score against the number of gold training rows (log₂), with and without made rows; a panel a variant.

    Bars are 95 % intervals over the scored rows; the two lines of a panel stand a little apart to keep bars legible.
    """
    variants = list(dict.fromkeys(frame["variant"]))
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, len(variants), sharey=True, squeeze=False)[0]
    for ax, variant in zip(panels, variants):
        for number, made in enumerate((False, True)):
            line = frame[(frame["variant"] == variant) & (frame["made"] == made)]
            if line.empty:
                continue
            score, at = line["score"].to_numpy(), line["rows"].to_numpy() * (1.0, 1.04)[number]
            bars = [score - line["low"].to_numpy(), line["high"].to_numpy() - score]
            ax.errorbar(at, score, yerr=[bar.clip(0) for bar in bars], color=PALETTE[number], marker=MARKERS[number],
                        linestyle=("--", "-")[number], markersize=5, capsize=2.5, elinewidth=1,
                        label=("gold rows alone", "gold and made rows")[number])
        ticks = sorted(set(frame.loc[frame["variant"] == variant, "rows"]))
        ax.set_xscale("log", base=2)
        ax.xaxis.set_major_locator(FixedLocator(ticks))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_xticklabels([f"{tick:,.0f}" for tick in ticks])
        ax.set(xlabel="gold training rows (log scale)", ylim=(0, 1))
        ax.set_title(words(variant), pad=24)
    panels[0].set_ylabel(score)
    panels[0].legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, borderaxespad=0.2, columnspacing=1.4)
    return figure


def curve_finding(frame: pd.DataFrame) -> str:
    """What rows and made rows bring, from :func:`curve_frame`."""
    sentences = []
    for variant, lines in frame.groupby("variant", sort=False):
        with_made, without = (lines[lines["made"] == made].set_index("rows")["score"] for made in (True, False))
        line = with_made if len(with_made) else without
        few, many = line.index.min(), line.index.max()
        text = f"{name(str(variant))} goes from {percent(line[few])} with {few} rows to {percent(line[many])} with "
        text += f"{many}, made rows beside them" if len(with_made) else f"{many}"
        both = sorted(set(with_made.index) & set(without.index))
        if both:
            gains = {at: 100 * (with_made[at] - without[at]) for at in (both[0], both[-1])}
            listed = " and ".join(f"{gain:+.1f} points at {at} rows" for at, gain in gains.items())
            text += f"; made rows bring {listed}"
        sentences.append(f"{text}.")
    return " ".join(sentences)


# -- sentences --------------------------------------------------------------------------------------------------------
def _largest(configurations: Iterable[dict[str, Any]], score: str) -> str | None:
    """The largest difference of a comparison, in words."""
    compared = [one for one in configurations if "differences" in one]
    if not compared:
        return None
    one = max(compared, key=lambda each: abs(each["differences"][score]["difference"]))
    change = one["differences"][score]
    sure = "could well be chance" if change["p"] >= 0.05 else "is more than chance would give"
    most = f"of {len(compared)} differences the largest is that of " if len(compared) > 1 else "the difference of "
    return (f"{most}*{words(one['name'])}* from *{words(one['against'])}*, {100 * change['difference']:+.1f} "
            f"points of {HEADLINES[score][0]} (95 % interval {100 * change['low']:+.1f} to {100 * change['high']:+.1f}), which "
            f"{sure} ({p_value(change['p'])})")


def _seeds(configurations: list[dict[str, Any]], score: str) -> str | None:
    several = [one for one in configurations if one["spread"]["sd"] is not None]
    if not several:
        return None
    one = max(several, key=lambda each: each["spread"]["max"] - each["spread"]["min"])
    return (f"the seed alone moves *{words(one['name'])}* most, between {percent(one['spread']['min'])} and "
            f"{percent(one['spread']['max'])} {HEADLINES[score][0]} (standard deviation {100 * one['spread']['sd']:.1f} points)")


def conclusions(run: Run, folder: Path | None = None) -> str:
    """One line an ablation: its largest difference, the ends of its curve, or its spread over seeds."""
    results, lines = read_results(run, folder), []
    for label, one in (results or {"ablations": {}})["ablations"].items():
        if one["view"] == "curve":
            frame = curve_frame(run, folder)
            text = curve_finding(frame) if frame is not None else None
        else:
            sentence = _seeds if one["view"] == "seeds" else _largest
            text = sentence(one["configurations"], headline(results or {}))
        if text:
            lines.append(f"- {words(label).capitalize()}: {text.rstrip('.')}.")
    return "\n".join(lines)
