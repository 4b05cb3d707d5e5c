"""A trained system that answers texts of users: values, where they stand, how sure they are, and what to look at."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rapidfuzz.distance import Levenshtein

from helpers.calibrate import CALIBRATIONS, PRECISION, load_calibrations
from helpers.errors import UserError, one_of
from helpers.evaluation import systems
from helpers.export.folders import load_onnx
from helpers.export.model_folder import ENGINES, model_files, open_run, version_of
from helpers.manifest import code_files, code_fingerprint
from helpers.run import Run
from helpers.tasks.base import Example
from helpers.tasks.fields import Place
from helpers.tasks.text import normalise

Answer = dict[str, Any]


class Predictor:
    """One system of a run, loaded once; threads that ask at the same time wait for each other.

    Parameters
    ----------
    run : Run
    variant : str
        A finished variant, a vote or `rules`.
    engine : str
        `torch`, or `onnx` or `onnx_int8` for a variant that :mod:`helpers.export` has written.

    Attributes
    ----------
    name, version : str
        `<task>/<variant>`, and a fingerprint of the files, the calibration and the code that decide its answers.

    Raises
    ------
    UserError
        In one line, if the model folder is missing or damaged.
    """

    def __init__(self, run: Run, variant: str, engine: str = "torch"):
        one_of(engine, ENGINES, "engine")
        self.run, self.task, self.variant, self.engine = run, run.task, variant, engine
        self.lock = threading.Lock()  # models and tokenizers are not made for two threads
        self.system = systems.load(run, variant, self._member)
        self.calibrations = load_calibrations(run, variant)
        self.name, read = f"{run.task.name}/{variant}", CALIBRATIONS.dump_json(self.calibrations)
        own = code_files(run.own_folder) if run.own_folder else []
        files = [*model_files(run, variant, engine), *own]
        self.version = version_of(files, read, code_fingerprint().encode())

    @classmethod
    def open(
        cls, task: str, folder: str | Path | None = None, variant: str | None = None, engine: str = "torch"
    ) -> Predictor:
        """The predictor of a run's folder, see :func:`helpers.export.model_folder.open_run`; standard output stays clean."""
        with contextlib.redirect_stdout(sys.stderr):
            return cls(*open_run(task, folder, variant), engine)

    def _member(self, run: Run, name: str) -> systems.System:
        """A trained variant on the chosen engine; whatever a damaged file makes of the loaders is one line."""
        try:
            if self.engine == ENGINES[0]:
                return systems.load_trained(run, name)
            return systems.system_of(run, name, load_onnx(run, name, quantised=self.engine == "onnx_int8"))
        except UserError:
            raise
        except Exception as error:
            reason = next(iter(str(error).splitlines()), "") or type(error).__name__
            raise UserError(
                f"the folder {run.dir / 'checkpoints' / name} cannot be loaded ({reason[:160]}): train the "
                f"variant again with ./run_all.sh {run.task.name} --from 04"
            ) from None

    def problem(self, text: str) -> str | None:
        """Why a text cannot be answered, or None."""
        with self.lock:
            return self.task.rows.bad_text(text) or self.system.problem(self.task.rows.reading(text))

    def predict(self, texts: Sequence[str]) -> list[Answer]:
        """Answers in the order of the texts, all of which have to be free of :meth:`problem`.

        Returns
        -------
        list of dict
            `fields` (field → value, as the task's schema has it; the other parts know a field of an object by both names,
            as `delivery.city`), `spans` (field → list of start, end and text, in characters
            of the text as given), `confidence` (field → 0 to 1, or None), `needs_review` (fields) and `reasons` (field →
            why, where it is more than a low confidence: a value that is not given, with its span, or a doubt of the text).
        """
        examples = [self.task.rows.example(text, index) for index, text in enumerate(texts)]
        with self.lock:
            records = self.system.predict(examples)
        return [self.answer(*each) for each in zip(texts, examples, records, strict=True)]

    def answer(self, text: str, example: Example, record: dict[str, Any]) -> Answer:
        """The answer that a prediction record makes."""
        prediction = self.task.bind(record["prediction"], example)
        names = self.task.fields
        if prediction is None:
            nothing, rows = dict.fromkeys(names), self.task.rows
            spans: dict[str, Any] = {name: [] for name in names}
            answer = {"fields": rows.nested(nothing), "spans": spans, "confidence": nothing}
            return {**answer, "needs_review": list(names), "reasons": {}}
        confidence, review = self._confidence(record)
        withheld = record.get("withheld", {})
        reasons = self.task.doubts(example.text, prediction)
        reasons |= {name: one["reason"] for name, one in withheld.items()}
        return {
            "fields": self.task.rows.nested(self.task.rows.answer(prediction)),
            "spans": self._spans(text, example.text, self._with_withheld(prediction, withheld)),
            "confidence": confidence,
            "needs_review": [name for name in names if name in review or name in reasons],
            "reasons": reasons,
        }

    def _with_withheld(self, prediction: Any, withheld: dict[str, Any]) -> Any:
        """The prediction with the values that are not given but keep their place."""
        values = {
            name: [*(prediction[name] or ()), *one["values"]]
            if self.task.kinds[name].many
            else one["values"][0]
            for name, one in withheld.items()
        }
        return {**prediction, **values} if withheld else prediction

    def _spans(self, text: str, reading: str, prediction: Any) -> dict[str, list[dict[str, Any]]]:
        places = origins(text, reading)
        found: dict[str, list[dict[str, Any]]] = {}
        for name, spans in self.task.offsets(reading, prediction).items():
            kept = [to_original(span, places) for span in spans]
            found[name] = [{"start": start, "end": end, "text": text[start:end]} for start, end in kept]
        return found

    def _confidence(self, record: dict[str, Any]) -> tuple[dict[str, float | None], list[str]]:
        """Calibrated confidence of each field, and the fields below their thresholds."""
        confidence: dict[str, float | None] = {}
        review = []
        for name, value in {**dict.fromkeys(self.task.fields), **(record.get("confidence") or {})}.items():
            one, threshold = self.calibrations.get(name), PRECISION
            if one:  # systems that state no confidence are taken at the word that they are sure
                value, threshold = round(float(one(1.0 if value is None else value)[0]), 6), one.threshold
            confidence[name] = value
            if value is None or value < round(threshold, 6):
                review.append(name)
        return confidence, review


# -- a text as its user wrote it, and as it is read ----------------------------------------------------------------------
def origins(text: str, reading: str) -> list[Place]:
    """For each character of the text as the model reads it, the (start, end) of its origin in the user's text.

    Of signs that normalising changed side by side the first are taken one by one, as long as each became one; the others
    are one piece without the white space around it.
    """
    found: list[Place] = []
    low = 0  # end of the last sign that is the same in both
    for block in Levenshtein.opcodes(text, reading).as_matching_blocks():
        before, after = text[low : block.a], reading[len(found) : block.b]
        for one, other in zip(before, after):
            if (" " if one.isspace() else normalise(one)) != other:
                break
            found.append((low, low + 1))
            low += 1
        piece = text[low : block.a]
        start = low + len(piece) - len(piece.lstrip() or piece)
        found += [(start, start + len(piece.strip() or piece))] * (block.b - len(found))
        found += [(block.a + at, block.a + at + 1) for at in range(block.size)]
        low = block.a + block.size
    return found


def to_original(span: Place, places: list[Place]) -> Place:
    """A span of the normalised text as a span of the original, from :func:`origins`."""
    start, end = span
    return (places[start][0], places[end - 1][1]) if end > start else (places[start][0],) * 2
