"""Taggers without training, of any labels: all outside, untuned encoder, prompted LLM."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helpers.run import Run
from helpers.tasks.bio import tag_all
from helpers.tasks.records import Example

Records = list[dict[str, Any]]


def predict_majority(run: Run, examples: Sequence[Example]) -> Records:
    """The most frequent tag for every token: outside. Its accuracy shows how little accuracy says."""
    return tag_all(examples, lambda tokens: ["O"] * len(tokens))


def predict_untuned(run: Run, examples: Sequence[Example]) -> Records:
    """The encoder as it comes, with a classifier of seeded random weights: what fine-tuning starts from."""
    from helpers.tagging.token_predict import predict_with, untuned_tagger  # loads torch

    return predict_with(run, untuned_tagger(run), examples)


def predict_llm(run: Run, examples: Sequence[Example]) -> Records:
    """A prompted language model that names the entities of each label; wherever the tokens spell one, it is tagged.

    Only with a server, see :func:`helpers.evaluation.baselines.server`.
    """
    from helpers.evaluation.baselines import server
    from helpers.evaluation.predict import pick_shots, predict_server  # loads torch

    shots = pick_shots(run, run.load("train"), run["few_shot"])
    records = predict_server(run, examples, shots, *server())
    bound = [run.task.bind(record["prediction"], example) for record, example in zip(records, examples)]
    return [{**record, "prediction": None if found is None else list(found.tags)}
            for record, found in zip(records, bound)]
