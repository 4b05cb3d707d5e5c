"""The report, built from small notebooks with prepared outputs, read as HTML and opened in headless Chromium."""

from __future__ import annotations

import base64
import io
import json
import os
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from helpers.errors import UserError
from helpers.evaluation.display import figure_html
from helpers.paths import ROOT
from helpers.report import pdf
from helpers.report.document import OWN_NUMBER, cite, render
from helpers.report.notebook_html import cells_html, code_html, markdown_html, output_html
from helpers.report.pages import MAX_MEGABYTES, build, index_page
from helpers.report.study import Study, command, make_study, read_study
from helpers.run import Run
from helpers.tasks import load_task
from helpers.views import plots
from helpers.views.tables import table_html

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
STDERR = "Epoch:  40%|####      | 4/10 [00:01<00:02, 3.1it/s]"


def numbers(study: Study) -> dict[str, float]:
    """Every number that the headline of the report may show: dotted key → value, as in metrics.json.

    The keys are those of the `data-key` attributes in the HTML.
    """
    found: dict[str, float] = {f"{study.name}.gain": study.gain}
    for name in ("writer_gain", "tuning_gain", "marker_lead"):
        if getattr(study, name) is not None:
            found[f"{study.name}.{name}"] = getattr(study, name)
    for variant, scores in study.variants.items():
        key = f"{study.name}.variants.{variant}"
        found |= {
            f"{key}.{metric}": value for metric, value in scores.items() if isinstance(value, (int, float))
        }
        for metric, (low, high) in scores.get("ci95", {}).items():
            found |= {f"{key}.{metric}.low": low, f"{key}.{metric}.high": high}
        found |= {
            f"{key}.fields.{name}.f1": cells["f1"]
            for name, cells in (scores.get("fields") or {}).items()
            if cells.get("f1") is not None
        }
        if study.trained_parameters(variant) is not None:
            found[f"{key}.parameters"] = study.trained_parameters(variant)
    for variant, costs in study.costs.items():
        found |= {
            f"{study.name}.costs.{variant}.{what}": value
            for what, value in costs.items()
            if isinstance(value, (int, float))
        }
    return found


def html_output(content: str):
    return new_output(
        "display_data", data={"text/html": content, "text/plain": "<IPython.core.display.HTML object>"}
    )


def png_base64() -> str:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 40), "steelblue").save(buffer, format="png")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def notebooks() -> dict[str, nbformat.NotebookNode]:
    """Two notebooks as papermill would leave them."""
    wide = pd.DataFrame(
        {f"a rather long column name {at}": [0.5, 1 / 3, None] for at in range(12)},
        index=pd.Index(["rules", "a < b", "lora"], name="variant"),
    )
    figure = plots.bars(pd.Series({"with a date": 31, "without": 9}), "rows (count)")
    errors = plots.stacked_errors(
        pd.DataFrame({"missing": [2, 1], "boundary": [0, 3]}, index=["date", "notes"])
    )
    first = new_notebook(
        cells=[
            new_markdown_cell(
                "# 01 · What is in the data?\n\n"
                "[![Open](https://example.org/badge.svg)](https://example.org/nb)\n\n"
                "We compare LoRA with rules; see [the figure](#figure-dates) and [the errors]"
                "(06_error_analysis.ipynb). LoRA again. It costs $5 and $6."
            ),
            new_code_cell("import sys\nsys.path.insert(0, '..')  # bootstrap-cell"),
            new_code_cell('task = "calendar"  # parameters-cell', metadata={"tags": ["parameters"]}),
            new_code_cell('task = "calendar"  # injected-cell', metadata={"tags": ["injected-parameters"]}),
            new_code_cell("from helpers import plots"),
            new_code_cell(
                "rows = load()",
                outputs=[
                    new_output("stream", name="stderr", text=STDERR),
                    new_output(
                        "stream",
                        name="stdout",
                        text="10%|#     | 1/10 [00:01<00:09, 1it/s]\r\nread 40 rows <ok>\n",
                    ),
                ],
            ),
            new_markdown_cell(
                "## Dates\n\nThe loss is $\\mathcal{L} = -\\sum_t w_t \\log p_t$ with\n\n$$\nw_t = "
                "\\frac{1}{1 + e^{-x}}\n$$\n\n| a | b |\n|---|---|\n| 1 | 2 |"
            ),
            new_code_cell(
                "plots.show(figure)",
                outputs=[html_output(figure_html(figure, "Most rows have a date.", "dates"))],
            ),
            new_code_cell(
                "tables.table(wide)", outputs=[html_output(table_html(wide, "A wide table.", "wide"))]
            ),
            new_code_cell(
                "plt.imshow(x)",
                outputs=[
                    new_output(
                        "display_data", data={"image/png": png_base64(), "text/plain": "<Figure size 60x40>"}
                    )
                ],
            ),
        ]
    )
    second = new_notebook(
        cells=[
            new_markdown_cell("# 6. Error analysis"),
            new_code_cell(
                "frame",
                outputs=[
                    new_output(
                        "execute_result",
                        execution_count=1,
                        data={
                            "text/html": pd.DataFrame({"x" * 40: ["y" * 300]}).to_html(),
                            "text/plain": "x",
                        },
                    )
                ],
            ),
            new_code_cell(
                "plots.show(errors)",
                outputs=[
                    html_output(figure_html(errors, "Boundaries are the commonest error.", "error_classes"))
                ],
            ),
            new_code_cell(
                "widget",
                outputs=[
                    html_output(
                        '<script src="https://example.org/x.js"></script><b>kept</b>'
                        '<img src="https://example.org/x.png">'
                    )
                ],
            ),
            new_markdown_cell(
                "## Dates\n\n### By form\n\nA second section of that name.  \n" + "`" + "z" * 200 + "`"
            ),
            new_code_cell(
                "display(Markdown(...))",
                outputs=[
                    new_output(
                        "display_data", data={"text/markdown": "The share is **0.75**.", "text/plain": "x"}
                    )
                ],
            ),
        ]
    )
    return {"01_eda": first, "06_error_analysis": second}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Run:
    """A run whose six files are there, built once."""
    run = Run(
        task="calendar", profile="smoke", out=str(tmp_path_factory.mktemp("out")), settings={"few_shot": 7}
    )
    for name, notebook in notebooks().items():
        nbformat.write(notebook, run.path("notebooks", f"{name}.ipynb"))

    def scores(value: float) -> dict:
        return {
            "exact_match": value,
            "field_accuracy": value,
            "json_validity": 1.0,
            "response_length": None,
            "ci95": {"exact_match": [value - 0.0625, value + 0.03125]},
            "fields": {"date": {"f1": 0.9}, "notes": {"f1": 0.4}, "time": {"f1": None}},
            "parameters": {"total": 4_200_000, "trainable": 90_112},
        }

    metrics = {
        "task": "calendar",
        "profile": "smoke",
        "best": "lora",
        "data": {"source": "sample", "rows": 17, "fingerprint": {"train": "aa", "test": "c0ffee123456789"}},
        "variants": {
            "rules": scores(0.25),
            "base_zero_shot": scores(0.125),
            "lora": scores(0.703125),
            "lora@free": scores(0.6),
            "qlora": scores(0.65),
        },
    }
    run.path("metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    run.path("costs.json").write_text(
        json.dumps({"lora": {"train_seconds": 12.0, "size_mb": 0.4}}), encoding="utf-8"
    )
    run.path("manifest.json").write_text(
        json.dumps(
            {
                "task": "calendar",
                "profile": "smoke",
                "settings": run.settings,
                "seed": 42,
                "hardware": {"cpu": "Test CPU", "gpus": []},
                "stages": {"01_eda": {"seconds": 1.5}},
            }
        ),
        encoding="utf-8",
    )
    build(run)
    return run


@pytest.fixture(scope="module")
def page(finished) -> BeautifulSoup:
    return BeautifulSoup((finished.report_dir / "calendar.html").read_text(encoding="utf-8"), "html.parser")


# -- pieces -----------------------------------------------------------------------------------------------------------
def test_equations_become_mathml_and_money_does_not():
    text = markdown_html("With $x^2$ it costs $5 and $6.\n\n$$\n\\frac{a}{b}\n$$\n")
    assert text.count("<math") == 2 and "<msup>" in text and "<mfrac>" in text
    assert "$5 and $6" in text
    for written in ("Loss: $$a^2$$ and", "$$a^2\n$$", "1. item\n\n$$\na^2\n$$"):
        assert '<div class="equation"><math' in markdown_html(written) and "$" not in markdown_html(written)
    assert "$$a$$" in markdown_html("```\n$$a$$\n```")


def test_outputs_keep_results_and_leave_out_noise():
    assert output_html(new_output("stream", name="stderr", text="warning"), "t") == ""
    assert output_html(new_output("stream", name="stdout", text=f"{STDERR}\n"), "t") == ""
    assert "a &lt;b&gt;" in output_html(
        new_output("stream", name="stdout", text="\x1b[31ma <b>\x1b[0m\n"), "t"
    )
    assert "last" in output_html(new_output("stream", name="stdout", text="first\rlast\n"), "t")
    long = output_html(new_output("stream", name="stdout", text="\n".join(map(str, range(100)))), "t")
    assert "40 more lines" in long and "\n59\n" in long and "\n60\n" not in long
    assert (
        output_html(
            new_output(
                "display_data", data={"application/vnd.jupyter.widget-view+json": {}, "text/html": "bar"}
            ),
            "t",
        )
        == ""
    )
    assert 'alt="Image that belongs to: My heading"' in output_html(
        new_output("display_data", data={"image/png": png_base64()}), "My heading"
    )


def test_code_is_escaped_and_counted():
    block = code_html(["a < b\n", "c = '<i>'"])
    assert "3 lines" in block and "<i>" not in block
    assert BeautifulSoup(block, "html.parser").code.text.strip() == "a < b\n\nc = '<i>'"


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("01 · Data", "Data"),
        ("1. Data", "Data"),
        ("01_eda — Data", "Data"),
        ("2.3: Data", "Data"),
        ("01 Data", "Data"),
        ("4.1 Data", "Data"),
        ("4 · Data", "Data"),
        ("10-fold validation", "10-fold validation"),
        ("3 variants compared", "3 variants compared"),
        ("Data", "Data"),
    ],
)
def test_numbers_in_headings_are_replaced_but_not_words(written, title):
    assert OWN_NUMBER.sub("", written) == title


def test_cite_marks_the_first_mention_only_and_lists_in_order_of_appearance():
    works = {
        "a": {"mention": r"\bAlpha\b", "text": "A."},
        "b": {"mention": r"\bBeta\b", "text": "B."},
        "c": {"mention": "Gamma", "text": "C."},
    }
    body, cited = cite(
        "<h2>Alpha</h2><p>Beta, then Alpha and Alpha. <code>Gamma</code> "
        '<a href="#ref-b">they</a></p><pre>Gamma</pre>',
        works,
    )
    assert [work["key"] for work in cited] == ["b", "a"]
    assert re.findall(r"#ref-(\w)", body) == ["b", "a", "b"] and "they [1]" in body
    assert BeautifulSoup(body, "html.parser").p.text.startswith("Beta\xa0[1], then Alpha\xa0[2] and Alpha.")


def test_a_file_that_is_no_notebook_is_named(tmp_path):
    broken = tmp_path / "01_eda.ipynb"
    broken.write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="01_eda.ipynb is not a notebook"):
        render([broken])


# -- the document -----------------------------------------------------------------------------------------------------
def test_headings_figures_and_tables_are_numbered_throughout(page):
    titles = [
        heading.get_text(" ", strip=True) for heading in page.select("section.notebook :is(h2, h3, h4)")
    ]
    assert titles == ["1 What is in the data?", "1.1 Dates", "2 Error analysis", "2.1 Dates", "2.1.1 By form"]
    labels = [label.text for label in page.select("figcaption .label")]
    assert labels == ["Figure 1.", "Table 1.", "Figure 2."]
    assert page.find("a", href="#figure-dates").text == "Figure 1"
    assert page.find("a", href="#06_error_analysis", string="the errors")
    ids = [tag["id"] for tag in page(id=True)]
    assert len(ids) == len(set(ids))


def test_machinery_and_noise_are_left_out(page):
    text = page.get_text()
    for gone in ("bootstrap-cell", "parameters-cell", "injected-cell", "it/s", "example.org/badge"):
        assert gone not in text and gone not in str(page), gone
    assert "read 40 rows <ok>" in text and "kept" in text and "The share is 0.75." in text
    assert "from helpers import plots\n\nrows = load()" in text, "neighbouring code cells share one block"


def test_nothing_in_the_page_points_outside(page):
    loaded = [
        tag.get("src") or tag.get("href") for tag in page(["img", "script", "link", "iframe", "source"])
    ]
    assert all(where is None or where.startswith("data:") for where in loaded)
    assert not re.search(r"url\(|@import", page.style.text)
    assert all(image.get("alt") for image in page("img")) and len(page("img")) == 3


def test_headline_numbers_are_those_of_the_metrics_file(finished, page):
    known = numbers(read_study(finished.root, "calendar")[0])
    shown = page("data")
    assert len(shown) >= 8
    for tag in shown:
        assert float(tag["value"]) == pytest.approx(known[tag["data-key"]], abs=1e-12), tag
        scale, digits = (100, 0.05) if "%" in tag.text else (1, 0.0005)
        assert float(tag.text.rstrip("\xa0 %")) == pytest.approx(
            scale * float(tag["value"]), abs=digits + 1e-9
        )
    abstract = page.select_one(".abstract").get_text(" ", strip=True)
    assert "LoRA" in abstract and "0.703" in abstract and "0.641 – 0.734" in abstract and "0.453" in abstract
    assert "17 rows" in abstract and "rules" in abstract


def test_appendix_has_the_manifest_and_the_command(finished, page):
    assert command(finished) == "./run_all.sh calendar --profile smoke --data sample --set few_shot=7"
    appendix = page.find("section", attrs={"aria-labelledby": "appendix"}).get_text(" ", strip=True)
    assert command(finished) in appendix and "Test CPU" in appendix and "01_eda 1.5 all 1.5" in appendix


def test_index_sums_up_every_scored_task(finished):
    index = BeautifulSoup((finished.report_dir / "index.html").read_text(encoding="utf-8"), "html.parser")
    text = index.get_text(" ", strip=True)
    assert "technical test" in text and "the sample that was written for this project" in text
    assert "c0ffee123456" in text and "4.2\N{NO-BREAK SPACE}M parameters" in text
    assert index.find("a", href="calendar.html")
    rows = [row.th.text for row in index.select("figure.study-table tbody tr")]
    assert rows == ["rules", "base zero shot", "LoRA", "QLoRA"], "default decodings, baselines first"
    assert index.select_one("tr.best").th.text == "LoRA"
    captions = [caption.get_text(" ", strip=True) for caption in index("figcaption")]
    assert [caption.split(".")[0] for caption in captions] == ["Table 1", "Figure 1", "Figure 2", "Figure 3"]
    assert captions[-1].endswith("Boundaries are the commonest error.")
    known = numbers(read_study(finished.root, "calendar")[0])
    assert all(float(tag["value"]) == pytest.approx(known[tag["data-key"]]) for tag in index("data"))


def test_index_shows_what_an_earlier_run_left_and_names_the_command_of_each(finished):
    headline = load_task("crime").headline
    metrics = {
        "task": "crime",
        "profile": "cpu",
        "best": "tagger",
        "data": {"source": "sample", "rows": 50},
        "variants": {"tagger": {headline: 0.8125, "ci95": {headline: [0.75, 0.875]}}},
    }
    (finished.report_dir / "crime.json").write_text(
        json.dumps({"metrics": metrics, "costs": {}}), encoding="utf-8"
    )
    without = BeautifulSoup(index_page(finished, {}), "html.parser")
    assert without.find("a", href="crime.html") is None, "a document is missing"
    (finished.report_dir / "crime.html").touch()
    index = BeautifulSoup(index_page(finished, {}), "html.parser")
    for name in ("json", "html"):
        (finished.report_dir / f"crime.{name}").unlink()
    assert [card.a["href"] for card in index.select(".card")] == ["#calendar", "#crime"] and index.find(
        "a", href="crime.html"
    )
    shown = index("data", {"data-key": f"crime.variants.tagger.{headline}"})
    assert len(shown) > 2 and {float(tag["value"]) for tag in shown} == {0.8125}
    said = [section.get_text(" ", strip=True) for section in index("section")]
    assert ["from an earlier run" in text for text in said] == [False, True]
    assert index.footer.code.text.startswith("./run_all.sh calendar --profile smoke")


def test_index_shows_each_system_with_its_interval_the_gain_the_cost_and_the_weak_fields(finished):
    index = BeautifulSoup((finished.report_dir / "index.html").read_text(encoding="utf-8"), "html.parser")
    card = index.select_one("article.card")
    assert [row.th.text for row in card.select("tbody tr")] == ["LoRA", "QLoRA", "rules", "base zero shot"]
    kinds = [row.select_one(".track")["class"][1] for row in card.select("tbody tr")]
    assert kinds == ["trained", "trained", "baseline", "baseline"]
    assert card.select_one("tr.chosen i")["style"] == "left:64.1%;width:9.4%"
    facts = dict(
        zip([term.text for term in card("dt")], [" ".join(value.text.split()) for value in card("dd")])
    )
    assert facts["Gain"] == "0.453 against rules, best without training"
    assert facts["Cost"] == "12 s of training, 90,112 parameters, 0.4 MB"
    assert facts["Weak at"] == "notes (0.40), date (0.90)" and "Published" not in facts
    assert "sample, 17 rows" in facts["Data"]


def test_published_results_and_terms_stand_beside_public_data_only():
    study = make_study(
        "calendar",
        {
            "data": {"source": "public"},
            "best": "lora",
            "variants": {"lora": {"exact_match": 0.5}, "rules": {"exact_match": 0.25}},
        },
        {},
    )
    study.published = [
        {"system": "A", "exact_match": 0.7},
        {"system": "B", "exact_match": 0.8},
        {"system": "C"},
    ]
    assert study.published_best == ("B", 0.8)
    assert "Licence: Apache-2.0. Citation: P. Koujalagi" in study.data_text
    own = make_study("calendar", {"data": {"source": "sample"}, "variants": {}}, {})
    assert own.published_best is None and "Licence" not in own.data_text


def test_the_best_variant_that_writes_is_set_beside_the_baseline():
    scores = {"rules": 0.656, "full": 0.628, "lora": 0.584, "tagger": 0.849}
    variants = {name: {"exact_f1": score} for name, score in scores.items()}
    study = make_study("crime", {"best": "tagger", "variants": variants}, {})
    assert (study.writer, study.baseline) == ("full", "rules")
    assert study.writer_gain == pytest.approx(-0.028) == numbers(study)["crime.writer_gain"]
    assert make_study("it_ner", {"best": "lora", "variants": {"lora": {"f1": 0.8}}}, {}).writer is None


def test_an_index_keeps_the_published_results_of_an_earlier_run(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    kept = {
        "metrics": {
            "best": "lora",
            "data": {"source": "public"},
            "variants": {"lora": {"exact_match": 0.5, "ci95": {"exact_match": [0.4, 0.6]}}},
        },
        "costs": {},
        "published": True,
    }
    run.report_dir.mkdir()
    (run.report_dir / "calendar.json").write_text(json.dumps(kept), encoding="utf-8")
    (run.report_dir / "calendar.html").touch()
    assert "Published results on this data set" in index_page(run, {})
    (run.report_dir / "calendar.json").write_text(json.dumps({**kept, "published": False}), encoding="utf-8")
    assert "Published results on this data set" not in index_page(run, {})


def test_numbers_and_their_metrics_are_kept_side_by_side(finished, page):
    kept = json.loads((finished.report_dir / "calendar.json").read_text(encoding="utf-8"))
    assert kept["metrics"] == json.loads(finished.path("metrics.json").read_text(encoding="utf-8"))
    assert (
        kept["costs"]["lora"]["train_seconds"] == 12
        and kept["test_part"] is True
        and kept["published"] is False
    )
    assert numbers(make_study("calendar", kept["metrics"], kept["costs"])) == numbers(
        read_study(finished.root, "calendar")[0]
    )


REPORTS = sorted(path for path in (ROOT / "report").glob("*.html") if path.stem != "index")


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_report_in_the_repository_has_the_numbers_of_its_metrics_file(path):
    kept = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    assert kept["metrics"]["profile"] == "cpu" and kept["metrics"]["data"]["source"] == "sample"
    known = numbers(make_study(path.stem, kept["metrics"], kept["costs"]))
    assert path.stat().st_size < MAX_MEGABYTES * 1e6
    shown = 0
    for page in (path, path.with_name("index.html")):
        for tag in BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")("data"):
            key = tag["data-key"]
            if key.startswith(f"{path.stem}."):
                assert float(tag["value"]) == pytest.approx(known[key], abs=1e-12), (page.name, key)
                written, scale = tag.text.replace(",", "").rstrip("\xa0 %"), 100 if "%" in tag.text else 1
                rounding = 0.5 * 10.0 ** -len(
                    written.partition(".")[2]
                )  # half of the last digit that is shown
                assert float(written) == pytest.approx(scale * known[key], rel=1e-9, abs=1.001 * rounding), (
                    page.name,
                    key,
                )
                shown += 1
    assert shown > 40


def test_a_score_on_the_rows_that_chose_the_variant_is_marked(finished, page, tmp_path):
    assert "also chose the variant" not in page.get_text()
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    metrics = json.loads(finished.path("metrics.json").read_text(encoding="utf-8"))
    run.path("splits", "validation.jsonl").touch()  # and no test part
    run.path("metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    nbformat.write(notebooks()["06_error_analysis"], run.path("notebooks", "06_error_analysis.ipynb"))
    assert "also chose the variant" in build(run).read_text(encoding="utf-8")


def test_building_again_changes_nothing(finished):
    before = {path.name: path.read_bytes() for path in finished.report_dir.glob("*.html")}
    build(finished)
    assert {path.name: path.read_bytes() for path in finished.report_dir.glob("*.html")} == before


def test_report_without_metrics_says_so_and_without_notebooks_is_refused(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    with pytest.raises(UserError, match="no executed notebook"):
        build(run)
    nbformat.write(notebooks()["06_error_analysis"], run.path("notebooks", "01_eda.ipynb"))
    assert "has not been scored" in build(run).read_text(encoding="utf-8")
    assert "No task has been scored" in (run.report_dir / "index.html").read_text(encoding="utf-8")
    assert read_study(tmp_path, "calendar")[0].baseline is None


# -- in a browser -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: page not opened"
    )
    path = pdf.find_browser()
    if path is None:
        pytest.skip("no chromium found (set CHROMIUM to its path): page not opened in a browser")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


def open_page(browser, path: Path, width: int = 1400, dark: bool = False):
    """Page with what went wrong while it loaded: console messages, errors, requests that are not for the file."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
    )
    tab, trouble = context.new_page(), []
    tab.on("console", lambda message: trouble.append(message.text))
    tab.on("pageerror", lambda error: trouble.append(str(error)))
    tab.on(
        "request",
        lambda request: (
            trouble.append(request.url) if not request.url.startswith(("file:", "data:")) else None
        ),
    )
    tab.goto(path.as_uri(), wait_until="load")
    return tab, trouble


@pytest.mark.parametrize("name", ["calendar.html", "index.html"])
@pytest.mark.parametrize("width", [400, 800, 1400])
def test_pages_load_whole_and_fit_every_width(browser, finished, name, width):
    tab, trouble = open_page(browser, finished.report_dir / name, width)
    images = tab.evaluate("Array.from(document.images, image => image.naturalWidth)")
    assert len(images) == 3 and min(images) > 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    past = tab.evaluate("""Array.from(document.querySelectorAll("main > *, section > *, p, figure"))
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1).length""")
    assert tab.evaluate("document.querySelector('main').clientWidth") >= min(width, 730), (
        "the text column is squeezed"
    )
    assert past == 0, "parts of the page stick out on the right"
    assert trouble == []
    tab.context.close()


@pytest.mark.parametrize("path", [ROOT / "report" / "index.html", *REPORTS], ids=lambda path: path.stem)
def test_report_in_the_repository_opens_whole_at_every_width(browser, path):
    for width in (1400, 800, 400):
        tab, trouble = open_page(browser, path, width)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"overflows at {width}"
        assert tab.evaluate("Array.from(document.images).every(image => image.naturalWidth > 0 && image.alt)")
        assert (
            tab.evaluate("""Array.from(document.querySelectorAll("a[href^='#']"))
            .filter(link => !document.getElementById(decodeURIComponent(link.hash.slice(1)))).map(a => a.hash)""")
            == []
        )
        if width == 1400 and path.stem != "index":
            total = tab.locator("details.code").count()
            tab.get_by_role("button", name="Show all code").click()
            assert tab.evaluate("document.querySelectorAll('details.code[open]').length") == total > 50
        assert trouble == []
        tab.context.close()


def test_contents_links_lead_to_their_headings_and_follow_the_scroll(browser, finished):
    tab, trouble = open_page(browser, finished.report_dir / "calendar.html")
    lost = tab.evaluate("""Array.from(document.querySelectorAll("a[href^='#']"))
        .filter(link => !document.getElementById(decodeURIComponent(link.hash.slice(1)))).map(link => link.hash)""")
    assert lost == []
    assert tab.locator("nav.contents a[href^='#']").count() == 7
    tab.emulate_media(reduced_motion="reduce")
    tab.locator("nav.contents a", has_text="Error analysis").click()
    tab.wait_for_function(
        """() => { const at = document.querySelector("nav.contents a[aria-current]");
        return at && at.textContent.includes("Error analysis"); }""",
        timeout=5000,
    )
    assert tab.evaluate(
        "Math.abs(document.getElementById('06_error_analysis').getBoundingClientRect().top) < 140"
    )
    assert trouble == []
    tab.context.close()


def test_one_switch_opens_and_folds_all_code(browser, finished):
    tab, trouble = open_page(browser, finished.report_dir / "calendar.html")
    opened = "document.querySelectorAll('details.code[open]').length"
    total = tab.locator("details.code").count()
    assert total >= 5 and tab.evaluate(opened) == 0
    switch = tab.get_by_role("button", name="Show all code")
    switch.click()
    assert tab.evaluate(opened) == total
    tab.get_by_role("button", name="Hide all code").click()
    assert tab.evaluate(opened) == 0
    assert trouble == []
    tab.context.close()


def test_index_of_three_tasks_answers_on_one_screen(browser, finished, tmp_path):
    text = (finished.report_dir / "index.html").read_text(encoding="utf-8")
    soup = BeautifulSoup(text, "html.parser")
    cards = soup.select_one(".cards")
    for _ in range(2):
        cards.append(BeautifulSoup(str(cards.article), "html.parser"))
    (tmp_path / "index.html").write_text(str(soup), encoding="utf-8")
    tab, _ = open_page(browser, tmp_path / "index.html")
    boxes = tab.evaluate("""Array.from(document.querySelectorAll(".card"), card => {
        const box = card.getBoundingClientRect(); return [box.left, box.top, box.bottom]; })""")
    assert len({left for left, _, _ in boxes}) == 3 and len({top for _, top, _ in boxes}) == 1, (
        "cards side by side"
    )
    assert max(bottom for _, _, bottom in boxes) <= 900
    tab.context.close()


def test_printed_page_is_light_whole_and_without_contents(browser, finished):
    tab, _ = open_page(browser, finished.report_dir / "calendar.html", width=700, dark=True)
    tab.emulate_media(media="print", color_scheme="dark")
    look = tab.evaluate("""(() => { const style = at => getComputedStyle(document.querySelector(at));
        return [style("body").color, style("nav.contents").display, style("figure img").filter,
                document.documentElement.scrollWidth]; })()""")
    assert look[:3] == ["rgb(0, 0, 0)", "none", "none"] and look[3] <= 700
    tab.context.close()


def test_pdf_is_printed_beside_the_page_and_kept_while_it_is_newer(browser, finished, tmp_path):
    page = tmp_path / "calendar.html"
    page.write_bytes((finished.report_dir / "calendar.html").read_bytes())
    printed = pdf.print_pdf(page)
    assert printed == tmp_path / "calendar.pdf" and pdf.up_to_date(page)
    content = printed.read_bytes()
    assert content.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", content)) > 2
    os.utime(page, (printed.stat().st_mtime + 5,) * 2)
    assert not pdf.up_to_date(page)


def test_pdf_without_a_browser_or_with_a_broken_one_is_one_line(tmp_path, monkeypatch):
    page = tmp_path / "calendar.html"
    page.write_text("<p>text", encoding="utf-8")
    monkeypatch.setenv("CHROMIUM", "no-such-browser")
    with pytest.raises(UserError, match="no Chromium found; install chromium"):
        pdf.print_pdf(page)
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\necho 'cannot open display' >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(broken))
    with pytest.raises(UserError, match="broken made none .cannot open display"):
        pdf.print_pdf(page)
    assert not page.with_suffix(".pdf").exists()


def test_dark_page_is_dark_and_readable(browser, finished):
    tab, _ = open_page(browser, finished.report_dir / "calendar.html", dark=True)
    page_colour, ink = tab.evaluate("""(() => { const look = getComputedStyle(document.body);
        return [look.backgroundColor, look.color].map(c => c.match(/\\d+/g).slice(0, 3).map(Number)); })()""")
    assert max(page_colour) < 60 and min(ink) > 200
    tab.context.close()


def test_cells_for_tasks_of_another_kind_are_left_out():
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# Title"),
            new_markdown_cell("of writers", metadata={"tags": ["only-writes"]}),
            new_code_cell(
                "tagged = 1",
                metadata={"tags": ["only-tags"]},
                outputs=[new_output("stream", text="of taggers")],
            ),
            new_markdown_cell("of both", metadata={"tags": ["only-tags", "only-asks"]}),
        ]
    )
    shown = {
        "all": cells_html(notebook),
        "writes": cells_html(notebook, {"writes"}),
        "tags": cells_html(notebook, {"tags"}),
        "both": cells_html(notebook, {"tags", "asks"}),
    }
    found = {
        name: [words for words in ("of writers", "of taggers", "of both") if words in text]
        for name, text in shown.items()
    }
    assert found == {
        "all": ["of writers", "of taggers", "of both"],
        "writes": ["of writers"],
        "tags": ["of taggers"],
        "both": ["of taggers", "of both"],
    }
    assert "tagged" not in shown["writes"] and "tagged" in shown["tags"]
