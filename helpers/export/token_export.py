"""Other forms of the taggers: whole weights, ONNX graphs, and both of them read back for prediction."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from helpers.export.causal_onnx import FILE, QUANTISED
from helpers.export.onnx_export import export_tagger, quantise_onnx, run_session
from helpers.export.onnx_runtime import open_session
from helpers.run import Run
from helpers.tagging.encode import collate_windows
from helpers.tagging.model import (
    CARD,
    Layout,
    TokenTagger,
    TrainedTagger,
    load_token_tokenizer,
    load_trained_tagger,
    read_card,
    save_tagger,
)
from helpers.tagging.predict import encode_rows
from helpers.tasks.base import Task
from helpers.tasks.records import Example


# -- whole weights ----------------------------------------------------------------------------------------------------
def load_trained(run: Run, source: Path) -> TrainedTagger:
    """A checkpoint as it was trained: an adapter stays beside its encoder."""
    return load_trained_tagger(run, source, merge=False)


def export_model(run: Run, source: Path, folder: Path) -> None:
    """Write a checkpoint with its adapter merged, for `from_pretrained`, and what this study needs beside it."""
    save_tagger(run.task, load_trained_tagger(run, source), folder)


def load_model(run: Run, folder: Path) -> TrainedTagger:
    """Inverse of :func:`export_model`."""
    return load_trained_tagger(run, folder)


def usage(task: Task, repo: str, text: str) -> str:
    """Python that loads the whole weights with nothing else and tags a text."""
    if task.writes:
        return (
            f'from transformers import pipeline\n\ntagger = pipeline("token-classification", model={repo!r})\n'
            f"labels = tagger.model.config.id2label  # O, B and I of each field: the best of each three counts\n"
            f"scores = tagger({text!r}, ignore_labels=[])\nprint(scores[0])\n"
        )
    return (
        f'from transformers import pipeline\n\ntagger = pipeline("token-classification", model={repo!r}, '
        f'aggregation_strategy="simple")\nfor entity in tagger({text!r}):\n'
        '    print(entity["entity_group"], entity["word"])\n'
    )


# -- graphs -----------------------------------------------------------------------------------------------------------
class OnnxTokenTagger:
    """Stands where a :class:`helpers.tagging.model.TokenTagger` stands in :mod:`helpers.tagging.predict`."""

    device = torch.device("cpu")
    tag_log_probs, by_group = TokenTagger.tag_log_probs, TokenTagger.by_group

    def __init__(self, path: Path, layout: Layout):
        self.session, self.layout, self.membership = open_session(path), layout, layout.membership

    def eval(self) -> OnnxTokenTagger:
        """Nothing to switch."""
        return self

    def word_logits(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Logits (words, groups, outputs) at the first piece of each word."""
        return self.by_group(torch.from_numpy(run_session(self.session, batch))[batch["row"], batch["head"]])


def export_onnx(run: Run, model: Path, folder: Path) -> None:
    """Write whole weights of :func:`export_model` as a graph and its int8 form, with tokenizer and card."""
    tagger = load_trained_tagger(run, model, attention="eager")
    quantise_onnx(export_tagger(tagger.model.cpu(), folder))
    shutil.copy(model / CARD, folder / CARD)
    tagger.model.base.config.save_pretrained(folder)
    tagger.tokenizer.save_pretrained(folder)


def load_onnx(run: Run, folder: Path, quantised: bool) -> TrainedTagger:
    """A graph of :func:`export_onnx` where a trained tagger is expected."""
    layout, *rest = read_card(run.task, folder)
    model: Any = OnnxTokenTagger(folder / (QUANTISED if quantised else FILE), layout)
    return TrainedTagger(model, load_token_tokenizer(run, str(folder)), *rest)


# -- parity -----------------------------------------------------------------------------------------------------------
@torch.inference_mode()
def logit_gap(run: Run, left: TrainedTagger, right: TrainedTagger, examples: Sequence[Example]) -> float:
    """Largest absolute difference between the word logits of two forms over some rows."""
    worst, pad = 0.0, left.tokenizer.pad_token_id or 0
    for rows in encode_rows(run, left.tokenizer, left.features, examples):
        for row in rows:
            batch = collate_windows([row], pad)
            pair = [
                one.model.word_logits({name: part.to(one.model.device) for name, part in batch.items()}).cpu()
                for one in (left, right)
            ]
            worst = max(worst, float((pair[0] - pair[1]).abs().max()))
    return worst
