"""Sessions of ONNX Runtime on the CPU, and graphs with int8 weights."""
from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from helpers.config import UserError


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


def quantise(path: Path, target: Path, operators: Sequence[str], keep: Sequence[str] = (),
             per_channel: bool = True) -> Path:
    """Write a graph whose weights are int8 and whose activations are quantised as they come; returns `target`.

    Parameters
    ----------
    operators : sequence of str
        Kinds of nodes that are quantised, where one of their inputs is constant.
    keep : sequence of str
        Names of nodes that stay as they are.
    per_channel : bool
        Whether each output column of a matrix has a scale of its own.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # the quantiser recommends its preprocessing on every call
    try:
        quantize_dynamic(str(path), str(target), weight_type=QuantType.QInt8, per_channel=per_channel,
                         op_types_to_quantize=list(operators), nodes_to_exclude=list(keep),
                         extra_options={"MatMulConstBOnly": True})
    finally:
        root.setLevel(level)
    return target
