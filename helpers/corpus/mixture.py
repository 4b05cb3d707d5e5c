"""The stream of pre-training documents: which generators, how often, and what is left out."""
from __future__ import annotations

import random
import re
import unicodedata
from collections import OrderedDict
from hashlib import blake2b
from itertools import accumulate
from typing import Callable, Iterator

from helpers.corpus import events, records, reports
from helpers.corpus.document import Document
from helpers.corpus.lexicon import Lexicon, lexicon

Generator = Callable[[random.Random, Lexicon], Document]
REMEMBERED = 1_000_000
WINDOW = 4
WORD = re.compile(r"\w+")

# Weights are shares of documents; reports are long, so that a small share of them is many tokens.
MIXTURE: dict[str, tuple[float, Generator]] = {
    "event_extraction": (0.46, events.event_extraction),
    "event_instruction": (0.035, events.event_instruction),
    "event_subset": (0.03, events.event_subset),
    "event_chat": (0.02, events.event_chat),
    "event_shots": (0.012, events.event_shots),
    "record_fields": (0.08, records.record_fields),
    "invented_schema": (0.06, records.invented_schema),
    "record_questions": (0.05, records.record_questions),
    "key_value_copy": (0.07, records.key_value_copy),
    "reformat": (0.06, records.reformat),
    "echo": (0.03, records.echo),
    "span_copy": (0.08, records.span_copy),
    "report_chat": (0.06, reports.report_chat),
    "report_questions": (0.04, reports.report_questions),
    "narrative": (0.004, reports.narrative),
}

# What the first tokens come from: short texts, in which copying is practised before anything else.
OPENING = {"event_extraction": 0.7, "echo": 0.15, "span_copy": 0.1, "key_value_copy": 0.05}


def word_key(text: str) -> str:
    """The words of a text, compatibility-normalised and case-folded, with one space around each."""
    return f" {' '.join(WORD.findall(unicodedata.normalize('NFKC', text).casefold()))} "


class Banned:
    """Texts that no document may hold, found by their words whatever the case, spacing and punctuation.

    Parameters
    ----------
    texts : iterable of str
        The banned texts; those without a word in them are ignored.
    """

    def __init__(self, texts: frozenset[str] | set[str] | list[str] | tuple[str, ...]):
        self.by_start: dict[str, list[str]] = {}
        self.short: list[str] = []
        for key in sorted({word_key(text) for text in texts}):
            words = key.split()
            if len(words) >= WINDOW:
                self.by_start.setdefault(" ".join(words[:WINDOW]), []).append(key)
            elif words:
                self.short.append(key)

    def holds(self, text: str) -> bool:
        """Whether a banned text is part of this text."""
        if not self.by_start and not self.short:
            return False
        key = word_key(text)
        if any(short in key for short in self.short):
            return True
        words = key.split()
        for start in zip(words, words[1:], words[2:], words[3:], strict=False):
            found = self.by_start.get(" ".join(start))
            if found and any(banned in key for banned in found):
                return True
        return False


def stream(seed: int, banned: frozenset[str] = frozenset(), opening: bool = False) -> Iterator[Document]:
    """Documents without end, the same ones for the same seed.

    Parameters
    ----------
    seed : int
        Seeds the order and the content; the word pools are the same for all seeds.
    banned : frozenset of str
        Texts (of evaluation sets) that must not be part of any document.
    opening : bool
        Take the shares of :data:`OPENING` instead of those of :data:`MIXTURE`.

    Yields
    ------
    Document
        Exact repeats among the last million documents are left out.
    """
    rng, lex, stop = random.Random(seed), lexicon(), Banned(banned)
    shares = OPENING if opening else {name: weight for name, (weight, _) in MIXTURE.items()}
    makers = [MIXTURE[name][1] for name in shares]
    bounds = list(accumulate(shares.values()))
    seen: OrderedDict[bytes, None] = OrderedDict()
    while True:
        document = rng.choices(makers, cum_weights=bounds)[0](rng, lex)
        text = document.text
        digest = blake2b(text.encode(), digest_size=8).digest()
        if digest in seen or stop.holds(text):
            continue
        seen[digest] = None
        if len(seen) > REMEMBERED:
            seen.popitem(last=False)
        yield document
