"""Files that are read and written whole, and what tells two of them apart."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from helpers.errors import UserError


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one where there is no file.

    Raises
    ------
    UserError
        If the file is damaged: what it held would be lost by writing on from nothing.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read ({error}): delete it, and what it held is made anew"
        ) from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds no JSON object: delete it, and what it held is made anew")
    return value


def parse_json(text: str) -> Any:
    """JSON in which no object has a key twice: of two values none is the one that was meant.

    Raises
    ------
    ValueError
        With the key; json.JSONDecodeError where the text is no JSON at all.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in pairs:
            if name in found:
                raise ValueError(f"key {name!r} stands twice in one object")
            found[name] = value
        return found

    return json.loads(text, object_pairs_hook=unique)


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file so that a kill or a power cut at any moment leaves either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def clear_unfinished(folder: Path, pattern: str = "**/.*.tmp") -> None:
    """Remove what :func:`write_file` was writing in a folder when it was killed; nobody else may be writing there now."""
    for path in folder.glob(pattern):
        path.unlink(missing_ok=True)


def sync_files(paths: Iterable[Path]) -> None:
    """Bring files that others have written to the disk: what says that they are complete is written after them."""
    for path in filter(Path.is_file, paths):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_file(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def digest(*parts: str | bytes) -> str:
    """SHA-256 (hexadecimal) of several texts or byte strings; `("ab", "c")` and `("a", "bc")` differ."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        total.update(f"{len(content)}:".encode() + content)
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 (hexadecimal) of the content of a file, however long."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()
