"""Questions of labelling that an error poses, put to the labels of train.

Three kinds of question set a label and a prediction apart: an **edge** (does the value keep "Schedule a"?), the
**writing** (is "1hr" written as it stands or as "1 hour"?), and the **field** (is "Zoom" the location or part of the
action?). :class:`TrainLabels` asks for the very words first and goes on to something wider (a single word, the words
before it) only where too few rows have these.
"""
from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from helpers.label_votes import ARTICLES, Case, Place, Row, Votes, Witnesses, abstract

EDGE, WRITING, FIELD = "edge", "writing", "field"
EDGE_WORDS = 4  # at most so many words count as "left out without a change of meaning"
JOINTS = ",;: "  # between two words of a value; they go when the word after them goes


@dataclass(frozen=True)
class Question:
    """A question that one error poses, with the votes of train.

    Parameters
    ----------
    kind : str
        `edge`, `writing` or `field`; empty where no question could be put to train.
    about : str
        What is asked, for a reader.
    label, prediction : str
        How each of the two answers it.
    as_label, as_prediction : int
        Train rows that are labelled like the one and like the other.
    unforeseen : float
        How many of these cases went against most of the three cases whose texts are built most alike.
    foretold : bool or None
        Whether the cases built most like this row are labelled as it is; None where there are too few cases.
    """

    kind: str = ""
    about: str = ""
    label: str = ""
    prediction: str = ""
    as_label: int = 0
    as_prediction: int = 0
    unforeseen: float = 0.0
    foretold: bool | None = None


def _case_of(surface: str, value: str) -> str:
    """How the capitals of a value follow from those of its place in the text."""
    forms = {"as in the text": surface, "lower case": surface.lower(), "capital": surface[:1].upper() + surface[1:],
             "capitals": surface.title()}
    return next((name for name, form in forms.items() if form == value), "other capitals")


def _trim(value: str, before: str, after: str) -> str | None:
    """The value without the words at its edges; None where it does not begin or end with them."""
    words, head, tail = value.split(), before.split(), after.split()
    rest = words[len(head):len(words) - len(tail)]
    edges, wanted = ([word.casefold().strip(JOINTS) for word in some] for some in (
        words[:len(head)] + words[len(words) - len(tail):], head + tail))
    return " ".join(rest).rstrip(JOINTS if tail else "") if rest and edges == wanted else None


class TrainLabels(Witnesses):
    """The labels of train rows, ready to be asked."""

    def _question(self, kind: str, about: str, key: tuple, votes: Votes, at: tuple[Row, int], label_says_yes: bool,
                  yes: str, no: str) -> Question:
        ways, counts = ((yes, no), votes[:2]) if label_says_yes else ((no, yes), votes[1::-1])
        alike = self.foretells(key, *at)
        return Question(kind, about, *ways, *counts, votes[2], None if alike is None else alike == label_says_yes)

    # -- edges --------------------------------------------------------------------------------------------------------
    def edge(self, name: str, side: str, row: Row, first: int, last: int, label_keeps: bool,
             same_meaning: bool) -> Question:
        """Do values of a field keep words `first` to `last` of this row at their `side` (start or end)?"""
        words, start = row.words[first:last], side == "start"
        outer = words[:1] if start else words[-1:]

        def touching(wanted: tuple[str, ...], reach: int) -> Iterator[Case]:
            size = len(wanted)
            for number, other in self.rows_with(wanted):
                for place in other.places[name]:
                    inner = other.words[place.first:place.first + size] if start else \
                        other.words[place.last - size:place.last]
                    near = other.words[max(0, place.first - reach):place.first] if start else \
                        other.words[place.last:place.last + reach]
                    if inner == wanted and place.last - place.first > size:
                        yield Case(number, place.first, True)
                    elif near == wanted or (size == 1 and wanted[0] in near):
                        yield Case(number, place.first, False)

        levels = [(f"“{' '.join(words)}” at the {side}", (EDGE, name, side, words),
                   lambda: touching(words, len(words)))]
        if len(words) > 1:
            levels.append((f"“{outer[0]}” and what goes with it at the {side}", (EDGE, name, side, outer, len(words)),
                           lambda: touching(outer, len(words))))
        if same_meaning:
            levels.append((f"words without a meaning of their own at the {side}", (EDGE, name, side),
                           lambda: self._meaningless(name, start)))
        at = row, (first if label_keeps else last) if start else first
        return self._question(EDGE, *self.widest_needed(levels), at, label_keeps, "keeps", "drops")

    def _meaningless(self, name: str, start: bool) -> Iterator[Case]:
        """Values that keep, or drop, words at an edge without which they mean the same to the task."""
        for number, row in enumerate(self.rows):
            for place in row.places[name]:
                whole = row.piece(place.first, place.last)
                for size in range(1, EDGE_WORDS + 1):
                    less = (place.first + size, place.last) if start else (place.first, place.last - size)
                    more = (place.first - size, place.last) if start else (place.first, place.last + size)
                    if less[0] < less[1] and self.task.equivalent(name, whole, row.piece(*less)):
                        yield Case(number, place.first, True)
                        break
                    if 0 <= more[0] and more[1] <= len(row.words) and self.task.equivalent(
                            name, row.piece(*more), whole):
                        yield Case(number, place.first, False)
                        break

    # -- writing ------------------------------------------------------------------------------------------------------
    def writing(self, name: str, row: Row, word: int, surface: str, label: str, prediction: str) -> Question:
        """Are values of a field that stand as `surface` in the text written like the label or like the prediction?"""
        parts = [surface.split(), label.split(), prediction.split()]
        for end in (0, -1):
            while all(parts) and len({words[end] for words in parts}) == 1:
                for words in parts:
                    words.pop(end)
        only_case = label.casefold() == prediction.casefold()
        stands, ours, theirs = (abstract(" ".join(words)) for words in parts)
        fold = (lambda text: text) if only_case else str.casefold
        if not stands or fold(ours) == fold(theirs):
            return Question()
        wanted = stands.casefold().split()

        def rewritten() -> Iterator[Case]:
            for number, other in enumerate(self.rows):
                for place in other.places[name]:
                    words = abstract(place.surface).casefold().split()
                    at = next((at for at in range(len(words)) if words[at:at + len(wanted)] == wanted), None)
                    if at is None:
                        continue
                    whole = place.surface.split()
                    middle = _trim(place.value, " ".join(whole[:at]), " ".join(whole[at + len(wanted):]))
                    way = fold(abstract(middle)) if middle else ""
                    if way in (fold(ours), fold(theirs)):
                        yield Case(number, place.first, way == fold(ours))

        ways = _case_of(surface, label), _case_of(surface, prediction)

        def recased() -> Iterator[Case]:
            for number, other in enumerate(self.rows):
                for place in other.places[name]:
                    if place.surface.casefold() == place.value.casefold() and \
                            place.surface[:1].isupper() == surface[:1].isupper():
                        way = _case_of(place.surface, place.value)
                        if way in ways:
                            yield Case(number, place.first, way == ways[0])

        levels = [(f"the writing of “{stands}”", (WRITING, name, stands.casefold(), ours, theirs), rewritten)]
        if only_case and ways[0] != ways[1]:
            begins = "capital" if surface[:1].isupper() else "small letter"
            levels.append((f"capitals where the text has a {begins}", (WRITING, name, begins, *ways), recased))
        about, key, votes = self.widest_needed(levels)
        return self._question(WRITING, about, key, votes, (row, word), True, *(key[-2:]))

    # -- field --------------------------------------------------------------------------------------------------------
    def field(self, name: str, row: Row, first: int, last: int, inside: bool, others: frozenset[str],
              prediction: Row) -> Question:
        """Are words like `first` to `last` of this row in field `name`, or rather in exactly the `others`?

        `inside` tells which of the two the label says. What stands before the words is a cue ("via Zoom") only if it
        lies outside the values: in "grab coffee downtown" the coffee says nothing about the place.
        """
        words, before = row.words[first:last], first
        while before and row.words[before - 1] in ARTICLES:
            before -= 1
        inner = before and all(one.covering(before - 1, before) for one in (row, prediction))

        def vote(number: int, start: int, end: int) -> Iterator[Case]:
            fields = self.rows[number].covering(start, end)
            if name in fields or fields == others:
                yield Case(number, start, name in fields)

        def standing(wanted: tuple[str, ...]) -> Iterator[Case]:
            for number, other in self.rows_with(wanted):
                for at in range(len(other.words) - len(wanted) + 1):
                    if other.words[at:at + len(wanted)] == wanted:
                        yield from vote(number, at, at + len(wanted))

        def following(cue: tuple[str, ...]) -> Iterator[Case]:
            for number, other in self.rows_with(cue):
                for at in other.after(cue):
                    yield from vote(number, at, at + 1)

        key = (FIELD, name, others)
        levels = [(f"“{' '.join(words)}”", (*key, words), lambda: standing(words))]
        if len(words) > 1:
            levels.append((f"what ends in “{words[-1]}”", (*key, words[-1:]), lambda: standing(words[-1:])))
        for size in (2, 1):
            cue = row.words[before - size:before] if before >= size and not inner else ()
            if cue:
                levels.append((f"what follows “{' '.join(cue)}”", (*key, "after", cue), lambda cue=cue: following(cue)))
        return self._question(FIELD, *self.widest_needed(levels), (row, first), inside, name,
                              " and ".join(sorted(others)) or "no field")

    # -- one error ----------------------------------------------------------------------------------------------------
    def questions(self, name: str, label: Row, prediction: Row, wanted: Sequence[str],
                  found: Sequence[str]) -> list[Question]:
        """What sets the label and the prediction of one field apart; a question without a kind cannot be put."""
        lacking = list((Counter(wanted) - Counter(found)).elements())
        extra = list((Counter(found) - Counter(wanted)).elements())
        ours, theirs = ([next((p for p in row.places[name] if p.value == value), Place(0, 0, "", value))
                         for value in values] for row, values in ((label, lacking), (prediction, extra)))
        asked: list[Question] = []
        for left in list(ours):
            right = next((p for p in theirs if left.first < p.last and p.first < left.last), None) or next(
                (p for p in theirs if (left.surface or p.surface) and not (left.surface and p.surface)
                 and self.task.equivalent(name, left.value, p.value)), None)
            if right:
                ours.remove(left)
                theirs.remove(right)
                asked += self._pair(name, label, left, right)
        for place, inside in [(p, True) for p in ours] + [(p, False) for p in theirs]:
            covered = [row.covering(place.first, place.last) for row in (label, prediction)]
            if not place.surface or (name in covered[0]) == (name in covered[1]):
                asked.append(Question())
            else:
                others = covered[1] if inside else covered[0]
                asked.append(self.field(name, label, place.first, place.last, inside, others, prediction))
        return asked or [Question()]

    def _pair(self, name: str, row: Row, left: Place, right: Place) -> list[Question]:
        """Questions between two values on the same words: the edges that differ, then the writing of what is shared."""
        if not (left.surface and right.surface):
            known = left if left.surface else right
            return [self.writing(name, row, known.first, known.surface, left.value, right.value)]
        first, last = max(left.first, right.first), min(left.last, right.last)
        same = self.task.equivalent(name, left.value, right.value)
        asked, rest = [], []
        if left.first != right.first:
            asked.append(self.edge(name, "start", row, min(left.first, right.first), first,
                                   left.first < right.first, same))
        if left.last != right.last:
            asked.append(self.edge(name, "end", row, last, max(left.last, right.last), left.last > right.last, same))
        for place in (left, right):
            before = row.text[row.units[place.first][0]:row.units[first][0]]
            after = row.text[row.units[last - 1][1]:row.units[place.last - 1][1]]
            rest.append(_trim(place.value, before, after.lstrip(JOINTS)))
        if None in rest:
            return [*asked, Question()]
        if not asked or rest[0] != rest[1]:
            surface = row.piece(first, last) if asked else left.surface
            asked.append(self.writing(name, row, first, surface, *rest))
        return asked
