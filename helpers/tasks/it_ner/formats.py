"""Text formats of the IT task: the inline markup of the sample, CoNLL columns, and the tokeniser."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from helpers.errors import UserError
from helpers.tasks.bio import label_of, tags_of
from helpers.tasks.it_ner.tags import COARSE_LABEL, LABELS, relabel

KINDS = ("ticket", "forum", "bug")
HEADINGS = frozenset({"Question_ID", "Question_URL", "Answer_to_Question_ID"})
"""First tokens of the public file's lines about where a post comes from; they are no sentences."""

_ENTITY = re.compile(r"\[([^\[\]]+)\]\(([^()\s]*)\)")
_OPENING, _CLOSING = "([{\"'“‘«", ".,;:!?…\"'”’»)]}"
_PAIRS = {")": "(", "]": "[", "}": "{"}
_CLITIC = re.compile(r"(?<=\w)(?:n['’]t|['’](?:s|m|re|ve|ll|d))$", re.IGNORECASE)


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
    numbers, error codes, paths, calls such as `main()` and names such as C++, C# and .NET stay whole.

    Parameters
    ----------
    text : str
    borders : iterable of int
        Offsets at which a token has to end and another to begin, whatever stands there.
    """
    borders = sorted(set(borders))
    found: list[tuple[int, int]] = []
    for chunk in re.finditer(r"\S+", text):
        edges = [chunk.start(), *(b for b in borders if chunk.start() < b < chunk.end()), chunk.end()]
        for start, end in zip(edges, edges[1:]):
            found += _split(text, start, end)
    return found


# -- inline markup ----------------------------------------------------------------------------------------------------
def parse_markup(line: str) -> dict[str, Any]:
    """A line `kind<TAB>text with [Ubuntu](OS) [22.04](VERSION)` as a row.

    Returns
    -------
    dict
        `tokens`, `ner_tags`, `kind`.

    Raises
    ------
    ValueError
        With a one-line reason: no kind, an unknown label, spaces at an entity's edge, markup left over.
    """
    kind, tab, marked = line.partition("\t")
    if not tab or kind not in KINDS:
        raise ValueError(f"a line begins with {', '.join(KINDS[:-1])} or {KINDS[-1]} and a tab")
    text, places, at = "", [], 0
    for match in _ENTITY.finditer(marked):
        value, label = match.groups()
        if label not in LABELS:
            raise ValueError(f"unknown label {label!r}: choose from {', '.join(LABELS)}")
        if value != value.strip():
            raise ValueError(f"spaces at the edge of entity {value!r}")
        text += marked[at : match.start()]
        places.append((len(text), len(text) + len(value), label))
        text, at = text + value, match.end()
    text += marked[at:]
    if "](" in text:
        raise ValueError("broken markup: an entity is written [words](LABEL), without brackets inside")
    tokens = tokenise(text, (edge for start, end, _ in places for edge in (start, end)))
    spans = []
    for start, end, label in places:
        inside = [index for index, (low, high) in enumerate(tokens) if start <= low and high <= end]
        spans.append((inside[0], inside[-1] + 1, label))
    return {
        "tokens": [text[low:high] for low, high in tokens],
        "ner_tags": list(tags_of(spans, len(tokens))),
        "kind": kind,
    }


# -- CoNLL columns ----------------------------------------------------------------------------------------------------
def read_conll(lines: Iterable[str]) -> Iterator[tuple[int, list[str], list[str]]]:
    """Sentences of a file with one token a line, word and tag first, separated by tabs or spaces.

    Yields
    ------
    line : int
        Line of the sentence's first token, from 1.
    tokens, tags : list of str
        Blank lines and `-DOCSTART-` lines end a sentence; a token without a tag gets an empty one.
    """
    first, tokens, tags = 0, [], []
    for number, line in enumerate(lines, start=1):
        columns = line.rstrip("\r\n").split("\t") if "\t" in line else line.split()
        word = columns[0].strip() if columns else ""
        if word and word != "-DOCSTART-":
            first = first or number
            tokens.append(word)
            tags.append(columns[1].strip() if len(columns) > 1 else "")
        elif tokens:
            yield first, tokens, tags
            first, tokens, tags = 0, [], []
    if tokens:
        yield first, tokens, tags


def public_rows(content: bytes) -> list[dict[str, Any]]:
    """Rows of one of the public annotation's files, in our labels, with the finer tags beside them."""
    sentences = read_conll(content.decode("utf-8").splitlines())
    return [
        {"tokens": tokens, "ner_tags": list(relabel(tags)), "fine_tags": tags}
        for _, tokens, tags in sentences
        if tokens[0] not in HEADINGS
    ]


def hub_rows(parts: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the parts of the annotation's data set on the hub, as :func:`public_rows` gives them.

    The data set is not pinned, so labels under other names are an error here: they would all be outside.

    Raises
    ------
    UserError
        If the rows are not tokens with tags, or one of the labels that ours are made of does not occur.
    """
    if any(not {"tokens", "ner_tags"} <= row.keys() for rows in parts.values() for row in rows):
        raise UserError("the hub's rows have no columns tokens and ner_tags: use --set public_source=files")
    known = {label_of(str(tag)) for rows in parts.values() for row in rows for tag in row["ner_tags"]}
    if missing := sorted(COARSE_LABEL.keys() - known):
        raise UserError(
            f"no row of the hub's data set has the label {missing[0]}, but {', '.join(sorted(known - {''}))}: "
            "use --set public_source=files"
        )
    return {
        part: [
            {
                "tokens": row["tokens"],
                "ner_tags": list(relabel(row["ner_tags"])),
                "fine_tags": row["ner_tags"],
            }
            for row in rows
        ]
        for part, rows in parts.items()
    }


def rows_of_file(suffix: str, lines: Sequence[str]) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
    """Rows of a file that is not JSONL: `.txt` holds the inline markup, `.conll` columns.

    Yields
    ------
    line : int
    row : dict, or the ValueError that says why there is none
    """
    if suffix == ".conll":
        yield from (
            (line, {"tokens": tokens, "ner_tags": tags})
            for line, tokens, tags in read_conll(lines)
            if tokens[0] not in HEADINGS
        )
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, parse_markup(line.rstrip("\r\n"))
            except ValueError as error:
                yield number, error
