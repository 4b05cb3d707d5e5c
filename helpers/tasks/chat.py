"""What models are asked and how they answer, at once or field by field, and the grammars (llguidance's Lark syntax) that hold
an answer to the schema and, where wanted, to the text."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, repeat
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError, create_model

from helpers.tasks.base import Example
from helpers.tasks.fields import Kind
from helpers.tasks.text import word_units

_WHOLE = "/[^ ](.*[^ ])?/"  # a piece begins and ends with a word or a mark
STRICT = ConfigDict(extra="forbid", strict=True)


def listed(value: Any) -> list[Any]:
    """The values of a field that may hold a list, one value or nothing."""
    return value if isinstance(value, list) else [value] * (value is not None)


class Pairs(list):
    """Pairs of a JSON object in order, so that a key given twice is seen."""


def read_object(raw: str) -> Pairs:
    """The pairs of an answer that is one JSON object.

    Raises
    ------
    ValueError
        With one of the short reasons `empty`, `truncated`, `not json`, `not an object`.
    """
    raw = raw.strip()
    if not raw:
        raise ValueError("empty")
    try:
        pairs = json.loads(raw, object_pairs_hook=Pairs)
    except (ValueError, RecursionError) as error:
        syntax = isinstance(error, json.JSONDecodeError)
        cut = syntax and (error.pos >= len(raw) or error.msg.startswith("Unterminated"))
        raise ValueError("truncated" if cut and raw.startswith("{") else "not json") from None
    if not isinstance(pairs, Pairs):
        raise ValueError("not an object")
    return pairs


def output_model(kinds: dict[str, Kind]) -> type[BaseModel]:
    """The strict form of an answer: all needed keys, values of the right type or null, empty text the same as null."""
    return create_model(
        "Output",
        __config__=STRICT,
        **{name: (_type(kind), ... if kind.needed else None) for name, kind in kinds.items()},
    )


def _type(kind: Kind) -> Any:
    def clean(value: Any) -> Any:
        return kind.canonical(value) if isinstance(value, str) and kind.quoted else value

    def clean_list(values: Any) -> Any:
        if not isinstance(values, list):
            return values
        # a null among the items is left in, to be refused
        return [clean(value) for value in values if value is None or clean(value) is not None] or None

    if kind.many:
        return Annotated[list[kind.item] | None, BeforeValidator(clean_list)]
    return Annotated[kind.item | None, BeforeValidator(clean)]


@lru_cache(maxsize=256)
def _several(kind: Kind) -> TypeAdapter:
    """What checks the list of values of an answer about one field."""
    return TypeAdapter(_type(replace(kind, many=True)), config={"strict": True})


# -- grammars ---------------------------------------------------------------------------------------------------------
@lru_cache(maxsize=256)
def _chunks(line: str) -> str:
    """A line cut into words and marks, as they stand inside a JSON string: a regular expression of any run of them."""
    pieces, at = [], 0
    for start, end in word_units(line):
        pieces += [*line[at:start], line[start:end]]
        at = end
    escaped = [json.dumps(piece, ensure_ascii=False)[1:-1] for piece in [*pieces, *line[at:]]]
    return json.dumps({"substring_chunks": escaped}, ensure_ascii=False)


def _key(name: str) -> str:
    return json.dumps(json.dumps(name, ensure_ascii=False) + ": ", ensure_ascii=False)


class _Terminals:
    """Terminals of one grammar, held to a text or to none; each writing of the text has its own, made once."""

    def __init__(self, text: str, constraint: str) -> None:
        if constraint not in ("schema", "source"):
            raise ValueError(f"constraint {constraint!r} is neither schema nor source")
        self.text = text if constraint == "source" else None
        self.lines: list[str] = []
        self.names: dict[str, str] = {}

    def spans(self, texts: Sequence[str]) -> list[str]:
        """Names of terminals that match pieces of the texts, one for each line that holds a word."""
        lines = [line for text in texts for line in text.split("\n") if word_units(line)]
        for line in dict.fromkeys(lines):
            if line not in self.names:
                self.names[line] = name = f"LINE_{len(self.names)}"
                self.lines += [f"{name}_ANY: %regex {_chunks(line)}", f"{name}: {name}_ANY & {_WHOLE}"]
        return list(dict.fromkeys(self.names[line] for line in lines))

    def value(self, name: str, kind: Kind) -> str | None:
        """Name of the terminal of a field's values; None where nothing can be one."""
        options = kind.free if self.text is None else kind.held(self.text, self.spans)
        if not options:
            return None
        body = " | ".join(options)
        self.lines.append(rf'{name}: "\"" ({body}) "\""' if kind.quoted else f"{name}: {body}")
        return name


def object_grammar(kinds: dict[str, Kind], text: str, constraint: str) -> str:
    """The grammar of one JSON object with all fields, in the order of `kinds`; a field without a value is null.

    Parameters
    ----------
    constraint : str
        `schema`: types and forms; `source`: values that are pieces of the (normalised) text must stand in it as well, and
        dates and times be read in it, where it has any.
    """
    terminals, rules = _Terminals(text, constraint), []
    for at, kind in enumerate(kinds.values()):
        value = terminals.value(f"VALUE_{at}", kind)
        several = f' | "[" {value} (", " {value})* "]"' if kind.many else f" | {value}"
        rules.append(f'value_{at}: "null"{several if value else ""}')
    body = ' ", " '.join(f"{_key(name)} value_{at}" for at, name in enumerate(kinds))
    return "\n".join([f'start: "{{" {body} "}}"', *rules, *terminals.lines])


def answer_grammar(name: str, kind: Kind, text: str, constraint: str) -> str:
    """The grammar of an answer about one field, `{"name": [values]}`, as :func:`object_grammar`."""
    terminals = _Terminals(text, constraint)
    value = terminals.value("VALUE", kind)
    more = f'({value} (", " {value})*)?' if kind.many else f"{value}?"
    return "\n".join([f'start: "{{" {_key(name)} "[" {more if value else ""} "]}}"', *terminals.lines])


# -- prompts and answers ----------------------------------------------------------------------------------------------
class Chat:
    """One prompt that asks for all fields, answered by one JSON object.

    The document holds `prompt`: what is asked, with `{text}` in the place of the text.
    """

    questions: tuple[str, ...] = ()  # fields that are asked for one by one

    def __init__(self, task: Any, document: dict[str, Any]):
        self.task, self.model = task, output_model(task.kinds)
        self._prompt = document.get("prompt", "Extract entities from: {text} → ")

    def prompt(self, text: str) -> str:
        return self._prompt.replace("{text}", text)

    def completion(self, target: Any, text: str = "") -> str:
        """The output the causal model learns, without the end-of-text token.

        With the text dates and times are those words of it that say them, where these can be read by themselves: a model
        copies better than it calculates, and :meth:`parse_output` makes them canonical.
        """
        answer = self.task.rows.answer(target)
        for name, kind in self.task.kinds.items() if text else ():
            said = [kind.written(value, text) for value in listed(answer.get(name))]
            if said:
                answer[name] = said if kind.many else said[0]
        return json.dumps(answer, ensure_ascii=False)

    def parse_output(self, raw: str) -> tuple[Any | None, str | None]:
        """Model text → (canonical prediction or None, kind of parse error or None)."""
        try:
            pairs = read_object(raw)
        except ValueError as error:
            return None, str(error)
        names = [name for name, _ in pairs]
        kinds = self.task.kinds
        if any(kind.needed and name not in names for name, kind in kinds.items()):
            return None, "missing keys"
        if set(names) - set(kinds) or len(names) > len(set(names)):
            return None, "extra keys"
        try:
            checked = self.model.model_validate(dict(pairs))
        except ValidationError:
            return None, "wrong type"
        return self.task.canonical(checked.model_dump()), None

    def grammar(self, text: str, constraint: str, name: str = "") -> str:
        """A llguidance grammar (Lark syntax) of an answer, for `constraint` in `schema`, `source`; where questions are asked
        of the one about the field `name`."""
        return object_grammar(self.task.kinds, text, constraint)

    def failed_fields(self, record: dict[str, Any]) -> frozenset[str]:
        """Fields of a prediction record for which nothing valid came out of the model."""
        return frozenset(self.task.fields if record["prediction"] is None else ())

    def error_kinds(self, record: dict[str, Any]) -> list[str]:
        """Kind of each failure in a prediction record: one for an output that could not be parsed."""
        if record["prediction"] is not None:
            return []
        raw = record.get("raw")
        return [record.get("error") or (self.parse_output(raw)[1] if raw else "no output") or "unusable"]


class Interview(Chat):
    """A chat that gives the text and then asks for one field after the other.

    The document holds `system`, `given` (what stands before the text), `read` (the answer to it), `question` (with `{name}`
    for the field), and `order` of the questions.

    The record of a prediction holds the answers in the order of the questions, one a line, as `raw` (None where nothing
    writes: rules, taggers, votes). An answer that is not valid counts as one without values; the prediction is None only
    where no answer at all is valid, and validity is counted by answers (:meth:`failed_fields`).
    """

    def __init__(self, task: Any, document: dict[str, Any]):
        super().__init__(task, document)
        self.questions = tuple(document.get("order") or task.fields)
        self.system = document.get(
            "system", "A virtual assistant answers questions from a user based on the provided text."
        )
        self.given, self.read = document.get("given", "Text:\n"), document.get("read", "I’ve read this text.")
        self._question = document.get("question", "What describes {name} in the text?")

    def opening(self, text: str) -> list[dict[str, str]]:
        """The turns before the first question: those that give the text."""
        return [
            {"role": "system", "content": self.system},
            {"role": "user", "content": self.given + text},
            {"role": "assistant", "content": self.read},
        ]

    def question(self, name: str) -> str:
        """The user turn that asks for a field."""
        return self._question.replace("{name}", name)

    def answer(self, target: Any, name: str) -> str:
        """The assistant turn that gives the field's values."""
        return json.dumps({name: listed(target[name])}, ensure_ascii=False)

    def parse_answer(self, name: str, raw: str) -> tuple[list[Any] | None, str | None]:
        """Model text → (values or None, kind of error or None)."""
        kind = self.task.kinds[name]
        try:
            pairs = read_object(raw)
        except ValueError as error:
            return None, str(error)
        if len(pairs) > 1:
            return None, "extra keys"
        if not pairs or pairs[0][0] != name:
            return None, "wrong key"
        values = pairs[0][1]
        if not isinstance(values, list) or isinstance(values, Pairs):
            return None, "not a list"
        if kind.quoted:  # a number may stand for its text
            values = [str(value) if type(value) in (int, float) else value for value in values]
        try:
            return _several(kind).validate_python(values) or [], None
        except ValidationError:
            return None, "wrong type"

    def conversation(self, example: Example, order: Sequence[str] = ()) -> list[dict[str, str]]:
        """The whole chat of a labelled example; `order` are the fields to ask for, :attr:`questions` by default."""
        turns = self.opening(example.text)
        for name in order or self.questions:
            turns.append({"role": "user", "content": self.question(name)})
            turns.append({"role": "assistant", "content": self.answer(example.target, name)})
        return turns

    # -- answers as one output --------------------------------------------------------------------------------------
    def _answers(self, raw: str) -> dict[str, tuple[list[Any] | None, str | None]]:
        """Every question with what became of its line of a raw output."""
        lines = chain(raw.split("\n"), repeat(""))
        return {name: self.parse_answer(name, line) for name, line in zip(self.questions, lines)}

    def prompt(self, text: str) -> str:
        """The turns before the first question, as plain text."""
        return "\n".join(turn["content"] for turn in self.opening(text))

    def completion(self, target: Any, text: str = "") -> str:
        """All answers, one a line."""
        return "\n".join(self.answer(target, name) for name in self.questions)

    def parse_output(self, raw: str) -> tuple[Any | None, str | None]:
        """The answers of a raw output → (canonical prediction, or None where none is valid; kind of the first error)."""
        answers = self._answers(raw)
        error = next((kind for _, kind in answers.values() if kind), None)
        if all(values is None for values, _ in answers.values()):
            return None, error
        found = {
            name: (values or []) if self.task.kinds[name].many else (values or [None])[0]
            for name, (values, _) in answers.items()
        }
        return self.task.canonical(found), error

    def grammar(self, text: str, constraint: str, name: str = "") -> str:
        return answer_grammar(name, self.task.kinds[name], text, constraint)

    def failed_fields(self, record: dict[str, Any]) -> frozenset[str]:
        if record["prediction"] is None or record.get("raw") is None:  # rules and taggers write no text
            return super().failed_fields(record)
        return frozenset(name for name, (values, _) in self._answers(record["raw"]).items() if values is None)

    def error_kinds(self, record: dict[str, Any]) -> list[str]:
        if record.get("raw") is None:
            return super().error_kinds(record)
        return [kind for _, kind in self._answers(record["raw"]).values() if kind]
