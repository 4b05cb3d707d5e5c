"""Tasks that read a text once and then ask for one field after the other, each in a question of its own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Sequence

from helpers.tasks.base import Message, Task
from helpers.tasks.records import Example


class DialogueTask(Task):
    """A task whose fields are asked for in a chat.

    The record of a prediction holds the answers in the order of :meth:`questions`, one a line, as `raw`
    (None where nothing writes: rules, taggers, votes). An answer that
    is not valid counts as one without values; the prediction is None only where no answer at all is valid, and validity
    is counted by answers (:meth:`failed_fields`).
    """

    @abstractmethod
    def questions(self) -> tuple[str, ...]:
        """Fields in the order in which they are asked for."""

    @abstractmethod
    def opening(self, text: str) -> list[Message]:
        """The turns before the first question: those that give the text."""

    @abstractmethod
    def question(self, name: str) -> str:
        """The user turn that asks for a field."""

    @abstractmethod
    def answer(self, target: Any, name: str) -> str:
        """The assistant turn that gives the field's values."""

    @abstractmethod
    def parse_answer(self, name: str, raw: str) -> tuple[list[str] | None, str | None]:
        """Model text → (values or None, kind of error or None)."""

    @abstractmethod
    def answer_grammar(self, text: str, name: str, constraint: str) -> str:
        """A llguidance grammar (Lark syntax) of one answer for `constraint` in `schema`, `source`."""

    def conversation(self, example: Example, order: Sequence[str] = ()) -> list[Message]:
        """The whole chat of a labelled example.

        Parameters
        ----------
        example : Example
        order : sequence of str
            Fields in the order to ask for them; that of :meth:`questions` by default.
        """
        turns = self.opening(example.text)
        for name in order or self.questions():
            turns += [
                {"role": "user", "content": self.question(name)},
                {"role": "assistant", "content": self.answer(example.target, name)},
            ]
        return turns

    # -- answers as one output --------------------------------------------------------------------------------------
    def _answers(self, raw: str) -> dict[str, tuple[list[str] | None, str | None]]:
        """Every question with what became of its line of a raw output."""
        lines = raw.split("\n")
        lines += [""] * (len(self.questions()) - len(lines))
        return {name: self.parse_answer(name, line) for name, line in zip(self.questions(), lines)}

    def prompt(self, text: str) -> str:
        """The turns before the first question, as plain text."""
        return "\n".join(turn["content"] for turn in self.opening(text))

    def completion(self, target: Any) -> str:
        """All answers, one a line."""
        return "\n".join(self.answer(target, name) for name in self.questions())

    def parse_output(self, raw: str) -> tuple[Any | None, str | None]:
        """The answers of a raw output → (canonical prediction, or None where none is valid; kind of the first error)."""
        answers = self._answers(raw)
        error = next((kind for _, kind in answers.values() if kind), None)
        if all(values is None for values, _ in answers.values()):
            return None, error
        return self.canonical({name: values or [] for name, (values, _) in answers.items()}), error

    def grammar(self, text: str, constraint: str) -> str:
        raise NotImplementedError(f"task {self.name} answers questions: see answer_grammar")

    def failed_fields(self, record: dict[str, Any]) -> frozenset[str]:
        if (
            record["prediction"] is None or record.get("raw") is None
        ):  # rules, taggers and votes write no text
            return super().failed_fields(record)
        return frozenset(name for name, (values, _) in self._answers(record["raw"]).items() if values is None)

    def error_kinds(self, record: dict[str, Any]) -> list[str]:
        if record.get("raw") is None:
            return super().error_kinds(record)
        return [kind for _, kind in self._answers(record["raw"]).values() if kind]
