"""What compression costs and buys: size, latency and F1 of each form of a token tagger."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Iterator

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from helpers.export.onnx_export import (
    example_inputs,
    export_onnx,
    largest_difference,
    onnx_megabytes,
    predict_onnx,
    quantise_onnx,
    run_session,
)
from helpers.export.onnx_runtime import open_session
from helpers.run import Run
from helpers.tagging.model import load_trained_tagger
from helpers.tagging.predict import predict_with
from helpers.tasks.records import Example
from helpers.tasks.token_metrics import entity_f1, predicted_tags
from helpers.views.token_views import EXACT, PLAIN, SMALL

LENGTH, WARMUP, THREADS = 128, 10, 2


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """PyTorch on that many threads inside the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def time_calls(call: Callable[[], Any], runs: int, warmup: int = WARMUP) -> np.ndarray:
    """Milliseconds of each of `runs` calls, after some that are not counted."""
    for _ in range(warmup):
        call()
    spent = np.empty(runs)
    for index in range(runs):
        started = time.perf_counter()
        call()
        spent[index] = 1000 * (time.perf_counter() - started)
    return spent


def latency_line(spent: np.ndarray) -> dict[str, float]:
    """Median, 5th and 95th percentile of times in ms; the median is what one sentence takes on a quiet machine."""
    low, middle, high = np.percentile(spent, [5, 50, 95])
    return {"ms": float(middle), "ms_p5": float(low), "ms_p95": float(high)}


def compression_table(run: Run, variants: Sequence[str], examples: Sequence[Example]) -> pd.DataFrame:
    """Every form of trained variants: PyTorch in fp32, ONNX in fp32, ONNX in int8.

    Latency is that of one sentence of 128 pieces (batch 1) on two threads, over `latency_runs` runs, all forms of all
    variants in turn, so that a busy moment of the machine meets each of them.

    Parameters
    ----------
    run : Run
    variants : sequence of str
        Trained variants.
    examples : sequence of Example
        Rows on which F1 is measured.

    Returns
    -------
    DataFrame
        Index (variant, form); columns megabytes (all files of the weights), ms, ms_p5, ms_p95, speedup (over PyTorch
        fp32 of the same variant), f1, f1_change (against the same), largest_difference (of logits from PyTorch's; NaN
        for int8, whose logits are not meant to be the same).
    """
    opened = {
        variant: _open(run, variant) for variant in tqdm(variants, desc="export to ONNX", unit="variant")
    }
    with torch_threads(THREADS), torch.inference_mode():
        spent = interleaved(
            {
                (variant, form): call
                for variant, forms in opened.items()
                for form, call in forms.calls().items()
            },
            run["latency_runs"],
        )
    lines: dict[tuple[str, str], dict[str, float]] = {}
    for variant, forms in tqdm(opened.items(), desc="F1 of each form", unit="variant"):
        for form, line in forms.scores(run, examples).items():
            lines[variant, form] = {**line, **latency_line(spent[variant, form])}
    table = pd.DataFrame.from_dict(lines, orient="index").rename_axis(["variant", "form"])
    first = table.xs(PLAIN, level="form").reindex(table.index.get_level_values("variant"))
    table["speedup"] = first["ms"].to_numpy() / table["ms"]
    table["f1_change"] = table["f1"] - first["f1"].to_numpy()
    return table[["megabytes", "ms", "ms_p5", "ms_p95", "speedup", "f1", "f1_change", "largest_difference"]]


@dataclass
class _Forms:
    """A trained variant in all its forms, ready to be called."""

    tagger: Any
    files: dict[str, Path]
    sessions: dict[str, Any]

    def calls(self) -> dict[str, Callable[[], Any]]:
        """Form → a call on one sentence of 128 pieces, or of as many as the model takes."""
        model = self.tagger.model
        inputs = example_inputs(model, 1, min(LENGTH, model.base.config.max_position_embeddings))
        return {
            PLAIN: lambda: model(*inputs.values()),
            **{
                form: lambda session=session: run_session(session, inputs)
                for form, session in self.sessions.items()
            },
        }

    def scores(self, run: Run, examples: Sequence[Example]) -> dict[str, dict[str, float]]:
        """Form → its size, its F1 on the rows and how far its logits are from PyTorch's."""
        gold = [example.target.tags for example in examples]

        def f1(records: list[dict[str, Any]]) -> float:
            return entity_f1(gold, predicted_tags(run.task, examples, records))

        lines = {
            PLAIN: {
                "megabytes": _merged_megabytes(self.tagger.model),
                "largest_difference": 0.0,
                "f1": f1(predict_with(run, self.tagger, examples)),
            }
        }
        for form, path in self.files.items():
            exact = largest_difference(self.tagger.model, self.sessions[form]) if form == EXACT else np.nan
            lines[form] = {
                "megabytes": onnx_megabytes(path),
                "largest_difference": exact,
                "f1": f1(predict_onnx(run, self.tagger, path, examples, THREADS)),
            }
        return lines


def _open(run: Run, variant: str) -> _Forms:
    """Export a trained variant and open what came out."""
    tagger = load_trained_tagger(run, run.path("checkpoints") / variant / "best")
    tagger.model.cpu()
    plain = export_onnx(run, variant)
    files = {EXACT: plain, SMALL: quantise_onnx(plain)}
    return _Forms(tagger, files, {form: open_session(path, THREADS) for form, path in files.items()})


def interleaved(
    calls: dict[Any, Callable[[], Any]], runs: int, rounds: int = 10, warmup: int = WARMUP
) -> dict[Any, np.ndarray]:
    """Times in ms of several calls, measured in rounds in which each gets its turn."""
    share = [len(part) for part in np.array_split(np.arange(runs), rounds) if len(part)]
    found: dict[Any, list[np.ndarray]] = {name: [] for name in calls}
    for number, count in enumerate(share):
        for name, call in calls.items():
            found[name].append(time_calls(call, count, warmup if number == 0 else 1))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _merged_megabytes(model) -> float:
    """Weights of a model in fp32 with the adapter merged, MB (1e6 bytes)."""
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters()) / 1e6


def teachers(run: Run) -> dict[str, str]:
    """Student → its (first) teacher, of the task's variants."""
    named = {name: str(run.settings.get(f"{name}.teacher", "")) for name in run.task.variants}
    return {name: teacher.split(",")[0].strip() for name, teacher in named.items() if teacher}
