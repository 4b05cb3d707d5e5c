"""How probable the right answers are to a model: loss, perplexity and token accuracy, before and after training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd
import torch

from helpers.evaluation.predict import load_variant, release_model, variants_trained
from helpers.files import write_json
from helpers.models.adapters import load_untuned
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tasks import Example
from helpers.training.losses import next_token_targets
from helpers.training.rows import encode_rows
from helpers.writing.encode import collate

UNTRAINED = "base_zero_shot"
BATCH = 8


@torch.no_grad()
def answer_likelihood(run: Run, model, tokenizer, rows: Sequence[Example]) -> dict[str, float]:
    """Scores of a model on the answers of some rows, each token predicted from the right ones before it.

    `loss` is in nats a token of the answers, `perplexity` its exponential, `token_accuracy` the share of answer tokens
    that are the likeliest one.
    """
    encoded = sorted(encode_rows(run, tokenizer, list(rows)), key=len)
    was_training = model.training
    model.eval()
    loss = hits = count = 0.0
    for start in range(0, len(encoded), BATCH):
        batch = collate(encoded[start : start + BATCH], tokenizer.pad_token_id)
        targets = next_token_targets(
            model, {name: part.to(model.device) for name, part in batch.items()}, False
        )
        loss += torch.nn.functional.cross_entropy(targets.logits, targets.tokens, reduction="sum").item()
        hits += (targets.logits.argmax(-1) == targets.tokens).sum().item()
        count += len(targets.tokens)
    model.train(was_training)
    return {
        "loss": loss / count,
        "perplexity": math.exp(min(loss / count, 700.0)),
        "token_accuracy": hits / count,
    }


def measure(run: Run) -> pd.DataFrame:
    """Likelihood of the scored rows' answers to the untuned base and to every trained variant that writes.

    Also written to `likelihood.json`, from where it goes into metrics.json.

    Returns
    -------
    DataFrame
        Index system, columns loss, perplexity, token_accuracy.
    """
    rows = run.load("scored")
    release_model()
    model, tokenizer = load_untuned(run), load_tokenizer(run)
    found = {UNTRAINED: answer_likelihood(run, model, tokenizer, rows)}
    del model
    release_model()
    for variant in variants_trained(run):
        if variant not in run.task.variants.taggers:
            found[variant] = answer_likelihood(run, *load_variant(run, variant), rows)
    write_json(run.path("likelihood.json"), found)
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("system")
