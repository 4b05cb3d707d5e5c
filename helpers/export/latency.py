"""What compression costs and buys: size, latency and F1 of each form of a token tagger."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from helpers.evaluation.systems import system_of
from helpers.export import folders, onnx_graphs
from helpers.run import Run
from helpers.tasks.base import Example
from helpers.tasks.metrics import score
from helpers.views.findings import EXACT, PLAIN, SMALL

LENGTH, THREADS, ROUNDS = 128, 2, 10


def call_times(calls: dict[Any, Callable[[], Any]], runs: int) -> dict[Any, np.ndarray]:
    """Milliseconds of some calls, in rounds in which each gets its turn after one call that is not counted."""
    spent: dict[Any, list[float]] = {name: [] for name in calls}
    for share in np.array_split(np.arange(runs), min(ROUNDS, runs)):
        for name, call in calls.items():
            call()
            for _ in share:
                started = time.perf_counter()
                call()
                spent[name].append(1000 * (time.perf_counter() - started))
    return {name: np.array(times) for name, times in spent.items()}


def compression_table(run: Run, variants: Sequence[str], examples: Sequence[Example]) -> pd.DataFrame:
    """Every form of trained taggers: PyTorch in fp32, ONNX in fp32, ONNX in int8.

    Latency is that of one sentence of 128 pieces, or of as many as the model takes, on two threads, over `latency_runs`
    runs, all forms of all variants in turn, so that a busy moment of the machine meets each of them.

    Returns
    -------
    DataFrame
        Index (variant, form); columns megabytes (all files of the weights), ms, ms_p5, ms_p95, speedup (over PyTorch
        fp32 of the same variant), f1, f1_change (against the same), largest_difference (of logits from PyTorch's).
    """
    with ExitStack() as after, torch.inference_mode():
        after.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(THREADS)  # of the sessions that are opened, too
        opened, calls, lines = {}, {}, {}
        for variant in tqdm(variants, desc="export to ONNX", unit="variant"):
            folders.export(run, variant, ("onnx",))
            forms = {PLAIN: folders.load_exported(run, variant)}
            forms |= {form: folders.load_onnx(run, variant, form == SMALL) for form in (EXACT, SMALL)}
            plain = forms[PLAIN].model.cpu()
            pieces = min(LENGTH, plain.base.config.max_position_embeddings)
            inputs = onnx_graphs.example_inputs(plain, 1, pieces).values()
            for form, tagger in forms.items():
                opened[variant, form] = tagger
                calls[variant, form] = lambda model=tagger.model, inputs=inputs: model(*inputs)
        few = examples[: folders.GAP_ROWS]
        spent = call_times(calls, run["latency_runs"])
        for (variant, form), tagger in tqdm(opened.items(), desc="F1 of each form", unit="form"):
            records = system_of(run, variant, tagger).predict(examples)
            weights = {PLAIN: "model/*.safetensors", EXACT: f"onnx/{onnx_graphs.FILE}*"}
            pattern = weights.get(form, f"onnx/{onnx_graphs.QUANTISED}*")
            files = folders.export_folder(run, variant).glob(pattern)
            lines[variant, form] = {
                "megabytes": sum(path.stat().st_size for path in files) / 1e6,
                **dict(zip(("ms_p5", "ms", "ms_p95"), np.percentile(spent[variant, form], [5, 50, 95]))),
                "f1": score(run.task, examples, records)["f1"],
                "largest_difference": folders.logit_gap(run, opened[variant, PLAIN], tagger, few),
            }
    table = pd.DataFrame.from_dict(lines, orient="index").rename_axis(["variant", "form"])
    first = table.xs(PLAIN, level="form").reindex(table.index.get_level_values("variant"))
    table["speedup"] = first["ms"].to_numpy() / table["ms"]
    table["f1_change"] = table["f1"] - first["f1"].to_numpy()
    columns = "megabytes ms ms_p5 ms_p95 speedup f1 f1_change largest_difference"
    return table[columns.split()]
