"""What the report says of one task in numbers: everything is read from its metrics, costs and manifest files."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data.read import is_public
from helpers.errors import UserError
from helpers.evaluation.comparisons import best_baseline
from helpers.evaluation.systems import best_writer
from helpers.files import read_json
from helpers.run import Run
from helpers.tasks import Task, load_task

UNTUNED = ("base_zero_shot", "base_few_shot")
COLUMNS = ("exact_match", "field_accuracy", "exact_f1", "json_validity")
SOURCES = ("sample", "public")
Scores = dict[str, dict[str, Any]]


@dataclass
class Study:
    """One task's results, ready for the templates.

    `variants` and `costs` are as in metrics.json and costs.json. `trained` are the fine-tuned variants that have scores,
    in the task's order, `votes` the votes that have, with their members. `best` is the best on validation, `baseline` the
    strongest without training, `untuned` the same base merely asked, `writer` the best trained variant that writes,
    `marker` the best of the others where the task has both. Leads of the headline score, None where one side is missing:
    `gain` (best over baseline), `writer_gain`, `tuning_gain` (writer over untuned), `marker_lead` (over writer). Without `test_part` the scored rows are the
    validation part that also chose the variant. `drops`: perturbation → change of the headline. `published`: the
    task's published results are on these rows.
    """

    task: Task
    profile: str
    source: str
    rows: int | None
    fingerprint: str
    models: dict[str, Any]
    variants: Scores
    best: str | None
    costs: Scores
    test_part: bool = True
    drops: dict[str, float] = field(default_factory=dict)
    published: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        task, known = self.task, self.variants
        self.name, self.title, self.description = task.name, task.words.title, task.words.description
        self.aim, self.question, self.headline = task.words.aim, task.words.research_question, task.headline
        self.trained = tuple(name for name in task.variants if name in known)
        self.votes = {vote: members for vote, members in task.variants.votes.items() if vote in known}
        try:
            self.baseline = best_baseline(task, known)
        except UserError:
            self.baseline = None
        writer = best_writer(task, known, self.best or "")
        self.writer = writer if writer in task.variants.writers else None
        taggers = [name for name in self.trained if name not in task.variants.writers] if self.writer else []
        self.untuned, self.marker = self._first(UNTUNED), self._first(taggers)
        self.gain = self._lead(self.best, self.baseline) or 0.0
        self.writer_gain = self._lead(self.writer, self.baseline)
        self.tuning_gain = self._lead(self.writer, self.untuned)
        self.marker_lead = self._lead(self.marker, self.writer)

    # -- who stands where ---------------------------------------------------------------------------------------------
    def _first(self, names: Any) -> str | None:
        """The variant with the highest headline score."""
        scored = [name for name in names if self.variants.get(name, {}).get(self.headline) is not None]
        return max(scored, key=lambda name: self.variants[name][self.headline], default=None)

    def _lead(self, one: str | None, other: str | None) -> float | None:
        """Headline score of one variant minus that of another; None where one is missing."""
        if not one or not other:
            return None
        return self.variants[one][self.headline] - self.variants[other][self.headline]

    @property
    def fields(self) -> list[tuple[str, float]]:
        """The fields of the best variant with their F1, lowest first."""
        cells = (self.variants.get(self.best or "", {}).get("fields") or {}).items()
        return sorted(
            ((name, one["f1"]) for name, one in cells if one.get("f1") is not None), key=lambda item: item[1]
        )

    @property
    def largest_drop(self) -> tuple[str, float] | None:
        """The perturbation that lowers the headline most, and by how much; None where none does."""
        worst = min(self.drops.items(), key=lambda item: item[1], default=None)
        return worst if worst and worst[1] < 0 else None

    @property
    def published_best(self) -> tuple[str, float] | None:
        """Published system with the best headline score on this data, and that score."""
        rows = self.task.public.published if self.published else ()
        known = [(row["system"], row[self.headline]) for row in rows if row.get(self.headline) is not None]
        return max(known, key=lambda item: item[1], default=None)

    # -- tables -------------------------------------------------------------------------------------------------------
    @property
    def default_names(self) -> list[str]:
        """Baselines, then trained variants, each in its default decoding, then votes."""
        last = [*self.trained, *self.votes]
        return [name for name in self.variants if "@" not in name and name not in last] + last

    @property
    def columns(self) -> list[str]:
        """Scores shown, headline first: those that any variant has."""
        wanted = dict.fromkeys((self.headline, *COLUMNS))
        return [name for name in wanted if any(one.get(name) is not None for one in self.variants.values())]

    @property
    def standings(self) -> list[dict[str, Any]]:
        """Every system in its default decoding, best first: name, score, interval, and what kind of system it is."""
        rows = []
        for name in self.default_names:
            score = self.variants[name].get(self.headline)
            if score is not None:
                low, high = (self.variants[name].get("ci95") or {}).get(self.headline) or (score, score)
                kind = "trained" if name in self.trained else "vote" if name in self.votes else "baseline"
                rows.append({"name": name, "score": score, "low": low, "high": high, "kind": kind})
        return sorted(rows, key=lambda row: -row["score"])

    def cost(self, name: str, what: str) -> float | None:
        """One number of costs.json, or None."""
        return self.costs.get(name, {}).get(what)

    def trained_parameters(self, name: str) -> int | None:
        """Parameters that training changed, or None."""
        counts = self.variants.get(name, {}).get("parameters") or {}
        return counts.get("trainable") if isinstance(counts, dict) else counts

    @property
    def base_size(self) -> int | None:
        """Parameters of the base model, or None."""
        counts = [self.variants[name].get("parameters") for name in self.trained]
        return next((one["total"] for one in counts if isinstance(one, dict) and one.get("total")), None)


def make_study(task: str | Task, metrics: dict[str, Any], costs: Scores, **more: Any) -> Study:
    """The study of one task from what :func:`evidence` keeps."""
    data, task = metrics.get("data", {}), load_task(task)
    profile, fingerprint = metrics.get("profile", "cpu"), data.get("fingerprint") or ""
    if isinstance(fingerprint, dict):  # of each part: that of the scored one
        fingerprint = fingerprint.get("test") or fingerprint.get("validation") or ""
    return Study(
        task=task,
        profile=profile,
        source=str(data.get("source", "sample")),
        rows=data.get("rows"),
        fingerprint=fingerprint,
        variants=metrics.get("variants", {}),
        best=metrics.get("best"),
        costs=costs,
        **{"models": task.settings(profile), **more},
    )


def evidence(run: Run) -> dict[str, Any]:
    """What the numbers of a task's report are read from, to be kept beside it.

    Returns
    -------
    dict
        metrics and costs (the files), test_part (whether the scored rows are one), drops (perturbation → change of the
        score), published (whether published results are on these rows), models (settings that name them), command.
    """
    metrics = {"profile": run.profile, "data": {"source": run.data}, **read_json(run.dir / "metrics.json")}
    source = metrics["data"].get("source")
    if source not in (None, *SOURCES):  # where a folder lay says nothing elsewhere
        metrics["data"] = {**metrics["data"], "source": Path(source).name}
    splits, perturbed = run.dir / "splits", run.dir / "tables" / "robustness.csv"
    drops = {}
    if (
        perturbed.exists() and perturbed.read_text(encoding="utf-8").strip()
    ):  # empty where nothing could be perturbed
        drops = pd.read_csv(perturbed, index_col=0)["difference"].dropna().to_dict()
    return {
        "metrics": metrics,
        "costs": read_json(run.dir / "costs.json"),
        "test_part": (splits / "test.jsonl").exists() or not splits.exists(),
        "drops": drops,
        "published": bool(run.task.public.published) and is_public(run),
        "models": {name: run.settings.get(name) for name in ("base_model", "encoder_model")},
        "command": command(run),
    }


def read_run(root: Path, name: str) -> Run:
    """The run of a task whose files are under `root/artifacts/`."""
    manifest = read_json(root / "artifacts" / name / "manifest.json")
    kept = {key: manifest[key] for key in ("profile", "settings", "seed") if key in manifest}
    try:
        return Run(task=name, out=str(root), data=manifest.get("data", {}).get("source", "sample"), **kept)
    except UserError:  # its data or settings are gone
        return Run(task=name, out=str(root))


def command(run: Run) -> str:
    """The command line that makes this run again; settings are named where they differ from the profile's."""
    line = ["./run_all.sh", run.task.name, "--profile", run.profile, "--data", str(run.data)]
    defaults = run.task.settings(run.profile)
    for name, value in run.settings.items():
        if value != defaults[name]:
            text = json.dumps(value) if isinstance(value, (list, dict, bool)) else value
            line += ["--set", f"{name}={text}"]
    return shlex.join(line)
