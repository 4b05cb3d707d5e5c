"""What a task has to say for itself; notebooks and shared helpers ask through this interface only."""

from __future__ import annotations

import random
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    import pandas as pd

from helpers.tasks.records import Example, PublicFile, Tagger, Variant, Writer
from helpers.tasks.text import normalise, places

Values = dict[str, tuple[str, ...]]
Message = dict[str, str]  # one turn of a chat: `role` and `content`
# headline score → its name, and the name of what a row adds to it
HEADLINES = {
    "exact_match": ("exact match", "exact match"),
    "exact_f1": ("value F1", "share of right answers"),
    "f1": ("entity F1", "F1 by sentence"),
}


class Task(ABC):
    """Everything particular to one task.

    Class attributes
    ----------------
    name, title, description : str
    aim, research_question : str
        Subtitle of the task's report, and what its abstract asks.
    fields : tuple of str
        Entity fields in output order; every per-field table has these rows.
    verbatim_fields : frozenset of str
        Fields whose value is a piece of the input text.
    list_fields : frozenset of str
        Fields that hold several values.
    instruction : str
        What a model that was never trained on the task is told to do; empty where the description and the fields say it
        (:func:`helpers.writing.prompts.instruction`).
    writes : bool
        Whether the variants are language models that write their answer; else they give each token a tag.
    variants : dict
        Name → what it is, of the variants that 04 trains, in order.
    votes : dict
        Name → members, the best first: systems that train nothing and take the value that most of their members give
        (:mod:`helpers.evaluation.vote`). Members are variants, each in its default decoding, or the baseline `rules`.
    published : list of dict
        Published results on the public data: `system` plus metrics.
    field_weights : dict
        Weight of a field's tokens in the entity loss; 1 where a field is not named.
    sample_file : str
        File in `data/<name>/` that holds the sample, one JSON row a line or in one of the task's other formats.
    suffixes : tuple of str
        Endings of files in other formats than JSONL that :meth:`rows_of_file` reads.
    sample_shares : dict
        Share of the sample that each part gets; the first part takes what the others have no room for.
    headline : str
        The score that chooses between checkpoints and variants, one of :data:`HEADLINES`. With `exact_match` a row is
        right or wrong as a whole (:func:`helpers.tasks.metrics.row_scores`), else each of its fields counts.
    decodings : tuple of str
        Ways of decoding that 05 sets side by side; the last is the default, whose predictions bear the variant's name.
    baselines : dict
        Name → function of (run, examples) that predicts them, beside those of :mod:`helpers.evaluation.baselines`.
    variant_notes : dict
        Variant → what it trains, its loss, its tool (as a table's cells), and a paragraph for notebook 04.
    augmentation_note, baseline_note : str
        What the task makes of its train rows, and what its own baselines are, for notebooks 02 and 03.
    scoring_note, equivalence_note : str
        How scores are to be read, and what counts as the same in meaning, for notebooks 05 and 06.
    public_files : tuple of PublicFile
        Files that `--data public` downloads; empty where there is no public data set.
    public_hub : str
        Data set of the hub that `--data public` reads instead where the setting `public_source` says so.
    public_train : str
        :func:`helpers.data.read.fingerprint` of the public train rows, by which they are known in `--data DIR` too.
    public_licence, public_citation : str
        Shown whenever the public data is used.
    text_key : str
        Key of the text in a row of the input files.
    longest_text : int
        Characters of the longest text that the service takes.
    examples : tuple of str
        Texts to try the task with.
    """

    name: str
    title: str
    description: str
    aim: str = "Fine-tuning language models to turn text into structured entities"
    research_question: str = (
        "what fine-tuning a language model for this adds over rules and over prompting the same model"
    )
    fields: tuple[str, ...]
    verbatim_fields: frozenset[str]
    list_fields: frozenset[str]
    instruction: str = ""
    writes: bool = True
    variants: dict[str, Variant]
    votes: dict[str, tuple[str, ...]] = {}
    field_weights: dict[str, float] = {}
    published: list[dict[str, Any]] = []
    sample_file: str
    suffixes: tuple[str, ...] = ()
    sample_shares: dict[str, float] = {"train": 0.70, "validation": 0.15, "test": 0.15}
    headline: str = "exact_match"
    decodings: tuple[str, ...] = ("free", "source")
    baselines: dict[str, Callable[..., list[dict[str, Any]]]] = {}
    variant_notes: dict[str, tuple[str, str, str, str]] = {}
    augmentation_note: str = ""
    baseline_note: str = ""
    scoring_note: str = ""
    equivalence_note: str = ""
    public_files: tuple[PublicFile, ...] = ()
    public_hub: str = ""
    public_train: str = ""
    public_licence: str = ""
    public_citation: str = ""
    text_key: str = "text"
    longest_text: int = 2000
    examples: tuple[str, ...] = ()

    @property
    def writers(self) -> dict[str, Writer]:
        """The variants that write their answers."""
        return {name: one for name, one in self.variants.items() if isinstance(one, Writer)}

    @property
    def taggers(self) -> frozenset[str]:
        """The variants that mark pieces of the text: they have the default way of decoding only."""
        return frozenset(name for name, one in self.variants.items() if isinstance(one, Tagger))

    @property
    def headline_words(self) -> str:
        """The headline score as prose names it."""
        return HEADLINES[self.headline][0]

    @property
    def row_words(self) -> str:
        """The score of a row as prose names it."""
        return HEADLINES[self.headline][1]

    @property
    def group_words(self) -> str:
        """The score of some rows as prose names it: that of a row, or the headline where rows have no mean."""
        return self.row_words if self.writes else self.headline_words

    @property
    def traits(self) -> frozenset[str]:
        """What sets tasks apart in the notebooks: a cell tagged `only-writes` is for tasks with the trait `writes`."""
        found = {
            "writes" if self.writes else "tags",
            *(["asks"] if self.questions() else []),
            *(["votes"] if self.votes else []),
        }
        return frozenset(found)

    # -- settings -----------------------------------------------------------------------------------------------
    @abstractmethod
    def settings(self, profile: str) -> dict[str, Any]:
        """Every setting of the task with its default in that profile."""

    # -- rows ---------------------------------------------------------------------------------------------------
    @abstractmethod
    def parse_row(self, row: dict[str, Any], index: int) -> Example:
        """Validate a JSON row, normalise its text, bring its target to the canonical form.

        Raises
        ------
        ValueError
            With a one-line reason.
        """

    @abstractmethod
    def to_row(self, example: Example) -> dict[str, Any]:
        """The row in the format of the input files."""

    def rows_of_file(
        self, suffix: str, lines: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
        """Rows of a file with one of :attr:`suffixes`: (line, from 1; the row, or the reason why there is none)."""
        raise NotImplementedError(f"task {self.name!r} has no other format than JSONL")

    def row_parts(self, row: dict[str, Any]) -> dict[str, Any]:
        """What of a row of the input files is compared to tell what the canonical form changed."""
        return row

    def example_from_json(self, record: dict[str, Any]) -> Example:
        """Inverse of :meth:`example_to_json`."""
        row = self.parse_row(record["row"], record["id"])
        return row.with_(origin=record["origin"])

    def example_to_json(self, example: Example) -> dict[str, Any]:
        """What the split files of stage 02 hold."""
        return {"id": example.id, "origin": example.origin, "row": self.to_row(example)}

    def split_public(self, files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
        """Downloaded files (name → content) → JSON rows of `train`, `validation` and `test`."""
        raise NotImplementedError(f"task {self.name!r} has no public data")

    def split_hub(self, parts: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
        """Rows of the parts of :attr:`public_hub` → JSON rows of `train`, `validation` and, if there is one, `test`."""
        raise NotImplementedError(f"task {self.name!r} has no data set on the hub")

    def decodings_of(self, variant: str) -> tuple[str, ...]:
        """Ways of decoding that a variant has."""
        return self.decodings[-1:] if variant in self.taggers else self.decodings

    def asks(self, variant: str) -> bool:
        """Whether a variant answers the task's questions one by one, and does not mark all values at once."""
        return bool(self.questions()) and variant in self.variants and variant not in self.taggers

    # -- one view on targets and predictions --------------------------------------------------------------------
    @abstractmethod
    def values(self, target: Any) -> Values:
        """Field → values found (an empty tuple where absent); `None` gives no values at all."""

    @abstractmethod
    def canonical(self, target: Any) -> Any:
        """Canonical form of a target or prediction (idempotent)."""

    def bind(self, prediction: Any, example: Example) -> Any:
        """A prediction as its file holds it, in the form of a target, which may need the example's tokens."""
        return prediction

    def equivalent(self, name: str, left: str, right: str) -> bool:
        """Whether two values of a field mean the same ("2pm" and "14:00")."""
        return left == right

    def says_nothing(self, value: str) -> bool:
        """Whether a value only says that there is none ("not provided")."""
        return False

    def shown(self, example: Example) -> str:
        """What a variant reads and what it learns to give for it, as text."""
        return f"{self.prompt(example.text)}\n{self.completion(example.target)}"

    # -- generation ---------------------------------------------------------------------------------------------
    @abstractmethod
    def prompt(self, text: str) -> str:
        """The input of the causal model."""

    @abstractmethod
    def completion(self, target: Any) -> str:
        """The output the causal model learns, without the end-of-text token."""

    @abstractmethod
    def parse_output(self, raw: str) -> tuple[Any | None, str | None]:
        """Model text → (canonical prediction or None, kind of parse error or None)."""

    @abstractmethod
    def grammar(self, text: str, constraint: str) -> str:
        """A llguidance grammar (Lark syntax) for `constraint` in `schema`, `source`."""

    def questions(self) -> tuple[str, ...]:
        """Fields in the order in which a dialogue asks for them; none where one prompt asks for all of them.

        Tasks that ask are :class:`helpers.tasks.dialogue.DialogueTask`.
        """
        return ()

    def failed_fields(self, record: dict[str, Any]) -> frozenset[str]:
        """Fields of a prediction record for which nothing valid came out of the model."""
        return frozenset(self.fields if record["prediction"] is None else ())

    def error_kinds(self, record: dict[str, Any]) -> list[str]:
        """Kind of each failure in a prediction record: one for an output that could not be parsed."""
        if record["prediction"] is not None:
            return []
        raw = record.get("raw")
        return [record.get("error") or (self.parse_output(raw)[1] if raw else "no output") or "unusable"]

    # -- tagging ------------------------------------------------------------------------------------------------
    def spans(self, example: Example) -> dict[str, list[tuple[int, int]] | None]:
        """Field → character spans of its gold values; None where a value is not in the text (nothing is learnt)."""
        raise NotImplementedError(f"task {self.name} has no span tagger")

    def learn_conventions(self, train: list[Example]) -> Any:
        """What train rows show about turning spans into values; JSON through the two methods below."""
        return None

    def from_spans(self, text: str, spans: dict[str, list[tuple[int, int]]], conventions: Any) -> Any:
        """Canonical prediction for the spans a tagger found."""
        raise NotImplementedError(f"task {self.name} has no span tagger")

    def conventions_to_json(self, conventions: Any) -> Any:
        """JSON form of :meth:`learn_conventions`."""
        return conventions

    def conventions_from_json(self, content: Any) -> Any:
        """Inverse of :meth:`conventions_to_json`."""
        return content

    # -- texts of users -----------------------------------------------------------------------------------------
    def reading(self, text: str) -> str:
        """A user's text as :meth:`parse_row` would read it."""
        return normalise(text)

    def example(self, text: str, index: int = 0) -> Example:
        """A text without labels, ready to be predicted."""
        return Example(index, self.reading(text), None)

    def text_of_row(self, row: dict[str, Any]) -> str:
        """The text of a row of a file that is to be labelled: under `text`, or as the input files have it.

        Raises
        ------
        ValueError
            If there is none.
        """
        for key in ("text", self.text_key):
            if isinstance(row.get(key), str):
                return row[key]
        raise ValueError(
            f"no text: expected a string under 'text'{f' or {self.text_key!r}' * (self.text_key != 'text')}"
        )

    def bad_text(self, text: str) -> str | None:
        """Why a user's text cannot be labelled, or None where it can."""
        if len(text) > self.longest_text:
            return f"text has {len(text)} characters, more than the {self.longest_text} allowed"
        kinds = {char: unicodedata.category(char) for char in set(text) - set("\t\n\r")}
        if any(kind == "Cs" for kind in kinds.values()):
            return "text holds half of a surrogate pair: it is no valid Unicode"
        control = sorted(char for char, kind in kinds.items() if kind == "Cc")
        if control:
            return f"text holds the control character U+{ord(control[0]):04X}"
        return None if self.reading(text) else "text is empty"

    def offsets(self, text: str, prediction: Any) -> dict[str, list[tuple[int, int]]]:
        """Field → (start, end) of its values in the text as read: one a value that stands there, in their order.

        A value that is written twice goes to the first place that no value before it has.
        """
        found: dict[str, list[tuple[int, int]]] = {}
        for name, values in self.values(prediction).items():
            found[name] = []
            for value in values:
                options = places(value, text) or places(value, text, ignore_case=True)
                free = [span for span in options if span not in found[name]]
                found[name] += (free or options)[:1]
        return found

    def fields_of(self, prediction: Any) -> dict[str, Any]:
        """Field → value of a prediction, as :meth:`field_schema` describes it."""
        return {name: prediction[name] for name in self.fields}

    def field_schema(self) -> dict[str, Any]:
        """JSON Schema of the fields of an answer."""
        text, absent = {"type": "string"}, {"type": "null"}
        kinds = {
            name: {"type": "array", "items": text} if name in self.list_fields else text
            for name in self.fields
        }
        return {
            "type": "object",
            "required": list(self.fields),
            "additionalProperties": False,
            "properties": {name: {"anyOf": [kind, absent]} for name, kind in kinds.items()},
        }

    def downloads(self, prediction: Any, text: str) -> dict[str, tuple[str, bytes, list[str]]]:
        """Files beside JSON that an answer can become: name → (media type, content, what the reader should check)."""
        return {}

    # -- baselines ----------------------------------------------------------------------------------------------
    @abstractmethod
    def rules(self, text: str) -> Any:
        """Prediction of the rule baseline."""

    # -- augmentation (train only) ------------------------------------------------------------------------------
    @abstractmethod
    def augmenters(
        self, train: list[Example]
    ) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        """Name → function that turns one gold example into a new one (None where it does not apply)."""

    @abstractmethod
    def synthesise(self, train: list[Example], count: int, rng: random.Random) -> list[Example]:
        """`count` examples made from patterns seen in train and invented values."""

    def label_weakly(
        self, train: list[Example], settings: dict[str, Any], rng: random.Random
    ) -> list[Example]:
        """Rows that rules and train values labelled in text without labels; none by default."""
        return []

    def resample(self, train: list[Example], settings: dict[str, Any], rng: random.Random) -> list[Example]:
        """Further copies of train rows that are to weigh more in training; none by default."""
        return []

    def augmentation_tables(
        self, train: Sequence[Example], rows: Sequence[Example], validation: Sequence[Example]
    ) -> dict[str, tuple[pd.DataFrame, str]]:
        """Name → (table, caption): what notebook 02 shows of this task's own ways beside what it shows of all tasks.

        Parameters
        ----------
        train, rows : sequence of Example
            Before and after augmentation.
        validation : sequence of Example
            Only to measure how good made labels are.
        """
        return {}

    # -- analysis -----------------------------------------------------------------------------------------------
    @abstractmethod
    def surface_formats(self, example: Example) -> dict[str, str]:
        """Kinds of writing in this row, e.g. `{"date format": "iso", "time format": "24 h"}`."""

    @abstractmethod
    def slices(self, example: Example) -> dict[str, str]:
        """Slice name → slice of this row, e.g. `{"length": "short"}`."""

    @abstractmethod
    def perturbations(self) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        """Name → change of the input that should not change the answer (the target may move along)."""
