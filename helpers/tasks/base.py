"""What a task is to everyone else: its rows, fields, words, hooks and variants behind one small interface."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from helpers.tasks.fields import Kind, Place
from helpers.tasks.text import normalise

if TYPE_CHECKING:
    import pandas as pd

Values = dict[str, tuple[str, ...]]
Spans = dict[str, list[Place] | None]
Message = dict[str, str]  # one turn of a chat: `role` and `content`
HEADLINES = {"exact_match": "exact match", "exact_f1": "value F1", "f1": "entity F1"}  # score → its name


@dataclass(frozen=True)
class Example:
    """One row: an input text and what is to be found in it."""

    id: int  # zero-based index of the row in its file
    text: str  # normalised; of token tasks the tokens joined by spaces
    target: Any  # canonical gold annotation in the task's own form
    origin: str = "gold"  # or the augmentation that made the row
    # whatever else the task keeps: the raw row, finer tags, what was asked
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def with_(self, **changes: Any) -> Example:
        """A copy with some attributes replaced."""
        return replace(self, **changes)


Change = Callable[[Example, random.Random], Example | None]  # of a row, None where it does not apply


# -- variants ---------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Writer:
    """A variant that writes its answers, as a row of data; bits and sizes are settings of the run."""

    adapter: bool  # LoRA is trained over a frozen base; else all weights are
    loss: str = "plain"  # cross-entropy of the answer, `entity` or `structured`: helpers.training.losses
    trl: bool = False  # trained by TRL's SFTTrainer, as in the studies that this one follows


@dataclass(frozen=True)
class Tagger:
    """A variant that marks pieces of the text, as a row of data; sizes are settings of the run."""

    teacher: bool = False  # learns from what other variants say (setting `teacher`) as well as from labels


class Variants(dict[str, Writer | Tagger]):
    """Name → what it is, of the variants that 04 trains, in order.

    Attributes
    ----------
    decodings : tuple of str
        Ways of decoding that 05 sets side by side; the last is the default, whose predictions bear the variant's name.
    votes : dict
        Name → members, the best first: systems that train nothing and take the value that most of their members give
        (:mod:`helpers.evaluation.vote`). Members are variants, each in its default decoding, or the baseline `rules`.
    """

    def __init__(self, rows: dict[str, Any], decodings: Sequence[str], votes: dict[str, list[str]]):
        kinds = {"writer": Writer, "tagger": Tagger}
        for name, row in rows.items():
            own = {key: value for key, value in row.items() if key not in ("kind", "like", "settings")}
            self[name] = kinds[row["kind"]](**own)
        self.decodings = tuple(decodings)
        self.votes = {name: tuple(members) for name, members in votes.items()}

    @property
    def writers(self) -> dict[str, Writer]:
        """Those that write their answers."""
        return {name: one for name, one in self.items() if isinstance(one, Writer)}

    @property
    def taggers(self) -> frozenset[str]:
        """Those that mark pieces of the text: they have the default way of decoding only."""
        return frozenset(name for name, one in self.items() if isinstance(one, Tagger))

    def decodings_of(self, name: str) -> tuple[str, ...]:
        """Ways of decoding that a variant or a vote has."""
        return self.decodings if name in self.writers else self.decodings[-1:]


# -- what is said about a task and where its rows come from ---------------------------------------------------------
@dataclass(frozen=True)
class Words:
    """What is said about a task: the head and the sections of its `notes.md`."""

    title: str = ""
    description: str = ""  # subtitle of the task's report
    instruction: str = ""  # what the report's abstract asks
    examples: tuple[str, ...] = ()  # texts to try the task with
    # for the test of robustness: what a text may say beside its values, and field → values that no train row has
    remarks: tuple[str, ...] = ("(sent from my phone)", "(see the message below)")
    asides: tuple[str, ...] = (
        "(typed on the train)",
        "(page 1 of 2)",
        "[edited on Monday]",
        "- see the thread",
    )  # in training
    others: dict[str, list[str]] = field(default_factory=dict)
    # variant → what it trains, its loss, its tool (as a table's cells), and a paragraph for notebook 04
    variant_notes: dict[str, tuple[str, str, str, str]] = field(default_factory=dict)
    augmentation_note: str = ""  # what the task makes of its train rows, for notebook 02
    baseline_note: str = ""  # what its own baselines are, for notebook 03
    scoring_note: str = ""  # how scores are to be read, for notebook 05
    equivalence_note: str = ""  # what counts as the same in meaning, for notebook 06
    headline: str = ""  # the headline score as prose names it


@dataclass(frozen=True)
class PublicFile:
    """One file of a public data set, pinned by commit and checksum."""

    name: str  # in the cache, by which a task's `split_public` finds it
    path: str  # `owner/repository/commit/path`, appended to the base address of raw files
    sha256: str  # of the whole file, hexadecimal
    size: int  # bytes


@dataclass(frozen=True)
class Public:
    """The public data set of a task; without files there is none."""

    files: tuple[PublicFile, ...] = ()  # that `--data public` downloads
    hub: str = ""  # data set of the hub that is read instead where the setting `public_source` says so
    train: str = ""  # fingerprint of its train rows, by which `--data DIR` knows them
    licence: str = ""  # shown whenever the public data is used, and so is the citation
    citation: str = ""
    published: Sequence[dict[str, Any]] = ()  # results on it: `system` plus metrics


def _nothing(*_: Any) -> Any:
    return {}


def _none(*_: Any) -> Any:
    return []


@dataclass(frozen=True)
class Hooks:
    """What a task may add to what follows from its schema; :func:`helpers.tasks.variation.complete` fills in the rest."""

    # text → prediction of the rule baseline; or field → places, of rules that leave the values to `values_of_spans`
    rules: Callable[[str], Any] | None = None
    rule_spans: Callable[[str], dict[str, list[Place]]] | None = None
    # name → function of (run, examples) that predicts them, beside those of helpers.evaluation.baselines
    baselines: dict[str, Callable[..., list[dict[str, Any]]]] = field(default_factory=dict)
    # train rows → name → function that turns one gold example into a new one
    augmenters: Callable[[list[Example]], dict[str, Change]] | None = None
    # (train rows, count, random generator) → rows made from patterns seen in train and invented values
    synthesise: Callable[[list[Example], int, random.Random], list[Example]] | None = None
    # (train rows, settings, random generator) → rows that rules labelled, and further copies of train rows
    label_weakly: Callable[[list[Example], dict[str, Any], random.Random], list[Example]] = _none
    resample: Callable[[list[Example], dict[str, Any], random.Random], list[Example]] = _none
    # (train, augmented, validation rows) → name → (table, caption) for notebook 02
    augmentation_tables: Callable[..., dict[str, tuple[pd.DataFrame, str]]] = _nothing
    # → name → change of the input that should not change the answer (the target may move along)
    perturbations: Callable[[], dict[str, Change]] | None = None
    # example → kinds of writing in it, e.g. `{"date format": "iso"}`
    surface_formats: Callable[[Example], dict[str, str]] | None = None
    # examples → for each, slice name → its slice among them, e.g. `{"length": "short"}`
    slices: Callable[[Sequence[Example]], list[dict[str, str]]] | None = None
    # example → field → places of its values in the text; None where a value is not in it
    spans: Callable[[Example], Spans] | None = None
    # train rows → what they show about turning spans into values, as JSON data; (text, spans, that) → target
    learn_conventions: Callable[[list[Example]], Any] | None = None
    values_of_spans: Callable[[str, dict[str, list[Place]], Any], Any] | None = None
    # a user's text as rows hold it
    reading: Callable[[str], str] = normalise
    # of files in a form of the task's own: row → (text, output, what else to keep), example → row, what of a row tells
    # what the canonical form changed, and line (`line_form` of the settings) → row
    read_row: Callable[[dict[str, Any]], tuple[str, Any, dict[str, Any]]] | None = None
    write_row: Callable[[Example], dict[str, Any]] | None = None
    row_parts: Callable[[dict[str, Any]], dict[str, Any]] = dict
    row_of_line: Callable[[str], dict[str, Any]] | None = None
    # (tags, finer tags or None) → both in the task's labels
    relabel: Callable[[Sequence[str], Sequence[str] | None], tuple] | None = None
    # downloaded files (name → content), or rows of the hub's parts → JSON rows of `train`, `validation`, `test`
    split_public: Callable[[dict[str, bytes]], dict[str, list[dict[str, Any]]]] = _nothing
    split_hub: Callable[[dict[str, list]], dict[str, list[dict[str, Any]]]] = _nothing
    # example of an unsplit sample → whether it is written as no train row may be, and so is of the test part
    test_only: Callable[[Example], bool] = lambda example: False
    # (prediction, text) → name → (media type, content, what to check): files that an answer can become
    downloads: Callable[[Any, str], dict[str, tuple[str, bytes, list[str]]]] = _nothing


class Task(ABC):
    """Everything particular to one task.

    Attributes
    ----------
    kinds : dict
        Field → its kind, in output order; every per-field table has these rows.
    headline : str
        The score that chooses between checkpoints and variants, one of :data:`HEADLINES`. With `exact_match` a row is
        right or wrong as a whole, else each of its values counts.
    rows : helpers.tasks.rows.Rows
    chat : helpers.tasks.chat.Chat
        What models are asked and how they answer.
    writes : bool
        Whether the variants are language models that write their answer; else they give each token a tag.
    """

    writes: bool = True
    rows: Any
    chat: Any
    hooks: Hooks

    def __init__(self, name: str, kinds: dict[str, Kind], document: dict[str, Any], words: Words):
        self.name, self.kinds, self._document = name, kinds, document
        self.headline = document.get("headline", "exact_match")
        self.words = replace(words, headline=HEADLINES[self.headline])
        decodings = document.get("decodings", ("free", "source"))
        self.variants = Variants(document.get("variants", {}), decodings, document.get("votes", {}))
        public = document.get("public", {})
        files = tuple(PublicFile(**one) for one in public.get("files", ()))
        self.public = Public(**public | {"files": files})

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields in output order."""
        return tuple(self.kinds)

    def settings(self, profile: str) -> dict[str, Any]:
        """Every setting with its default in a profile; those of a variant bear its name (`lora.epochs`).

        A variant has the settings of the groups it is `like`, in their order, and then its own; a block under `profiles`
        may change settings, groups and variants. A task of writers alone has those of a `tagger` too: notebook 04 shows
        how one is made.
        """
        whole = merged(self._document, self._document.get("profiles", {}).get(profile) or {})
        variants = whole.get("variants", {})
        found = {"variants": ",".join(variants), **whole.get("settings", {})}
        if "tagger" in whole.get("groups", {}) and not self.variants.taggers:
            variants = {**variants, "tagger": {"like": ["tagger"]}}
        for name, variant in variants.items():
            for own in (
                *(whole["groups"][group] for group in variant.get("like", ())),
                variant.get("settings", {}),
            ):
                found |= {f"{name}.{key}": value for key, value in own.items()}
        return found

    @abstractmethod
    def values(self, target: Any) -> Values:
        """Field → values found, as text (an empty tuple where absent); `None` gives no values at all."""

    @abstractmethod
    def canonical(self, target: Any) -> Any:
        """Canonical form of a target or prediction (idempotent)."""

    def bind(self, prediction: Any, example: Example) -> Any:
        """A prediction as its file holds it, in the form of a target, which may need the example's tokens."""
        return prediction

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


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over`, blocks merged key by key."""
    found = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(found.get(key), dict)
        found[key] = merged(found[key], value) if both else value
    return found
