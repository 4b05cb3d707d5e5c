"""Changes of a sentence that leave its entities what they are, and the kinds of sentences, for tagged tokens."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any

from helpers.tasks.bio import TaggedTokens, spans_of, tags_of
from helpers.tasks.records import Change, Example
from helpers.tasks.text import normalise
from helpers.tasks.variation import how_many, thirds


def _with_tokens(example: Example, tokens: list[str], tags: list[str]) -> Example:
    """The example with other tokens and tags; the finer tags no longer fit and are dropped."""
    extra = {**example.extra, "fine_tags": None}
    return example.with_(
        text=normalise(" ".join(tokens)), target=TaggedTokens(tuple(tokens), tuple(tags)), extra=extra
    )


def lower_case(example: Example, rng: random.Random) -> Example:
    """Everything in small letters."""
    return _with_tokens(
        example, [token.lower() for token in example.target.tokens], list(example.target.tags)
    )


def upper_case(example: Example, rng: random.Random) -> Example:
    """Everything in capitals."""
    return _with_tokens(
        example, [token.upper() for token in example.target.tokens], list(example.target.tags)
    )


def typo(example: Example, rng: random.Random) -> Example | None:
    """Two neighbouring letters change places in one word of five letters or more, of an entity or not."""
    tokens = list(example.target.tokens)
    places = [
        (at, i)
        for at, token in enumerate(tokens)
        if re.fullmatch(r"[A-Za-z]{5,}", token)
        for i in range(1, len(token) - 2)
        if token[i] != token[i + 1]
    ]
    if not places:
        return None
    at, i = rng.choice(places)
    tokens[at] = tokens[at][:i] + tokens[at][i + 1] + tokens[at][i] + tokens[at][i + 2 :]
    return _with_tokens(example, tokens, list(example.target.tags))


def split_tokens(example: Example, rng: random.Random) -> Example | None:
    """Tokens are split at inner hyphens, slashes, colons and underscores, as other tokenisers do."""
    tokens, tags = [], []
    for token, tag in zip(example.target.tokens, example.target.tags):
        pieces = [piece for piece in re.split(r"(?<=\w)([-/:_])(?=\w)", token) if piece]
        tokens += pieces
        tags += [tag] + [tag.replace("B-", "I-", 1)] * (len(pieces) - 1)
    return _with_tokens(example, tokens, tags) if len(tokens) > len(example.target.tokens) else None


def glue_marks(example: Example, rng: random.Random) -> Example | None:
    """Closing marks are glued to the word before them, as text that is only split at spaces has them."""
    tokens: list[str] = []
    tags: list[str] = []
    for token, tag in zip(example.target.tokens, example.target.tags):
        if tokens and tag == "O" and re.fullmatch(r"[.,;:!?)]+", token):
            tokens[-1] += token
        else:
            tokens.append(token)
            tags.append(tag)
    return _with_tokens(example, tokens, tags) if len(tokens) < len(example.target.tokens) else None


def perturbations(task: Any) -> dict[str, Change]:
    """Name → change; strings of `perturbed` in the task's words stand in the place of entities."""
    changes: dict[str, Change] = {
        "lower case": lower_case,
        "upper case": upper_case,
        "typo": typo,
        "split tokens": split_tokens,
        "glued marks": glue_marks,
    }
    pools = task.words.others

    def swap_entities(example: Example, rng: random.Random) -> Example | None:
        """Every entity gives way to another of its label that no training row was written with in mind."""
        spans = spans_of(example.target.tags)
        if not spans:
            return None
        tokens, tags, at = [], [], 0
        for start, end, label in spans:
            tokens += example.target.tokens[at:start]
            tags += example.target.tags[at:start]
            new = rng.choice(pools[label]).split() if pools.get(label) else example.target.tokens[start:end]
            tokens += new
            tags += tags_of([(0, len(new), label)], len(new))
            at = end
        return _with_tokens(
            example, tokens + list(example.target.tokens[at:]), tags + list(example.target.tags[at:])
        )

    return changes | ({"swapped entities": swap_entities} if pools else {})


def slices(examples: Sequence[Example]) -> list[dict[str, str]]:
    """For each row its length among these rows, its number of entities, its casing, and its kind where it has one."""
    lengths = thirds([len(example.target.tokens) for example in examples], ("short", "medium", "long"))
    return [
        {
            "length": length,
            "entities": how_many(example.target.entities()),
            "casing": "lower case" if example.text == example.text.lower() else "with capitals",
            **({"kind": example.extra["kind"]} if example.extra.get("kind") else {}),
        }
        for example, length in zip(examples, lengths)
    ]
