"""Tasks by their folders: one of the package, or any folder with a schema or labels and rows."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, create_model

from helpers.errors import UserError, one_of
from helpers.tasks.base import Task, Words, merged
from helpers.tasks.fields import Date, Text, Time
from helpers.tasks.json_task import JsonTask
from helpers.tasks.tag_task import TagTask

HERE = Path(__file__).parent
TASK_NAMES = tuple(sorted(path.parent.name for path in HERE.glob("*/settings.yaml")))
_TYPES = {"string": str, "integer": int, "number": float, "boolean": bool}
_FORMATS = {"date": Date(), "time": Time(), "text": Text()}


def load_task(task: str | Path | Task, date_order: str = "day") -> Task:
    """The task of a name, or of a folder.

    Parameters
    ----------
    task : str or path
        One of :data:`TASK_NAMES`, or a folder with `schema.py` (a pydantic model, the last one in it), `schema.json` (a JSON
        Schema of an object) or `labels.txt` (a label a line). It may also hold `settings.yaml`, `notes.md` and `hooks.py`
        with a function `hooks(task)` that returns :class:`helpers.tasks.base.Hooks`.
    date_order : str
        What numeric dates begin with, `day` or `month`.

    Raises
    ------
    UserError
        If there is no such task, or its folder says nothing about its fields.
    """
    if isinstance(task, Task):
        return task
    if str(task) in TASK_NAMES:
        return _read(HERE / str(task), f"helpers.tasks.{task}", date_order)
    folder = Path(task).expanduser()
    if not folder.is_dir():
        one_of(str(task), TASK_NAMES, "task")
    own = _read(folder.resolve(), _package(folder.resolve()), date_order)
    if not own.words.examples:
        own.words = replace(own.words, examples=tuple(_first_texts(own, folder)))
    return own


@lru_cache(maxsize=8)
def _read(folder: Path, package: str, date_order: str) -> Task:
    words = (
        read_words(folder / "notes.md")
        if (folder / "notes.md").exists()
        else Words(title=re.sub("[_-]+", " ", folder.name).capitalize())
    )
    hooks = importlib.import_module(f"{package}.hooks").hooks if (folder / "hooks.py").exists() else None
    if (folder / "labels.txt").exists():
        labels = (folder / "labels.txt").read_text(encoding="utf-8").split()
        return TagTask(labels, folder.name, read_settings(folder, "tags"), words, hooks)
    document = read_settings(folder, "json")
    if (folder / "schema.py").exists():
        module = importlib.import_module(f"{package}.schema")
        models = [
            one
            for one in vars(module).values()
            if isinstance(one, type) and issubclass(one, BaseModel) and one.__module__ == module.__name__
        ]
        if not models:
            raise UserError(f"{folder / 'schema.py'} holds no pydantic model")
        schema = models[-1]
    elif (folder / "schema.json").exists():
        schema = model_of(json.loads((folder / "schema.json").read_text(encoding="utf-8")))
    else:
        raise UserError(
            f"{folder} holds no schema.py, schema.json or labels.txt: what should be found is not said"
        )
    try:
        document = {**document, "date_order": date_order}
        return JsonTask(schema, document.get("ask", "all"), folder.name, document, words, hooks)
    except TypeError as error:
        raise UserError(f"{folder}: {error}") from None


def _first_texts(task: Task, folder: Path, count: int = 3) -> Iterator[str]:
    """Texts of the first rows: those to try a task with whose notes name none."""
    path = next((folder / name for name in ("rows.jsonl", "train.jsonl") if (folder / name).exists()), None)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[:count] if path else []
    for line in lines:
        with contextlib.suppress(
            ValueError, AttributeError
        ):  # what is wrong with a row is said where rows are read
            yield task.rows.text_of(json.loads(line))


def _package(folder: Path) -> str:
    """A package over a folder of the user's own, so that its modules can import each other."""
    name = f"own_task_{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    if name not in sys.modules:
        module = ModuleType(name)
        module.__path__ = [str(folder)]  # type: ignore[attr-defined]
        sys.modules[name] = module
    return name


def read_settings(folder: Path, kind: str) -> dict[str, Any]:
    """What tasks of a kind (`json`, `tags`) share, with the folder's `settings.yaml` on top; its variants replace theirs."""
    base = yaml.safe_load((HERE / "settings.yaml").read_text(encoding="utf-8"))[kind]
    path = folder / "settings.yaml"
    own = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
    if "variants" in own:
        profiles = {
            name: {key: block for key, block in blocks.items() if key != "variants"}
            for name, blocks in base["profiles"].items()
        }
        base = {key: block for key, block in base.items() if key not in ("variants", "votes")} | {
            "profiles": profiles
        }
    return merged(base, own)


def read_words(path: Path) -> Words:
    """`notes.md`: a YAML head, then a section a note; that of a variant begins with its three cells as a list."""
    _, head, body = path.read_text(encoding="utf-8").split("---\n", 2)
    given = {name: tuple(one) if isinstance(one, list) else one for name, one in yaml.safe_load(head).items()}
    notes: dict[str, tuple[str, str, str, str]] = {}
    for title, text in re.findall(r"^# (.+)\n+((?:(?!^# ).*\n?)*)", body, re.MULTILINE):
        text = text.strip()
        if title.startswith("variant: "):
            cells = re.match(r"- (.+)\n- (.+)\n- (.+)\n+", text)
            notes[title.removeprefix("variant: ")] = (*cells.groups(), text[cells.end() :])
        else:
            given[title if title == "instruction" else f"{title}_note"] = text
    return Words(**given, variant_notes=notes)


def model_of(schema: dict[str, Any]) -> type[BaseModel]:
    """A pydantic model of a JSON Schema: strings (with `format` date, time or text), numbers, truth values, enums, lists.

    Raises
    ------
    UserError
        For a property of another type, by its name.
    """

    fields = {}
    for name, given in schema.get("properties", {}).items():
        options = [one for one in given.get("anyOf", [given]) if one.get("type") != "null"]
        several = options[0].get("type") == "array"
        one = options[0].get("items", {}) if several else options[0]
        kind = one.get("type")
        kind = next((name for name in kind if name != "null"), None) if isinstance(kind, list) else kind
        if "enum" in one:
            value: Any = Literal[tuple(word for word in one["enum"] if word is not None)]
        elif kind not in _TYPES:
            raise UserError(
                f"schema.json: property {name!r} has type {kind!r}: choose from {', '.join(_TYPES)}, array"
            )
        else:
            value = _TYPES[kind]
        value = (list[value] if several else value) | None
        if kind == "string" and one.get("format") in _FORMATS:
            value = Annotated[value, _FORMATS[one["format"]]]
        fields[name] = (value, ... if name in schema.get("required", ()) else None)
    return create_model(schema.get("title", "Answer"), **fields)
