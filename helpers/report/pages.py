"""The report: one self-contained HTML document for each task, and an index over all of them.

Run as: python -m helpers.report calendar [OUT]   (after ./run_all.sh; OUT is the folder that holds artifacts/)
"""

from __future__ import annotations

import json
import re
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from bs4 import BeautifulSoup
from markupsafe import Markup

from helpers.errors import UserError
from helpers.evaluation.display import figure_html, words
from helpers.files import read_json, write_file, write_json
from helpers.paths import ROOT
from helpers.report.document import Document, cite, frame_images, label_caption, render
from helpers.report.study import Study, command, evidence, make_study, manifest_tables, read_study
from helpers.run import Run
from helpers.tasks import TASK_NAMES, load_task
from helpers.views import plots

TEMPLATES = Path(__file__).resolve().parent / "template"
MAX_MEGABYTES = 4.0
SPELLED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def _count(value: Any) -> str:
    """A number of things with thousands separators; a dash where it is not known."""
    return "–" if value is None else f"{value:,.0f}"


def _amount(value: Any) -> str:
    """A quantity with three digits; a dash where it is not known."""
    return "–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {
        "words": words,
        "count": _count,
        "amount": _amount,
        "capitalize_first": lambda text: text[:1].upper() + text[1:],
        "spelled": lambda number: SPELLED[number] if number < len(SPELLED) else str(number),
    }
    environment.globals |= {
        "style": Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),
        "script": Markup((TEMPLATES / "script.js").read_text(encoding="utf-8")),
    }
    return environment


def executed_notebooks(root: Path, name: str) -> list[Path]:
    """The executed notebooks of a task, in order."""
    return sorted((root / "artifacts" / name / "notebooks").glob("[0-9][0-9]_*.ipynb"))


# -- one task ---------------------------------------------------------------------------------------------------------
def task_page(run: Run, study: Study, document: Document) -> str:
    """HTML of the document of one task."""
    references = json.loads((TEMPLATES / "references.json").read_text(encoding="utf-8"))
    body, cited = cite(document.body, references)
    return (
        _templates()
        .get_template("task.html")
        .render(
            study=study,
            body=Markup(body),
            contents=document.contents,
            references=cited,
            seed=run.seed,
            figure_count=len(document.figures),
            table_count=len(document.tables),
            command=command(run),
            manifest=manifest_tables(run),
        )
    )


# -- all tasks --------------------------------------------------------------------------------------------------------
def _score_figure(study: Study) -> str:
    """Headline scores of all variants with their intervals, drawn from metrics.json."""
    names = [name for name in study.default_names if study.headline in study.variants[name].get("ci95", {})]
    rows = [
        (study.variants[name][study.headline], *study.variants[name]["ci95"][study.headline])
        for name in names
    ]
    frame = pd.DataFrame(rows, index=names, columns=["score", "low", "high"])
    published = {
        row["system"]: row[study.headline] for row in study.published if row.get(study.headline) is not None
    }
    over = "above" if study.gain > 0 else "not above"
    other = f", {words(study.baseline)}" if study.baseline else ""
    caption = (
        f"The best variant on the validation part, {words(study.best)}, is {over} the strongest system without "
        f"training{other}."
    )
    return figure_html(
        plots.score_intervals(frame, words(study.headline), published), caption, f"{study.name}-scores"
    )


def _cost_figure(study: Study) -> str | None:
    """Score against training time and size, for the variants and votes whose costs are known."""
    known = [
        name
        for name in (*study.trained, *study.votes)
        if study.cost(name, "train_seconds") is not None and study.cost(name, "size_mb") is not None
    ]
    if not known:
        return None
    frame = pd.DataFrame(
        {
            "seconds": [study.cost(name, "train_seconds") for name in known],
            "megabytes": [study.cost(name, "size_mb") for name in known],
            "score": [study.variants[name][study.headline] for name in known],
        },
        index=known,
    )
    cheapest = frame["seconds"].idxmin()
    caption = (
        f"What the variants cost: training time, size on disk and {words(study.headline)}. Fastest to train: "
        f"{words(cheapest)}, {frame.loc[cheapest, 'seconds']:,.0f} s."
    )
    return figure_html(plots.cost_scatter(frame), caption, f"{study.name}-costs")


def _error_figure(study: Study, document: Document) -> str | None:
    """The document's figure of error classes, with its caption but not its number."""
    name = next((name for name in document.figures if re.search("error", name)), None)
    if name is None:
        return None
    figure = BeautifulSoup(document.figures[name][1], "html.parser").figure
    figure["id"] = f"figure-{study.name}-{name}"
    for label in figure("span", class_="label"):
        label.decompose()
    return str(figure)


def index_page(run: Run, documents: dict[str, Document]) -> str:
    """HTML of the index over every task that has metrics under `artifacts/`; `documents` holds what is rendered.

    A task that was not run here and whose document lies in the report folder (a fresh clone brings all of them) is shown by
    the metrics kept beside that.
    """
    studies = []
    for name in TASK_NAMES:
        here = (run.root / "artifacts" / name / "metrics.json").exists()
        study = read_study(run.root, name)[0] if here else _kept_study(run, name)
        if study is None or not study.best or study.best not in study.variants:
            continue
        if (run.report_dir / f"{name}.html").exists() or name in documents:
            study.document = f"{name}.html"
        figures = [_score_figure(study), _cost_figure(study)]
        if here:
            document = documents.get(name) or render(
                executed_notebooks(run.root, name), load_task(name).traits
            )
            figures.append(_error_figure(study, document))
        study.figures = [Markup(frame_images(figure)) for figure in figures if figure]
        studies.append(study)
    return _templates().get_template("index.html").render(studies=studies, command=command(run))


def _kept_study(run: Run, name: str) -> Study | None:
    """The study of a document that an earlier run left in the report folder, or None."""
    kept = read_json(run.report_dir / f"{name}.json")
    if not kept or not (run.report_dir / f"{name}.html").exists():
        return None
    study = make_study(name, kept["metrics"], kept["costs"], test_part=kept.get("test_part", True))
    study.published = list(load_task(name).public.published) if kept.get("published") else []
    study.earlier = True
    return study


def number_captions(page: str) -> str:
    """Put "Figure N" and "Table N" before the captions that have no number yet."""
    soup = BeautifulSoup(page, "html.parser")
    for kind, css in (("Figure", "study-figure"), ("Table", "study-table")):
        for number, figure in enumerate(soup("figure", class_=css), start=1):
            if not figure.select_one("figcaption span.label"):
                label_caption(soup, figure, f"{kind} {number}.")
    return str(soup)


def build(run: Run) -> Path:
    """Write `report/<task>.html` and `report/index.html` from what is in `artifacts/`; returns the former.

    `report/<task>.json` keeps the metrics and costs beside the document whose numbers were read from them.
    """
    name = run.task.name
    notebooks = executed_notebooks(run.root, name)
    if not notebooks:
        raise UserError(f"no executed notebook in {run.dir / 'notebooks'}: run ./run_all.sh {name} first")
    try:
        document = render(notebooks, run.task.traits)
    except ValueError as error:
        raise UserError(f"{error}; run ./run_all.sh {name} --force") from None
    study, _ = read_study(run.root, name)
    write_json(
        run.report_dir / f"{name}.json", evidence(run.root, name) | {"published": bool(study.published)}
    )
    path = run.report_dir / f"{name}.html"
    write_file(path, task_page(run, study, document))
    write_file(run.report_dir / "index.html", number_captions(index_page(run, {name: document})))
    megabytes = path.stat().st_size / 1e6
    print(f"{path}: {megabytes:.2f} MB, {len(document.figures)} figures, {len(document.tables)} tables")
    if megabytes > MAX_MEGABYTES:
        print(f"the report is over {MAX_MEGABYTES:g} MB: leave out large outputs in the notebooks")
    return path


def main() -> None:
    """Build the page of the task that the command line names."""
    given = sys.argv[1] if len(sys.argv) > 1 else TASK_NAMES[0]
    base = Path(sys.argv[2]).resolve() if len(sys.argv) > 2 else ROOT
    try:
        _, found = read_study(base, given)
        build(found or Run(task=given, out=str(base)))
    except UserError as error:
        sys.exit(f"error: {error}")
