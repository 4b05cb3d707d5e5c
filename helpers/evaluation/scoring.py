"""Stages 03 and 05: ask every system, choose the best on validation, score, keep metrics.json."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd
from tqdm import tqdm

from helpers.data.read import data_fingerprint
from helpers.errors import UserError
from helpers.evaluation import baselines, systems
from helpers.evaluation.vote import Records
from helpers.files import read_json, write_json
from helpers.manifest import record_costs, timed
from helpers.run import Run
from helpers.tasks import metrics
from helpers.tasks.base import Example, Task
from helpers.tasks.metrics import align

DECIMALS = 6
BATCH = 8  # rows that are read at once for their likelihood
UNTUNED = "base_zero_shot"
# how the costs of a vote follow from those of its members
COSTS = {
    "train_seconds": "sum",
    "predict_seconds": "sum",
    "size_mb": "sum",
    "run_mb": "sum",
    "train_peak_memory_mb": "max",
    "predict_peak_memory_mb": "max",
}


def prediction_name(task: Task, variant: str, decoding: str) -> str:
    """`variant` for the task's default decoding, else `variant@decoding`."""
    return variant if decoding == task.variants.decodings[-1] else f"{variant}@{decoding}"


# -- answers ----------------------------------------------------------------------------------------------
def ask_once(run: Run, name: str, rows: Sequence[Example]) -> Records:
    """Answers of a system that is loaded for them alone."""
    system = systems.load(run, name)
    records = system.predict(rows, progress=True)
    system.release()
    return records


def run_baseline(run: Run, name: str, validation: Sequence[Example]) -> dict[str, Any]:
    """Run one of the task's baselines on the validation part; keeps the predictions, returns scores and number of rows."""
    with timed(run, name, "predict"):
        records = ask_once(run, name, validation)
    systems.write_predictions(run, name, records, "validation")
    return {**scores_of(run, validation, records), "rows": len(validation)}


def has_test(run: Run) -> bool:
    """Whether the data has a test part; where it has none the validation part is what is scored."""
    return run.path("splits", "test.jsonl").exists()


def answer_baselines(run: Run) -> None:
    """Write the predictions of every available baseline for the scored part; drop those of other runs."""
    scored, available = run.load("scored"), baselines.available(run)
    for name in baselines.names_of(run.task):
        if name in available:
            records = [] if has_test(run) else systems.read_predictions(run, name, "validation")
            if len(records) != len(scored):
                records = ask_once(run, name, scored)
            systems.write_predictions(run, name, records)
        else:
            for part in systems.FOLDERS:
                systems.predictions_path(run, name, part).unlink(missing_ok=True)


def decode(run: Run, name: str) -> list[dict[str, Any]]:
    """Predict the scored part with a trained variant in every way it has.

    The validation part, which chooses the best of them, is predicted in the default way. Where the data came without a
    test part the two parts are one and are decoded once. costs.json learns the time and memory that it took, and the
    size of the weights, alone and with the base that an adapter needs.

    Returns a line a file: variant, decoding, part, rows, seconds, truncated (outputs that reached `max_new_tokens`).
    """
    from helpers.models.adapters import folder_megabytes, run_megabytes  # loads torch

    ways, lines = run.task.variants.decodings_of(name), []
    system = systems.load(run, name)  # outside the clock: loading is not decoding
    for way, part in [*((way, "scored") for way in ways), *[(ways[-1], "validation")] * has_test(run)]:
        rows, file = run.load(part), prediction_name(run.task, name, way)
        started = time.perf_counter()
        with timed(run, file, "predict" if part == "scored" else "predict_validation"):
            records = system.predict(rows, way, progress=True)
        line = {"variant": name, "decoding": way, "part": part, "rows": len(rows)}
        line["seconds"] = time.perf_counter() - started
        lines.append(line | {"truncated": sum(one.get("truncated", 0) for one in records)})
        for destination in (part,) if has_test(run) else systems.FOLDERS:
            systems.write_predictions(run, file, records, destination)
    system.release()
    size = folder_megabytes(run.path("checkpoints") / name / "best")
    record_costs(run, name, size_mb=size, run_mb=run_megabytes(run, name))
    return lines


def count_votes(run: Run, name: str) -> None:
    """Write the predictions of a vote for both parts from its members' files, and what these cost together.

    A cost that is not known of every trained member is None; rules count where theirs are known.
    """
    members, weights = run.task.variants.votes[name], systems.weights_of(run, name)
    for part in systems.FOLDERS:
        answers = [systems.read_predictions(run, member, part) for member in members]
        known = part == "validation" or not has_test(run)
        systems.write_predictions(run, name, weights.vote(answers, known), part)
    costs = read_json(run.path("costs.json"))
    frame = pd.DataFrame({one: costs.get(one, {}) for one in members}, index=list(COSTS), dtype=float).T
    complete = frame.drop(index=systems.RULES, errors="ignore").notna().all()
    total = frame.agg(COSTS).round(4).items()
    record_costs(run, name, **{what: value if complete[what] else None for what, value in total})


def decode_all(run: Run) -> pd.DataFrame:
    """Predict with every baseline, every trained variant and every vote: the lines of :func:`decode`; votes decode nothing."""
    names = systems.candidates(run)
    answer_baselines(run)
    variants = [name for name in names if name in run.task.variants]
    lines = [line for name in tqdm(variants, desc="decoding", unit="system") for line in decode(run, name)]
    for name in names[len(variants) :]:
        count_votes(run, name)
    return pd.DataFrame(lines)


def validation_table(run: Run) -> pd.DataFrame:
    """Scores of trained variants and votes on the validation part, which decides between them."""
    gold, names = run.load("validation"), systems.candidates(run)
    records = {name: systems.read_predictions(run, name, "validation") for name in names}
    return metrics.score_table(
        run.task, {name: metrics.score(run.task, gold, own) for name, own in records.items()}
    )


# -- scores -----------------------------------------------------------------------------------------------
def bound(task: Task, gold: Sequence[Example], records: Iterable[dict[str, Any]]) -> Records:
    """Records in the order of the rows, with predictions in the form of a target (:meth:`Task.bind`)."""
    return [
        {**record, "prediction": task.bind(record["prediction"], example)}
        for example, record in zip(gold, align(gold, records))
    ]


def load_predictions(run: Run) -> dict[str, Records]:
    """Predictions on the scored part: baselines, then trained variants under every decoding, then votes.

    Files of variants that the task knows but this run did not train are left out: an earlier run made them.
    """
    variants, scored = run.task.variants, run.load("scored")
    learnt = {*variants, *variants.votes}
    found = sorted(path.stem for path in run.path("predictions", ".").glob("*.jsonl"))
    names = [name for name in found if name.partition("@")[0] not in learnt]
    for name in systems.candidates(run):
        ways = variants.decodings_of(name)
        names += [prediction_name(run.task, name, way) for way in ways]
    return {name: bound(run.task, scored, systems.read_predictions(run, name)) for name in names}


def scores_of(run: Run, gold: Sequence[Example], records: Records) -> dict[str, Any]:
    """Scores of one system with their 95 % intervals."""
    ci95 = metrics.intervals(run.task, gold, records, run.seed)
    return {**metrics.score(run.task, gold, records), "ci95": ci95}


def score_all(
    run: Run, gold: Sequence[Example], predictions: dict[str, Records]
) -> dict[str, dict[str, Any]]:
    """Scores, 95 % intervals and parameter counts of every system, as metrics.json holds them."""
    return {
        name: {**scores_of(run, gold, own), "parameters": parameters_of(run, name.partition("@")[0])}
        for name, own in tqdm(predictions.items(), desc="scoring", unit="system")
    }


def parameters_of(run: Run, name: str) -> dict[str, int | None]:
    """Total and trainable parameters of a trained variant or of those in a vote, None for what stage 04 did not train."""
    members = [member for member in run.task.variants.votes.get(name, (name,)) if member != systems.RULES]
    done = [read_json(run.path("checkpoints") / member / "finished.json") for member in members or [name]]
    counts = [one.get("result", {}).get("parameters", {}) for one in done]
    return {
        what: sum(one[what] for one in counts) if all(what in one for one in counts) else None
        for what in ("total", "trainable")
    }


# -- likelihood of the right answers ----------------------------------------------------------------------
def answer_likelihood(run: Run, model, tokenizer, rows: Sequence[Example]) -> dict[str, float]:
    """Scores of a model on the answers of some rows, each token predicted from the right ones before it.

    `loss` is in nats a token of the answers, `perplexity` its exponential, `token_accuracy` the share of answer
    tokens that are the likeliest one.
    """
    import torch

    from helpers.training.losses import next_token_targets
    from helpers.training.rows import encode_rows
    from helpers.writing.encode import collate

    encoded = sorted(encode_rows(run, tokenizer, list(rows)), key=len)
    loss = hits = count = 0.0
    model.eval()
    with torch.no_grad():
        for start in range(0, len(encoded), BATCH):
            batch = collate(encoded[start : start + BATCH], tokenizer.pad_token_id)
            batch = {name: part.to(model.device) for name, part in batch.items()}
            targets = next_token_targets(model, batch, False)
            loss += torch.nn.functional.cross_entropy(targets.logits, targets.tokens, reduction="sum").item()
            hits += (targets.logits.argmax(-1) == targets.tokens).sum().item()
            count += len(targets.tokens)
    perplexity = math.exp(min(loss / count, 700.0))
    return {"loss": loss / count, "perplexity": perplexity, "token_accuracy": hits / count}


def measure_likelihood(run: Run) -> pd.DataFrame:
    """:func:`answer_likelihood` of the scored rows to the untuned base and to every trained variant that writes: index system."""
    rows, found = run.load("scored"), {}
    for name in (UNTUNED, *(name for name in systems.trained(run) if name in run.task.variants.writers)):
        system = systems.load(run, name)
        found[name] = answer_likelihood(run, *system.loaded, rows)
        system.release()
    return pd.DataFrame.from_dict(found, orient="index").rename_axis("system")


# -- metrics.json -----------------------------------------------------------------------------------------
def _tidy(value: Any) -> Any:
    """Rounded floats, NaN as null, plain containers, keys in order."""
    if isinstance(value, dict):
        return {str(key): _tidy(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_tidy(item) for item in value]
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0 if math.isfinite(value) else None  # + 0.0: no "-0.0" in the file
    return value


def write_metrics(run: Run, variants: dict[str, dict[str, Any]], best: str) -> dict[str, Any]:
    """Write `metrics.json` from :func:`score_all` and the variant chosen on validation; returns what was written.

    The same predictions always give the same bytes.
    """
    rows = len(run.load("scored"))
    content = _tidy(
        {
            "task": run.task.name,
            "profile": run.profile,
            "data": {"source": str(run.data), "fingerprint": data_fingerprint(run), "rows": rows},
            "best": best,
            "variants": variants,
        }
    )
    write_json(run.path("metrics.json"), content)
    return content


def read_metrics(run: Run) -> dict[str, Any]:
    """What :func:`write_metrics` wrote; a UserError where stage 05 has not run yet."""
    content = read_json(run.path("metrics.json"))
    if "best" not in content:
        raise UserError(
            f"metrics.json is missing: run notebook 05_evaluate (./run_all.sh {run.task.name}) first"
        )
    return content
