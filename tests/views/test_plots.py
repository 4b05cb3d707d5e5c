"""Figures and tables: what is drawn, how it gets on the page, and that awkward data do not break it."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from helpers.evaluation.display import DPI, PALETTE, WIDTH, describe, figure_html, png, words
from helpers.run import Run
from helpers.views import plots
from helpers.views.tables import table, table_html

SCORES = pd.DataFrame(
    {"score": [0.25, 0.75], "low": [0.125, 0.5], "high": [0.5, 1.0]}, index=["rules", "lora"]
)
SLICES = pd.DataFrame(
    [("length", "short", 4, 0.5, 0.25, 0.75), ("length", "long", 0, np.nan, np.nan, np.nan)],
    columns=["slice", "value", "n", "score", "low", "high"],
)
HISTORY = {
    "lora": [{"step": 1, "loss": 2.0, "lr": 1e-3}, {"step": 2, "val_loss": 1.5, "val_exact_match": 0.5}],
    "qlora": [{"step": 1, "loss": 1.0}],
}
CURVE = pd.DataFrame({"coverage": [0.5, 1.0], "risk": [0.0, 0.25]})

FIGURES = {
    "length_histograms": lambda: plots.length_histograms(
        pd.DataFrame(
            {
                "part": ["train"] * 4 + ["test"] * 2,
                "characters": [9, 20, 31, 40, 12, 18],
                "tokens": [3, 7, 9, 12, 4, 6],
            }
        ),
        10,
    ),
    "bars": lambda: plots.bars(pd.Series({"a": 3, "b": 0}), "rows (count)"),
    "grouped_bars": lambda: plots.grouped_bars(SCORES[["score", "low"]], "F1", SCORES[["score", "low"]] / 10),
    "field_presence": lambda: plots.field_presence(SCORES[["score", "low"]]),
    "loss_curves": lambda: plots.loss_curves(HISTORY),
    "parameter_bars": lambda: plots.parameter_bars(
        pd.DataFrame({"trainable": [0, 10], "total": [100, 100]}, index=["a", "b"])
    ),
    "score_intervals": lambda: plots.score_intervals(SCORES, "exact match", {"published": 0.8}),
    "heatmap": lambda: plots.heatmap(pd.DataFrame([[0.1, np.nan], [0.5, 1.0]], columns=["a", "b"]), "F1"),
    "decoding_comparison": lambda: plots.decoding_comparison(
        pd.DataFrame({"free": [0.25], "schema": [0.5], "source": [0.75]}, index=["lora"]), "exact match"
    ),
    "cost_scatter": lambda: plots.cost_scatter(
        pd.DataFrame(
            {"seconds": [1.0, 90.0], "megabytes": [0.0, 16.0], "score": [0.2, 0.8]}, index=["rules", "lora"]
        )
    ),
    "stacked_errors": lambda: plots.stacked_errors(
        pd.DataFrame({"missing": [2, 0], "boundary": [1, 0]}, index=["a", "b"])
    ),
    "slice_intervals": lambda: plots.slice_intervals(SLICES),
    "robustness": lambda: plots.robustness(SCORES, 0.8),
    "reliability": lambda: plots.reliability(
        pd.DataFrame({"confidence": [0.5, 0.9], "accuracy": [0.5, 1.0], "count": [4, 9]})
    ),
    "risk_coverage": lambda: plots.risk_coverage({"lora": CURVE, "oracle": CURVE}),
}


def texts(ax) -> list[str]:
    return [text.get_text() for text in ax.texts]


# -- every figure -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", FIGURES)
def test_figure_has_page_width_and_named_axes(name):
    figure = FIGURES[name]()
    assert isinstance(figure, Figure) and figure.get_size_inches()[0] == WIDTH
    panels = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    if name != "heatmap":  # rows and columns name themselves there
        assert all(ax.get_xlabel() or not ax.xaxis.get_visible() or name == "reliability" for ax in panels)
    assert describe(figure)
    image = Image.open(io.BytesIO(png(figure)))
    assert image.width == WIDTH * DPI and len(image.getcolors() or []) > 3, "something is drawn"


def test_all_functions_are_covered():
    assert set(FIGURES) == set(plots.__all__) - {"show", "style", "entity_text"}


def test_figures_leave_nothing_open_in_pyplot():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    FIGURES["bars"]()
    assert pyplot.get_fignums() == before


def test_equal_figures_give_equal_bytes():
    assert png(FIGURES["score_intervals"]()) == png(FIGURES["score_intervals"]())


def test_neighbouring_colours_stay_apart_for_red_green_blindness():
    """Viénot, Brettel and Mollon (1999): project linear RGB to what a deuteranope and a protanope see."""
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
    linear = np.array([to_rgb(colour) for colour in PALETTE[:6]]) ** 2.2
    for matrix in (deutan, protan):
        seen = np.clip(linear @ matrix.T, 0, 1) ** (1 / 2.2)
        distance = np.linalg.norm(seen[:, None] - seen[None], axis=2)
        assert all(distance[at, at + 1] > 0.15 for at in range(len(seen) - 1))


# -- what is drawn ----------------------------------------------------------------------------------------------------
def test_intervals_are_drawn_where_the_numbers_say():
    ax = FIGURES["score_intervals"]().axes[0]
    ends = [tuple(segment[:, 0]) for segment in ax.collections[0].get_segments()]
    assert ends == [(0.125, 0.5), (0.5, 1.0)]
    assert texts(ax) == ["0.250", "0.750"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rules", "LoRA"]
    low, high = ax.get_ylim()
    assert low > high, "the first row is on top"
    assert [entry.get_text() for entry in ax.get_legend().get_texts()] == ["published (0.800)"]


def test_bar_labels_tell_counts_from_shares():
    assert texts(plots.bars(pd.Series({"a": 1200, "b": 3}), "rows").axes[0]) == ["1,200", "3"]
    assert texts(plots.bars(pd.Series({"a": 0.5, "b": 1.0}), "share").axes[0]) == ["0.500", "1.000"]
    ordered = plots.bars(pd.Series({"a": 1, "b": 2}), "n", order=["b", "a"])
    assert [bar.get_width() for bar in ordered.axes[0].patches] == [2, 1]


def test_presence_is_in_percent():
    assert texts(FIGURES["field_presence"]().axes[0])[:2] == ["25", "75"]


def test_length_limit_names_the_share_that_is_cut():
    assert FIGURES["length_histograms"]().axes[1].get_title(loc="left") == "limit 10 tokens cuts 16.7%"


def test_stacks_end_at_the_totals():
    ax = FIGURES["stacked_errors"]().axes[0]
    assert texts(ax) == ["3", "0"]
    assert max(bar.get_x() + bar.get_width() for bar in ax.patches) == 3


def test_loss_curves_put_each_record_in_its_panel():
    panels = {ax.get_ylabel(): ax for ax in FIGURES["loss_curves"]().axes}
    assert set(panels) == {"loss (nats per token)", "learning rate", "validation exact match"}
    assert [line.get_ydata().tolist() for line in panels["loss (nats per token)"].lines] == [
        [2.0],
        [1.5],
        [1.0],
    ]
    assert [line.get_ydata().tolist() for line in panels["validation exact match"].lines] == [[0.5]]


def test_heatmap_text_contrasts_with_its_cell_and_skips_missing_cells():
    ax = FIGURES["heatmap"]().axes[0]
    assert [(text.get_text(), text.get_color()) for text in ax.texts] == [
        ("0.10", "black"),
        ("0.50", "black"),
        ("1.00", "white"),
    ]


def test_slices_are_grouped_and_empty_ones_stay_empty():
    ax = FIGURES["slice_intervals"]().axes[0]
    labels = ax.get_yticklabels()
    assert [label.get_text() for label in labels] == ["length", "short (n=4)", "long (n=0)"]
    assert [label.get_fontweight() for label in labels] == ["bold", "normal", "normal"]
    assert texts(ax) == ["0.500"]


def test_words():
    assert words("qlora_structured_f1 score") == "QLoRA structured F1 score"


# -- on the page ------------------------------------------------------------------------------------------------------
def test_figure_html_escapes_and_holds_the_png():
    figure = FIGURES["bars"]()
    image = png(figure)
    tag = BeautifulSoup(figure_html(figure, 'a < b & "c"', "dates", image=image), "html.parser").figure
    assert tag["id"] == "figure-dates" and tag.figcaption.text == 'a < b & "c"'
    assert base64.b64decode(tag.img["src"].partition(",")[2]) == image
    assert "rows (count)" in tag.img["alt"] and tag.img["alt"].endswith('a < b & "c"')
    assert tag.img["width"] == "720"


def test_show_saves_what_it_displays(tmp_path, capsys):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    plots.show(FIGURES["bars"](), "A caption.", "dates", run)
    table(pd.DataFrame({"x": [1 / 3]}, index=pd.Index(["lora"], name="variant")), "A caption.", "scores", run)
    assert run.path("figures", "dates.png").read_bytes().startswith(b"\x89PNG")
    assert run.path("tables", "scores.csv").read_text() == f"variant,x\nlora,{1 / 3!r}\n", (
        "saved without rounding"
    )


def test_entity_text_marks_spans_and_overlaps_and_keeps_the_text():
    text = "Lunch <b> with Ana & Bo"
    markup = plots.entity_text(
        text, [(0, 5, "action"), (15, 18, "attendees"), (15, 23, "notes"), (20, 99, "place")]
    )
    body, legend = BeautifulSoup(markup, "html.parser")("p")
    marks = {mark["title"]: mark.find(string=True) for mark in body("mark")}
    assert marks == {"action": "Lunch", "notes, attendees": "Ana", "notes": " &", "notes, place": " Bo"}
    for label in body("small"):
        label.decompose()
    assert body.text == text
    assert [mark.text for mark in legend("mark")] == ["action", "notes", "attendees", "place"]
    assert "no entity" in plots.entity_text("nothing", [])


def test_entity_colours_follow_the_given_fields():
    def colour(markup: str) -> str:
        return re.search(r"rgb\([\d,]+\)", markup)[0]

    alone, fixed = (
        plots.entity_text("a", [(0, 1, "y")]),
        plots.entity_text("a", [(0, 1, "y")], fields=["x", "y"]),
    )
    assert colour(alone) != colour(fixed)
    assert fixed.count("<mark") == 2, "fields that do not occur are not in the legend"


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
            "mean": [71.26, 9.5],
            "who": [["a", "<b>"], None],
            "n": [4.0, None],
        },
        index=pd.Index(["x_1", "y"], name="variant"),
    )
    assert cells(frame) == [
        ["variant", "field f1", "rows", "mean", "who", "n"],
        ["x_1", "0.123", "1,200", "71.3", "a, <b>", "4"],
        ["y", "–", "3", "9.5", "–", "–"],
    ]
    assert cells(pd.DataFrame({"share": [0.5]}), digits=1) == [["share"], ["0.5"]]


def test_table_of_nothing_and_of_pairs():
    assert cells(pd.DataFrame({"a": []})) == [["a"]]
    pairs = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("before", "n"), ("after", "n")]))
    assert cells(pairs) == [["before n", "after n"], ["1", "2"]]
    with pytest.raises(ValueError, match="different column names"):
        table_html(pd.DataFrame([[1, 2]], columns=["a", "a"]), "c", "n")
