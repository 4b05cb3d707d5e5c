"""Executed notebooks → one HTML document: headings, figures and tables numbered throughout, works cited."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup, NavigableString, Tag

from helpers.report.notebook_html import cells_html

HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
OWN_NUMBER = re.compile(  # what a notebook itself puts before its headings: "01_eda —", "4.", "4.1", "04"
    r"^\s*(?:(?:\d\d?_\w+|\d\d?(?:\.\d+)*)\s*[.):—–·-]+\s+|0\d\s+|\d\d?(?:\.\d+)+\s+)"
)


@dataclass
class Entry:
    """One line of the table of contents."""

    number: str
    title: str
    anchor: str
    children: list[Entry] = field(default_factory=list)


@dataclass
class Document:
    """What the notebooks of one task became.

    Parameters
    ----------
    body : str
        HTML, one `<section>` a notebook.
    contents : list of Entry
    figures : dict
        Name → (number, HTML of the `<figure>`), in order.
    tables : dict
        Likewise.
    """

    body: str = ""
    contents: list[Entry] = field(default_factory=list)
    figures: dict[str, tuple[int, str]] = field(default_factory=dict)
    tables: dict[str, tuple[int, str]] = field(default_factory=dict)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:50] or "part"


def clean(soup: BeautifulSoup) -> None:
    """Take out all that would leave the page or run: scripts, styles, remote images, links to local files."""
    for tag in soup(["script", "style", "link", "iframe", "object", "embed", "base", "meta"]):
        tag.decompose()
    for tag in soup(["img", "video", "audio", "source"]):
        if not tag.get("src", "").startswith("data:"):
            tag.decompose()
        elif not tag.get("alt"):
            tag["alt"] = "Image"
    for tag in soup(True):
        for name in [name for name in tag.attrs if name.startswith("on")]:
            del tag[name]
    for link in soup("a"):
        target = link.get("href", "")
        notebook = re.search(r"(\d\d_\w+)\.ipynb$", target)
        if not link.get_text(strip=True) and not link.find("img"):
            link.decompose()
        elif notebook:
            link["href"] = f"#{notebook[1]}"
        elif not target.startswith(("#", "http://", "https://", "mailto:")):
            link.unwrap()
    for paragraph in soup("p"):
        if not paragraph.get_text(strip=True) and not paragraph.find(["img", "math"]):
            paragraph.decompose()


def _number_headings(soup: BeautifulSoup, number: int, stem: str) -> Entry:
    """The first heading becomes the section's, all others follow below it; returns the contents entry."""
    headings = soup(HEADINGS)
    if not headings:
        title = soup.new_tag("h1")
        title.string = re.sub(r"^\d+_", "", stem).replace("_", " ").capitalize()
        soup.insert(0, title)
        headings = [title]
    entry, second, third = None, 0, 0
    for at, heading in enumerate(headings):
        level = 1 if at == 0 else min(max(2, int(heading.name[1])), 4)
        if heading.contents and isinstance(heading.contents[0], NavigableString):
            heading.contents[0].replace_with(OWN_NUMBER.sub("", str(heading.contents[0])))
        title = heading.get_text(" ", strip=True)
        if level == 2:
            second, third = second + 1, 0
        elif level == 3:
            third += 1
        label = {1: f"{number}", 2: f"{number}.{second}", 3: f"{number}.{second}.{third}"}.get(level, "")
        heading.name = f"h{level + 1}"
        heading["id"] = stem if level == 1 else f"s{label or number}-{_slug(title)}".replace(".", "-")
        if label:
            mark = soup.new_tag("span", attrs={"class": "number"})
            mark.string = label
            heading.insert(0, mark)
            heading.insert(1, " ")
        if level == 1:
            entry = Entry(label, title, stem)
        elif level == 2:
            entry.children.append(Entry(label, title, heading["id"]))
    return entry


def _scrollable(soup: BeautifulSoup) -> None:
    """Every table in a box of its own that scrolls where the page is narrower than the table."""
    for table in soup("table"):
        for name in ("border", "style", "data-quarto-disable-processing", "data-quarto-bootstrap"):
            table.attrs.pop(name, None)
        holder = (
            table.parent
            if table.parent.name == "div"
            and len(table.parent.find_all(True, recursive=False)) == 1
            and "html-output" not in table.parent.get("class", ())
            else table.wrap(soup.new_tag("div"))
        )
        holder.attrs = {"class": "scroll", "tabindex": "0", "role": "region", "aria-label": "table"}


def frame_images(figure: str) -> str:
    """Put the images of a `<figure>` in a box that scrolls on narrow screens, so that their text stays legible."""
    soup = BeautifulSoup(figure, "html.parser")
    _frame_images(soup)
    return str(soup)


def _frame_images(soup: BeautifulSoup) -> None:
    for image in soup.select("figure.study-figure img"):
        del image["style"]
        image.wrap(soup.new_tag("div", attrs={"class": "frame"}))


def label_caption(soup: BeautifulSoup, figure: Tag, label: str) -> None:
    """Put "Figure N." before the caption of a figure, which gets one if it has none."""
    caption = figure.find("figcaption") or soup.new_tag("figcaption")
    if caption.parent is None:
        figure.append(caption)
    mark = soup.new_tag("span", attrs={"class": "label"})
    mark.string = label
    caption.insert(0, mark)
    caption.insert(1, " ")


def _number_figures(soup: BeautifulSoup, document: Document) -> None:
    """Figure and table numbers over the whole document; ids stay unique."""
    for kind, css, known in (
        ("Figure", "study-figure", document.figures),
        ("Table", "study-table", document.tables),
    ):
        for figure in soup("figure", class_=css):
            name = figure.get("id", "").partition("-")[2] or _slug(kind)
            while name in known:
                name += "-again"
            figure["id"] = f"{kind.lower()}-{name}"
            label_caption(soup, figure, f"{kind} {len(known) + 1}.")
            known[name] = (len(known) + 1, str(figure))


def _resolve_references(body: str, document: Document) -> str:
    """Links to `#figure-name` and `#table-name` get the number as text; links to nothing lose the link."""
    soup = BeautifulSoup(body, "html.parser")
    anchors = {tag["id"] for tag in soup(id=True)}
    for link in soup("a", href=re.compile("^#")):
        kind, _, name = link["href"][1:].partition("-")
        known = {"figure": document.figures, "table": document.tables}.get(kind, {})
        if name in known:
            link.string = f"{kind.capitalize()} {known[name][0]}"
        elif link["href"][1:] not in anchors and kind != "ref":
            link.unwrap()
    return str(soup)


def render(paths: Iterable[Path], traits: Collection[str] | None = None) -> Document:
    """Render executed notebooks, in the order given, into one document.

    Cells for tasks without these traits are left out, see :func:`helpers.report.notebook_html.cells_html`.
    """
    document, sections = Document(), []
    for number, path in enumerate(paths, start=1):
        try:
            notebook = nbformat.read(path, as_version=4)
        except (
            json.JSONDecodeError,
            nbformat.reader.NotJSONError,
            nbformat.ValidationError,
            AttributeError,
        ) as error:
            raise ValueError(f"{path} is not a notebook: {error}") from None
        soup = BeautifulSoup(cells_html(notebook, traits), "html.parser")
        clean(soup)
        _scrollable(soup)
        _frame_images(soup)
        document.contents.append(_number_headings(soup, number, path.stem))
        _number_figures(soup, document)
        sections.append(f'<section class="notebook" aria-labelledby="{path.stem}">{soup}</section>')
    document.body = _resolve_references("\n".join(sections), document)
    return document


def cite(body: str, references: dict[str, dict[str, str]]) -> tuple[str, list[dict[str, str]]]:
    """Put `[n]` after the first mention of each work's method and list the works cited, in order of appearance.

    `references` holds key → {"mention": regular expression, "text": the entry of the list}. `[text](#ref-key)` cites by
    hand.
    """
    soup = BeautifulSoup(body, "html.parser")
    order: list[str] = []
    for node in list(soup.find_all(string=True)):
        if not isinstance(node.parent, Tag) or not node.find_parent(["p", "li", "figcaption"]):
            continue
        if node.find_parent(["a", "code", "pre", "math", "figcaption", "table", *HEADINGS]):
            continue
        while True:
            found = [
                (match.end(), key)
                for key, work in references.items()
                if key not in order and (match := re.search(work["mention"], str(node)))
            ]
            if not found:
                break
            end, key = min(found)
            order.append(key)
            link = soup.new_tag("a", attrs={"class": "cite", "href": f"#ref-{key}"})
            link.string = f"[{len(order)}]"
            head, rest = NavigableString(f"{node[:end]}\N{NO-BREAK SPACE}"), NavigableString(node[end:])
            node.replace_with(head)
            head.insert_after(link)
            link.insert_after(rest)
            node = rest
    for link in soup("a", href=re.compile("^#ref-"), class_=False):
        key = link["href"].removeprefix("#ref-")
        if key not in references:
            link.unwrap()
            continue
        if key not in order:
            order.append(key)
        link["class"] = "cite"
        link.string = f"{link.get_text()} [{order.index(key) + 1}]"
    return str(soup), [{"key": key, "text": references[key]["text"]} for key in order]
