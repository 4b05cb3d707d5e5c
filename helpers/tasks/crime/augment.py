"""New training rows from labelled ones, and the words that train labels use where there is nothing."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable

from helpers.tasks.crime.layout import drop, rename, reorder, retell
from helpers.tasks.crime.pools import pools
from helpers.tasks.crime.swap import exchange
from helpers.tasks.crime.text import Section, means_nothing, sections
from helpers.tasks.records import Example

Augmenter = Callable[[Example, random.Random], "Example | None"]
LEAST_SEEN = 3  # rows that must show a wording before it is used


def _witness_words(parts: list[Section]) -> tuple[str, str] | None:
    """What witnesses and suspects sections say where there are no witnesses; all descriptions count as one."""
    content = {part.name: part.content.strip(" .") for part in parts}
    if not means_nothing(content.get("witnesses", "?")) or "suspects" not in content:
        return None
    suspects = content["suspects"]
    return content["witnesses"], suspects if means_nothing(suspects) else ""


def wordings(train: list[Example]) -> dict[tuple[str, str], Counter[tuple[str, ...]]]:
    """How reports say that there are no witnesses (beside what they say of suspects) → labels given to that."""
    seen: dict[tuple[str, str], Counter[tuple[str, ...]]] = defaultdict(Counter)
    for example in train:
        words = _witness_words(sections(example.text))
        if words:
            seen[words][tuple(example.target["Witness_Name"])] += 1
    return {words: labels for words, labels in seen.items() if labels.total() >= LEAST_SEEN}


def augmenters(train: list[Example]) -> dict[str, Augmenter]:
    """The augmentations of labelled rows; each returns None for a row it does not fit.

    `swap` exchanges names, places, numbers, dates and times; `reorder`, `drop` and `rename` change the headings; `retell`
    tells a headed report in sentences; `rephrase` says in another way of train that there were no witnesses, and labels
    it as train does. All but the first also exchange names, so that no text stands twice but for its layout.
    """
    names, seen = pools(), wordings(train)

    def rephrase(example: Example, rng: random.Random) -> Example | None:
        parts = sections(example.text)
        words = _witness_words(parts)
        others = sorted(other for other in seen if words and other[1] == words[1] and other[0] != words[0])
        if not others:
            return None
        other = rng.choice(others)
        old = next(part for part in parts if part.name == "witnesses").lines
        labels = seen[other]
        label = rng.choices(list(labels), list(labels.values()))[0]
        return example.with_(
            text=example.text.replace(old, old.replace(words[0], other[0])),
            origin="rephrase",
            target={**example.target, "Witness_Name": list(label)},
        )

    def about_others(change: Augmenter) -> Augmenter:
        def changed(example: Example, rng: random.Random) -> Example | None:
            made = change(example, rng)
            swapped = exchange(made, names, rng) if made is not None else None
            return made if swapped is None else swapped.with_(origin=made.origin)

        return changed

    return {
        "swap": lambda example, rng: exchange(example, names, rng),
        **{
            name: about_others(change)
            for name, change in (
                ("reorder", reorder),
                ("drop", drop),
                ("rename", rename),
                ("retell", retell),
                ("rephrase", rephrase),
            )
        },
    }
