"""Sessions of ONNX Runtime on the CPU, and graphs with int8 weights."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from helpers.errors import UserError

OPSET = 17  # has layer normalisation as one operator, and the exporter writes it without conversion


def open_session(path: Path, threads: int = 0) -> Any:
    """A session on the CPU with that many threads (0: those of PyTorch)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads or torch.get_num_threads(), 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.set_denormal_as_zero", "1")  # as PyTorch: see helpers.models
    if not path.is_file():
        raise UserError(f"no file {path}: write it with python -m helpers.export")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime has a class of its own for each kind of damage
        raise UserError(f"{path} cannot be loaded: {str(error).splitlines()[0][:160]}") from None


def write_graph(
    model: Any,
    inputs: dict[str, torch.Tensor],
    path: Path,
    axes: dict[str, dict[int, str]],
    outputs: Sequence[str] = ("logits",),
) -> Path:
    """Trace a module on some inputs and write it, the named axes left open; older graphs in the folder go.

    Parameters
    ----------
    model : nn.Module
        A function of plain tensors, in the order of the inputs.
    axes : dict
        Input or output → its open axes and their names.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for old in path.parent.glob("model*.onnx*"):
        old.unlink()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # the tracing exporter is deprecated; the other takes minutes
        torch.onnx.export(
            model,
            tuple(inputs.values()),
            str(path),
            dynamo=False,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=OPSET,
        )
    return path


def quantise(
    path: Path, target: Path, operators: Sequence[str], keep: Sequence[str] = (), per_channel: bool = True
) -> Path:
    """Write a graph whose weights are int8 and whose activations are quantised as they come; returns `target`.

    Quantised are the nodes of the kinds `operators` with a constant input, but for those named in `keep`; with
    `per_channel` each output column of a matrix has a scale of its own.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the quantiser recommends its preprocessing on every call
    try:
        quantize_dynamic(
            str(path),
            str(target),
            weight_type=QuantType.QInt8,
            per_channel=per_channel,
            op_types_to_quantize=list(operators),
            nodes_to_exclude=list(keep),
            extra_options={"MatMulConstBOnly": True},
        )
    finally:
        root.setLevel(level)
    return target
