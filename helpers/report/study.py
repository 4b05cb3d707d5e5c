"""What the report says of one task in numbers: all is read from the files of its run and from what `results/` holds."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from helpers.evaluation.systems import (
    RULES,
    best_of,
    best_writer,
)
from helpers.paths import ROOT
from helpers.tasks import TASK_NAMES, Task

UNTUNED = ("base_zero_shot", "base_few_shot", "untuned")
COLUMNS = ("exact_match", "field_accuracy", "exact_f1", "json_validity")
LEAST_VALUES = 10  # of a field whose F1 is worth a sentence
Scores = dict[str, dict[str, Any]]


@dataclass
class Study:
    """One task's results, ready for the templates; most fields are what :func:`evidence` keeps.

    `trained` are the fine-tuned variants that have scores, in the task's order, `votes` the votes that have, with their
    members. `best` is the best on validation, `deploy` the trained one that is to be used, `baseline` the strongest without
    training, and `use` the former or, where it is no better, the latter. `untuned` is the same model before training and
    `tuned` the best that training alone makes of it, `writer` the best variant that writes and `marker` the best that marks
    words, where the task has both. Leads of the headline score, None where one side is missing: `gain` (deployed over
    baseline), `tuning_gain` (tuned over untuned, of models that write), `marker_lead` (marker over writer), `writer_lead`
    (writer over baseline).
    """

    task: Task
    metrics: dict[str, Any]
    costs: Scores
    test_part: bool = True
    drops: dict[str, float] = field(default_factory=dict)
    published: bool = False
    models: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    deploy: str | None = None
    why: str = ""
    away: dict[str, dict[str, float]] = field(default_factory=dict)
    tests: dict[str, dict[str, float]] = field(default_factory=dict)
    journeys: list[dict[str, Any]] = field(default_factory=list)
    hinted: list[str] | None = None
    beside: list[dict[str, Any]] = field(default_factory=list)
    hard: list[dict[str, Any]] | None = None
    checks: dict[str, list[int | None]] = field(default_factory=dict)
    code: str = ""
    results: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        task, data = self.task, self.metrics.get("data", {})
        self.name, self.title, self.headline = task.name, task.words.title, task.headline
        self.headline_name = task.words.headline
        fields = f"From each text {len(task.fields)} fields: {', '.join(task.fields)}."
        self.description = task.words.description or fields
        self.profile, self.rows = self.metrics.get("profile", "cpu"), data.get("rows")
        self.source, self.fingerprint = data.get("source", "sample"), data.get("fingerprint", "")
        self.own, self.part = task.name not in TASK_NAMES, "test" if self.test_part else "validation"
        self.variants, self.best = self.metrics.get("variants", {}), self.metrics.get("best")
        known = self.variants
        self.deploy = self.deploy if self.deploy in known else self.best
        self.trained = tuple(name for name in task.variants if name in known)
        self.votes = {vote: members for vote, members in task.variants.votes.items() if vote in known}
        learnt = {*task.variants, *task.variants.votes}
        untrained = [name for name in known if name.partition("@")[0] not in learnt]
        self.baseline = best_of(task, known, untrained) if untrained else None
        writer = best_writer(task, known, self.best or "")
        self.writer = writer if writer in task.variants.writers else None
        self.settings = task.settings(self.profile)
        helped = {name for name, one in task.variants.items() if getattr(one, "teacher", False)}
        helped |= {name for name in task.variants if self.settings.get(f"{name}.gazetteer")}
        taggers = [name for name in self.trained if name in task.variants.taggers]
        if self.hinted is None:
            self.hinted = [name for name in self.trained if self.settings.get(f"{name}.hints")]
        self.untuned, self.marker = self._first(UNTUNED), self._first(taggers if self.writer else ())
        self.tuned = self.writer or self._first(name for name in taggers if name not in helped)
        self.gain = self.lead(self.deploy, self.baseline)
        self.marker_lead = self.lead(self.marker, self.writer)
        self.writer_lead = self.lead(self.writer, self.baseline)
        # a classifier that was not trained is random: what a tagger gains over it says nothing
        self.tuning_gain = self.lead(self.tuned, self.untuned) if self.writer else None
        self.use = self.deploy if self.gain is None or self.gain > 0 else self.baseline
        self.mostly_tuning = (self.tuning_gain or 0) > (self.score(self.tuned) or 0) / 2
        self.card = "" if self.own or self.source != "sample" else data_card(self.name)
        found = re.search(r"## How it was made\n(.+?)\n\n", self.card, re.DOTALL)
        self.origin = found[1] if found else ""

    # -- who stands where ---------------------------------------------------------------------------------------------
    def score(self, name: str | None) -> float | None:
        """Headline score of a system, or None."""
        return self.variants.get(name or "", {}).get(self.headline)

    def _first(self, names: Iterable[str]) -> str | None:
        scored = [name for name in names if self.score(name) is not None]
        return max(scored, key=self.score, default=None)

    def lead(self, one: str | None, other: str | None) -> float | None:
        """Headline score of one system minus that of another; None where one is missing."""
        scores = self.score(one), self.score(other)
        return None if None in scores else scores[0] - scores[1]

    def interval(self, name: str) -> tuple[float, float]:
        """95 % interval of the headline score; the score alone where there is none."""
        return tuple((self.variants[name].get("ci95") or {}).get(self.headline) or (self.score(name),) * 2)

    def apart(self, one: str, other: str) -> bool:
        """Whether the intervals of two systems do not overlap."""
        (low, high), (other_low, other_high) = self.interval(one), self.interval(other)
        return low > other_high or other_low > high

    def _field_f1(self, name: str | None) -> dict[str, float]:
        cells = self.variants.get(name or "", {}).get("fields") or {}
        known = {key: one for key, one in cells.items() if one.get("f1") is not None}
        return {
            key: one["f1"] for key, one in known.items() if one.get("support", LEAST_VALUES) >= LEAST_VALUES
        }

    def test(self, one: str, other: str) -> dict[str, float] | None:
        """The paired test of two systems on the same rows: difference, low, high, p; None where it was not made."""
        return self.tests.get(f"{one} vs {other}")

    @property
    def trained_better(self) -> bool:
        """Whether any trained system or vote has a higher score than the best without training."""
        rivals = [self.lead(name, self.baseline) for name in (*self.trained, *self.votes)]
        return any(lead is not None and lead > 0 for lead in rivals)

    def gloss(self, name: str) -> str:
        """What a trained variant or a vote is, in a few words."""
        if name in self.votes:
            *some, last = self.votes[name]
            return f"vote of {', '.join(some)} and {last}" if some else f"vote of {last}"
        words = ["marks words" if name in self.task.variants.taggers else "writes"]
        words += ["an adapter"] * self.is_adapter(name)
        words += ["with word features"] * bool(self.settings.get(f"{name}.gazetteer"))
        words += ["shown what the rules propose"] * (name in self.hinted)
        if own := self.settings.get(f"{name}.encoder"):
            words.append(f"on {own}")
        words += ["taught by another"] * bool(getattr(self.task.variants[name], "teacher", False))
        return ", ".join(words)

    def is_adapter(self, name: str) -> bool:
        """Whether the weights of a variant, or of a member of a vote, come beside those of a base."""
        if name in self.votes:
            return any(map(self.is_adapter, self.votes[name]))
        if name in self.task.variants.taggers:
            return bool(self.settings.get(f"{name}.rank"))
        return bool(getattr(self.task.variants.get(name), "adapter", False))

    # -- away from home -----------------------------------------------------------------------------------------------
    def held_out(self, system: str | None) -> list[dict[str, Any]]:
        """Its tests on batches that were held out whole, lowest score first."""
        found = [one for one in self.journeys if one["system"] == system and one["group"] == "batch"]
        return sorted(found, key=lambda one: one["score"])

    def abroad(self, system: str | None) -> list[dict[str, Any]]:
        """Its tests on rows of other sources."""
        return [one for one in self.journeys if one["system"] == system and one["group"] == "source"]

    @property
    def sources(self) -> list[str]:
        """Other sources that any system was asked about."""
        return list(dict.fromkeys(one["set"] for one in self.journeys if one["group"] == "source"))

    @property
    def travels(self) -> bool:
        """Whether the trained system that is to be used has been measured away from home."""
        return bool(self.held_out(self.deploy) or self.abroad(self.deploy))

    # -- other runs ---------------------------------------------------------------------------------------------------
    @property
    def other_runs(self) -> list[dict[str, Any]]:
        """`beside`, with one line for systems that training cannot change where settings did not change them either."""
        found: dict[Any, dict[str, Any]] = {}
        for at, line in enumerate(self.beside):
            fixed = line["system"] == RULES and line["runs"]
            key = (line["system"], line["data"], line["score"]) if fixed else at
            found[key] = {**line, "setting": "any"} if key in found else line
        return list(found.values())

    @property
    def repeated(self) -> list[tuple[str, float]]:
        """Systems that were trained once more with the settings and the seed of this run: name, score there."""
        again = [one for one in self.beside if one.get("same") and self.score(one["system"]) is not None]
        return [(one["system"], float(one["score"])) for one in again if one["system"] in self.trained]

    @property
    def fields(self) -> list[tuple[str, float]]:
        """Fields of the system to deploy that have ten values or more, with their F1, lowest first."""
        return sorted(self._field_f1(self.deploy).items(), key=lambda item: item[1])

    @property
    def roles(self) -> list[tuple[str, float, float]]:
        """Fields where the writer's F1 is higher by a point or more: name, F1 of writer and marker; largest leads first."""
        marker, writer = self._field_f1(self.marker), self._field_f1(self.writer)
        found = [(key, writer[key], f1) for key, f1 in marker.items() if writer.get(key, 0.0) >= f1 + 0.01]
        return sorted(found, key=lambda item: item[2] - item[1])

    @property
    def largest_drop(self) -> tuple[str, float] | None:
        """The perturbation that lowers the headline most, and by how much; None where none does."""
        worst = min(self.drops.items(), key=lambda item: item[1], default=None)
        return worst if worst and worst[1] < 0 else None

    # -- tables -------------------------------------------------------------------------------------------------------
    @property
    def default_names(self) -> list[str]:
        """Every system in its default decoding: those without training, then trained ones, then votes."""
        last = [*self.trained, *self.votes]
        return [name for name in self.variants if "@" not in name and name not in last] + last

    @property
    def columns(self) -> list[str]:
        """Scores shown, headline first: those that any variant has."""
        wanted = dict.fromkeys((self.headline, *COLUMNS))
        return [name for name in wanted if any(one.get(name) is not None for one in self.variants.values())]

    @property
    def standings(self) -> list[tuple[str, str]]:
        """Every system that has a score, best first: name, and what kind of system it is."""
        kinds = dict.fromkeys(self.trained, "trained") | dict.fromkeys(self.votes, "vote")
        scored = [name for name in self.default_names if self.score(name) is not None]
        return [(name, kinds.get(name, "baseline")) for name in sorted(scored, key=self.score, reverse=True)]

    def cost(self, name: str | None, what: str) -> float | None:
        """One number of costs.json, or None; `row_ms` are the milliseconds that answering one scored row took.

        `run_mb` is the size with the base of an adapter; whole weights need none.
        """
        costs = self.costs.get(name or "", {})
        if what == "run_mb" and costs.get(what) is None and not self.is_adapter(name or ""):
            return costs.get("size_mb")
        if what != "row_ms":
            return costs.get(what)
        seconds = costs.get("predict_seconds")
        return 1000 * seconds / self.rows if seconds and self.rows else None

    def trained_parameters(self, name: str) -> int | None:
        """Parameters that training changed, or None."""
        return (self.variants.get(name, {}).get("parameters") or {}).get("trainable")

    @property
    def base_size(self) -> int | None:
        """Parameters of the base model, or None."""
        for name in self.trained:
            counts = self.variants[name].get("parameters") or {}
            if counts.get("total"):
                adapter = getattr(self.task.variants[name], "adapter", False)
                return counts["total"] - adapter * counts["trainable"]
        return None


def data_card(name: str) -> str:
    """How a sample was made, and its limits, from its data card in Markdown."""
    path = ROOT / "data" / name / "README.md"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return "\n".join(re.findall(r"^## (?:How it was made|Limits)\n(?:(?!## ).*\n?)*", text, re.MULTILINE))
