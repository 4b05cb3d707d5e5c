"""Taggers of the IT task without training: patterns, and the dictionary of train entities."""
from __future__ import annotations

from collections.abc import Sequence

from helpers.run import Run
from helpers.tasks.it_ner_gazetteer import build_gazetteer, dictionary_tags, pattern_tags
from helpers.tasks.records import Example
from helpers.token_baselines import Records, tag_all


def predict_rules(run: Run, examples: Sequence[Example]) -> Records:
    """Error names and codes, names of systems, version numbers: no training row is read."""
    return tag_all(examples, pattern_tags)


def predict_dictionary(run: Run, examples: Sequence[Example]) -> Records:
    """Entities of the train part wherever they stand again, patterns, and versions behind both."""
    gazetteer = build_gazetteer(run.load("train"))
    return tag_all(examples, lambda tokens: dictionary_tags(tokens, gazetteer))
