"""Predictions of models that write: one question a text, or one a field, each by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from helpers.tasks.base import Task
from helpers.writing.generation import Generation, decode, field_confidence
from helpers.writing.prompts import Prompt, tuned

Answers = list[list[Generation]]  # for each text, in the order of its questions


def answer_together(
    model,
    tokenizer,
    prompts: Sequence[Prompt],
    grammars: Sequence[str] | None = None,
    max_new_tokens: int = 200,
    batch_size: int = 64,
    progress: str | None = None,
    one_object: bool = False,
) -> Answers:
    """All answers about some texts: each text is read once, and no question sees another one or its answer."""
    if not prompts:
        return []
    texts, questions, stop = [prompt.text for prompt in prompts], prompts[0].questions, prompts[0].stop
    options = (max_new_tokens, grammars, stop, batch_size, progress, one_object)
    found = decode(model, tokenizer, texts, questions, *options)
    return [found[at : at + len(questions)] for at in range(0, len(found), len(questions))]


def predict_texts(
    model,
    tokenizer,
    task: Task,
    texts: Sequence[str],
    constraint: str = "free",
    max_new_tokens: int = 160,
    batch_size: int = 64,
    prompt: Callable[[Any, Task, str], Prompt] = tuned,
    read: Callable[[str], str] = str,
    progress: str | None = None,
) -> list[dict[str, Any]]:
    """Predictions for input texts: dicts of `prediction`, `raw`, `confidence`, `error`, `truncated`.

    For a task that asks one question a field, `raw` has one answer a line, in the order of the questions.
    `truncated` counts the answers that reached `max_new_tokens`; with a grammar those were closed there.

    Parameters
    ----------
    constraint : str
        `free`, `schema` (valid JSON of the task) or `source` (verbatim fields are spans of the text as well).
    batch_size : int
        Answers that are written at the same time.
    prompt : callable
        (tokenizer, task, text) → what the model is asked; by default what it was trained on.
    read : callable
        What the model wrote → the JSON object in it, behind which it need not go on; by default all is the answer.
    progress : str, optional
        Label of a progress bar.
    """
    names, grammars = task.chat.questions, None
    if constraint != "free" and names:
        grammars = [task.chat.grammar(text, constraint, name) for text in texts for name in names]
    elif constraint != "free":
        grammars = [task.chat.grammar(text, constraint) for text in texts]
    prompts = [prompt(tokenizer, task, text) for text in texts]
    options = (max_new_tokens, batch_size, progress, read is not str)
    found = answer_together(model, tokenizer, prompts, grammars, *options)
    return [_record(tokenizer, task, answers, read) for answers in found]


def _record(
    tokenizer, task: Task, answers: Sequence[Generation], read: Callable[[str], str]
) -> dict[str, Any]:
    """Prediction record of the answers about one text."""
    names = task.chat.questions
    written = [read(answer.text) for answer in answers]
    # one answer a line: a line break means nothing in JSON but to part tokens
    raw = "\n".join(" ".join(text.split("\n")) for text in written) if names else written[0]
    prediction, error = task.chat.parse_output(raw)
    confidence: dict[str, float] = {}
    for at, answer in enumerate(answers if prediction else ()):
        confidence |= field_confidence(answer, tokenizer, names[at : at + 1] or task.fields)
    return {
        "prediction": prediction,
        "raw": raw,
        "error": error,
        "confidence": confidence if prediction else None,
        "truncated": sum(answer.truncated for answer in answers),
    }
