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
from helpers.tasks.base import Task
from helpers.tasks.dates import find_dates
from helpers.tasks.fields import Date, Time
from helpers.tasks.records import Example
from helpers.tasks.text import normalise, places

CUT, ABSENT = "value cuts words of the text", "value is not in the text"
EMPTY, TWICE = "empty value", "one value in two fields"
CONFLICT, REPEAT, SIBLING = "same words, other labels", "repeat, left out", "like a row of another part"
MIXED = "date that can only be read {} first"
ADVICE = {
    SIBLING: "scores are too good where parts share wordings: --set split=groups deals all rows anew by wording",
    CONFLICT: "both rows are kept where another event is meant; exact copies are not",
}
_SHOWN = 5


def check_rows(run: Run, source: dict[str, list[Example]], splits: Splits) -> pd.DataFrame:
    """What is wrong with rows: counts and up to five examples of each kind, those of held-out rows by their lines alone.

    Also prints a note a kind. With the setting `checks` at `warn` nothing stops.

    Parameters
    ----------
    run : Run
    source : dict of str to list of Example
        What :func:`helpers.data.read.load_source` returned.
    splits : Splits
        What :func:`helpers.data.splits.make_splits` made of it.

    Returns
    -------
    DataFrame
        Index `check`; columns `rows`, `share` (of all rows) and `examples`.

    Raises
    ------
    UserError
        If in more than 5 % of the rows a value is no whole words of its text, as labels are that were moved by an offset.
    """
    open_ids = {example.id for example in open_rows(source, splits.parts)}
    found: dict[str, dict[tuple[str, int], list[str]]] = {}
    count = 0
    for part, examples in source.items():
        for example in examples:
            count += 1
            for check, what in _wrong(example, run.task):
                found.setdefault(check, {}).setdefault((part, example.id), []).append(what)
    for check, pairs in ((CONFLICT, splits.conflicts), (REPEAT, splits.removed), (SIBLING, splits.siblings)):
        for row in pairs.itertuples(index=False):
            what = f"{row.text!r} beside {row.text_kept!r}" if {row.part, row.because_of} <= {"train"} else ""
            found.setdefault(check, {}).setdefault((row.part, row.id), []).append(what)
    if not all(MIXED.format(order) in found for order in ("day", "month")):
        for order in ("day", "month"):
            found.pop(MIXED.format(order), None)
    lines = {
        (part, row.id): row.extra.get("line", row.id + 1) for part, rows in source.items() for row in rows
    }

    def shown(place: tuple[str, int], what: list[str]) -> str:
        seen = place[0] == "train" or (place[0] == "all" and place[1] in open_ids)
        said = f": {', '.join(filter(None, what))}" if seen and any(what) else ""
        return f"{place[0]} line {lines[place]}{said}"

    table = pd.DataFrame(
        [
            (
                check,
                len(rows),
                len(rows) / count,
                "; ".join(shown(*one) for one in list(rows.items())[:_SHOWN]),
            )
            for check, rows in found.items()
        ],
        columns=["check", "rows", "share", "examples"],
    ).set_index("check")
    _refuse(run, found, table, count)
    for check, rows, share, examples in table.itertuples():
        print(
            f"note: {check}: {rows} rows ({share:.1%}): {examples}"
            + f"; {ADVICE.get(check, '')}" * (check in ADVICE)
        )
    return table


def _refuse(run: Run, found: dict[str, dict], table: pd.DataFrame, count: int) -> None:
    wrong = found.get(CUT, {}) | found.get(ABSENT, {})
    if len(wrong) <= MAX_BAD_SHARE * count or run.settings.get("checks") == "warn":
        return
    per_part: dict[str, list[int]] = {}
    for check in (CUT, ABSENT):
        for (part, _), values in found.get(check, {}).items():
            per_part.setdefault(part, []).append(len(values))
    counts = ", ".join(f"{part}: {sum(each)} values in {len(each)} rows" for part, each in per_part.items())
    examples = "; ".join(table.loc[check, "examples"] for check in (CUT, ABSENT) if check in table.index)
    raise UserError(
        f"{counts} are no whole words of their text, more than {MAX_BAD_SHARE:.0%} of {count} rows ({examples}): mend the "
        "labels (an offset counted in other units cuts words), or give --set checks=warn if they are meant so"
    )


def _wrong(example: Example, task: Task) -> Iterator[tuple[str, str]]:
    """(check, example) of a row's own faults."""
    output = example.extra.get("row", {}).get("output")
    for name, value in output.items() if isinstance(output, dict) else ():
        if any(isinstance(one, str) and not one.strip() for one in _items(value)) or value == []:
            yield EMPTY, name
    if not task.writes:
        return
    dated = any(isinstance(kind, Date) and not isinstance(kind, Time) for kind in task.kinds.values())
    for date in find_dates(example.text) if dated else ():
        one, other = (
            (int(number) for number in re.findall(r"\d+", date.text)[:2]) if date.style[0] == "D" else (0, 0)
        )
        if max(one, other) > 12:
            yield MIXED.format("day" if one > other else "month"), date.text
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


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
