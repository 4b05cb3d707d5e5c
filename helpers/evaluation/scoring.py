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
from helpers.evaluation.vote import Records, vote_costs
from helpers.files import read_json, write_json
from helpers.run import Run
from helpers.tasks import metrics
from helpers.tasks.base import Example, Task
from helpers.tasks.metrics import align
from helpers.training.costs import record_costs, timed

DECIMALS = 6
BATCH = 8  # rows that are read at once for their likelihood
UNTUNED = "base_zero_shot"


def prediction_name(task: Task, variant: str, decoding: str) -> str:
    """`variant` for the task's default decoding, else `variant@decoding`."""
    return variant if decoding == task.variants.decodings[-1] else f"{variant}@{decoding}"


# -- baselines --------------------------------------------------------------------------------------------
def ask_once(run: Run, name: str, rows: Sequence[Example]) -> Records:
    """Answers of a system that is loaded for them alone."""
    system = systems.load(run, name)
    records = system.predict(rows, progress=True)
    system.release()
    return records


def run_baseline(run: Run, name: str, validation: Sequence[Example]) -> dict[str, Any]:
    """Run one of the task's baselines on the validation part; keeps the predictions and returns their scores."""
    with timed(run, name, "predict"):
        records = ask_once(run, name, validation)
    systems.write_predictions(run, name, records, "validation")
    return scores_of(run, validation, records)


def answer_baselines(run: Run) -> None:
    """Write the predictions of every available baseline for the scored part; drop those of other runs."""
    scored, available = run.load("scored"), baselines.available(run)
    one_part = not run.path("splits", "test.jsonl").exists()
    for name in dict.fromkeys((*baselines.names_of(run.task), *baselines.BASELINES)):
        if name not in available:
            for part in systems.FOLDERS:
                systems.predictions_path(run, name, part).unlink(missing_ok=True)
            continue
        records = systems.read_predictions(run, name, "validation") if one_part else []
        if len(records) != len(scored):
            records = ask_once(run, name, scored)
        systems.write_predictions(run, name, records)


# -- decoding ---------------------------------------------------------------------------------------------
def ways_of(task: Task, name: str) -> tuple[str, ...]:
    """Ways of decoding in which a trained variant or a vote has predictions, the default one last."""
    variants = task.variants
    return (
        variants.decodings[-1:] if name in variants.votes or name in variants.taggers else variants.decodings
    )


def decode(run: Run, name: str) -> list[dict[str, Any]]:
    """Predict the scored part with a trained variant in every way it has, or count a vote from its members' files.

    The validation part, which chooses the best of them, is predicted in the default way. Where the data came without a
    test part the two parts are one and are decoded once. costs.json learns the time and memory that it took, and the
    size of the weights.

    Returns
    -------
    list of dict
        A line a file: variant, decoding, part, rows, seconds, truncated (outputs that reached `max_new_tokens`).
    """
    task, vote, lines = run.task, name in run.task.variants.votes, []
    one_part = not run.path("splits", "test.jsonl").exists()
    parts = {part: run.load(part) for part in (("scored",) if one_part else ("scored", "validation"))}
    system = systems.load(run, systems.RULES if vote else name)  # outside the clock: loading is not decoding
    weights = systems.weights_of(run, name) if vote else None
    for way in ways_of(task, name):
        for part, gold in parts.items():
            if part == "validation" and way != ways_of(task, name)[-1]:
                continue
            file, started = prediction_name(task, name, way), time.perf_counter()
            if vote:
                members = [
                    system.predict(gold) if one == systems.RULES else systems.read_predictions(run, one, part)
                    for one in task.variants.votes[name]
                ]
                records = weights.vote(members, one_part or part == "validation")
                spent = time.perf_counter() - started
                costs = vote_costs(read_json(run.path("costs.json")), task.variants.votes[name], spent)
                record_costs(run, name, **costs)
            else:
                with timed(run, file, "predict" if part == "scored" else "predict_validation"):
                    records = system.predict(gold, way, progress=True)
            line = {"variant": name, "decoding": way, "part": part, "rows": len(gold)}
            line["seconds"] = time.perf_counter() - started
            lines.append(line | {"truncated": sum(one.get("truncated", 0) for one in records)})
            for destination in systems.FOLDERS if one_part else (part,):
                systems.write_predictions(run, file, records, destination)
    system.release()
    if not vote:
        from helpers.models.adapters import folder_megabytes  # loads torch

        record_costs(run, name, size_mb=folder_megabytes(run.path("checkpoints") / name / "best"))
    return lines


def decode_all(run: Run) -> pd.DataFrame:
    """Predict with every baseline, every trained variant and every vote.

    Returns
    -------
    DataFrame
        The lines of :func:`decode`; votes decode nothing and have none.
    """
    names = systems.candidates(run)
    answer_baselines(run)
    lines = [line for name in tqdm(names, desc="decoding", unit="system") for line in decode(run, name)]
    frame = pd.DataFrame(lines)
    return frame[~frame["variant"].isin(list(run.task.variants.votes))]


def validation_table(run: Run) -> pd.DataFrame:
    """Scores of trained variants and votes on the validation part, which decides between them."""
    gold = run.load("validation")
    return metrics.score_table(
        run.task,
        {
            name: metrics.score(run.task, gold, systems.read_predictions(run, name, "validation"))
            for name in systems.candidates(run)
        },
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
    task, there, scored = run.task, systems.candidates(run), run.load("scored")
    found = sorted(path.stem for path in run.path("predictions", ".").glob("*.jsonl"))
    decoded = [prediction_name(task, name, way) for name in there for way in ways_of(task, name)]
    return {
        name: bound(task, scored, systems.read_predictions(run, name))
        for name in (*untrained_names(task, found), *decoded)
    }


def scores_of(run: Run, gold: Sequence[Example], records: Records) -> dict[str, Any]:
    """Scores of one system with their 95 % intervals and the number of rows."""
    return {
        **metrics.score(run.task, gold, records),
        "ci95": metrics.intervals(run.task, gold, records, run.seed),
        "rows": len(gold),
    }


def score_all(
    run: Run, gold: Sequence[Example], predictions: dict[str, Records]
) -> dict[str, dict[str, Any]]:
    """Scores, 95 % intervals and parameter counts of every system, as metrics.json holds them.

    What :func:`measure_likelihood` left stands beside them.
    """
    likelihood, found = read_json(run.path("likelihood.json")), {}
    for name in tqdm(predictions, desc="scoring", unit="system"):
        found[name] = {**scores_of(run, gold, predictions[name]), **likelihood.get(name, {})}
        found[name]["parameters"] = parameters_of(run, name.partition("@")[0])
        del found[name]["rows"]  # the same for all: metrics.json names it once
    return found


def parameters_of(run: Run, name: str) -> dict[str, int | None]:
    """Total and trainable parameters of a trained variant or a vote, None for what stage 04 did not train."""
    if name in run.task.variants.votes:
        members = [member for member in run.task.variants.votes[name] if member != systems.RULES]
        total = pd.DataFrame([parameters_of(run, member) for member in members], dtype=float).sum(
            skipna=False
        )
        return {what: None if math.isnan(count) else int(count) for what, count in total.items()}
    done = read_json(run.path("checkpoints") / name / "finished.json")
    counts = done.get("result", {}).get("parameters", {})
    return {what: counts.get(what) for what in ("total", "trainable")}


def untrained_names(task: Task, names: Iterable[str]) -> list[str]:
    """Those of the systems that learnt nothing from training rows, themselves or through a member."""
    return [name for name in names if name.partition("@")[0] not in {*task.variants, *task.variants.votes}]


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
    """:func:`answer_likelihood` of the scored rows to the untuned base and to every trained variant that writes.

    Index system; also written to `likelihood.json`, from where it goes into metrics.json.
    """
    rows, found = run.load("scored"), {}
    for name in (UNTUNED, *(name for name in systems.trained(run) if name in run.task.variants.writers)):
        system = systems.load(run, name)
        found[name] = answer_likelihood(run, *system.loaded, rows)
        system.release()
    write_json(run.path("likelihood.json"), found)
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
