"""Tasks whose answer is one JSON object: everything follows from the schema."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, StrictStr, create_model

from helpers.tasks import variation
from helpers.tasks.base import Hooks, Spans, Task, Values, Words
from helpers.tasks.chat import STRICT, Chat, Interview, output_model
from helpers.tasks.fields import Boolean, Choice, Date, Kind, Number, Place, Span
from helpers.tasks.records import Example
from helpers.tasks.rows import Rows

Target = dict[str, Any]


# -- from a schema to its kinds -------------------------------------------------------------------------------------
_KINDS = {str: Span, int: Number, float: Number, bool: Boolean}


def kinds_of(schema: type[BaseModel]) -> dict[str, Kind]:
    """Field → its kind, in the order of the schema.

    Raises
    ------
    TypeError
        For a field that no kind can hold (an object in an object), by its name.
    """
    found = {}
    for name, info in schema.model_fields.items():
        annotation, many = _inner(info.annotation)
        kind = next((one for one in info.metadata if isinstance(one, Kind)), None)
        if get_origin(annotation) is Literal:
            kind = replace(kind or Choice(), options=get_args(annotation))
        if kind is None and annotation not in _KINDS:
            raise TypeError(
                f"field {name!r} holds {annotation}: expected text, a number, a truth value or a list of these"
            )
        found[name] = replace(kind or _KINDS[annotation](), many=many, needed=info.is_required())
    return found


def _inner(annotation: Any) -> tuple[Any, bool]:
    """The type of a value without `None` and `list`, and whether it is a list."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is list:
        return _inner(get_args(annotation)[0])[0], True
    return annotation, False


# -- rows and what is wrong with them -------------------------------------------------------------------------------
class JsonRows(Rows):
    """Rows of a text and its output."""

    def __init__(self, task: Task, document: dict[str, Any]):
        super().__init__(task, document)
        output = (output_model(task.kinds), ...)
        self.model = create_model(
            "Row", __config__=STRICT, **{self.text_key: (StrictStr, ...), "output": output}
        )

    def parse(self, row: dict[str, Any], index: int) -> Example:
        hooks = self.task.hooks
        if hooks.read_row and isinstance(row, dict):
            text, output, extra = hooks.read_row(row)
        else:
            checked = self.checked(row)
            text, output, extra = hooks.reading(checked[self.text_key]), checked["output"], {}
        if not text:
            raise ValueError(f"{self.text_key!r} is empty")
        return Example(index, text, self.task.canonical(output), extra={"row": row, **extra})

    def write(self, example: Example) -> dict[str, Any]:
        own = self.task.hooks.write_row
        return own(example) if own else {self.text_key: example.text, "output": example.target}

    def wanted(self, where: tuple[Any, ...]) -> tuple[tuple[Any, ...], str]:
        if len(where) == 1:
            return where, "an object" if where == ("output",) else "a string"
        kind = self.task.kinds[where[1]]
        if kind.many and len(where) > 2:
            return where[:3], kind.wanted
        several = f"a list of {kind.wanted.removeprefix('a ')}s"
        return where[:2], f"{several if kind.many else kind.wanted} or null"

    def text_of(self, row: dict[str, Any]) -> str:
        """A text under `text`, or as the input files have it."""
        for key in dict.fromkeys(("text", self.text_key)):
            if isinstance(row.get(key), str):
                if key != "text" and self.task.hooks.read_row:
                    return self.task.hooks.read_row(row)[0]
                return row[key]
        other = f" or {self.text_key!r}" * (self.text_key != "text")
        raise ValueError(f"no text: expected a string under 'text'{other}")

    def shown(self, example: Example) -> str:
        chat = self.task.chat
        return f"{chat.prompt(example.text)}\n{chat.completion(example.target)}"


# -- the task -------------------------------------------------------------------------------------------------------
class JsonTask(Task):
    """Text → one JSON object of a schema.

    Parameters
    ----------
    schema : pydantic model
        Its fields have the kinds of :mod:`helpers.tasks.fields`.
    ask : str
        `all`: one prompt, one object, a field without a value is null; `each`: a chat that asks for one field after the
        other, each answered by an object with its list of values.
    name : str
    document : dict
        What `settings.yaml` holds.
    words : Words
    hooks : callable, optional
        Task → its hooks.
    """

    def __init__(
        self,
        schema: type[BaseModel],
        ask: Literal["all", "each"] = "all",
        name: str = "task",
        document: dict[str, Any] | None = None,
        words: Words | None = None,
        hooks: Callable[[Task], Hooks] | None = None,
    ):
        document = document or {}
        super().__init__(name, kinds_of(schema), document, words or Words(title=name))
        self._absent = [] if ask == "each" else None
        self.rows = JsonRows(self, document.get("rows", {}))
        chat = Interview if ask == "each" else Chat
        self.chat = chat(self, document.get("chat", {}))
        self._complete(hooks, rules=partial(variation.rules, self), values_of_spans=self._values_of_spans)

    def values(self, target: Target | None) -> Values:
        found = {}
        for name, kind in self.kinds.items():
            value = (target or {}).get(name)
            texts = (
                [] if value is None else list(map(kind.text, value if isinstance(value, list) else [value]))
            )
            found[name] = tuple(texts if kind.ordered else sorted(set(texts)))
        return found

    def canonical(self, target: Target | None) -> Target | None:
        if target is None:
            return None
        clean = {}
        for name, kind in self.kinds.items():
            value = target.get(name)
            if kind.many:
                given = map(kind.canonical, (one for one in value or () if one is not None))
                clean[name] = [one for one in given if one is not None] or self._absent
            else:
                clean[name] = None if value is None else kind.canonical(value)
        return clean

    def bind(self, prediction: Any, example: Example) -> Any:
        return prediction

    # -- places in the text -----------------------------------------------------------------------------------------
    def spans(self, example: Example) -> Spans:
        """Places of the values, one a value in their order; those of different fields do not overlap.

        Dates and times come first, being sure; of the rest the longest value, so that "Zoom" cannot take "Zoom check-in".
        A nested kind may lie inside another's place.
        """
        if self.hooks.spans:
            return self.hooks.spans(example)
        text, wanted = example.text, self.values(example.target)
        found: Spans = {name: [] for name in self.fields}
        taken: list[Place] = []

        def order(name: str) -> tuple[bool, int]:
            sure = isinstance(self.kinds[name], Date)
            return not sure, 0 if sure else -max(map(len, wanted[name]))

        filled = [name for name in self.fields if wanted[name]]
        for name in sorted((name for name in filled if not self.kinds[name].nested), key=order):
            kind, spans = self.kinds[name], []
            for value in wanted[name]:
                options = [span for span in kind.find(value, text) if _free(span, taken + spans)]
                after = [span for span in options if not spans or span[0] >= spans[-1][1]]
                spans += [(after or options)[-1 if kind.last else 0]] if options else []
            found[name] = spans if len(spans) == len(wanted[name]) else None
            taken += found[name] or []
        for name in filled:
            if self.kinds[name].nested:
                spans = [self.kinds[name].find(value, text)[:1] for value in wanted[name]]
                found[name] = [span for one in spans for span in one] if all(spans) else None
        return found

    def offsets(self, text: str, prediction: Target) -> dict[str, list[Place]]:
        """A value that is written twice goes to the first place that no value before it has."""
        sure = {} if self.hooks.spans else self.spans(Example(0, text, prediction))
        found: dict[str, list[Place]] = {}
        for name, values in self.values(prediction).items():
            spans = found[name] = list(sure.get(name) or ())
            for value in values if not spans else ():
                options = self.kinds[name].find(value, text)
                spans += ([span for span in options if span not in spans] or options)[:1]
        return found

    def _values_of_spans(self, text: str, spans: dict[str, list[Place]], conventions: Any) -> Target:
        """What the marked pieces say, each read by its kind."""
        pieces = {name: [text[slice(*span)] for span in sorted(found)] for name, found in spans.items()}
        return {
            name: found if self.kinds[name].many else found[0] if found else None
            for name, found in pieces.items()
        }


def _free(span: Place, others: Sequence[Place]) -> bool:
    return all(span[1] <= start or span[0] >= end for start, end in others)
