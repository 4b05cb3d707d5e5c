"""Results of ablations: cells summed up with intervals and paired tests, in one file that is kept with the code."""
from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from helpers.ablation_cells import Cell, base_models, deciding_code, decoding_of, is_finished
from helpers.ablation_folds import CHOOSING_SHARE, Pool, data_name
from helpers.config import ROOT, Run
from helpers.environment import environment_fingerprint, hardware, read_json
from helpers.statistics import compare, compare_ratios, ratio, score_ci
from helpers.tasks.records import Ablation

RESULTS = ROOT / "results" / "ablations"
DECIMALS = 6
Records = dict[str, dict[str, Any]]


def results_path(run: Run, folder: Path | None = None) -> Path:
    """File with the results for the run's task and data."""
    return (folder or RESULTS) / f"{run.task.name}-{data_name(run)}.json"


def read_results(run: Run, folder: Path | None = None) -> dict[str, Any] | None:
    """What `python -m helpers.ablate` left for the run's task and data, or None."""
    return read_json(results_path(run, folder)) or None


# -- one configuration ------------------------------------------------------------------------------------------------
def row_means(cells: Sequence[Cell], records: Records, decoding: str) -> tuple[list[int], np.ndarray, np.ndarray]:
    """(ids, exact match, share of fields right) of every held-out row, in the order of ids.

    A row that several seeds were scored on counts once, with its mean: only then are rows, which the intervals
    resample, independent.
    """
    exact: dict[int, list[float]] = {}
    right: dict[int, list[float]] = {}
    for cell in cells:
        record = records[cell.key]
        scores = record["scores"][decoding]
        for row, hit, fields in zip(record["ids"], scores["exact"], scores["right"]):
            exact.setdefault(row, []).append(hit)
            right.setdefault(row, []).append(fields / record["fields"])
    ids = sorted(exact)
    return ids, np.array([np.mean(exact[row]) for row in ids]), np.array([np.mean(right[row]) for row in ids])


def row_ratios(cells: Sequence[Cell], records: Records, decoding: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Numerator and denominator of the headline score of every held-out row, as :func:`row_means` orders them.

    None where exact match is the headline. A row that several seeds were scored on has the means over seeds.
    """
    tops: dict[int, list[float]] = {}
    bottoms: dict[int, list[float]] = {}
    for cell in cells:
        scores = records[cell.key]["scores"][decoding]
        if "top" not in scores:
            return None
        for row, top, bottom in zip(records[cell.key]["ids"], scores["top"], scores["bottom"]):
            tops.setdefault(row, []).append(top)
            bottoms.setdefault(row, []).append(bottom)
    return tuple(np.array([np.mean(part[row]) for row in sorted(part)]) for part in (tops, bottoms))


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean, standard deviation (n − 1; None of a single value), smallest and largest."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return {"mean": float(np.mean(values)), "sd": deviation, "min": float(min(values)), "max": float(max(values))}


def _difference(left: np.ndarray, right: np.ndarray, seed: int) -> dict[str, float]:
    return _kept(compare(left, right, seed=seed))


def _kept(found: dict[str, Any]) -> dict[str, float]:
    return {name: found[name] for name in ("difference", "low", "high", "wins", "losses")} | {
        "p": found["p_permutation"]}


def _part(cell: Cell, record: dict[str, Any], decoding: str, headline: str) -> dict[str, Any]:
    scores, rows = record["scores"][decoding], len(record["ids"])
    other = {headline: float(np.nan_to_num(ratio(sum(scores["top"]), sum(scores["bottom"]))))} if "top" in scores else {}
    return {"split": cell.split.name, "seed": cell.seed, "rows": rows, "exact_match": sum(scores["exact"]) / rows,
            "field_accuracy": sum(scores["right"]) / rows / record["fields"], **other, "seconds": record["seconds"]}


def summarise_configuration(run: Run, cells: Sequence[Cell], records: Records,
                            against: Sequence[Cell] | None = None) -> dict[str, Any]:
    """Scores of one configuration over all its cells, as the results file holds them.

    Parameters
    ----------
    run : Run
    cells : sequence of Cell
        All finished.
    records : dict
        Finished cells by key.
    against : sequence of Cell, optional
        Cells of the configuration it is compared with, on the same rows.

    Returns
    -------
    dict
        Settings that differ, sizes, scores with 95 % intervals over rows, parts (one a split and seed), spread of the
        task's headline over parts, paired differences, seconds of training of all parts.
    """
    one, headline = cells[0].configuration, run.task.headline
    decoding = decoding_of(run, one)
    sums = row_ratios(cells, records, decoding)
    ids, exact, fields = row_means(cells, records, decoding)
    own = [records[cell.key] for cell in cells]
    parts = [_part(cell, record, decoding, headline) for cell, record in zip(cells, own)]
    result = {
        "name": one.name, "variant": one.variant, "decoding": decoding, "trainer": one.trainer or None,
        "settings": {name: value for name, value in one.settings.items() if value != run.settings[name]},
        "rows": len(ids), "train_rows": round(float(np.mean([record["train_rows"] for record in own]))),
        "made_rows": round(float(np.mean([record["made_rows"] for record in own]))),
        "exact_match": float(exact.mean()), "field_accuracy": float(fields.mean()),
        "ci95": {"exact_match": list(score_ci(exact, seed=run.seed)),
                 "field_accuracy": list(score_ci(fields, seed=run.seed))},
        "spread": spread([part[headline] for part in parts]), "parts": parts,
        "seconds": sum(part["seconds"] for part in parts),
    }
    if sums is not None:
        result[headline] = float(np.nan_to_num(ratio(sums[0].sum(), sums[1].sum())))
        result["ci95"][headline] = list(score_ci(*sums, seed=run.seed))
    if against is not None:
        other = row_means(against, records, decoding_of(run, against[0].configuration))
        if other[0] != ids:
            raise ValueError(f"{one.name!r} and {one.against!r} were not scored on the same rows")
        result |= {"against": one.against, "differences": {
            "exact_match": _difference(exact, other[1], run.seed),
            "field_accuracy": _difference(fields, other[2], run.seed)}}
        others = row_ratios(against, records, decoding_of(run, against[0].configuration))
        if sums is not None and others is not None:
            result["differences"][headline] = _kept(compare_ratios(sums, others, seed=run.seed))
    return result


# -- the file ---------------------------------------------------------------------------------------------------------
def _commit() -> str | None:
    """Commit of the code, with a mark where files differ from it; None outside a repository."""
    try:
        answers = [subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=20,
                                  check=True).stdout
                   for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", "helpers", "artifacts/base"))]
    except (OSError, subprocess.SubprocessError):
        return None
    return answers[0].strip() + (" with changes" if answers[1].strip() else "")


def _shown(value: Any) -> Any:
    """A setting without the folders of the machine it was given on."""
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tidy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    return round(value, DECIMALS) + 0.0 if isinstance(value, float) else value


def summarise(run: Run, pool: Pool, ablations: dict[str, Ablation], plan: dict[str, dict[str, list[Cell]]],
              records: Records, folds: int) -> dict[str, Any]:
    """The content of the results file: every configuration all of whose cells are finished, with a manifest.

    Two runs with the same rows, settings, code and machine give the same content but for what is called seconds.
    """
    studies: dict[str, Any] = {}
    used: set[str] = set()
    for name, configurations in plan.items():
        done = {label: cells for label, cells in configurations.items() if all(
            is_finished(records, cell.key, [decoding_of(run, cell.configuration)]) for cell in cells)}
        if not done:
            continue
        used |= {cell.key for cells in done.values() for one in cells for cell in (one, *one.members)}
        studies[name] = {
            "title": ablations[name].title, "scored_on": ablations[name].scored_on, "view": ablations[name].view,
            "configurations": [summarise_configuration(run, cells, records, done.get(cells[0].configuration.against))
                               for cells in done.values()],
            "missing": [label for label in configurations if label not in done]}
    return _tidy({
        "task": run.task.name, "profile": run.profile, "seed": run.seed, "folds": folds, "headline": run.task.headline,
        "data": {"name": pool.name, "sha256": pool.sha256, "train": len(pool.train),
                 "validation": len(pool.validation)},
        "checkpoint": f"the epoch that is best on {CHOOSING_SHARE:.0%} of the training rows, which are not trained on; "
                      "the held-out rows choose nothing",
        "ablations": studies,
        "manifest": {"code": {"commit": _commit(), "sha256": deciding_code(run)}, "base_models": base_models(run),
                     "settings": {name: _shown(value) for name, value in run.settings.items()},
                     "environment": environment_fingerprint(), "hardware": hardware(),
                     "trained": sum(records[key]["variant"] in run.task.variants for key in used),
                     "seconds": sum(records[key]["seconds"] for key in used)}})
