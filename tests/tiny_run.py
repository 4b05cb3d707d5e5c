"""Finished runs of the calendar and the IT task with random models: folders as training leaves them, in a second."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from tiny_encoder import save_tiny_encoder, sentences
from tiny_encoder import tiny_run as tiny_token_run
from tiny_model import save_tiny_base
from transformers import AutoModelForCausalLM

from helpers.data.read import write_jsonl
from helpers.files import write_json
from helpers.models.adapters import add_lora
from helpers.run import Run
from helpers.tagging.features import WordFeatures, fit_features
from helpers.tagging.model import (
    TrainedTagger,
    build_token_tagger,
    layout_of,
    load_token_tokenizer,
    save_tagger,
)
from helpers.training.taggers import new_tagger

NAMES = ["Ann", "Bo", "Cy", "Dee", "Eli", "Flo", "Gus", "Hal"]


def rows(task, count: int = 8):
    """Labelled rows, each with a person of its own."""
    found = []
    for at, name in enumerate(NAMES[:count]):
        output = {"action": "Lunch", "date": f"{at + 1:02}/03/2026", "time": "1:00 PM", "attendees": [name]}
        text = f"Lunch with {name} on {at + 1}/03/2026 at 1pm"
        row = {"event_text": text, "output": dict.fromkeys(task.fields) | output}
        found.append(task.rows.parse(row, at))
    return found


def finish(run: Run, names: Iterable[str], best: str, scores: dict, validation: list) -> None:
    """Write what stages leave beside the weights: all variants with the same scores, and validation rows."""
    task, data = run.task, {"source": "sample"}
    for name in names:
        write_json(run.path("checkpoints", name, "finished.json"), {"key": "", "result": {"note": ""}})
    fields = {field: {"f1": 0.5, "support": 8} for field in task.fields}
    scores = scores | {"fields": fields, "parameters": {"total": 1000, "trainable": 100}}
    about = {"task": task.name, "profile": run.profile}
    measured = {"data": data | {"rows": 8, "fingerprint": "f" * 64}, "best": best}
    write_json(run.path("metrics.json"), about | measured | {"variants": dict.fromkeys(names, scores)})
    made = {"settings": run.settings, "seed": 42, "data": data, "environment": {"python": "3"}}
    write_json(run.path("manifest.json"), about | made)
    write_jsonl(run.path("splits", "validation.jsonl"), [task.rows.to_json(row) for row in validation])


def make_run(folder: Path) -> Path:
    """Write the run and return its task folder: variants `full_entity_loss`, `lora` and `tagger`, the tagger best.

    The tagger takes the proposals of the rules as hints.
    """
    base = save_tiny_base(folder / "base")
    settings = {"base_model": str(base), "encoder_model": str(save_tiny_encoder(folder / "encoder"))}
    settings |= {"max_new_tokens": 40, "generation_batch_size": 8}
    run = Run(task="calendar", profile="cpu", out=str(folder), settings=settings)
    names = ("full_entity_loss", "lora", "tagger")
    full, lora, spans = (run.path("checkpoints", name, "best", "x").parent for name in names)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_pretrained(base)
    model.save_pretrained(full)
    adapted = add_lora(model, 4, 8, 0.0, ["q_proj", "v_proj"], seed=0)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)  # a fresh adapter would change nothing
    adapted.save_pretrained(lora)
    tagger = new_tagger(run, "tagger", rows(run.task))
    for table in (*tagger.model.feature_inputs, *tagger.model.feature_scores):
        torch.nn.init.normal_(table.weight[1:], std=0.2)
    save_tagger(tagger, spans)
    scores = {"exact_match": 0.5, "field_accuracy": 0.9, "exact_f1": 0.8, "json_validity": 1.0}
    scores["ci95"] = {"exact_match": [0.25, 0.75], "field_accuracy": [0.8, 0.95]}
    finish(run, names, "tagger", scores, rows(run.task))
    return run.dir


def make_token_run(folder: Path) -> Path:
    """Write a run of the IT task and return its folder: `full`, `lora` (an adapter) and `enhanced` (features)."""
    run = tiny_token_run(save_tiny_encoder(folder / "encoder"), folder)
    task, generator = run.task, torch.Generator().manual_seed(0)
    seen, count = fit_features(task, sentences(), True, True), len(task.fields) * 2 + 1
    own = {"dropout": 0.0, "alpha": 8, "lora_dropout": 0.0, "freeze_embeddings": False}
    for name, features in (("full", WordFeatures()), ("lora", WordFeatures()), ("enhanced", seen)):
        model = build_token_tagger(
            run, own | {"rank": 4 if name == "lora" else 0}, layout_of(task, features.sizes)
        )
        for one in model.parameters():
            one.data.add_(0.2 * torch.randn(one.shape, generator=generator) * one.requires_grad)
        tagger = TrainedTagger(model, load_token_tokenizer(run), features, np.zeros((count, count)))
        save_tagger(tagger, run.path("checkpoints", name, "best", "x").parent)
    scores = {"f1": 0.5, "exact_match": 0.25, "field_accuracy": 0.9, "ci95": {"f1": [0.25, 0.75]}}
    finish(run, ["full", "lora", "enhanced"], "lora", scores, sentences())
    return run.dir
