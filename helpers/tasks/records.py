"""What tasks are made of: rows, public files, variants."""

from __future__ import annotations

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


@dataclass(frozen=True)
class PublicFile:
    """One file of a public data set, pinned by commit and checksum.

    Parameters
    ----------
    name : str
        File name in the cache and key in :meth:`Task.split_public`.
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
