"""Taggers as ONNX graphs, in fp32 and with int8 weights, and ONNX Runtime in the place of PyTorch."""

from __future__ import annotations

import logging
import platform
import re
import shutil
import warnings
from pathlib import Path
from typing import Any

import onnx
import torch
from safetensors.torch import load_file, save_file

from helpers.errors import UserError
from helpers.export.model_folder import GRAPHS
from helpers.run import Run
from helpers.tagging.model import (
    CARD,
    Layout,
    TokenTagger,
    TrainedTagger,
    load_token_tokenizer,
    load_trained_tagger,
    read_card,
)

FILE, QUANTISED = GRAPHS.values()
OPSET = 17  # has layer normalisation as one operator, and the exporter writes it without conversion
SMALL_TABLE = 1000  # lines
SECOND_LAYER = re.compile(r"layer\.(\d+)/(?:output/dense|ffn/lin2)/MatMul$")  # of BERT's and DistilBERT's
CHECK = "check.safetensors"


# -- writing ----------------------------------------------------------------------------------------------------------
def example_inputs(model: TokenTagger, rows: int, pieces: int, seed: int = 0) -> dict[str, torch.Tensor]:
    """Random inputs of that shape; every row after the first is padded by one piece more than the row before it."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int) -> torch.Tensor:
        return torch.randint(0, size, (rows, pieces), generator=generator)

    mask = (torch.arange(pieces) < pieces - torch.arange(rows)[:, None]).long()
    inputs = {"input_ids": draw(model.base.config.vocab_size), "attention_mask": mask}
    if model.layout.features:
        inputs["features"] = torch.stack([draw(size) for size in model.layout.features.values()], -1)
    return inputs


def write_graph(model: TokenTagger, folder: Path) -> Path:
    """Write a tagger as `model.onnx`, batch and length left open, and return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs = example_inputs(model, 2, 16)
    names = {"input_names": list(inputs), "output_names": ["logits"]}
    axes = {name: {0: "batch", 1: "length"} for name in (*inputs, "logits")}
    options = {"dynamo": False, "opset_version": OPSET, "dynamic_axes": axes, **names}
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; the other takes minutes
        torch.onnx.export(model.cpu().eval(), tuple(inputs.values()), str(folder / FILE), **options)
    return folder / FILE


def kept_whole(graph: Any) -> list[str]:
    """Names of the nodes of a graph that int8 would cost more than it saves.

    Small tables, above all those of the word features, and the classifier are quick anyway and stand close to the answer.
    The inputs of the second layer of a feed-forward block have the widest range (few values are very large), which is worst
    in the first quarter of the encoder's layers.
    """
    shapes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    gathers = [node for node in graph.node if node.op_type == "Gather"]
    tables = [one.name for one in gathers if shapes.get(one.input[0], (SMALL_TABLE,))[0] < SMALL_TABLE]
    products = [node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in shapes]
    heads = [name for name in products if "classifier" in name]
    seconds = {int(found[1]): name for name in products if (found := SECOND_LAYER.search(name))}
    return tables + heads + [seconds[layer] for layer in sorted(seconds)[: len(seconds) // 4]]


def overflows() -> bool:
    """Whether the CPU may lose sums of products of 8 bits: x86 without the instructions for them (VNNI)."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return False
    told = Path("/proc/cpuinfo")
    flags = told.read_text(encoding="utf-8").split() if told.exists() else ()
    return not {"avx512_vnni", "avx_vnni"} & set(flags)


def quantise(path: Path) -> Path:
    """Write the graph with int8 weights beside it and return the file.

    Matrix products and embedding tables are quantised but for :func:`kept_whole`, each output column with a scale of its
    own; activations are quantised as they come. Weights have 7 bits where 8 overflow.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    target, root = path.with_name(QUANTISED), logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the quantiser recommends its preprocessing on every call
    try:
        quantize_dynamic(
            str(path),
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=overflows(),
            op_types_to_quantize=["MatMul", "Gather"],
            nodes_to_exclude=kept_whole(onnx.load(str(path), load_external_data=False).graph),
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        root.setLevel(level)
    return target


def save_graphs(run: Run, model: Path, folder: Path) -> Path:
    """Write whole weights as a graph and its int8 form, with all that prediction needs; returns the folder.

    The attention is eager, which the exporter can write in plain operators. An example of what both graphs answer is kept
    for the machine that serves them.
    """
    tagger = load_trained_tagger(run, model, attention="eager")
    quantise(write_graph(tagger.model, folder))
    shutil.copy(model / CARD, folder / CARD)
    tagger.model.base.config.save_pretrained(folder)
    tagger.tokenizer.save_pretrained(folder)
    inputs = example_inputs(tagger.model, 4, 16)
    layout = tagger.model.layout
    answers = {name: OnnxTagger(folder / name, layout)(*inputs.values()) for name in GRAPHS.values()}
    save_file({**inputs, **answers}, folder / CHECK)
    return folder


# -- ONNX Runtime -----------------------------------------------------------------------------------------------------
def open_session(path: Path) -> Any:
    """A session on the CPU with as many threads as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # as PyTorch: see helpers.models
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own have no common base
        raise UserError(
            f"{path} cannot be loaded: {str(error).splitlines()[0][:160]}; export it again"
        ) from None


class OnnxTagger:
    """Stands where a :class:`helpers.tagging.model.TokenTagger` stands in :mod:`helpers.tagging.predict`."""

    device = torch.device("cpu")
    word_logits, tag_log_probs = TokenTagger.word_logits, TokenTagger.tag_log_probs

    def __init__(self, path: Path, layout: Layout):
        self.session, self.layout = open_session(path), layout

    def eval(self) -> OnnxTagger:
        """Nothing to switch."""
        return self

    def __call__(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        """Logits (rows, pieces, groups · outputs) of `input_ids`, `attention_mask` and, if it has any, `features`."""
        given = zip(self.session.get_inputs(), inputs)
        found = self.session.run(None, {one.name: tensor.numpy() for one, tensor in given})
        return torch.from_numpy(found[0])


def load_graph(run: Run, folder: Path, quantised: bool) -> TrainedTagger:
    """A graph of :func:`save_graphs` where a trained tagger is expected.

    Raises
    ------
    UserError
        If its int8 form answers otherwise here than where it was exported, by more than int8 cost there.
    """
    layout, *rest = read_card(folder)
    model: Any = OnnxTagger(folder / (QUANTISED if quantised else FILE), layout)
    if quantised:
        kept = load_file(folder / CHECK)
        exact, there = kept.pop(FILE), kept.pop(QUANTISED)
        inputs = [kept[one.name] for one in model.session.get_inputs()]
        if (model(*inputs) - there).abs().max() > (there - exact).abs().max():
            raise UserError(
                f"{folder / QUANTISED} answers otherwise on this CPU than where it was exported: use --engine onnx, "
                "or export it here"
            )
    return TrainedTagger(model, load_token_tokenizer(run, str(folder)), *rest)
