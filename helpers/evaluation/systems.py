"""The systems of a run, asked in one way: models that write, taggers, rules and other baselines, votes.

`load(run, name).predict(examples)` gives prediction records, :meth:`System.release` lets go of the models. What a system
has answered is kept in files; which of the trained ones is taken is decided here (:func:`best_of`, :func:`choose`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from helpers.data.read import read_jsonl, write_jsonl
from helpers.errors import UserError, one_of
from helpers.evaluation import baselines
from helpers.evaluation.measured import home_and_away, read_transfer
from helpers.evaluation.vote import Records, Weights
from helpers.files import read_json
from helpers.machine import free_memory
from helpers.run import Run
from helpers.tasks.base import Example, Task

RULES = "rules"  # the one system of texts of users that is not trained
FOLDERS = {"scored": "predictions", "validation": "validation_predictions"}
KEPT = ("id", "prediction", "raw", "confidence")

# what loads torch is imported where a model is loaded: choosing among files alone stays light


# -- what answers -----------------------------------------------------------------------------------------
@dataclass
class System:
    """One system of a run, ready to answer; not made for several threads at a time.

    `loaded` is what answers: here a function of (run, examples), such as rules; in the classes below (model, tokenizer), a
    trained tagger, or the members of a vote.
    """

    run: Run
    name: str
    loaded: Any

    def predict(self, examples: Sequence[Example], decoding: str = "", progress: bool = False) -> Records:
        """Answers in the order of the examples; a value that is not canonical is not given.

        `decoding` is `free`, `schema` or `source` of systems that write, their default where empty; others have one way. A
        record has `id`, `prediction` (None where nothing valid came out), `raw`, `confidence`, and `withheld` where values
        were left out (:meth:`helpers.tasks.base.Task.given`).
        """
        records = self._answers(examples, decoding, progress)
        return [{**record, **self.run.task.given(record["prediction"])} for record in records]

    def _answers(self, examples: Sequence[Example], decoding: str, progress: bool) -> Records:
        """The records as a system makes them."""
        return self.loaded(self.run, examples)

    def problem(self, text: str) -> str | None:
        """Why a text, as the task reads it, cannot be answered, or None."""
        return None

    def release(self) -> None:
        """Let go of the models: two large ones do not fit a GPU beside each other."""
        self.loaded = None
        free_memory()


@dataclass
class WritingSystem(System):
    """A language model: its default way of decoding, what it is asked, and how its answer is found in what it wrote."""

    decoding: str = ""
    prompt: Callable[..., Any] | None = None  # (tokenizer, task, text) → Prompt, by default as in training
    read: Callable[[str], str] = str

    def __post_init__(self) -> None:
        from helpers.writing.prompts import tuned

        self.decoding = self.decoding or self.run.task.variants.decodings[-1]
        self.prompt = self.prompt or tuned

    def _answers(self, examples: Sequence[Example], decoding: str, progress: bool) -> Records:
        from helpers.writing.prompts import predict_texts

        way = decoding or self.decoding
        records = predict_texts(
            *self.loaded,
            self.run.task,
            [example.text for example in examples],
            way,
            self.run["max_new_tokens"],
            self.run["generation_batch_size"],
            prompt=self.prompt,
            read=self.read,
            progress=f"{self.name}@{way}" if progress else None,
        )
        return [{"id": example.id, **record} for example, record in zip(examples, records, strict=True)]

    def problem(self, text: str) -> str | None:
        model, tokenizer = self.loaded
        limit = int(getattr(model.config, "max_position_embeddings", 0) or 10**9)
        prompt = self.prompt(tokenizer, self.run.task, text)
        needed = len(prompt.text) + max(map(len, prompt.questions)) + int(self.run["max_new_tokens"])
        if needed <= limit:
            return None
        return f"text takes {needed} tokens of {self.name}, which has room for {limit}"


class TaggingSystem(System):
    """A tagger, which reads long texts in windows."""

    def _answers(self, examples: Sequence[Example], decoding: str, progress: bool) -> Records:
        from helpers.tagging.predict import predict_with

        return predict_with(self.run, self.loaded, examples, self.name if progress else None)


@dataclass
class VotingSystem(System):
    """What its members say, each asked in its default way, weighed by what they got right on validation."""

    weights: Weights

    def _answers(self, examples: Sequence[Example], decoding: str, progress: bool) -> Records:
        members = [member.predict(examples, progress=progress) for member in self.loaded]
        return self.weights.vote(members)

    def problem(self, text: str) -> str | None:
        return next(filter(None, (member.problem(text) for member in self.loaded)), None)

    def release(self) -> None:
        for member in self.loaded:
            member.release()
        super().release()


# -- loading ----------------------------------------------------------------------------------------------
def load(run: Run, name: str, trained: Callable[[Run, str], System] | None = None) -> System:
    """A system of a run: a trained variant, a vote with all its members, or a baseline; a UserError if it is not there.

    `trained` loads a variant, :func:`load_trained` by default; what has exports loads them through it.
    """
    task = run.task
    if name in task.variants.votes:
        members = [load(run, member, trained) for member in task.variants.votes[name]]
        return VotingSystem(run, name, members, weights_of(run, name))
    if name in task.variants:
        return (trained or load_trained)(run, name)
    one_of(name, [*task.variants, *task.variants.votes, *baselines.names_of(task)], "system")
    if name == "untuned":
        from helpers.tagging.predict import untuned_tagger

        return TaggingSystem(run, name, untuned_tagger(run))
    if name.startswith("base_"):
        return _load_base(run, name)
    return System(run, name, baselines.function_of(task, name))


def system_of(run: Run, variant: str, loaded: Any) -> System:
    """A trained variant in whatever form: (model, tokenizer) of a writer, or something like a trained tagger."""
    return (TaggingSystem if variant in run.task.variants.taggers else WritingSystem)(run, variant, loaded)


def load_trained(run: Run, variant: str) -> System:
    """A variant that stage 04 has finished, its adapter merged."""
    done = run.dir / "checkpoints" / variant / "finished.json"
    if not done.exists():
        raise UserError(f"variant {variant!r} is not trained: run notebook 04_train_lora first")
    best = done.parent / "best"
    if variant in run.task.variants.taggers:
        from helpers.tagging.model import load_trained_tagger

        return system_of(run, variant, load_trained_tagger(run, best))
    from helpers.models.adapters import load_finetuned
    from helpers.models.base import load_tokenizer

    four_bit = read_json(done)["result"]["note"].startswith("base in 4-bit")
    return system_of(run, variant, (load_finetuned(run, best, four_bit), load_tokenizer(run)))


def _load_base(run: Run, name: str) -> System:
    """The untuned base model, told what to do in its own way, after solved examples where its name says so."""
    from helpers.models.adapters import load_untuned
    from helpers.models.base import load_tokenizer
    from helpers.writing import prompts

    shots = baselines.pick_shots(run) if name == "base_few_shot" else ()
    loaded, asked = (load_untuned(run), load_tokenizer(run)), partial(prompts.untuned, shots=shots)
    return WritingSystem(run, name, loaded, "free", asked, prompts.first_object)


# -- files of predictions ---------------------------------------------------------------------------------
def predictions_path(run: Run, name: str, part: str = "scored") -> Path:
    """File of one system's predictions on a part, `scored` or `validation`."""
    return run.dir / FOLDERS[part] / f"{name}.jsonl"


def kept(records: Records) -> Records:
    """What files hold of records: `id`, `prediction` (None where nothing valid came out), `raw`, `confidence`."""
    return [{key: record.get(key) for key in KEPT} for record in records]


def write_predictions(run: Run, name: str, records: Records, part: str = "scored") -> Path:
    """Write the records of one system on a part, one line a row."""
    return write_jsonl(predictions_path(run, name, part), kept(records))


def read_predictions(run: Run, name: str, part: str = "scored") -> Records:
    """The records of :func:`write_predictions`; a UserError where the system has made none."""
    path = predictions_path(run, name, part)
    if not path.exists():
        raise UserError(
            f"{path} is missing: run the stage that makes it first (03 for baselines, 05 for variants)"
        )
    return read_jsonl(path)


def weights_of(run: Run, vote: str) -> Weights:
    """Weights of the members of a vote by their predictions on the validation part; equal ones where these are gone."""
    names, part = run.task.variants.votes[vote], "validation"
    if not all(predictions_path(run, name, part).exists() for name in names):
        return Weights(run.task, [], [[] for _ in names], run.seed)
    members = [read_predictions(run, name, part) for name in names]
    return Weights(run.task, run.load(part), members, run.seed)


# -- which there are, and which is taken ------------------------------------------------------------------
def trained(run: Run) -> list[str]:
    """Variants of the task that stage 04 has finished, in the task's order."""
    return [name for name in run.task.variants if (run.dir / "checkpoints" / name / "finished.json").exists()]


def votes_of(task: Task, names: Iterable[str]) -> list[str]:
    """Votes of the task whose trained members are all among `names`, in the task's order."""
    there = {*names, RULES}
    return [vote for vote, members in task.variants.votes.items() if there.issuperset(members)]


def candidates(run: Run) -> list[str]:
    """The trained variants and the votes whose members are all there: one of these is chosen on validation; a UserError where
    nothing has been trained."""
    if not (there := trained(run)):
        raise UserError(
            f"no trained variant: run notebook 04_train_lora (./run_all.sh {run.task.name}) first"
        )
    return [*there, *votes_of(run.task, there)]


def finished(run: Run) -> list[str]:
    """Every system of a run that answers texts of users: trained variants, votes, and the rules."""
    there = trained(run)
    return [*there, *votes_of(run.task, there), RULES]


def best_of(task: Task, scores: Mapping[str, Mapping[str, Any]], names: Iterable[str] | None = None) -> str:
    """The best of all or some systems by their scores: headline, then field accuracy, then name."""

    def rank(name: str) -> tuple[float, float, str]:
        return -scores[name][task.headline], -scores[name].get("field_accuracy", 0.0), name

    return min(scores if names is None else names, key=rank)


def best_writer(task: Task, scores: Mapping[str, Mapping[str, Any]], best: str) -> str:
    """The best variant, or if that is a tagger or a vote the best of those that write."""
    names = [name for name in task.variants.writers if name in scores]
    return best if best in names or not names else best_of(task, scores, names)


def choose(run: Run, name: str | None = None, rules: bool = False) -> str:
    """The system to use of a run: the one asked for, else the one that is :func:`deployed`.

    Where it is not there, or nothing is trained and `rules` is false, that is a UserError.
    """
    there = finished(run)
    if name:
        return one_of(name, there, f"variant of {run.dir}")
    if there == [RULES] and not rules:
        raise UserError(
            f"{run.dir} holds no finished variant: train one with ./run_all.sh {run.task.name}, or give "
            "another folder with --run"
        )
    return deployed(run, there)[0]


def deployed(run: Run, there: Sequence[str]) -> tuple[str, str]:
    """Which of some systems is to be used, and why in a sentence.

    Where :mod:`helpers.evaluation.transfer` has measured two trained ones or more at home and away it is the best mean of
    both, else the best on validation, or while nothing is scored the first. Rules alone do not count: they were written with
    rows of every batch in view, so no batch is away from home for them.
    """
    best = read_json(run.dir / "metrics.json").get("best")
    best = best if best in there else there[0]
    measured = home_and_away(read_transfer(run))
    table = measured[measured.index.isin(there) & (measured.index != RULES)]
    if table.empty:
        return best, f"`{best}` is the best on validation; away from home nothing is measured."
    if len(table) == 1:
        only = f"Of the trained systems only `{table.index[0]}` was measured away, so this compares nothing."
        return best, f"`{best}` is the best on validation. {only}"
    level = table.index[table["mean"] == table["mean"].max()]
    name = best if best in level else level[0]
    most = (
        "none has a higher" if len(level) > 1 else f"it has the {'higher' if len(table) == 2 else 'highest'}"
    )
    home, away = table.loc[name, ["home", "away"]]
    said = [
        f"`{name}` is to be used: of the {len(table)} trained systems measured away {most} mean {table.columns.name} "
        f"(home {home:.2f}, away {away:.2f})."
    ]
    if name == best:
        said.append("It is the best on validation too.")
    elif best in table.index:
        home, away = table.loc[best, ["home", "away"]]
        said.append(f"`{best}`, the best on validation, has {home:.2f} and {away:.2f}.")
    else:
        said.append(f"`{best}`, the best on validation, was not measured away.")
    part = RULES in run.task.variants.votes.get(name, ())
    if RULES in measured.index and measured.at[RULES, "mean"] >= table.at[name, "mean"]:
        home, away = measured.loc[RULES, ["home", "away"]]
        seen = f"Rules alone have {home:.2f} and {away:.2f}, but were written with all batches in view"
        said.append(f"{seen}; so was the rules' part of `{name}`." if part else f"{seen}.")
    elif part:
        said.append(f"The rules' part of `{name}` was written with all batches in view.")
    return name, " ".join(said)
