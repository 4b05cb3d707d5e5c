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
from helpers.tasks.row_labels import labels_of_rows
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
        Schema of an object) or `labels.txt` (a label a line), or with rows whose tags name the labels; UserError for any
        other. It may also hold `settings.yaml`,
        `notes.md` and `hooks.py` with a function `hooks(task)` that returns :class:`helpers.tasks.base.Hooks`.
    date_order : str
        What numeric dates begin with, `day` or `month`.
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
    notes = folder / "notes.md"
    title = re.sub("[_-]+", " ", folder.name).capitalize()
    words = read_words(notes) if notes.exists() else Words(title=title)
    hooks = importlib.import_module(f"{package}.hooks").hooks if (folder / "hooks.py").exists() else None
    if (folder / "labels.txt").exists():
        labels = (folder / "labels.txt").read_text(encoding="utf-8").split()
        return TagTask(labels, folder.name, read_settings(folder, "tags"), words, hooks)
    if (folder / "schema.py").exists():
        module = importlib.import_module(f"{package}.schema")
        own = (one for one in vars(module).values() if getattr(one, "__module__", "") == module.__name__)
        models = [one for one in own if isinstance(one, type) and issubclass(one, BaseModel)]
        if not models:
            raise UserError(f"{folder / 'schema.py'} holds no pydantic model")
        schema = models[-1]
    elif (folder / "schema.json").exists():
        schema = model_of(json.loads((folder / "schema.json").read_text(encoding="utf-8")))
    elif labels := labels_of_rows(folder):
        return TagTask(labels, folder.name, read_settings(folder, "tags"), words, hooks)
    else:
        raise UserError(
            f"{folder} holds no schema.py, schema.json or labels.txt, and no rows of tokens and tags: what should be found "
            "is not said"
        )
    document = read_settings(folder, "json") | {"date_order": date_order}
    try:
        return JsonTask(schema, document.get("ask", "all"), folder.name, document, words, hooks)
    except TypeError as error:
        raise UserError(f"{folder}: {error}") from None


def _first_texts(task: Task, folder: Path) -> Iterator[str]:
    """Texts of the first three rows: those to try a task with whose notes name none."""
    path = next((folder / name for name in ("rows.jsonl", "train.jsonl") if (folder / name).exists()), None)
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines()[:3] if path else ():
        # what is wrong with a row is said where rows are read
        with contextlib.suppress(ValueError, AttributeError):
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
        for block in (base, *base["profiles"].values()):
            block.pop("variants", None)
        base.pop("votes", None)
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
    """A pydantic model of a JSON Schema: strings (with `format` date, time or text), numbers, truth values, enums, lists of
    these, and objects of them; a `$ref` into the `$defs` of the schema is followed.

    UserError for a property of another type, by its name.
    """
    shared = schema.get("$defs", schema.get("definitions", {}))
    whole = _meant(schema, shared)
    if not whole.get("properties"):
        raise UserError("schema.json has no properties: expected the JSON Schema of an object")
    return _model(whole, shared)


def _model(schema: dict[str, Any], shared: dict[str, Any], above: str = "") -> type[BaseModel]:
    """The model of an object, `above` being the name of the one around it."""
    fields = {}
    for name, given in schema.get("properties", {}).items():
        one = _meant(given, shared)
        several = one.get("type") == "array"
        one = _meant(one.get("items", {}), shared) if several else one
        one = {"enum": [one["const"]]} if "const" in one else one
        kinds = one.get("type") if isinstance(one.get("type"), list) else [one.get("type")]
        kind = next((kind for kind in kinds if kind != "null"), None)
        if "enum" in one:
            value: Any = Literal[tuple(word for word in one["enum"] if word is not None)]
        elif kind in _TYPES:
            value = _TYPES[kind]
        elif one.get("properties") and not several and not above:
            value = _model(one, shared, name)
        else:
            kind = "array of objects" if several and kind == "object" else kind
            where = f" in the object {above!r}, and there may be no other in it" * bool(
                above and kind == "object"
            )
            raise UserError(
                f"schema.json: property {name!r} has type {kind!r}{where}: choose from {', '.join(_TYPES)}, array of these, "
                "object with properties"
            )
        value = (list[value] if several else value) | None
        if kind == "string" and one.get("format") in _FORMATS:
            value = Annotated[value, _FORMATS[one["format"]]]
        fields[name] = (value, ... if name in schema.get("required", ()) else None)
    return create_model(schema.get("title") or above or "Answer", **fields)


def _meant(given: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """The schema of a value that is not null, references followed."""
    while True:
        if "$ref" in given:
            given = shared.get(given["$ref"].rsplit("/", 1)[-1], {})
        elif ways := given.get("anyOf") or given.get("oneOf") or given.get("allOf"):
            given = next((way for way in ways if way.get("type") != "null"), {})
        else:
            return given
