"""Every figure of the study: functions from plain tables to a matplotlib Figure; `show` puts one on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from helpers.evaluation.display import GREY, MARKERS, PALETTE, WIDTH, entity_text, show, style, words

__all__ = [
    "show",
    "style",
    "entity_text",
    "length_histograms",
    "bars",
    "grouped_bars",
    "field_presence",
    "loss_curves",
    "parameter_bars",
    "score_intervals",
    "heatmap",
    "decoding_comparison",
    "cost_scatter",
    "stacked_errors",
    "slice_intervals",
    "robustness",
    "reliability",
    "risk_coverage",
]


# -- recipes the figures share ----------------------------------------------------------------------------------------
def _new(height: float = 3.2, columns: int = 1, **options: Any) -> tuple[Figure, Any]:
    """A figure of page width; not known to pyplot, so a notebook shows it once and nothing has to be closed."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(1, columns, **options)


def _legend(ax: Axes, count: int) -> None:
    """Legend above the axes, where it cannot hide data."""
    ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=min(count, 4),
        borderaxespad=0.2,
        columnspacing=1.4,
        handletextpad=0.5,
        alignment="left",
    )


def _rows(ax: Axes, labels: Sequence[Any]) -> np.ndarray:
    """One row a label, first label on top; returns the y positions."""
    at = np.arange(len(labels))
    ax.set_yticks(at, [words(label) for label in labels])
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    return at


def _number(value: float, share: bool) -> str:
    """A value as it is written beside its mark."""
    if share:
        return f"{value:.3f}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


def _is_share(values: Any) -> bool:
    """Whether all values lie in 0..1 and some are not whole: a score or a share, not a count."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return bool(len(values)) and values.min() >= 0 and values.max() <= 1 and bool((values % 1 != 0).any())


def _dots(ax: Axes, at: np.ndarray, frame: pd.DataFrame, colour: Any = PALETTE[0]) -> None:
    """Scores with interval bars, and each score in numbers at the right edge."""
    score, low, high = (frame[name].to_numpy(dtype=float) for name in ("score", "low", "high"))
    ax.hlines(at, low, high, color=colour, linewidth=2.4, alpha=0.55)
    ax.plot(score, at, "o", color=colour, markersize=6)
    for y, value in zip(at, score):
        if np.isfinite(value):
            ax.annotate(
                f"{value:.3f}",
                (1, y),
                xycoords=ax.get_yaxis_transform(),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                color="#333",
            )


def _score_range(ax: Axes, values: Any) -> None:
    """Show 0..1, or from a round number on where all scores are high."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    low = np.floor(values.min() * 10) / 10 - 0.1 if len(values) else 0.0
    ax.set_xlim(low if low >= 0.4 else 0, 1.01)


# -- data -------------------------------------------------------------------------------------------------------------
def length_histograms(lengths: pd.DataFrame, max_length: int) -> Figure:
    """Text lengths of each part in characters and tokens, and where `max_length` (tokens) would cut.

    `lengths` has the columns part, characters, tokens: one row a text.
    """
    figure, panels = _new(3.0, 2, sharey=True)
    for ax, name in zip(panels, ("characters", "tokens")):
        sns.histplot(
            data=lengths,
            x=name,
            hue="part",
            element="step",
            stat="percent",
            common_norm=False,
            bins=30,
            fill=False,
            linewidth=1.4,
            ax=ax,
            legend=name == "characters",
        )
        ax.set(xlabel=f"length ({name})", ylabel="share of texts of the part (%)")
    if max_length <= 1.5 * lengths["tokens"].max():
        panels[1].axvline(max_length, color=GREY, linestyle="--")
    cut = (lengths["tokens"] > max_length).mean()
    panels[1].set_title(f"limit {max_length} tokens cuts {cut:.1%}", fontsize=9, fontweight="normal")
    return figure


def bars(series: pd.Series, xlabel: str, ylabel: str = "", order: Sequence[Any] | None = None) -> Figure:
    """Horizontal bars, one an index entry, with the values written at the bars."""
    series = series if order is None else series.reindex(order)
    figure, ax = _new(0.9 + 0.3 * len(series))
    at = _rows(ax, series.index)
    drawn = ax.barh(at, series.to_numpy(dtype=float), color=PALETTE[0], height=0.7)
    share = _is_share(series)
    ax.bar_label(drawn, [_number(value, share) for value in series], padding=3, fontsize=9)
    ax.margins(x=0.1)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    return figure


def grouped_bars(frame: pd.DataFrame, ylabel: str, errors: pd.DataFrame | None = None) -> Figure:
    """A row for every category (index), a bar for every group (column), values at the bars.

    `ylabel` names the measured quantity; `errors` holds half-widths of intervals in the same shape as `frame`.
    """
    groups = len(frame.columns)
    figure, ax = _new(1.1 + len(frame) * (0.14 + 0.15 * groups))
    at, height, share = _rows(ax, frame.index), 0.8 / max(groups, 1), _is_share(frame)
    for number, group in enumerate(frame.columns):
        offset = (number - (groups - 1) / 2) * height
        values = frame[group].to_numpy(dtype=float)
        spread = None if errors is None else errors[group].to_numpy(dtype=float)
        drawn = ax.barh(
            at + offset,
            values,
            height=height * 0.92,
            label=words(group),
            color=PALETTE[number % len(PALETTE)],
            xerr=spread,
            error_kw={"ecolor": "#333", "lw": 1},
        )
        labels = ["" if np.isnan(value) else _number(value, share) for value in values]
        ax.bar_label(drawn, labels, padding=3, fontsize=8)
    ax.margins(x=0.1)
    ax.set(xlabel=ylabel)
    if groups > 1:
        _legend(ax, groups)
    return figure


def field_presence(frame: pd.DataFrame) -> Figure:
    """Share of rows (0..1) that have each field (index), for each part (column)."""
    figure = grouped_bars((100 * frame).round(1), "rows that have the field (%)")
    figure.axes[0].set_xlim(0, 112)
    return figure


# -- training ---------------------------------------------------------------------------------------------------------
def loss_curves(history: Mapping[str, Sequence[Mapping[str, float]]], score: str = "exact_match") -> Figure:
    """Loss, learning rate and validation score over training steps, one colour a variant.

    `history` maps a variant to records with `step` and any of `loss`, `lr`, `val_loss` and `val_<score>` (or one more
    `val_…` score).
    """
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    panels = figure.subplot_mosaic([["loss", "loss"], ["rate", "score"]])
    score_name = ""
    for number, (variant, records) in enumerate(history.items()):
        table, colour = pd.DataFrame(list(records)), PALETTE[number % len(PALETTE)]
        label, marker = words(variant), MARKERS[number % len(MARKERS)]
        scores = [name for name in table if name.startswith("val_") and name != "val_loss"]
        score_name = f"val_{score}" if f"val_{score}" in scores else (scores[0] if scores else score_name)
        for panel, column, look in (
            ("loss", "loss", {"linewidth": 1.2, "label": label}),
            ("loss", "val_loss", {"linestyle": "--", "marker": marker, "markersize": 4}),
            ("rate", "lr", {}),
            ("score", score_name, {"marker": marker, "markersize": 4}),
        ):
            if column in table:
                line = table[["step", column]].dropna()
                panels[panel].plot(line["step"], line[column], color=colour, **look)
    panels["loss"].set(xlabel="step", ylabel="loss (nats per token)")
    panels["loss"].set_title(
        "solid: training, dashed: validation", fontsize=9, fontweight="normal", loc="right"
    )
    if panels["loss"].lines and min(np.min(line.get_ydata()) for line in panels["loss"].lines) > 0:
        panels["loss"].set_yscale("log")
        panels["loss"].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panels["loss"].yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        panels["loss"].yaxis.set_minor_formatter(NullFormatter())
    panels["rate"].set(xlabel="step", ylabel="learning rate")
    panels["rate"].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    panels["score"].set(xlabel="step", ylabel=score_name.replace("val_", "validation ").replace("_", " "))
    if panels["loss"].lines:
        panels["loss"].legend(ncols=min(4, len(history)), loc="best")
    return figure


def parameter_bars(table: pd.DataFrame) -> Figure:
    """Trainable and total parameters of each variant (index; columns trainable, total), on a log scale."""
    figure = grouped_bars(table[["trainable", "total"]], "parameters (log scale)")
    ax = figure.axes[0]
    ax.set_xscale("log")
    ax.set_xlim(max(1.0, table["trainable"].replace(0, np.nan).min() / 4), table["total"].max() * 5)
    return figure


# -- scores -----------------------------------------------------------------------------------------------------------
def score_intervals(frame: pd.DataFrame, xlabel: str, reference: Mapping[str, float] | None = None) -> Figure:
    """A dot with its interval for each variant (index; columns score, low, high), dashed lines for references."""
    figure, ax = _new(1.1 + 0.34 * len(frame) + 0.2 * bool(reference))
    _dots(ax, _rows(ax, frame.index), frame)
    for number, (label, value) in enumerate((reference or {}).items()):
        ax.axvline(
            value,
            color=PALETTE[(number + 1) % len(PALETTE)],
            linestyle=("--", ":", "-.")[number % 3],
            label=f"{label} ({value:.3f})",
        )
    _score_range(ax, [*frame["score"], *frame["low"], *(reference or {}).values()])
    ax.set(xlabel=f"{xlabel} (bar: 95 % interval)")
    if reference:
        ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=1 if max(map(len, reference)) > 30 else 2)
    return figure


def heatmap(frame: pd.DataFrame, label: str, fmt: str = ".2f", vmin: float = 0, vmax: float = 1) -> Figure:
    """A coloured table, for instance field × variant; `label` names the quantity."""
    figure, ax = _new(1.4 + 0.32 * len(frame))
    named = frame.rename(index=words, columns=words)
    sns.heatmap(
        named.astype(float),
        annot=True,
        fmt=fmt,
        vmin=vmin,
        vmax=vmax,
        cmap="Blues",
        linewidths=0.6,
        ax=ax,
        cbar_kws={"label": label},
        annot_kws={"fontsize": 9},
    )
    filled = frame.notna().to_numpy().ravel()
    for text, colour in zip(ax.texts, ax.collections[0].get_facecolors()[filled]):
        red, green, blue = ((colour[:3] + 0.055) / 1.055) ** 2.4
        text.set_color(
            "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.2 else "white"
        )  # WCAG contrast
    ax.set(xlabel="", ylabel="")
    turn = max(map(len, named.columns), default=0) * len(named.columns) > 70
    ax.set_xticks(
        ax.get_xticks(), named.columns, rotation=30 if turn else 0, ha="right" if turn else "center"
    )
    ax.tick_params(axis="y", rotation=0)
    return figure


def decoding_comparison(frame: pd.DataFrame, ylabel: str) -> Figure:
    """Score of each variant (index) under each way of decoding (columns free, source)."""
    names = {"free": "unconstrained", "source": "held to schema and text"}
    return grouped_bars(frame.rename(columns=names), ylabel)


def cost_scatter(frame: pd.DataFrame) -> Figure:
    """Score against seconds, area by size: one mark a variant (index; columns seconds, megabytes, score)."""
    figure, ax = _new(3.4)
    largest = max(frame["megabytes"].max(), 1e-9)
    for number, (name, row) in enumerate(frame.iterrows()):
        ax.scatter(
            row["seconds"],
            row["score"],
            s=40 + 260 * row["megabytes"] / largest,
            alpha=0.75,
            edgecolor="white",
            color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[number % len(MARKERS)],
            label=f"{words(name)} ({row['megabytes']:,.3g} MB)",
        )
    if frame["seconds"].min() > 0 and frame["seconds"].max() > 20 * frame["seconds"].min():
        ax.set_xscale("log")
    ax.set(xlabel="time (s)", ylabel="score")
    ax.margins(0.12)
    legend = ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), title="variant (size)")
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    return figure


# -- errors -----------------------------------------------------------------------------------------------------------
def stacked_errors(frame: pd.DataFrame) -> Figure:
    """Number of errors of each class (column) in each field (index)."""
    figure, ax = _new(1.2 + 0.3 * len(frame))
    at, left = _rows(ax, frame.index), np.zeros(len(frame))
    for number, name in enumerate(frame.columns):
        values = frame[name].to_numpy(dtype=float)
        ax.barh(
            at,
            values,
            left=left,
            height=0.7,
            color=PALETTE[number % len(PALETTE)],
            edgecolor="white",
            label=words(name),
            hatch="//" if number >= len(PALETTE) else None,
        )
        left = left + values
    for y, total in zip(at, left):
        ax.annotate(
            f"{total:.0f}", (total, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=9
        )
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.margins(x=0.06)
    ax.set(xlabel="errors (count)")
    _legend(ax, len(frame.columns))
    return figure


def slice_intervals(frame: pd.DataFrame) -> Figure:
    """Score of every slice with its interval, grouped by kind of slice.

    `frame` has the columns slice (the kind), value, n, score, low, high.
    """
    groups = list(dict.fromkeys(frame["slice"]))
    figure, ax = _new(0.9 + 0.27 * (len(frame) + len(groups)))
    labels, rows, places = [], [], []
    for name in groups:
        labels.append(str(name))
        for _, row in frame[frame["slice"] == name].iterrows():
            places.append(len(labels))
            labels.append(f"{row['value']} (n={row['n']:.0f})")
            rows.append(row)
    _rows(ax, labels)
    for at, label in enumerate(ax.get_yticklabels()):
        label.set_fontweight("normal" if at in places else "bold")
    if rows:
        _dots(ax, np.asarray(places), pd.DataFrame(rows))
        _score_range(ax, [*frame["score"], *frame["low"]])
    ax.set(xlabel="score (bar: 95 % interval)")
    return figure


def robustness(frame: pd.DataFrame, clean: float) -> Figure:
    """Score under each perturbation (index; columns score, low, high) beside the score on the clean text."""
    return score_intervals(frame, "score", {"clean text": clean})


def reliability(frame: pd.DataFrame) -> Figure:
    """Accuracy against stated confidence (columns confidence, accuracy, count: one row a bin), and the bin sizes."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], linestyle="--", color=GREY, label="perfectly calibrated")
    upper.plot(frame["confidence"], frame["accuracy"], marker="o", label="model")
    upper.set(ylabel="accuracy (share correct)", ylim=(-0.02, 1.04))
    upper.legend(loc="best")
    lower.bar(frame["confidence"], frame["count"], width=0.03, color=PALETTE[0])
    lower.set(xlabel="confidence (mean of the bin)", ylabel="count", xlim=(0, 1.02))
    return figure


def risk_coverage(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Error rate among the answers kept, against the share kept (columns coverage, risk), one line a curve."""
    figure, ax = _new(3.2)
    for number, (name, curve) in enumerate(curves.items()):
        ax.plot(
            curve["coverage"],
            curve["risk"],
            label=words(name),
            color=PALETTE[number % len(PALETTE)],
            linestyle=("-", "--", "-.", ":")[number % 4],
        )
    ax.set(
        xlabel="coverage (share of answers kept, most confident first)",
        ylabel="risk (share wrong)",
        xlim=(0, 1.01),
    )
    ax.set_ylim(bottom=0)
    ax.legend(loc="best")
    return figure
