"""More train rows from train rows: one variant an original, then synthetic rows; nothing that resembles evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from helpers.data.read import write_jsonl
from helpers.data.splits import alike, masked
from helpers.run import Run
from helpers.tasks.base import Example, Task
from helpers.tasks.text import normalise, word_spans

OUTCOMES = ("kept", "duplicate", "near evaluation", "broken")
Augmenter = Callable[[Example, Any], "Example | None"]


def unsupported(example: Example, task: Task) -> int:
    """Number of values of span fields of which not one word stands in the text.

    A label may spell out what the text abbreviates ("Strategy mtg", `Strategy meeting`): a value may differ from the text.
    """
    values = task.values(example.target)
    return sum(
        not any(word_spans(word, example.text, ignore_case=True) for word in value.split())
        for name in task.fields
        if task.kinds[name].verbatim
        for value in values[name]
    )


class _Gate:
    """Lets a made row through once, and only if it is sound and unlike every evaluation text; counts the outcomes."""

    def __init__(self, task: Task, train: Sequence[Example], evaluation: Sequence[str]) -> None:
        self.task, self.evaluation = task, list(evaluation)
        self.seen = {normalise(example.text) for example in train}
        self.masked = {masked(text) for text in evaluation}
        self.outcomes: Counter[tuple[str, str]] = Counter()

    def passes(self, example: Example, broken_before: int = 0) -> bool:
        """Whether to keep the row; `broken_before` values of the original had no word in its text already."""
        text = normalise(example.text)
        if not text or unsupported(example, self.task) > broken_before:
            outcome = "broken"
        elif text in self.seen:
            outcome = "duplicate"
        elif masked(text) in self.masked:
            outcome = "near evaluation"
        else:
            outcome = "kept"
            self.seen.add(text)
        self.outcomes[example.origin, outcome] += 1
        return outcome == "kept"

    def without_near(self, examples: list[Example]) -> list[Example]:
        """Examples in other words than every evaluation text (one comparison for all: it is the costly one)."""
        pairs = alike([example.text for example in examples], self.evaluation)
        near = set(pairs["left"])
        for at in near:
            self.outcomes[examples[at].origin, "kept"] -= 1
            self.outcomes[examples[at].origin, "near evaluation"] += 1
        return [example for at, example in enumerate(examples) if at not in near]

    def report(self) -> pd.DataFrame:
        """Rows made for each origin, and what became of them."""
        origins = pd.Index(sorted({origin for origin, _ in self.outcomes}), name="origin")
        counts = [[self.outcomes[origin, outcome] for outcome in OUTCOMES] for origin in origins]
        frame = pd.DataFrame(counts, origins, list(OUTCOMES), dtype=int)
        frame.insert(0, "made", frame.sum(axis=1))
        return frame


def _variants(run: Run, train: list[Example], augmenters: dict[str, Augmenter], gate: _Gate) -> list[Example]:
    """Up to `augment_per_row` variants of each row; which augmenter comes first is drawn anew for each."""
    found = []
    for example in tqdm(train, desc="variants", unit="row", leave=False):
        broken = unsupported(example, run.task)
        for number in range(run["augment_per_row"]):
            rng = run.rng("augment", example.id, number)
            for name in rng.sample(sorted(augmenters), len(augmenters)):
                variant = augmenters[name](example, rng)
                if variant is None:
                    continue
                variant = variant.with_(id=example.id, origin=name)
                if gate.passes(variant, broken):
                    found.append(variant)
                    break
    return found


def augment_train(run: Run, train: list[Example]) -> tuple[list[Example], pd.DataFrame]:
    """Train rows, their variants, synthetic and weakly labelled rows; also written to `splits/train_augmented.jsonl`.

    Every made row differs from every train row, is in other words than every evaluation text (see
    :func:`helpers.data.splits.alike`; siblings count too), and its text holds something of every span value.

    Returns
    -------
    rows : list of Example
        The originals in their order, then variants (`id` of the original, `origin` the augmenter), then synthetic and
        weakly labelled rows (new ids), then what the task's resampling repeats of the originals.
    report : DataFrame
        Index origin; rows `made`, and of these `kept`, `duplicate`, `near evaluation`, `broken`.
    """
    hooks = run.task.hooks
    validation = [example.text for example in run.load("validation")]  # the test part shapes no training
    gate = _Gate(run.task, train, validation)
    variants = _variants(run, train, hooks.augmenters(train), gate) if run["augment_per_row"] else []
    made = hooks.synthesise(train, run["synthetic"], run.rng("synthesise")) if run["synthetic"] else []
    made += hooks.label_weakly(train, run.settings, run.rng("weak"))
    first = 1 + max((example.id for example in train), default=-1)
    made = [example.with_(id=first + at) for at, example in enumerate(filter(gate.passes, made))]
    rows = list(train) + gate.without_near(variants + made)
    rows += hooks.resample(train, run.settings, run.rng("resample"))
    write_jsonl(run.path("splits", "train_augmented.jsonl"), map(run.task.rows.to_json, rows))
    return rows, gate.report()


def one_of_each(run: Run, train: Sequence[Example]) -> tuple[Example, dict[str, Example]]:
    """The first train row that most methods can vary, and its variant by each of them (method → variant)."""
    methods = run.task.hooks.augmenters(list(train))
    best: tuple[Example, dict[str, Example]] = (train[0], {})
    for example in train:
        made = {name: methods[name](example, run.rng("one of each", name)) for name in sorted(methods)}
        made = {name: variant for name, variant in made.items() if variant is not None}
        if len(made) > len(best[1]):
            best = example, made
        if len(made) == len(methods):
            break
    return best
