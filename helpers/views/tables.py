"""Tables of the study: a DataFrame on the page as a captioned great_tables table, and on disk as CSV."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd
from great_tables import GT

MISSING = "–"


def _cell(value: Any) -> Any:
    """Containers as readable text; all else untouched."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(str, sorted(value, key=str) if isinstance(value, (set, frozenset)) else value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return value


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Index as columns (a plain 0, 1, 2 … index is dropped) and column names as unique text."""
    if not (isinstance(frame.index, pd.RangeIndex) and frame.index.name is None):
        frame = frame.reset_index(names=[str(name) if name is not None else "" for name in frame.index.names])
    names = [
        " ".join(map(str, name)).strip() if isinstance(name, tuple) else str(name) for name in frame.columns
    ]
    if len(set(names)) < len(names):
        raise ValueError(f"a table needs different column names, not {names}")
    return frame.set_axis(names, axis=1)


def table_html(frame: pd.DataFrame, caption: str, name: str, digits: int = 3) -> str:
    """A `<figure>` with the caption above the table; the report gives it its number and its colours.

    Floats get `digits` decimals (one if the column reaches 10, none from 1000), whole numbers thousands separators,
    missing values a dash; text is escaped.
    """
    flat = _flat(frame)
    shown = flat.apply(lambda column: column.map(_cell) if column.dtype == object else column)
    labels = {column: column.replace("_", " ") for column in shown.columns}
    table = GT(shown, id=f"gt-{name}").tab_options(table_font_size="13px", data_row_padding="4px")
    table = table.cols_label(labels)
    floats = [column for column in shown if pd.api.types.is_float_dtype(shown[column])]
    counts = [
        column for column in floats if (shown[column].dropna() % 1 == 0).all() and shown[column].max() > 1
    ]
    whole = [column for column in shown if pd.api.types.is_integer_dtype(shown[column])] + counts
    real = [column for column in floats if column not in counts]
    if whole:
        table = table.fmt_integer(whole)
    for column in real:
        largest = shown[column].abs().max()
        table = table.fmt_number(
            [column], decimals=digits if largest < 10 else min(digits, 1 if largest < 1000 else 0)
        )
    body = table.sub_missing(missing_text=MISSING).as_raw_html()
    return (
        f'<figure class="study-table" id="table-{html.escape(name, quote=True)}">'
        f"<figcaption>{html.escape(caption, quote=False)}</figcaption>{body}</figure>"
    )


def table(frame: pd.DataFrame, caption: str, name: str, run: Any = None, digits: int = 3) -> None:
    """Display a table with its caption and keep it, unrounded, as `artifacts/<task>/tables/<name>.csv`.

    Parameters
    ----------
    frame : DataFrame
        Any index that is not 0, 1, 2 … becomes the first column(s).
    caption : str
        Plain text; the exported report puts "Table N" in front.
    name : str
        File name without ending, unique within the task.
    run : Run, optional
        Without it nothing is saved.
    digits : int
        Decimals shown of floats below 10; larger ones get one decimal, from 1000 on none.

    Raises
    ------
    ValueError
        If two columns share a name.
    """
    from IPython.display import HTML, display

    if run is not None:
        _flat(frame).to_csv(run.path("tables", f"{name}.csv"), index=False, encoding="utf-8")
    display(HTML(table_html(frame, caption, name, digits)))
