"""Type a text, see what a system finds in it: the fields coloured in the text, and all values in a table."""

from __future__ import annotations

import html
from typing import Any

import pandas as pd

from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.run import Run
from helpers.tasks.base import Example
from helpers.tasks.text import words
from helpers.views.rows import coloured


def extract(run: Run, text: str, name: str | None = None) -> tuple[str, Any, str | None]:
    """What a system finds in one text: its name, the prediction, and what was written.

    The system is `rules`, a trained variant or a vote, by default the one :func:`helpers.evaluation.systems.choose`
    takes. The prediction is None where nothing valid came out.
    """
    row = run.task.rows.example(text)
    if not row.text:
        raise UserError("the text is empty: type a sentence between the quotes")
    system = systems.load(run, systems.choose(run, name, rules=True))
    (record,) = system.predict([row])
    system.release()
    return system.name, run.task.bind(record["prediction"], row), record.get("raw")


def try_it(run: Run, text: str | None = None, system: str | None = None, row: Example | None = None) -> None:
    """Display a text with what a system finds in it, as in :func:`extract`; by default the text of a validation row."""
    from IPython.display import HTML, display

    text = run.task.rows.reading(text) if text else (row or run.load("validation")[0]).text
    display(HTML(found_html(run, text, *extract(run, text, system))))


def found_html(run: Run, text: str, system: str, prediction: Any, raw: str | None) -> str:
    """The text with its fields coloured, and under it the values found."""
    head = f"<p>Found by <b>{html.escape(words(system))}</b>:</p>"
    if prediction is None:
        return f"{head}<p>Nothing valid came out. It wrote:</p><pre>{html.escape(str(raw))}</pre>"
    found = {
        name: "; ".join(map(str, values)) for name, values in run.task.values(prediction).items() if values
    }
    table = pd.Series(found, dtype=object).to_frame().style.hide(axis="columns").format(escape="html")
    table = table.format_index(escape="html", axis="index")
    marked = coloured(run.task, run.task.rows.example(text), prediction)
    return head + marked + table.to_html(exclude_styles=True)
