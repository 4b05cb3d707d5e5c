"""Stage 05 over all variants of a run: decode, choose the best on validation, score, keep metrics.json."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from helpers.data.read import data_fingerprint
from helpers.errors import UserError
from helpers.evaluation.vote import count_votes, sum_parameters, vote_names
from helpers.files import read_json, write_json
from helpers.run import Run
from helpers.tasks.base import Task
from helpers.tasks.metrics import align
from helpers.tasks.records import Example
from helpers.tasks.scores import metrics_of
from helpers.training.costs import record_costs, timed

DECIMALS = 6
Records = list[dict[str, Any]]

# helpers.evaluation.predict loads torch: it is imported where a function decodes or reads; tables alone stay light


def prediction_name(task: Task, variant: str, decoding: str) -> str:
    """`variant` for the task's default decoding, else `variant@decoding`."""
    return variant if decoding == task.variants.decodings[-1] else f"{variant}@{decoding}"


def _split_name(task: Task, name: str) -> tuple[str, str]:
    """Inverse of :func:`prediction_name`."""
    variant, _, decoding = name.partition("@")
    return variant, decoding or task.variants.decodings[-1]


# -- decoding
def decode_all(run: Run) -> pd.DataFrame:
    """Predict the scored part with the baselines and with every trained variant, in every way the task has.

    The validation part, which chooses the best of them, is predicted in each variant's default way. Where the
    data came without a test part the two parts are one and are decoded once. Writes the prediction files of
    both parts; costs.json learns the time and memory that the scored part took, and the size of the weights.
    Votes are then counted from these files: they decode nothing, and have no line in the table.

    Returns
    -------
    DataFrame
        One line a file: variant, decoding, part, rows, seconds, truncated (outputs that reached
        `max_new_tokens`).

    Raises
    ------
    UserError
        If no variant has been trained.
    """
    from helpers.evaluation import baselines
    from helpers.evaluation.predict import load_variant, predict_variant, read_predictions, write_predictions
    from helpers.models.adapters import folder_megabytes

    baselines.predict_scored(run)
    one_part = not run.path("splits", "test.jsonl").exists()
    both = ("scored", "validation")
    destinations = {"scored": both} if one_part else {part: (part,) for part in both}
    parts = {part: run.load(part) for part in destinations}
    jobs = [
        (variant, decoding, part)
        for variant in trained_variants(run)
        for decoding in run.task.variants.decodings_of(variant)
        for part in parts
        if part == "scored" or decoding == run.task.variants.decodings_of(variant)[-1]
    ]
    lines = []
    for variant, decoding, part in tqdm(jobs, desc="decoding", unit="file"):
        name, started = prediction_name(run.task, variant, decoding), time.perf_counter()
        load_variant(run, variant)  # outside the clock: loading is not decoding
        with timed(run, name, "predict" if part == "scored" else "predict_validation"):
            records = predict_variant(run, variant, parts[part], decoding)
        lines.append(
            (
                variant,
                decoding,
                part,
                len(records),
                time.perf_counter() - started,
                sum(record.get("truncated", 0) for record in records),
            )
        )
        for destination in destinations[part]:
            write_predictions(run, name, records, destination)
        record_costs(run, variant, size_mb=folder_megabytes(run.path("checkpoints") / variant / "best"))
    for vote in vote_names(run.task, trained_variants(run)):
        for part, written in destinations.items():
            records = count_votes(
                run, vote, [read_predictions(run, name, part=part) for name in run.task.variants.votes[vote]]
            )
            for destination in written:
                write_predictions(run, vote, records, destination)
    return pd.DataFrame(lines, columns=["variant", "decoding", "part", "rows", "seconds", "truncated"])


def parameters_of(run: Run, variant: str) -> dict[str, int | None]:
    """Total and trainable parameters of a trained variant or a vote, None for what stage 04 did not train."""
    if variant in run.task.variants.votes:
        return sum_parameters({name: parameters_of(run, name) for name in run.task.variants.votes[variant]})
    counts = (
        read_json(run.path("checkpoints") / variant / "finished.json").get("result", {}).get("parameters", {})
    )
    return {name: counts.get(name) for name in ("total", "trainable")}


def trained_variants(run: Run) -> list[str]:
    """Variants that stage 04 left, in its order.

    Raises
    ------
    UserError
        If there is none.
    """
    from helpers.evaluation.predict import variants_trained

    variants = list(variants_trained(run))
    if not variants:
        raise UserError(
            f"no trained variant: run notebook 04_train_lora (./run_all.sh {run.task.name}) first"
        )
    return variants


def candidates(run: Run) -> list[str]:
    """The trained variants and the votes that they can take: one of these is chosen on validation."""
    trained = trained_variants(run)
    return [*trained, *vote_names(run.task, trained)]


def choose_best(run: Run) -> str:
    """The candidate with the best headline score on the validation part (default decoding).

    Ties go to the higher field accuracy, then to the first name; the scored part is never looked at.
    """
    table = validation_table(run)
    return min(
        table.index,
        key=lambda name: (-table.loc[name, run.task.headline], -table.loc[name, "field_accuracy"], name),
    )


def load_predictions(run: Run) -> dict[str, Records]:
    """Predictions on the scored part: baselines, then trained variants under every decoding, then votes.

    Files of variants that the task knows but this run did not train are left out: an earlier run made them.
    """
    from helpers.evaluation.predict import read_predictions

    found = sorted(path.stem for path in run.path("predictions", ".").glob("*.jsonl"))
    trained = trained_variants(run)
    decoded = [
        prediction_name(run.task, variant, decoding)
        for variant in trained
        for decoding in run.task.variants.decodings_of(variant)
    ]
    names = [*untrained_names(run.task, found), *decoded, *vote_names(run.task, trained)]
    scored = run.load("scored")
    return {name: bound(run.task, scored, read_predictions(run, name, part="scored")) for name in names}


def bound(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> Records:
    """Records in the order of the rows, with predictions in the form of a target (:meth:`helpers.tasks.base.Task.bind`)."""
    return [
        {**record, "prediction": task.bind(record["prediction"], example)}
        for example, record in zip(gold, align(gold, records))
    ]


def score_all(
    run: Run, gold: Sequence[Example], predictions: dict[str, Records]
) -> dict[str, dict[str, Any]]:
    """Scores, 95 % intervals and parameter counts of every variant, as metrics.json holds them.

    What :func:`helpers.evaluation.likelihood.measure` left stands beside them.
    """
    scores, likelihood = {}, read_json(run.path("likelihood.json"))
    metrics = metrics_of(run.task)
    for name in tqdm(predictions, desc="scoring", unit="variant"):
        scores[name] = {
            **metrics.score(run.task, gold, predictions[name]),
            **likelihood.get(name, {}),
            "ci95": metrics.intervals(run.task, gold, predictions[name], seed=run.seed),
            "parameters": parameters_of(run, _split_name(run.task, name)[0]),
        }
    return scores


# -- metrics.json
def _tidy(value: Any) -> Any:
    """Rounded floats, NaN as null, plain containers, keys in order."""
    if isinstance(value, dict):
        return {str(key): _tidy(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0 if math.isfinite(value) else None  # + 0.0: no "-0.0" in the file
    return value


def data_identity(run: Run) -> dict[str, Any]:
    """Which data the scores are on: source, fingerprint of its files, number of scored rows."""
    return {"source": str(run.data), "fingerprint": data_fingerprint(run), "rows": len(run.load("scored"))}


def write_metrics(run: Run, variants: dict[str, dict[str, Any]], best: str) -> dict[str, Any]:
    """Write `metrics.json`: the same predictions always give the same bytes.

    Parameters
    ----------
    run : Run
    variants : dict
        Name to its scores, from :func:`score_all`.
    best : str
        The variant chosen on validation.

    Returns
    -------
    dict
        What was written.

    Raises
    ------
    ValueError
        If the best variant has no scores.
    """
    if best not in variants:
        raise ValueError(f"no scores for the best variant {best!r}")
    content = _tidy(
        {
            "task": run.task.name,
            "profile": run.profile,
            "data": data_identity(run),
            "best": best,
            "variants": variants,
        }
    )
    write_json(run.path("metrics.json"), content)
    return content


def read_metrics(run: Run) -> dict[str, Any]:
    """What :func:`write_metrics` wrote.

    Raises
    ------
    UserError
        If stage 05 has not run yet.
    """
    content = read_json(run.path("metrics.json"))
    if "best" not in content:
        raise UserError(
            f"metrics.json is missing: run notebook 05_evaluate (./run_all.sh {run.task.name}) first"
        )
    return content


def best_writer(task: Task, variants: dict[str, dict[str, Any]], best: str) -> str:
    """The best variant, or if that is a tagger or a vote the best of those that write."""
    names = [name for name in task.variants if name in variants and name not in task.variants.taggers]
    return best if best in names or not names else max(names, key=lambda name: variants[name][task.headline])


def share_right(task: Task, gold: Sequence[Example], records: Records) -> float:
    """Score of some of the rows that the records were made for: mean row score, or entity F1 of tags."""
    by_id, metrics = {record["id"]: record for record in records}, metrics_of(task)
    kept = [by_id[example.id] for example in gold]
    return float(
        metrics.row_scores(task, gold, kept).mean()
        if task.writes
        else metrics.score(task, gold, kept)[task.headline]
    )


# -- tables
def default_names(variants: dict[str, dict[str, Any]]) -> list[str]:
    """Baselines, trained variants in their default decoding, and votes."""
    return [name for name in variants if "@" not in name]


def untrained_names(task: Task, names: Iterable[str]) -> list[str]:
    """Those of the systems that learnt nothing from training rows, themselves or through a member."""
    return [
        name for name in names if _split_name(task, name)[0] not in {*task.variants, *task.variants.votes}
    ]


def validation_table(run: Run) -> pd.DataFrame:
    """Scores of trained variants and votes on the validation part, which decides between them."""
    from helpers.evaluation.predict import read_predictions

    gold, metrics = run.load("validation"), metrics_of(run.task)
    return metrics.score_table(
        {
            name: metrics.score(run.task, gold, read_predictions(run, name, part="validation"))
            for name in candidates(run)
        }
    ).rename_axis("variant")
