"""The IT task without training: surface patterns, the dictionary of train entities, and what both say as weak labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from helpers.tasks import tag_task
from helpers.tasks.base import Example
from helpers.tasks.bio import Span, TaggedTokens, tag_all, tags_of

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


def pattern_tags(tokens: Sequence[str]) -> tuple[str, ...]:
    """Tags by the patterns alone."""
    found = pattern_spans(tokens)
    return tags_of(found + version_spans(tokens, found), len(tokens))


def rules(text: str) -> TaggedTokens:
    """What the patterns find in a text of tokens with spaces between them: no training row is read."""
    tokens = tuple(text.split())
    return TaggedTokens(tokens, pattern_tags(tokens))


# -- entities of the training rows ------------------------------------------------------------------------------------
class Dictionary(tag_task.Dictionary):
    """Entity strings of training rows; version numbers are left to the patterns."""

    left_out = ("VERSION",)

    def tags(self, tokens: Sequence[str], least_share: float = 0.5) -> tuple[str, ...]:
        """Tags by the entries, the patterns where these say nothing, and versions behind what both found."""
        found = self.spans(tokens, least_share)
        taken = {index for start, end, _ in found for index in range(start, end)}
        found += [span for span in pattern_spans(tokens) if taken.isdisjoint(range(span[0], span[1]))]
        return tags_of(found + version_spans(tokens, found), len(tokens))


# -- baselines --------------------------------------------------------------------------------------------------------
def predict_rules(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Error names and codes, names of systems, version numbers."""
    return tag_all(examples, pattern_tags)


def predict_dictionary(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Entities of the train part wherever they stand again, patterns, and versions behind both."""
    return tag_all(examples, Dictionary(run.load("train")).tags)
