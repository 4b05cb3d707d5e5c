"""Stage 03: systems that learn nothing from the training rows, run and scored."""
from __future__ import annotations

from typing import Any, Sequence

import pandas as pd

from helpers import metrics
from helpers.config import Run
from helpers.environment import timed, write_json
from helpers.predict import predict_base, predict_rules, predict_server, read_predictions, write_predictions
from helpers.tasks import Example, Task


def _predict(run: Run, name: str, rows: Sequence[Example], shots: Sequence[Example]) -> list[dict[str, Any]]:
    return predict_rules(run, rows) if name == "rules" else predict_base(run, rows, shots)


def _keep(run: Run, name: str, predict, validation: Sequence[Example], scored: Sequence[Example]) -> dict[str, Any]:
    """Predict both parts (once where they are one), write the files, score the validation part."""
    with timed(run, name, "predict"):
        records = predict(validation)
    write_predictions(run, name, records, "validation")
    same = [e.text for e in validation] == [e.text for e in scored]
    write_predictions(run, name, records if same else predict(scored))
    result = scores(run, validation, records)
    write_json(run.path("baselines", f"{name}.json"), result)
    return result


def run_baseline(run: Run, name: str, validation: Sequence[Example], scored: Sequence[Example],
                 shots: Sequence[Example] = ()) -> dict[str, Any]:
    """Run `rules`, `base_zero_shot` or `base_few_shot` on both parts and return its validation scores."""
    return _keep(run, name, lambda rows: _predict(run, name, rows, shots), validation, scored)


def run_server(run: Run, base_url: str, model: str, validation: Sequence[Example], scored: Sequence[Example],
               shots: Sequence[Example]) -> dict[str, Any]:
    """Run the prompted model of an OpenAI-compatible server as the baseline `llm`."""
    return _keep(run, "llm", lambda rows: predict_server(run, rows, shots, base_url, model), validation, scored)


def scores(run: Run, gold: Sequence[Example], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Scores of :func:`helpers.metrics.score` with the accuracy of each field and 95 % intervals beside them."""
    result = metrics.score(run.task, gold, records)
    result["field_accuracy_by_field"] = {name: row["accuracy"] for name, row in result["fields"].items()}
    result["ci95"] = metrics.intervals(run.task, gold, records, run.seed)
    return result


def score_rules(run: Run, rows: Sequence[Example]) -> dict[str, Any]:
    """Scores of the rules on any rows, e.g. on those they were written from."""
    return scores(run, rows, predict_rules(run, rows))


def side_by_side(task: Task, example: Example, answer: Any) -> pd.DataFrame:
    """Label and answer of one example, a field a row."""
    label, found = task.values(example.target), task.values(answer)
    frame = pd.DataFrame({"label": {name: ", ".join(label[name]) for name in task.fields},
                          "answer": {name: ", ".join(found[name]) for name in task.fields}})
    frame["right"] = [("yes" if label[name] == found[name] else "no") for name in task.fields]
    frame.index.name = "field"
    return frame


def raw_outputs(run: Run, name: str, rows: Sequence[Example], count: int) -> pd.DataFrame:
    """Texts, raw outputs and whether they parse, for evenly spaced rows of the validation predictions."""
    records = read_predictions(run, name, "validation")
    picked = range(0, len(rows), max(1, len(rows) // count))[:count]
    return pd.DataFrame([{"text": rows[i].text, "output": records[i]["raw"],
                          "valid": "yes" if records[i]["prediction"] else "no"} for i in picked]).set_index("text")


def summary(run: Run, results: dict[str, dict[str, Any]]) -> pd.DataFrame:
    """One row a baseline: exact match with interval, field accuracy, F1, validity."""
    rows = {name: {"exact match": r["exact_match"], "low": r["ci95"]["exact_match"][0],
                   "high": r["ci95"]["exact_match"][1], "field accuracy": r["field_accuracy"], "F1": r["exact_f1"],
                   "valid output": r["json_validity"]} for name, r in results.items()}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "system"
    return frame
