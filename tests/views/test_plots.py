"""Figures and tables: what is drawn, how it gets on the page, and that awkward data do not break it."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib import pyplot
from PIL import Image

from helpers.run import Run
from helpers.views import plots
from helpers.views.rows import entity_text
from helpers.views.show import DPI, WIDTH, describe, figure_html, png, saved, table_html

SCORES = pd.DataFrame(
    {"score": [0.25, 0.75], "low": [0.125, 0.5], "high": [0.5, 1.0]}, index=["rules", "lora"]
)
SLICES = pd.DataFrame(
    [("length", "short", 4, 0.5, 0.25, 0.75), ("length", "long", 0, np.nan, np.nan, np.nan)],
    columns=["slice", "value", "n", "score", "low", "high"],
).set_index(["slice", "value"])
HISTORY = {
    "lora": [{"step": 1, "loss": 2.0, "lr": 1e-3}, {"step": 2, "val_loss": 1.5, "val_exact_match": 0.5}],
    "qlora": [{"step": 1, "loss": 1.0}],
}
CURVE = pd.DataFrame({"coverage": [0.5, 1.0], "risk": [0.0, 0.25]})
LENGTHS = pd.DataFrame(
    {
        "part": ["train"] * 4 + ["test"] * 2,
        "characters": [9, 20, 31, 40, 12, 18],
        "tokens": [3, 7, 9, 12, 4, 6],
    }
)
ERRORS = pd.DataFrame({"missing": [2, 0], "boundary": [1, 0]}, index=["a", "b"])
COSTS = pd.DataFrame(
    {"seconds": [1.0, 90.0, np.nan], "megabytes": [0.0, 16.0, 1.0], "score": [0.2, 0.8, 0.5]},
    index=["rules", "lora", "vote"],
)
FORMS = pd.DataFrame(
    {"ms": [20.0, 8.0, 11.0, 4.0], "f1": [0.7, 0.69, 0.68, 0.67], "megabytes": [90, 23, 69, 17]},
    pd.MultiIndex.from_product([["full", "small"], ["fp32", "int8"]], names=["variant", "form"]),
)
FIGURES = {
    "length_histograms": lambda: plots.length_histograms(LENGTHS, 10),
    "bars": lambda: plots.bars(pd.Series({"a": 3, "b": 0}), "rows (count)"),
    "bars side by side": lambda: plots.bars(SCORES[["score", "low"]], "F1"),
    "bars stacked": lambda: plots.bars(ERRORS, "errors (count)", stacked=True),
    "bars on a log axis": lambda: plots.bars(
        pd.DataFrame({"trainable": [0, 10], "total": [100, 100]}), "n", log=True
    ),
    "loss_curves": lambda: plots.loss_curves(HISTORY),
    "intervals": lambda: plots.intervals(SCORES, "exact match", {"published": 0.8}),
    "intervals of slices": lambda: plots.intervals(SLICES, "exact match"),
    "intervals of nothing": lambda: plots.intervals(SLICES.iloc[1:], "exact match"),
    "heatmap": lambda: plots.heatmap(pd.DataFrame([[0.1, np.nan], [0.5, 1.0]], columns=["a", "b"]), "F1"),
    "trade_off": lambda: plots.trade_off(COSTS, "seconds", "score", "time (s)"),
    "trade_off of forms": lambda: plots.trade_off(FORMS, "ms", "f1", "latency (ms)"),
    "risk_coverage": lambda: plots.risk_coverage({"lora": CURVE, "oracle": CURVE}),
}


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


def legend(ax) -> list[str]:
    return [entry.get_text() for entry in ax.get_legend().get_texts()]


# -- every figure -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FIGURES)
def test_figure_has_page_width_and_named_axes_and_leaves_nothing_open(name):
    before = pyplot.get_fignums()
    figure = FIGURES[name]()
    assert pyplot.get_fignums() == before and figure.get_size_inches()[0] == WIDTH and describe(figure)
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    if name != "heatmap":  # rows and columns name themselves there
        assert all(ax.get_xlabel() for ax in panels)
    image = png(figure)
    drawn = Image.open(io.BytesIO(image))
    assert drawn.width == WIDTH * DPI and len(drawn.getcolors() or []) > 3, "something is drawn"
    assert image == png(FIGURES[name]()), "equal figures give equal bytes"


# -- what they say ----------------------------------------------------------------------------------------------------
def test_bar_labels_tell_counts_from_shares_and_leave_out_what_is_undefined():
    assert texts(plots.bars(pd.Series({"a": 1200, "b": 3}), "rows").axes[0]) == ["1,200", "3"]
    assert texts(plots.bars(pd.Series({"a": 0.5, "b": 1.0}), "share").axes[0]) == ["0.500", "1.000"]
    assert texts(plots.bars(pd.Series({"a": 0.5, "b": np.nan}), "share").axes[0]) == ["0.500", ""]


def test_the_first_row_is_on_top_and_stacks_end_at_their_totals():
    ax = FIGURES["bars stacked"]().axes[0]
    assert texts(ax) == ["3", "0"] and legend(ax) == ["missing", "boundary"]
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == 3
    assert [label.xy for label in ax.texts] == [(3, 0), (0, 1)]
    low, high = ax.get_ylim()
    assert low > high


def test_an_axis_of_zeros_begins_at_zero():
    nothing = pd.DataFrame(
        {"seconds": [1.0, 2.0], "score": [0.0, 0.0], "megabytes": [1, 2]}, index=["a", "b"]
    )
    assert plots.bars(pd.Series({"a": 0, "b": 0}), "rows").axes[0].get_xlim() == (0, 1)
    assert plots.trade_off(nothing, "seconds", "score", "seconds").axes[0].get_ylim() == (0, 1)


def test_intervals_stand_beside_references_and_under_headings_without_undefined_ones():
    ax = FIGURES["intervals"]().axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rules", "lora"]
    assert legend(ax) == ["published (0.800)"] and ax.get_ylim()[0] > ax.get_ylim()[1]
    chosen = plots.intervals(SCORES, "exact match", best="lora").axes[0].get_yticklabels()
    assert [label.get_fontweight() for label in chosen] == ["normal", "bold"]
    labels = FIGURES["intervals of slices"]().axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["length", "short (n=4)"]
    assert [label.get_fontweight() for label in labels] == ["bold", "normal"]


def test_a_trade_off_leaves_out_what_was_not_timed_and_numbers_its_log_axis():
    ax = FIGURES["trade_off"]().axes[0]
    assert {"rules", "lora"} <= set(legend(ax)) and "vote" not in legend(ax) and ax.get_xscale() == "log"
    ax.figure.canvas.draw()
    assert "10" in [label.get_text() for label in ax.get_xticklabels()]
    assert {"full", "small", "fp32", "int8"} <= set(legend(FIGURES["trade_off of forms"]().axes[0]))


def test_loss_curves_put_each_record_in_its_panel():
    panels = {ax.get_ylabel(): ax for ax in FIGURES["loss_curves"]().axes}
    assert set(panels) == {"loss (nats per token)", "learning rate", "validation exact match"}
    losses = [line.get_ydata().tolist() for line in panels["loss (nats per token)"].lines]
    assert losses == [[2.0], [1.5], [1.0]]
    assert [line.get_ydata().tolist() for line in panels["validation exact match"].lines] == [[0.5]]


# -- on the page ------------------------------------------------------------------------------------------------------
def test_figure_html_escapes_and_holds_the_png():
    figure = FIGURES["bars"]()
    tag = BeautifulSoup(figure_html(figure, 'a < b & "c"', "dates"), "html.parser").figure
    assert tag["id"] == "figure-dates" and tag.figcaption.text == 'a < b & "c"'
    assert base64.b64decode(tag.img["src"].partition(",")[2]) == png(figure)
    assert "rows (count)" in tag.img["alt"] and tag.img["alt"].endswith('a < b & "c"')


def test_saved_keeps_what_it_displays(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda one: shown.append(one.data))
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    saved(FIGURES["bars"](), "*One* caption.", "dates", run)
    saved(pd.DataFrame({"x": [1 / 3]}, index=pd.Index(["lora"], name="variant")), "A caption.", "scores", run)
    assert run.path("figures", "dates.png").read_bytes().startswith(b"\x89PNG")
    assert run.path("tables", "scores.csv").read_text() == f"variant,x\nlora,{1 / 3!r}\n", "without rounding"
    assert "<figcaption>One caption." in shown[0] and "lora" in shown[1] and "0.333" in shown[1]


def test_entity_text_marks_spans_and_overlaps_and_keeps_the_text():
    text = "Lunch <b> with Ana & Bo"
    spans = [(0, 5, "action"), (15, 18, "attendees"), (15, 23, "notes"), (20, 99, "place")]
    body, legend = BeautifulSoup(entity_text(text, spans), "html.parser")("p")
    marks = {mark["title"]: mark.find(string=True) for mark in body("mark")}
    assert marks == {"action": "Lunch", "notes, attendees": "Ana", "notes": " &", "notes, place": " Bo"}
    for label in body("small"):
        label.decompose()
    assert body.text == text
    assert [mark.text for mark in legend("mark")] == ["action", "notes", "attendees", "place"]
    assert "no entity" in entity_text("nothing", [])
    of_y = entity_text("a", [(0, 1, "y")], ["y"]), entity_text("a", [(0, 1, "y")], ["x", "y"])
    assert of_y[0] != of_y[1] and of_y[1].count("<mark") == 2, (
        "a field keeps its colour; the legend has what occurs"
    )


# -- tables -----------------------------------------------------------------------------------------------------------
def cells(frame: pd.DataFrame, **options) -> list[list[str]]:
    soup = BeautifulSoup(table_html(frame, "Caption", "name", **options), "html.parser")
    assert soup.figure.find(True).name == "figcaption", "the caption stands above the table"
    return [[cell.get_text(strip=True) for cell in row(["th", "td"])] for row in soup("tr")]


def test_table_formats_by_type_and_escapes():
    frame = pd.DataFrame(
        {
            "field_f1": [0.12345, None],
            "rows": [1200, 3],
            "mean": [71.26, -9.5],
            "who": [["a", "<b>"], None],
            "n": [4.0, None],
            "p_value": [0.0004, 0.25],
            "gap": [1.2e-5, 0.0],
            "right": [True, False],
        },
        index=pd.Index(["x_1", "y"], name="kind"),
    )
    assert cells(frame) == [
        ["kind", "field F1", "rows", "mean", "who", "n", "p value", "gap", "right"],
        ["x_1", "0.123", "1,200", "71.3", "a, <b>", "4", "< 0.001", "1.2e−05", "True"],
        ["y", "–", "3", "−9.5", "–", "–", "0.250", "0.0e+00", "False"],
    ]
    assert cells(pd.DataFrame({"share": [0.5]}), digits=1) == [["share"], ["0.5"]]
    systems = pd.DataFrame({"base_few_shot": [0.5]}).rename_axis(columns="variant")
    assert cells(systems)[0] == ["base_few_shot"], "systems are named as in the code"


def test_table_of_nothing_of_pairs_and_of_values_without_a_type():
    assert cells(pd.DataFrame({"a": []})) == [["a"]]
    pairs = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("before", "n"), ("after", "n")]))
    assert cells(pairs) == [["before n", "after n"], ["1", "2"]]
    assert cells(pd.DataFrame({"value": [["b", 1], {"2", "1"}]}))[1:] == [["b, 1"], ["1, 2"]]
