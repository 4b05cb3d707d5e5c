"""What all kinds of fields share: a value, where it stands in a text, what may be written for it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import StrictStr

from helpers.tasks import dates
from helpers.tasks.text import normalise, places

Place = tuple[int, int]  # (start, end) in a text
Spans = Callable[[Sequence[str]], list[str]]  # texts → Lark terminals that match their pieces
CHARACTERS = r'([^"\\\x00-\x1f\x7f]|\\["\\\/bfnrt]|\\u[0-9a-fA-F]{4})+'  # of a JSON string


def plain(text: str) -> str:
    """Lower case, punctuation and a leading article gone: what is compared where only the meaning counts."""
    words = re.findall(r"\w+(?:[-':&]\w+)*", normalise(text).lower())
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) and len(words) > 1 else words)


@dataclass(frozen=True)
class Kind:
    """Any string; base of all kinds.

    Parameters
    ----------
    weight : float
        Of the field's tokens in the entity loss.
    nested, last : bool
        Whether a value may lie inside that of another field ("weekly" in "weekly sync"), and whether one that stands in
        several places is the last one, and not the first.
    ordered : bool
        Whether the order of several values, and how often one comes, are part of the answer.
    many, needed : bool
        Whether the field holds a list, and whether its key must be there: both are read off the schema.
    """

    weight: float = 1.0
    nested: bool = False
    last: bool = False
    ordered: bool = True
    many: bool = field(default=False, kw_only=True)
    needed: bool = field(default=True, kw_only=True)
    verbatim: ClassVar[bool] = False  # a value is a piece of the text
    placed: ClassVar[bool] = True  # a value can be pointed at in the text
    quoted: ClassVar[bool] = True  # a JSON string
    item: ClassVar[Any] = StrictStr  # type of a value
    wanted: ClassVar[str] = "a string"
    json_type: ClassVar[str] = "string"

    def canonical(self, value: Any) -> Any:
        """The one form in which a value is kept; None for an empty one."""
        return normalise(value) or None

    def text(self, value: Any) -> str:
        """A value as it is compared and shown."""
        return value

    def equivalent(self, left: str, right: str) -> bool:
        """Whether two values mean the same to a reader."""
        return left == right or plain(left) == plain(right) != ""

    def find(self, value: str, text: str) -> list[Place]:
        """Where a value stands in a text, in whatever writing, the best places first."""
        return places(value, text) or places(value, text, ignore_case=True)

    def said(self, text: str, place: Place) -> str:
        """The value of a piece of a text."""
        return text[slice(*place)]

    def written(self, value: Any, text: str) -> Any:
        """What a writer learns to answer: the value, or the piece of the text that is read as it."""
        return value

    def flaw(self, value: Any) -> str:
        """Why a canonical value is no answer to give, empty where it is one."""
        return ""

    def doubt(self, value: Any, text: str) -> str:
        """What a text leaves open about a value, empty where it says all."""
        return ""

    def says_nothing(self, value: str) -> bool:
        """Whether a value only says that there is none ("not provided")."""
        return False

    def mentions(self, text: str) -> tuple[dates.Mention, ...]:
        """Everything of this kind that can be told by its form alone."""
        return ()

    def vary(self, surface: str, rng: random.Random) -> tuple[str, Any] | None:
        """Another value written alike, as (surface, value); None where values come from a pool alone."""
        return None

    def writings(self, text: str) -> list[str]:
        """The text, and other writings of it whose pieces are values too."""
        return [text]

    def free(self) -> list[str]:
        """Lark alternatives for any value, of a string without its quotes."""
        return [f"/{CHARACTERS}/"]

    def held(self, text: str, spans: Spans) -> list[str]:
        """As :meth:`free`, but only what a text can mean."""
        return self.free()

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of a value."""
        return {"type": self.json_type}
