"""What tasks are made of: rows, public files, variants."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Example:
    """One row: an input text and what is to be found in it.

    Parameters
    ----------
    id : int
        Zero-based row index in the file the row came from.
    text : str
        Normalised input text (for token tasks the tokens joined by spaces).
    target : Any
        Canonical gold annotation in the task's own form.
    origin : str
        `gold`, or the augmentation that made the row.
    extra : dict
        Whatever else the task keeps: the raw row, tokens, the conversation.
    """

    id: int
    text: str
    target: Any
    origin: str = "gold"
    extra: dict[str, Any] = field(default_factory=dict, compare=False)

    def with_(self, **changes: Any) -> "Example":
        """A copy with some attributes replaced."""
        return replace(self, **changes)


Change = Callable[[Example, random.Random], Example | None]  # of a row, None where it does not apply


@dataclass(frozen=True)
class PublicFile:
    """One file of a public data set, pinned by commit and checksum.

    Parameters
    ----------
    name : str
        File name in the cache, by which a task's `split_public` finds it.
    path : str
        `owner/repository/commit/path`, appended to the base address of raw files.
    sha256 : str
        Hexadecimal SHA-256 of the whole file.
    size : int
        Bytes.
    """

    name: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Writer:
    """A variant that writes its answers, as a row of data; bits and sizes are settings of the run.

    Parameters
    ----------
    adapter : bool
        Whether LoRA is trained over a frozen base; else all weights are.
    loss : str
        `plain` (cross-entropy of the answer), `entity` or `structured`, see :mod:`helpers.training.losses`.
    trl : bool
        Trained by TRL's SFTTrainer, as in the studies that this one follows; else by transformers' Trainer.
    """

    adapter: bool
    loss: str = "plain"
    trl: bool = False


@dataclass(frozen=True)
class Tagger:
    """A variant that marks pieces of the text, as a row of data; sizes are settings of the run.

    Parameters
    ----------
    teacher : bool
        Learns from what other variants of the task say (setting `teacher`) as well as from labels.
    """

    teacher: bool = False


Variant = Writer | Tagger


class Variants(dict[str, Variant]):
    """Name → what it is, of the variants that 04 trains, in order.

    Attributes
    ----------
    decodings : tuple of str
        Ways of decoding that 05 sets side by side; the last is the default, whose predictions bear the variant's name.
    votes : dict
        Name → members, the best first: systems that train nothing and take the value that most of their members give
        (:mod:`helpers.evaluation.vote`). Members are variants, each in its default decoding, or the baseline `rules`.
    """

    def __init__(self, variants: dict[str, Variant], decodings: tuple[str, ...], votes: dict[str, list[str]]):
        super().__init__(variants)
        self.decodings = decodings
        self.votes = {name: tuple(members) for name, members in votes.items()}

    @property
    def writers(self) -> dict[str, Writer]:
        """Those that write their answers."""
        return {name: one for name, one in self.items() if isinstance(one, Writer)}

    @property
    def taggers(self) -> frozenset[str]:
        """Those that mark pieces of the text: they have the default way of decoding only."""
        return frozenset(name for name, one in self.items() if isinstance(one, Tagger))

    def decodings_of(self, name: str) -> tuple[str, ...]:
        """Ways of decoding that a variant has."""
        return self.decodings[-1:] if name in self.taggers else self.decodings
