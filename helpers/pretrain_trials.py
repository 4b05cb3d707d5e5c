"""Short pre-training runs that differ in one choice: the table of what was tried, for the model card.

Run as:
    python -m helpers.pretrain_trials --seconds 100 --out artifacts/base/trials.json

Every trial gets the same wall time on the same machine, so that a larger or slower model pays for its size. A
trial that is in the file already is not run again. Losses are given in nats a character of the answer, which is
comparable between vocabularies.
"""
from __future__ import annotations

import dataclasses
import json
import random
import shutil
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
import typer
from transformers import AutoModelForCausalLM, AutoTokenizer

from helpers.config import ROOT
from helpers.corpus import mixture
from helpers.corpus.lexicon import lexicon
from helpers.packing import encode
from helpers.pretrain import RECIPES, Recipe, pretrain

TRIALS: dict[str, dict] = {
    "the first sitting's recipe": {},
    "random start": {"start": "random"},
    "random start, AdamW 1e-3": {"start": "random", "optimiser": "adamw", "matrix_lr": 1e-3},
    "AdamW 1e-3": {"optimiser": "adamw", "matrix_lr": 1e-3},
    "AdamW 3e-3": {"optimiser": "adamw", "matrix_lr": 3e-3},
    "Muon 0.03": {"matrix_lr": 0.03},
    "rotary base 1e4": {"rope_theta": 1e4},
    "vocabulary 1,536": {"vocab_size": 1536},
    "vocabulary 6,144": {"vocab_size": 6144},
    "4 layers of 272": {"layers": 4, "hidden_size": 272, "intermediate_size": 736},
    "8 layers of 192": {"layers": 8, "hidden_size": 192, "intermediate_size": 528},
    "6 layers of 320": {"hidden_size": 320, "intermediate_size": 864},
    "whole mixture from the start": {"copy_tokens": 0},
    "packed rows": {"packed": True},
    "loss on given text too (0.1)": {"given_weight": 0.1},
}
PROBES = {"event": "event_extraction", "copy": "span_copy", "schema": "invented_schema"}


@torch.no_grad()
def nats_per_character(model, tokenizer, kind: str, documents: int = 60) -> float:
    """Answer loss on new documents of one kind, in nats a character.

    Parameters
    ----------
    kind : str
        A key of :data:`helpers.corpus.mixture.MIXTURE`.
    """
    rng, lex, make = random.Random(f"probe:{kind}"), lexicon(), mixture.MIXTURE[kind][1]
    total, characters = 0.0, 0
    for _ in range(documents):
        document = make(rng, lex)
        ids, weights = encode(document, tokenizer, 0.0)
        row = torch.tensor([ids])
        losses = F.cross_entropy(model(row).logits[0, :-1], row[0, 1:], reduction="none")
        total += float((losses * torch.tensor(weights[1:])).sum())
        characters += sum(len(text) for text, answered in document.parts if answered)
    return total / characters


def run_trial(recipe: Recipe, seconds: float, folder: Path) -> dict[str, float]:
    """Pre-train for some seconds from nothing and probe the result."""
    summary = pretrain(recipe, folder, "cpu", max_seconds=seconds)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return {"parameters": sum(p.numel() for p in model.parameters()), "tokens": summary["tokens"],
            "mfu": round(summary["mfu"], 3),
            **{name: round(nats_per_character(model, tokenizer, kind), 4) for name, kind in PROBES.items()}}


def main(seconds: float = typer.Option(100.0, help="wall time of a trial"),
         out: Path = typer.Option(ROOT / "artifacts/base/trials.json"),
         only: list[str] = typer.Option([], help="names of trials; all by default")) -> None:
    """Run the trials that are not in the file yet."""
    done = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {"seconds": seconds, "trials": {}}
    for name, changes in TRIALS.items():
        if name in done["trials"] or (only and name not in only):
            continue
        print(f"-- {name}", flush=True)
        # copying first for a third of the time, as in the long run's first minutes
        recipe = dataclasses.replace(RECIPES["cpu"], **{"copy_tokens": 150_000, "documents_per_shard": 800, **changes})
        folder = Path(tempfile.mkdtemp())
        try:
            done["trials"][name] = run_trial(recipe, seconds, folder)
        finally:
            shutil.rmtree(folder)
        out.write_text(json.dumps(done, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
