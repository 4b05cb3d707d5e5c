"""Systems that learn nothing from the training rows: stage 03 scores them on validation, 05 on the scored rows."""

from __future__ import annotations

import os
import random
from typing import Any, Sequence

import pandas as pd
from transformers import AutoConfig

from helpers.evaluation.predict import (
    pick_shots,
    predict_base,
    predict_rules,
    predict_server,
    predictions_path,
    read_predictions,
    write_predictions,
)
from helpers.files import write_json
from helpers.models.base import base_path, load_tokenizer
from helpers.run import Run
from helpers.tagging.predict import predict_with, untuned_tagger
from helpers.tasks import Example, Task
from helpers.tasks.bio import tag_all
from helpers.tasks.scores import metrics_of
from helpers.training.costs import timed
from helpers.writing.prompts import untuned

BASELINES = ("rules", "base_zero_shot", "base_few_shot", "llm")
COLUMNS = {
    "rows": "rows",
    "exact_match": "exact match",
    "field_accuracy": "field accuracy",
    "exact_f1": "F1",
    "accuracy": "token accuracy",
    "json_validity": "valid output",
}


def server() -> tuple[str, str] | None:
    """Address and model of the OpenAI-compatible server that the environment names, if it does."""
    address = os.environ.get("LLM_BASE_URL")
    return (address, os.environ.get("LLM_MODEL", "llama3.2")) if address else None


def names_of(task: Task) -> tuple[str, ...]:
    """The baselines of a task, those of its own among them."""
    return BASELINES if task.writes else ("majority", *task.hooks.baselines, "untuned", "llm")


def available(run: Run) -> tuple[str, ...]:
    """The baselines that can run here.

    `llm` can run only with a server, `base_few_shot` only with shots that fit (:func:`no_shots`).
    """
    left_out = ("llm",) * (server() is None) + ("base_few_shot",) * bool(no_shots(run))
    return tuple(name for name in names_of(run.task) if name not in left_out)


def no_shots(run: Run) -> str:
    """Why the untuned base model is not shown solved examples, in a clause; empty where it is."""
    if not run["few_shot"]:
        return "the setting `few_shot` is 0"
    if not run.task.writes:
        return "the models of this task write nothing"
    longest = max(run.load("validation"), key=lambda row: len(row.text))
    shots = pick_shots(run, run.load("train"), run["few_shot"])
    prompt = untuned(load_tokenizer(run), run.task, longest.text, shots)
    needed = len(prompt.text) + max(map(len, prompt.questions)) + run["max_new_tokens"]
    room = getattr(AutoConfig.from_pretrained(base_path(run)), "max_position_embeddings", None) or needed
    if needed <= room:
        return ""
    return f"a prompt and its answer would take {needed} tokens, and the model has room for {room}"


def asked(run: Run, validation: Sequence[Example]) -> list[Example]:
    """The validation rows that the untuned model answers: `baseline_rows` drawn by the seed (0: all), in their order.

    Stage 05 asks it about all scored rows; nothing is chosen by what it says on validation.
    """
    count = min(run["baseline_rows"] or len(validation), len(validation))
    return [validation[at] for at in sorted(random.Random(run.seed).sample(range(len(validation)), count))]


def _predict(run: Run, name: str, rows: Sequence[Example]) -> list[dict[str, Any]]:
    if name in run.task.hooks.baselines:
        return run.task.hooks.baselines[name](run, rows)
    if not run.task.writes:
        return {"majority": predict_majority, "untuned": predict_untuned, "llm": predict_llm}[name](run, rows)
    shots = pick_shots(run, run.load("train"), run["few_shot"])
    if name == "rules":
        return predict_rules(run, rows)
    if name == "llm":
        return predict_server(run, rows, shots, *server())
    return predict_base(run, rows, shots if name == "base_few_shot" else ())


def predict_majority(run: Run, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The most frequent tag for every token: outside. Its accuracy shows how little accuracy says."""
    return tag_all(examples, lambda tokens: ["O"] * len(tokens))


def predict_untuned(run: Run, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The encoder as it comes, with a classifier of seeded random weights: what fine-tuning starts from."""
    return predict_with(run, untuned_tagger(run), examples)


def predict_llm(run: Run, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """A prompted language model that names the entities of each label; wherever the tokens spell one, it is tagged."""
    shots = pick_shots(run, run.load("train"), run["few_shot"])
    records = predict_server(run, examples, shots, *server())
    bound = [run.task.bind(record["prediction"], example) for record, example in zip(records, examples)]
    return [
        {**record, "prediction": None if found is None else list(found.tags)}
        for record, found in zip(records, bound)
    ]


def run_baseline(run: Run, name: str, validation: Sequence[Example]) -> dict[str, Any]:
    """Run one of the task's baselines on the validation part; returns its scores, keeps them and the predictions."""
    with timed(run, name, "predict"):
        records = _predict(run, name, validation)
    write_predictions(run, name, records, "validation")
    result = scores(run, validation, records)
    write_json(run.path("baselines", f"{name}.json"), result)
    return result


def predict_scored(run: Run) -> None:
    """Write the predictions of every available baseline for the scored part; drop those of other runs."""
    scored = run.load("scored")
    one_part = not run.path("splits", "test.jsonl").exists()
    for name in dict.fromkeys((*names_of(run.task), *BASELINES)):
        if name not in available(run):
            for part in ("scored", "validation"):
                predictions_path(run, name, part).unlink(missing_ok=True)
            continue
        records = read_predictions(run, name, "validation") if one_part else []
        write_predictions(run, name, records if len(records) == len(scored) else _predict(run, name, scored))


def scores(run: Run, gold: Sequence[Example], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Scores of the task's metrics module with 95 % intervals, and the accuracy of each field if it has one."""
    metrics = metrics_of(run.task)
    result = metrics.score(run.task, gold, records)
    result["field_accuracy_by_field"] = {
        name: row["accuracy"] for name, row in result["fields"].items() if "accuracy" in row
    }
    result["rows"] = len(gold)
    result["ci95"] = metrics.intervals(run.task, gold, records, run.seed)
    return result


def score_rules(run: Run, rows: Sequence[Example]) -> dict[str, Any]:
    """Scores of the rules on any rows, e.g. on those they were written from."""
    return scores(run, rows, _predict(run, "rules", rows))


def raw_outputs(run: Run, name: str, rows: Sequence[Example], count: int) -> pd.DataFrame:
    """Texts, raw outputs and whether they parse, for evenly spaced rows of the validation predictions."""
    records = read_predictions(run, name, "validation")
    picked = range(0, len(rows), max(1, len(rows) // count))[:count]
    return pd.DataFrame(
        [
            {
                "text": rows[i].text,
                "output": records[i]["raw"],
                "valid": "yes" if records[i]["prediction"] else "no",
            }
            for i in picked
        ]
    ).set_index("text")


def summary(run: Run, results: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row a baseline: the headline score with interval, and those of :data:`COLUMNS` that the task has."""
    metric = run.task.headline
    rows = {
        name: {
            run.task.words.headline: r[metric],
            "low": r["ci95"][metric][0],
            "high": r["ci95"][metric][1],
            **{words: r[key] for key, words in COLUMNS.items() if key in r},
        }
        for name, r in results.items()
    }
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "system"
    return frame
