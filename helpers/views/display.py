"""How figures and annotated texts get on the page: theme, PNG with alt text and caption, coloured entities."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure
from PIL import Image

from helpers.tasks.text import words

WIDTH = 6.2  # inches; 595 CSS pixels: type is still legible at the width of a phone
DPI = 160
_BLIND_SAFE = sns.color_palette("colorblind")  # ten colours told apart with every common colour vision
PALETTE = [_BLIND_SAFE[at] for at in (0, 1, 2, 4, 3, 9, 5, 7, 8, 6)]  # the two oranges not next to each other
MARKERS = "osD^vPX*<>"
GREY = "#5f6670"


def style() -> None:
    """Set the theme of all figures: white grid, colour-blind-safe palette, type that is legible at page width."""
    sns.set_theme(
        context="paper",
        style="whitegrid",
        palette=PALETTE,
        font="DejaVu Sans",
        rc={
            "font.size": 10,
            "axes.labelsize": 10,
            "axes.titlesize": 10.5,
            "axes.titleweight": "semibold",
            "axes.titlelocation": "left",
            "xtick.labelsize": 9,
            "ytick.labelsize": 9,
            "legend.fontsize": 9,
            "axes.edgecolor": "#9aa0a8",
            "grid.color": "#e4e6e9",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "figure.constrained_layout.w_pad": 0.08,
            "figure.constrained_layout.h_pad": 0.08,
            "figure.dpi": 100,
        },
    )


style()


def column_words(frame: pd.DataFrame) -> Callable[[Any], str]:
    """How the columns of a table are written: systems (columns named `variant`) as in the code, others in words."""
    return str if frame.columns.name == "variant" else words


def png(figure: Figure) -> bytes:
    """The figure as a small PNG (256 colours: a third of the size, no visible loss); equal figures give equal bytes."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    image = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    small = io.BytesIO()
    image.save(small, format="png", optimize=True)
    return small.getvalue()


def describe(figure: Figure) -> str:
    """What is drawn, in words: panel titles, axis labels and legend entries, for readers who do not see it."""
    panels = []
    for ax in figure.axes:
        if ax.get_label() == "<colorbar>":
            panels.append(f"colour: {ax.get_ylabel()}")
            continue
        axes = " against ".join(filter(None, (ax.get_ylabel(), ax.get_xlabel())))
        legend = ax.get_legend()
        names = ", ".join(entry.get_text() for entry in legend.get_texts()) if legend else ""
        panels.append(": ".join(filter(None, (ax.get_title(loc="left") or ax.get_title(), axes, names))))
    return "; ".join(filter(None, panels))


def inline(text: str) -> str:
    """A caption as HTML: escaped, names between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def figure_html(figure: Figure, caption: str, name: str, image: bytes | None = None) -> str:
    """A `<figure>` with the image (drawn here unless given) inside; the report gives it its number."""
    encoded = base64.b64encode(image or png(figure)).decode("ascii")
    alt = f"Chart. {describe(figure)}. {caption}".replace("..", ".").replace(". .", ".").replace("`", "")
    width, height = (figure.get_size_inches() * 96).round().astype(int)
    return (
        f'<figure class="study-figure" id="figure-{html.escape(name, quote=True)}">'
        f'<img src="data:image/png;base64,{encoded}" alt="{html.escape(alt, quote=True)}" width="{width}" '
        f'height="{height}" style="max-width:100%;height:auto">'
        f"<figcaption>{inline(caption)}</figcaption></figure>"
    )


def entity_text(text: str, spans: Sequence[tuple[int, int, str]], fields: Sequence[str] | None = None) -> str:
    """HTML of a text with its entities coloured and labelled, and a legend; overlapping spans are shown as such.

    Parameters
    ----------
    text : str
        The input text.
    spans : sequence of (start, end, field)
        Character offsets, end exclusive; offsets outside the text are cut.
    fields : sequence of str, optional
        Fixes which field has which colour; by default the order of appearance.
    """
    spans = [(max(0, start), min(len(text), end), name) for start, end, name in spans]
    spans = sorted((span for span in spans if span[0] < span[1]), key=lambda span: (span[0], -span[1]))
    order = list(dict.fromkeys([*(fields or ()), *(name for _, _, name in spans)]))
    colours = {name: PALETTE[at % len(PALETTE)] for at, name in enumerate(order)}

    def tint(name: str) -> str:
        rgb = ",".join(str(round(255 * part)) for part in colours[name])
        return f"background:rgba({rgb},.25);border-bottom:2px solid rgb({rgb});color:inherit;padding:0 .15em"

    edges = sorted({0, len(text), *(edge for start, end, _ in spans for edge in (start, end))})
    pieces = []
    for start, end in zip(edges, edges[1:]):
        names = list(dict.fromkeys(name for left, right, name in spans if left <= start and end <= right))
        piece = html.escape(text[start:end])
        if names:
            ends = [
                name for name in names if any(right == end and name == other for _, right, other in spans)
            ]
            label = (
                f'<small style="opacity:.75;font-size:.7em"> {html.escape("+".join(ends))}</small>'
                if ends
                else ""
            )
            title = html.escape(", ".join(names), quote=True)
            piece = f'<mark style="{tint(names[0])}" title="{title}">{piece}{label}</mark>'
        pieces.append(piece)
    used = [name for name in order if any(name == other for _, _, other in spans)]
    legend = " ".join(f'<mark style="{tint(name)}">{html.escape(name)}</mark>' for name in used)
    return (
        f'<div class="entity-text"><p style="line-height:2;white-space:pre-wrap">{"".join(pieces)}</p>'
        f'<p style="font-size:.85em">{legend or "no entity"}</p></div>'
    )
