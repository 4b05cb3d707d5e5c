"""What is wrong with rows that can be read: counted, with examples, before anything trains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pandas as pd

from helpers.data.read import MAX_BAD_SHARE
from helpers.data.splits import Splits, open_rows
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks.base import Example, Task
from helpers.tasks.dates import find_dates
from helpers.tasks.fields import Date, Time
from helpers.tasks.text import normalise, places

CUT, ABSENT = "value cuts words of the text", "value is not in the text"
EMPTY, TWICE = "empty value", "one value in two fields"
CONFLICT, REPEAT, SIBLING = "same words, other labels", "repeat, left out", "like a row of another part"
MIXED = ("date that can only be read day first", "date that can only be read month first")
ADVICE = {
    SIBLING: "scores are too good where parts share wordings: --set split=groups deals all rows anew by wording",
    CONFLICT: "both rows are kept where another event is meant; exact copies are not",
}
_SHOWN = 5  # examples of a kind


def check_rows(run: Run, source: dict[str, list[Example]], splits: Splits) -> pd.DataFrame:
    """What is wrong with rows: counts and up to five examples of each kind, those of held-out rows by their lines alone.

    Also prints a note a kind. With the setting `checks` at `warn` nothing stops. The table has the index `check` and the
    columns `rows`, `share` (of all rows) and `examples`.

    Raises
    ------
    UserError
        If in more than 5 % of the rows a value is no whole words of its text, as labels are that were moved by an offset.
    """
    open_ids = {example.id for example in open_rows(source, splits.parts)}
    lines, found = {}, []
    for part, examples in source.items():
        for example in examples:
            lines[part, example.id] = example.extra.get("line", example.id + 1)
            found += [(check, part, example.id, what) for check, what in _wrong(example, run.task)]
    for check, pairs in ((CONFLICT, splits.conflicts), (REPEAT, splits.removed), (SIBLING, splits.siblings)):
        for row in pairs.itertuples(index=False):
            both = f"{row.text!r} beside {row.text_kept!r}" if row.part == row.because_of else ""
            found.append((check, row.part, row.id, both))
    frame = pd.DataFrame(found, columns=["check", "part", "id", "what"])
    if not set(MIXED) <= set(frame["check"]):
        frame = frame[~frame["check"].isin(MIXED)]
    rows = []
    for check, group in frame.groupby("check", sort=False):
        shown = []
        for (part, at), own in group.groupby(["part", "id"], sort=False)["what"]:
            seen = at in open_ids if part == "all" else part == "train"
            said = ", ".join(filter(None, own)) if seen else ""
            shown.append(f"{part} line {lines[part, at]}" + f": {said}" * bool(said))
        rows.append((check, len(shown), len(shown) / len(lines), "; ".join(shown[:_SHOWN])))
    table = pd.DataFrame(rows, columns=["check", "rows", "share", "examples"]).set_index("check")
    wrong = frame[frame["check"].isin([CUT, ABSENT])]
    many = len(wrong.drop_duplicates(["part", "id"])) > MAX_BAD_SHARE * len(lines)
    if many and run.settings.get("checks") != "warn":
        counts = wrong.groupby("part", sort=False)["id"].agg(["size", "nunique"]).itertuples()
        counts = ", ".join(f"{part}: {values} values in {rows} rows" for part, values, rows in counts)
        examples = "; ".join(table["examples"].reindex([CUT, ABSENT]).dropna())
        raise UserError(
            f"{counts} are no whole words of their text, more than {MAX_BAD_SHARE:.0%} of {len(lines)} rows ({examples}): mend "
            "the labels (an offset counted in other units cuts words), or give --set checks=warn if they are meant so"
        )
    for check, rows, share, examples in table.itertuples():
        advice = f"; {ADVICE[check]}" if check in ADVICE else ""
        print(f"note: {check}: {rows} rows ({share:.1%}): {examples}{advice}")
    return table


def _fields(output: Any, above: str = "") -> Iterator[tuple[str, Any]]:
    """(name, value) of an output's fields; those of an object in it bear both names."""
    for name, value in output.items() if isinstance(output, dict) else ():
        if isinstance(value, dict):
            yield from _fields(value, f"{above}{name}.")
        else:
            yield above + name, value


def _wrong(example: Example, task: Task) -> Iterator[tuple[str, str]]:
    """(check, example) of a row's own faults."""
    output = example.extra.get("row", {}).get("output")
    for name, value in _fields(output):
        items = value if isinstance(value, list) else [value]
        if any(isinstance(one, str) and not one.strip() for one in items) or value == []:
            yield EMPTY, name
    if not task.writes:
        return
    dated = any(isinstance(kind, Date) and not isinstance(kind, Time) for kind in task.kinds.values())
    for date in find_dates(example.text) if dated else ():
        one, other = map(int, re.findall(r"\d+", date.text)[:2]) if date.style == "DD/MM/YYYY" else (0, 0)
        if max(one, other) > 12:
            yield MIXED[one < other], date.text
    owners: dict[str, str] = {}
    for name, values in task.values(example.target).items():
        for value in dict.fromkeys(values):
            if not task.kinds[name].verbatim:
                continue
            if value in owners:
                yield TWICE, f"{value!r} in {owners[value]} and {name}"
            owners[value] = name
            if not places(value, example.text, ignore_case=True):
                inside = normalise(value).lower() in example.text.lower()
                yield CUT if inside else ABSENT, repr(value)
