"""The IT task: tokens → BIO tags of errors, hardware, operating systems, software and versions."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from helpers.tasks.base import Task, Values
from helpers.tasks.bio import TaggedTokens, check_syntax, label_of, spans_of, tags_of, to_iob2
from helpers.tasks.it_ner.baselines import predict_dictionary, predict_rules
from helpers.tasks.it_ner.formats import hub_rows, public_rows, rows_of_file, tokenise
from helpers.tasks.it_ner.gazetteer import pattern_tags
from helpers.tasks.it_ner.notes import AUGMENTATION_NOTE, BASELINE_NOTE, SCORING_NOTE, VARIANT_NOTES
from helpers.tasks.it_ner.settings import training_settings
from helpers.tasks.it_ner.tags import COARSE_LABEL, LABELS, UNMAPPED, relabel
from helpers.tasks.records import Example, PublicFile, Tagger
from helpers.tasks.text import normalise

if TYPE_CHECKING:
    import pandas as pd

_COMMIT = "jeniyat/StackOverflowNER/d1f408d235fcfbb268f028ef53162398ecb8a328/resources/annotated_ner_data/StackOverflow"
_KEYS = {"tokens", "ner_tags", "fine_tags", "kind"}
_NUMBER_FORMS = (("dotted", r"v?\d+(\.\d+)+\S*"), ("number", r"v?\d+"), ("named", r".*"))
_ERROR_FORMS = (
    ("hexadecimal code", r".*\b0x[0-9a-f]+.*"),
    ("number", r".*\b\d{2,}\b.*"),
    ("one name", r"\S+"),
    ("phrase", r".*"),
)


def _strings(row: dict[str, Any], key: str) -> list[str]:
    value = row[key]
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{key!r} should be a list of strings")
    return value


def _form(value: str, forms: Sequence[tuple[str, str]]) -> str:
    return next(name for name, pattern in forms if re.fullmatch(pattern, value, re.IGNORECASE))


class ItNer(Task):
    """Token classification: a target is a :class:`TaggedTokens`, a prediction in a file is its list of tags."""

    name = "it_ner"
    title = "IT entities"
    description = "Tokens of tickets, forum posts and bug reports get BIO tags of five kinds of entity."
    aim = "Fine-tuning encoders to find entities in text, and what compression costs"
    research_question = (
        "what fine-tuning a pretrained encoder for this adds over rules and over a dictionary of the "
        "labelled entities, and what is left of it in a small and fast model"
    )
    fields = LABELS
    verbatim_fields = frozenset(LABELS)
    list_fields = frozenset(LABELS)
    writes = False
    variants = {"full": Tagger(), "lora": Tagger(), "enhanced": Tagger(), "distilled": Tagger(teacher=True)}
    baselines = {"rules": predict_rules, "dictionary": predict_dictionary}
    variant_notes = VARIANT_NOTES
    augmentation_note, baseline_note, scoring_note = AUGMENTATION_NOTE, BASELINE_NOTE, SCORING_NOTE
    decodings = ("viterbi",)
    sample_file = "sentences.txt"
    suffixes = (".txt", ".conll")
    public_files = (
        PublicFile(
            "train.txt",
            f"{_COMMIT}/train.txt",
            "dd10a161731f2eb3270af6643dbcd4a5a665face786b17549cceec1846745c93",
            3221198,
        ),
        PublicFile(
            "dev.txt",
            f"{_COMMIT}/dev.txt",
            "96d7427f9bcc91a73f21a2476b87c14e280efb3a027c53ece261cbe5bac9e157",
            1003586,
        ),
        PublicFile(
            "test.txt",
            f"{_COMMIT}/test.txt",
            "e09ae70248e772e3794520dcb4a51d5ff8375d088506af40ebed302830ab4c50",
            1093520,
        ),
    )
    public_hub = "mrm8488/stackoverflow-ner"
    public_train = "33cc8e06a131c66261bdc27557610cabdec244430284b2d20a9c543345757002"
    public_licence = "MIT"
    public_citation = (
        "J. Tabassum, M. Maddela, W. Xu, A. Ritter: Code and Named Entity Recognition in StackOverflow, "
        "ACL 2020"
    )
    text_key = "tokens"
    longest_text = 4000
    examples = (
        "After the update to Ubuntu 24.04 my ThinkPad docking station is not recognised, dmesg says USB error -71.",
        "pip install numpy 2.1 fails on Windows 11 with ModuleNotFoundError, Python 3.12 worked fine.",
        "The HP LaserJet on the second floor prints blank pages since Tuesday.",
    )
    published = [
        {"system": "bert-base-cased, full fine-tuning", "f1": 0.740},
        {"system": "bert-base-cased, LoRA", "f1": 0.723},
        {"system": "distilbert-base-cased", "f1": 0.717},
    ]
    headline = "f1"

    def settings(self, profile: str) -> dict[str, Any]:
        return training_settings(profile)

    # -- rows ---------------------------------------------------------------------------------------------------
    def parse_row(self, row: dict[str, Any], index: int) -> Example:
        if not isinstance(row, dict):
            raise ValueError(f"row should be an object, got {type(row).__name__}")
        for key in ("tokens", "ner_tags"):
            if key not in row:
                raise ValueError(f"missing key {key!r}")
        if unknown := sorted(set(row) - _KEYS):
            raise ValueError(f"unknown key {unknown[0]!r}")
        tokens, tags = _strings(row, "tokens"), _strings(row, "ner_tags")
        fine = _strings(row, "fine_tags") if row.get("fine_tags") is not None else None
        for name, given in (("ner_tags", tags), ("fine_tags", fine)):
            if given is not None and len(given) != len(tokens):
                raise ValueError(f"{len(tokens)} tokens but {len(given)} {name}")
            check_syntax(given or ())
        blank = next((token for token in tokens if not token or token.split() != [token]), None)
        if blank is not None:
            raise ValueError(f"token {blank!r} is empty or holds a space")
        tags, fine = self._our_labels(tags, fine)
        extra = {"row": row, "fine_tags": fine, "kind": row.get("kind")}
        return Example(index, normalise(" ".join(tokens)), TaggedTokens(tuple(tokens), tags), extra=extra)

    @staticmethod
    def _our_labels(
        tags: Sequence[str], fine: Sequence[str] | None
    ) -> tuple[tuple[str, ...], tuple[str, ...] | None]:
        """Tags in our labels as valid IOB2, and the finer ones: those given, or the tags if they are the finer kind."""
        labels = {label_of(tag) for tag in tags} - {""}
        if labels and labels <= COARSE_LABEL.keys() | UNMAPPED:
            return relabel(tags), to_iob2(tags)
        if unknown := sorted(labels - set(LABELS)):
            raise ValueError(f"unknown label {unknown[0]!r}: choose from {', '.join(LABELS)}")
        return to_iob2(tags), None if fine is None else to_iob2(fine)

    def to_row(self, example: Example) -> dict[str, Any]:
        row: dict[str, Any] = {"tokens": list(example.target.tokens), "ner_tags": list(example.target.tags)}
        for key in ("fine_tags", "kind"):
            value = example.extra.get(key)
            if value is not None:
                row[key] = list(value) if isinstance(value, tuple) else value
        return row

    def rows_of_file(
        self, suffix: str, lines: Sequence[str]
    ) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
        return rows_of_file(suffix, lines)

    def split_public(self, files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
        """The published split: train, dev as validation, test."""
        return {
            part: public_rows(files[name])
            for part, name in (("train", "train.txt"), ("validation", "dev.txt"), ("test", "test.txt"))
        }

    def split_hub(self, parts: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
        return hub_rows(parts)

    # -- one view on targets and predictions --------------------------------------------------------------------
    def values(self, target: TaggedTokens | None) -> Values:
        found = target.entities() if target is not None else []
        return {label: tuple(text for name, text in found if name == label) for label in self.fields}

    def canonical(self, target: TaggedTokens | None) -> TaggedTokens | None:
        return None if target is None else TaggedTokens(tuple(target.tokens), to_iob2(target.tags))

    def bind(self, prediction: Any, example: Example) -> TaggedTokens | None:
        """A list of tags, or label → entity strings as a language model answers, on the tokens of the example."""
        if prediction is None or isinstance(prediction, TaggedTokens):
            return prediction
        tokens = example.target.tokens
        if isinstance(prediction, dict):
            return TaggedTokens(tokens, place_strings(tokens, prediction))
        if len(prediction) != len(tokens):
            raise ValueError(
                f"row {example.id} has {len(tokens)} tokens but {len(prediction)} predicted tags"
            )
        return TaggedTokens(tokens, to_iob2(prediction))

    def shown(self, example: Example) -> str:
        """The tokens with their tags, and the finer ones where there are such."""
        columns = [example.target.tokens, example.target.tags, example.extra.get("fine_tags") or ()]
        widths = [max(map(len, column), default=0) + 2 for column in columns]
        lines = [
            "".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in zip(*filter(None, columns))
        ]
        return "\n".join(lines)

    def spans(self, example: Example) -> dict[str, list[tuple[int, int]] | None]:
        """Label → places of its entities in the text; None where normalising moved the borders of tokens."""
        words = [normalise(token) for token in example.target.tokens]
        if " ".join(words) != example.text:
            return dict.fromkeys(self.fields)
        starts = [0]
        for word in words:
            starts.append(starts[-1] + len(word) + 1)
        found: dict[str, list[tuple[int, int]] | None] = {label: [] for label in self.fields}
        for start, end, label in spans_of(example.target.tags):
            found[label].append((starts[start], starts[end] - 1))
        return found

    # -- texts of users -----------------------------------------------------------------------------------------
    def reading(self, text: str) -> str:
        """The tokens of a text with spaces between them."""
        plain = normalise(text)
        return " ".join(plain[start:end] for start, end in tokenise(plain))

    def example(self, text: str, index: int = 0) -> Example:
        tokens = tuple(self.reading(text).split())
        return Example(index, " ".join(tokens), TaggedTokens(tokens, ("O",) * len(tokens)))

    def text_of_row(self, row: dict[str, Any]) -> str:
        """A text under `text`, or the tokens of a row of the input files."""
        if isinstance(row.get("text"), str):
            return row["text"]
        if "tokens" in row:
            return " ".join(_strings(row, "tokens"))
        raise ValueError("no text: expected a string under 'text' or a list of strings under 'tokens'")

    def offsets(self, text: str, prediction: TaggedTokens) -> dict[str, list[tuple[int, int]]]:
        """Tags know where their entities stand."""
        return {label: found or [] for label, found in self.spans(Example(0, text, prediction)).items()}

    def fields_of(self, prediction: TaggedTokens) -> dict[str, list[str]]:
        return {label: list(found) for label, found in self.values(prediction).items()}

    # -- generation: only for a prompted language model ------------------------------------------------------------
    def prompt(self, text: str) -> str:
        return f"Entities ({', '.join(self.fields)}) as JSON, label to list of strings.\nText: {text}\nEntities: "

    def completion(self, target: TaggedTokens) -> str:
        return json.dumps(
            {label: list(found) for label, found in self.values(target).items()}, ensure_ascii=False
        )

    def parse_output(self, raw: str) -> tuple[dict[str, list[str]] | None, str | None]:
        if not raw.strip():
            return None, "empty"
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError):
            return None, "not json"
        if not isinstance(value, dict):
            return None, "not an object"
        if set(value) - set(self.fields):
            return None, "extra keys"
        value = {label: [] if found is None else found for label, found in value.items()}
        if not all(
            isinstance(found, list) and all(isinstance(item, str) for item in found)
            for found in value.values()
        ):
            return None, "wrong type"
        return {label: value.get(label, []) for label in self.fields}, None

    def grammar(self, text: str, constraint: str) -> str:
        raise NotImplementedError("the IT task tags tokens: no variant writes under a grammar")

    def rules(self, text: str) -> TaggedTokens:
        tokens = tuple(text.split())
        return TaggedTokens(tokens, pattern_tags(tokens))

    # -- augmentation -------------------------------------------------------------------------------------------
    def augmenters(
        self, train: list[Example]
    ) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        return {}

    def synthesise(self, train: list[Example], count: int, rng: random.Random) -> list[Example]:
        return []

    def label_weakly(
        self, train: list[Example], settings: dict[str, Any], rng: random.Random
    ) -> list[Example]:
        from helpers.tasks.it_ner.augment import weak_rows

        return weak_rows(train, settings["weak_ratio"], settings["unlabelled"], rng)

    def resample(self, train: list[Example], settings: dict[str, Any], rng: random.Random) -> list[Example]:
        from helpers.tasks.it_ner.augment import oversample

        return oversample(train, settings["oversample"], settings["rare_boost"], rng)

    def augmentation_tables(
        self, train: Sequence[Example], rows: Sequence[Example], validation: Sequence[Example]
    ) -> dict[str, tuple[pd.DataFrame, str]]:
        from helpers.tasks.it_ner.augment import relabelling_table, resampling_table, weak_quality

        finer = relabelling_table(train)
        shown = {
            "relabelling": (
                finer,
                "Finer labels of the source in train, and which of our labels they became.",
            )
        }
        return (shown if len(finer) else {}) | {
            "resampling": (
                resampling_table(train, rows),
                "Entities and sentences before and after, and what each way "
                "brought: copies of sentences with entities, and weakly labelled ones.",
            ),
            "weak_labels": (
                weak_quality(train, validation),
                "How good the weak labels are: the same labelling on validation rows, against their labels.",
            ),
        }

    # -- analysis -----------------------------------------------------------------------------------------------
    def surface_formats(self, example: Example) -> dict[str, str]:
        values = self.values(example.target)
        return {
            "version format": _form(values["VERSION"][0], _NUMBER_FORMS) if values["VERSION"] else "none",
            "error format": _form(values["ERROR"][0], _ERROR_FORMS) if values["ERROR"] else "none",
        }

    def slices(self, example: Example) -> dict[str, str]:
        size, entities = len(example.target.tokens), len(example.target.entities())
        return {
            "length": "short" if size < 10 else "medium" if size < 20 else "long",
            "entities": "none" if not entities else "one" if entities == 1 else "several",
            "casing": "lower case" if example.text == example.text.lower() else "with capitals",
            **({"kind": example.extra["kind"]} if example.extra.get("kind") else {}),
        }

    def perturbations(self) -> dict[str, Callable[[Example, random.Random], Example | None]]:
        from helpers.tasks.it_ner.perturb import perturbations

        return perturbations()


def place_strings(tokens: Sequence[str], found: dict[str, list[str]]) -> tuple[str, ...]:
    """Tags of every place where the tokens spell an entity string; longer strings come first, spaces do not count."""
    tags = ["O"] * len(tokens)
    wanted = sorted(
        ((value, label) for label, values in found.items() for value in values),
        key=lambda pair: (-len(pair[0]), pair),
    )
    for value, label in wanted:
        letters = "".join(value.split())
        for start in range(len(tokens)):
            end, spelt = start, ""
            while end < len(tokens) and len(spelt) < len(letters):
                spelt, end = spelt + tokens[end], end + 1
            if letters and spelt == letters and set(tags[start:end]) == {"O"}:
                tags[start:end] = tags_of([(0, end - start, label)], end - start)
    return tuple(tags)


TASK = ItNer()
