"""The report: one self-contained HTML document for each task, and an index over all of them.

Run as: python -m helpers.report calendar [OUT]   (after ./run_all.sh; OUT is the folder that holds artifacts/)
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import jinja2
import typer
import yaml
from bs4 import BeautifulSoup
from markupsafe import Markup

from helpers.errors import UserError
from helpers.files import clear_unfinished, read_json, write_file, write_json
from helpers.paths import ROOT
from helpers.report.notebooks import (
    TEMPLATES,
    Section,
    cite,
    markdown_html,
    read_section,
    traits_of,
    write_copies,
)
from helpers.report.evidence import command, evidence, read_run
from helpers.report.study import Study
from helpers.run import Run
from helpers.tasks import TASK_NAMES, load_task
from helpers.tasks.text import words
from helpers.views.findings import LEVEL, minus, p_value


def _amount(value: float) -> str:
    """A quantity with three digits, large ones whole with thousands separators."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


@cache
def templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters |= {"words": words, "minus": minus, "amount": _amount, "basename": os.path.basename}
    environment.filters["p_value"], environment.globals["LEVEL"] = p_value, LEVEL
    for name in ("style.css", "script.js"):
        environment.globals[name.partition(".")[0]] = Markup((TEMPLATES / name).read_text(encoding="utf-8"))
    return environment


# -- one task ---------------------------------------------------------------------------------------------------------
def make_parts(sections: list[Section], study: Study) -> list[dict[str, Any]]:
    """What stands before the supplement, as `outline.yaml` has it: title and soup of each part, without empty ones.

    What a part takes from its notebooks leaves a link behind. The first has the table of scores where there are any;
    Method says what each variant is, Data how a sample was made.
    """
    outline = yaml.safe_load((TEMPLATES / "outline.yaml").read_text(encoding="utf-8"))
    by_name, parts = {section.name: section for section in sections}, []
    notes = study.task.words.variant_notes
    methods = [f"### `{name}`: {notes[name][0]}\n{notes[name][3]}" for name in study.trained if name in notes]
    prose = {"Method": "\n\n".join(methods), "Data": re.sub("^##", "###", study.card, flags=re.MULTILINE)}
    for entry in outline:
        chosen = [by_name[name] for name in entry["notebooks"] if name in by_name]
        soup = BeautifulSoup("", "html.parser")
        soup.extend([found for section in chosen if (found := section.conclusion())])
        soup.append(BeautifulSoup(markdown_html(prose.get(entry["title"], "")), "html.parser"))
        for kind in ("figure", "table"):
            known = {name: tag for section in chosen for name, tag in section.named(kind).items()}
            for name in (name for name in entry[f"{kind}s"] if name in known):
                link = f'<p class="moved"><a href="#{kind}-{name}">{known[name].figcaption.text}</a></p>'
                soup.append(known[name].replace_with(BeautifulSoup(link, "html.parser")))
        if soup.contents or study.deploy and entry is outline[0]:
            parts.append({"title": entry["title"], "soup": soup})
    return parts


def task_page(run: Run, study: Study, notebooks: list[Path]) -> str:
    """HTML of the document of one task from its executed notebooks."""
    sections = [read_section(path, traits_of(run.task)) for path in notebooks]
    parts = make_parts(sections, study)
    works = json.loads((TEMPLATES / "references.json").read_text(encoding="utf-8"))
    cited = cite([*(part["soup"] for part in parts), *(section.soup for section in sections)], works)
    manifest = {"settings": run.settings, **read_json(run.path("manifest.json"))}
    kept = {"study": study, "parts": parts, "sections": sections, "references": cited}
    more = {"seed": run.seed, "command": command(run), "manifest": yaml.safe_dump(manifest, sort_keys=False)}
    return templates().get_template("task.html").render(**kept, **more)


# -- all tasks --------------------------------------------------------------------------------------------------------
def index_page(run: Run) -> str:
    """HTML of the index over every task whose document lies in the report folder, this run's or an earlier one's."""
    studies = []
    tasks = {name: name for name in TASK_NAMES} | {run.task.name: run.task}
    for name, task in tasks.items():
        kept = read_json(run.report_dir / f"{name}.json")
        if kept and (run.report_dir / f"{name}.html").exists():
            studies.append(Study(load_task(task), **kept))
    studies = [study for study in studies if study.best in study.variants]
    return templates().get_template("index.html").render(studies=studies, command=command(run))


def build(run: Run) -> Path:
    """Write `report/<task>.html` and `report/index.html` from what is in `artifacts/`; returns the former.

    `report/<task>.json` keeps what the document's numbers were read from, `report/notebooks/<task>/` the notebooks to read.
    """
    name = run.task.name
    notebooks = sorted((run.dir / "notebooks").glob("[0-9][0-9]_*.ipynb"))
    if not notebooks:
        again = f"run ./run_all.sh {run.own_folder or name} first"
        raise UserError(f"no executed notebook in {run.dir / 'notebooks'}: {again}")
    kept, path = evidence(run), run.report_dir / f"{name}.html"
    page = task_page(run, Study(run.task, **kept), notebooks)
    with run.dir.with_name(".report-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # else an index may miss what a run of another task has just written
        clear_unfinished(run.report_dir, ".*.tmp")
        write_json(run.report_dir / f"{name}.json", kept)
        write_file(path, page)
        write_file(run.report_dir / "index.html", index_page(run))
    write_copies(notebooks, run.report_dir / "notebooks" / name, traits_of(run.task))
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {len(notebooks)} notebooks")
    return path


def main(
    task: Annotated[
        str, typer.Argument(metavar="|".join([*TASK_NAMES, "FOLDER"]), help="As in ./run_all.sh.")
    ] = TASK_NAMES[0],
    out: Annotated[Path, typer.Argument(show_default="here", help="Folder that holds artifacts/.")] = ROOT,
) -> None:
    """Build the report of a task from what ./run_all.sh left."""
    build(read_run(out.resolve(), task))
