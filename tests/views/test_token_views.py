"""What the notebooks show of token taggers: pieces, features, repeated sentences, compression."""

from __future__ import annotations

import pandas as pd
import pytest
from tiny_encoder import save_tiny_encoder, sentence, sentences, tiny_run

from helpers.data.read import write_jsonl
from helpers.data.splits import write_splits
from helpers.export.latency import teachers
from helpers.tagging.model import adapter_layers, load_token_tokenizer
from helpers.tasks import load_task
from helpers.views.token_plots import compression_picture
from helpers.views.token_views import (
    compression_finding,
    feature_table,
    fullest,
    piece_table,
    repeated_sentences,
    repetition_finding,
    window_finding,
)
from helpers.views.training_views import adapter_sizes


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_tiny_encoder(tmp_path_factory.mktemp("views") / "encoder")


def test_words_are_shown_with_pieces_and_tags(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path)
    tokenizer = load_token_tokenizer(run)
    example = sentence("Kubernetes/B-SOFTWARE runs", 3)
    table = piece_table(tokenizer, example)
    assert table["tag"].tolist() == ["B-SOFTWARE", "O"] and table.index.tolist() == ["Kubernetes", "runs"]
    assert (
        table.loc["Kubernetes", "pieces"].split() == tokenizer.tokenize("Kubernetes")
        and "finer_tag" not in table
    )
    text = window_finding(run, tokenizer, [example, sentence("word " * 60, 4)])
    assert "the longest one 60 words" in text and "**1** of 2 are longer than 32 pieces" in text


def test_the_fullest_short_sentence_is_shown():
    long = sentence(" ".join(f"w{at}/B-OS" for at in range(30)), 9)
    assert fullest([long, *sentences()]).id != 9 and fullest([long]).id == 9
    assert (
        fullest(
            [sentence("a b", 0), sentence("Vim/B-SOFTWARE 9/B-VERSION", 1), sentence("Vim/B-SOFTWARE", 2)]
        ).id
        == 1
    )


def test_a_row_does_not_find_itself_in_the_gazetteer():
    rows = [
        sentence("Vim/B-SOFTWARE hangs", 0),
        sentence("emacs/B-SOFTWARE hangs", 1),
        sentence("vim/B-SOFTWARE", 2),
    ]
    table = feature_table(load_task("it_ner"), rows, rows[0])
    assert table["gazetteer"].tolist() == ["mostly SOFTWARE", "never an entity"]
    assert table["casing"].tolist() == ["title", "lower"] and table["shape"].tolist() == ["Xxx", "xx"]
    assert feature_table(load_task("it_ner"), rows, rows[1])["gazetteer"].tolist()[0] == "never seen"


def test_repeats_are_counted_against_train_as_it_came(encoder, tmp_path):
    train = [
        {"tokens": ["Vim", "hangs"], "ner_tags": ["B-SOFTWARE", "O"]},
        {"tokens": ["no"], "ner_tags": ["O"]},
    ]
    (tmp_path / "data" / "it_ner").mkdir(parents=True)
    for part, rows in (
        ("train", train),
        ("validation", [train[0], {"tokens": ["vi"], "ner_tags": ["B-SOFTWARE"]}]),
    ):
        write_jsonl(tmp_path / "data" / "it_ner" / f"{part}.jsonl", rows)
    run = tiny_run(encoder, tmp_path / "out")
    run.data = str(tmp_path / "data")
    scored = [sentence("Vim/B-SOFTWARE hangs", 0), sentence("vi/B-SOFTWARE", 1)]
    write_splits(run, {"train": [sentence("no", 1)], "validation": scored})
    records = [{"id": 0, "prediction": ["B-SOFTWARE", "O"]}, {"id": 1, "prediction": ["O"]}]
    table = repeated_sentences(run, scored, {"one": records})
    assert table.loc["one", ["all", "unseen", "rows", "seen"]].tolist() == [pytest.approx(2 / 3), 0, 2, 1]
    text = repetition_finding(table, "one")
    assert "**1** of 2 scored sentences" in text and "0.000 instead of 0.667 (-66.7 points)" in text
    assert "None of the 2" in repetition_finding(table.assign(seen=0), "one")


def test_what_compression_gains_and_loses_is_told():
    rows = {
        ("full", "PyTorch fp32"): (90, 20.0, 1.0, 0.80, 0.0, 0.0),
        ("full", "ONNX fp32"): (90, 12.0, 1.6, 0.80, 0.0, 2e-6),
        ("full", "ONNX int8"): (23, 5.0, 4.0, 0.79, -0.01, None),
        ("small", "PyTorch fp32"): (60, 10.0, 1.0, 0.78, 0.0, 0.0),
        ("small", "ONNX fp32"): (60, 6.0, 1.6, 0.78, 0.0, 5e-6),
        ("small", "ONNX int8"): (15, 4.0, 2.5, 0.78, 0.0, None),
    }
    table = pd.DataFrame.from_dict(
        rows, orient="index", columns=["megabytes", "ms", "speedup", "f1", "f1_change", "largest_difference"]
    )
    table.index = pd.MultiIndex.from_tuples(rows, names=["variant", "form"])
    text = compression_finding(table, {"small": "full", "gone": "full"})
    assert "within 5.0e-06" in text and "2.5 to 4.0 times as fast" in text and "15 to 23 MB" in text
    assert "F1 by -1.0 to +0.0 points" in text and "adapter" not in text
    merged = compression_finding(table.rename(index={"small": "lora"}, level="variant"), {})
    assert "*lora* takes 10.0 ms, **0.50** times the 20.0 ms of *full*" in merged
    assert (
        "*small* is **2.0** times as fast as its teacher *full*, at -2.0 points" in text
        and "gone" not in text
    )


def test_students_know_their_teachers(encoder, tmp_path):
    assert teachers(tiny_run(encoder, tmp_path)) == {"distilled": "enhanced"}
    assert teachers(tiny_run(encoder, tmp_path, distilled__teacher="full, lora")) == {"distilled": "full"}


def test_adapters_are_counted_on_the_encoder(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path)
    groups = adapter_layers(run)[1]
    assert groups == {
        "attention": ["query", "key", "value"],
        "all linear layers": ["query", "key", "value", "dense"],
    }
    sizes = adapter_sizes(run, ranks=(4,)).set_index("layers")["parameters"]
    assert sizes["attention"] == 2 * 3 * 4 * (32 + 32)  # two layers, three matrices of 32 × 32
    assert sizes["all linear layers"] == 2 * 4 * (4 * (32 + 32) + 2 * (32 + 64))


# -- compression -------------------------------------------------------------------------------------------------------
def test_the_picture_shows_every_form_with_its_size():
    variants, forms = ["full", "distilled"], ["PyTorch fp32", "ONNX int8"]
    table = pd.DataFrame(
        {"ms": [20.0, 8.0, 11.0, 4.0], "f1": [0.7, 0.69, 0.68, 0.67], "megabytes": [90, 23, 69, 17]},
        pd.MultiIndex.from_product([variants, forms], names=["variant", "form"]),
    )
    ax = compression_picture(table).axes[0]
    assert sorted(text.get_text() for text in ax.texts) == ["17 MB", "23 MB", "69 MB", "90 MB"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == variants + forms
    assert ax.get_xscale() == "log" and "ms" in ax.get_xlabel()
