"""Tables of notebook 04: rows learnt from, variants in words, adapters by size, and what training cost."""

from __future__ import annotations

import pandas as pd

from helpers.files import read_json
from helpers.models.adapters import folder_megabytes
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.training.common import FitResult
from helpers.training.rows import training_rows, training_sentences, variant_settings


def training_row_table(run: Run) -> pd.DataFrame:
    """Rows that each variant learns from: index variant, a column for each origin, and `all`."""
    counts = {}
    for name in run.task.variants:
        rows = training_rows(run, name)
        if not run.task.writes:
            rows = training_sentences(run, variant_settings(run, name), rows)
        counts[name] = pd.Series([row.origin for row in rows]).value_counts()
    frame = pd.DataFrame(counts).T.fillna(0).astype(int)
    order = sorted(frame.columns, key=lambda name: (name != "gold", name))
    return frame[order].assign(all=frame.sum(axis=1)).rename_axis("variant")


def variants_in_words(task: Task) -> str:
    """The task's variants as Markdown: a table of what sets them apart, and a paragraph on each."""
    lines = ["| variant | trains | loss | tool |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {' | '.join(notes[:3])} |" for name, notes in task.words.variant_notes.items()]
    for name, notes in task.words.variant_notes.items():
        lines.append(f"\n### `{name}`\n{notes[3].strip()}")
    return "\n".join(lines)


def summary(run: Run, results: dict[str, FitResult]) -> pd.DataFrame:
    """One row a variant: validation score, seconds, peak memory, size of what is kept."""
    costs = read_json(run.path("costs.json"))
    rows = {
        name: {
            f"validation {run.task.words.headline}": result.best_score,
            "steps": result.history[-1]["step"],
            "seconds": costs.get(name, {}).get("train_seconds", float("nan")),
            "peak memory MB": costs.get(name, {}).get("train_peak_memory_mb", float("nan")),
            "size MB": folder_megabytes(run.dir / "checkpoints" / name / "best"),
        }
        for name, result in results.items()
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("variant")
