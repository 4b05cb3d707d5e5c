"""Tasks whose answer is one JSON object: everything follows from the schema."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from types import MappingProxyType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, StrictStr, create_model

from helpers.tasks import classes, variation
from helpers.tasks.base import Example, Hooks, Spans, Task, Values, Words
from helpers.tasks.chat import STRICT, Chat, Interview, listed, output_model
from helpers.tasks.fields import Boolean, Choice, Date, Kind, Number, Place, Span
from helpers.tasks.rows import Rows, type_name

Target = dict[str, Any]


# -- from a schema to its kinds -------------------------------------------------------------------------------------
_KINDS = {str: Span, int: Number, float: Number, bool: Boolean}


def kinds_of(schema: type[BaseModel], above: str = "") -> dict[str, Kind]:
    """Field → its kind, in the order of the schema; a field of an object in it bears both names, as `delivery.city`.

    `above` is the field whose object the schema describes, if any.

    Raises
    ------
    TypeError
        For a field that no kind can hold (a list of objects, an object in such an object), by its name.
    """
    found = {}
    for name, info in schema.model_fields.items():
        annotation, many = _inner(info.annotation)
        full = f"{above}.{name}" if above else name
        if _is_object(annotation) and not many and not above:
            inner = kinds_of(annotation, name)
            found |= {
                one: replace(kind, needed=kind.needed and info.is_required()) for one, kind in inner.items()
            }
            continue
        kind = next((one for one in info.metadata if isinstance(one, Kind)), None)
        if get_origin(annotation) is Literal:
            kind = replace(kind or Choice(), options=get_args(annotation))
            if not all(isinstance(one, str) for one in kind.options):
                raise TypeError(f"field {full!r} has choices that are no words: write them as text")
        if kind is None and annotation not in _KINDS:
            inside = ", or an object of these" * (not above)
            raise TypeError(
                f"field {full!r} holds {info.annotation}: expected text, a number, a truth value, a list of these{inside}"
            )
        found[full] = replace(kind or _KINDS[annotation](), many=many, needed=info.is_required())
    return found


def _inner(annotation: Any) -> tuple[Any, bool]:
    """The type of a value without `None` and `list`, and whether it is a list."""
    if get_origin(annotation) in (Union, UnionType):
        annotation = next(one for one in get_args(annotation) if one is not type(None))
    if get_origin(annotation) is list:
        return _inner(get_args(annotation)[0])[0], True
    return annotation, False


def _is_object(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def objects_of(schema: type[BaseModel]) -> dict[str, tuple[str, ...]]:
    """Field that holds an object → the names of the fields in it."""
    found = {name: _inner(info.annotation)[0] for name, info in schema.model_fields.items()}
    return {name: tuple(one.model_fields) for name, one in found.items() if _is_object(one)}


# -- rows and what is wrong with them -------------------------------------------------------------------------------
class JsonRows(Rows):
    """Rows of a text and its output; `objects` are those in the output (:func:`objects_of`), whose fields a target holds
    under both names."""

    def __init__(self, task: Task, document: dict[str, Any], objects: dict[str, tuple[str, ...]]):
        super().__init__(task, document)
        self.objects = objects
        output = (output_model(task.kinds), ...)
        self.model = create_model(
            "Row", __config__=STRICT, **{self.text_key: (StrictStr, ...), "output": output}
        )

    def parse(self, row: dict[str, Any], index: int) -> Example:
        hooks = self.task.hooks
        if hooks.read_row and isinstance(row, dict):
            text, output, extra = hooks.read_row(row)
        else:
            checked = self.checked(self._with_flat_output(row))
            text, output, extra = hooks.reading(checked[self.text_key]), checked["output"], {}
        if not text:
            raise ValueError(f"{self.text_key!r} is empty")
        return Example(index, text, self.task.canonical(output), extra={"row": row, **extra})

    def write(self, example: Example) -> dict[str, Any]:
        own = self.task.hooks.write_row
        return own(example) if own else {self.text_key: example.text, "output": self.nested(example.target)}

    def _with_flat_output(self, row: Any) -> Any:
        output = row.get("output") if isinstance(row, dict) else None
        return row | {"output": self.flat(output)} if isinstance(output, dict) and self.objects else row

    def flat(self, output: dict[str, Any]) -> dict[str, Any]:
        """The output with the fields of its objects under both names; ValueError where something else stands for one."""
        found: dict[str, Any] = {}
        for name, value in output.items():
            if name not in self.objects:
                found[name] = value
            elif value is None:
                found |= {f"{name}.{inner}": None for inner in self.objects[name]}
            elif isinstance(value, dict):
                found |= {f"{name}.{inner}": one for inner, one in value.items()}
            else:
                raise ValueError(f"'output.{name}' should be an object or null, got {type_name(value)}")
        return found

    def nested(self, answer: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        owners = {f"{name}.{inner}": (name, inner) for name, many in self.objects.items() for inner in many}
        for name, value in answer.items():
            if name in owners:
                outer, inner = owners[name]
                found.setdefault(outer, {})[inner] = value
            else:
                found[name] = value
        empty = [
            name for name in self.objects if all(one in (None, []) for one in found.get(name, {}).values())
        ]
        return found | dict.fromkeys(empty)

    def schema(self) -> dict[str, Any]:
        whole = super().schema()
        fields = self.nested(whole["properties"])
        for name in self.objects:
            one = {**whole, "required": list(fields[name]), "properties": fields[name]}
            fields[name] = {"anyOf": [one, {"type": "null"}]}
        return {**whole, "required": list(fields), "properties": fields}

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
        keys = dict.fromkeys(("text", self.text_key))
        key = next((key for key in keys if isinstance(row.get(key), str)), None)
        if key is None:
            raise ValueError(f"no text: expected a string under {' or '.join(map(repr, keys))}")
        own = self.task.hooks.read_row if key != "text" else None
        return own(row)[0] if own else row[key]

    def shown(self, example: Example) -> str:
        chat = self.task.chat
        return f"{chat.prompt(example.text)}\n{chat.completion(example.target, example.text)}"


# -- the task -------------------------------------------------------------------------------------------------------
class JsonTask(Task):
    """Text → one JSON object of a schema, whose fields have the kinds of :mod:`helpers.tasks.fields`.

    Parameters
    ----------
    ask : str
        `all`: one prompt, one object, a field without a value is null; `each`: a chat that asks for one field after the
        other, each answered by an object with its list of values.
    document : dict
        What `settings.yaml` holds.
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
        document, kinds = document or {}, kinds_of(schema)
        for key, kind in kinds.items() if document.get("date_order") == "month" else ():
            kinds[key] = replace(kind, day_first=False) if isinstance(kind, Date) else kind
        super().__init__(name, kinds, document, words or Words(title=name))
        self._absent = [] if ask == "each" else None
        self.rows = JsonRows(self, document.get("rows", {}), objects_of(schema))
        chat = Interview if ask == "each" else Chat
        self.chat = chat(self, document.get("chat", {}))
        own = {"values_of_spans": self._values_of_spans, "learn_conventions": self._learn_conventions}
        self.hooks = variation.complete(self, hooks, rules=self._rules, **own)

    def values(self, target: Target | None) -> Values:
        found = {}
        for name, kind in self.kinds.items():
            texts = map(kind.text, listed((target or {}).get(name)))
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

    def given(self, prediction: Target | None) -> dict[str, Any]:
        kept, withheld = dict(prediction or {}), {}
        for name, value in kept.items():
            kind = self.kinds[name]
            if flawed := [one for one in listed(value) if kind.flaw(one)]:
                sound = [one for one in listed(value) if one not in flawed]
                kept[name] = (sound or self._absent) if kind.many else None
                withheld[name] = {"values": list(map(kind.text, flawed)), "reason": kind.flaw(flawed[0])}
        return {"prediction": kept, "withheld": withheld} if withheld else {"prediction": prediction}

    def doubts(self, text: str, prediction: Target) -> dict[str, str]:
        found = {
            name: self.kinds[name].doubt(value, text)
            for name, value in prediction.items()
            if isinstance(value, str)
        }
        return {name: doubt for name, doubt in found.items() if doubt}

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
            kind, spans, kept = self.kinds[name], [], taken.copy()
            places = {value: kind.find(value, text)[:: -1 if kind.last else 1] for value in set(wanted[name])}
            for value in wanted[name]:
                before = spans[-1][1] if spans else 0
                after = (span for span in places[value] if span[0] >= before)  # rather after the value before
                options = chain(after, places[value])
                if span := next((span for span in options if _free(span, kept)), None):
                    insort(kept, span)
                    spans.append(span)
            found[name] = spans if len(spans) == len(wanted[name]) else None
            taken = kept if found[name] else taken
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
            places = {} if spans else {value: self.kinds[name].find(value, text) for value in set(values)}
            for value in values if places else ():
                options, had = places[value], set(spans)
                spans += [next((span for span in options if span not in had), options[0])] if options else []
        return found

    def _rules(self, text: str, conventions: Any = MappingProxyType({})) -> Target:
        """What the places that rules mark say, by the conventions of labels where these are given, or what forms tell."""
        marks = self.hooks.rule_spans
        if marks:
            return self.from_spans(text, marks(text), conventions)
        said = {name: [one.text for one in kind.mentions(text)[:1]] for name, kind in self.kinds.items()}
        return self.canonical(
            {name: own if self.kinds[name].many else next(iter(own), None) for name, own in said.items()}
        )

    def _learn_conventions(self, train: Sequence[Example]) -> dict[str, Any]:
        """Field that no piece of a text gives → a classifier of texts, where train has enough for one."""
        around = [(classes.words_around(self.kinds, row.text, self.spans(row)), row.target) for row in train]
        rows = {
            name: [(words, one[name]) for words, one in around] for name in classes.classified(self.kinds)
        }
        return {name: model for name, own in rows.items() if (model := classes.learn(own))}

    def _values_of_spans(self, text: str, spans: dict[str, list[Place]], conventions: Any) -> Target:
        """What the marked pieces say, each read by its kind; where nothing is marked, what a classifier says of the text."""
        said: dict[str, Any] = {}
        for name, found in spans.items():
            kind = self.kinds[name]
            values = [kind.said(text, span) for span in sorted(found) if classes.says(kind, text, span)]
            said[name] = values if kind.many else next(iter(values), None)
        around = classes.of_text(self.kinds, text, spans, conventions)
        return said | {name: value for name, (value, _) in around.items()}


def _free(span: Place, taken: Sequence[Place]) -> bool:
    """Whether a place overlaps none of some in order, which do not overlap each other."""
    at = bisect_left(taken, span)
    return (not at or taken[at - 1][1] <= span[0]) and (at == len(taken) or span[1] <= taken[at][0])
