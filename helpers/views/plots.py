"""Every figure of the study: functions from plain tables to a matplotlib Figure, in one style."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from helpers.tasks.text import words
from helpers.views.show import GREY, MARKERS, PALETTE, WIDTH, column_words

INK = "#333333"


# -- recipes the figures share ----------------------------------------------------------------------------------------
def _new(height: float = 3.2, *shape: int, **options: Any) -> tuple[Figure, Any]:
    """A figure of page width; not known to pyplot, so a notebook shows it once and nothing has to be closed."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots(*shape, **options)


def _legend_above(ax: Axes, columns: int = 4) -> None:
    """Legend above the axes, where it cannot hide data."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, columnspacing=1.4, alignment="left")


def _readable_log(axis: Any) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _from_zero(ax: Axes, axis: str) -> None:
    """An axis on which all is 0 runs from 0 to 1: left alone it would go as far below."""
    limits = getattr(ax.dataLim, f"interval{axis}")
    if np.isfinite(limits).all() and not np.any(limits):
        getattr(ax, f"set_{axis}lim")(0, 1)


def _is_share(values: Any) -> bool:
    """Whether all values lie in 0..1 and some are not whole: a score or a share, not a count."""
    values = np.asarray(values, dtype=float)
    values = values[np.isfinite(values)]
    return bool(len(values)) and values.min() >= 0 and values.max() <= 1 and bool((values % 1 != 0).any())


def _number(value: float, share: bool) -> str:
    """A value as it is written beside its mark; nothing where it is undefined."""
    if np.isnan(value):
        return ""
    if share:
        return f"{value:.3f}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.3g}"


# -- amounts and scores -----------------------------------------------------------------------------------------------
def bars(
    values: pd.Series | pd.DataFrame, xlabel: str, ylabel: str = "", stacked: bool = False, log: bool = False
) -> Figure:
    """Horizontal bars: a row for every index entry, a bar or a part of one for every column, numbers at their ends.

    `values`: for instance fields × parts, fields × error classes, variants × decodings; `stacked` makes one bar of each
    row and writes its total. `xlabel` names the measured quantity with its unit.
    """
    frame = values.to_frame() if isinstance(values, pd.Series) else values
    several, share = frame.shape[1] > 1, _is_share(frame)
    figure, ax = _new(1.1 + len(frame) * (0.3 if stacked or not several else 0.14 + 0.17 * frame.shape[1]))
    named = frame.rename(columns=column_words(frame)).astype(float)
    named.plot.barh(ax=ax, stacked=stacked, width=0.8, color=PALETTE, legend=False, logx=log)
    if stacked:
        for number, part in enumerate(ax.containers):
            for bar in part:
                bar.set(hatch="//" if number >= len(PALETTE) else None, edgecolor="white")
        # by hand: a last part of 0 begins at 0, and so would a label of its own
        for at, total in enumerate(named.sum(axis=1)):
            place = {"xytext": (3, 0), "textcoords": "offset points", "va": "center", "fontsize": 9}
            ax.annotate(_number(total, share), (total, at), **place)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        for part, column in zip(ax.containers, named):
            ax.bar_label(part, [_number(value, share) for value in named[column]], padding=3, fontsize=9)
    if log:
        _readable_log(ax.xaxis)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    _from_zero(ax, "x")
    ax.grid(axis="y", visible=False)
    ax.set(xlabel=xlabel, ylabel=ylabel)
    if several:
        _legend_above(ax)
    return figure


def intervals(
    frame: pd.DataFrame, xlabel: str, reference: Mapping[str, float] | None = None, best: str = ""
) -> Figure:
    """A dot with its 95 % interval for every system, slice or perturbation, its score in numbers at the right edge.

    `frame` has the index name, or (group, name) for rows under headings, and the columns score, low, high, and n where it
    is to be shown; undefined scores are left out. `reference`: name → score of a dashed line; `best`: the row to stand out.
    """
    frame, reference = frame.dropna(subset=["score"]), reference or {}
    labels, at, group = [], [], None
    for key, row in frame.iterrows():
        if isinstance(key, tuple) and key[0] != group:
            group = key[0]
            labels.append(str(group))
        at.append(len(labels))
        name = str(key[-1] if isinstance(key, tuple) else key)
        labels.append(f"{name} (n={row['n']:.0f})" if "n" in frame else name)
    figure, ax = _new(1.1 + 0.3 * len(labels) + 0.2 * bool(reference))
    winner = [key == best for key in frame.index]
    widths, sizes = np.where(winner, 4.5, 2), np.where(winner, 90, 32)
    ax.hlines(at, frame["low"], frame["high"], color=PALETTE[0], linewidth=widths, alpha=0.55)
    ax.scatter(frame["score"], at, sizes, color=PALETTE[0], zorder=3)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="y", visible=False)
    for place, tick in enumerate(ax.get_yticklabels()):
        chosen = place not in at or winner[at.index(place)]
        tick.set_fontweight("bold" if chosen else "normal")
    edge = ax.secondary_yaxis("right")
    edge.set_yticks(at, [f"{score:.3f}" for score in frame["score"]])
    edge.tick_params(length=0, labelcolor=INK)
    edge.spines["right"].set_visible(False)
    for number, (label, value) in enumerate(reference.items()):
        line = ("--", ":", "-.")[number % 3]
        ax.axvline(value, color=PALETTE[number + 1], linestyle=line, label=f"{label} ({value:.3f})")
    lowest = min([*frame["score"], *frame["low"], *reference.values()], default=0.0)
    start = np.floor(lowest * 10) / 10 - 0.1  # from a round number on where all scores are high
    ax.set_xlim(start if start >= 0.4 else 0, 1.01)
    ax.set(xlabel=f"{xlabel} (bar: 95 % interval)")
    if reference:
        _legend_above(ax, 1 if max(map(len, reference)) > 30 else 2)
    return figure


def heatmap(frame: pd.DataFrame, label: str) -> Figure:
    """A coloured table of shares, for instance field × variant or label × label; `label` names the quantity."""
    figure, ax = _new(1.4 + 0.32 * len(frame))
    named = frame.rename(columns=column_words(frame)).astype(float)
    scale = {"vmin": 0, "vmax": 1, "cmap": "Blues", "cbar_kws": {"label": label}}
    sns.heatmap(named, annot=True, fmt=".2f", linewidths=0.6, ax=ax, annot_kws={"fontsize": 9}, **scale)
    turned = max(map(len, named.columns), default=0) * len(named.columns) > 70
    ax.set_xticks(ax.get_xticks(), named.columns, rotation=30 * turned, ha="right" if turned else "center")
    ax.tick_params(axis="y", rotation=0)
    ax.set(xlabel="", ylabel="")
    return figure


def trade_off(frame: pd.DataFrame, seconds: str, score: str, xlabel: str) -> Figure:
    """Score against time, area by size: a colour a variant, a marker a form; the best place is the upper left.

    `frame` has the index variant, or (variant, form), whose forms a line joins, and the columns `seconds`, `score` and
    megabytes; `xlabel` says what the time is and its unit.
    """
    named = dict.fromkeys(frame.index.get_level_values(0))
    colours = dict(zip(named, itertools.cycle(PALETTE)))  # of all, timed or not
    data = frame.dropna(subset=[seconds, score]).fillna({"megabytes": 0}).round({"megabytes": 0})
    style = "form" if data.index.nlevels > 1 else "variant"
    variants, forms = (data.index.get_level_values(level).map(str) for level in (0, -1))
    data = data.reset_index(drop=True).assign(variant=variants, form=forms)
    figure, ax = _new(3.8)
    for name, rows in data.groupby("variant", sort=False):
        ax.plot(rows[seconds], rows[score], color=colours[name], linewidth=1, zorder=1)
    shapes = list(MARKERS[: data[style].nunique()])
    looks = {"palette": {name: colours[name] for name in variants}, "markers": shapes}
    columns = {"x": seconds, "y": score, "hue": "variant", "style": style, "size": "megabytes"}
    sns.scatterplot(data, **columns, **looks, sizes=(40, 320), alpha=0.8, ax=ax)
    if data[seconds].min() > 0 and data[seconds].max() > 20 * data[seconds].min():
        ax.set_xscale("log")
        _readable_log(ax.xaxis)
    ax.set(xlabel=xlabel, ylabel=words(score))
    ax.margins(0.12)
    _from_zero(ax, "y")
    ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


# -- data and training ------------------------------------------------------------------------------------------------
def length_histograms(lengths: pd.DataFrame, max_length: int) -> Figure:
    """Text lengths of each part in characters and tokens, and where `max_length` (tokens) would cut.

    `lengths` has the columns part, characters, tokens: one row a text.
    """
    figure, panels = _new(3.0, 1, 2, sharey=True)
    steps = {"element": "step", "stat": "percent", "common_norm": False, "bins": 30, "fill": False}
    for ax, name in zip(panels, ("characters", "tokens")):
        sns.histplot(lengths, x=name, hue="part", **steps, ax=ax, legend=name == "characters")
        ax.set(xlabel=f"length ({name})", ylabel="texts of the part (%)")
    if max_length <= 1.5 * lengths["tokens"].max():
        panels[1].axvline(max_length, color=GREY, linestyle="--")
    cut = (lengths["tokens"] > max_length).mean()
    panels[1].set_title(f"limit {max_length} tokens cuts {cut:.1%}", fontsize=9, fontweight="normal")
    return figure


def loss_curves(history: Mapping[str, Sequence[Mapping[str, float]]], score: str = "exact_match") -> Figure:
    """Loss, learning rate and validation score over training steps, one colour a variant.

    `history` maps a variant to records with `step` and any of `loss`, `lr`, `val_loss` and `val_<score>`.
    """
    figure = Figure(figsize=(WIDTH, 5.4), layout="constrained")
    panels = figure.subplot_mosaic([["loss", "loss"], ["lr", "score"]])
    for number, (variant, records) in enumerate(history.items()):
        table, colour = pd.DataFrame(list(records)), PALETTE[number % len(PALETTE)]
        points = {"color": colour, "marker": MARKERS[number % 10], "markersize": 4}
        for panel, column, look in (
            ("loss", "loss", {"color": colour, "linewidth": 1.2, "label": variant}),
            ("loss", "val_loss", {**points, "linestyle": "--"}),
            ("lr", "lr", {"color": colour}),
            ("score", f"val_{score}", points),
        ):
            if column in table:
                line = table[["step", column]].dropna()
                panels[panel].plot(line["step"], line[column], **look)
    panels["loss"].set(xlabel="step", ylabel="loss (each variant its own)")
    key = "solid: training, dashed: validation"
    panels["loss"].set_title(key, fontsize=9, fontweight="normal", loc="right")
    if panels["loss"].lines:
        panels["loss"].legend(ncols=min(4, len(history)), loc="best")
        if min(np.min(line.get_ydata()) for line in panels["loss"].lines) > 0:
            panels["loss"].set_yscale("log")
            _readable_log(panels["loss"].yaxis)
    panels["lr"].set(xlabel="step", ylabel="learning rate")
    panels["lr"].ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    panels["score"].set(xlabel="step", ylabel=f"validation {words(score)}")
    _from_zero(panels["score"], "y")
    return figure


# -- confidence -------------------------------------------------------------------------------------------------------
def risk_coverage(curves: Mapping[str, pd.DataFrame]) -> Figure:
    """Error rate among the answers kept, against the share kept (columns coverage, risk), one line a curve."""
    figure, ax = _new(3.2)
    for number, (name, curve) in enumerate(curves.items()):
        line = ("-", "--", "-.", ":")[number % 4]
        ax.plot(curve["coverage"], curve["risk"], label=name, color=PALETTE[number], linestyle=line)
    ax.set(xlabel="coverage (share of answers kept, most confident first)", ylabel="risk (share wrong)")
    ax.set(xlim=(0, 1.01))
    ax.set_ylim(bottom=0)
    ax.legend(loc="best")
    return figure
