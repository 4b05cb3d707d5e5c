"""One pre-training document: text parts, each marked as read or to be answered."""
from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Sequence

BOS, EOS, PAD = "<|bos|>", "<|eos|>", "<|pad|>"
IM_START, IM_END = "<|im_start|>", "<|im_end|>"


@dataclass(frozen=True)
class Document:
    """A training text cut into parts.

    Parameters
    ----------
    parts : tuple of (str, bool)
        Text in reading order; the flag is True where the text is an answer the model has to produce
        (full loss weight) and False where it is given (small loss weight).
    """

    parts: tuple[tuple[str, bool], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.parts)


def to_json(value: Any) -> str:
    """JSON as every part of the project writes it: one line, spaces after `:` and `,`, no ASCII escapes."""
    return json.dumps(value, ensure_ascii=False)


def completion(prompt: str, answer: str) -> Document:
    """A prompt and its answer, closed by the end-of-text token."""
    return Document(((prompt, False), (answer + EOS, True)))


def chat(messages: Sequence[tuple[str, str]]) -> Document:
    """A conversation in the chat template of the base model; assistant turns are answers.

    Parameters
    ----------
    messages : sequence of (role, content)
        Roles are `system`, `user` and `assistant`.
    """
    parts: list[tuple[str, bool]] = []
    for role, content in messages:
        header = f"{IM_START}{role}\n"
        if role == "assistant":
            parts += [(header, False), (content + IM_END, True), ("\n", False)]
        else:
            parts.append((f"{header}{content}{IM_END}\n", False))
    return Document(tuple(parts))


def prose(text: str) -> Document:
    """Plain text: every token counts."""
    return Document(((text + EOS, True),))
