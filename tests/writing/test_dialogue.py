"""Training on chats: what is learnt of them, and how answers are weighed."""

from __future__ import annotations

import pytest
from crime_rows import TASK, headed, told

from helpers.data.read import write_jsonl
from helpers.evaluation import systems
from helpers.evaluation.scoring import answer_likelihood
from helpers.run import Run
from helpers.training.fit import fit


@pytest.fixture()
def run(tmp_path, base):
    settings = {"base_model": str(base), "max_new_tokens": 4, "score_rows": 1, "score_constraint": "free"}
    own = {"epochs": 1, "batch_size": 2, "length_power": 0.0, "warmup_steps": 1, "learning_rate": 1e-2}
    settings |= {f"lora.{name}": value for name, value in own.items()}
    made = Run(task="crime", profile="smoke", out=str(tmp_path), settings=settings)
    for part in ("train", "validation"):
        write_jsonl(made.path("splits", f"{part}.jsonl"), map(TASK.rows.to_json, [headed(), told()]))
    return made


def test_a_variant_learns_the_answers_and_is_chosen_by_f1(run):
    variant, rows = "lora", run.load("train")
    result = fit(run, variant, rows * 4, rows)
    losses = [line["loss"] for line in result.history if "loss" in line]
    assert losses[-1] < losses[0]
    scored = [line for line in result.history if "val_exact_f1" in line]
    assert len(scored) == 1 and result.best_score == scored[0]["val_exact_f1"]
    system = systems.load(run, variant)
    records = system.predict(rows, "free")
    assert [record["id"] for record in records] == [0, 1] and records[0]["raw"].count("\n") == 17
    found = answer_likelihood(run, *system.loaded, rows)
    assert (
        0 <= found["token_accuracy"] < 1 < found["perplexity"]
    )  # a random base leaves an adapter little to learn
    assert found["loss"] == pytest.approx(scored[0]["val_loss"], rel=0.2)
