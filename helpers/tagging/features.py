"""Features of words that an uncased encoder does not see: shape, casing, what train said of them, what rules propose."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from helpers.tagging.encode import Span, tags_of_spans
from helpers.tasks.base import Example, Spans, Task
from helpers.tasks.bio import TaggedTokens, label_of, spans_of
from helpers.tasks.text import normalise

UNKNOWN = 1  # 0 is left for padding and special pieces
SHAPES, LEAST_SHAPE, SHAPE_LENGTH = 120, 5, 8
CASINGS = ("lower", "title", "upper", "mixed", "digits", "other")
SHARES = (0.25, 0.7)  # borders of "seldom", "sometimes", "mostly an entity"
UNLABELLED_RARE, UNLABELLED = 2, 3
FIRST_LABEL = 4
FREQUENT = 3  # occurrences from which a word that was never an entity is known to be none

Counts = list[int]  # occurrences of a word outside entities, then in entities of each label


def shape(word: str) -> str:
    """Form of a word: capitals X, small letters x, digits d, runs cut to two ("Ubuntu" → "Xxx", "22.04" → "dd.dd")."""
    marked = re.sub(r"\d", "d", re.sub(r"[^\W\d_A-Z]", "x", re.sub(r"[A-Z]", "X", word)))
    return re.sub(r"(.)\1+", r"\1\1", marked)[:SHAPE_LENGTH]


def casing(word: str) -> str:
    """One of :data:`CASINGS`."""
    letters = [char for char in word if char.isalpha()]
    if not letters:
        return "digits" if any(char.isdigit() for char in word) else "other"
    if all(char.islower() for char in letters):
        return "lower"
    if all(char.isupper() for char in letters):
        return "upper"
    return "title" if letters[0].isupper() and all(char.islower() for char in letters[1:]) else "mixed"


def count_words(sentences: Iterable[TaggedTokens], labels: Sequence[str]) -> dict[str, Counts]:
    """How often each lower-cased word stood outside and in each label."""
    found: dict[str, Counts] = {}
    for sentence in sentences:
        for word, tag in zip(sentence.tokens, sentence.tags):
            counts = found.setdefault(word.lower(), [0] * (1 + len(labels)))
            counts[0 if tag == "O" else 1 + labels.index(label_of(tag))] += 1
    return found


def gazetteer_value(counts: Counts | None) -> int:
    """What the counts of a word say, as one number.

    :data:`UNKNOWN`; :data:`UNLABELLED_RARE` or :data:`UNLABELLED`; or `FIRST_LABEL + 3 · label + share`, the share being 0, 1
    or 2 as the part of its occurrences with its most frequent label reaches :data:`SHARES`.
    """
    total = sum(counts or ())
    if not total:
        return UNKNOWN
    label = max(range(len(counts) - 1), key=lambda index: (counts[1 + index], -index))
    labelled = counts[1 + label]
    if not labelled:
        return UNLABELLED if total >= FREQUENT else UNLABELLED_RARE
    return FIRST_LABEL + 3 * label + sum(labelled / total >= border for border in SHARES)


@dataclass(frozen=True)
class WordFeatures:
    """Features fitted to training sentences."""

    names: tuple[str, ...] = ()  # `shape` and `casing` together, `gazetteer`, `rules`, or none
    fields: tuple[str, ...] = ()  # the task's labels or fields
    shapes: list[str] = field(default_factory=list)  # frequent ones; others share one value
    gazetteer: dict[str, int] = field(default_factory=dict)  # lower-cased word of train → value
    # tokens whose values are not looked up
    known: dict[tuple[str, ...], list[list[int]]] = field(default_factory=dict)

    @property
    def sizes(self) -> dict[str, int]:
        """Feature → number of its values, padding and unknown counted."""
        known = {
            "shape": 2 + len(self.shapes),
            "casing": 2 + len(CASINGS),
            "gazetteer": FIRST_LABEL + 3 * len(self.fields),
        }
        found = {name: known[name] for name in self.names if name in known}
        return found | {f"rules: {name}": 3 for name in self.fields if "rules" in self.names}

    def values(
        self, task: Task, example: Example, words: Sequence[Span], train: dict[str, Counts] | None = None
    ) -> list[list[int]]:
        """Values of the features of each word of an example, shape (words, features).

        Its label is not read, unless it is a training sentence: that must not find itself in the gazetteer, or training would
        trust it more than unseen text bears out, and is taken from the word counts of all of `train`.
        """
        if not self.names:
            return [[] for _ in words]
        hints: list[list[int]] = [[] for _ in words]
        if "rules" in self.names:
            spans = rule_spans(task, example, words)
            hints = tags_of_spans(words, [spans[name] or [] for name in task.fields]).tolist()
        if self.names == ("rules",):
            return hints
        tokens = example.target.tokens
        if tokens in self.known:
            return self.known[tokens]
        numbers = {form: 2 + index for index, form in enumerate(self.shapes)}
        columns = {
            "shape": [numbers.get(shape(token), UNKNOWN) for token in tokens],
            "casing": [2 + CASINGS.index(casing(token)) for token in tokens],
            "gazetteer": [self.gazetteer.get(token.lower(), UNKNOWN) for token in tokens],
        }
        if train is not None:
            others = {
                word: gazetteer_value([a - b for a, b in zip(train.get(word, counts), counts)])
                for word, counts in count_words([example.target], self.fields).items()
            }
            columns["gazetteer"] = [others[token.lower()] for token in tokens]
        own = zip(*(columns[name] for name in self.names if name in columns))
        return [[*values, *said] for values, said in zip(own, hints)]


def rule_spans(task: Task, example: Example, words: Sequence[Span]) -> Spans:
    """Field → places of what the rules propose; of tokens they are those of the words, which normalising may move."""
    if task.writes:
        return task.spans(Example(0, example.text, task.hooks.rules(example.text)))
    read = ["".join(normalise(token).split()) or "_" for token in example.target.tokens]
    found: dict[str, list[Span]] = {name: [] for name in task.fields}
    for start, end, label in spans_of(task.hooks.rules(" ".join(read)).tags):
        found[label].append((words[start][0], words[end - 1][1]))
    return found


def fit_features(
    task: Task, rows: Sequence[Example], shapes: bool = False, gazetteer: bool = False, hints: bool = False
) -> WordFeatures:
    """The features of training rows, each given once."""
    if not (shapes or gazetteer):
        return WordFeatures(("rules",), task.fields) if hints else WordFeatures()
    sentences = [row.target for row in rows]
    forms = Counter(shape(token) for sentence in sentences for token in sentence.tokens)
    frequent = sorted((-count, form) for form, count in forms.items() if count >= LEAST_SHAPE)
    counts = count_words(sentences, task.fields)
    return WordFeatures(
        ("shape", "casing") * shapes + ("gazetteer",) * gazetteer + ("rules",) * hints,
        task.fields,
        [form for _, form in frequent[:SHAPES]] if shapes else [],
        {word: gazetteer_value(counts[word]) for word in sorted(counts)} if gazetteer else {},
    )
