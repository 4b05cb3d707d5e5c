"""A page to try the models on: choose a task and a model, type a text, see what is found and where.

Run as: streamlit run demo/app.py          (STUDY_RUN=FOLDER shows the run in that folder)
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import streamlit as st

if str(Path(__file__).resolve().parent.parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from helpers.errors import UserError
from helpers.evaluation.systems import finished
from helpers.export.model_folder import open_run
from helpers.serve.predictor import Predictor
from helpers.tasks import TASK_NAMES
from helpers.views.rows import answer_table, marked_text

NONE = "(none)"


@st.cache_resource(max_entries=4, show_spinner="Loading the model …")
def load(task: str, folder: str, variant: str) -> Predictor:
    """A predictor, kept for all visitors."""
    return Predictor.open(task, folder or None, variant)


def runs() -> dict:
    """Tasks that have a trained run here, with the best system of each."""
    found = {}
    for task in TASK_NAMES:
        try:
            found[task] = open_run(task, os.environ.get("STUDY_RUN"))
        except UserError:
            continue
    return found


def show(predictor: Predictor, text: str, key: str) -> None:
    """One system's answer: the text with its values marked, a table, and files to take away."""
    answer = predictor.predict([text])[0]
    task = predictor.task
    st.html(marked_text(text, answer["spans"], task.fields))
    st.dataframe(answer_table(answer), hide_index=True, key=f"table {key}")
    if answer["needs_review"]:
        st.warning(f"Look at: {', '.join(answer['needs_review'])}")
    content = {"text": text, **answer, "model": {"name": predictor.name, "version": predictor.version}}
    st.download_button(
        "Download JSON",
        json.dumps(content, ensure_ascii=False, indent=1),
        f"{task.name}.json",
        "application/json",
        key=f"json {key}",
    )
    for name, (kind, made, checks) in task.hooks.downloads(answer["fields"], text).items():
        for check in checks:
            st.warning(f"{name}: {check}")
        if made:
            st.download_button(f"Download {name}", made, name, kind, key=f"{name} {key}")


def page() -> None:
    """The page."""
    st.set_page_config("Extraction", layout="wide")
    st.title("Text to fields")
    there = runs()
    if not there:
        st.error("No trained model here: run ./run_all.sh first, or give a run's folder in STUDY_RUN.")
        return
    with st.sidebar:
        task = st.selectbox("Task", list(there))
        run, best = there[task]
        names = finished(run)
        variant = st.selectbox("Model", names, names.index(best), key=f"model {task}")
        other = st.selectbox(
            "Compare with", [NONE, *(name for name in names if name != variant)], key=f"other {task}"
        )
    st.write(run.task.words.description)
    example = st.selectbox("Example", run.task.words.examples, key=f"example {task}")
    text = st.text_area("Text", example, max_chars=run.task.rows.longest_text, key=f"text {task} {example}")
    if not st.button("Extract", type="primary"):
        return
    chosen = [variant] if other == NONE else [variant, other]
    for column, name in zip(st.columns(len(chosen)), chosen):
        with column:
            st.subheader(name.replace("_", " "))
            try:
                predictor = load(task, str(run.dir), name)
            except UserError as error:
                st.error(str(error))
                continue
            problem = predictor.problem(text)
            if problem:
                st.error(problem)
            else:
                show(predictor, text, name)


page()
