"""What a model is asked about a text, fine-tuned or never trained, and what its answers are: one a text, or one a field."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from helpers.tasks.base import Example, Message, Task
from helpers.tasks.fields import Kind
from helpers.writing import chat
from helpers.writing.encode import encode_example
from helpers.writing.generation import Generation, decode, field_confidence


class Prompt(NamedTuple):
    """What stands before the answers about one text: tokens that all questions share; tokens from there to where each answer
    begins, a single empty list where the text itself asks; and those that end an answer beside the end-of-text token."""

    text: list[int]
    questions: list[list[int]]
    stop: tuple[int, ...] = ()


def encode_prompt(tokenizer, prompt: str) -> list[int]:
    """Prompt ids exactly as :func:`helpers.writing.encode.encode_example` makes them."""
    return encode_example(tokenizer, prompt, "", ()).input_ids[:-1]


def tuned(tokenizer, task: Task, text: str) -> Prompt:
    """What a model is asked that was trained on what :mod:`helpers.writing.encode` makes of the rows."""
    names = task.chat.questions
    if not names:
        return Prompt(encode_prompt(tokenizer, task.chat.prompt(text)), [[]])
    return _in_chat(tokenizer, task.chat.opening(text), [task.chat.question(name) for name in names])


def untuned(tokenizer, task: Task, text: str, shots: Sequence[Example] = ()) -> Prompt:
    """What a model is asked that never saw the task, after some solved examples.

    It is told what to do in its own chat template; one that has none goes on with a text of solved examples.
    """
    names = task.chat.questions
    if names:
        return _in_chat(
            tokenizer, opening(task, text, shots), [question(name) for name in names], enable_thinking=False
        )
    if tokenizer.chat_template:
        return _in_chat(tokenizer, opening(task, text, shots), enable_thinking=False)
    return Prompt(encode_prompt(tokenizer, plain(task, text, shots)), [[]])


def _in_chat(tokenizer, before: Sequence[Message], questions: Sequence[str] = (), **options) -> Prompt:
    """Turns that end with the assistant's before some questions, or with the user's where there are none."""
    stop = (tokenizer.convert_tokens_to_ids(chat.end_of_turn(tokenizer)),)
    if not questions:
        text = chat.render(tokenizer, before, True, **options)
        return Prompt(chat.token_ids(tokenizer, [text])[0], [[]], stop)
    pieces, tails = chat.asked(tokenizer, before, questions, **options)
    ids = chat.token_ids(tokenizer, [piece.text for piece in pieces])
    return Prompt([token for piece in ids for token in piece], chat.token_ids(tokenizer, tails), stop)


# -- words for models that were never trained on the task -----------------------------------------------
def instruction(task: Task) -> str:
    """What the answer has to look like: the task's own words, or what follows from its fields."""
    if task.words.instruction:
        return task.words.instruction
    kinds = "".join(f"; {', '.join(names)}: {wanted}" for wanted, names in _other_kinds(task).items())
    asked = (
        f"Answer with one JSON object alone. Its keys: {', '.join(task.fields)}. Each value is a string{kinds}; what the "
        "text does not say is null."
    )
    return f"{task.words.description} {asked}".strip()


def _other_kinds(task: Task) -> dict[str, list[str]]:
    """What a field holds that does not hold a string, in words → such fields."""
    found: dict[str, list[str]] = {}
    for name, kind in task.kinds.items():
        several = kind.wanted.startswith("a ") and f"a list of {kind.wanted.removeprefix('a ')}s"
        wanted = (several or f"a list, each {kind.wanted}") if kind.many else kind.wanted
        if wanted != Kind.wanted:
            found.setdefault(wanted, []).append(name)
    return found


def question(name: str) -> str:
    """What asks for a field: an answer to fill in, which small models heed more than a question."""
    return (
        f"Fill in this JSON with what the text says, word for word, and answer with it alone. "
        f'{{"{name}": []}} if it says nothing.\n{{"{name}": ["..."]}}'
    )


def opening(task: Task, text: str, shots: Sequence[Example] = ()) -> list[Message]:
    """The turns that ask about a text, after solved examples; of a dialogue those before its first question.

    What to do stands in the first user turn: small models heed it more there than in a system turn.
    """
    if not task.chat.questions:
        turns = [
            {"role": role, "content": content}
            for shot in shots
            for role, content in (
                ("user", f"Text: {shot.text}"),
                ("assistant", task.chat.completion(shot.target)),
            )
        ]
        turns.append({"role": "user", "content": f"Text: {text}"})
        turns[0]["content"] = f"{instruction(task)}\n\n{turns[0]['content']}"
        return turns
    solved = []
    for shot in shots:
        solved += task.chat.opening(shot.text)[1:]
        for name in task.chat.questions:
            solved += [
                {"role": "user", "content": question(name)},
                {"role": "assistant", "content": task.chat.answer(shot.target, name)},
            ]
    system, *given = task.chat.opening(text)
    return [system, *solved, *given]


def plain(task: Task, text: str, shots: Sequence[Example] = ()) -> str:
    """The task's prompt after solved examples, without turns."""
    solved = [f"{task.chat.prompt(shot.text)}{task.chat.completion(shot.target)}\n\n" for shot in shots]
    return "".join([*solved, task.chat.prompt(text)])


def shown(tokenizer, task: Task, text: str, shots: Sequence[Example] = ()) -> str:
    """The prompt of :func:`untuned` as text; of a dialogue up to where the first answer begins."""
    prompt = untuned(tokenizer, task, text, shots)
    return tokenizer.decode(prompt.text + prompt.questions[0])


def first_object(raw: str) -> str:
    """The first JSON object of an answer, on one line: models fence it, or talk before and after."""
    start = raw.find("{")
    try:
        if start >= 0:
            raw = raw[start : json.JSONDecoder().raw_decode(raw, start)[1]]
    except (ValueError, RecursionError):
        pass  # the task will say what is wrong with it
    return " ".join(raw.split("\n")).strip()


# -- answers ----------------------------------------------------------------------------------------------------------
def answer_together(
    model,
    tokenizer,
    prompts: Sequence[Prompt],
    grammars: Sequence[str] | None = None,
    max_new_tokens: int = 200,
    batch_size: int = 64,
    progress: str | None = None,
    one_object: bool = False,
) -> list[list[Generation]]:
    """All answers about each of some texts, in the order of its questions: each text is read once, and no question sees another
    one or its answer."""
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
    names, grammars = [(name,) for name in task.chat.questions] or [()], None
    if constraint != "free":
        grammars = [task.chat.grammar(text, constraint, *name) for text in texts for name in names]
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
