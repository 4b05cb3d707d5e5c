"""Taggers of the IT task without training: patterns, and the dictionary of train entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helpers.tasks.bio import tag_all
from helpers.tasks.it_ner.gazetteer import build_gazetteer, dictionary_tags, pattern_tags
from helpers.tasks.records import Example


def predict_rules(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Error names and codes, names of systems, version numbers: no training row is read."""
    return tag_all(examples, pattern_tags)


def predict_dictionary(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Entities of the train part wherever they stand again, patterns, and versions behind both."""
    gazetteer = build_gazetteer(run.load("train"))
    return tag_all(examples, lambda tokens: dictionary_tags(tokens, gazetteer))
