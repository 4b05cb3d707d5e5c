"""What train entities and surface patterns say about unseen tokens: the dictionary baseline and weak labels."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from helpers.tasks.bio import Span, spans_of, tags_of
from helpers.tasks.records import Example

LONGEST = 6  # tokens of a gazetteer entry
Key = tuple[str, ...]

_DOTTED = re.compile(r"[vV]?\d+(?:\.\d+)+(?:[.-]?(?:alpha|beta|rc|a|b|r|p|LTS)?\d*)?(?:\.x)?", re.IGNORECASE)
_NUMBER = re.compile(r"[vV]?\d{1,4}(?:\.x)?")
_ERROR_NAME = re.compile(
    r"(?:\w+(?:\.|::))*[A-Z]\w*(?:Exception|Error|Warning|Fault)"
    r"|SIG(?:SEGV|ABRT|KILL|BUS|ILL|FPE|TERM)"
    r"|E(?:ACCES|NOENT|PERM|INVAL|CONNREFUSED|CONNRESET|TIMEDOUT|ADDRINUSE|PIPE)"
    r"|(?:ERR|ERROR|STATUS)(?:_[A-Z0-9]+)+|ORA-\d{5}"
)
_ERROR_CODE = re.compile(r"0x[0-9A-Fa-f]{4,8}")
_STATUS = re.compile(r"[45]\d\d")
_SYSTEMS = {
    "windows",
    "macos",
    "linux",
    "ubuntu",
    "debian",
    "fedora",
    "centos",
    "android",
    "ios",
    "ipados",
    "freebsd",
    "openbsd",
    "rhel",
    "opensuse",
    "chromeos",
    "solaris",
    "unix",
}
_TAKES_VERSION = ("SOFTWARE", "OS")


# -- patterns ---------------------------------------------------------------------------------------------------------
def pattern_spans(tokens: Sequence[str]) -> list[Span]:
    """Entities that their form alone gives away: error names and codes, system names, dotted versions.

    A bare number is a version only after a name that takes one, see :func:`version_spans`.
    """
    spans: list[Span] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1].lower() if index else ""
        if _ERROR_NAME.fullmatch(token) or _ERROR_CODE.fullmatch(token):
            spans.append((index, index + 1, "ERROR"))
        elif _STATUS.fullmatch(token) and before in ("http", "error", "status"):
            spans.append((index - 1, index + 1, "ERROR"))
        elif token.lower() in _SYSTEMS and token[0].isupper():
            spans.append((index, index + 1, "OS"))
        elif _DOTTED.fullmatch(token) and token.count(".") < 4 and before not in ("=", "+", "*", "<", ">"):
            spans.append((index, index + 1, "VERSION"))
    return without_overlap(spans)


def version_spans(tokens: Sequence[str], spans: Sequence[Span]) -> list[Span]:
    """Numbers right behind an entity that takes a version ("Python 3", "Windows 10") or behind the word `version`."""
    ends = {end: label for _, end, label in spans}
    taken = {index for start, end, _ in spans for index in range(start, end)}
    found: list[Span] = []
    for index, token in enumerate(tokens):
        follows = ends.get(index) in _TAKES_VERSION or (
            index and tokens[index - 1].lower() in ("version", "v")
        )
        if index not in taken and follows and (_NUMBER.fullmatch(token) or _DOTTED.fullmatch(token)):
            found.append((index, index + 1, "VERSION"))
    return found


def without_overlap(spans: Sequence[Span]) -> list[Span]:
    """Spans in reading order; of two that overlap the longer one stays, or else the first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda s: (s[0] - s[1], s[0], s[2])):
        if all(span[1] <= start or end <= span[0] for start, end, _ in kept):
            kept.append(span)
    return sorted(kept)


# -- entities of the training rows ------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Gazetteer:
    """Entity strings of training rows.

    Parameters
    ----------
    entries : dict
        Lower-cased tokens → (label most often given, how often they stand for an entity of that label, how often the
        tokens stand in the text at all).
    """

    entries: dict[Key, tuple[str, int, int]]

    def spans(self, tokens: Sequence[str], least_share: float, least_count: int = 1) -> list[Span]:
        """Longest entries in the tokens, left to right.

        Parameters
        ----------
        tokens : sequence of str
        least_share : float
            Smallest share of an entry's occurrences that have its label.
        least_count : int
            Smallest number of occurrences with its label.
        """
        lower, spans, index = [token.lower() for token in tokens], [], 0
        while index < len(lower):
            for size in range(min(LONGEST, len(lower) - index), 0, -1):
                label, labelled, total = self.entries.get(tuple(lower[index : index + size]), ("", 0, 1))
                if label and labelled >= least_count and labelled / total >= least_share:
                    spans.append((index, index + size, label))
                    break
            else:
                size = 1
            index += size
        return spans


def build_gazetteer(train: Sequence[Example]) -> Gazetteer:
    """The gazetteer of labelled rows; version numbers are left to the patterns."""
    labels: dict[Key, Counter[str]] = {}
    for example in train:
        tokens = [token.lower() for token in example.target.tokens]
        for start, end, label in spans_of(example.target.tags):
            if end - start <= LONGEST and label != "VERSION":
                labels.setdefault(tuple(tokens[start:end]), Counter())[label] += 1
    totals: Counter[Key] = Counter()
    for example in train:
        tokens = [token.lower() for token in example.target.tokens]
        totals.update(
            key
            for size in range(1, LONGEST + 1)
            for at in range(len(tokens) - size + 1)
            if (key := tuple(tokens[at : at + size])) in labels
        )
    best = {key: min(counts.items(), key=lambda item: (-item[1], item[0])) for key, counts in labels.items()}
    return Gazetteer({key: (label, count, totals[key]) for key, (label, count) in best.items()})


def dictionary_tags(
    tokens: Sequence[str], gazetteer: Gazetteer, least_share: float = 0.5, least_count: int = 1
) -> tuple[str, ...]:
    """Tags by the gazetteer, the patterns where it says nothing, and versions behind what both found."""
    found = gazetteer.spans(tokens, least_share, least_count)
    taken = {index for start, end, _ in found for index in range(start, end)}
    found += [span for span in pattern_spans(tokens) if taken.isdisjoint(range(span[0], span[1]))]
    return tags_of(found + version_spans(tokens, found), len(tokens))


def pattern_tags(tokens: Sequence[str]) -> tuple[str, ...]:
    """Tags by the patterns alone."""
    found = pattern_spans(tokens)
    return tags_of(found + version_spans(tokens, found), len(tokens))
