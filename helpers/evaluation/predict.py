"""Predictions of trained variants and baselines, and the files that hold them."""

from __future__ import annotations

import gc
import json
import os
from functools import partial
from pathlib import Path
from typing import Any, Sequence

import torch
from tqdm import tqdm

from helpers.data.read import read_jsonl, write_jsonl
from helpers.errors import UserError
from helpers.evaluation.vote import RULES, majority
from helpers.files import read_json
from helpers.models.adapters import load_finetuned, load_untuned
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tagging.model import load_trained_tagger
from helpers.tagging.predict import predict_with
from helpers.tasks import Example
from helpers.tasks.base import Message
from helpers.writing import prompts
from helpers.writing.questions import predict_texts

FOLDERS = {"scored": "predictions", "validation": "validation_predictions"}


def predictions_path(run: Run, name: str, part: str = "scored") -> Path:
    """File of one system's predictions on a part."""
    return run.path(FOLDERS[part], f"{name}.jsonl")


def write_predictions(run: Run, name: str, records: Sequence[dict[str, Any]], part: str = "scored") -> Path:
    """Write one line a row: `id`, `prediction` (null where nothing valid came out), `raw`, `confidence`."""
    keys = ("id", "prediction", "raw", "confidence")
    return write_jsonl(
        predictions_path(run, name, part), [{key: record.get(key) for key in keys} for record in records]
    )


def read_predictions(run: Run, name: str, part: str = "scored") -> list[dict[str, Any]]:
    """The records of :func:`write_predictions`.

    Raises
    ------
    UserError
        If the system has made none.
    """
    path = predictions_path(run, name, part)
    if not path.exists():
        raise UserError(
            f"{path} is missing: run the stage that makes it first (03 for baselines, 05 for variants)"
        )
    return read_jsonl(path)


def variants_trained(run: Run) -> list[str]:
    """Variants of the task that stage 04 has finished, in the task's order."""
    return [name for name in run.task.variants if (run.dir / "checkpoints" / name / "finished.json").exists()]


_held: dict[tuple, Any] = {}
"""The trained variant that is in memory, by what it was loaded from: one at a time."""


def release_model() -> None:
    """Let go of the variant that is in memory: two large models do not fit a GPU beside each other."""
    _held.clear()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def load_variant(run: Run, variant: str):
    """A trained variant, adapter merged: (model, tokenizer), or a trained tagger; the last one stays in memory.

    Raises
    ------
    UserError
        If stage 04 has not finished the variant.
    """
    folder = run.dir / "checkpoints" / variant
    done = folder / "finished.json"
    if not done.exists():
        raise UserError(f"variant {variant!r} is not trained: run notebook 04_train_lora first")
    note = read_json(done)["result"]["note"]
    key = (
        run.task.name,
        run.profile,
        run.data,
        json.dumps(run.settings, sort_keys=True),
        folder,
        done.stat().st_mtime,
    )
    if key not in _held:
        release_model()
        best = folder / "best"
        _held[key] = (
            load_trained_tagger(run, best)
            if variant in run.task.variants.taggers
            else (load_finetuned(run, best, note.startswith("base in 4-bit")), load_tokenizer(run))
        )
    return _held[key]


def predict_variant(
    run: Run, variant: str, examples: Sequence[Example], constraint: str = "source", progress: bool = True
) -> list[dict[str, Any]]:
    """Predictions of a trained variant, or of a vote, for examples, in their order.

    Parameters
    ----------
    constraint : str
        `free`, `schema` or `source`; see :func:`helpers.writing.questions.predict_texts`. Taggers know only spans, and the
        members of a vote are asked in their default way.
    """
    if variant in run.task.variants.votes:
        return _predict_vote(run, variant, examples, progress)
    return predict_loaded(run, variant, load_variant(run, variant), examples, constraint, progress)


def predict_loaded(
    run: Run,
    variant: str,
    loaded: Any,
    examples: Sequence[Example],
    constraint: str = "source",
    progress: bool = False,
) -> list[dict[str, Any]]:
    """As :func:`predict_variant`, of a variant in the form that :func:`load_variant` gives."""
    name = f"{variant}@{constraint}" if progress else None
    if variant in run.task.variants.taggers:
        return predict_with(run, loaded, examples, name)
    (model, tokenizer), texts = loaded, [example.text for example in examples]
    return with_ids(
        examples,
        predict_texts(
            model,
            tokenizer,
            run.task,
            texts,
            constraint,
            run["max_new_tokens"],
            run["generation_batch_size"],
            progress=name,
            dialogue=run.settings.get("dialogue", "independent"),
        ),
    )


def _predict_vote(run: Run, vote: str, examples: Sequence[Example], progress: bool) -> list[dict[str, Any]]:
    """Every member of a vote answers all examples before the next one is loaded; then they vote."""
    task = run.task
    return majority(
        task,
        [
            predict_rules(run, examples)
            if name == RULES
            else predict_variant(run, name, examples, task.variants.decodings_of(name)[-1], progress)
            for name in task.variants.votes[vote]
        ],
    )


def with_ids(examples: Sequence[Example], records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records with the row index of their example in front."""
    return [{"id": example.id, **record} for example, record in zip(examples, records)]


# -- baselines --------------------------------------------------------------------------------------------------------
def predict_rules(run: Run, examples: Sequence[Example]) -> list[dict[str, Any]]:
    """The task's rules: they write no text and know no confidence."""
    task = run.task
    return [
        {"id": e.id, "prediction": task.hooks.rules(e.text), "raw": None, "confidence": None}
        for e in examples
    ]


def pick_shots(run: Run, train: Sequence[Example], count: int) -> list[Example]:
    """Few-shot examples: the train rows that together show most fields, shorter ones first (no validation row)."""
    pool = sorted(
        train, key=lambda e: (-sum(map(bool, run.task.values(e.target).values())), len(e.text), e.id)
    )
    step = max(1, len(pool) // (2 * max(count, 1)))  # from full rows down to rows of average fullness
    return [pool[index * step] for index in range(min(count, len(pool)))]


def predict_base(
    run: Run, examples: Sequence[Example], shots: Sequence[Example] = ()
) -> list[dict[str, Any]]:
    """The untuned base model, told what to do in its own way (:func:`helpers.writing.prompts.untuned`) after `shots`."""
    release_model()
    model, tokenizer = load_untuned(run), load_tokenizer(run)
    records = predict_texts(
        model,
        tokenizer,
        run.task,
        [e.text for e in examples],
        "free",
        run["max_new_tokens"],
        run["generation_batch_size"],
        prompt=partial(prompts.untuned, shots=shots),
        read=prompts.first_object,
        progress=f"base, {len(shots)} shots",
        dialogue=run.settings.get("dialogue", "independent"),
    )
    del model
    release_model()
    return with_ids(examples, records)


def predict_server(
    run: Run, examples: Sequence[Example], shots: Sequence[Example], base_url: str, model: str
) -> list[dict[str, Any]]:
    """A prompted LLM behind an OpenAI-compatible server (Ollama, vLLM, llama.cpp …), temperature 0.

    It is asked what the untuned base model is asked, each question of a dialogue by itself.

    Raises
    ------
    UserError
        If the server does not answer.
    """
    from openai import OpenAI, OpenAIError

    client = OpenAI(
        base_url=base_url, api_key=os.environ.get("LLM_API_KEY", "none"), timeout=120, max_retries=1
    )

    def answer(messages: list[Message]) -> str:
        try:
            found = client.chat.completions.create(
                model=model, messages=messages, temperature=0, seed=run.seed
            )
        except OpenAIError as error:
            raise UserError(
                f"LLM_BASE_URL={base_url}: {error}; start the server or unset LLM_BASE_URL"
            ) from None
        return prompts.first_object(found.choices[0].message.content or "")

    task, records = run.task, []
    for example in tqdm(examples, desc=model):
        before = prompts.opening(task, example.text, shots)
        asked = [
            [*before, {"role": "user", "content": prompts.question(name)}] for name in task.chat.questions
        ]
        raw = "\n".join(map(answer, asked or [before]))
        prediction, kind = task.chat.parse_output(raw)
        records.append({"prediction": prediction, "raw": raw, "error": kind, "confidence": None})
    return with_ids(examples, records)
