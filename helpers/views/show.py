"""The one way on the page and to the disk: a figure or a table with its caption, in one theme."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable
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

# white grid, colours told apart, type that is legible at page width
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


# -- tables -----------------------------------------------------------------------------------------------------------
def _cell(value: Any) -> Any:
    """Containers as readable text; all else untouched."""
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else value


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Index as columns (a plain 0, 1, 2 … index is dropped) and column names as text."""
    if not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None):
        frame = frame.reset_index(names=[str(name or "") for name in frame.index.names])
    names = [" ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in frame.columns]
    return frame.set_axis(names, axis=1)


def _number_format(column: pd.Series, digits: int) -> Callable[[Any], str]:
    """How the numbers of a column are written: counts whole, large ones shorter, tiny ones by powers of ten.

    Minus signs are true ones, p-values are shown by their bound.
    """
    largest = column.abs().max()
    counts = pd.api.types.is_integer_dtype(column) or largest > 1 and (column.dropna() % 1 == 0).all()
    decimals = 0 if counts or largest >= 1000 else min(digits, 1) if largest >= 10 else digits
    form = ".1e" if 0 < largest < 10.0**-digits else f",.{decimals}f"
    is_p_value = column.name.split("_")[0] == "p"

    def written(value: float) -> str:
        return "&lt; 0.001" if is_p_value and value < 0.001 else f"{value:{form}}".replace("-", "−")

    return written


def table_html(frame: pd.DataFrame, caption: str, name: str, digits: int = 3) -> str:
    """A `<figure>` with the caption above the table; the report gives it its number and its colours.

    Floats get `digits` decimals (one if the column reaches 10, none from 1000), whole numbers thousands separators,
    missing values a dash; text is escaped.
    """
    flat = _flat(frame)
    flat = flat.apply(lambda column: column.map(_cell) if column.dtype == object else column)
    numeric = [
        name for name in flat if pd.api.types.is_numeric_dtype(flat[name]) and flat[name].dtype != bool
    ]
    styler = flat.style.hide(axis="index")
    styler.format(na_rep="–", escape="html")
    for column in numeric:
        styler.format(_number_format(flat[column], digits), subset=[column], na_rep="–")
    written = column_words(frame)
    styler.format_index(lambda column: html.escape(written(column)), axis=1)
    body = styler.to_html(exclude_styles=True)
    return (
        f'<figure class="study-table" id="table-{html.escape(name, quote=True)}">'
        f"<figcaption>{inline(caption)}</figcaption>{body}</figure>"
    )


def saved(shown: Figure | pd.DataFrame, caption: str, name: str, run: Any = None, digits: int = 3) -> None:
    """Display a figure or a table with its caption and keep it with the run.

    A figure is kept as `artifacts/<task>/figures/<name>.png`, a table unrounded as `artifacts/<task>/tables/<name>.csv`.

    Parameters
    ----------
    shown : Figure or DataFrame
        Of a table any index that is not 0, 1, 2 … becomes the first column(s).
    caption : str
        States the finding; Markdown emphasis is taken off, the first letter made large. The report puts "Figure N" or "Table N" in front.
    name : str
        File name without ending, unique within the task.
    run : Run, optional
        Without it nothing is kept.
    digits : int
        Decimals of a table's floats below 10; larger ones get one decimal, from 1000 on none.
    """
    from IPython.display import HTML, display

    caption = caption.replace("*", "")
    caption = caption[:1].upper() + caption[1:]
    if isinstance(shown, Figure):
        image = png(shown)
        if run is not None:
            run.path("figures", f"{name}.png").write_bytes(image)
        display(HTML(figure_html(shown, caption, name, image)))
    else:
        if run is not None:
            _flat(shown).to_csv(run.path("tables", f"{name}.csv"), index=False, encoding="utf-8")
        display(HTML(table_html(shown, caption, name, digits)))
