"""Labels of a tagging task, read from its rows where no file names them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from helpers.tasks.bio import check_syntax, columns_of, label_of, tag_columns

_PARTS = ("rows", "train", "validation", "valid", "dev", "val", "test")
_TAGS = ("ner_tags", "tags", "ner", "labels")
_PACKED = b"\x1f\x8b"


def labels_of_rows(folder: Path) -> list[str]:
    """Labels of all tags in a folder's row files, sorted: JSON rows with a list of tags, or words and tags in columns.

    Empty where no file holds tags in such a form (spans, numbered tags, Parquet).
    """
    files = (path for part in _PARTS for path in sorted(folder.glob(f"{part}.*")) if path.is_file())
    return sorted({label for path in files for label in map(label_of, _tags(path)) if label})


def _tags(path: Path) -> Iterator[str]:
    """Every tag in a file; what is wrong with a row is said where rows are read."""
    content = path.read_bytes()
    try:
        content = gzip.decompress(content) if content.startswith(_PACKED) else content
    except (OSError, EOFError):
        return
    text = content.decode("utf-8-sig", errors="replace")
    if text.lstrip()[:1] in ("{", "["):
        lists: Iterable[Any] = map(_tag_list, _objects(text))
    else:
        columns = columns_of(text.split("\n"))
        lists = [[row[at]] for at in tag_columns(columns)[-1:] for _, row in columns if len(row) > abs(at)]
    for tags in lists:
        try:
            check_syntax(tags)
        except (ValueError, TypeError):
            continue
        yield from tags


def _objects(text: str) -> Iterator[Any]:
    """JSON values of a text: those of one array, or one a line."""
    try:
        whole = json.loads(text)
        yield from whole if isinstance(whole, list) else [whole]
        return
    except (ValueError, RecursionError):
        pass
    for line in text.split("\n"):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            continue


def _tag_list(row: Any) -> list[Any]:
    """The tags of a row, none where it has no list of them."""
    lists = [row.get(key) for key in _TAGS] if isinstance(row, dict) and "output" not in row else []
    return next((one for one in lists if isinstance(one, list)), [])
