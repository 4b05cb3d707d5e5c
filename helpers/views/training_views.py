"""Tables and sentences about training runs for notebook 04."""

from __future__ import annotations

import pandas as pd

from helpers.files import read_json
from helpers.models import adapters
from helpers.models.adapters import folder_megabytes
from helpers.run import Run
from helpers.tagging import model as tagger_model
from helpers.tagging.encode import tags_of_spans
from helpers.tasks import Example, Task
from helpers.tasks.text import word_units
from helpers.training.common import FitResult
from helpers.training.rows import training_rows, training_sentences, variant_settings
from helpers.writing.encode import PROMPT, STRUCTURE, Encoded


def token_table(task: Task, tokenizer, row: Encoded, limit: int = 30) -> pd.DataFrame:
    """The first answer tokens of a sequence, each with the field it writes (or `structure`)."""
    kept = [(token, kind) for token, kind in zip(row.input_ids, row.field_ids) if kind != PROMPT][:limit]
    names = {STRUCTURE: "structure", **dict(enumerate(task.fields))}
    frame = pd.DataFrame(
        {
            "token": [repr(tokenizer.decode([token])) for token, _ in kept],
            "field": [names[kind] for _, kind in kept],
        }
    )
    runs = (frame["field"] != frame["field"].shift()).cumsum()
    grouped = frame.groupby(runs, sort=False).agg(
        field=("field", "first"), tokens=("token", "  ".join), count=("token", "size")
    )
    return grouped.set_index("field")


def training_row_table(run: Run) -> pd.DataFrame:
    """Rows that each variant learns from: index variant, a column for each origin, and `all`."""
    chosen = (lambda run, own, rows: rows) if run.task.writes else training_sentences
    counts = {
        name: pd.Series(
            [row.origin for row in chosen(run, variant_settings(run, name), training_rows(run, name))]
        ).value_counts()
        for name in run.task.variants
    }
    frame = pd.DataFrame(counts).T.fillna(0).astype(int)
    order = sorted(frame.columns, key=lambda name: (name != "gold", name))
    return frame[order].assign(all=frame.sum(axis=1)).rename_axis("variant")


def variants_in_words(task: Task) -> str:
    """The task's variants as Markdown: a table of what sets them apart, and a paragraph on each."""
    rows = [f"| `{name}` | {' | '.join(notes[:3])} |" for name, notes in task.words.variant_notes.items()]
    table = "\n".join(["| variant | trains | loss | tool |", "|---|---|---|---|", *rows])
    return "\n\n".join(
        [
            table,
            *(
                f"### {name.replace('_', ' ')}\n{notes[3].strip()}"
                for name, notes in task.words.variant_notes.items()
            ),
        ]
    )


def verdict(task: Task, result: FitResult) -> str:
    """One sentence on a finished training run, in Markdown."""
    losses = [record["loss"] for record in result.history if "loss" in record]
    text = (
        f"**{result.variant}**: {result.parameters['trainable']:,} of {result.parameters['total']:,} parameters "
        f"trained; loss {losses[0]:.3f} → {losses[-1]:.3f}; best validation {task.words.headline} "
        f"**{result.best_score:.1%}** at step {result.best_step}."
    )
    return f"{text} ({result.note})" if result.note else text


def curve_caption(task: Task, results: dict[str, FitResult]) -> str:
    """Which variant ended with the highest score, for the caption under the curves."""
    best = max(results.values(), key=lambda result: result.best_score)
    return (
        f"Training loss, learning rate and validation {task.words.headline} by step. {best.variant} reaches the "
        f"highest validation score, {best.best_score:.1%}."
    )


def parameter_caption(table: pd.DataFrame) -> str:
    """Range of the trainable shares."""
    shares = table["trainable share %"]
    return f"Trainable and total parameters: the smallest share is {shares.min():.1f} % ({shares.idxmin()})."


def summary(run: Run, results: dict[str, FitResult]) -> pd.DataFrame:
    """One row a variant: validation score, seconds, peak memory, size of what is kept."""
    costs = read_json(run.path("costs.json"))
    rows = {}
    for name, result in results.items():
        spent = costs.get(name, {})
        rows[name] = {
            f"validation {run.task.words.headline}": result.best_score,
            "steps": result.history[-1]["step"],
            "seconds": spent.get("train_seconds", float("nan")),
            "peak memory MB": spent.get("train_peak_memory_mb", float("nan")),
            "size MB": folder_megabytes(run.path("checkpoints", name, "best", "x").parent),
        }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "variant"
    return frame


def adapter_sizes(run: Run, ranks: tuple[int, ...] = (4, 8, 16, 64)) -> pd.DataFrame:
    """Parameters of a LoRA adapter on the run's base model, by rank and target layers.

    A matrix of n × m gets r · (n + m) parameters. The model is built without memory for its weights.
    """
    model, groups = (adapters if run.task.writes else tagger_model).adapter_layers(run)
    total = sum(parameter.numel() for parameter in model.parameters())
    rows = []
    for layers, targets in groups.items():
        shapes = [
            module.weight.shape for name, module in model.named_modules() if name.split(".")[-1] in targets
        ]
        rows += [
            {
                "rank": rank,
                "layers": layers,
                "parameters": rank * sum(map(sum, shapes)),
                "share of the base %": 100 * rank * sum(map(sum, shapes)) / total,
            }
            for rank in ranks
        ]
    return pd.DataFrame(rows).set_index("rank")


def tag_table(task: Task, example: Example, words: int = 40) -> pd.DataFrame:
    """The first words of an example with their B, I and O tags, for the fields that occur among them."""
    spans, units = task.spans(example), word_units(example.text)[:words]
    tags = tags_of_spans(units, [spans[name] for name in task.fields])
    frame = pd.DataFrame(
        {
            name: ["OBI"[tag] for tag in tags[:, index].tolist()]
            for index, name in enumerate(task.fields)
            if (tags[:, index] > 0).any()
        },
        index=[example.text[start:end] for start, end in units],
    )
    return frame.rename_axis("word")
