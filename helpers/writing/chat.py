"""Chats as a tokenizer's template writes them, cut into what is given and what the model has to write.

Nothing here knows a particular template: the contents of the turns are found again in the rendered text, one
after the other, and an assistant turn ends with the special token that the template puts behind it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from helpers.errors import UserError
from helpers.tasks.base import Message

OTHER = "with --set base_model=…"


class Segment(NamedTuple):
    """A piece of a rendered chat; `turn` is the index of the assistant turn it is, None where it is given."""

    text: str
    turn: int | None


def _name(tokenizer) -> str:
    return tokenizer.name_or_path or "the base model"


def render(tokenizer, messages: Sequence[Message], generation: bool = False, **options: Any) -> str:
    """The chat as text, with the header of an assistant turn behind it where one is to be generated.

    A template without a system role gets the system text at the start of the first user turn. `options` are
    variables of the template, such as `enable_thinking`.

    Raises
    ------
    UserError
        If the tokenizer has no chat template.
    """
    import jinja2

    if not tokenizer.chat_template:
        raise UserError(f"{_name(tokenizer)} has no chat template: choose a chat model {OTHER}")
    try:
        return tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=generation, **options
        )
    except jinja2.TemplateError:
        if messages[0]["role"] != "system":
            raise
        first = {"role": "user", "content": f"{messages[0]['content']}\n{messages[1]['content']}"}
        return render(tokenizer, [first, *messages[2:]], generation, **options)


def end_of_turn(tokenizer) -> str:
    """The special token that ends an assistant turn.

    Raises
    ------
    UserError
        If the template ends it with none: then nothing would tell the model to stop.
    """
    probe = render(
        tokenizer, [{"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"}]
    )
    behind = probe[probe.rindex("answer") + len("answer") :].lstrip()
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    found = [token for token in special | set(tokenizer.all_special_tokens) if behind.startswith(token)]
    if not found:
        raise UserError(
            f"the chat template of {_name(tokenizer)} ends a turn with no special token: choose "
            f"another model {OTHER}"
        )
    return max(found, key=len)


def segments(tokenizer, messages: Sequence[Message]) -> list[Segment]:
    """A chat cut at its assistant turns: given text and, by turns, what the model writes with its end.

    The pieces join to the chat as it is rendered with another question behind it, up to the end of its last
    assistant turn: some templates write into the last turn what they write into no other (`<think>`), and
    what is learnt must not depend on how many turns follow. Each piece is tokenized by itself, in training as
    in generation, so that both meet at the same token borders.

    Raises
    ------
    UserError
        If the template leaves out or changes what is said.
    """
    text, end = render(tokenizer, [*messages, {"role": "user", "content": "?"}]), end_of_turn(tokenizer)
    pieces, done, cursor = [], 0, 0
    for turn, message in enumerate(messages):
        content = message["content"].strip()
        start = text.find(content, cursor)
        if start < 0:
            raise UserError(
                f"the chat template of {_name(tokenizer)} changes what is said: choose another model {OTHER}"
            )
        cursor = start + len(content)
        if message["role"] == "assistant":
            cursor = text.index(end, cursor) + len(end)
            pieces += [Segment(text[done:start], None), Segment(text[start:cursor], turn)]
            done = cursor
    return pieces


def token_ids(tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """Tokens of rendered pieces; the template has written all special tokens already."""
    return tokenizer(list(texts), add_special_tokens=False)["input_ids"] if texts else []


def asked(
    tokenizer, opening: Sequence[Message], questions: Sequence[str], **options: Any
) -> tuple[list[Segment], list[str]]:
    """What stands before every question, and for each one the text from there to where its answer begins.

    Parameters
    ----------
    opening : sequence of message
        The last of them an assistant turn.
    questions : sequence of str
    options
        Variables of the template.

    Returns
    -------
    opening : list of Segment
        Up to the end of the last assistant turn.
    tails : list of str

    Raises
    ------
    UserError
        If the template writes the turns before a question otherwise than in the whole chat.
    """
    pieces = segments(tokenizer, opening)
    before = "".join(piece.text for piece in pieces)
    whole = [
        render(tokenizer, [*opening, {"role": "user", "content": question}], True, **options)
        for question in questions
    ]
    if not all(text.startswith(before) for text in whole):
        raise UserError(
            f"the chat template of {_name(tokenizer)} writes earlier turns anew when another "
            f"follows: choose another model {OTHER}"
        )
    return pieces, [text[len(before) :] for text in whole]
