"""Figures and tables: what is drawn, how it gets on the page, and that awkward data do not break it."""

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
from helpers.views.show import DPI, WIDTH, describe, png, saved, table_html

SCORES = pd.DataFrame(
    {"score": [0.25, 0.75], "low": [0.125, 0.5], "high": [0.5, 1.0]}, index=["rules", "lora"]
)
SLICES = pd.DataFrame(
    [("length", "short", 4, 0.5, 0.25, 0.75), ("length", "long", 0, np.nan, np.nan, np.nan)],
    columns="slice value n score low high".split(),
).set_index(["slice", "value"])
HISTORY = {
    "lora": [{"step": 1, "loss": 0.0}, {"step": 2, "val_loss": 1.5}],
    "qlora": [{"step": 1, "lr": 1e-3}],
}
LENGTHS = pd.DataFrame({"part": ["train", "test"], "characters": [9, 9], "tokens": [3, 3]})
ERRORS = pd.DataFrame({"missing": [2, 0], "boundary": [1, 0]}, index=["a", "b"])
COSTS = {"seconds": [1.0, 90.0, np.nan], "megabytes": [0.0, 16.0, 1.0], "score": [0.2, 0.8, 0.5]}
COSTS = pd.DataFrame(COSTS, index=["rules", "lora", "vote"])
FIGURES = {
    "lengths that are all the same": lambda: plots.length_histograms(LENGTHS, 10),
    "bars stacked, one of nothing": lambda: plots.bars(ERRORS, "errors (count)", stacked=True),
    "zero on a log axis": lambda: plots.bars(pd.DataFrame({"trainable": [0, 10]}), "n", log=True),
    "curves of loss zero and of no loss": lambda: plots.loss_curves(HISTORY),
    "intervals": lambda: plots.intervals(SCORES, "exact match", {"published": 0.8}, best="lora"),
    "intervals of slices": lambda: plots.intervals(SLICES, "exact match"),
    "intervals of nothing": lambda: plots.intervals(SLICES.iloc[1:], "exact match"),
    "costs of which one is not known": lambda: plots.trade_off(COSTS, "seconds", "score", "time (s)"),
}


def written(texts) -> list[str]:
    return [text.get_text() for text in texts]


@pytest.mark.parametrize("name", FIGURES)
def test_awkward_data_are_drawn_at_page_width_and_the_same_every_time(name):
    before, figure = pyplot.get_fignums(), FIGURES[name]()
    assert pyplot.get_fignums() == before and describe(figure)
    image = png(figure)
    drawn = Image.open(io.BytesIO(image))
    assert drawn.width == WIDTH * DPI and len(drawn.getcolors() or []) > 3, "something is drawn"
    assert image == png(FIGURES[name]())


def test_stacks_end_in_their_totals_and_an_axis_of_zeros_begins_at_zero():
    labels = FIGURES["bars stacked, one of nothing"]().axes[0].texts
    assert [(label.get_text(), label.xy) for label in labels] == [("3", (3, 0)), ("0", (0, 1))]
    nothing = pd.DataFrame({"seconds": [1, 2], "score": [0, 0], "megabytes": [1, 2]}, index=["a", "b"])
    assert plots.bars(pd.Series({"a": 0, "b": 0}), "rows").axes[0].get_xlim() == (0, 1)
    assert plots.trade_off(nothing, "seconds", "score", "seconds").axes[0].get_ylim() == (0, 1)


def test_what_is_undefined_is_left_out_and_the_chosen_one_is_bold():
    for values, labels in (((1200, 3), ["1,200", "3"]), ((0.5, np.nan), ["0.500", ""])):
        assert written(plots.bars(pd.Series(values, index=["a", "b"]), "rows").axes[0].texts) == labels
    labels = FIGURES["intervals"]().axes[0].get_yticklabels()
    assert {one.get_text(): one.get_fontweight() for one in labels} == {"rules": "normal", "lora": "bold"}
    labels = FIGURES["intervals of slices"]().axes[0].get_yticklabels()
    assert written(labels) == ["length", "short (n=4)"]
    legend = FIGURES["costs of which one is not known"]().axes[0].get_legend()
    assert "vote" not in written(legend.get_texts()), "it was not timed"


def test_saved_keeps_what_it_displays_and_escapes(tmp_path, monkeypatch):
    shown, figure = [], plots.bars(pd.Series({"a": 3, "b": 0}), "rows (count)")
    monkeypatch.setattr("IPython.display.display", lambda one: shown.append(one.data))
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    saved(figure, '*One* caption: a < b & "c"', "dates", run)
    saved(pd.DataFrame({"x": [1 / 3]}, index=pd.Index(["lora"], name="variant")), "A caption.", "scores", run)
    tag = BeautifulSoup(shown[0], "html.parser").figure
    assert tag["id"] == "figure-dates" and tag.figcaption.text == 'One caption: a < b & "c"'
    image = run.path("figures", "dates.png").read_bytes()
    assert base64.b64decode(tag.img["src"].partition(",")[2]) == image and "rows (count)" in tag.img["alt"]
    assert run.path("tables", "scores.csv").read_text() == f"variant,x\nlora,{1 / 3!r}\n", "without rounding"
    assert "lora" in shown[1] and "0.333" in shown[1]


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
    one, other = entity_text("a", [(0, 1, "y")], ["y"]), entity_text("a", [(0, 1, "y")], ["x", "y"])
    assert one != other and other.count("<mark") == 2, "a field keeps its colour; the legend has what occurs"


def cells(frame: pd.DataFrame, **options) -> list[list[str]]:
    soup = BeautifulSoup(table_html(frame, "Caption", "name", **options), "html.parser")
    assert soup.figure.find(True).name == "figcaption", "the caption stands above the table"
    return [[cell.get_text(strip=True) for cell in row(["th", "td"])] for row in soup("tr")]


def test_table_formats_by_type_and_escapes():
    columns = {"field_f1": [0.12345, None], "rows": [1200, 3], "mean": [71.26, -9.5], "n": [4.0, None]}
    columns |= {"who": [["a", "<b>"], None], "p_value": [0.0004, 0.25], "gap": [1.2e-5, 0.0]}
    assert cells(pd.DataFrame(columns, index=pd.Index(["x_1", "y"], name="kind"))) == [
        ["kind", "field F1", "rows", "mean", "n", "who", "p value", "gap"],
        ["x_1", "0.123", "1,200", "71.3", "4", "a, <b>", "< 0.001", "1.2e−05"],
        ["y", "–", "3", "−9.5", "–", "–", "0.250", "0.0e+00"],
    ]
    assert cells(pd.DataFrame({"share": [0.5]}), digits=1) == [["share"], ["0.5"]]
    systems = pd.DataFrame({"base_few_shot": [0.5]}).rename_axis(columns="variant")
    assert cells(systems)[0] == ["base_few_shot"], "systems are named as in the code"
