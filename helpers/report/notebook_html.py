"""Cells of an executed notebook → HTML: Markdown with MathML, folded code, outputs without noise."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import latex2mathml.converter
import mistune
from nbconvert.filters import strip_ansi
from PIL import Image
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

HIDDEN_TAGS = {
    "parameters",
    "injected-parameters",
    "bootstrap",
    "remove-cell",
    "papermill-error-cell-tag",
    "papermill-error-cell",
}
PROGRESS = re.compile(r"\d+%\|.*\||\bit/s\]|\bs/it\]|\?it/s")
MAX_OUTPUT_LINES = 60


def mathml(latex: str, display: str = "inline") -> str:
    """An equation as MathML, which browsers draw without a script; LaTeX that is not understood is shown as it is."""
    try:
        return latex2mathml.converter.convert(latex.strip(), display=display)
    except Exception:  # the converter has no error class of its own
        return f'<code class="latex">{html.escape(latex)}</code>'


def _inline_math(_: Any, text: str) -> str:
    if text != text.strip():  # "$5 and $6" is money
        return f"${html.escape(text)}$"
    return mathml(text)


@lru_cache(maxsize=1)
def _markdown() -> mistune.Markdown:
    renderer = mistune.HTMLRenderer(escape=False)
    parser = mistune.Markdown(
        renderer,
        plugins=[mistune.plugins.import_plugin(name) for name in ("table", "strikethrough", "math", "url")],
    )
    renderer.register("inline_math", _inline_math)
    renderer.register("block_math", lambda _, text: f'<div class="equation">{mathml(text, "block")}</div>')
    return parser


def markdown_html(text: str) -> str:
    """Markdown with tables and LaTeX equations as HTML; `$$…$$` is an equation of its own wherever it stands."""
    parts = re.split(r"(^```.*?^```)", text, flags=re.MULTILINE | re.DOTALL)  # code keeps its dollars
    parts[::2] = [
        re.sub(r"\$\$\s*(.+?)\s*\$\$", lambda found: f"\n\n$$\n{found[1]}\n$$\n\n", part, flags=re.DOTALL)
        for part in parts[::2]
    ]
    return str(_markdown()("".join(parts)))


def code_html(sources: Sequence[str]) -> str:
    """Neighbouring code cells as one folded block."""
    code = "\n\n".join(source.strip("\n") for source in sources)
    lines = len(code.splitlines())
    coloured = highlight(code, PythonLexer(), HtmlFormatter(nowrap=True, classprefix="c-"))
    return (
        f'<details class="code"><summary>Code <span>{lines} line{"s" if lines != 1 else ""}</span></summary>'
        f'<pre tabindex="0"><code>{coloured}</code></pre></details>'
    )


def _text_html(text: str) -> str:
    """Printed text without progress bars and terminal colours, long ones cut."""
    lines = [line.rstrip("\r").split("\r")[-1] for line in strip_ansi(text).split("\n")]
    lines = [line.rstrip() for line in lines if not PROGRESS.search(line)]
    text = "\n".join(lines).strip("\n")
    if not text.strip():
        return ""
    lines = text.split("\n")
    if len(lines) > MAX_OUTPUT_LINES:
        left = len(lines) - MAX_OUTPUT_LINES
        text = "\n".join([*lines[:MAX_OUTPUT_LINES], f"… {left} more lines in the notebook"])
    return f'<pre class="output" tabindex="0">{html.escape(text)}</pre>'


def _image_html(data: str, alt: str) -> str:
    """A PNG output as a figure without caption, in at most 256 colours."""
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    small = io.BytesIO()
    image.convert("RGBA").quantize(256).save(small, format="png", optimize=True)
    encoded = base64.b64encode(min(small.getvalue(), base64.b64decode(data), key=len)).decode("ascii")
    return (
        f'<figure class="plain"><img src="data:image/png;base64,{encoded}" alt="{html.escape(alt, quote=True)}" '
        f'width="{image.width}" height="{image.height}"></figure>'
    )


def output_html(output: Any, title: str) -> str:
    """One output of a code cell; standard error and widgets give nothing.

    `title` is the heading the cell stands under: the text for an image that brings none.
    """
    if output["output_type"] == "stream":
        return _text_html(output["text"]) if output["name"] == "stdout" else ""
    if output["output_type"] == "error":
        trace = html.escape(strip_ansi("\n".join(output["traceback"])))
        return f'<pre class="output error" tabindex="0">{trace}</pre>'
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return ""
    if "text/html" in data:
        return f'<div class="html-output">{data["text/html"]}</div>'
    if "image/png" in data:
        return _image_html(data["image/png"], f"Image that belongs to: {title}")
    if "text/markdown" in data:
        return f'<div class="markdown-output">{markdown_html(data["text/markdown"])}</div>'
    if "text/latex" in data:
        return f'<div class="equation">{mathml(data["text/latex"].strip("$ "), "block")}</div>'
    text = data.get("text/plain", "")
    return "" if re.match(r"<(Figure|Axes|IPython|pandas\.io)\b", text) else _text_html(text)


def _hidden(cell: Any) -> bool:
    """Whether a code cell only serves the machinery: parameters, import path, error banner of the runner."""
    return bool(HIDDEN_TAGS & set(cell.metadata.get("tags", ()))) or "sys.path" in cell.source


def _for_other_tasks(cell: Any, traits: Collection[str] | None) -> bool:
    """Whether a cell is tagged `only-…` for tasks with a trait that this one does not have."""
    wanted = {tag.removeprefix("only-") for tag in cell.metadata.get("tags", ()) if tag.startswith("only-")}
    return traits is not None and bool(wanted - set(traits))


def cells_html(notebook: Any, traits: Collection[str] | None = None) -> str:
    """All cells of one notebook; code cells with nothing between them share one folded block.

    Cells for tasks with traits (:attr:`helpers.tasks.base.Task.traits`) that are not given are left out.
    """
    pieces, pending, title = [], [], "notebook"

    def flush() -> None:
        if pending:
            pieces.append(code_html(pending))
            pending.clear()

    for cell in notebook.cells:
        if _hidden(cell) or _for_other_tasks(cell, traits):
            continue
        if cell.cell_type == "markdown" and cell.source.strip():
            flush()
            title = next(
                (line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")), title
            )
            pieces.append(markdown_html(cell.source))
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        tags = set(cell.metadata.get("tags", ()))
        if "remove-input" not in tags:
            pending.append(cell.source)
        shown = [] if "remove-output" in tags else [output_html(output, title) for output in cell.outputs]
        if any(shown):
            flush()
            pieces.append("".join(shown))
    flush()
    return "\n".join(pieces)
