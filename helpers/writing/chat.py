"""Chats as a tokenizer's template writes them, cut into what is given and what the model has to write.

Nothing here knows a particular template: the contents of the turns are found again in the rendered text, one
after the other, and an assistant turn ends with the special token that the template puts behind it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Sequence

from helpers.errors import UserError
from helpers.tasks.base import Message


class Segment(NamedTuple):
    """A piece of a rendered chat; `turn` is the index of the assistant turn it is, None where it is given."""

    text: str
    turn: int | None


def _unfit(tokenizer, why: str) -> UserError:
    name = tokenizer.name_or_path or "the base model"
    return UserError(f"the chat template of {name} {why}: choose another model with --set base_model=…")


def render(tokenizer, messages: Sequence[Message], generation: bool = False, **options: Any) -> str:
    """The chat as text, with the header of an assistant turn behind it where one is to be generated.

    A template without a system role gets the system text at the start of the first user turn. `options` are variables of
    the template, such as `enable_thinking`. UserError if the tokenizer has no chat template.
    """
    import jinja2

    if not tokenizer.chat_template:
        name = tokenizer.name_or_path or "the base model"
        raise UserError(f"{name} has no chat template: choose a chat model with --set base_model=…")
    asked = {"tokenize": False, "add_generation_prompt": generation, **options}
    try:
        return tokenizer.apply_chat_template(list(messages), **asked)
    except jinja2.TemplateError:
        if messages[0]["role"] != "system":
            raise
        first = {"role": "user", "content": f"{messages[0]['content']}\n{messages[1]['content']}"}
        return render(tokenizer, [first, *messages[2:]], generation, **options)


def end_of_turn(tokenizer) -> str:
    """The special token that ends an assistant turn; UserError if there is none: nothing would tell the model to stop."""
    turns = [{"role": "user", "content": "question"}, {"role": "assistant", "content": "answer"}]
    behind = render(tokenizer, turns).rpartition("answer")[2].lstrip()
    special = {str(token) for token in tokenizer.added_tokens_decoder.values() if token.special}
    found = [token for token in special | set(tokenizer.all_special_tokens) if behind.startswith(token)]
    if not found:
        raise _unfit(tokenizer, "ends a turn with no special token")
    return max(found, key=len)


def segments(tokenizer, messages: Sequence[Message]) -> list[Segment]:
    """A chat cut at its assistant turns: given text and, by turns, what the model writes with its end.

    The pieces join to the chat as it is rendered with another question behind it, up to the end of its last
    assistant turn: some templates write into the last turn what they write into no other (`<think>`), and
    what is learnt must not depend on how many turns follow. Each piece is tokenized by itself, in training as
    in generation, so that both meet at the same token borders. UserError if the template changes what is said.
    """
    text, end = render(tokenizer, [*messages, {"role": "user", "content": "?"}]), end_of_turn(tokenizer)
    pieces, done, cursor = [], 0, 0
    for turn, message in enumerate(messages):
        content = message["content"].strip()
        start = text.find(content, cursor)
        if start < 0:
            raise _unfit(tokenizer, "changes what is said")
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

    The `opening` ends with an assistant turn. UserError if the template writes the turns before a question otherwise than in
    the whole chat.
    """
    pieces = segments(tokenizer, opening)
    before = "".join(piece.text for piece in pieces)
    chats = [[*opening, {"role": "user", "content": question}] for question in questions]
    whole = [render(tokenizer, messages, True, **options) for messages in chats]
    if not all(text.startswith(before) for text in whole):
        raise _unfit(tokenizer, "writes earlier turns anew when another follows")
    return pieces, [text[len(before) :] for text in whole]
