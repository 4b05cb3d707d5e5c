"""What a field of a schema may hold: kinds that know how their values are written, found, compared and generated.

A task's schema is a pydantic model whose fields are annotated with a kind::

    class Booking(BaseModel):
        day: Annotated[str | None, Date()]
"""

from __future__ import annotations

import datetime
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import StrictBool, StrictFloat, StrictInt, StrictStr

from helpers.tasks import bare_hours, date_forms, dates
from helpers.tasks.text import lark_literal, normalise, places

Place = tuple[int, int]  # (start, end) in a text
Spans = Callable[[Sequence[str]], list[str]]  # texts → Lark terminals that match their pieces
CHARACTERS = r'([^"\\\x00-\x1f\x7f]|\\["\\\/bfnrt]|\\u[0-9a-fA-F]{4})+'  # of a JSON string
_WORDS = r'\p{L}[^"\\\x00-\x1f\x7f]*'
FIRST_DAY, LAST_DAY = datetime.date(2023, 1, 1), datetime.date(2028, 12, 31)


def plain(text: str) -> str:
    """Lower case, punctuation and a leading article gone: what is compared where only the meaning counts."""
    words = re.findall(r"\w+(?:[-':&]\w+)*", normalise(text).lower())
    return " ".join(words[1:] if words[:1] in (["a"], ["an"], ["the"]) and len(words) > 1 else words)


@dataclass(frozen=True)
class Kind:
    """Any string; base of all kinds."""

    weight: float = 1.0  # of the field's tokens in the entity loss
    nested: bool = False  # a value may lie inside that of another field ("weekly" in "weekly sync")
    last: bool = False  # of several places of a value the last one is meant, and not the first
    ordered: bool = True  # the order of several values, and how often one comes, are part of the answer
    many: bool = field(default=False, kw_only=True)  # a list; read off the schema, as is the next
    needed: bool = field(default=True, kw_only=True)  # the key must be there
    verbatim: ClassVar[bool] = False  # a value is a piece of the text
    placed: ClassVar[bool] = True  # a value can be pointed at in the text
    quoted: ClassVar[bool] = True  # a JSON string
    item: ClassVar[Any] = StrictStr  # type of a value
    wanted: ClassVar[str] = "a string"
    json_schema: ClassVar[dict[str, Any]] = {"type": "string"}  # of a value
    free: ClassVar[Sequence[str]] = (
        f"/{CHARACTERS}/",
    )  # Lark alternatives for any value, without its quotes

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

    def held(self, text: str, spans: Spans) -> Sequence[str]:
        """As `free`, but only what a text can mean."""
        return self.free


@dataclass(frozen=True)
class Text(Kind):
    """Words of the labeller's own."""

    placed: ClassVar[bool] = False


@dataclass(frozen=True)
class Span(Kind):
    """A piece of the text, whole words as they stand there."""

    verbatim: ClassVar[bool] = True

    def held(self, text: str, spans: Spans) -> list[str]:
        return spans(self.writings(text))


@dataclass(frozen=True)
class Date(Kind):
    """A day, kept as `DD/MM/YYYY`; a label that cannot be read ("tomorrow") stays as written, an answer is not given."""

    day_first: bool = field(default=True, kw_only=True)  # whether 3/5/2027 is the third of May
    form: ClassVar[str] = (
        r"/((0?[1-9]|[12][0-9])\/(0?[1-9]|1[0-2])|30\/(0?[13-9]|1[0-2])|31\/(0?[13578]|1[02]))\/(19|20)[0-9]{2}/"
    )
    words: ClassVar[str] = rf"/([0-9]{{1,2}}(st|nd|rd|th)?,? )?{_WORDS}/"
    piece: ClassVar[str] = r"/.*\p{L}.*/"
    free = property(lambda self: (self.form, self.words))

    def read(self, text: str) -> str | None:
        return dates.read_date(text, self.day_first)

    def said(self, text: str, place: Place) -> str:
        """A piece that cannot be read alone is read where it stands ("7" in "dinner at 7")."""
        piece = text[slice(*place)]
        around = (m.value for m in self.possible(text) if m.start < place[1] and place[0] < m.end)
        return self.read(piece) or next(around, piece)

    def possible(self, text: str) -> tuple[dates.Mention, ...]:
        """What :meth:`mentions` gives, and behind it what the words around make one."""
        return self.mentions(text)

    def written(self, value: str, text: str) -> str:
        pieces = (text[slice(*place)] for place in self.find(value, text))
        return next((piece for piece in pieces if self.read(piece) == value), value)

    def flaw(self, value: str) -> str:
        return "" if dates.day_of(value) else f"“{value}” does not say day, month and year"

    def canonical(self, value: str) -> str | None:
        value = normalise(value)
        kept = re.fullmatch(r"\d\d/\d\d/\d{4}", value) and dates.day_of(value)
        return value if kept else self.read(value) or value or None

    def equivalent(self, left: str, right: str) -> bool:
        return self.canonical(left) == self.canonical(right) or super().equivalent(left, right)

    def find(self, value: str, text: str) -> list[Place]:
        return [m[:2] for m in self.mentions(text) if m.value == value] or super().find(value, text)

    def mentions(self, text: str) -> tuple[dates.Mention, ...]:
        return dates.find_dates(text, self.day_first)

    def vary(self, surface: str, rng: random.Random) -> tuple[str, str] | None:
        day = FIRST_DAY + datetime.timedelta(days=rng.randrange((LAST_DAY - FIRST_DAY).days + 1))
        written = date_forms.render_date(day, surface, self.day_first)
        return (written, dates.date_text(day)) if written else None

    def held(self, text: str, spans: Spans) -> list[str]:
        values = dict.fromkeys(
            re.sub("[AP]M", "[AP]M", m.value) if dates.EITHER.match(f"{m.style} {m.text}") else m.value
            for m in self.mentions(text)
        )
        forms = (re.sub(r"\b0?(?=[1-9]\d?[/:])", "0?", value).replace("/", r"\/") for value in values)
        read = [f"/{form}/" for form in forms] or [self.form]  # with or without leading zeros
        said = [lark_literal(m.text) for m in self.mentions(text)]
        return said + read + [f"({terminal} & {self.piece})" for terminal in spans([text])]


@dataclass(frozen=True)
class Time(Date):
    """A time of day, kept as `H:MM AM/PM`; a label that cannot be read ("after lunch", "7") stays as it is written."""

    form: ClassVar[str] = r"/(1[0-9]|2[0-3]|0?[1-9]):[0-5][0-9] [AP]M/"  # "16:55 AM" is read as 4:55 PM
    words: ClassVar[str] = rf"/{_WORDS}|[0-9]{{1,2}}([:.][0-9]{{2}})?/"
    piece: ClassVar[str] = r"/.*\p{L}.*|[0-9]{1,2}/"

    def read(self, text: str) -> str | None:
        return dates.read_time(text)

    def possible(self, text: str) -> tuple[dates.Mention, ...]:
        return (*dates.find_times(text), *bare_hours.find_bare_times(text))

    def flaw(self, value: str) -> str:
        return "" if dates.clock_of(value) else f"“{value}” is no time of day"

    def doubt(self, value: str, text: str) -> str:
        guessed = {m[:2] for m in bare_hours.find_bare_times(text) if m.style == bare_hours.GUESSED}
        told = value in [m.value for m in self.mentions(text)]
        return "" if told or guessed.isdisjoint(self.find(value, text)) else "the text does not say AM or PM"

    def find(self, value: str, text: str) -> list[Place]:
        found, wanted = super().find(value, text), dates.clock_of(value)
        if found or not wanted:
            return found
        either = [dates.time_text((wanted[0] + half) % 24, wanted[1]) for half in (0, 12)]
        return [m[:2] for m in bare_hours.find_bare_times(text) if m.value in either]

    def mentions(self, text: str) -> tuple[dates.Mention, ...]:
        return dates.find_times(text)

    def vary(self, surface: str, rng: random.Random) -> tuple[str, str] | None:
        hour, some = rng.randint(7, 21), rng.choice((0, 0, 0, 15, 30, 30, 45, 5 * rng.randrange(12)))
        for minute in (some, 0):  # "9am" cannot say minutes
            if written := date_forms.render_time(hour, minute, surface):
                return written, dates.time_text(hour, minute)
        return None


@dataclass(frozen=True)
class Duration(Kind):
    """How long something lasts, kept as labelled ("30 mins"); equal minutes mean the same."""

    amount: ClassVar[str] = (
        r"/[0-9]{1,3}(\.[0-9]{1,2})? (hours?|hrs?|minutes?|mins?|days?|weeks?|months?)( [0-9]{1,2} (minutes?|mins?))?/"
    )

    def equivalent(self, left: str, right: str) -> bool:
        both = {dates.duration_minutes(left), dates.duration_minutes(right)}
        return len(both) == 1 and None not in both or super().equivalent(left, right)

    def find(self, value: str, text: str) -> list[Place]:
        minutes = dates.duration_minutes(value)
        alike = [m[:2] for m in self.mentions(text) if minutes is not None and float(m.value) == minutes]
        return list(dict.fromkeys([*places(value, text), *alike])) or super().find(value, text)

    def mentions(self, text: str) -> tuple[dates.Mention, ...]:
        return dates.find_durations(text)

    def vary(self, surface: str, rng: random.Random) -> tuple[str, str] | None:
        match = re.fullmatch(r"\d+(?:\.\d+)?(\s?)(mins|[hm][a-z]*?)s?", surface, re.IGNORECASE)
        if not match:
            return None
        gap, unit = match.groups()
        number = rng.choice((15, 20, 30, 45, 60, 90) if unit[0] in "mM" else (1, 1.5, 2, 2.5, 3, 4))
        written = f"{number:g}{gap}{unit}{'s' * (number != 1 and unit.lower() in ('hour', 'hr', 'minute'))}"
        return written, written

    def held(self, text: str, spans: Spans) -> list[str]:
        return [*spans(self.writings(text)), self.amount]


@dataclass(frozen=True)
class Choice(Kind):
    """One of a few words; those of a `Literal` are read off the schema."""

    options: tuple[str, ...] = ()
    placed: ClassVar[bool] = False

    item = property(lambda self: Literal[self.options])
    json_schema = property(lambda self: {"enum": list(self.options)})
    free = property(lambda self: list(map(lark_literal, self.options)))
    wanted = property(lambda self: f"one of {', '.join(self.options)}")

    def flaw(self, value: str) -> str:
        return "" if value in self.options else f"“{value}” is none of {', '.join(self.options)}"

    def canonical(self, value: str) -> str | None:
        """The option that is meant, whatever its case; another word as it is."""
        value = normalise(value)
        return next((one for one in self.options if one.casefold() == value.casefold()), value) or None


@dataclass(frozen=True)
class Number(Kind):
    """A number; its place is where the text gives it in digits."""

    quoted: ClassVar[bool] = False
    item: ClassVar[Any] = StrictInt | StrictFloat
    wanted: ClassVar[str] = "a number"
    json_schema: ClassVar[dict[str, Any]] = {"type": "number"}
    free: ClassVar[Sequence[str]] = (r"/-?(0|[1-9][0-9]*)(\.[0-9]+)?/",)
    digits: ClassVar[re.Pattern] = re.compile(r"(?<![\w.,:/-])-?\d+(?:[.,]\d+)?(?!\w|[.,:/-]\d)")

    def canonical(self, value: Any) -> float | int | None:
        if isinstance(value, str):
            found = self.digits.search(value)
            if not found:
                return None
            value = float(found.group().replace(",", "."))
        return int(value) if float(value).is_integer() else value

    def text(self, value: Any) -> str:
        return f"{value:g}"

    def find(self, value: str, text: str) -> list[Place]:
        return [m.span() for m in self.digits.finditer(text) if self.canonical(m.group()) == float(value)]

    def vary(self, surface: str, rng: random.Random) -> tuple[str, Any] | None:
        changed = re.sub(r"\d", lambda _: rng.choice("123456789"), surface)
        return changed, self.canonical(changed)


@dataclass(frozen=True)
class Boolean(Kind):
    """Yes or no; no piece of the text."""

    placed: ClassVar[bool] = False
    quoted: ClassVar[bool] = False
    item: ClassVar[Any] = StrictBool
    wanted: ClassVar[str] = "true or false"
    json_schema: ClassVar[dict[str, Any]] = {"type": "boolean"}
    free: ClassVar[Sequence[str]] = ('"true"', '"false"')

    def canonical(self, value: Any) -> Any:
        return value

    def text(self, value: Any) -> str:
        return "true" if value else "false"

    def find(self, value: str, text: str) -> list[Place]:
        return []
