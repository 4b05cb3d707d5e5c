"""Text formats of the IT task: the inline markup of the sample and CoNLL columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from helpers.errors import UserError
from helpers.tasks.bio import label_of, tags_of
from helpers.tasks.it_ner.tags import COARSE_LABEL, LABELS, relabel
from helpers.tasks.tokens import tokenise

KINDS = ("ticket", "forum", "bug")
HEADINGS = frozenset({"Question_ID", "Question_URL", "Answer_to_Question_ID"})
"""First tokens of the public file's lines about where a post comes from; they are no sentences."""

_ENTITY = re.compile(r"\[([^\[\]]+)\]\(([^()\s]*)\)")


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
