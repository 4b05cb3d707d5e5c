"""The same row otherwise: cut at its values, with other values, in other writing; what a schema or labels alone can vary.

A labelled text is cut into pieces, the values and what lies between them; changed pieces are joined again, and a row that no
longer shows all its values is refused. Hooks of a task build on the same pieces.
"""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from helpers.tasks.base import Change, Example, Hooks
from helpers.tasks.bio import TaggedTokens, tags_of
from helpers.tasks.fields import Date, Duration, Kind, Place, Span
from helpers.tasks.text import normalise, typo, word_spans

_CUE = re.compile(
    r"[\s,;:–-]*(?:\b(?:scheduled|planned|set)\s+)?(?:\b(?:on|at|for|from|around|by|starting|starts|time)\b|@)?"
    r"(?:\s+at\b)?[\s,]*$",
    re.IGNORECASE,
)
_MARKS = re.compile(r"[,;:!?()\[\]\"–—]+(?=\s|$)|(?<!\w)[(\[\"–—-]+|\.(?=\s|$)")
OTHER_WRITING = "other_writing"  # origin of rows that keep the values and labels of gold ones
_TYPO_SHARE = 0.3  # of the words of four letters and more


@dataclass(frozen=True)
class Piece:
    """A stretch of text: a value, or what lies between two."""

    text: str  # what is written
    field: str = ""  # that it gives, if any
    value: Any = ""  # as it is labelled
    inner: tuple[str, str, str] | None = None  # a nested value in it: (field, surface, value)

    @property
    def verbatim(self) -> bool:
        """Whether the value is the surface itself."""
        return self.text == self.value

    def rewritten(self, kinds: dict[str, Kind], change: Callable[[str], str]) -> Piece:
        """The same change made to the surface and to every value that copies its wording."""
        kind, text, value = kinds.get(self.field), change(self.text), self.value
        if kind and not isinstance(kind, Span) and not self.verbatim:
            # a change after which a date, a time or an amount would be read differently is left out
            fixed = isinstance(kind, (Date, Duration)) or not kind.quoted
            other = fixed and kind.find(kind.text(value), text) != [(0, len(text))]
            return self if other else replace(self, text=text)
        value = change(value) if kind and kind.quoted else value
        if not self.inner:
            return replace(self, text=text, value=value)
        name, surface, said = self.inner
        inner = name, change(surface), change(said) if surface == said else said
        return replace(self, text=text, value=value, inner=inner)


def split_pieces(task: Any, example: Example) -> list[Piece] | None:
    """The example's text cut at its values, or None where a value that has a place cannot be found in the text."""
    spans = task.spans(example)
    if _lost(task, spans):
        return None
    target = example.target if task.writes else task.values(example.target)
    found: dict[Place, Piece] = {}
    for name in sorted(task.kinds, key=lambda name: task.kinds[name].nested):
        values = target[name] if isinstance(target[name], (list, tuple)) else [target[name]]
        for (start, end), value in zip(spans[name] or (), values):
            inside = (place for place in found if place[0] <= start and end <= place[1])
            around = next(inside, None) if task.kinds[name].nested else None
            surface = example.text[start:end]
            if around:
                found[around] = replace(found[around], inner=(name, surface, value))
            elif (start, end) in found:
                return None
            else:
                found[start, end] = Piece(surface, name, value)
    pieces, at = [], 0
    for (start, end), piece in sorted(found.items(), key=lambda one: one[0]):
        if start < at:
            return None
        pieces += [Piece(example.text[at:start]), piece]
        at = end
    return pieces + [Piece(example.text[at:])]


def join_pieces(task: Any, pieces: Iterable[Piece], example: Example, origin: str) -> Example | None:
    """The example that the pieces spell, or None where a value would no longer stand in the text as whole words.

    Values that have no place in the text stay as they are. A date or time that the text now writes twice is refused too: it
    would be no longer clear which one is meant.
    """
    pieces = list(pieces)
    if not task.writes:
        return _join_tokens(pieces, example, origin)
    text = normalise("".join(piece.text for piece in pieces))
    given: dict[str, list[Any]] = defaultdict(list)
    for piece in pieces:
        if piece.field:
            given[piece.field].append(piece.value)
            if not word_spans(normalise(piece.text), text):
                return None
        if piece.inner:
            given[piece.inner[0]].append(piece.inner[2])
    target = {name: None if kind.placed else example.target[name] for name, kind in task.kinds.items()}
    for name, values in given.items():
        target[name] = values if task.kinds[name].many else values[0]
    made = example.with_(text=text, target=task.canonical(target), origin=origin, extra={})
    return None if _lost(task, task.spans(made)) else made


def _lost(task: Any, spans: dict[str, Any]) -> bool:
    """Whether a value that has a place in texts is not in this one."""
    return any(spans[name] is None and kind.placed for name, kind in task.kinds.items())


def _join_tokens(pieces: Sequence[Piece], example: Example, origin: str) -> Example | None:
    """As :func:`join_pieces`, of tagged tokens; finer tags no longer fit and are dropped."""
    tokens: list[str] = []
    spans = []
    for piece in pieces:
        start, tokens = len(tokens), tokens + piece.text.split()
        if piece.field and start == len(tokens):
            return None
        spans += [(start, len(tokens), piece.field)] if piece.field else []
    target = TaggedTokens(tuple(tokens), tags_of(spans, len(tokens)))
    extra = {**example.extra, "fine_tags": None}
    return example.with_(text=normalise(" ".join(tokens)), target=target, origin=origin, extra=extra)


def change_of_pieces(
    task: Any, name: str, change: Callable[[list[Piece], random.Random], list[Piece] | None]
) -> Change:
    """The change of rows that a change of their pieces makes; `name` is the origin of what it makes."""

    def changed(example: Example, rng: random.Random) -> Example | None:
        pieces = split_pieces(task, example)
        new = change(pieces, rng) if pieces else None
        made = join_pieces(task, new, example, name) if new else None
        return made if made is not None and made.text != example.text else None

    return changed


# -- changes under which a robust model keeps its answer --------------------------------------------------------------
def perturbations(task: Any, remarks: Sequence[str] = ()) -> dict[str, Change]:
    """Name → change of the writing; the target moves along with the text. `remarks` stand in for those of the task."""

    def everywhere(change: Callable[[str], str]) -> Callable:
        return lambda pieces, rng: [piece.rewritten(task.kinds, change) for piece in pieces]

    changes = {
        "lower case": everywhere(str.lower),
        "upper case": everywhere(str.upper),
        "typos": lambda pieces, rng: [_slips(task, piece, rng) for piece in pieces],
        "no punctuation": lambda pieces, rng: [_bare(task, piece) for piece in pieces],
    }
    if any(isinstance(kind, Date) for kind in task.kinds.values()):
        changes["word order"] = lambda pieces, rng: _dates_first(task, pieces)
    if not task.writes:
        changes["split tokens"] = everywhere(lambda text: re.sub(r"(?<=\w)([-/:_])(?=\w)", r" \1 ", text))
        changes["glued marks"] = lambda pieces, rng: _glued(pieces)
    if remarks := list(map(task.rows.reading, remarks or task.words.remarks)):
        changes["distractor"] = lambda pieces, rng: _with_remark(pieces, rng.choice(remarks))
    if task.words.others:
        changes["swapped entities"] = lambda pieces, rng: [_other(task, piece, rng) for piece in pieces]
    return {name: change_of_pieces(task, name, change) for name, change in changes.items()}


def _slips(task: Any, piece: Piece, rng: random.Random) -> Piece:
    """Slips in some longer words, never in a date, time, amount or recurrence."""
    if piece.field and not (piece.verbatim and task.kinds[piece.field].verbatim):
        return piece
    kept = piece.inner[1] if piece.inner else ""

    def slip(match: re.Match) -> str:
        chosen = match.group() != kept and rng.random() < _TYPO_SHARE
        return typo(match.group(), rng) if chosen else match.group()

    text = re.sub(r"[^\W\d_]{4,}", slip, piece.text)
    return replace(piece, text=text, value=text if piece.field else "")


def _bare(task: Any, piece: Piece) -> Piece:
    """Commas, stops, brackets and other marks taken out; "w/", "&" and what is inside a word stay."""

    def strip(text: str) -> str:
        bare = re.sub(r"\s{2,}", " ", _MARKS.sub(" ", text))
        return bare.strip() if piece.field else bare

    changed = piece.rewritten(task.kinds, strip)
    return changed if changed.text or not piece.field else piece


def _dates_first(task: Any, pieces: list[Piece]) -> list[Piece] | None:
    """Date and time moved to the front; None where one of them is there already."""

    def is_when(piece: Piece) -> bool:
        return isinstance(task.kinds.get(piece.field), Date)

    when = [piece for piece in pieces if is_when(piece)]
    if not when or is_when(next(piece for piece in pieces if piece.field)):
        return None
    rest: list[Piece] = []
    for piece in pieces:
        between = rest and not rest[-1].field
        if is_when(piece):
            if between:
                rest[-1] = replace(rest[-1], text=_CUE.sub(" ", rest[-1].text))
        elif not piece.field and between:
            rest[-1] = replace(rest[-1], text=rest[-1].text + re.sub(r"^\s*[,;]\s*", " ", piece.text))
        else:
            rest.append(piece)
    if rest and not rest[-1].field:
        rest[-1] = replace(rest[-1], text=re.sub(r"\s+([.,])", r"\1", rest[-1].text))
    return [part for piece in when for part in (piece, Piece(" "))] + rest


def _glued(pieces: list[Piece]) -> list[Piece]:
    """Closing marks glued to the word before them, as text that is only split at spaces has them."""
    made: list[Piece] = []
    for piece in pieces:
        marks = None if piece.field else re.match(r"\s*([.,;:!?)]+)(?=\s|$)", piece.text)
        if marks and made and made[-1].field:
            made[-1] = replace(made[-1], text=made[-1].text + marks[1])
            piece = replace(piece, text=piece.text[marks.end() :])
        glued = piece.text if piece.field else re.sub(r"(?<=\S)\s+([.,;:!?)]+)(?=\s|$)", r"\1", piece.text)
        made.append(replace(piece, text=glued))
    return made


def _other(task: Any, piece: Piece, rng: random.Random) -> Piece:
    """A value that no train row was written with in mind in the place of another of its field."""
    others = task.words.others.get(piece.field)
    return replace(piece, text=(new := rng.choice(others)), value=new) if others else piece


def _with_remark(pieces: list[Piece], remark: str) -> list[Piece]:
    """A remark, before the last full stop, that names something which is not part of the answer."""
    text = re.sub(r"\s*\.?$", lambda stop: f" {remark}{stop.group()}", pieces[-1].text, count=1)
    return [*pieces[:-1], replace(pieces[-1], text=text)]


# -- what follows from the schema -----------------------------------------------------------------------------------
def complete(task: Any, hooks: Callable[[Any], Hooks] | None, **own: Any) -> Hooks:
    """The hooks of a task; what it leaves out follows from its kind of task (`own`) or from its fields."""
    given = hooks(task) if hooks else Hooks()
    derived = (augmenters, synthesise, perturbations, surface_formats, slices)
    whole = {one.__name__: partial(one, task) for one in derived} | own
    return replace(given, **{name: one for name, one in whole.items() if getattr(given, name) is None})


# -- made train rows ----------------------------------------------------------------------------------------------------
def augmenters(task: Any, train: Sequence[Example]) -> dict[str, Change]:
    """`entity_swap`: values of other train rows, dates and the like new ones in the same writing; `other_writing`: the same
    values, changed as :func:`perturbations` does, with remarks and values other than those of the test of robustness."""
    pools: dict[str, list[tuple[str, Any]]] = defaultdict(list)
    for example in train:
        for piece in split_pieces(task, example) or ():
            if piece.field:
                pools[piece.field].append((piece.text, piece.value))

    def swapped(piece: Piece, rng: random.Random) -> Piece:
        kind = task.kinds.get(piece.field)
        if kind is None or not kind.placed or piece.inner:
            return piece
        text, value = kind.vary(piece.text, rng) or rng.choice(pools[piece.field])
        return replace(piece, text=text, value=value)

    def all_swapped(pieces: list[Piece], rng: random.Random) -> list[Piece]:
        return [swapped(piece, rng) for piece in pieces]

    changes = perturbations(task, task.words.asides)
    names = sorted(changes.keys() - {"swapped entities"})
    return {
        "entity_swap": change_of_pieces(task, "entity_swap", all_swapped),
        OTHER_WRITING: lambda row, rng: changes[rng.choice(names)](row, rng),
    }


def synthesise(task: Any, train: list[Example], count: int, rng: random.Random) -> list[Example]:
    """New rows of swapped values, as :func:`new_rows` collects them."""
    swap = augmenters(task, train)["entity_swap"]
    return new_rows(train, count, lambda: swap(rng.choice(train), rng))


def new_rows(train: Sequence[Example], count: int, make: Callable[[], Example | None]) -> list[Example]:
    """At most `count` made rows of different texts that are not in train; their ids go on after those of train."""
    seen, made = {example.text for example in train}, []
    for _ in range(20 * count if train else 0):
        new = make()
        if new is not None and new.text not in seen:
            seen.add(new.text)
            made.append(new.with_(id=max(row.id for row in train) + 1 + len(made), origin="synthetic"))
            if len(made) == count:
                break
    return made


# -- kinds of rows --------------------------------------------------------------------------------------------------------
def surface_formats(task: Any, example: Example) -> dict[str, str]:
    """How the first date, time and duration of a text are written; of a task without such, how the text begins and ends."""
    formats, text = {}, example.text
    for name, kind in task.kinds.items():
        if isinstance(kind, (Date, Duration)):
            mentions = kind.mentions(text)
            formats[f"{name} format"] = mentions[0].style if mentions else "none"
    return formats or {
        "first letter": "capital" if text[:1].isupper() else "small" if text[:1].islower() else "none",
        "last sign": "mark" if text and not text[-1].isalnum() else "word",
    }


def slices(task: Any, examples: Sequence[Example]) -> list[dict[str, str]]:
    """For each row its length and number of values among these rows, casing, how dates are written, what comes first."""
    lengths = thirds([len(example.text) for example in examples], ("short", "medium", "long"))
    values = [task.values(example.target) for example in examples]
    amounts = thirds([sum(map(len, given.values())) for given in values], ("few", "some", "many"))
    table = []
    for example, length, given, amount in zip(examples, lengths, values, amounts):
        own = {"length": length, "values": amount}
        if not task.writes:
            own["casing"] = "lower case" if example.text == example.text.lower() else "with capitals"
        for name, style in surface_formats(task, example).items():
            if isinstance(task.kinds.get(name.removesuffix(" format")), Date):
                own[name] = style
        spans = task.spans(example)
        starts = [(found[0], name) for name, found in spans.items() if found and not task.kinds[name].nested]
        own["order"] = f"{min(starts)[1]} first" if starts else "nothing found"
        if task.headline == "exact_match":  # a score of values differs with the fields, by construction
            own |= {name: how_many(given[name]) for name, kind in task.kinds.items() if kind.many}
        own |= {key: value for key, value in example.extra.items() if key == "kind" and value}
        table.append(own)
    return table


def how_many(values: Sequence[Any]) -> str:
    """`none`, `one` or `several`."""
    return "none" if not values else "one" if len(values) == 1 else "several"


def thirds(numbers: Sequence[float], names: tuple[str, str, str]) -> list[str]:
    """The third of the numbers that each one belongs to."""
    bounds = np.quantile(numbers, [1 / 3, 2 / 3]) if len(numbers) else []
    return [names[at] for at in np.searchsorted(bounds, numbers)]
