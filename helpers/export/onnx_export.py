"""Export of token taggers to ONNX, dynamic int8 quantisation, and prediction with ONNX Runtime."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from helpers.errors import UserError
from helpers.export import onnx_runtime
from helpers.export.onnx_runtime import open_session
from helpers.run import Run
from helpers.tagging.model import TokenTagger, TrainedTagger, load_trained_tagger
from helpers.tagging.predict import Scores, gather_scores, records_of
from helpers.tasks.records import Example

SMALL_TABLE = 1000  # lines
SECOND_LAYER = re.compile(
    r"layer\.(\d+)/(?:output/dense|ffn/lin2)/MatMul$"
)  # of BERT's and of DistilBERT's blocks
EXAMPLE_SHAPE = (2, 16)  # batch and length of the inputs that are traced; both stay open in the graph


class _Exported(nn.Module):
    """The tagger's logits as a function of plain tensors, in the order of :func:`example_inputs`."""

    def __init__(self, model: TokenTagger) -> None:
        super().__init__()
        self.model = model

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        return self.model(*inputs)


def example_inputs(model: TokenTagger, rows: int, pieces: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random inputs of that shape; every row after the first is padded by one piece more than the row before it."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.arange(pieces) < pieces - torch.arange(rows)[:, None]).long()
    inputs = {
        "input_ids": torch.randint(0, model.base.config.vocab_size, (rows, pieces), generator=generator),
        "attention_mask": mask,
    }
    if model.layout.features:
        inputs["features"] = torch.stack(
            [
                torch.randint(0, size, (rows, pieces), generator=generator)
                for size in model.layout.features.values()
            ],
            -1,
        )
    return inputs


def export_onnx(run: Run, variant: str, folder: Path | None = None) -> Path:
    """Write a trained variant as `model.onnx`, adapter merged, batch and length left open; returns the file.

    Weights over 2 GB, and whatever else the exporter keeps outside, lie beside it and count in
    :func:`onnx_megabytes`.
    """
    if not (run.dir / "checkpoints" / variant / "finished.json").exists():
        raise UserError(f"variant {variant!r} is not trained: run notebook 04_train_lora first")
    tagger = load_trained_tagger(run, run.dir / "checkpoints" / variant / "best", attention="eager")
    return export_tagger(tagger.model.cpu(), folder or run.path("onnx", variant, "x").parent)


def export_tagger(model: TokenTagger, folder: Path) -> Path:
    """Write a tagger as `model.onnx` in a folder."""
    inputs = example_inputs(model, *EXAMPLE_SHAPE)
    axes = {name: {0: "batch", 1: "length"} for name in (*inputs, "logits")}
    return onnx_runtime.write_graph(_Exported(model.eval()), inputs, folder / "model.onnx", axes)


def kept_whole(graph: Any) -> list[str]:
    """Names of the nodes of a graph that int8 would cost more than it saves.

    Small tables, above all those of the word features, and the classifier are quick anyway and stand close to the answer.
    The inputs of the second layer of a feed-forward block have the widest range (few values are very large), which is worst
    in the first quarter of the encoder's layers.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    tables = [
        node.name
        for node in graph.node
        if node.op_type == "Gather" and shapes.get(node.input[0], (SMALL_TABLE,))[0] < SMALL_TABLE
    ]
    products = {
        node.name: shapes[node.input[1]]
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in shapes
    }
    heads = [name for name, shape in products.items() if "classifier" in name]
    seconds = {int(found[1]): name for name in products if (found := SECOND_LAYER.search(name))}
    return tables + heads + [seconds[layer] for layer in sorted(seconds)[: len(seconds) // 4]]


def quantise_onnx(path: Path, per_channel: bool = True) -> Path:
    """Write the graph with int8 weights beside it (activations are quantised as they come) and return the file.

    Matrix products and embedding tables are quantised but for :func:`kept_whole`; with `per_channel` each output column
    has a scale of its own.
    """
    import onnx

    return onnx_runtime.quantise(
        path,
        path.with_name(f"{path.stem}_int8{'' if per_channel else '_tensor'}.onnx"),
        ["MatMul", "Gather"],
        kept_whole(onnx.load(str(path), load_external_data=False).graph),
        per_channel,
    )


def onnx_megabytes(path: Path) -> float:
    """Size of a graph with all its weights, also those in files of their own beside it (1e6 bytes)."""
    import onnx

    names = {path.name}
    for tensor in onnx.load(str(path), load_external_data=False).graph.initializer:
        names |= {entry.value for entry in tensor.external_data if entry.key == "location"}
    return sum((path.parent / name).stat().st_size for name in names) / 1e6


# -- ONNX Runtime -----------------------------------------------------------------------------------------------------
def run_session(session, inputs: dict[str, torch.Tensor]) -> np.ndarray:
    """Logits of one batch."""
    names = {one.name for one in session.get_inputs()}
    return session.run(None, {name: tensor.numpy() for name, tensor in inputs.items() if name in names})[0]


def largest_difference(
    model: TokenTagger, session, shapes: Sequence[tuple[int, int]] = ((1, 7), (3, 24))
) -> float:
    """Largest absolute difference between the logits of PyTorch and of a session, over random inputs of some shapes."""
    worst = 0.0
    for rows, pieces in shapes:
        inputs = example_inputs(model, rows, pieces, seed=rows)
        with torch.inference_mode():
            expected = model.eval()(*inputs.values()).numpy()
        worst = max(worst, float(np.abs(expected - run_session(session, inputs)).max()))
    return worst


def session_scores(run: Run, tagger: TrainedTagger, session, examples: Sequence[Example]) -> Scores:
    """Log-probabilities (words, tags) of each sentence by ONNX Runtime."""
    model = tagger.model.cpu()

    def score_batch(batch: dict[str, torch.Tensor]) -> np.ndarray:
        logits = model.by_group(torch.as_tensor(run_session(session, batch))[batch["row"], batch["head"]])
        return model.tag_log_probs(logits).double().numpy()

    return gather_scores(run, tagger.tokenizer, tagger.features, examples, model.layout, score_batch)


def predict_onnx(
    run: Run, tagger: TrainedTagger, path: Path, examples: Sequence[Example], threads: int = 2
) -> list[dict[str, Any]]:
    """Prediction records of an exported tagger."""
    scores = session_scores(run, tagger, open_session(path, threads), examples)
    return records_of(run.task, examples, scores, tagger)
