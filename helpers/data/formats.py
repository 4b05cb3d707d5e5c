"""Files that people have → records, told apart by their content: JSON in lines or spread, tables, columns, Parquet, gzip."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.data.folders import Record, shards_of, shown, table_rows
from helpers.errors import UserError
from helpers.tasks.base import Task
from helpers.tasks.bio import columns_of, rows_of_columns, tag_columns

WORD_NAMES = ("token", "tokens", "word", "words")
TAG_NAMES = ("ner_tags", "tags", "ner", "tag", "labels", "label")
_TABLES = (b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")  # Parquet, Arrow files, Arrow streams
_REFUSED = {
    b"PK\x03\x04": "is a ZIP archive or an Excel file: unpack it, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "is an old Excel file: save the sheet as CSV",
    b"\x80\x04": "is a pickle, which may run code when it is read: write JSON lines instead",
}
_DOCBIN = (
    "is a spaCy DocBin: write it as JSON lines, for each doc of DocBin().from_disk(path).get_docs(vocab) "
    '{"text": doc.text, "spans": [{"start": e.start_char, "end": e.end_char, "label": e.label_} for e in doc.ents]}'
)


class DoubledKey(ValueError):
    """An object has a key twice: of two values none is the one that was meant. The rows around it are none the worse."""


def records_of(path: Path, task: Task) -> tuple[str, list[Record]]:
    """What form a file has, and its rows in order.

    Raises
    ------
    UserError
        If nothing can be read: the file is missing, empty, in another encoding, or of a kind that is refused by name.
    """
    if path.is_dir() and shards_of(path):
        return "Arrow table", list(table_rows(path))
    content = _content(path)
    if content.startswith(_TABLES):
        return "Parquet or Arrow table", list(table_rows(path))
    text = content.decode("utf-8", errors="surrogateescape")  # what is no UTF-8 is named by its line
    form, read = next((form, read) for form, fits, read in FORMS if fits(text, task))
    for number, line in enumerate(text.split("\n") if read is not _lines else (), start=1):
        if wrong := _no_utf8(line):  # rows may span lines, so that a bad line cannot be set aside alone
            raise UserError(f"{shown(path)}, line {number}: {wrong}: save it as UTF-8")
    try:
        return form, list(read(text, task))
    except (csv.Error, ValueError) as error:
        raise UserError(f"{shown(path)}: {error}: mend the file, or write a row a line as JSON") from None


def _content(path: Path) -> bytes:
    """Bytes of a file, unpacked, without byte order mark."""
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    except FileNotFoundError:
        raise UserError(
            f"{shown(path)} is missing: put a file of rows there or choose other --data"
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{shown(path)} cannot be read: {reason}") from None
    with contextlib.suppress(zlib.error):
        if content[:1] == b"\x78" and b"attrs" in zlib.decompressobj().decompress(content, 64):
            raise UserError(f"{shown(path)} {_DOCBIN}")
    if what := next((what for magic, what in _REFUSED.items() if content.startswith(magic)), ""):
        raise UserError(f"{shown(path)} {what}")
    # UTF-16 and UTF-32 begin with these marks, or else every Latin letter brings zero bytes with it
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff")) or content.count(b"\0") * 5 > len(content) > 0
    if marked and not content.startswith(_TABLES):
        raise UserError(f"{shown(path)} is not UTF-8 but looks like UTF-16 or UTF-32: save it as UTF-8")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if not content.strip():
        raise UserError(f"{shown(path)} is empty: it needs a row a line")
    return content


def _no_utf8(line: str) -> str:
    """What is no UTF-8 in a line, "" for none; its bytes stand there as halves of surrogate pairs."""
    found = re.search("[\udc80-\udcff]", line)
    before = line[: found.start()].encode("utf-8") if found else b""
    return f"not UTF-8: byte 0x{ord(found[0]) - 0xDC00:02x} at position {len(before)}" if found else ""


# -- JSON -------------------------------------------------------------------------------------------------------------
def json_value(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at `start`, or the ValueError that says what is wrong in it, and where it ends.

    Raises
    ------
    ValueError
        If there is no value, so that nobody knows where it ends.
    """
    wrong: list[ValueError] = []

    def constant(name: str) -> None:
        wrong.append(ValueError(f"malformed JSON: {name} is not a JSON value"))

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            counts = Counter(name for name, _ in pairs)
            names = ", ".join(repr(name) for name, count in counts.items() if count > 1)
            wrong.append(DoubledKey(f"key {names} stands twice in one object"))
        return found

    try:
        decoder = json.JSONDecoder(object_pairs_hook=members, parse_constant=constant)
        value, end = decoder.raw_decode(text, start)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if "\n" in text.strip() else ""
        raise ValueError(f"malformed JSON: {error.msg} at {line}column {error.colno}") from None
    except RecursionError:
        raise ValueError("malformed JSON: nested too deeply") from None
    except UnicodeEncodeError:
        value, wrong = None, [ValueError("not UTF-8: half of a surrogate pair in an escape")]
    return wrong[0] if wrong else value, end


def _lines(text: str, task: Task) -> Iterator[Record]:
    """A row a line: a JSON value, or what the task's own form of lines gives."""
    read = task.hooks.row_of_line if _is_own(text, task) else _json_line
    for number, line in enumerate((line.strip(" \t\r\v\f") for line in text.split("\n")), start=1):
        if line:
            try:
                if wrong := _no_utf8(line):
                    raise ValueError(wrong)
                row = read(line)
            except ValueError as error:
                row = error
            as_is = line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
            yield Record(number, as_is, row)


def _json_line(line: str) -> Any:
    row, end = json_value(line)
    if end < len(line):
        raise ValueError(f"malformed JSON: Extra data at column {end + 1}")
    return row


def _spread(text: str, task: Task) -> Iterator[Record]:
    """A JSON array, or values one after another, over as many lines as they like."""
    at, number, counted = text.index(text.strip()[0]), 1, 0
    array = text[at] == "["
    at += array
    while found := re.compile(r"[\s,]*" if array else r"\s*").match(text, at):
        at = found.end()
        if at == len(text) or (array and text[at] == "]"):
            break
        row, end = json_value(text, at)
        number, counted = number + text.count("\n", counted, at), at
        yield Record(number, text[at:end], row)
        at = end
    if array and text[at:].strip() != "]":
        raise ValueError(
            "malformed JSON: the array has no end" if at == len(text) else "text behind the array"
        )


def _is_spread(text: str, task: Task) -> bool:
    """Whether a file begins as JSON, and its first line is no whole value: an array, or objects over several lines."""
    if not re.match(r'\s*(\[\s*[\[{\]]|\{\s*["}])', text):
        return False
    first, _, rest = text.strip().partition("\n")
    try:
        return json_value(first)[1] == len(first) and first[0] == "[" and not rest.strip()
    except ValueError:
        return not _is_lines(text, task)


def _is_lines(text: str, task: Task) -> bool:
    return _most(text, r'\s*\{".*\}\s*')


def _is_own(text: str, task: Task) -> bool:
    return bool(task.rows.line_form) and _most(text, f"(?:{task.rows.line_form}).*")


def _most(text: str, form: str) -> bool:
    """Whether most lines that are not blank have a form."""
    lines = [line for line in text.split("\n") if line.strip()]
    return 2 * sum(bool(re.fullmatch(form, line, re.DOTALL)) for line in lines) > len(lines)


# -- tables and columns -----------------------------------------------------------------------------------------------
def _header(text: str, task: Task) -> tuple[str, list[str]]:
    """What separates the cells of a table, and its headings; none where no heading says what a row is."""
    first = text.strip("\r\n").split("\n", 1)[0]
    mark = max("\t,;", key=first.count)
    names = [name.strip() for name in next(csv.reader([first], delimiter=mark), [])]
    if task.writes:
        known = names if {task.rows.text_key, "text"} & set(names) else []
    else:
        known = [name for name in names if name.lower() in WORD_NAMES]
        known = known and [name for name in names if name.lower() in TAG_NAMES]
    return mark, names if known and len(names) > 1 else []


def _table(text: str, task: Task) -> Iterator[Record]:
    mark, names = _header(text, task)
    reader = csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=mark, strict=True)
    next(reader)
    rows = _words if not task.writes else _cells
    yield from rows(((reader.line_num, cells) for cells in reader), names, task)


def _cells(lines: Iterator[tuple[int, list[str]]], names: Sequence[str], task: Task) -> Iterator[Record]:
    """A row a line: its text, and a column a field or one with the whole output; values of a list between semicolons."""
    for number, cells in lines:
        row: Any = dict(zip(names, cells))
        if len(cells) != len(names):
            row = ValueError(f"{len(cells)} cells under {len(names)} headings")
        elif not task.hooks.read_row:
            output = {name: _cell(row[name], kind) for name, kind in task.kinds.items() if name in row}
            output = _json_cell(row["output"]) if "output" in row else output
            row = {task.rows.text_key: row.get(task.rows.text_key, row.get("text")), "output": output}
        if any(cells):
            yield Record(number, "\t".join(cells), row)


def _cell(cell: str, kind: Any) -> Any:
    cell = cell.strip()
    if cell and kind.many and not cell.startswith("["):
        return [_cell(one, replace(kind, many=False)) for one in cell.split(";")]
    return _json_cell(cell if kind.quoted else cell.lower()) if kind.many or not kind.quoted else cell or None


def _json_cell(cell: str) -> Any:
    """The JSON value of a cell; what is none stays text, for the schema to name."""
    try:
        return json.loads(cell) if cell else None
    except (ValueError, RecursionError):
        return cell


def _words(lines: Iterator[tuple[int, list[str]]], names: Sequence[str], task: Task) -> Iterator[Record]:
    """A word a line, sentences apart by a blank line or by a change in a column `sentence…`."""
    low = [name.lower() for name in names]
    word, tag = (next(low.index(name) for name in known if name in low) for known in (WORD_NAMES, TAG_NAMES))
    group = next((name for name in low if name.startswith("sent")), "")
    columns: list[tuple[int, list[str]]] = []
    current = ""
    for number, cells in lines:
        new = dict(zip(low, cells)).get(group) or current
        columns += [(number, [])] * (new != current)
        columns.append((number, [cells[at] for at in (word, tag) if at < len(cells)] if any(cells) else []))
        current = new
    return _sentences(columns, task)


def _sentences(columns: list[tuple[int, list[str]]], task: Task) -> Iterator[Record]:
    """Of several columns of tags the one that gives the task most entities, then the last."""
    best: list[tuple[int, dict[str, Any]]] = []
    most = -1
    for column in tag_columns(columns) or [1]:
        rows = [
            one for one in rows_of_columns(columns, column) if one[1]["tokens"][0] not in task.rows.headings
        ]
        if (count := sum(_entities(row, task) for _, row in rows[:200])) >= most:
            best, most = rows, count
    for number, row in best:
        yield Record(number, " ".join(map("/".join, zip(row["tokens"], row["ner_tags"]))), row)


def _entities(row: dict[str, Any], task: Task) -> int:
    try:
        return len(task.rows.parse(row, 0).target.entities())
    except ValueError:
        return 0


def _columns(text: str, task: Task) -> Iterator[Record]:
    return _sentences(columns_of(text.split("\n")), task)


FORMS: tuple[tuple[str, Callable[..., bool], Callable[..., Iterator[Record]]], ...] = (
    ("JSON over several lines", _is_spread, _spread),
    ("JSON lines", _is_lines, _lines),
    ("lines of the task's own form", _is_own, _lines),
    ("table with headings", lambda text, task: bool(_header(text, task)[1]), _table),
    ("CoNLL columns", lambda text, task: not task.writes, _columns),
    ("JSON lines", lambda text, task: True, _lines),
)
"""Form, whether a text has it, and how it is read; the first that fits counts."""
