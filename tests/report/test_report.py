"""The report, built from small notebooks with prepared outputs, read as HTML and opened in headless Chromium."""

from __future__ import annotations

import fcntl
import json
import os
import re
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from helpers.command import status
from helpers.errors import UserError
from helpers.paths import ROOT
from helpers.report import pages, pdf
from helpers.report.notebooks import cells_html, cite, markdown_html, reading_copy
from helpers.report.notebooks import printed as without_noise
from helpers.report.pages import build, index_page, task_page, templates
from helpers.report.evidence import command, evidence, read_run, results_of
from helpers.report.study import Study
from helpers.run import Run
from helpers.tasks import load_task
from helpers.views import plots
from helpers.views.show import figure_html, table_html

CHROMIUM_OPTIONS = "--no-sandbox --disable-gpu --disable-background-networking --no-first-run".split()
MAX_MEGABYTES, MAX_COPY_MEGABYTES = 4, 2
STDERR = "Epoch:  40%|####      | 4/10 [00:01<00:02, 3.1it/s]"
WIDE = pd.DataFrame(
    {f"a rather long column name {at}": [0.5, -1 / 3, None] for at in range(12)},
    index=pd.Index(["rules", "a < b", "lora"], name="variant"),
)
FIGURE = plots.bars(pd.Series({"with a date": 31, "without": 9}), "rows (count)")


def shown(**data: str):
    """An output as `display` leaves it, by kind: html="<b>", markdown="*a*"."""
    kinds = {f"text/{kind}": content for kind, content in data.items()}
    return new_output("display_data", data={**kinds, "text/plain": "<IPython.core.display.HTML object>"})


def printed(text: str, name: str = "stdout"):
    return new_output("stream", name=name, text=text)


def code(source: str, *outputs, **metadata):
    return new_code_cell(source, outputs=list(outputs), metadata=metadata)


def notebooks() -> dict[str, nbformat.NotebookNode]:
    """Two notebooks as a run leaves them."""
    first = [
        new_markdown_cell(
            "# 1 · What is in the data?\n\n[![Open](https://example.org/badge.svg)](https://example.org/nb)\n\n"
            "We compare LoRA with rules; see [the errors](06_error_analysis.ipynb). LoRA again. It costs $5 and $6."
        ),
        code('task = "calendar"  # parameters-cell', tags=["parameters"]),
        code('task = "calendar"  # injected-cell', tags=["injected-parameters"]),
        code("import sys  # bootstrap-cell", tags=["bootstrap"]),
        code("from helpers import plots"),
        code("rows = load()", printed(STDERR, "stderr"), printed("10%|#  | 1it/s\rread 40 rows <ok>\n")),
        new_markdown_cell(
            "## 1.1 Dates\n\nWith $\\mathcal{L} = -\\sum_t w_t$.\n\n| a | b |\n|---|---|\n| 1 | 2 |"
        ),
        code("saved(figure)", shown(html=figure_html(FIGURE, "Most rows have a date.", "dates"))),
        code("saved(wide)", shown(html=table_html(WIDE, "A wide table.", "wide"))),
    ]
    widget = '<script src="https://example.org/x"></script><b>kept</b><img src="a.png">'
    second = [
        new_markdown_cell("# 6 · Error analysis"),
        code("frame", shown(html=pd.DataFrame({"x" * 40: ["y" * 300]}).to_html())),
        code("saved(errors)", shown(html=figure_html(FIGURE, "Boundaries are commonest.", "error_classes"))),
        code("widget", shown(html=widget)),
        new_markdown_cell("## 6.1 Dates\n\n### By form\n\nA second section.  \n" + "`" + "z" * 200 + "`"),
        code("display(Markdown(...))", shown(markdown="The share is **0.75**.")),
        new_markdown_cell("## 6.2 What follows"),
        code("display(Markdown(...))", shown(markdown="- Boundaries are *hard*.\n- So is NF4.")),
    ]
    return {"01_eda": new_notebook(cells=first), "06_error_analysis": new_notebook(cells=second)}


def scores(value: float) -> dict:
    f1 = {"date": (0.9, 20), "notes": (0.4, 10), "time": (None, 0), "action": (0.0, 2)}
    return {
        **dict.fromkeys(("exact_match", "field_accuracy"), value),
        "json_validity": 1.0,
        "response_length": None,
        "ci95": {"exact_match": [value - 0.0625, value + 0.03125]},
        "fields": {field: {"f1": score, "support": support} for field, (score, support) in f1.items()},
        "parameters": {"total": 4_200_000, "trainable": 90_112},
    }


SCORES = {"rules": 0.25, "base_zero_shot": 0.125, "lora": 0.703125, "lora@free": 0.6, "qlora": 0.65}
METRICS = {
    "task": "calendar",
    "profile": "smoke",
    "best": "lora",
    "data": {"source": "sample", "rows": 17, "fingerprint": "c0ffee123456789"},
    "variants": {name: scores(value) for name, value in SCORES.items()},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Run:
    """A run whose six files are there, built once."""
    out = str(tmp_path_factory.mktemp("out"))
    run = Run(task="calendar", profile="smoke", out=out, settings={"few_shot": 7})
    for name, notebook in notebooks().items():
        nbformat.write(notebook, run.path("notebooks", f"{name}.ipynb"))
    manifest = {"task": "calendar", "profile": "smoke", "settings": run.settings, "seed": 42}
    manifest |= {"hardware": {"cpu": "Test CPU", "gpus": []}, "stages": {"01_eda": {"seconds": 1.5}}}
    manifest["code"] = {"shared": "ab12"}
    costs = {"lora": {"train_seconds": 12.0, "size_mb": 0.4, "predict_seconds": 8.5}}
    for name, content in (("metrics", METRICS), ("costs", costs), ("manifest", manifest)):
        run.path(f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    tables = {
        "robustness": "perturbation,difference,difference_high,p\n"
        "typos,-0.25,-0.125,0.015625\nremark,-0.125,0.0,0.0078125\nother,0.0,0.0,1.0\n",
        "leakage_audit": "when,parts,exact,near\nbefore,train – test,1,1\nafter,train – test,0,0\n",
        "slices": "slice,value,n,score,low,high\nlength,long,30,0.25,0.15,0.35\nlength,short,40,0.7,0.6,0.8\n",
    }
    for name, content in tables.items():
        run.path("tables", f"{name}.csv").write_text(content, encoding="utf-8")
    build(run)
    return run


def soup_of(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.fixture(scope="module")
def page(finished) -> BeautifulSoup:
    return soup_of(finished.report_dir / "calendar.html")


@pytest.fixture(scope="module")
def index(finished) -> BeautifulSoup:
    return soup_of(finished.report_dir / "index.html")


# -- pieces -----------------------------------------------------------------------------------------------------------
def test_equations_become_mathml_and_money_does_not():
    text = markdown_html("With $x^2$ it costs $5 and $6.\n\n$$\n\\frac{a}{b}\n$$\n")
    assert text.count("<math") == 2 and "<msup>" in text and "<mfrac>" in text and "$5 and $6" in text
    for written in ("Loss: $$a^2$$ and", "$$a^2\n$$", "1. item\n\n$$\na^2\n$$"):
        assert '<span class="equation"><math' in markdown_html(written) and "$" not in markdown_html(written)
    assert "$$a$$" in markdown_html("```\n$$a$$\n```")


def test_printed_text_keeps_results_and_leaves_out_noise():
    assert without_noise("\x1b[31ma <b>\x1b[0m\n") == "a <b>" and without_noise("first\rlast\n") == "last"
    long = without_noise("\n".join(map(str, range(100))))
    assert "40 more lines" in long and "\n59\n" in long and "\n60\n" not in long


def test_widgets_and_cells_of_other_tasks_are_left_out_and_errors_are_shown():
    bar = {"application/vnd.jupyter.widget-view+json": {}, "text/html": "a-bar"}
    failed = new_output("error", ename="ValueError", evalue="x", traceback=["\x1b[31mValueError\x1b[0m: <x>"])
    cells = [
        code("a", new_output("display_data", data=bar)),
        code("b", failed),
        new_markdown_cell("of writers", metadata={"tags": ["only-writes"]}),
        code("tagged = 1", printed("of taggers"), tags=["only-tags"]),
        new_markdown_cell("of both", metadata={"tags": ["only-tags", "only-asks"]}),
    ]
    for traits, kept in (({"writes"}, [0]), ({"tags"}, [1]), ({"tags", "asks"}, [1, 2])):
        text = cells_html(new_notebook(cells=cells), traits)
        assert "a-bar" not in text and "ValueError: &lt;x&gt;" in text
        assert [
            at for at, words in enumerate(("of writers", "of taggers", "of both")) if words in text
        ] == kept


def test_cite_marks_the_first_mention_only_and_lists_in_order_of_appearance():
    mentions = {"a": r"\bAlpha\b", "b": r"\bBeta\b", "c": "Gamma"}
    works = {key: {"mention": mention, "text": f"{key}."} for key, mention in mentions.items()}
    first = BeautifulSoup("<h2>Alpha</h2><p>Beta &lt; Alpha, Alpha. <code>Gamma</code></p>", "html.parser")
    second = BeautifulSoup("<ul><li>Beta</li></ul><pre>Gamma</pre>", "html.parser")
    assert [work["key"] for work in cite([first, second], works)] == ["b", "a"]
    assert re.findall(r"#ref-(\w)", str(first) + str(second)) == ["b", "a"]
    assert first.p.text.startswith("Beta\xa0[1] < Alpha\xa0[2], Alpha.")


def make_study(task, **kept) -> Study:
    return Study(load_task(task), **kept)


# -- the numbers ------------------------------------------------------------------------------------------------------
def numbers(study: Study) -> dict[str, float]:
    """Every number that the report may show: dotted key as in its `data-key` attributes → value, as in metrics.json."""
    found: dict[str, float] = {}
    for name in ("gain", "tuning_gain", "marker_lead", "writer_lead"):
        if getattr(study, name) is not None:
            found[f"{study.name}.{name}"] = getattr(study, name)
            found[f"{study.name}.{name}.size"] = abs(getattr(study, name))
    if study.largest_drop:
        found[f"{study.name}.drop"] = study.largest_drop[1]
    for one in study.journeys:
        place = f"{study.name}.away.{one['system']}.{one['set']}"
        found |= {f"{place}.{what}": one[what] for what in ("score", "soft", "home")}
    for variant, values in study.variants.items():
        key = f"{study.name}.variants.{variant}"
        plain = {metric: value for metric, value in values.items() if isinstance(value, (int, float))}
        found |= {f"{key}.{metric}": value for metric, value in plain.items()}
        for metric, (low, high) in values.get("ci95", {}).items():
            found |= {f"{key}.{metric}.low": low, f"{key}.{metric}.high": high}
        found |= {f"{key}.fields.{name}.f1": one["f1"] for name, one in (values.get("fields") or {}).items()}
        found[f"{key}.parameters"] = study.trained_parameters(variant)
    for variant in study.costs:
        costs = {what: study.cost(variant, what) for what in (*study.costs[variant], "row_ms")}
        found |= {f"{study.name}.costs.{variant}.{what}": value for what, value in costs.items()}
    return found


def check_numbers(soup: BeautifulSoup, known: dict[str, float], prefix: str) -> int:
    """Hold every number of a task on a page against what it was read from; returns how many there are."""
    tags = [tag for tag in soup("data") if tag["data-key"].startswith(prefix)]
    for tag in tags:
        value = known[tag["data-key"]]
        assert float(tag["value"]) == pytest.approx(value, abs=1e-12), tag
        written = tag.text.replace(",", "").replace("−", "-").rstrip("\xa0 %")
        scale, rounding = 100 if "%" in tag.text else 1, 0.5 * 10.0 ** -len(written.partition(".")[2])
        assert float(written) == pytest.approx(scale * value, rel=1e-9, abs=1.001 * rounding), tag
    return len(tags)


def test_numbers_are_those_of_the_metrics_file_kept_beside_the_page(finished, page, index):
    kept = json.loads((finished.report_dir / "calendar.json").read_text(encoding="utf-8"))
    assert kept == evidence(finished)
    assert kept["metrics"] == METRICS and kept["costs"]["lora"]["train_seconds"] == 12
    assert kept["test_part"] is True and kept["published"] is False and kept["drops"]["typos"] == -0.25
    known = numbers(make_study("calendar", **kept))
    assert check_numbers(page, known, "calendar.") > 40 and check_numbers(index, known, "calendar.") > 12
    assert kept["checks"]["slices of the rows that are harder, corrected for their number"] == [1, 2]
    assert kept["hard"][0]["value"] == "long" and kept["code"] == "ab12"
    assert kept["checks"]["changes of the input that cost more than chance would"] == [1, 3]
    assert kept["checks"]["rows of one part repeated in another"] == [0, None]


REPORTS = sorted(path for path in (ROOT / "report").glob("*.html") if path.stem != "index")


def kept_beside(path: Path) -> dict:
    """What a committed page was made from."""
    return json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))


def test_the_index_in_the_repository_says_where_its_runs_are_of_several_versions_of_the_code():
    versions = len({kept_beside(path)["code"] for path in REPORTS})
    said = re.findall(r"are of (\d) versions", (ROOT / "report" / "index.html").read_text(encoding="utf-8"))
    assert said == [str(versions)] * (versions > 1)


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: path.stem)
def test_report_in_the_repository_has_the_numbers_of_its_metrics_file_and_is_short(path):
    kept = kept_beside(path)
    assert kept["metrics"]["profile"] == "cpu" and kept["metrics"]["data"]["source"] == "sample"
    assert kept["results"] == results_of(path.stem), "older than results/: build the report again"
    assert path.stat().st_size < MAX_MEGABYTES * 1e6
    known = numbers(make_study(path.stem, **kept))
    page, index = soup_of(path), soup_of(path.with_name("index.html"))
    assert sum(check_numbers(one, known, f"{path.stem}.") for one in (page, index)) > 40
    for tag in page.select("main details, main pre, section[aria-labelledby=references]"):
        tag.decompose()
    assert len(page.select(".study-figure")) <= 8 and len(page.select(".study-table")) <= 6
    for table in page("table"):
        table.decompose()
    assert len(page.main.get_text(" ").split()) <= 3500, "ten minutes to read"


def study_of(task: str, best: str, **scores_of: float) -> Study:
    """A study of headline scores alone."""
    headline = load_task(task).headline
    variants = {name: {headline: score} for name, score in scores_of.items()}
    return make_study(task, metrics={"best": best, "variants": variants}, costs={})


def test_who_is_compared_with_whom():
    study = study_of("crime", "tagger", rules=0.656, base_few_shot=0.04, full=0.628, lora=0.584, tagger=0.849)
    assert (study.writer, study.baseline, study.marker) == ("full", "rules", "tagger")
    assert (study.untuned, study.tuned, study.deploy) == ("base_few_shot", "full", "tagger")
    assert study.marker_lead == pytest.approx(0.221) and study.tuning_gain == pytest.approx(0.588)
    assert study.largest_drop is None and not study.travels
    tags = study_of("it_ner", "enhanced", untuned=0.02, lora=0.8, full=0.78, enhanced=0.84, distilled=0.83)
    assert (tags.writer, tags.untuned, tags.tuned) == (None, "untuned", "lora"), "no features, no teacher"
    assert tags.tuning_gain is None, "its classifier was random"


MACROS = templates().get_template("macros.html").module


def said(macro: str, *given) -> str:
    """What a sentence of the templates says, as text."""
    return " ".join(BeautifulSoup(str(getattr(MACROS, macro)(*given)), "html.parser").text.split())


HELD_OUT = {"system": "lora", "group": "batch", "set": "barn", "rows": 9, "score": 0.25, "soft": 0.25, "home": 0.875}
ELSEWHERE = {"system": "lora", "group": "source", "set": "public", "rows": 1200, "score": 0.125, "soft": 0.5, "home": 0.875}
TUNED = study_of("crime", "lora", base_zero_shot=0.1, lora=0.5, tagger=0.7)
LEVEL = study_of("crime", "lora", rules=0.5, base_zero_shot=0.5, lora=0.5, tagger=0.5)
BEHIND = study_of("crime", "lora", rules=0.6, base_zero_shot=0.1, lora=0.0, tagger=0.2)
ALONE = study_of("crime", "tagger", tagger=0.7)
OF_LORA = {"exact_match": 0.5, "fields": {"date": {"f1": 0.0, "support": 9}}}
HARD = make_study(
    "calendar",
    metrics={"best": "lora", "variants": {"lora": OF_LORA}},
    costs={},
    hard=[{"slice": "length", "value": "long", "score": 0.25, "n": 30}],
    drops={"typos": 0.0},
    journeys=[HELD_OUT],
)


def journeying(*journeys) -> Study:
    """The same system, asked away from home."""
    return make_study("calendar", metrics=HARD.metrics, costs={}, journeys=list(journeys))


def with_p(p: float) -> Study:
    """A trained system that is ahead of the best without training, with a paired test."""
    study = study_of("crime", "tagger", rules=0.5, tagger=0.6)
    found = {"tagger vs rules": {"difference": 0.1, "low": 0.0, "high": 0.2, "p": p}}
    return make_study("crime", metrics=study.metrics, costs={}, tests=found)


TAGS = study_of("it_ner", "lora", untuned=0.02, dictionary=0.5, lora=0.8)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (said("verdict", TUNED), "Use lora (writes, an adapter): value F1 0.500 (95 % interval –); without training the best, base_zero_shot, has 0.100 (+0.400: the intervals do not overlap)."),
        (said("verdict", BEHIND), "Use rules: no trained system is better. It has value F1 0.600 (95 % interval –); lora has 0.000 (−0.600)."),
        (said("verdict", LEVEL), "Use base_zero_shot: no trained system is better. It has"),
        (said("verdict", study_of("crime", "lora", rules=0.5, lora=0.4, tagger=0.6)), "Use rules: the trained system that was chosen is not better."),
        (said("verdict", with_p(0.0001)), "has 0.500 (+0.100: more than chance, p < 0.001)."),
        (said("conclusions", [with_p(0.25)]), "Crime reports +0.100 over rules (could be chance, p = 0.25)."),
        (said("verdict", ALONE), "no system without training was scored."),
        (said("verdict", study_of("calendar", "vote", rules=0.5, vote=0.7)), "Use vote (the vote of tagger, lora and rules): exact match 0.700"),
        (said("tuning", TUNED), "takes it from 0.100 (untuned, base_zero_shot) to 0.500 (lora): +0.400."),
        (said("tuning", LEVEL), "does not change its score from 0.500"),
        (said("tuning", TAGS), "the bar is a dictionary of the train entities, 0.500 (it needs labels, but trains no weights)."),
        (said("tuning", study_of("it_ner", "lora", untuned=0.02, rules=0.3, lora=0.8)), "to gain on; the bar is rules, 0.300."),
        (said("tuning", study_of("it_ner", "lora", untuned=0.02, lora=0.8)), "no untuned score to gain on."),
        (said("writing", BEHIND), "(lora, 0.000) does not reach the best system without training (rules, 0.600): −0.600, the"),
        (said("writing", LEVEL), "(lora, 0.500) is level with the best system without training ("),
        (said("writing", TUNED), "is ahead of the best system without training (base_zero_shot, 0.100): +0.400, the"),
        (said("conclusions", [TUNED, BEHIND]), "The best model that only writes: Crime reports lora, 0.500, is ahead of base_zero_shot, 0.100; Crime reports lora, 0.000, does not reach rules"),
        (said("tuning", BEHIND), "to 0.000 (lora): −0.100."),
        (said("marking", TUNED), "tagger is ahead of lora by 0.200 (0.700 and 0.500; the intervals do not overlap). It is also shown what the rules propose, so"),
        (said("marking", LEVEL), "tagger is level with lora (0.500 and 0.500)."),
        (said("weakness", HARD), "length long (0.250 on 30 rows). No change of the input lowers the score. Trained anew"),
        (said("weakness", HARD), "away from home, lora has 0.25 without barn, on the rows of this batch."),
        (said("weakness", journeying(HELD_OUT, HELD_OUT | {"set": "hall"})), "lora has 0.25 on every batch held out whole."),
        (said("weakness", journeying(HELD_OUT | {"score": 0.5}, HELD_OUT)), "between 0.25 (without barn; 0.88 at home in that training) and 0.50 (without barn) on a batch held out whole."),
        (said("weakness", journeying(ELSEWHERE)), "lora has on 1,200 rows of public 0.12 exactly, 0.50 if spelling is forgiven."),
        (said("weakness", journeying(HELD_OUT, ELSEWHERE | {"soft": 0.125, "rows": 1})), "this batch; on 1 row of public 0.12."),
        (said("conclusions", [TUNED]), "most of the score in this task: Crime reports 0.100 → 0.500."),
        (said("conclusions", [BEHIND]), "most of the score in no task"),
        (said("conclusions", [TUNED, LEVEL, BEHIND]), "most of the score in 1 of 3 tasks"),
        (said("conclusions", [LEVEL, LEVEL, LEVEL]), "has a higher score than the best without training in no task"),
        (said("conclusions", [ALONE]), "No model was scored both untuned and fine-tuned. No task has both"),
        (said("conclusions", [ALONE]), "What a change of the input costs was not measured. How the systems to use do away from home has not been measured."),
        (said("conclusions", [HARD]), "No change of the input lowers a score. Away from home, in trainings of their own: Calendar events 0.25 without barn, on the rows of this batch. Home is"),
    ],
)  # fmt: skip
def test_sentences_hold_at_zero_one_tie_and_undefined(sentence, expected):
    assert expected in sentence


@pytest.mark.parametrize("macro", ["tuning", "writing", "marking", "weakness"])
def test_what_cannot_be_compared_is_not_spoken_of(macro):
    assert said("weakness", journeying(HELD_OUT | {"system": "qlora"})) == ""
    assert said(macro, ALONE) == "" and said("spent", ALONE, "tagger") == ""


def test_other_runs_name_what_one_training_and_a_second_one_of_the_same_settings_gave():
    lines = [("rules", "all", "0.500", 1), ("tagger", "all", "0.625", 1), ("rules", "no hints", "0.500", 1)]
    beside = [dict(zip(("system", "setting", "score", "runs"), line)) | {"data": "sample"} for line in lines]
    scored = {"rules": {"exact_match": 0.5}, "tagger": {"exact_match": 0.75}}
    metrics = {"best": "tagger", "variants": scored}
    study = make_study("calendar", metrics=metrics, costs={}, beside=beside)
    assert [(one["system"], one["setting"]) for one in study.other_runs] == [("rules", "any"), ("tagger", "all")]
    caption = said("beside_table", study)
    assert "One training a line, so no spread is known." in caption and "main table" not in caption
    beside[1]["same"] = True
    again = make_study("calendar", metrics=metrics, costs={}, beside=beside)
    assert "The tagger of the main table, of the same settings and seed, has 0.750, and here 0.625." in said("beside_table", again)
    beside[1]["runs"] = 3
    assert "Mean ± standard deviation over runs; of one run no" in said("beside_table", study)


def test_megabytes_to_run_are_those_of_whole_weights_or_with_the_base():
    variants = {name: {"exact_match": 0.5} for name in ("lora", "tagger", "vote")}
    costs = {"lora": {"size_mb": 2.0, "run_mb": 52.0}, "tagger": {"size_mb": 9.0}, "vote": {"size_mb": 11.0}}
    study = make_study("calendar", metrics={"best": "vote", "variants": variants}, costs=costs)
    assert [study.cost(name, "run_mb") for name in variants] == [52.0, 9.0, None]


def test_the_run_is_found_again_from_what_it_left(finished):
    assert command(read_run(finished.root, "calendar")) == command(finished)
    assert command(finished) == "./run_all.sh calendar --profile smoke --data sample --set few_shot=7"


def test_a_task_of_ones_own_is_run_again_by_its_folder(tmp_path):
    own = Run(str(ROOT / "docs" / "example" / "tickets"), "smoke", out=str(tmp_path))
    assert command(own) == "./run_all.sh docs/example/tickets --profile smoke --data sample"
    (tmp_path / "menus").mkdir()
    (tmp_path / "menus" / "labels.txt").write_text("DISH")
    assert command(Run(str(tmp_path / "menus"), out=str(tmp_path))).startswith("./run_all.sh menus --profile cpu")
    assert read_run(tmp_path, str(tmp_path / "menus")).dir == tmp_path / "artifacts" / "menus"
    with pytest.raises(UserError, match=rf"run \./run_all\.sh {tmp_path}/menus first"):
        pages.main(f"{tmp_path}/menus/", tmp_path)


# -- the document -----------------------------------------------------------------------------------------------------
def test_conclusions_and_chosen_figures_come_before_the_folded_notebooks(page):
    errors = page.find("section", attrs={"aria-labelledby": "errors"})
    assert "Boundaries are hard." in errors.ul.text and errors.find("figure", id="figure-error_classes")
    folded = page.select("details.notebook")
    heads = [one.summary.get_text(" ", strip=True) for one in folded]
    assert heads == ["1 · What is in the data?", "6 · Error analysis"]
    assert not any(one.has_attr("open") for one in folded)
    assert folded[1].find("a", href="#figure-error_classes").text == "Boundaries are commonest."
    ids = [tag["id"] for tag in page(id=True)]
    assert len(ids) == len(set(ids))


def test_the_page_has_what_cells_show_and_nothing_of_machinery_noise_and_other_places(page):
    text = page.get_text()
    for gone in ("bootstrap-cell", "parameters-cell", "injected-cell", "it/s", "example.org"):
        assert gone not in str(page), gone
    assert "read 40 rows <ok>" in text and "kept" in text and "The share is 0.75." in text
    assert "from helpers import plots\n\nrows = load()" in text, "neighbouring code cells share one block"
    loaders = page(["img", "script", "link", "iframe", "source"])
    loaded = [tag.get("src") or tag.get("href") for tag in loaders]
    assert all(where is None or where.startswith("data:") for where in loaded)
    assert not re.search(r"url\(|@import", page.style.text)


def test_banner_scores_and_appendix_say_what_was_run(finished, page):
    abstract = " ".join(page.select_one(".abstract").text.split())
    assert "took 12 s for 90,112 trained parameters; it takes 0.4 MB on disk beside its base and 500 ms a row." in abstract
    appendix = page.find("section", attrs={"aria-labelledby": "appendix"}).get_text(" ", strip=True)
    assert command(finished) in appendix and "Test CPU" in appendix
    banner = page.select_one(".banner").get_text(" ", strip=True)
    assert "technical test" in banner and "A large language model composed them" in banner
    assert "4.1\N{NO-BREAK SPACE}M parameters" in banner, "without the adapter"
    rows = [row.th.text for row in page.select("#table-scores tbody tr")]
    assert rows == ["rules", "base_zero_shot", "lora", "qlora"], "default decodings, baselines first"
    assert page.select_one("tr.best").th.text == "lora"


def test_tables_of_other_runs_and_of_home_and_away_are_shown_where_measured(finished):
    other = ["lora", "public", "no hints", "0.700 ± 0.010", 3]
    kept = evidence(finished) | {"away": {"lora": {"home": 0.875, "score": 0.8125, "away": 0.5, "low": 0.25, "high": 0.75}}, "why": "Because."}
    kept["beside"] = [dict(zip(("system", "data", "setting", "score", "runs"), other))]
    kept["journeys"] = [HELD_OUT, HELD_OUT | {"set": "hall", "score": 0.75}, ELSEWHERE]
    study = make_study("calendar", **kept)
    page = BeautifulSoup(task_page(finished, study, []), "html.parser")
    assert [cell.text for cell in page.select("#table-beside tbody tr > *")] == list(map(str, other))
    assert [cell.text for cell in page.select("#table-away tbody tr > *")] == [
        "lora",
        *("0.812", "0.250 barn", "0.750 hall", "0.125 0.500 forgiven"),
    ]
    assert "Because." in page.select_one("#table-away figcaption").text
    assert "0.25–0.75 public 0.12" in said("cross_table", [study])


def test_a_task_of_ones_own_is_called_by_its_folder(tmp_path):
    folder = tmp_path / "garden_plants"
    folder.mkdir()
    (folder / "labels.txt").write_text("PLANT PLACE")
    study = make_study(folder, metrics={"data": {"source": "sample"}}, costs={})
    assert study.title == "Garden plants" and study.description == "From each text 2 fields: PLANT, PLACE."
    assert "the rows of the folder “garden_plants”" in said("banner", study) and not study.card


def test_the_index_has_a_card_with_the_standings(index):
    card = index.select_one("article.card")
    assert card.a["href"] == "calendar.html" and "Exact match on 17 test rows" in card.text
    assert [row.th.text for row in card.select("tbody tr")] == ["lora", "qlora", "rules", "base_zero_shot"]
    assert index.footer.code.text.startswith("./run_all.sh calendar --profile smoke")


def test_index_shows_what_earlier_runs_left_and_the_licence_of_public_data(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    run.report_dir.mkdir()
    headline = load_task("crime").headline
    lines = {"tagger": {headline: 0.8125, "ci95": {headline: [0.75, 0.875]}}}

    def keep(name, metrics):
        kept = json.dumps({"metrics": metrics, "costs": {}})
        (run.report_dir / f"{name}.json").write_text(kept, encoding="utf-8")

    keep("crime", {"best": "tagger", "variants": lines})
    assert "crime" not in index_page(run), "a document is missing"
    (run.report_dir / "crime.html").touch()
    assert index_page(run).count("crime.html") == 2 and "0.812" in index_page(run)
    assert "Licence" not in index_page(run)
    keep("calendar", {"best": "lora", "data": {"source": "public"}, "variants": {"lora": scores(0.5)}})
    (run.report_dir / "calendar.html").touch()
    assert "Licence: Apache-2.0. Citation: P. Koujalagi" in index_page(run)


def test_a_score_on_the_rows_that_chose_the_variant_is_marked(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    run.path("splits", "validation.jsonl").touch()  # and no test part
    run.path("metrics.json").write_text(json.dumps(METRICS), encoding="utf-8")
    nbformat.write(notebooks()["06_error_analysis"], run.path("notebooks", "06_error_analysis.ipynb"))
    assert "these rows also chose the system" in build(run).read_text(encoding="utf-8")


def test_executed_notebooks_are_kept_to_read_without_machinery_and_other_cells(finished, tmp_path):
    folder = finished.report_dir / "notebooks" / "calendar"
    (folder / "09_gone.ipynb").touch()
    before = (finished.report_dir / "calendar.html").read_bytes()
    assert build(finished).read_bytes() == before, "building again changes nothing"
    assert sorted(path.name for path in folder.iterdir()) == ["01_eda.ipynb", "06_error_analysis.ipynb"]
    copy = nbformat.read(folder / "01_eda.ipynb", 4)
    assert not re.search("injected-cell|bootstrap-cell|3.1it", json.dumps(copy))
    image, caption, table = (output for cell in copy.cells[-2:] for output in cell.outputs)
    assert image.data["image/png"].startswith("iVBOR") and "<figure" in table.data["text/html"]
    assert caption.data["text/markdown"] == "*Most rows have a date.*"
    other = new_notebook(cells=[code("tagged = 1", tags=["only-tags"])], metadata={"papermill": {"x": 1}})
    nbformat.write(other, tmp_path / "05.ipynb")
    assert reading_copy(tmp_path / "05.ipynb", {"writes"}) == new_notebook()


@pytest.mark.parametrize("path", sorted((ROOT / "report" / "notebooks").glob("*/*.ipynb")), ids=str)
def test_notebooks_in_the_repository_have_the_cells_of_today_and_are_small(path):
    """A copy that shows other code than `notebooks/` is of an earlier run: run ./run_all.sh again."""
    assert path.stat().st_size < MAX_COPY_MEGABYTES * 1e6
    today = nbformat.read(ROOT / "notebooks" / path.name, 4)
    sources = [cell.source for cell in today.cells]
    shown = [cell.source for cell in nbformat.read(path, 4).cells]
    assert shown == [source for source in sources if source in shown] and len(shown) > len(sources) / 2


def test_report_without_metrics_says_so_and_without_notebooks_is_refused(tmp_path):
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    with pytest.raises(UserError, match="no executed notebook"):
        build(run)
    nbformat.write(notebooks()["06_error_analysis"], run.path("notebooks", "01_eda.ipynb"))
    assert "has not been scored" in build(run).read_text(encoding="utf-8")
    assert "No task has been scored" in (run.report_dir / "index.html").read_text(encoding="utf-8")


def test_a_damaged_notebook_is_one_line_and_help_is_no_task(tmp_path, capsys):
    notebook = tmp_path / "artifacts" / "calendar" / "notebooks" / "01_eda.ipynb"
    notebook.parent.mkdir(parents=True)
    for content in ("", '{"cells": [', "[]", '{"cells": 1, "nbformat": 4}'):
        notebook.write_text(content)
        assert status(pages.main, ["calendar", str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert "01_eda.ipynb is no notebook" in said and said.count("\n") == 1
    assert status(pages.main, ["--help"]) == 0 and "FOLDER" in capsys.readouterr().out


def test_an_index_is_written_while_no_other_run_writes_one(finished, monkeypatch):
    def index(run):
        with run.dir.with_name(".report-lock").open("w") as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return index_page(run)

    monkeypatch.setattr(pages, "index_page", index)
    build(finished)


# -- in a browser -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api")
    path = pdf.find_browser() or pytest.skip("no chromium found (set CHROMIUM to its path)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=CHROMIUM_OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser):
    """Opens a file in a new tab; what goes wrong there (messages, errors, requests that are not for files) fails the test."""
    contexts, trouble = [], []

    def opened(path: Path, width: int = 1400, dark: bool = False):
        scheme = "dark" if dark else "light"
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: trouble.append(message.text))
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        local = ("file:", "data:")
        tab.on("request", lambda asked: asked.url.startswith(local) or trouble.append(asked.url))
        tab.goto(path.as_uri(), wait_until="load")
        return tab

    yield opened
    for context in contexts:
        context.close()
    assert trouble == []


LOST_LINKS = """Array.from(document.querySelectorAll("a[href^='#']"))
    .filter(link => !document.getElementById(decodeURIComponent(link.hash.slice(1)))).map(link => link.hash)"""
UNFOLD = "document.querySelectorAll('details.notebook').forEach(one => { one.open = true; })"
TOO_WIDE = """Array.from(document.querySelectorAll("main *:not(pre *, math *, .equation *, .unseen, .unseen *)"))
    .filter(e => e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 90))"""


@pytest.mark.parametrize("width", [400, 800, 1400])
@pytest.mark.parametrize("path", ["calendar", "index", ROOT / "report" / "index.html", *REPORTS], ids=str)
def test_pages_load_whole_and_fit_every_width(open_page, finished, path, width):
    tab = open_page(finished.report_dir / f"{path}.html" if isinstance(path, str) else path, width)
    tab.evaluate(UNFOLD)
    assert tab.evaluate("Array.from(document.images).every(image => image.naturalWidth > 0 && image.alt)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.evaluate("document.querySelector('main').clientWidth") >= min(width, 730), "a squeezed column"
    assert tab.evaluate(LOST_LINKS) == []
    if width == 400:
        assert tab.evaluate(TOO_WIDE) == [], "figures and tables are not cut on a phone"


def test_contents_links_lead_to_their_headings_and_unfold_notebooks(open_page, finished):
    tab = open_page(finished.report_dir / "calendar.html")
    tab.emulate_media(reduced_motion="reduce")
    tab.locator("nav.contents a", has_text="Errors").click()
    tab.wait_for_selector("nav.contents a[aria-current]:has-text('Errors')", timeout=5000)
    tab.evaluate("location.hash = '#06_error_analysis-1'")
    tab.wait_for_function("document.getElementById('06_error_analysis').open", timeout=5000)
    top = "document.getElementById('06_error_analysis-1').getBoundingClientRect().top"
    tab.wait_for_function(f"Math.abs({top}) < 600", timeout=5000)


def colours(tab) -> list[list[int]]:
    """Background and ink of a page."""
    return tab.evaluate("""(() => { const look = getComputedStyle(document.body);
        return [look.backgroundColor, look.color].map(c => c.match(/\\d+/g).slice(0, 3).map(Number)); })()""")


def test_a_dark_page_is_readable_and_printed_light_whole_and_without_contents(open_page, finished):
    tab = open_page(finished.report_dir / "calendar.html", width=700, dark=True)
    ground, ink = colours(tab)
    assert max(ground) < 60 and min(ink) > 200
    tab.emulate_media(media="print", color_scheme="dark")
    assert colours(tab)[1] == [0, 0, 0] and not tab.locator("nav.contents").is_visible()
    assert tab.evaluate("getComputedStyle(document.querySelector('figure img')).filter") == "none"
    assert tab.evaluate("document.documentElement.scrollWidth") <= 700


def test_pdf_is_printed_beside_the_page_and_kept_while_it_is_newer(browser, finished, tmp_path):
    page = tmp_path / "calendar.html"
    page.write_bytes((finished.report_dir / "calendar.html").read_bytes())
    printed = pdf.print_pdf(page)
    assert printed == tmp_path / "calendar.pdf" and pdf.up_to_date(page)
    content = printed.read_bytes()
    assert len(re.findall(rb"/Type\s*/Page\b", content)) > 4, "notebooks unfolded"
    os.utime(page, (printed.stat().st_mtime + 5,) * 2)
    assert not pdf.up_to_date(page)


def test_pdf_with_a_broken_browser_is_one_line(tmp_path, monkeypatch):
    page, broken = tmp_path / "calendar.html", tmp_path / "broken"
    page.write_text("<p>text", encoding="utf-8")
    broken.write_text("#!/bin/sh\necho 'cannot open display' >&2\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setenv("CHROMIUM", str(broken))
    with pytest.raises(UserError, match="broken made none .cannot open display"):
        pdf.print_pdf(page)
    assert not page.with_suffix(".pdf").exists()
