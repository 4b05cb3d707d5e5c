"""Changes of a report under which a robust model keeps its answers."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from helpers.tasks.crime.layout import LEAST_SECTIONS, rename, reorder
from helpers.tasks.crime.text import means_nothing, normalise_report, sections
from helpers.tasks.records import Example
from helpers.tasks.text import typo

_TYPO_SHARE = 0.15  # of the words of five letters and more
# without their heading these say nothing of themselves
_NEED_HEADING = frozenset({"type", "status", "witnesses", "victims"})


def reordered_headings(example: Example, rng: random.Random) -> Example | None:
    """The sections in another order."""
    changed = reorder(example, rng)
    return changed and changed.with_(origin="reordered headings")


def other_headings(example: Example, rng: random.Random) -> Example | None:
    """Other words for the headings."""
    changed = rename(example, rng)
    return changed and changed.with_(origin="other headings")


def missing_headings(example: Example, rng: random.Random) -> Example | None:
    """The headings of half the sections left out, what stands under them kept."""
    text = example.text
    parts = sections(text)
    if len(parts) < LEAST_SECTIONS:
        return None
    for part in parts:
        if (
            part.content
            and part.name not in _NEED_HEADING
            and not means_nothing(part.content)
            and rng.random() < 0.5
        ):
            text = text.replace(part.lines, part.content, 1)
    text = normalise_report(text)
    return example.with_(text=text, origin="missing headings") if text != example.text else None


def typos(example: Example, rng: random.Random) -> Example | None:
    """Slips in longer words that belong to no value and no heading."""
    kept = {
        word for values in example.target.values() for value in values for word in re.findall(r"\w+", value)
    }
    kept |= {word for part in sections(example.text) for word in re.findall(r"\w+", part.heading)}

    def slip(match: re.Match[str]) -> str:
        word = match.group()
        return word if word in kept or rng.random() > _TYPO_SHARE else typo(word, rng)

    text = re.sub(r"(?<![\w@.])[a-z]{5,}(?![\w@])", slip, example.text)
    return example.with_(text=text, origin="typos") if text != example.text else None


PERTURBATIONS: dict[str, Callable[[Example, random.Random], Example | None]] = {
    "reordered headings": reordered_headings,
    "other headings": other_headings,
    "missing headings": missing_headings,
    "typos": typos,
}
