"""Single rows as they are shown: places of values, label beside prediction, pieces, tags and features of words."""

from __future__ import annotations

import pandas as pd
import pytest
from tiny_encoder import save_tiny_encoder, sentence, sentences, tiny_run
from tiny_task import TASK, failed, record, row

from helpers.export.latency import teachers
from helpers.tagging.model import adapter_layers, load_token_tokenizer
from helpers.tasks import load_task
from helpers.views import findings, rows
from helpers.views.training import adapter_sizes


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_tiny_encoder(tmp_path_factory.mktemp("views") / "encoder")


def test_entity_spans_take_each_place_once():
    example = row(0, text="Ann calls Ann on Monday", name="Ann", day="monday", people=["Ann", "Bo"])
    assert rows.entity_spans(TASK, example, example.target) == [
        (0, 3, "name"),
        (10, 13, "people"),
        (17, 23, "day"),
    ]
    assert rows.entity_spans(TASK, example, None) == []


def test_wrong_rows_are_valid_ones():
    gold = [
        row(0, "long text", name="a", day="monday"),
        row(1, "short", name="b", day="tuesday"),
        row(2, "x", name="c"),
        row(3, "y", name="d", day="monday", people=["A"]),
    ]
    records = [record(0, "a", "monday"), record(1, "b", "tuesday"), record(2, "c"), record(3, "no")]
    assert [one.id for one, _ in rows.wrong_rows(TASK, gold, records, 5)] == [3]
    assert rows.wrong_rows(TASK, [row(0)], [failed(0, "")]) == []
    table = rows.label_and_prediction(TASK, gold[3], records[3]["prediction"])
    assert table.loc["name"].tolist() == ["d", "no", "no"] and table.loc["people", "label"] == "A"


def test_an_answer_becomes_a_table_and_a_marked_text():
    spans = {"action": [{"start": 0, "end": 5}], "time": [{"start": 11, "end": 14}]}
    answer = {
        "fields": {"action": "Lunch", "attendees": ["Ann", "Bo"], "date": None},
        "spans": {"action": spans["action"]},
        "confidence": {"action": 0.9, "attendees": None},
        "needs_review": ["attendees"],
    }
    table = rows.answer_table(answer)
    assert table["value"].tolist() == ["Lunch", "Ann, Bo", None] and pd.isna(table["confidence"][1])
    assert table["characters"].tolist()[0] == "0–5" and table["review"].tolist() == ["", "yes", ""]
    html = rows.marked_text("Lunch <at> 1pm", spans, ("action", "time"))
    assert 'title="time"' in html and "&lt;at&gt;" in html and html.index(">Lunch<") < html.index(">1pm<")


def test_words_are_shown_with_pieces_and_tags(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path)
    tokenizer = load_token_tokenizer(run)
    example = sentence("Kubernetes/B-SOFTWARE runs", 3)
    table = rows.piece_table(tokenizer, example)
    assert table["tag"].tolist() == ["B-SOFTWARE", "O"] and table.index.tolist() == ["Kubernetes", "runs"]
    assert table.loc["Kubernetes", "pieces"].split() == tokenizer.tokenize("Kubernetes")
    assert "finer_tag" not in table
    windows = rows.sentence_windows(run, tokenizer, [example, sentence("word " * 60, 4)])
    text = findings.windows(windows, run["max_pieces"])
    assert "the longest one 60 words" in text and "**1** of 2 are longer than 32 pieces" in text


def test_the_fullest_short_sentence_is_shown():
    long = sentence(" ".join(f"w{at}/B-OS" for at in range(30)), 9)
    assert rows.fullest([long, *sentences()]).id != 9 and rows.fullest([long]).id == 9
    short = [sentence("a b", 0), sentence("Vim/B-SOFTWARE 9/B-VERSION", 1), sentence("Vim/B-SOFTWARE", 2)]
    assert rows.fullest(short).id == 1


def test_a_row_does_not_find_itself_in_the_gazetteer():
    train = [
        sentence("Vim/B-SOFTWARE hangs", 0),
        sentence("emacs/B-SOFTWARE hangs", 1),
        sentence("vim/B-SOFTWARE", 2),
    ]
    table = rows.feature_table(load_task("it_ner"), train, train[0])
    assert table["gazetteer"].tolist() == ["mostly SOFTWARE", "never an entity"]
    assert table["casing"].tolist() == ["title", "lower"] and table["shape"].tolist() == ["Xxx", "xx"]
    assert rows.feature_table(load_task("it_ner"), train, train[1])["gazetteer"].tolist()[0] == "never seen"


def test_students_know_their_teachers(encoder, tmp_path):
    assert teachers(tiny_run(encoder, tmp_path)) == {"distilled": "enhanced"}
    assert teachers(tiny_run(encoder, tmp_path, distilled__teacher="full, lora")) == {"distilled": "full"}


def test_adapters_are_counted_on_the_encoder(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path)
    linear = ["query", "key", "value", "dense"]
    assert adapter_layers(run)[1] == {"attention": linear[:3], "all linear layers": linear}
    sizes = adapter_sizes(run, ranks=(4,)).set_index("layers")["parameters"]
    assert sizes["attention"] == 2 * 3 * 4 * (32 + 32)  # two layers, three matrices of 32 × 32
    assert sizes["all linear layers"] == 2 * 4 * (4 * (32 + 32) + 2 * (32 + 64))
