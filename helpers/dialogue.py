"""Answers to the questions of a dialogue: a text is read once, and all its questions share that reading."""
from __future__ import annotations

from collections.abc import Sequence
from os.path import commonprefix
from typing import Any

from tqdm import tqdm

from helpers import chat
from helpers.block_decoding import decode_blocks
from helpers.generate import GRAMMAR_TOKENS, Generation, decode_batch, field_confidence
from helpers.tasks.dialogue import DialogueTask

Answers = dict[str, Generation]


def _stop(tokenizer) -> tuple[int]:
    """The token that ends an assistant turn."""
    return (tokenizer.convert_tokens_to_ids(chat.end_of_turn(tokenizer)),)


def encode_questions(tokenizer, task: DialogueTask, text: str) -> tuple[list[int], list[list[int]]]:
    """Tokens of what stands before every question, and of each question up to where its answer begins.

    They are those that :func:`helpers.encode.encode_conversation` trains on.
    """
    opening, tails = chat.asked(tokenizer, task.opening(text), [task.question(name) for name in task.questions()])
    ids = chat.token_ids(tokenizer, [piece.text for piece in opening])
    return [token for piece in ids for token in piece], chat.token_ids(tokenizer, tails)


def beginnings(tokenizer, task: DialogueTask) -> dict[str, list[int]]:
    """The tokens with which the answer to each question begins, whatever its values are."""
    names = task.questions()
    one, other = (chat.token_ids(tokenizer, [task.answer({name: [value]}, name) for name in names]) for value in ("a", "7"))
    return {name: commonprefix(pair) for name, *pair in zip(names, one, other)}


def answer_together(model, tokenizer, task: DialogueTask, texts: Sequence[str], constraint: str = "free",
                    max_new_tokens: int = 200) -> list[Answers]:
    """All answers about some texts at once: each text is read once, and its questions share the KV cache of that.

    No question sees another one or its answer (:func:`helpers.block_decoding.decode_blocks`).

    Returns
    -------
    list of dict
        For each text, field → generation.
    """
    names = task.questions()
    encoded = [encode_questions(tokenizer, task, text) for text in texts]
    grammars = None if constraint == "free" else [task.answer_grammar(text, name, constraint)
                                                  for text in texts for name in names]
    found = decode_blocks(model, tokenizer, [prefix for prefix, _ in encoded], encoded[0][1], max_new_tokens, grammars,
                          _stop(tokenizer), list(beginnings(tokenizer, task).values()))
    return [dict(zip(names, found[at:at + len(names)])) for at in range(0, len(found), len(names))]


def answer_separately(model, tokenizer, task: DialogueTask, text: str, constraint: str = "free",
                      max_new_tokens: int = 200, names: Sequence[str] = ()) -> Answers:
    """The same answers, each from a reading of the text of its own; only some fields if `names` says so."""
    prefix, tails = encode_questions(tokenizer, task, text)
    found, likely = {}, beginnings(tokenizer, task)
    for name, tail in zip(task.questions(), tails):
        if not names or name in names:
            grammars = None if constraint == "free" else [task.answer_grammar(text, name, constraint)]
            found[name] = decode_blocks(model, tokenizer, [prefix], [tail], max_new_tokens, grammars,
                                        _stop(tokenizer), [likely[name]])[0]
    return found


def answer_in_turn(model, tokenizer, task: DialogueTask, texts: Sequence[str], constraint: str = "free",
                   max_new_tokens: int = 200) -> list[Answers]:
    """Answers that see all questions before them with what was answered to those."""
    encoded = [encode_questions(tokenizer, task, text) for text in texts]
    so_far = [list(prefix) for prefix, _ in encoded]
    stop = _stop(tokenizer)
    answers: list[Answers] = [{} for _ in texts]
    for at, name in enumerate(task.questions()):
        so_far = [before + tails[at] for before, (_, tails) in zip(so_far, encoded)]
        grammars = None if constraint == "free" else [task.answer_grammar(text, name, constraint) for text in texts]
        found = decode_batch(model, tokenizer, so_far, max_new_tokens, grammars, stop=stop)
        for row, generation in enumerate(found):
            answers[row][name] = generation
            so_far[row] = so_far[row] + generation.tokens + list(stop)
    return answers


def predict_dialogues(model, tokenizer, task: DialogueTask, texts: Sequence[str], constraint: str = "free",
                      max_new_tokens: int = 200, batch_size: int = 64, progress: str | None = None,
                      sequential: bool = False) -> list[dict[str, Any]]:
    """Predictions for texts: dicts of `prediction`, `raw`, `confidence`, `error` and `truncated`.

    `raw` has one answer a line, in the order of the questions; `truncated` counts the answers that reached
    `max_new_tokens`. A grammar promises valid answers: those of its answers that were cut are written again with room.

    Parameters
    ----------
    constraint : str
        `free`, `schema` or `source`, see :meth:`helpers.tasks.dialogue.DialogueTask.answer_grammar`.
    batch_size : int
        Questions that are answered at the same time; at least those of one text.
    sequential : bool
        Whether a question sees those before it.
    """
    each = max(1, batch_size // len(task.questions()))
    order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
    records: list[dict[str, Any]] = [{} for _ in texts]
    answer = answer_in_turn if sequential else answer_together
    bar = tqdm(total=len(texts), desc=progress, disable=progress is None, leave=False)
    for start in range(0, len(order), each):
        rows = order[start:start + each]
        found = answer(model, tokenizer, task, [texts[row] for row in rows], constraint, max_new_tokens)
        for row, answers in zip(rows, found):
            cut = [name for name, generation in answers.items() if generation.truncated]
            if cut and constraint != "free":
                answers |= answer_separately(model, tokenizer, task, texts[row], constraint, GRAMMAR_TOKENS, cut)
            records[row] = _record(tokenizer, task, answers) | {"truncated": len(cut)}
        bar.update(len(rows))
    bar.close()
    return records


def _record(tokenizer, task: DialogueTask, answers: Answers) -> dict[str, Any]:
    """Prediction record of the answers about one text."""
    # one answer a line: a line break means nothing in JSON but to part tokens, and is not allowed inside a string
    raw = "\n".join(" ".join(answers[name].text.split("\n")) for name in task.questions())
    prediction, error = task.parse_output(raw)
    sure = {name: field_confidence(generation, tokenizer, [name]).get(name) for name, generation in answers.items()}
    confidence = {name: value for name, value in sure.items() if value is not None}
    return {"prediction": prediction, "raw": raw, "error": error, "confidence": confidence if prediction else None}
