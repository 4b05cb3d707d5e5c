"""What a task is to everyone else: its fields, rows, words, hooks and variants behind one small interface."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

from helpers.tasks import variation
from helpers.tasks.kind import Kind, Place
from helpers.tasks.records import Change, Example, PublicFile, Tagger, Variants, Writer
from helpers.tasks.rows import Rows
from helpers.tasks.text import normalise

Values = dict[str, tuple[str, ...]]
Spans = dict[str, list[Place] | None]
Message = dict[str, str]  # one turn of a chat: `role` and `content`
HEADLINES = {"exact_match": "exact match", "exact_f1": "value F1", "f1": "entity F1"}  # score → its name


@dataclass(frozen=True)
class Words:
    """What is said about a task: the head and the sections of its `notes.md`."""

    title: str = ""
    description: str = ""
    # subtitle of the task's report, and what its abstract asks
    instruction: str = ""
    examples: tuple[str, ...] = ()  # texts to try the task with
    # for the test of robustness: what a text may say beside its values, and field → values that no train row has
    remarks: tuple[str, ...] = ("(sent from my phone)", "(see the message below)")
    others: dict[str, list[str]] = field(default_factory=dict)
    # variant → what it trains, its loss, its tool (as a table's cells), and a paragraph for notebook 04
    variant_notes: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    augmentation_note: str = ""  # what the task makes of its train rows, for notebook 02
    baseline_note: str = ""  # what its own baselines are, for notebook 03
    scoring_note: str = ""  # how scores are to be read, for notebook 05
    equivalence_note: str = ""  # what counts as the same in meaning, for notebook 06
    # the headline score as prose names it, what a row adds to it, and that of some rows
    headline: str = ""


@dataclass(frozen=True)
class Public:
    """The public data set of a task."""

    files: tuple[
        PublicFile, ...
    ] = ()  # that `--data public` downloads; empty where there is no public data set
    hub: str = ""  # data set of the hub that is read instead where the setting `public_source` says so
    train: str = (
        ""  # :func:`helpers.data.read.fingerprint` of its train rows, by which `--data DIR` knows them
    )
    licence: str = ""  # shown whenever the public data is used, and so is the citation
    citation: str = ""
    published: Sequence[dict[str, Any]] = ()  # results on it: `system` plus metrics


def _nothing(*_: Any) -> Any:
    return {}


def _none(*_: Any) -> Any:
    return []


@dataclass(frozen=True)
class Hooks:
    """What a task may add to what follows from its schema; those left out are filled in (:meth:`Task._complete`).

    Parameters
    ----------
    rules : callable
        Text → prediction of the rule baseline.
    rule_spans : callable
        Text → field → places, of rules that mark and leave the values to `values_of_spans`; in the place of `rules`.
    baselines : dict
        Name → function of (run, examples) that predicts them, beside those of :mod:`helpers.evaluation.baselines`.
    augmenters : callable
        Train rows → name → function that turns one gold example into a new one (None where it does not apply).
    synthesise : callable
        (train rows, count, random generator) → rows made from patterns seen in train and invented values.
    label_weakly, resample : callable
        (train rows, settings, random generator) → rows that rules labelled, and further copies of train rows.
    augmentation_tables : callable
        (train, augmented, validation rows) → name → (table, caption) for notebook 02.
    perturbations : callable
        → name → change of the input that should not change the answer (the target may move along).
    surface_formats : callable
        Example → kinds of writing in it, e.g. `{"date format": "iso"}`.
    slices : callable
        Examples → for each, slice name → its slice among them, e.g. `{"length": "short"}`.
    spans : callable
        Example → field → places of its values in the text; None where a value is not in it.
    learn_conventions : callable
        Train rows → what they show about turning spans into values, as JSON data.
    values_of_spans : callable
        (text, field → spans, conventions) → target.
    reading : callable
        A user's text as rows hold it.
    read_row, write_row : callable
        Row of a file → (text, output, what else to keep), and example → row, where a task's files have a form of their own.
    row_parts : callable
        What of a row of the files is compared to tell what the canonical form changed.
    row_of_line : callable
        Line of a file in the task's own form (`line_form` of its settings) → row.
    relabel : callable
        (tags, finer tags or None) → both in the task's labels.
    split_public, split_hub : callable
        Downloaded files (name → content), or rows of the hub's parts → JSON rows of `train`, `validation`, `test`.
    test_only : callable
        Example of an unsplit sample → whether it is written as no train row may be, and so is of the test part.
    downloads : callable
        (prediction, text) → name → (media type, content, what to check): files that an answer can become.
    """

    rules: Callable[[str], Any] | None = None
    rule_spans: Callable[[str], dict[str, list[Place]]] | None = None
    baselines: dict[str, Callable[..., list[dict[str, Any]]]] = field(default_factory=dict)
    augmenters: Callable[[list[Example]], dict[str, Change]] | None = None
    synthesise: Callable[[list[Example], int, random.Random], list[Example]] | None = None
    label_weakly: Callable[[list[Example], dict[str, Any], random.Random], list[Example]] = _none
    resample: Callable[[list[Example], dict[str, Any], random.Random], list[Example]] = _none
    augmentation_tables: Callable[..., dict[str, tuple[pd.DataFrame, str]]] = _nothing
    perturbations: Callable[[], dict[str, Change]] | None = None
    surface_formats: Callable[[Example], dict[str, str]] | None = None
    slices: Callable[[Sequence[Example]], list[dict[str, str]]] | None = None
    spans: Callable[[Example], Spans] | None = None
    learn_conventions: Callable[[list[Example]], Any] = _nothing
    values_of_spans: Callable[[str, dict[str, list[Place]], Any], Any] | None = None
    reading: Callable[[str], str] = normalise
    read_row: Callable[[dict[str, Any]], tuple[str, Any, dict[str, Any]]] | None = None
    write_row: Callable[[Example], dict[str, Any]] | None = None
    row_parts: Callable[[dict[str, Any]], dict[str, Any]] = dict
    row_of_line: Callable[[str], dict[str, Any]] | None = None
    relabel: Callable[[Sequence[str], Sequence[str] | None], tuple] | None = None
    split_public: Callable[[dict[str, bytes]], dict[str, list[dict[str, Any]]]] = _nothing
    split_hub: Callable[[dict[str, list]], dict[str, list[dict[str, Any]]]] = _nothing
    test_only: Callable[[Example], bool] = lambda example: False
    downloads: Callable[[Any, str], dict[str, tuple[str, bytes, list[str]]]] = _nothing


class Task(ABC):
    """Everything particular to one task.

    Attributes
    ----------
    name : str
    kinds : dict
        Field → its kind, in output order; every per-field table has these rows.
    headline : str
        The score that chooses between checkpoints and variants, one of :data:`HEADLINES`. With `exact_match` a row is
        right or wrong as a whole, else each of its values counts.
    variants : Variants
    words : Words
    public : Public
    hooks : Hooks
    rows : Rows
    chat : helpers.tasks.chat.Chat
        What models are asked and how they answer.
    writes : bool
        Whether the variants are language models that write their answer; else they give each token a tag.
    """

    writes: bool = True
    rows: Rows
    chat: Any

    def __init__(self, name: str, kinds: dict[str, Kind], document: dict[str, Any], words: Words):
        self.name, self.kinds, self._document = name, kinds, document
        self.headline = document.get("headline", "exact_match")
        variants = {key: _variant(row) for key, row in document.get("variants", {}).items()}
        decodings = tuple(document.get("decodings", ("free", "source")))
        self.variants = Variants(variants, decodings, document.get("votes", {}))
        self.words = replace(words, headline=HEADLINES[self.headline])
        public = document.get("public", {})
        self.public = Public(
            **{**public, "files": tuple(PublicFile(**one) for one in public.get("files", ()))}
        )

    def _complete(self, hooks: Callable[[Task], Hooks] | None, **own: Any) -> None:
        """Take the hooks of a task; what it leaves out follows from its kind of task (`own`) or from its fields."""
        derived = ("augmenters", "synthesise", "perturbations", "surface_formats", "slices")
        whole = {name: partial(getattr(variation, name), self) for name in derived} | own
        given = hooks(self) if hooks else Hooks()
        self.hooks = replace(
            given, **{name: one for name, one in whole.items() if getattr(given, name) is None}
        )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields in output order."""
        return tuple(self.kinds)

    def settings(self, profile: str) -> dict[str, Any]:
        """Every setting of the task with its default in that profile."""
        return settings_of(self._document, profile)

    @abstractmethod
    def values(self, target: Any) -> Values:
        """Field → values found, as text (an empty tuple where absent); `None` gives no values at all."""

    @abstractmethod
    def canonical(self, target: Any) -> Any:
        """Canonical form of a target or prediction (idempotent)."""

    @abstractmethod
    def bind(self, prediction: Any, example: Example) -> Any:
        """A prediction as its file holds it, in the form of a target, which may need the example's tokens."""

    def given(self, prediction: Any) -> dict[str, Any]:
        """What of a prediction may be given as an answer.

        Returns
        -------
        dict
            `prediction` without the values that their kind cannot read (a date that is no DD/MM/YYYY), and where there
            are such `withheld`: field → these values and the reason.
        """
        return {"prediction": prediction}

    def doubts(self, text: str, prediction: Any) -> dict[str, str]:
        """Field → what the text leaves open about its value (morning or evening)."""
        return {}

    @abstractmethod
    def spans(self, example: Example) -> Spans:
        """Field → character spans of its gold values; None where a value is not in the text (nothing is learnt)."""

    def from_spans(self, text: str, spans: dict[str, list[Place]], conventions: Any) -> Any:
        """Canonical prediction for the spans a tagger found."""
        return self.canonical(self.hooks.values_of_spans(text, spans, conventions))

    @abstractmethod
    def offsets(self, text: str, prediction: Any) -> dict[str, list[Place]]:
        """Field → (start, end) of its values in the text as read: one a value that stands there, in their order."""


def _variant(row: dict[str, Any]) -> Writer | Tagger:
    kind = {"writer": Writer, "tagger": Tagger}[row["kind"]]
    return kind(**{key: value for key, value in row.items() if key not in ("kind", "like", "settings")})


# -- settings ------------------------------------------------------------------------------------------------------------
def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, blocks merged key by key."""
    found = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found


def settings_of(document: dict[str, Any], profile: str) -> dict[str, Any]:
    """Every setting with its default in a profile; those of a variant bear its name (`lora.epochs`).

    A variant has the settings of the groups it is `like`, in their order, and then its own; a block under `profiles` may
    change settings, groups and variants. A task of writers alone has those of a `tagger` too: notebook 04 shows how one is made.
    """
    whole = merged(document, document.get("profiles", {}).get(profile) or {})
    variants = whole.get("variants", {})
    found = {"variants": ",".join(variants), **whole.get("settings", {})}
    if "tagger" in whole.get("groups", {}) and all(one.get("kind") == "writer" for one in variants.values()):
        variants = {**variants, "tagger": {"like": ["tagger"]}}
    for name, variant in variants.items():
        own: dict[str, Any] = {}
        for group in variant.get("like", ()):
            own |= whole["groups"][group]
        own |= variant.get("settings", {})
        found |= {f"{name}.{key}": value for key, value in own.items()}
    return found
