"""Text as the project compares it, and the pieces of a text that count as whole words."""

from __future__ import annotations

import json
import random
import unicodedata
from functools import lru_cache
from typing import Any

STRAIGHT = str.maketrans(
    {"‘": "'", "’": "'", "‚": "'", "‛": "'", "ʼ": "'", "“": '"', "”": '"', "„": '"', "‟": '"'}
)
SPELLING = {"lora": "LoRA", "qlora": "QLoRA", "llm": "LLM", "json": "JSON", "f1": "F1"}
OPENING, CLOSING = "([{", ")]}"
JOINING_PREFIX, JOINING_SUFFIX = "#@$€£", "+#%"
ABBREVIATIONS = frozenset(
    "co inc ltd corp llc jr sr dr mr mrs ms prof st ave blvd rd no nr rm bldg dept conf sess mtg mgr asst hon gov fl "
    "sq ctr univ intl approx incl min mins hr hrs vs etc".split()
)


def words(name: Any) -> str:
    """A column as it is written for readers: `json_validity` → `JSON validity`, `exact_f1` → `value F1`."""
    return " ".join(
        SPELLING.get(word, word)
        for word in str(name).replace("exact_f1", "value f1").replace("_", " ").split(" ")
    )


def normalise(text: str) -> str:
    """The form in which texts and values are read and compared: what looks alike is alike.

    NFKC, straight quotes, digits of any script as 0 to 9, single spaces, nothing at the ends; without invisible signs
    (direction marks, soft hyphens, zero-width spaces, byte-order marks). Control characters count as spaces; a lone
    surrogate, which no file can hold, becomes U+FFFD.
    """
    if not (text.isascii() and text.isprintable()):
        text = unicodedata.normalize("NFKC", "".join(map(_read_as, text))).translate(STRAIGHT)
    return " ".join(text.split())


@lru_cache(maxsize=4096)
def _read_as(sign: str) -> str:
    category = unicodedata.category(sign)
    if category == "Nd":
        return str(unicodedata.decimal(sign))
    if category == "Cf":  # joiners hold emoji and letters of some scripts together
        return sign if sign in "\u200c\u200d" else ""
    return {"Cc": " ", "Cs": "\ufffd"}.get(category, sign)


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


@lru_cache(maxsize=4096)
def lark_literal(text: str) -> str:
    """A Lark string literal that matches `text` as it stands inside a JSON string."""
    return json.dumps(json.dumps(text, ensure_ascii=False)[1:-1], ensure_ascii=False)


def typo(word: str, rng: random.Random) -> str:
    """Two neighbouring inner letters exchanged, or one left out or doubled; short words stay."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 2)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
