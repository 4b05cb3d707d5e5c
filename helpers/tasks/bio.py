"""BIO tags: tagged tokens, spans of tags and back; texts cut into tokens, and the files that hold them in columns."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Span = tuple[int, int, str]
_OPENING, _CLOSING = "([{\"'“‘«", ".,;:!?…\"'”’»)]}"
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLITIC = re.compile(r"(?<=\w)(?:n['’]t|['’](?:s|m|re|ve|ll|d))$", re.IGNORECASE)
_TAG = re.compile(r"O|[BIELMSUW]-\S+")
_ENTITY = re.compile(r"\[([^\[\]]+)\]\(([^()\s]*)\)")


@dataclass(frozen=True)
class TaggedTokens:
    """Tokens of a sentence and the BIO tag of each."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]  # valid IOB2, as long as `tokens`

    def entities(self) -> list[tuple[str, str]]:
        """(label, text) of each entity in reading order, tokens joined by single spaces."""
        return [
            (label, " ".join(" ".join(self.tokens[start:end]).split()))
            for start, end, label in spans_of(self.tags)
        ]


def untagged(tokens: Sequence[str]) -> TaggedTokens:
    """Tokens without entities."""
    return TaggedTokens(tuple(tokens), ("O",) * len(tokens))


def label_of(tag: str) -> str:
    """Label of a tag; empty for `O`."""
    return tag[2:]


# what BILOU, IOBES, BMEWO say beyond B and I
_IOB = dict(zip("USWLEM", "BBBIII"))


def check_syntax(tags: Iterable[str]) -> None:
    """Refuse what is not `O`, `B-…` or `I-…`, or the same in BILOU, IOBES or BMEWO."""
    wrong = next((tag for tag in tags if tag != "O" and not re.fullmatch(r"[BIELMSUW]-.+", tag)), None)
    if wrong is not None:
        raise ValueError(f"tag {wrong!r} is not O, B-LABEL or I-LABEL")


def to_iob2(tags: Sequence[str]) -> tuple[str, ...]:
    """Tags in which every entity begins with B: an I that continues nothing, as IOB1 writes it, becomes B.

    The tags of other schemes for one-word entities become B, those for last words I.
    """
    repaired: list[str] = []
    for tag in tags:
        tag = _IOB.get(tag[:1], tag[:1]) + tag[1:]
        orphan = tag.startswith("I-") and (not repaired or label_of(repaired[-1]) != label_of(tag))
        repaired.append(f"B-{label_of(tag)}" if orphan else tag)
    return tuple(repaired)


def spans_of(tags: Sequence[str]) -> list[Span]:
    """Entities of a valid IOB2 sequence as (first token, token after the last, label)."""
    spans: list[Span] = []
    for index, tag in enumerate(tags):
        if tag.startswith("B-"):
            spans.append((index, index + 1, label_of(tag)))
        elif tag.startswith("I-"):
            spans[-1] = (spans[-1][0], index + 1, label_of(tag))
    return spans


def tags_of(spans: Iterable[Span], length: int) -> tuple[str, ...]:
    """Inverse of :func:`spans_of` for a sentence of `length` tokens."""
    tags = ["O"] * length
    for start, end, label in spans:
        tags[start:end] = [f"B-{label}"] + [f"I-{label}"] * (end - start - 1)
    return tuple(tags)


def align_fine(tags: Sequence[str], fine_tags: Sequence[str]) -> tuple[str, ...]:
    """Finer tags with the borders of ours, so that each finer tag stands for exactly one of ours.

    Where two finer entities were merged ("SQL" Language, "Server" Application), the second goes on inside the first.
    """
    fine = to_iob2(fine_tags)
    return tuple(tag[:2] + label_of(other) if tag != "O" else other for tag, other in zip(tags, fine))


def tag_all(
    examples: Sequence[Any], tagger: Callable[[Sequence[str]], Sequence[str]]
) -> list[dict[str, Any]]:
    """Prediction records of a function from tokens to tags."""
    return [
        {"id": example.id, "prediction": list(tagger(example.target.tokens)), "raw": None, "confidence": None}
        for example in examples
    ]


# -- tokens -----------------------------------------------------------------------------------------------------------
def _split(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Tokens of a piece without spaces: marks at its edges and clitics are tokens of their own."""
    while start < end - 1 and text[start] in _OPENING:
        yield start, start + 1
        start += 1
    tail: list[tuple[int, int]] = []
    while end - start > 1 and text[end - 1] in _CLOSING:
        mark, low = text[end - 1], end - 1
        if mark in _PAIRS and _PAIRS[mark] in text[start:low]:  # "main()" and "a[0]" stay whole
            break
        if mark in ".!?":
            while low - 1 > start and text[low - 1] == mark:  # an ellipsis is one token
                low -= 1
        tail.append((low, end))
        end = low
    clitic = _CLITIC.search(text, start, end)
    if clitic and clitic.start() > start:
        yield start, clitic.start()
        start = clitic.start()
    yield start, end
    yield from reversed(tail)


def tokenise(text: str, borders: Iterable[int] = ()) -> list[tuple[int, int]]:
    """Offsets (start, end) of the tokens of a text.

    Spaces separate; marks at the edges of a word and English clitics ("n't", "'s") are tokens of their own; version
    numbers, error codes, paths, calls such as `main()` and names such as C++, C# and .NET stay whole. At a border a
    token has to end and another to begin, whatever stands there.
    """
    found: list[tuple[int, int]] = []
    for chunk in re.finditer(r"\S+", text):
        inner = sorted(border for border in set(borders) if chunk.start() < border < chunk.end())
        edges = [chunk.start(), *inner, chunk.end()]
        for start, end in zip(edges, edges[1:]):
            found += _split(text, start, end)
    return found


def words_of_text(text: str) -> list[str]:
    """The tokens of a text."""
    return [text[start:end] for start, end in tokenise(text)]


# -- files ------------------------------------------------------------------------------------------------------------
def columns_of(lines: Iterable[str]) -> list[tuple[int, list[str]]]:
    """Cells of each line of a CoNLL file, with its number from 1: between tabs, or else between spaces.

    A no-break space is a token like others. Blank lines and `-DOCSTART-` lines, which end a sentence, have no cells.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        line = line.rstrip(" \t\r\n")
        tabbed = [cell.strip(" ") or " " for cell in line.split("\t")]
        cells = tabbed if "\t" in line else list(filter(None, line.split(" ")))
        found.append((number, [] if cells[:1] == ["-DOCSTART-"] else cells))
    return found


def tag_columns(columns: Sequence[tuple[int, Sequence[str]]]) -> list[int]:
    """Columns of which nearly every cell is a tag; that of a line that lacks cells may be counted from its end."""
    rows = [cells for _, cells in columns if cells]
    width = max(Counter(map(len, rows)).items(), key=lambda pair: pair[::-1])[0] if rows else 0
    rows = [cells for cells in rows if len(cells) == width]
    found = [
        at for at in range(1, width) if sum(bool(_TAG.fullmatch(row[at])) for row in rows) > 0.8 * len(rows)
    ]
    return [at - width if at == width - 1 else at for at in found]


def rows_of_columns(
    columns: Sequence[tuple[int, list[str]]], column: int = 1
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Sentences of a CoNLL file: the first cell is the word (the second, where the first only counts), one is the tag.

    Each comes with the line of its first token, from 1. Comments ("# id 7") at the head of a sentence are left out; a
    token without a tag gets an empty one.
    """
    block: list[tuple[int, list[str]]] = []
    for number, cells in [*columns, (0, [])]:
        if cells and (block or not _is_comment(cells, column)):
            block.append((number, cells))
        elif block and not cells:
            counted = [row[0] for _, row in block] == [str(at + 1) for at in range(len(block))]
            word = int(counted and len(block) > 1 and min(len(row) for _, row in block) > 2)
            tags = [row[column] if len(row) > max(1, column) else "" for _, row in block]
            yield block[0][0], {"tokens": [row[word] for _, row in block], "ner_tags": tags}
            block = []


def _is_comment(cells: Sequence[str], column: int) -> bool:
    tagged = len(cells) > max(1, column) and _TAG.fullmatch(cells[column])
    return cells[0].startswith("#") and (" " in cells[0] or not tagged) and cells != ["#"]


def parse_markup(line: str, kinds: Sequence[str]) -> dict[str, Any]:
    """A line `kind<TAB>text with [Ubuntu](OS) [22.04](VERSION)` as a row; ValueError with a reason for any other line."""
    kind, tab, marked = line.partition("\t")
    if not tab or kind not in kinds:
        raise ValueError(f"a line begins with {', '.join(kinds[:-1])} or {kinds[-1]} and a tab")
    between, values, labels = (_ENTITY.split(marked)[first::3] for first in range(3))
    tokens: list[str] = []
    spans: list[Span] = []
    for text, value, label in zip(between, [*values, ""], [*labels, ""]):
        if "](" in text:
            raise ValueError("broken markup: an entity is written [words](LABEL), without brackets inside")
        tokens += words_of_text(text)
        start, tokens = len(tokens), tokens + words_of_text(value)
        spans += [(start, len(tokens), label)] if start < len(tokens) else []
    return {"tokens": tokens, "ner_tags": list(tags_of(spans, len(tokens))), "kind": kind}
