"""How much faster is a variant by ONNX Runtime than by PyTorch, one text at a time, and does it still answer the same?

Run as: python -m helpers.benchmark_decoding --task calendar --variant lora

Both decode the same texts in one process, in turns, so that a busy machine slows both. The exact match is measured on all
scored rows.
"""
from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer

from helpers import causal_onnx
from helpers.config import Run, UserError
from helpers.export import export_folder, export_onnx, load_exported, load_onnx
from helpers.model_folder import open_run
from helpers.tasks.records import Example

SYSTEMS = ("pytorch", "onnx", "onnx_int8")


def load_systems(run: Run, variant: str) -> dict[str, Any]:
    """The variant by each runtime, exported first where it is not yet."""
    whole = load_exported(run, variant)
    if not (export_folder(run, variant, "onnx") / causal_onnx.QUANTISED).exists():
        export_onnx(run, variant)
    return {"pytorch": whole, "onnx": load_onnx(run, variant, False), "onnx_int8": load_onnx(run, variant)}


def time_in_turns(run: Run, variant: str, systems: dict[str, Any], examples: Sequence[Example],
                  rounds: int = 3) -> dict[str, list[float]]:
    """Seconds of each text by each system: the best of some rounds, the systems taking turns text by text."""
    from helpers.predict import predict_loaded

    best = {name: [np.inf] * len(examples) for name in systems}
    for name, loaded in systems.items():
        predict_loaded(run, variant, loaded, examples[:1])
    for _ in range(rounds):
        for place, example in enumerate(examples):
            for name, loaded in systems.items():
                started = time.perf_counter()
                predict_loaded(run, variant, loaded, [example])
                best[name][place] = min(best[name][place], time.perf_counter() - started)
    return best


def benchmark(run: Run, variant: str, texts: int = 24, rounds: int = 3) -> pd.DataFrame:
    """One line a system.

    Returns
    -------
    DataFrame
        Index system; columns milliseconds (median a text), speed_up (of the total against PyTorch), the task's headline
        score and same_predictions (as those of PyTorch) over all scored rows, size_mb.

    Raises
    ------
    UserError
        If the variant answers questions, which ONNX Runtime does not do side by side.
    """
    from helpers.evaluation import share_right
    from helpers.predict import predict_loaded

    if run.task.asks(variant):
        raise UserError(f"{variant} answers the questions of task {run.task.name} side by side, which is measured by "
                        "helpers.benchmark_prefix")
    systems, examples = load_systems(run, variant), run.load("scored")
    seconds = time_in_turns(run, variant, systems, examples[:texts], rounds)
    records = {name: predict_loaded(run, variant, loaded, examples) for name, loaded in systems.items()}
    weights = {"pytorch": export_folder(run, variant, "model", "model.safetensors"),
               "onnx": export_folder(run, variant, "onnx", causal_onnx.FILE),
               "onnx_int8": export_folder(run, variant, "onnx", causal_onnx.QUANTISED)}
    lines = {}
    for name in SYSTEMS:
        same = [a["prediction"] == b["prediction"] for a, b in zip(records[name], records["pytorch"])]
        lines[name] = {"milliseconds": 1000 * float(np.median(seconds[name])),
                       "speed_up": sum(seconds["pytorch"]) / sum(seconds[name]),
                       run.task.headline: share_right(run.task, examples, records[name]),
                       "same_predictions": sum(same) / len(same),
                       "size_mb": weights[name].stat().st_size / 1e6 if weights[name].exists() else np.nan}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("system")


def main(
    task: Annotated[str, typer.Option(metavar="calendar|crime|it_ner")] = "calendar",
    run: Annotated[str, typer.Option(help="Folder of a finished run (artifacts/<task> by default).")] = "",
    variant: Annotated[str, typer.Option(help="A trained variant (the best by default).")] = "",
    texts: Annotated[int, typer.Option(min=1, help="Texts that are timed.")] = 24,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each of them is timed.")] = 3,
    threads: Annotated[int, typer.Option(min=0, help="Threads of both (0: as many as there are cores).")] = 0,
    out: Annotated[Path | None, typer.Option(help="Keep the numbers as CSV.")] = None,
) -> None:
    """Time a variant by PyTorch, ONNX Runtime and ONNX Runtime with int8 weights, one text at a time."""
    if threads:
        import torch

        torch.set_num_threads(threads)
    opened, name = open_run(task, run or None, variant or None)
    table = benchmark(opened, name, texts, rounds)
    print(table.round(4).to_string())
    if out:
        table.to_csv(out)


if __name__ == "__main__":
    from helpers.command import start

    start(main)
