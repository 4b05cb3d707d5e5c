"""What tasks are made of: rows, public files, and the configurations of their ablations."""
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
class Configuration:
    """One way of training and decoding that an ablation measures.

    Parameters
    ----------
    name : str
        Unique within its ablation.
    variant : str
        A variant of the task, one of its votes or baselines, or `rules` for the rule baseline; of these only variants
        are trained.
    settings : dict
        Settings that differ from those of the run.
    against : str
        Name of the configuration it is compared with; empty where it is compared with none.
    decoding : str
        One of the variant's decodings; its default where empty.
    trainer : str
        `module:function` in place of the variant's own trainer.
    rows : int
        Number of gold rows to train on (0: all there are).
    seeds : int
        How many seeds to train with, counted up from the run's.
    """

    name: str
    variant: str
    settings: dict[str, Any] = field(default_factory=dict)
    against: str = ""
    decoding: str = ""
    trainer: str = ""
    rows: int = 0
    seeds: int = 1


@dataclass(frozen=True)
class Ablation:
    """Configurations that are set side by side to see what one part of a system contributes.

    Parameters
    ----------
    title : str
        What is varied, as a caption begins.
    configurations : tuple of Configuration
    scored_on : str
        `folds` (every row of train and validation once, held out) or `validation` (trained on train alone).
    view : str
        How the report shows it: `comparison`, `curve` (score against rows) or `seeds` (spread over seeds).
    """

    title: str
    configurations: tuple[Configuration, ...]
    scored_on: str = "folds"
    view: str = "comparison"


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
