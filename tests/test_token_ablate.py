"""Ablation of the enhanced tagger, and the picture of compression."""
from __future__ import annotations

import pandas as pd
import pytest
from tiny_encoder import save_tiny_encoder, sentences, tiny_run

from helpers import token_ablate
from helpers.data import read_jsonl, write_jsonl
from helpers.splits import write_splits
from helpers.token_ablate import PARTS, WHOLE, ablate_parts, ablation_table
from helpers.token_plots import compression_picture


def test_parts_change_settings_that_exist():
    from helpers.tasks import get_task

    known = get_task("it_ner").settings("cpu")
    assert all(f"enhanced.{name}" in known and known[f"enhanced.{name}"] != value
               for changed in PARTS.values() for name, value in changed.items())


def test_differences_are_taken_within_a_seed():
    table = ablation_table({WHOLE: [0.8, 0.6], "less": [0.7, 0.65]})
    assert table.loc["less", ["seeds", "worse"]].tolist() == [2, 1]
    assert table.loc["less", "difference"] == pytest.approx(-0.025) and table.loc[WHOLE, "f1"] == pytest.approx(0.7)


def test_each_part_and_seed_is_trained_once_with_its_settings(tmp_path, monkeypatch):
    run = tiny_run(save_tiny_encoder(tmp_path / "encoder"), tmp_path / "out", enhanced__epochs=1)
    write_splits(run, {"train": sentences(), "validation": sentences()[:4]})
    write_jsonl(run.path("splits", "train_augmented.jsonl"), read_jsonl(run.path("splits", "train.jsonl")))
    calls, original = [], token_ablate.fit

    def counted(own, *arguments):
        calls.append((own["enhanced.crf"], own.seed))
        return original(own, *arguments)

    monkeypatch.setattr(token_ablate, "fit", counted)
    parts = {WHOLE: {}, "without CRF": {"crf": False}}
    table = ablate_parts(run, 1, parts=parts)
    assert calls == [(True, 42), (False, 42)] and table["seeds"].tolist() == [1, 1]
    histories = [path.read_bytes() for path in run.path("ablation", "x").parent.rglob("history/enhanced.json")]
    assert len(set(histories)) == 2
    assert ablate_parts(run, 1, parts=parts).equals(table)


def test_the_picture_shows_every_form_with_its_size():
    variants, forms = ["full", "distilled"], ["PyTorch fp32", "ONNX int8"]
    table = pd.DataFrame({"ms": [20.0, 8.0, 11.0, 4.0], "f1": [0.7, 0.69, 0.68, 0.67], "megabytes": [90, 23, 69, 17]},
                         pd.MultiIndex.from_product([variants, forms], names=["variant", "form"]))
    ax = compression_picture(table).axes[0]
    assert sorted(text.get_text() for text in ax.texts) == ["17 MB", "23 MB", "69 MB", "90 MB"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == variants + forms
    assert ax.get_xscale() == "log" and "ms" in ax.get_xlabel()
