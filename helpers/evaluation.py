"""Stage 05 over all variants of a run: decode, choose the best on validation, compare, keep metrics.json."""
from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from helpers.config import Run, UserError
from helpers.environment import data_fingerprint, read_json, record_costs, timed, write_json
from helpers.lookup import load_module
from helpers.metrics import align, exact_match
from helpers.mistakes import first_slice
from helpers.statistics import compare
from helpers.tasks.base import Task
from helpers.tasks.records import Example
from helpers.vote import count_votes, sum_parameters, vote_names

DECIMALS = 6
Records = list[dict[str, Any]]

# helpers.predict loads torch: it is imported where a function decodes or reads, so that tables alone stay light


def prediction_name(task: Task, variant: str, decoding: str) -> str:
    """`variant` for the task's default decoding, else `variant@decoding`."""
    return variant if decoding == task.decodings[-1] else f"{variant}@{decoding}"


def _split_name(task: Task, name: str) -> tuple[str, str]:
    """Inverse of :func:`prediction_name`."""
    variant, _, decoding = name.partition("@")
    return variant, decoding or task.decodings[-1]


# -- decoding ---------------------------------------------------------------------------------------------------------
def decode_all(run: Run) -> pd.DataFrame:
    """Predict the scored part with the baselines and with every trained variant, in every way the task has.

    The validation part, which chooses the best of them, is predicted in each variant's default way. Where the data came without a test part the two parts are one and are decoded once. Writes the prediction files of
    both parts; costs.json learns the time and memory that the scored part took, and the size of the weights. Votes are
    then counted from these files: they decode nothing, and have no line in the table.

    Returns
    -------
    DataFrame
        One line a file: variant, decoding, part, rows, seconds, truncated (outputs that reached `max_new_tokens`).

    Raises
    ------
    UserError
        If no variant has been trained.
    """
    from helpers import baselines
    from helpers.models import folder_megabytes
    from helpers.predict import load_variant, predict_variant, read_predictions, write_predictions

    baselines.predict_scored(run)
    one_part = not run.path("splits", "test.jsonl").exists()
    both = ("scored", "validation")
    destinations = {"scored": both} if one_part else {part: (part,) for part in both}
    parts = {part: run.load(part) for part in destinations}
    jobs = [(variant, decoding, part) for variant in trained_variants(run)
            for decoding in run.task.decodings_of(variant) for part in parts
            if part == "scored" or decoding == run.task.decodings_of(variant)[-1]]
    lines = []
    for variant, decoding, part in tqdm(jobs, desc="decoding", unit="file"):
        name, started = prediction_name(run.task, variant, decoding), time.perf_counter()
        load_variant(run, variant)  # outside the clock: loading is not decoding
        with timed(run, name, "predict" if part == "scored" else "predict_validation"):
            records = predict_variant(run, variant, parts[part], decoding)
        lines.append((variant, decoding, part, len(records), time.perf_counter() - started,
                      sum(record.get("truncated", 0) for record in records)))
        for destination in destinations[part]:
            write_predictions(run, name, records, destination)
        record_costs(run, variant, size_mb=folder_megabytes(run.path("checkpoints") / variant / "best"))
    for vote in vote_names(run.task, trained_variants(run)):
        for part, written in destinations.items():
            records = count_votes(run, vote, [read_predictions(run, name, part=part) for name in run.task.votes[vote]])
            for destination in written:
                write_predictions(run, vote, records, destination)
    return pd.DataFrame(lines, columns=["variant", "decoding", "part", "rows", "seconds", "truncated"])


def parameters_of(run: Run, variant: str) -> dict[str, int | None]:
    """Total and trainable parameters of a trained variant or a vote, None for systems that stage 04 did not train."""
    if variant in run.task.votes:
        return sum_parameters({name: parameters_of(run, name) for name in run.task.votes[variant]})
    counts = read_json(run.path("checkpoints") / variant / "finished.json").get("result", {}).get("parameters", {})
    return {name: counts.get(name) for name in ("total", "trainable")}


def trained_variants(run: Run) -> list[str]:
    """Variants that stage 04 left, in its order.

    Raises
    ------
    UserError
        If there is none.
    """
    from helpers.predict import variants_trained

    variants = list(variants_trained(run))
    if not variants:
        raise UserError(f"no trained variant: run notebook 04_train_lora (./run_all.sh {run.task.name}) first")
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
    return min(table.index, key=lambda name: (-table.loc[name, run.task.headline], -table.loc[name, "field_accuracy"],
                                              name))


def load_predictions(run: Run) -> dict[str, Records]:
    """Predictions on the scored part: baselines first, then every trained variant under every decoding, then votes.

    Files of variants that the task knows but this run did not train are left out: they are from an earlier run.
    """
    from helpers.predict import read_predictions

    found = sorted(path.stem for path in run.path("predictions", ".").glob("*.jsonl"))
    trained = trained_variants(run)
    decoded = [prediction_name(run.task, variant, decoding) for variant in trained
               for decoding in run.task.decodings_of(variant)]
    names = [*untrained_names(run.task, found), *decoded, *vote_names(run.task, trained)]
    scored = run.load("scored")
    return {name: bound(run.task, scored, read_predictions(run, name, part="scored")) for name in names}


def bound(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> Records:
    """Records in the order of the rows, with predictions in the form of a target (:meth:`Task.bind`)."""
    return [{**record, "prediction": task.bind(record["prediction"], example)}
            for example, record in zip(gold, align(gold, records))]


def score_all(run: Run, gold: Sequence[Example], predictions: dict[str, Records]) -> dict[str, dict[str, Any]]:
    """Scores, 95 % intervals and parameter counts of every variant, as metrics.json holds them.

    What :func:`helpers.likelihood.measure` left stands beside them.
    """
    scores, likelihood = {}, read_json(run.path("likelihood.json"))
    metrics = load_module(run.task.metrics)
    for name in tqdm(predictions, desc="scoring", unit="variant"):
        scores[name] = {**metrics.score(run.task, gold, predictions[name]),
                        **likelihood.get(name, {}),
                        "ci95": metrics.intervals(run.task, gold, predictions[name], seed=run.seed),
                        "parameters": parameters_of(run, _split_name(run.task, name)[0])}
    return scores


# -- metrics.json -----------------------------------------------------------------------------------------------------
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
    content = _tidy({"task": run.task.name, "profile": run.profile, "data": data_identity(run), "best": best,
                     "variants": variants})
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
        raise UserError(f"metrics.json is missing: run notebook 05_evaluate (./run_all.sh {run.task.name}) first")
    return content


def best_writer(task: Task, variants: dict[str, dict[str, Any]], best: str) -> str:
    """The best variant, or if that is a tagger or a vote the best of those that write."""
    names = [name for name in task.variants if name in variants and name not in task.taggers]
    return best if best in names or not names else max(names, key=lambda name: variants[name][task.headline])


def share_right(task: Task, gold: Sequence[Example], records: Records) -> float:
    """Score of some of the rows that the records were made for: mean row score, or entity F1 of a task that tags."""
    by_id, metrics = {record["id"]: record for record in records}, load_module(task.metrics)
    kept = [by_id[example.id] for example in gold]
    return float(metrics.row_scores(task, gold, kept).mean() if task.writes else
                 metrics.score(task, gold, kept)[task.headline])


# -- tables -----------------------------------------------------------------------------------------------------------
def default_names(variants: dict[str, dict[str, Any]]) -> list[str]:
    """Baselines, trained variants in their default decoding, and votes."""
    return [name for name in variants if "@" not in name]


def untrained_names(task: Task, names: Iterable[str]) -> list[str]:
    """Those of the systems that learnt nothing from the training rows, neither themselves nor through a member."""
    return [name for name in names if _split_name(task, name)[0] not in {*task.variants, *task.votes}]


def validation_table(run: Run) -> pd.DataFrame:
    """Scores of trained variants and votes on the validation part, which decides between them (default decoding)."""
    from helpers.predict import read_predictions

    gold, metrics = run.load("validation"), load_module(run.task.metrics)
    return metrics.score_table({name: metrics.score(run.task, gold, read_predictions(run, name, part="validation"))
                                for name in candidates(run)}).rename_axis("variant")


def decodings_of_row(task: Task, gold: Sequence[Example], predictions: dict[str, Records],
                     variant: str) -> tuple[Example, pd.DataFrame]:
    """One row under each decoding: the first that the decodings score differently, else the first.

    Returns
    -------
    example : Example
    table : DataFrame
        Index decoding; columns output (the model's text), valid, exact_match.
    """
    files = {way: predictions[prediction_name(task, variant, way)] for way in task.decodings}
    right = {way: exact_match(task, gold, records) for way, records in files.items()}
    at = next((at for at in range(len(gold)) if len({matches[at] for matches in right.values()}) > 1), 0)
    lines = {way: align(gold, records)[at] for way, records in files.items()}
    table = pd.DataFrame([(one["raw"], "yes" if one["prediction"] is not None else "no",
                           "yes" if right[way][at] else "no") for way, one in lines.items()],
                         index=pd.Index(lines, name="decoding"), columns=["output", "valid", "exact_match"])
    return gold[at], table


def comparison_table(variants: dict[str, dict[str, Any]], names: Sequence[str] | None = None,
                     metric: str = "exact_match", metrics: str = Task.metrics) -> pd.DataFrame:
    """Scores by variant, one of them first with its interval as `low` and `high`; `metrics` is the task's module."""
    chosen = {name: variants[name] for name in names or variants}
    table = load_module(metrics).score_table(chosen)
    table.insert(0, metric, table.pop(metric))
    table.insert(1, "low", [one["ci95"][metric][0] for one in chosen.values()])
    table.insert(2, "high", [one["ci95"][metric][1] for one in chosen.values()])
    return table.rename_axis("variant")


def score_frame(variants: dict[str, dict[str, Any]], names: Sequence[str], metric: str = "exact_match") -> pd.DataFrame:
    """One metric with its interval: index variant, columns score, low, high."""
    return pd.DataFrame([(variants[name][metric], *variants[name]["ci95"][metric]) for name in names],
                        index=pd.Index(names, name="variant"), columns=["score", "low", "high"])


def decoding_table(task: Task, variants: dict[str, dict[str, Any]], metric: str = "exact_match") -> pd.DataFrame:
    """One metric under each decoding (columns) of each trained variant that can decode in all these ways (index)."""
    trained = [name for name in task.variants if name in variants and task.decodings_of(name) == task.decodings]
    cells = {decoding: [variants[prediction_name(task, name, decoding)][metric] for name in trained]
             for decoding in task.decodings}
    return pd.DataFrame(cells, index=pd.Index(trained, name="variant"))


def slice_scores(task: Task, gold: Sequence[Example], predictions: dict[str, Records],
                 names: Sequence[str]) -> pd.DataFrame:
    """F1 over values or entities of several systems in the slices that the task names first.

    Returns
    -------
    DataFrame
        Index slice, columns rows and one a system.
    """
    of_row = first_slice(task, gold)
    columns: dict[str, Any] = {"rows": of_row.value_counts()}
    for name in names:
        results = load_module(task.metrics).field_results(task, gold, predictions[name])
        sums = results.groupby(results["id"].map(of_row))[["hits", "gold_values", "predicted_values"]].sum()
        columns[name] = 2 * sums["hits"] / (sums["gold_values"] + sums["predicted_values"])
    return pd.DataFrame(columns).rename_axis(of_row.name)


def field_matrix(variants: dict[str, dict[str, Any]], names: Sequence[str], column: str = "f1") -> pd.DataFrame:
    """One per-field score: index field, a column a variant; fields that no label and no prediction fills are NaN."""
    table = pd.DataFrame({name: {field: cells[column] for field, cells in variants[name]["fields"].items()}
                          for name in names}, dtype=float)
    return table.rename_axis("field")


def parse_error_table(variants: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """Kinds of parse error: index variant, a column a kind, counts; variants without any are left out."""
    found = {name: one["parse_errors"] for name, one in variants.items() if one.get("parse_errors")}
    return pd.DataFrame(found).T.fillna(0).astype(int).rename_axis("variant").sort_index(axis=1)


def best_baseline(task: Task, variants: dict[str, dict[str, Any]]) -> str:
    """The strongest system that was not trained: best headline score, then field accuracy, then first name.

    It is picked on the scored rows, which favours the baseline and so makes the comparison a strict one.

    Raises
    ------
    UserError
        If no baseline has predictions.
    """
    names = untrained_names(task, variants)
    if not names:
        raise UserError(f"no baseline predictions: run notebook 03_baseline (./run_all.sh {task.name}) first")
    return min(names, key=lambda name: (-variants[name][task.headline], -variants[name].get("field_accuracy", 0.0), name))


def compare_variants(run: Run, gold: Sequence[Example], predictions: dict[str, Records],
                     pairs: Sequence[tuple[str, str]]) -> pd.DataFrame:
    """Paired comparison of row scores for pairs of variants: index `left vs right`, columns of `compare`."""
    row_scores = load_module(run.task.metrics).row_scores
    matches = {name: row_scores(run.task, gold, predictions[name]) for name in {n for pair in pairs for n in pair}}
    return pd.DataFrame([compare(matches[left], matches[right], seed=run.seed) for left, right in pairs],
                        index=pd.Index([f"{left} vs {right}" for left, right in pairs], name="comparison"))


def cost_table(run: Run, variants: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """What each trained variant and each vote costs, from costs.json, beside its score.

    Returns
    -------
    DataFrame
        Index variant; columns train_seconds, seconds (decoding the scored part), megabytes (weights on disk),
        train_memory_mb and memory_mb (peak of the process in training and decoding), trainable, total (parameters),
        score (the task's headline). NaN where costs.json says nothing.
    """
    costs, lines = read_json(run.path("costs.json")), {}
    for name in (name for name in (*run.task.variants, *run.task.votes) if name in variants):
        cost, counts = costs.get(name, {}), variants[name]["parameters"]
        lines[name] = {"train_seconds": cost.get("train_seconds"), "seconds": cost.get("predict_seconds"),
                       "megabytes": cost.get("size_mb"), "train_memory_mb": cost.get("train_peak_memory_mb"),
                       "memory_mb": cost.get("predict_peak_memory_mb"), "trainable": counts["trainable"],
                       "total": counts["total"], "score": variants[name][run.task.headline]}
    return pd.DataFrame.from_dict(lines, orient="index").astype(float).rename_axis("variant")


def published_table(run: Run, variants: dict[str, dict[str, Any]], best: str) -> pd.DataFrame | None:
    """Published results beside the best variant, or None where the run is not on that public data."""
    from helpers.data import is_public

    if not run.task.published or not is_public(run):
        return None
    ours = {"system": f"this run: {best}", **variants[best],
            "loss_before": variants.get("base_zero_shot", {}).get("loss")}
    lines = pd.DataFrame([ours, *run.task.published])
    shown = load_module(run.task.metrics).SCORES
    reported = ["system", *(name for name in (*shown, "token_accuracy", "loss_before", "loss") if name in lines
                            and lines[name].iloc[1:].notna().any())]
    return lines[reported].set_index("system")
