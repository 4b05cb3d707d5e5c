"""Figures of the token taggers beside those of :mod:`helpers.views.plots`."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from helpers.evaluation.display import GREY, MARKERS, PALETTE, WIDTH, words


def compression_picture(table: pd.DataFrame) -> Figure:
    """F1 against latency, area by size: one colour a variant, one marker a form, a line through the forms of a variant.

    Parameters
    ----------
    table : DataFrame
        See :func:`helpers.export.latency.compression_table`.
    """
    figure = Figure(figsize=(WIDTH, 3.8), layout="constrained")
    ax = figure.subplots()
    largest = table["megabytes"].max()
    forms = list(table.index.get_level_values("form").unique())
    for number, (variant, rows) in enumerate(table.groupby(level="variant", sort=False)):
        colour, rows = PALETTE[number % len(PALETTE)], rows.droplevel("variant")
        ax.plot(rows["ms"], rows["f1"], color=colour, linewidth=1, zorder=1)
        for form, row in rows.iterrows():
            ax.scatter(
                row["ms"],
                row["f1"],
                s=30 + 400 * row["megabytes"] / largest,
                color=colour,
                alpha=0.7,
                marker=MARKERS[forms.index(form) % len(MARKERS)],
                edgecolor="white",
                zorder=2,
            )
            ax.annotate(
                f"{row['megabytes']:.0f} MB",
                (row["ms"], row["f1"]),
                xytext=(0, 11),
                ha="center",
                textcoords="offset points",
                fontsize=8,
                color=GREY,
            )
        ax.scatter([], [], color=colour, label=words(variant))
    for number, form in enumerate(forms):
        ax.scatter([], [], color=GREY, marker=MARKERS[number % len(MARKERS)], label=form)
    ax.set(xlabel="latency of one sentence (ms, median)", ylabel="F1", xscale="log")
    ax.margins(0.12, 0.2)
    ax.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    return figure
