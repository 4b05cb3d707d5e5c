"""Labelled rows as witnesses: where their values stand, and how they vote on a question of labelling.

A question has train rows that answer it with yes and others that answer it with no. Whether the rest of a text tells
which way its row went is judged by leave-one-out nearest neighbours: a case is *unforeseen* if its label went against
most of the cases whose texts are built most like it. Labels that two annotators wrote each in their own style split a
question too, but there the style foretells the answer, and a model can learn it.
"""
from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from rapidfuzz import fuzz, process

from helpers.metrics import comparable
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.text import word_spans, word_units

MIN_CASES = 5  # fewer labelled rows say nothing about what is usual
NEIGHBOURS = 3  # the least number with a majority that one odd label cannot turn
FREQUENT = 0.05  # share of train rows from which a word counts as part of how a text is built
WINDOW = 12  # words on either side that are compared, so that long reports cost no more than short lines
MAX_CASES = 400  # neighbours are sought among so many cases of a question; the time grows with the square
ARTICLES = frozenset("a an the my our your this that".split())
Votes = tuple[int, int, float]


class Place(NamedTuple):
    """A value in its text: words `first` to `last` (exclusive), its text there, the value itself."""

    first: int
    last: int
    surface: str
    value: str


class Case(NamedTuple):
    """One train row that answers a question: its number, the word where it does, and whether it says yes."""

    row: int
    word: int
    yes: bool


@dataclass(frozen=True)
class Row:
    """A text in words, with the places of its values."""

    text: str
    units: tuple[tuple[int, int], ...]
    words: tuple[str, ...]
    places: dict[str, list[Place]]

    def piece(self, first: int, last: int) -> str:
        """The text of words `first` to `last` (exclusive)."""
        return self.text[self.units[first][0]:self.units[last - 1][1]] if last > first else ""

    def covering(self, first: int, last: int) -> frozenset[str]:
        """Fields that have a value on any of these words."""
        return frozenset(name for name, places in self.places.items()
                         if any(place.first < last and place.last > first for place in places))

    def after(self, words: tuple[str, ...]) -> Iterator[int]:
        """First words after each place where `words` stand; an article there is passed over."""
        for at in range(len(self.words) - len(words)):
            if self.words[at:at + len(words)] == words:
                after = at + len(words)
                while after < len(self.words) - 1 and self.words[after] in ARTICLES:
                    after += 1
                yield after


def abstract(text: str) -> str:
    """Numbers as `#`: "90 mins" → "# mins"."""
    return re.sub(r"\d+(?:[.,]\d+)*", "#", text)


def locate(task: Task, example: Example, target: Any) -> Row:
    """A row with the places of the values of a label or prediction; a value that is not in the text has none."""
    text, units = example.text, word_units(example.text)
    try:
        spans = task.spans(example.with_(target=target)) if target is not None else {}
    except NotImplementedError:
        spans = {}
    places: dict[str, list[Place]] = {}
    for name, values in comparable(task, target).items():
        found = spans.get(name) or []
        pairs = list(zip(found, values)) if len(found) == len(values) else []
        for value in values if not pairs else ():
            free = [span for span in word_spans(value, text, ignore_case=True)
                    if all(span[1] <= low or span[0] >= high for (low, high), _ in pairs)]
            pairs += [(free[0], value)] if free else []
        places[name] = []
        for (start, end), value in pairs:
            inside = [at for at, (low, high) in enumerate(units) if low < end and high > start]
            if inside:
                places[name].append(Place(inside[0], inside[-1] + 1, text[start:end], value))
    return Row(text, units, tuple(text[low:high].casefold() for low, high in units), places)


class Witnesses:
    """Labelled rows that vote on questions.

    Parameters
    ----------
    task : Task
    train : sequence of Example
        Labelled rows; augmented ones are left out, since they repeat the label of the row they were made from.
    scored : sequence of Example
        The rows whose errors are examined. A train row with the text of one of them is left out, so that no label of a
        scored row can be evidence about itself.
    """

    def __init__(self, task: Task, train: Iterable[Example], scored: Sequence[Example] = ()) -> None:
        seen = {row.text for row in scored}
        self.task = task
        self.rows = [locate(task, row, row.target) for row in train if row.origin == "gold" and row.text not in seen]
        self._with: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(self.rows):
            for word in dict.fromkeys(row.words):
                self._with[word].append(number)
        least = max(2, FREQUENT * len(self.rows))
        self._frequent = {word for word, rows in self._with.items() if len(rows) >= least}
        self._cases: dict[tuple, list[Case]] = {}
        self._unforeseen: dict[tuple, float] = {}
        self._shape_of: dict[tuple[int, int], str] = {}

    def shape(self, row: Row, word: int) -> str:
        """How the text around a word is built: frequent words stay, others become `A` or `a`, numbers `#`."""
        marks = []
        for at in range(max(0, word - WINDOW), min(len(row.words), word + WINDOW + 1)):
            start, end = row.units[at]
            following = row.units[at + 1][0] if at + 1 < len(row.units) else len(row.text)
            plain = abstract(row.words[at])
            known = plain != row.words[at] or row.words[at] in self._frequent
            mark = plain if known else "A" if row.text[start].isupper() else "a"
            marks.append(mark + row.text[end:following].strip())
        return " ".join(marks)

    def tally(self, key: tuple, find: Callable[[], Iterable[Case]]) -> Votes:
        """(cases that say yes, cases that say no, unforeseen cases) of a question; a row has one vote."""
        if key not in self._cases:
            self._cases[key] = list({case.row: case for case in reversed(list(find()))}.values())[::-1]
            self._unforeseen[key] = self._against_neighbours(self._cases[key])
        yes = sum(case.yes for case in self._cases[key])
        return yes, len(self._cases[key]) - yes, self._unforeseen[key]

    def _shapes(self, cases: Sequence[Case]) -> list[str]:
        for case in cases:
            if (case.row, case.word) not in self._shape_of:
                self._shape_of[case.row, case.word] = self.shape(self.rows[case.row], case.word)
        return [self._shape_of[case.row, case.word] for case in cases]

    @staticmethod
    def _vote(alike: np.ndarray, cases: Sequence[Case]) -> np.ndarray:
        """What most of the nearest cases say, from similarities (shapes, cases)."""
        nearest = np.argsort(-alike, axis=1, kind="stable")[:, :NEIGHBOURS]
        return np.array([case.yes for case in cases])[nearest].mean(axis=1) > 0.5

    def _against_neighbours(self, cases: list[Case]) -> float:
        if len(cases) < MIN_CASES or len({case.yes for case in cases}) < 2:
            return 0.0
        kept = [cases[at] for at in np.linspace(0, len(cases) - 1, min(len(cases), MAX_CASES)).astype(int)]
        shapes = self._shapes(kept)
        alike = process.cdist(shapes, shapes, scorer=fuzz.ratio, workers=1)
        np.fill_diagonal(alike, -1)
        wrong = np.array([case.yes for case in kept]) != self._vote(alike, kept)
        return float(wrong.sum()) * len(cases) / len(kept)

    def foretells(self, key: tuple, row: Row, word: int) -> bool | None:
        """What most of the train rows say that answer a question and are built most like this row; None if few do."""
        cases = self._cases[key]
        if len(cases) < MIN_CASES:
            return None
        alike = process.cdist([self.shape(row, word)], self._shapes(cases), scorer=fuzz.ratio, workers=1)
        return bool(self._vote(alike, cases)[0])

    def widest_needed(self, levels: Iterable[tuple[str, tuple, Callable[[], Iterable[Case]]]]
                      ) -> tuple[str, tuple, Votes]:
        """(text, key, votes) of the first level with enough cases, or else of the one with most."""
        best: tuple[str, tuple, Votes] = ("", (), (0, 0, 0.0))
        for about, key, find in levels:
            votes = self.tally(key, find)
            if not best[0] or sum(votes[:2]) > sum(best[2][:2]):
                best = about, key, votes
            if sum(votes[:2]) >= MIN_CASES:
                break
        return best

    def rows_with(self, words: Iterable[str]) -> list[tuple[int, Row]]:
        """Rows that have all the words somewhere."""
        common = set.intersection(*(set(self._with.get(word, ())) for word in words))
        return [(number, self.rows[number]) for number in sorted(common)]
