"""What the IT task adds to its labels: file formats, finer labels, a dictionary, weak labels and weights of rows."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from helpers.tasks.base import Hooks, Task
from helpers.tasks.bio import TaggedTokens, label_of, tag_all
from helpers.tasks.it_ner import augment
from helpers.tasks.it_ner.formats import hub_rows, public_rows, rows_of_file
from helpers.tasks.it_ner.gazetteer import build_gazetteer, dictionary_tags, pattern_tags
from helpers.tasks.it_ner.tags import COARSE_LABEL, UNMAPPED, relabel
from helpers.tasks.records import Example

if TYPE_CHECKING:
    import pandas as pd

_NUMBER_FORMS = (("dotted", r"v?\d+(\.\d+)+\S*"), ("number", r"v?\d+"), ("named", r".*"))
_ERROR_FORMS = (
    ("hexadecimal code", r".*\b0x[0-9a-f]+.*"),
    ("number", r".*\b\d{2,}\b.*"),
    ("one name", r"\S+"),
    ("phrase", r".*"),
)


def hooks(task: Task) -> Hooks:
    """Hooks of the task."""

    def surface_formats(example: Example) -> dict[str, str]:
        values = task.values(example.target)
        return {
            "version format": _form(values["VERSION"], _NUMBER_FORMS),
            "error format": _form(values["ERROR"], _ERROR_FORMS),
        }

    return Hooks(
        rules=lambda text: TaggedTokens(tuple(text.split()), pattern_tags(text.split())),
        baselines={"rules": predict_rules, "dictionary": predict_dictionary},
        label_weakly=label_weakly,
        resample=resample,
        augmentation_tables=augmentation_tables,
        surface_formats=surface_formats,
        relabel=our_labels,
        rows_of_file=rows_of_file,
        split_public=split_public,
        split_hub=hub_rows,
    )


def _form(values: Sequence[str], forms: Sequence[tuple[str, str]]) -> str:
    if not values:
        return "none"
    return next(name for name, pattern in forms if re.fullmatch(pattern, values[0], re.IGNORECASE))


def our_labels(tags: Sequence[str], fine: Sequence[str] | None) -> tuple[Sequence[str], Sequence[str] | None]:
    """Tags in our labels, and the finer ones: those given, or the tags if they are the finer kind."""
    labels = {label_of(tag) for tag in tags} - {""}
    if labels and labels <= COARSE_LABEL.keys() | UNMAPPED:
        return relabel(tags), tags
    return tags, fine


def split_public(files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """The published split: train, dev as validation, test."""
    names = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}
    return {part: public_rows(files[name]) for part, name in names.items()}


# -- taggers without training -----------------------------------------------------------------------------------------
def predict_rules(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Error names and codes, names of systems, version numbers: no training row is read."""
    return tag_all(examples, pattern_tags)


def predict_dictionary(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Entities of the train part wherever they stand again, patterns, and versions behind both."""
    gazetteer = build_gazetteer(run.load("train"))
    return tag_all(examples, lambda tokens: dictionary_tags(tokens, gazetteer))


# -- train rows ---------------------------------------------------------------------------------------------------------
def label_weakly(train: list[Example], settings: dict[str, Any], rng: random.Random) -> list[Example]:
    """Text without labels, labelled by the dictionary of train entities and patterns."""
    return augment.weak_rows(train, settings["weak_ratio"], settings["unlabelled"], rng)


def resample(train: list[Example], settings: dict[str, Any], rng: random.Random) -> list[Example]:
    """Copies of sentences with entities, more of those with a rare label."""
    return augment.oversample(train, settings["oversample"], settings["rare_boost"], rng)


def augmentation_tables(
    train: Sequence[Example], rows: Sequence[Example], validation: Sequence[Example]
) -> dict[str, tuple[pd.DataFrame, str]]:
    """What notebook 02 shows: finer labels, numbers before and after, and how good weak labels are."""
    finer = augment.relabelling_table(train)
    shown = {
        "relabelling": (finer, "Finer labels of the source in train, and which of our labels they became.")
    }
    return (shown if len(finer) else {}) | {
        "resampling": (
            augment.resampling_table(train, rows),
            "Entities and sentences before and after, and what each way "
            "brought: copies of sentences with entities, and weakly labelled ones.",
        ),
        "weak_labels": (
            augment.weak_quality(train, validation),
            "How good the weak labels are: the same labelling on validation rows, against their labels.",
        ),
    }
