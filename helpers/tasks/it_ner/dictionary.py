"""The IT task without training: surface patterns, the dictionary of train entities, and what both say as weak labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from helpers.tasks import tag_task
from helpers.tasks.base import Example
from helpers.tasks.bio import Span, TaggedTokens, tag_all, tags_of, words_of_text

_DOTTED = re.compile(r"[vV]?\d+(?:\.\d+)+(?:[.-]?(?:alpha|beta|rc|a|b|r|p|LTS)?\d*)?(?:\.x)?", re.IGNORECASE)
_NUMBER = re.compile(r"[vV]?\d{1,4}(?:\.x)?")
_ERROR = re.compile(
    r"(?:\w+(?:\.|::))*[A-Z]\w*(?:Exception|Error|Warning|Fault)"
    r"|SIG(?:SEGV|ABRT|KILL|BUS|ILL|FPE|TERM)"
    r"|E(?:ACCES|NOENT|PERM|INVAL|CONNREFUSED|CONNRESET|TIMEDOUT|ADDRINUSE|PIPE)"
    r"|(?:ERR|ERROR|STATUS)(?:_[A-Z0-9]+)+|ORA-\d{5}|0x[0-9A-Fa-f]{4,8}"
)
_STATUS = re.compile(r"[45]\d\d")
_SYSTEMS = frozenset(
    "windows macos linux ubuntu debian fedora centos android ios ipados freebsd openbsd rhel opensuse chromeos "
    "solaris unix".split()
)
_TAKES_VERSION = ("SOFTWARE", "OS")
_MODEL = re.compile(
    r"(?=.*\d)(?!\d+\.)[\w+-]+|Pro|Max|Plus|Mini|mini|Ultra|Air|Carbon|Gen|SE|XL|Ti|Super|Tiny|[A-Z]"
)
LONGEST_MODEL = 4  # tokens behind a series
_MODEL_OF_BRAND = re.compile(r"(?=.*\d)(?=.*[A-Z])[\w-]+")


# -- patterns ---------------------------------------------------------------------------------------------------------
def pattern_spans(tokens: Sequence[str]) -> list[Span]:
    """Entities that their form alone gives away: error names and codes, system names, dotted versions.

    A bare number is a version only after a name that takes one, see :func:`version_spans`.
    """
    spans: list[Span] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1].lower() if index else ""
        if _ERROR.fullmatch(token):
            spans.append((index, index + 1, "ERROR"))
        elif _STATUS.fullmatch(token) and before in ("http", "error", "status"):
            spans.append((index - 1, index + 1, "ERROR"))
        elif token.lower() in _SYSTEMS and token[0].isupper():
            spans.append((index, index + 1, "OS"))
        elif _DOTTED.fullmatch(token) and token.count(".") < 4 and before not in ("=", "+", "*", "<", ">"):
            spans.append((index, index + 1, "VERSION"))
    return spans


def version_spans(tokens: Sequence[str], spans: Sequence[Span]) -> list[Span]:
    """Numbers right behind an entity that takes a version ("Python 3", "Windows 10") or behind the word `version`."""
    ends = {end: label for _, end, label in spans}
    taken = {index for start, end, _ in spans for index in range(start, end)}
    return [
        (index, index + 1, "VERSION")
        for index, token in enumerate(tokens)
        if index not in taken
        and (_NUMBER.fullmatch(token) or _DOTTED.fullmatch(token))
        and (ends.get(index) in _TAKES_VERSION or tokens[max(0, index - 1)].lower() in ("version", "v"))
    ]


def with_patterns(tokens: Sequence[str], spans: Sequence[Span]) -> tuple[str, ...]:
    """Tags of spans, of the patterns where these say nothing, and of versions behind what both found."""
    taken = {index for start, end, _ in spans for index in range(start, end)}
    found = [*spans, *(one for one in pattern_spans(tokens) if taken.isdisjoint(range(one[0], one[1])))]
    return tags_of([*found, *version_spans(tokens, found)], len(tokens))


# -- names of the trade -----------------------------------------------------------------------------------------------
class Phrases(dict[tuple[str, ...], str]):
    """Tokens of a name → its label."""

    def __init__(self, pairs: Iterable[tuple[tuple[str, ...], str]]):
        super().__init__(pairs)
        self.sizes: dict[str, list[int]] = {}  # of the names that begin with a token, the longest first
        for key in sorted(self, key=lambda key: -len(key)):
            self.sizes.setdefault(key[0], []).append(len(key))

    def end(self, tokens: Sequence[str], at: int) -> int:
        """Where the longest name that starts at a token ends; `at` itself where none does."""
        ends = [at + size for size in self.sizes.get(tokens[at], ())] if at < len(tokens) else []
        return next((end for end in ends if end <= len(tokens) and tuple(tokens[at:end]) in self), at)


class Names(NamedTuple):
    """The names of `names.yaml`."""

    any_case: Phrases  # lower-cased
    as_written: Phrases
    series: Phrases
    brands: Phrases


@lru_cache(maxsize=1)
def known_names() -> Names:
    """The names, read once."""
    document = yaml.safe_load(Path(__file__).with_name("names.yaml").read_text(encoding="utf-8"))

    def phrases(part: str, change: Callable[[str], str] = str) -> Phrases:
        listed = [(name, label) for label in document for name in document[label].get(part, "").split(",")]
        return Phrases((tuple(words_of_text(change(name))), label) for name, label in listed if name.strip())

    return Names(phrases("any_case", str.lower), *map(phrases, ("as_written", "series", "brands")))


def _hardware_end(tokens: Sequence[str], lower: Sequence[str], at: int) -> int:
    """Where a series with its model or a brand with its thing ends: "Dell Latitude 7440", "Epson projector"."""
    names = known_names()
    brand = names.brands.end(tokens, at)
    series = end = names.series.end(tokens, brand)
    if series == brand:  # no series stands there
        thing = names.any_case.end(lower, brand)
        if brand == at or names.any_case.get(tuple(lower[brand:thing])) == "HARDWARE":
            return thing if brand > at else at
        if brand == len(tokens) or not _MODEL_OF_BRAND.fullmatch(tokens[brand]):
            return at
    while end < min(len(tokens), series + LONGEST_MODEL) and _MODEL.fullmatch(tokens[end]):
        end += 1
    return end


def name_spans(tokens: Sequence[str]) -> list[Span]:
    """Names of the trade in the tokens, the longest from left to right."""
    names, lower, spans, at = known_names(), [token.lower() for token in tokens], [], 0
    while at < len(tokens):
        ends = {"HARDWARE": _hardware_end(tokens, lower, at)}
        for known, words in ((names.any_case, lower), (names.as_written, tokens)):
            end = known.end(words, at)
            # with a capital the first word of a sentence may be any word
            if end > at and (at or known is names.any_case):
                label = known[tuple(words[at:end])]
                ends[label] = max(end, ends.get(label, at))
        label, end = max(ends.items(), key=lambda pair: (pair[1], pair[0]))
        spans += [(at, end, label)] * (end > at)
        at = max(end, at + 1)
    return spans


def rule_tags(tokens: Sequence[str]) -> tuple[str, ...]:
    """Tags by names and patterns."""
    return with_patterns(tokens, name_spans(tokens))


def rules(text: str) -> TaggedTokens:
    """What names and patterns find in a text of tokens with spaces between them: no training row is read."""
    tokens = tuple(text.split())
    return TaggedTokens(tokens, rule_tags(tokens))


# -- entities of the training rows ------------------------------------------------------------------------------------
class Dictionary(tag_task.Dictionary):
    """Entity strings of training rows; version numbers are left to the patterns."""

    left_out = ("VERSION",)

    def tags(self, tokens: Sequence[str], least_share: float = 0.5) -> tuple[str, ...]:
        """Tags by the entries, the patterns where these say nothing, and versions behind what both found."""
        return with_patterns(tokens, self.spans(tokens, least_share))


# -- baselines --------------------------------------------------------------------------------------------------------
def predict_rules(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Names of the trade, error names and codes, version numbers."""
    return tag_all(examples, rule_tags)


def predict_dictionary(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Entities of the train part wherever they stand again, patterns, and versions behind both."""
    return tag_all(examples, Dictionary(run.load("train")).tags)
