"""Text as the project compares it, and the pieces of a text that count as whole words."""

from __future__ import annotations

import json
import random
import unicodedata
from collections.abc import Callable, Iterable
from functools import lru_cache

STRAIGHT = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "‛": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "‟": '"'}
)
OPENING, CLOSING = "([{", ")]}"
_STACK_NAMES = str.maketrans({")": "R", "]": "S", "}": "C", '"': "Q"})
JOINING_PREFIX, JOINING_SUFFIX = "#@$€£", "+#%"
NOTHING = "/[^\\x00-\\U0010FFFF]/"  # a Lark pattern that matches no text
ABBREVIATIONS = frozenset(
    "co inc ltd corp llc jr sr dr mr mrs ms prof st ave blvd rd no nr rm bldg dept conf sess mtg mgr asst hon gov fl "
    "sq ctr univ intl approx incl min mins hr hrs vs etc".split()
)


def normalise(text: str) -> str:
    """NFKC, straight quotes, single spaces, nothing at the ends: the form in which texts and values are compared.

    Control characters count as spaces; a lone surrogate, which no file can hold, becomes U+FFFD.
    """
    text = unicodedata.normalize("NFKC", text).translate(STRAIGHT)
    if not text.isprintable():
        kinds = {c: unicodedata.category(c) for c in set(text)}
        text = "".join(" " if kinds[c] == "Cc" else "\ufffd" if kinds[c] == "Cs" else c for c in text)
    return " ".join(text.split())


def _kind(char: str) -> str:
    if char.isalnum() or char == "_":
        return "word"
    if char == "\u200d" or "\ufe00" <= char <= "\ufe0f":
        return "joiner"
    category = unicodedata.category(char)
    if category[0] == "M":
        return "word"
    if category == "So" or "\U0001f3fb" <= char <= "\U0001f3ff":  # emoji and their skin tones
        return "symbol"
    return "space" if char.isspace() else "other"


@lru_cache(maxsize=4096)
def word_units(text: str) -> tuple[tuple[int, int], ...]:
    """Smallest pieces a span may be made of, as (start, end) offsets in reading order.

    A unit is a run of letters and digits, also across an inner hyphen, apostrophe, full stop, underscore or `@`
    ("follow-up", "O'Brien", "p.m", "10:30", "21/11/2023"), or a run of emoji. A possessive "'s" is a unit of its own,
    so that "Anna's" offers "Anna".
    """
    units: list[tuple[int, int]] = []
    position, size = 0, len(text)
    while position < size:
        kind = _kind(text[position])
        if kind not in ("word", "symbol"):
            position += 1
            continue
        start = position
        while position < size:
            char = text[position]
            inner = (
                kind == "word"
                and position + 1 < size
                and _kind(text[position + 1]) == "word"
                and (
                    char in "-'._@"
                    or (char in ":/" and text[position - 1].isdigit() and text[position + 1].isdigit())
                )
            )
            if not inner and _kind(char) not in (kind, "joiner"):
                break
            position += 1
        if text[start:position].lower().endswith("'s") and position - start > 2:
            units.append((start, position - 2))
            start = position - 2
        units.append((start, position))
    return tuple(units)


@lru_cache(maxsize=256)
def _starts(text: str) -> set[int]:
    starts = set()
    for start, end in word_units(text):
        if text[start:end].lower() == "'s":
            continue
        starts.add(start)
        while start and text[start - 1] in JOINING_PREFIX + OPENING + '"':
            start -= 1
            starts.add(start)
    return starts


def _abbreviated(text: str, start: int, end: int) -> bool:
    """Whether the full stop at `end` belongs to the unit before it rather than to the sentence."""
    if text[end : end + 1] != ".":
        return False
    unit = text[start:end].lower()
    following = text[end + 1 : end + 3]
    return (
        len(unit) == 1
        or "." in unit
        or unit in ABBREVIATIONS
        or (following[:1] == " " and following[1:].islower())
    )


@lru_cache(maxsize=256)
def _ends(text: str) -> set[int]:
    ends = set()
    for start, end in word_units(text):
        ends.add(end)
        if _abbreviated(text, start, end):
            end += 1
            ends.add(end)
        while end < len(text) and text[end] in JOINING_SUFFIX + CLOSING + '"':
            end += 1
            ends.add(end)
    return ends


def balanced(piece: str) -> bool:
    """Whether brackets and double quotes in the piece come in pairs."""
    pairs = all(piece.count(left) == piece.count(right) for left, right in zip(OPENING, CLOSING))
    return pairs and piece.count('"') % 2 == 0


def word_spans(value: str, text: str, ignore_case: bool = False) -> list[tuple[int, int]]:
    """Offsets (start, end) of every place where `value` stands in `text` as whole words, left to right."""
    if not value:
        return []
    haystack, needle = (text.lower(), value.lower()) if ignore_case else (text, value)
    if len(haystack) != len(text):  # lower-casing some letters changes the length, and with it every offset
        haystack, needle = text, value
    starts, ends, found, at = _starts(text), _ends(text), [], haystack.find(needle)
    while at >= 0:
        if at in starts and at + len(needle) in ends:
            found.append((at, at + len(needle)))
        at = haystack.find(needle, at + 1)
    return found


def is_word_span(value: str, text: str, ignore_case: bool = False) -> bool:
    """Whether `value` is a contiguous piece of `text` that begins and ends with whole words."""
    return bool(word_spans(value, text, ignore_case))


def places(value: str, text: str, ignore_case: bool = False) -> list[tuple[int, int]]:
    """As :func:`word_spans`, but a value may be a whole sentence with the mark that ends it."""
    found = word_spans(value, text, ignore_case)
    if found or value[-1:] not in (".", "!", "?"):
        return found
    return [
        (start, end + 1)
        for start, end in word_spans(value[:-1], text, ignore_case)
        if text[end : end + 1] == value[-1]
    ]


def _bracket_stack(passed: str, open_: str = "") -> str | None:
    """Closing marks still owed after `passed`, the next one last; None where one closes that was never opened."""
    for char in passed:
        if char == '"':
            open_ = open_[:-1] if open_.endswith('"') else open_ + '"'
        elif char in OPENING:
            open_ += CLOSING[OPENING.index(char)]
        elif char in CLOSING:
            if not open_.endswith(char):
                return None
            open_ = open_[:-1]
    return open_


@lru_cache(maxsize=4096)
def lark_literal(text: str) -> str:
    """A Lark string literal that matches `text` as it stands inside a JSON string."""
    return json.dumps(json.dumps(text, ensure_ascii=False)[1:-1], ensure_ascii=False)


def span_terminal(
    text: str,
    name: str,
    first: Callable[[str], Iterable[str]] | None = None,
    every: Callable[[str], Iterable[str]] | None = None,
) -> list[str]:
    """Lark lines that define terminal `name`: any whole-word span of `text`, JSON-escaped, without the quotes.

    One terminal for each unit says "this unit, and perhaps the rest from the next unit on", so that the grammar grows
    linearly with the text; brackets and quotes that a span opens it must also close.

    Parameters
    ----------
    text : str
        Normalised text.
    name : str
        Upper-case terminal name; the helper terminals begin with it.
    first, every : callable, optional
        Unit → other ways in which a value may write it ("mtg" → "meeting"), at the start of a span (`first`) or
        anywhere (`every`).

    Returns
    -------
    list of str
        Empty where the text holds no word; the caller then leaves the terminal out.
    """
    units = word_units(text)
    lines: list[str] = []
    defined: set[str] = set()

    def writings(index: int) -> list[tuple[str, str]]:
        """(unit as written, what may follow before the next unit): the unit itself, then its rewrites."""
        start, end = units[index]
        unit, after = (
            text[start:end],
            text[end : units[index + 1][0] if index + 1 < len(units) else len(text)],
        )
        others = every(unit) if every else ()
        bare = after[1:] if after.startswith(".") and _abbreviated(text, start, end) else after
        return [(unit, after)] + [(other, bare) for other in dict.fromkeys(others) if other != unit]

    def tails(index: int, after: str, open_: str) -> tuple[list[str], list[str]]:
        """What may end the span after the unit, and how it may go on to the next unit."""
        start, end = units[index]
        closers, rest, stop, still_open = "", after, [], open_
        if not open_:
            stop.append("")
        if rest.startswith(".") and _abbreviated(text, start, end):
            closers, rest = ".", rest[1:]
            if not open_:
                stop.append(closers)
        for char in rest:
            if still_open and char == still_open[-1]:
                still_open = still_open[:-1]
            elif char not in JOINING_SUFFIX:
                break
            closers += char
            if not still_open:
                stop.append(closers)
        stack = _bracket_stack(after, open_)
        if index + 1 == len(units) or stack is None:
            return stop, []
        following = define(index + 1, stack)
        return stop, [f"{lark_literal(after)} {following}" if after else following]

    def define(index: int, open_: str) -> str:
        terminal = f"{name}_{index}{open_.translate(_STACK_NAMES)}"
        if terminal not in defined:
            defined.add(terminal)
            pending.append((index, open_, terminal))
        return terminal

    def body(index: int, open_: str, extra: Iterable[str] = ()) -> list[str]:
        options = []
        written = writings(index)
        written += [(other, written[0][1]) for other in extra if other not in {unit for unit, _ in written}]
        for unit, after in written:
            stop, onward = tails(index, after, open_)
            ends = [lark_literal(end) for end in stop if end]
            choice = " | ".join(ends + onward)
            if choice:
                options.append(f"{lark_literal(unit)} ({choice}){'?' if '' in stop else ''}")
            elif stop:
                options.append(lark_literal(unit))
        return options

    pending: list[tuple[int, str, str]] = []
    heads = []
    for index, (start, end) in enumerate(units):
        if text[start:end].lower() == "'s":
            continue
        extra = list(first(text[start:end])) if first else []
        if extra:
            heads += body(index, "", extra)
        else:
            heads.append(define(index, ""))
        prefix = ""
        while start and text[start - 1] in JOINING_PREFIX + OPENING + '"':
            start -= 1
            prefix = text[start] + prefix
            stack = _bracket_stack(prefix)
            if stack is not None:
                heads.append(f"{lark_literal(prefix)} {define(index, stack)}")
    while pending:
        index, open_, terminal = pending.pop()
        options = body(index, open_)
        # an opened bracket that never closes leaves nothing to match: a terminal must still be defined
        lines.append(f"{terminal}: {' | '.join(options) or NOTHING}")
    return lines + [f"{name}: {' | '.join(heads)}"] if heads else []


def typo(word: str, rng: random.Random) -> str:
    """Two neighbouring inner letters exchanged, or one left out or doubled; short words stay."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
