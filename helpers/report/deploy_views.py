"""Tables, sentences and pictures of notebook 07 and of the demo page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.calibrate import NEVER, FieldCalibration
from helpers.errors import UserError
from helpers.evaluation.display import entity_text
from helpers.files import read_json
from helpers.infer import label_file, last_number
from helpers.run import Run
from helpers.views.findings import name, percent

ALL = "all fields"


# -- what is deployed -------------------------------------------------------------------------------------------------
def writer_of(run: Run) -> str:
    """The variant to export: the best of the run, or the best that writes where that is a vote or a tagger beside writers.

    Raises
    ------
    UserError
        If none has been trained.
    """
    from helpers.evaluation.systems import best_writer, trained

    there = trained(run)
    if not there:
        raise UserError(f"{run.dir} holds no trained variant: run stage 04 first")
    metrics = read_json(run.dir / "metrics.json")
    scores = {each: metrics.get("variants", {}).get(each) or {run.task.headline: 0.0} for each in there}
    return best_writer(run.task, scores, metrics.get("best") or there[0])


def deployed(run: Run, predictor: Any, writer: str) -> str:
    """What this run serves, in a sentence."""
    scores = read_json(run.dir / "metrics.json").get("variants", {}).get(predictor.variant, {})
    value = scores.get(run.task.headline)
    shown = f", {run.task.words.headline} {value:.3f} on the scored part" if value is not None else ""
    other = (
        ""
        if writer == predictor.variant
        else f" Exports for language-model runtimes are shown with {name(writer)}."
    )
    return f"Served: {name(predictor.variant)}, version `{predictor.version}`{shown}.{other}"


# -- confidence -------------------------------------------------------------------------------------------------------
def calibration_sentence(table: pd.DataFrame, precision: float) -> str:
    """What calibration changes over all fields, from :func:`helpers.calibrate.calibration_table`."""
    line = table.loc[ALL]
    fields = table.drop(index=ALL)
    text = (
        f"Held out from the fit, the calibration error goes from {line['ece_stated']:.3f} to "
        f"{line['ece_calibrated']:.3f}. With thresholds for a precision of {percent(precision)}, "
        f"{percent(line['kept'])} of all values pass, and {percent(line['precision'])} of these are right, against "
        f"{percent(line['accuracy'])} of all."
    )
    never = list(fields.index[fields["kept"] == 0])
    return text + (f" Always to be looked at: {', '.join(never)}." if never else "")


def threshold_table(calibrations: Mapping[str, FieldCalibration]) -> pd.DataFrame:
    """What an answer's confidence has to reach in each field."""
    lines = {
        field: {
            "method": one.method,
            "surest possible": one.high,
            "threshold": None if one.threshold == NEVER else one.threshold,
        }
        for field, one in calibrations.items()
    }
    return (
        pd.DataFrame.from_dict(lines, orient="index", columns=["method", "surest possible", "threshold"])
        .rename_axis("field")
        .astype({"threshold": float})
    )


# -- one answer -------------------------------------------------------------------------------------------------------
def answer_table(answer: Mapping[str, Any]) -> pd.DataFrame:
    """An answer as a table: field, value, the pieces of text it comes from, confidence, whether to look again."""
    lines = []
    for field, value in answer["fields"].items():
        shown = ", ".join(value) if isinstance(value, list) else value
        places = ", ".join(f"{span['start']}–{span['end']}" for span in answer["spans"].get(field, []))
        lines.append(
            (
                field,
                shown or None,
                places or None,
                answer["confidence"].get(field),
                "yes" if field in answer["needs_review"] else "",
            )
        )
    return pd.DataFrame(lines, columns=["field", "value", "characters", "confidence", "review"]).astype(
        {"confidence": float}
    )


def marked_text(text: str, spans: Mapping[str, Sequence[Mapping[str, Any]]], fields: Sequence[str]) -> str:
    """HTML of a text with the values of each field of an answer on a colour of its own."""
    places = [(span["start"], span["end"], name) for name in fields for span in spans.get(name, [])]
    return entity_text(text, places, fields)


# -- exports ----------------------------------------------------------------------------------------------------------
def parity_table(found: Mapping[str, Mapping[str, float]], score: str = "exact match") -> pd.DataFrame:
    """One line a form, from :func:`helpers.export.folders.check_parity`, for reading; `score` is the headline in words."""
    table = pd.DataFrame.from_dict(found, orient="index").rename_axis("form").astype({"rows": int})
    table["largest_logit_gap"] = table["largest_logit_gap"].map("{:.1e}".format)
    return table.rename(columns={"score": score, "score_before": f"{score} before"})


def parity_sentence(found: Mapping[str, Mapping[str, float]], score: str = "exact match") -> str:
    """How far the forms are from the trained model, from :func:`helpers.export.folders.check_parity`."""
    merged = found["merged"]
    text = (
        f"Merged, the model answers {percent(merged['same_predictions'])} of {merged['rows']:.0f} rows as before; its "
        f"logits differ by at most {merged['largest_logit_gap']:.2g}."
    )
    if "onnx_int8" in found:
        eight = found["onnx_int8"]
        text += (
            f" With int8 weights {percent(eight['same_predictions'])} of the answers stay, and the {score} goes "
            f"from {eight['score_before']:.3f} to {eight['score']:.3f}."
        )
    return text


def size_table(folders: Mapping[str, Path]) -> pd.DataFrame:
    """Files and megabytes of each form."""
    lines = {
        form: {
            "files": sum(path.is_file() for path in folder.rglob("*")),
            "MB": sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6,
        }
        for form, folder in folders.items()
    }
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("form")


def quoted_section(card: str, title: str) -> str:
    """One section of a Markdown card, without its heading, set off as a quotation."""
    text = card.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0].strip()
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())


# -- service and files ------------------------------------------------------------------------------------------------
def request_table(client: Any, bodies: Mapping[str, Any]) -> pd.DataFrame:
    """What the service says to some bodies: what it is → status and detail."""
    lines = {}
    for label, body in bodies.items():
        response = client.post("/extract", json=body)
        content = response.json()
        detail = (
            content.get("detail")
            or f"{len(content['results'])} result(s) in {content['milliseconds']:.0f} ms"
        )
        lines[label] = {"status": response.status_code, "detail": detail}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("request")


def label_in_two_sittings(run: Run, predictor: Any, texts: Sequence[str]) -> pd.DataFrame:
    """Label a file twice, the second time with more lines: the first ones are not answered again."""
    source, out = run.path("export", "lines.jsonl"), run.path("export", "answers.jsonl")
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts] + ["{broken", '{"text": ""}']
    counts = []
    for place, part in enumerate((lines[: len(lines) // 2], lines)):
        source.write_text("\n".join(part) + "\n", encoding="utf-8")
        counts.append(
            {
                "sitting": place + 1,
                **label_file(predictor, source, out, force=place == 0, progress=False),
                "last line answered": last_number(out),
            }
        )
    return pd.DataFrame(counts).rename(columns={"before": "went on after line"}).set_index("sitting")
