"""The model card of the embedded base model, written from `pretraining.json` beside the weights.

Run as:
    python -m helpers.base_card artifacts/base
"""
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

HEADER = """---
license: mit
language: en
library_name: transformers
pipeline_tag: text-generation
tags: [llama, information-extraction, synthetic]
---
"""
TEXT = """# Embedded base language model

A Llama-architecture causal model of {millions:.2f} M parameters that comes with this repository, so that every notebook
can fine-tune a real language model on a laptop, without a model hub. It was trained from scratch on synthetic
extraction text alone and is a starting point for fine-tuning, not a model to talk to.

## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained("artifacts/base")
model = AutoModelForCausalLM.from_pretrained("artifacts/base", dtype="float32")
```

## Recipe

{recipe}

Made by `python -m helpers.pretrain`. Matrices are updated by the optimiser of the table, embedding and norms by AdamW;
the learning rate warms up, stays, and falls linearly over the last part of the run. The first two layers start with weights that copy what
followed the last time (`helpers/induction.py`), and the first `copy_tokens` come from short texts. A later sitting goes
on from the weights of the one before, with new documents and a new warm-up (`--start-from`). Documents are never cut;
{packing}. Answers have loss weight 1, given text {given}. The weights are stored in fp16 and meant to be loaded in fp32.

## Data

{tokens:.1f} M tokens, seen once, from the generators in `helpers/corpus`: event texts with their fields, records of many
invented schemas, key–value and span copying, dates and times rewritten, reports with questions about them. Names and
places come from Faker in twenty locales and from made-up syllables; from the fourth sitting on, activities, venues,
people and words of police reports come from `helpers/corpus/pools` too. Nothing of `data/` is in it: documents that hold a
text of the samples are left out by the stream itself. Shares of documents, once the opening is over:

{mixture}

## Training

{training}

![Loss on answers by tokens seen](loss.png)

## What was tried

{trials}

## Limits

- English event, record and report texts; other languages appear in names only.
- It copies and re-orders; it knows nothing about the world and cannot reason.
- Context 2,048 tokens. Numbers are read digit by digit.
- Values it has to write without a model in the text (a spelt-out duration) are its weakest point.

Weights: `model.safetensors`, {bytes:,} bytes, SHA-256 `{sha256}`.
"""


def _table(rows: dict[str, list[Any]], head: list[str]) -> str:
    lines = ["| " + " | ".join(["", *head]) + " |", "|---" * (len(head) + 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join([key, *map(str, cells)]) + " |" for key, cells in rows.items()])


def _cell(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _trials(folder: Path) -> str:
    path = folder / "trials.json"
    if not path.exists():
        return "No trials are recorded: `python -m helpers.pretrain_trials` makes them."
    content = json.loads(path.read_text(encoding="utf-8"))
    lines = [f"One choice changed at a time, {content['seconds']:.0f} seconds each on the same machine "
             "(`python -m helpers.pretrain_trials`). Loss in nats a character of the answer: events, spans to copy, "
             f"records of invented schemas. {content.get('note', '')}".rstrip(), "",
             "| trial | parameters | tokens | MFU | events | copying | schemas |", "|---|---|---|---|---|---|---|"]
    lines += [f"| {name} | {one['parameters'] / 1e6:.2f} M | {one['tokens'] / 1e3:.0f} k | {one['mfu']:.2f} | "
              f"{one['event']:.3f} | {one['copy']:.3f} | {one['schema']:.3f} |" for name, one in content["trials"].items()]
    return "\n".join(lines)


def loss_figure(history: list[dict[str, Any]]):
    """Held-out and training loss by tokens seen, as a Figure."""
    from helpers import plots  # sets the style
    from matplotlib.figure import Figure

    plots.style()
    frame = pd.DataFrame(history)
    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    for column, label in (("train_loss", "training"), ("held_out_loss", "held out, answers only")):
        axes.plot(frame["tokens"] / 1e6, frame[column], marker="o", markersize=3, label=label)
    axes.set(xlabel="tokens seen (millions)", ylabel="cross-entropy (nats a token)")
    axes.legend()
    return figure


def write_card(folder: Path) -> Path:
    """Write README.md and loss.png into the folder of a pre-trained model.

    Parameters
    ----------
    folder : Path
        Holds `pretraining.json` and the weights.
    """
    from transformers import AutoModelForCausalLM

    summary = json.loads((folder / "pretraining.json").read_text(encoding="utf-8"))
    parameters = sum(p.numel() for p in AutoModelForCausalLM.from_pretrained(folder).parameters())
    sittings, recipe = summary["sittings"], summary["recipe"]
    heads = ["first sitting", *(f"sitting {number}" for number in range(2, len(sittings) + 1))]
    names = ("hidden_size", "layers", "heads", "intermediate_size", "vocab_size", "rope_theta", "start", "copy_tokens",
             "tokens_per_batch", "optimiser", "matrix_lr", "other_lr", "warmup_steps", "decay_share", "seed")
    shape = {name.replace("_", " "): [_cell(one["recipe"][name]) for one in sittings] for name in names}
    shape |= {"tokens": [f"{one['tokens']:,}" for one in sittings], "steps": [f"{one['steps']:,}" for one in sittings],
              "seconds": [f"{one['seconds']:,.0f}" for one in sittings],
              "share of peak (MFU)": [f"{one['mfu']:.2f}" for one in sittings]}
    kinds = list(dict.fromkeys(kind for one in sittings for kind in one["mixture"]))
    mixture = {kind: [f"{100 * one['mixture'].get(kind, 0) / sum(one['mixture'].values()):.1f} %" for one in sittings]
               for kind in kinds}
    training = {"parameters": [f"{parameters:,}"], "tokens": [f"{summary['tokens']:,}"],
                "seconds": [f"{summary['seconds']:,.0f}"],
                "tokens a second": [f"{summary['tokens_per_second']:,.0f}"],
                "hardware": [f"{summary['device']}, {summary['threads']} thread(s), matrix products at "
                             f"{summary['peak_gflops']:.0f} GFLOP/s"],
                "held-out answer loss": [f"{summary['history'][-1]['held_out_loss']:.3f}"]}
    text = HEADER + TEXT.format(
        trials=_trials(folder),
        millions=parameters / 1e6, recipe=_table(shape, heads), given=recipe["given_weight"],
        packing="several share a row" if recipe["packed"] else "each has a row of its own, in batches of like length",
        tokens=summary["tokens"] / 1e6, mixture=_table(mixture, heads), training=_table(training, [""]),
        bytes=summary["weights_bytes"], sha256=summary["sha256"])
    loss_figure(summary["history"]).savefig(folder / "loss.png", dpi=110)
    (folder / "README.md").write_text(text, encoding="utf-8")
    return folder / "README.md"


if __name__ == "__main__":
    print(write_card(Path(sys.argv[1])))
