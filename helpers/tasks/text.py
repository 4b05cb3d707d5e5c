"""Text as the project compares it, and the pieces of a text that count as whole words."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from functools import lru_cache
from typing import Any

STRAIGHT = str.maketrans("‘’‚‛ʼ“”„‟", "'" * 5 + '"' * 4)
SPELLING = {"lora": "LoRA", "qlora": "QLoRA", "llm": "LLM", "json": "JSON", "f1": "F1"}
OPENING, CLOSING = "([{", ")]}"
_BEFORE, _AFTER = '#@$€£([{"', re.compile(r'[+#%)\]}"]*')
_UNIT = re.compile(r"[wd](?:[wdj]|i(?=[wd])|(?<=d)c(?=d))*|s[sj]*")  # in a text of :func:`_shape`
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


@lru_cache(maxsize=4096)
def _shape(char: str) -> str:
    """What a sign does in a word: `d` a digit, `w` another part of it, `i` and `c` inside it, `j` a joiner, `s` emoji."""
    if char in "-'.@:/":
        return "c" if char in ":/" else "i"
    if char == "\u200d" or "\ufe00" <= char <= "\ufe0f":
        return "j"
    category = unicodedata.category(char)
    if char.isalnum() or char == "_" or category[0] == "M":
        return "d" if char.isdigit() else "w"
    tone = "\U0001f3fb" <= char <= "\U0001f3ff"  # of the skin of an emoji
    return "s" if category == "So" or tone else " "


@lru_cache(maxsize=4096)
def word_units(text: str) -> tuple[tuple[int, int], ...]:
    """Smallest pieces a span may be made of, as (start, end) offsets in reading order.

    A unit is a run of letters and digits, also across an inner hyphen, apostrophe, full stop, underscore or `@`
    ("follow-up", "O'Brien", "p.m", "10:30", "21/11/2023"), or a run of emoji. A possessive "'s" is a unit of its own,
    so that "Anna's" offers "Anna".
    """
    units: list[tuple[int, int]] = []
    for match in _UNIT.finditer("".join(map(_shape, text))):
        start, end = match.span()
        if end - start > 2 and text[end - 2 : end].lower() == "'s":
            units.append((start, end - 2))
            start = end - 2
        units.append((start, end))
    return tuple(units)


def _abbreviated(text: str, start: int, end: int) -> bool:
    """Whether the full stop at `end` belongs to the unit before it rather than to the sentence."""
    unit, after = text[start:end].lower(), text[end + 1 : end + 3]
    short = len(unit) == 1 or "." in unit or unit in ABBREVIATIONS
    return text[end : end + 1] == "." and (short or (after[:1] == " " and after[1:].islower()))


@lru_cache(maxsize=256)
def _edges(text: str) -> tuple[set[int], set[int]]:
    """Where a value may begin and where it may end: at units, with the brackets, quotes and signs that join them."""
    starts, ends = set(), set()
    for start, end in word_units(text):
        stop = end + _abbreviated(text, start, end)
        ends |= {end, *range(stop, _AFTER.match(text, stop).end() + 1)}
        if text[start:end].lower() != "'s":
            starts.add(start)
            while start and text[start - 1] in _BEFORE:
                start -= 1
                starts.add(start)
    return starts, ends


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
    (starts, ends), found, at = _edges(text), [], haystack.find(needle)
    while at >= 0:
        if at in starts and at + len(needle) in ends:
            found.append((at, at + len(needle)))
        at = haystack.find(needle, at + 1)
    return found


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
