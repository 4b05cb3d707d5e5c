"""Systems that learn nothing from the training rows: which there are, what they are asked, functions that answer."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from helpers.data.read import read_jsonl
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks import Example, Task
from helpers.tasks.base import Message
from helpers.tasks.bio import tag_all

BASELINES = ("rules", "base_zero_shot", "base_few_shot", "llm")
Records = list[dict[str, Any]]


def names_of(task: Task) -> tuple[str, ...]:
    """The baselines of a task, those of its own among them."""
    own = dict.fromkeys(("rules", *task.hooks.baselines))
    return BASELINES if task.writes else ("majority", *own, "untuned", "llm")


def available(run: Run) -> tuple[str, ...]:
    """The baselines that can run here: `llm` only with a server, `base_few_shot` only with shots that fit."""
    left_out = ("llm",) * (not os.environ.get("LLM_BASE_URL")) + ("base_few_shot",) * (
        run.task.writes and not shots_fit(run)
    )
    return tuple(name for name in names_of(run.task) if name not in left_out)


def function_of(task: Task, name: str) -> Callable[[Run, Sequence[Example]], Records]:
    """What answers in place of a model of the study: rules, the commonest tag, or a server."""
    # where a tagging task has no rules they find nothing
    rules = predict_rules if task.writes else predict_majority
    functions = {"rules": rules, "majority": predict_majority, "llm": predict_llm}
    return (functions | task.hooks.baselines)[name]


# -- solved examples --------------------------------------------------------------------------------------
def pick_shots(run: Run) -> list[Example]:
    """Few-shot examples: the train rows that together show most fields, shorter ones first (no validation row)."""
    train, count = run.load("train"), run["few_shot"]
    pool = sorted(
        train, key=lambda row: (-sum(map(bool, run.task.values(row.target).values())), len(row.text), row.id)
    )
    step = max(1, len(pool) // (2 * max(count, 1)))  # from full rows down to rows of average fullness
    return [pool[index * step] for index in range(min(count, len(pool)))]


def shots_fit(run: Run) -> bool:
    """Whether the untuned base model can be shown solved examples: there are some, and it has room for them."""
    if not run["few_shot"]:
        return False
    from transformers import AutoConfig

    from helpers.models.base import base_path, load_tokenizer
    from helpers.writing.prompts import untuned

    longest = max(run.load("validation"), key=lambda row: len(row.text))
    prompt = untuned(load_tokenizer(run), run.task, longest.text, pick_shots(run))
    needed = len(prompt.text) + max(map(len, prompt.questions)) + run["max_new_tokens"]
    room = getattr(AutoConfig.from_pretrained(base_path(run)), "max_position_embeddings", None) or needed
    return needed <= room


def asked(run: Run, validation: Sequence[Example]) -> list[Example]:
    """The validation rows that the untuned model answers: `baseline_rows` drawn by the seed (0: all), in their order.

    Stage 05 asks it about all scored rows; nothing is chosen by what it says on validation.
    """
    count = min(run.settings.get("baseline_rows") or len(validation), len(validation))
    return [validation[at] for at in sorted(random.Random(run.seed).sample(range(len(validation)), count))]


# -- functions that answer --------------------------------------------------------------------------------
def predict_rules(run: Run, examples: Sequence[Example]) -> Records:
    """The task's rules: they write no text and know no confidence.

    What those that mark places make of them follows from the conventions of the run's train labels, unless the setting
    `conventions` is off.
    """
    task, rules = run.task, run.task.hooks.rules
    path = run.dir / "splits" / "train.jsonl"
    if task.hooks.rule_spans and run.settings.get("conventions", True) and path.exists():
        rules = partial(rules, conventions=_conventions(task, path, path.stat().st_mtime_ns))
    return [
        {"id": row.id, "prediction": rules(row.text), "raw": None, "confidence": None} for row in examples
    ]


@lru_cache(maxsize=4)
def _conventions(task: Task, path: Path, changed: int) -> Any:
    return task.hooks.learn_conventions(list(map(task.rows.from_json, read_jsonl(path))))


def predict_majority(run: Run, examples: Sequence[Example]) -> Records:
    """The most frequent tag for every token: outside. Its accuracy shows how little accuracy says."""
    return tag_all(examples, lambda tokens: ["O"] * len(tokens))


def predict_llm(run: Run, examples: Sequence[Example]) -> Records:
    """A prompted LLM behind the OpenAI-compatible server (Ollama, vLLM, llama.cpp …) that the environment names, temperature 0.

    It is asked what the untuned base model is asked, each question of a dialogue by itself. Of a task with tags it
    names the entities of each label; wherever the tokens spell one, it is tagged. A UserError if it does not answer.
    """
    from openai import OpenAI, OpenAIError

    from helpers.writing import prompts

    task, shots, records = run.task, pick_shots(run), []
    address, model = os.environ["LLM_BASE_URL"], os.environ.get("LLM_MODEL", "llama3.2")
    key = os.environ.get("LLM_API_KEY", "none")
    client = OpenAI(base_url=address, api_key=key, timeout=120, max_retries=1)

    def answer(messages: list[Message]) -> str:
        try:
            found = client.chat.completions.create(
                model=model, messages=messages, temperature=0, seed=run.seed
            )
        except OpenAIError as error:
            raise UserError(
                f"LLM_BASE_URL={address}: {error}; start the server or unset LLM_BASE_URL"
            ) from None
        return prompts.first_object(found.choices[0].message.content or "")

    for row in tqdm(examples, desc=model):
        before = prompts.opening(task, row.text, shots)
        turns = [
            [*before, {"role": "user", "content": prompts.question(name)}] for name in task.chat.questions
        ]
        raw = "\n".join(map(answer, turns or [before]))
        prediction, error = task.chat.parse_output(raw)
        if not task.writes:
            bound = task.bind(prediction, row)
            prediction = None if bound is None else list(bound.tags)
        records.append(
            {"id": row.id, "prediction": prediction, "raw": raw, "error": error, "confidence": None}
        )
    return records
