"""Tasks that give each token of a text a BIO tag: everything follows from the labels."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any, ClassVar

from pydantic import StrictStr, create_model

from helpers.tasks import variation
from helpers.tasks.base import Example, Hooks, Spans, Task, Values, Words
from helpers.tasks.bio import (
    TaggedTokens,
    check_syntax,
    label_of,
    spans_of,
    tag_all,
    tags_of,
    to_iob2,
    untagged,
    words_of_text,
)
from helpers.tasks.chat import STRICT, Chat
from helpers.tasks.fields import Place, Span
from helpers.tasks.rows import Rows
from helpers.tasks.text import normalise


class TagRows(Rows):
    """Rows of tokens and their tags; a row may bring finer tags and say what kind of text it is."""

    model = create_model(
        "Row",
        __config__=STRICT,
        tokens=(list[StrictStr], ...),
        ner_tags=(list[StrictStr], ...),
        fine_tags=(list[StrictStr] | None, None),
        kind=(StrictStr | None, None),
    )

    def wanted(self, where: tuple[Any, ...]) -> tuple[tuple[Any, ...], str]:
        return where[:1], "a string" if where[0] == "kind" else "a list of strings"

    def parse(self, row: dict[str, Any], index: int) -> Example:
        checked = self.checked(row)
        tokens, tags, fine = checked["tokens"], checked["ner_tags"], checked["fine_tags"]
        for name, given in (("ner_tags", tags), ("fine_tags", fine)):
            if given is not None and len(given) != len(tokens):
                raise ValueError(f"{len(tokens)} tokens but {len(given)} {name}")
            check_syntax(given or ())
        # a no-break space alone is a token, as files have it
        blank = next((token for token in tokens if not token or token.split() not in ([], [token])), None)
        if blank is not None:
            raise ValueError(f"token {blank!r} is empty or holds a space")
        if self.task.hooks.relabel:
            tags, fine = self.task.hooks.relabel(tags, fine)
        if unknown := sorted({label_of(tag) for tag in tags} - {"", *self.task.fields}):
            raise ValueError(f"unknown label {unknown[0]!r}: choose from {', '.join(self.task.fields)}")
        extra = {"row": row, "fine_tags": None if fine is None else to_iob2(fine), "kind": checked["kind"]}
        return Example(
            index, normalise(" ".join(tokens)), TaggedTokens(tuple(tokens), to_iob2(tags)), extra=extra
        )

    def write(self, example: Example) -> dict[str, Any]:
        row: dict[str, Any] = {"tokens": list(example.target.tokens), "ner_tags": list(example.target.tags)}
        fine, kind = example.extra.get("fine_tags"), example.extra.get("kind")
        return row | ({"fine_tags": list(fine)} if fine else {}) | ({"kind": kind} if kind else {})

    def text_of(self, row: dict[str, Any]) -> str:
        """A text under `text`, or the tokens of a row of the input files."""
        text, tokens = row.get("text"), row.get("tokens")
        if isinstance(text, str):
            return text
        if isinstance(tokens, list) and all(isinstance(token, str) for token in tokens):
            return " ".join(tokens)
        raise ValueError("no text: expected a string under 'text' or a list of strings under 'tokens'")

    def reading(self, text: str) -> str:
        """The tokens of a text with spaces between them."""
        return " ".join(words_of_text(super().reading(text)))

    def example(self, text: str, index: int = 0) -> Example:
        text = self.reading(text)
        return Example(index, text, untagged(text.split()))

    def shown(self, example: Example) -> str:
        """The tokens with their tags, and the finer ones where there are such."""
        columns = [example.target.tokens, example.target.tags, example.extra.get("fine_tags") or ()]
        widths = [max(map(len, column), default=0) + 2 for column in columns]
        lines = [
            "".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip()
            for line in zip(*filter(None, columns))
        ]
        return "\n".join(lines)

    def answer(self, prediction: TaggedTokens) -> dict[str, list[str]]:
        return {label: list(found) for label, found in self.task.values(prediction).items()}


class TagTask(Task):
    """Tokens → BIO tags: a target is a :class:`TaggedTokens`, a prediction in a file is its list of tags.

    What it is made of beside its labels is that of a :class:`helpers.tasks.json_task.JsonTask`.
    """

    writes = False

    def __init__(
        self,
        labels: Sequence[str],
        name: str = "task",
        document: dict[str, Any] | None = None,
        words: Words | None = None,
        hooks: Callable[[Task], Hooks] | None = None,
    ):
        document = {"headline": "f1", "decodings": ["viterbi"], **(document or {})}
        kinds = {label: Span(many=True, needed=False) for label in labels}
        super().__init__(name, kinds, document, words or Words(title=name))
        self.rows = TagRows(self, document.get("rows", {}))
        asked = (
            f"Entities ({', '.join(labels)}) as JSON, label to list of strings.\nText: {{text}}\nEntities: "
        )
        self.chat = Chat(self, {"prompt": asked})  # of a prompted model: no variant writes
        own = {"rules": lambda text: untagged(text.split()), "learn_conventions": lambda train: {}}
        hooks = variation.complete(self, hooks, **own)
        self.hooks = replace(hooks, baselines={"dictionary": predict_dictionary, **hooks.baselines})

    def values(self, target: TaggedTokens | None) -> Values:
        found = target.entities() if target is not None else []
        return {label: tuple(text for name, text in found if name == label) for label in self.fields}

    def canonical(self, target: Any) -> Any:
        """Valid IOB2; label → strings, as a language model answers, stays what it is."""
        return replace(target, tags=to_iob2(target.tags)) if isinstance(target, TaggedTokens) else target

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

    def spans(self, example: Example) -> Spans:
        """Places of the entities in the text; None where normalising moved the borders of tokens."""
        words = [normalise(token) for token in example.target.tokens]
        if " ".join(filter(None, words)) != example.text:
            return dict.fromkeys(self.fields)
        starts = [0]
        for word in words:
            starts.append(starts[-1] + len(word) + bool(word))
        found: Spans = {label: [] for label in self.fields}
        for start, end, label in spans_of(example.target.tags):
            found[label].append((starts[start], starts[end] - 1))
        return found

    def offsets(self, text: str, prediction: TaggedTokens) -> dict[str, list[Place]]:
        """Tags know where their entities stand."""
        return {label: found or [] for label, found in self.spans(Example(0, text, prediction)).items()}


def place_strings(tokens: Sequence[str], found: dict[str, list[str] | None]) -> tuple[str, ...]:
    """Tags of every place where the tokens spell an entity string; longer strings come first, spaces do not count."""
    starts = [0, *accumulate(map(len, tokens))]
    letters, at = "".join(tokens), {start: index for index, start in enumerate(starts)}
    tags = ["O"] * len(tokens)
    wanted = {(value, label) for label, values in found.items() for value in values or () if value.strip()}
    for value, label in sorted(wanted, key=lambda pair: (-len(pair[0]), pair)):
        for match in re.finditer(f"(?={re.escape(''.join(value.split()))})", letters):
            start, end = at.get(match.start()), at.get(match.start() + len("".join(value.split())))
            if start is not None and end is not None and set(tags[start:end]) == {"O"}:
                tags[start:end] = tags_of([(0, end - start, label)], end - start)
    return tuple(tags)


# -- a baseline that learns by heart ----------------------------------------------------------------------------------
class Dictionary:
    """Entity strings of training rows.

    Attributes
    ----------
    entries : dict
        Lower-cased tokens → (label most often given, share of their occurrences in train that have this label).
    """

    longest: ClassVar[int] = 6  # tokens of an entry
    left_out: ClassVar[tuple[str, ...]] = ()  # labels without entries

    def __init__(self, train: Sequence[Example]):
        labels: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        totals: Counter[tuple[str, ...]] = Counter()
        for example in train:
            tokens = tuple(token.lower() for token in example.target.tokens)
            for size in range(1, self.longest + 1):
                totals.update(tokens[at : at + size] for at in range(len(tokens) - size + 1))
            for start, end, label in spans_of(example.target.tags):
                if end - start <= self.longest and label not in self.left_out:
                    labels[tokens[start:end]][label] += 1
        self.entries = {}
        for key, counts in labels.items():
            label, count = min(counts.items(), key=lambda item: (-item[1], item[0]))
            self.entries[key] = (label, count / totals[key])

    def spans(self, tokens: Sequence[str], least_share: float = 0.5) -> list[tuple[int, int, str]]:
        """Longest entries in the tokens, left to right, of those that are labelled in at least that share of train."""
        lower, spans, at = tuple(token.lower() for token in tokens), [], 0
        while at < len(lower):
            for end in range(min(at + self.longest, len(lower)), at, -1):
                label, share = self.entries.get(lower[at:end], ("", 0.0))
                if label and share >= least_share:
                    spans.append((at, end, label))
                    break
            at = end
        return spans


def predict_dictionary(run: Any, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """Entities of the train part wherever they stand again."""
    found = Dictionary(run.load("train"))
    return tag_all(examples, lambda tokens: tags_of(found.spans(tokens), len(tokens)))
