"""Executed notebooks → the parts of a document: sections, figures and tables by name, works cited."""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import latex2mathml.converter
import nbformat
from bs4 import BeautifulSoup, Tag
from nbconvert.exporters import TemplateExporter
from nbconvert.filters import strip_ansi
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from helpers.errors import UserError
from helpers.tasks import Task

TEMPLATES = Path(__file__).resolve().parent / "template"
MACHINERY = {
    "parameters",
    "injected-parameters",
    "bootstrap",
    "papermill-error-cell-tag",
    "papermill-error-cell",
}
NUMBER = re.compile(r"(<\s)?[−+-]?\d[\d,.]*|–|")
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
MAX_OUTPUT_LINES, NARROW_COLUMNS = 60, 4


@dataclass
class Section:
    """One notebook: the name of its file, its title, and the soup of its cells."""

    name: str
    title: str
    soup: BeautifulSoup

    def named(self, kind: str) -> dict[str, Tag]:
        """The figures (`figure`) or tables (`table`) by the names they were saved under."""
        found = self.soup("figure", class_=f"study-{kind}")
        return {tag["id"].removeprefix(f"{kind}-"): tag for tag in found}

    def conclusion(self) -> Tag | None:
        """The list of findings that the notebook ends with."""
        lists = self.soup.select(".markdown-output > ul")
        return lists[-1] if lists else None


# -- cells ------------------------------------------------------------------------------------------------------------
def _mathml(latex: str, display: str) -> str:
    """An equation as MathML, which browsers draw without a script; LaTeX that is not understood is shown as it is."""
    try:
        return latex2mathml.converter.convert(latex.strip(), display=display)
    except Exception:  # the converter has no error class of its own
        return f'<code class="latex">{html.escape(latex)}</code>'


class _Renderer(IPythonRenderer):
    """nbconvert's Markdown with equations as MathML."""

    def inline_math(self, body: str) -> str:
        if body != body.strip():  # "$5 and $6" is money
            return f"${html.escape(body)}$"
        return _mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return f'<span class="equation">{_mathml(body, "block")}</span>'


def markdown_html(text: str) -> str:
    """Markdown with tables and LaTeX equations as HTML."""
    return MarkdownWithMath(_Renderer(escape=False, exclude_anchor_links=True)).render(text)


def coloured_code(source: str) -> str:
    """Python with a class for each kind of token."""
    return highlight(source, PythonLexer(), HtmlFormatter(nowrap=True, classprefix="c-"))


def printed(text: str) -> str:
    """Printed text without terminal colours and lines that were written over, long ones cut."""
    lines = [line.rstrip().split("\r")[-1] for line in strip_ansi(text).strip("\n").split("\n")]
    if len(lines) > MAX_OUTPUT_LINES:
        lines[MAX_OUTPUT_LINES:] = [f"… {len(lines) - MAX_OUTPUT_LINES} more lines in the notebook"]
    return "\n".join(lines)


def _shows(output: Any) -> bool:
    """Whether an output says something to a reader: no standard error, widget or bare name of an object."""
    if output.output_type == "stream":
        return output.name == "stdout" and bool(printed(output.text).strip())
    data = output.get("data", {})
    bare = set(data) == {"text/plain"} and data["text/plain"].startswith(("<Figure", "<Axes", "<IPython"))
    return not bare and "application/vnd.jupyter.widget-view+json" not in data


def traits_of(task: Task) -> frozenset[str]:
    """What sets tasks apart in the notebooks: a cell tagged `only-writes` is for tasks with the trait `writes`."""
    has = {
        "writes": task.writes,
        "tags": not task.writes,
        "asks": task.chat.questions,
        "votes": task.variants.votes,
    }
    return frozenset(name for name, one in has.items() if one)


def kept_cells(notebook: Any, traits: Collection[str]) -> list[Any]:
    """Cells of a notebook that say something to a reader, with the outputs that do.

    Left out is what serves the machinery, and cells tagged `only-…` for tasks with a trait (:func:`traits_of`) that is not
    among those given.
    """
    kept, of_task = [], {f"only-{trait}" for trait in traits}
    for cell in notebook.cells:
        tags = set(cell.metadata.get("tags", ()))
        if tags & MACHINERY or {tag for tag in tags if tag.startswith("only-")} - of_task:
            continue
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _shows(output)]
        kept.append(cell)
    return kept


def cells_html(notebook: Any, traits: Collection[str]) -> str:
    """:func:`kept_cells` of a notebook; neighbouring code cells with no output between them become one."""
    cells: list[Any] = []
    for cell in kept_cells(notebook, traits):
        cell.source = cell.source.strip("\n")
        if cell.cell_type == "code" and cells and cells[-1].cell_type == "code" and not cells[-1].outputs:
            cell.source = f"{cells.pop().source}\n\n{cell.source}"
        if cell.source.strip():
            cells.append(cell)
    notebook.cells = cells
    exporter = TemplateExporter(
        template_file=str(TEMPLATES / "notebook.html.j2"),
        filters={"markdown": markdown_html, "coloured": coloured_code, "printed": printed},
    )
    return exporter.from_notebook_node(notebook)[0]


# -- copies to read ----------------------------------------------------------------------------------------------------
def read_notebook(path: Path) -> Any:
    """An executed notebook; a UserError if it is damaged."""
    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # whatever is made of broken JSON, or of JSON that is no notebook
        reason = next(iter(str(error).splitlines()), "")[:160]
        raise UserError(f"{path} is no notebook that can be read ({reason}): run its stage again") from None


def reading_copy(path: Path, traits: Collection[str]) -> Any:
    """An executed notebook as a site shows it: :func:`kept_cells`, figures as images, no metadata of the execution."""
    notebook = read_notebook(path)
    about = ("kernelspec", "language_info")
    notebook.metadata = {key: notebook.metadata[key] for key in about if key in notebook.metadata}
    notebook.cells = kept_cells(notebook, traits)
    for cell in notebook.cells:
        tags = sorted(cell.metadata.get("tags", ()))
        cell.metadata = {"tags": tags} if tags else {}
        if cell.cell_type == "code":
            cell.outputs = [part for output in cell.outputs for part in _as_images(output)]
    return notebook


def _as_images(output: Any) -> Iterable[Any]:
    """A figure in HTML as an image and its caption, which sites show that clean HTML; all else as it is."""
    soup = BeautifulSoup(output.get("data", {}).get("text/html", ""), "html.parser")
    image = soup.select_one("figure.study-figure img")
    if image is None:
        return [output]
    new = nbformat.v4.new_output
    png = {"image/png": image["src"].partition("base64,")[2], "text/plain": image.get("alt", "")}
    caption = {"text/markdown": f"*{soup.figcaption.get_text(' ', strip=True)}*"}
    return [new("display_data", data=png), new("display_data", data=caption)]


def write_copies(notebooks: Iterable[Path], folder: Path, traits: Collection[str]) -> list[Path]:
    """:func:`reading_copy` of each notebook in a folder, in the place of what an earlier run left there."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.ipynb"):
        old.unlink()
    written = []
    for path in notebooks:
        written.append(folder / path.name)
        nbformat.write(reading_copy(path, traits), written[-1])
    return written


# -- one notebook -----------------------------------------------------------------------------------------------------
def clean(soup: BeautifulSoup) -> None:
    """Take out all that would leave the page or run: scripts, remote images, links to local files."""
    for tag in soup(["script", "style", "link", "iframe", "object", "embed", "base", "meta"]):
        tag.decompose()
    for tag in soup(["img", "video", "audio", "source"]):
        if not tag.get("src", "").startswith("data:"):
            tag.decompose()
    for link in soup("a"):
        if not link.get_text(strip=True):
            link.decompose()
        elif not link.get("href", "").startswith(("http://", "https://", "mailto:")):
            link.unwrap()
    for paragraph in soup("p"):
        if not paragraph.get_text(strip=True) and not paragraph.find(["img", "math"]):
            paragraph.decompose()
    for image in soup.select("figure.study-figure img"):
        del image["style"]


def fit_tables(soup: BeautifulSoup) -> None:
    """Every table in a box that scrolls, its numbers to the right.

    The cells of a wide one know their column names, to be shown row by row on a phone.
    """
    for table in soup("table"):
        heads = table.select("thead tr:last-child > *")
        rows = [row(["th", "td"], recursive=False) for row in table.select("tbody tr")]
        for head, *cells in zip(heads, *rows):
            if cells and all(NUMBER.fullmatch(cell.get_text(strip=True)) for cell in cells):
                for cell in (head, *cells):
                    cell["class"] = "num"
            for cell in cells if len(heads) > NARROW_COLUMNS else ():
                cell["data-label"] = head.get_text(" ", strip=True)
        if len(heads) > NARROW_COLUMNS:
            table["class"] = "wide"
        caption = table.find_parent("figure") and table.find_parent("figure").find("figcaption")
        name = caption.get_text(strip=True)[:80] if caption else "table"
        box = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": name}
        table.wrap(soup.new_tag("div", attrs=box))


def read_section(path: Path, traits: Collection[str]) -> Section:
    """One executed notebook as a section."""
    notebook = read_notebook(path)
    soup = BeautifulSoup(cells_html(notebook, traits), "html.parser")
    clean(soup)
    fit_tables(soup)
    for at, heading in enumerate(soup(HEADINGS)):  # below the title of the folded section
        heading.name, heading["id"] = f"h{min(int(heading.name[1]) + 2, 6)}", f"{path.stem}-{at}"
    title = soup.h3.extract().get_text(" ", strip=True) if soup.h3 else path.stem.replace("_", " ")
    return Section(path.stem, title, soup)


# -- works cited ------------------------------------------------------------------------------------------------------
def cite(soups: Iterable[BeautifulSoup], works: dict[str, dict[str, str]]) -> list[dict[str, str]]:
    """Put `[n]` after the first mention of each work in running text; returns the works cited, in order of appearance.

    `works`: key → {"mention": regular expression, "text": the entry of the list}.
    """
    order: list[str] = []
    mentions = re.compile("|".join(f"(?P<{key}>{work['mention']})" for key, work in works.items()))

    def mark(found: re.Match[str]) -> str:
        key = found.lastgroup
        if key in order:
            return found[0]
        order.append(key)
        return f'{found[0]}\N{NO-BREAK SPACE}<a class="cite" href="#ref-{key}">[{len(order)}]</a>'

    for node in [node for soup in soups for node in soup.find_all(string=mentions)]:
        parents = {parent.name for parent in node.parents}
        if parents & {"p", "li"} and not parents & {"a", "code", "pre", "math", "table", *HEADINGS}:
            marked = mentions.sub(mark, html.escape(node, quote=False))
            node.replace_with(BeautifulSoup(marked, "html.parser"))
    return [{"key": key, "text": works[key]["text"]} for key in order]
