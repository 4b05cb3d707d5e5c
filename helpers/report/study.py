"""What the report says of one task in numbers: everything is read from its metrics, costs and manifest files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.errors import UserError
from helpers.evaluation.display import words
from helpers.files import read_json
from helpers.run import Run
from helpers.tasks.base import Task, Words

HEADLINE = "exact_match"
UNTUNED = ("base_zero_shot", "base_few_shot")
COLUMNS = ("exact_match", "field_accuracy", "exact_f1", "json_validity")


@dataclass
class Study:
    """One task's results, ready for the templates.

    `variants` and `costs` are as in metrics.json and costs.json. `trained` are the fine-tuned variants that have scores,
    in the task's order, `votes` the votes that have, with their members. `best` is the best on validation, `baseline` the
    strongest without training, `writer` the best trained variant that writes. `encoder` is the model of the task's
    taggers where it is another than `model`. Without `test_part` the scored rows are the validation part that also chose
    the variant. `earlier`: read from what an earlier run left in the report folder.
    """

    name: str
    title: str
    description: str
    profile: str
    source: str
    rows: int | None
    fingerprint: str
    model: str
    trained: tuple[str, ...]
    variants: dict[str, dict[str, Any]]
    best: str | None
    baseline: str | None
    costs: dict[str, dict[str, Any]]
    published: list[dict[str, Any]] = field(default_factory=list)
    headline: str = HEADLINE
    test_part: bool = True
    votes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    licence: str = ""
    citation: str = ""
    aim: str = Words.aim
    question: str = Words.research_question
    command: str = ""
    encoder: str = ""
    writer: str | None = None
    writers: tuple[str, ...] = ()
    earlier: bool = False
    document: str | None = None
    figures: list[str] = field(default_factory=list)

    @property
    def gain(self) -> float:
        """Headline score of the best variant minus that of the strongest baseline (0 where there is none)."""
        return self._lead(self.best, self.baseline) or 0.0

    def _lead(self, one: str | None, other: str | None) -> float | None:
        """Headline score of one variant minus that of another."""
        return (
            self.variants[one][self.headline] - self.variants[other][self.headline] if one and other else None
        )

    @property
    def writer_gain(self) -> float | None:
        """Headline score of :attr:`writer` minus that of the strongest baseline; None where one is missing."""
        return self._lead(self.writer, self.baseline)

    @property
    def untuned(self) -> str | None:
        """The better of the untuned base's ways of being asked, None where the task has no base that writes."""
        known = [name for name in UNTUNED if self.variants.get(name, {}).get(self.headline) is not None]
        return max(known, key=lambda name: self.variants[name][self.headline], default=None)

    @property
    def tuning_gain(self) -> float | None:
        """Headline score of :attr:`writer` minus that of the same model untuned; None where one is missing."""
        return self._lead(self.writer, self.untuned)

    @property
    def marker(self) -> str | None:
        """The trained variant that marks words instead of writing, where the task has both kinds."""
        known = [name for name in self.trained if name not in self.writers] if self.writer else []
        return max(known, key=lambda name: self.variants[name][self.headline], default=None)

    @property
    def marker_lead(self) -> float | None:
        """Headline score of :attr:`marker` minus that of :attr:`writer`; None where one is missing."""
        return self._lead(self.marker, self.writer)

    @property
    def default_names(self) -> list[str]:
        """Baselines, then trained variants, each in its default decoding, then votes."""
        last = [*self.trained, *self.votes]
        return [name for name in self.variants if "@" not in name and name not in last] + last

    @property
    def members_text(self) -> str:
        """The members of the best variant where it is a vote, else nothing."""
        members = list(map(words, self.votes.get(self.best or "", ())))
        return f"{', '.join(members[:-1])} and {members[-1]}" if members else ""

    @property
    def columns(self) -> list[str]:
        """Scores shown, headline first: those that any variant has."""
        wanted = dict.fromkeys((self.headline, *COLUMNS))
        return [name for name in wanted if any(one.get(name) is not None for one in self.variants.values())]

    @property
    def published_columns(self) -> list[str]:
        """Scores that any published result has and we measure."""
        return [name for name in self.columns if any(row.get(name) is not None for row in self.published)]

    @property
    def published_best(self) -> tuple[str, float] | None:
        """Published system with the best headline score on this data, and that score."""
        known = [
            (row["system"], row[self.headline])
            for row in self.published
            if row.get(self.headline) is not None
        ]
        return max(known, key=lambda item: item[1], default=None)

    def _field_scores(self) -> list[tuple[str, float]]:
        """The fields of the best variant with their F1, lowest first."""
        fields = self.variants.get(self.best or "", {}).get("fields") or {}
        scored = [(name, cells["f1"]) for name, cells in fields.items() if cells.get("f1") is not None]
        return sorted(scored, key=lambda item: item[1])

    @property
    def hard_fields(self) -> list[tuple[str, float]]:
        """The fields of the best variant with the lowest F1, at most three, lowest first."""
        return self._field_scores()[:3]

    @property
    def standings(self) -> list[dict[str, Any]]:
        """Every system in its default decoding, best first: name, score, interval, and what kind of system it is."""
        rows = []
        for name in self.default_names:
            score = self.variants[name].get(self.headline)
            if score is None:
                continue
            low, high = (self.variants[name].get("ci95") or {}).get(self.headline) or (score, score)
            kind = "trained" if name in self.trained else "vote" if name in self.votes else "baseline"
            rows.append({"name": name, "score": score, "low": low, "high": high, "kind": kind})
        return sorted(rows, key=lambda row: -row["score"])

    @property
    def weakest(self) -> tuple[str, float] | None:
        """Field of the best variant with the lowest F1."""
        return next(iter(self._field_scores()), None)

    @property
    def strongest(self) -> tuple[str, float] | None:
        """Field of the best variant with the highest F1."""
        return max(self._field_scores(), key=lambda item: item[1], default=None)

    def cost(self, name: str, what: str) -> float | None:
        """One number of costs.json, or None."""
        return self.costs.get(name, {}).get(what)

    def trained_parameters(self, name: str) -> int | None:
        """Parameters that training changed, or None."""
        counts = self.variants.get(name, {}).get("parameters") or {}
        return counts.get("trainable") if isinstance(counts, dict) else counts

    @property
    def source_label(self) -> str:
        """Where the rows are from, in a word or two."""
        return self.source if self.source in ("sample", "public") else f"own rows ({Path(self.source).name})"

    @property
    def data_text(self) -> str:
        """Which data was used, in a sentence."""
        text = {
            "sample": f"the sample that was written for this project (data/{self.name}/)",
            "public": "the public data set, downloaded and checked against its pinned checksum",
        }.get(self.source, f"own rows from the folder {Path(self.source).name!r}")
        rows = f"; {self.rows} rows were scored" if self.rows else ""
        mark = f"; fingerprint {self.fingerprint[:12]}" if self.fingerprint else ""
        terms = ""
        if self.source == "public" or self.published:
            terms = "".join(
                f" {what}: {value.rstrip('.')}."
                for what, value in (("Licence", self.licence), ("Citation", self.citation))
                if value
            )
        return f"{text}{rows}{mark}.{terms}"

    @property
    def models_text(self) -> str:
        """Which base model was fine-tuned, in a sentence."""
        total = next(
            (
                counts["total"]
                for name in self.trained
                if isinstance(counts := self.variants[name].get("parameters"), dict) and counts.get("total")
            ),
            None,
        )
        size = f" of {total / 1e6:,.1f}\N{NO-BREAK SPACE}M parameters" if total else ""
        names = ", ".join(map(words, self.trained)) or "none yet"
        if self.encoder:
            names += f" (the tagger: {self.encoder})"
        return f"{self.model}{size}, fine-tuned in the {self.profile} profile: {names}."

    @property
    def table_caption(self) -> str:
        """Caption of the score table."""
        return (
            "Scores on the scored rows with 95 % bootstrap intervals, and costs. Highlighted: the variant that was "
            "best on the validation part."
            + (" The costs and parameters of a vote are the sums of its members'." if self.votes else "")
        )


@dataclass(frozen=True)
class Sheet:
    """One table of the appendix; without a header the first column names the second."""

    title: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


def _fingerprint(value: Any) -> str:
    """The fingerprint of the scored part, of whatever parts there are."""
    if isinstance(value, dict):
        return str(value.get("test") or value.get("validation") or next(iter(value.values()), ""))
    return str(value or "")


def _baseline(task: Task, variants: dict[str, dict[str, Any]]) -> str | None:
    """The baseline that notebook 05 compares with, or None where there is none."""
    from helpers.evaluation.comparisons import best_baseline

    try:
        return best_baseline(task, variants)
    except UserError:
        return None


def _writer(task: Task, variants: dict[str, dict[str, Any]], best: str | None) -> str | None:
    """The variant that notebook 06 takes for the best of those that write, or None where none does."""
    from helpers.evaluation.systems import best_writer

    found = best_writer(task, variants, best or "")
    return found if found in task.variants.writers else None


def make_study(
    name: str,
    metrics: dict[str, Any],
    costs: dict[str, Any],
    manifest: dict[str, Any] | None = None,
    test_part: bool = True,
) -> Study:
    """The study of one task from the contents of its metrics, costs and manifest files."""
    from helpers.tasks import load_task

    manifest = manifest or {}
    task, profile = load_task(name), metrics.get("profile") or manifest.get("profile") or "cpu"
    variants, data = metrics.get("variants", {}), metrics.get("data", {})
    settings = {**task.settings(profile), **manifest.get("settings", {})}
    return Study(
        name=name,
        title=task.words.title,
        description=task.words.description,
        profile=profile,
        source=str(data.get("source") or manifest.get("data", {}).get("source") or "sample"),
        rows=data.get("rows"),
        fingerprint=_fingerprint(data.get("fingerprint")),
        variants=variants,
        model=str(settings.get("base_model") or settings.get("encoder_model", "")),
        best=metrics.get("best"),
        costs=costs,
        trained=tuple(variant for variant in task.variants if variant in variants),
        votes={vote: members for vote, members in task.variants.votes.items() if vote in variants},
        headline=getattr(task, "headline", HEADLINE),
        baseline=_baseline(task, variants),
        test_part=test_part,
        licence=task.public.licence,
        citation=task.public.citation,
        encoder=str(settings.get("encoder_model", ""))
        if task.variants.taggers and settings.get("base_model")
        else "",
        aim=task.words.aim,
        question=task.words.research_question,
        writer=_writer(task, variants, metrics.get("best")),
        writers=tuple(task.variants.writers),
    )


def read_study(root: Path, name: str) -> tuple[Study, Run | None]:
    """The study of one task under `root/artifacts/`, and the run that made it (None if its data are gone)."""
    folder = root / "artifacts" / name
    manifest = read_json(folder / "manifest.json")
    study = make_study(
        name,
        read_json(folder / "metrics.json"),
        read_json(folder / "costs.json"),
        manifest,
        has_test_part(folder),
    )
    try:
        run = Run(
            task=name,
            profile=study.profile,
            data=study.source,
            out=str(root),
            settings=manifest.get("settings", {}),
            seed=manifest.get("seed", 42),
        )
    except UserError:
        run = None
    if run is not None and run.task.public.published:
        from helpers.data.read import is_public

        study.published = list(run.task.public.published) if is_public(run) else []
    study.command = command(run) if run is not None else ""
    return study, run


def has_test_part(folder: Path) -> bool:
    """Whether the run in `artifacts/<task>/` scored a test part."""
    return (folder / "splits" / "test.jsonl").exists() or not (folder / "splits").exists()


def evidence(root: Path, name: str) -> dict[str, Any]:
    """What the numbers of a task's report are read from, to be kept beside it: its metrics and costs files, and
    whether they are about a test part."""
    folder = root / "artifacts" / name
    metrics = read_json(folder / "metrics.json")
    source = metrics.get("data", {}).get("source")
    if source not in (None, "sample", "public"):
        metrics["data"] = {
            **metrics["data"],
            "source": Path(source).name,
        }  # where a folder lay says nothing elsewhere
    return {"metrics": metrics, "costs": read_json(folder / "costs.json"), "test_part": has_test_part(folder)}


def command(run: Run) -> str:
    """The command line that makes this run again; settings are named where they differ from the profile's."""
    words = ["./run_all.sh", run.task.name, "--profile", run.profile, "--data", str(run.data)]
    defaults = run.task.settings(run.profile)
    for name, value in run.settings.items():
        if value != defaults[name]:
            text = json.dumps(value) if isinstance(value, (list, dict, bool)) else value
            words += ["--set", f"{name}={text}"]
    return shlex.join(words)


def manifest_tables(run: Run) -> list[Sheet]:
    """manifest.json as tables: the run itself, hardware, environment, wall times, settings (variants side by side)."""
    manifest = read_json(run.path("manifest.json"))
    settings = manifest.pop("settings", None) or run.settings
    general: list[tuple[str, ...]] = []
    sheets = [Sheet("run", (), general)]
    for name, value in manifest.items():
        if not isinstance(value, dict):
            general.append((words(name), _text(value)))
        elif value and all(isinstance(item, dict) for item in value.values()):
            sheets.append(_matrix(name, "", value))
        elif len(value) <= 2:
            general.extend((words(f"{name} {key}"), _text(item)) for key, item in value.items())
        else:
            sheets.append(Sheet(name, (), [(words(key), _text(item)) for key, item in _flat(value)]))
    by_variant: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        variant, _, key = name.partition(".")
        if key and variant in run.task.variants:
            by_variant.setdefault(key, {})[variant] = value
    shared = [
        (name, _text(value))
        for name, value in settings.items()
        if name.partition(".")[0] not in run.task.variants
    ]
    sheets.append(Sheet("settings", (), shared))
    if by_variant:
        sheets.append(_matrix("settings of the variants", "setting", by_variant))
    return [sheet for sheet in sheets if sheet.rows]


def _matrix(title: str, corner: str, rows: dict[str, dict[str, Any]]) -> Sheet:
    """Entries of the same form side by side, with a line for the sum of the seconds if there are any."""
    columns = list(dict.fromkeys(key for row in rows.values() for key in row))
    lines = [
        (name, *(_text(row[key]) if key in row else "–" for key in columns)) for name, row in rows.items()
    ]
    if "seconds" in columns:
        total = sum(row.get("seconds") or 0 for row in rows.values())
        lines.append(("all", *(f"{total:.1f}" if key == "seconds" else "" for key in columns)))
    return Sheet(title, (corner, *map(words, columns)), lines)


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", item


def _text(value: Any) -> str:
    """A value of the manifest as text."""
    if value is None or value == [] or value == {}:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
