"""Export, quantisation and latency of token taggers, on a narrow encoder of random weights."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from tiny_encoder import save_tiny_encoder, sentence, sentences, tiny_run

from helpers.errors import UserError
from helpers.export.latency import compression_table, interleaved, latency_line
from helpers.export.onnx_export import (
    example_inputs,
    export_onnx,
    export_tagger,
    kept_whole,
    largest_difference,
    onnx_megabytes,
    predict_onnx,
    quantise_onnx,
)
from helpers.export.onnx_runtime import open_session
from helpers.models.encoder import encoder_path
from helpers.tagging.features import fit_features
from helpers.tagging.model import TokenTagger, TrainedTagger, layout_of, load_encoder, load_token_tokenizer
from helpers.tagging.predict import predict_with
from helpers.tasks.it_ner.tags import TAGS
from helpers.training.fit import fit


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def tagger(encoder, tmp_path_factory):
    """A tagger with word features whose weights all matter."""
    run = tiny_run(encoder, tmp_path_factory.mktemp("run"))
    features = fit_features(run.task, sentences(), True, True)
    base = load_encoder(run, encoder_path(run), TAGS, attention="eager")
    model = TokenTagger(base, layout_of(run.task, features.sizes)).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return TrainedTagger(model, load_token_tokenizer(run), features, np.zeros((len(TAGS), len(TAGS))))


@pytest.fixture(scope="module")
def exported(tagger, tmp_path_factory):
    return export_tagger(tagger.model, tmp_path_factory.mktemp("onnx"))


def test_logits_are_the_same_for_other_batches_lengths_and_padding(tagger, exported):
    session = open_session(exported, 1)
    assert largest_difference(tagger.model, session, [(1, 2), (1, 40), (5, 9)]) < 1e-4
    inputs = example_inputs(tagger.model, 3, 9)
    assert inputs["attention_mask"].sum(1).tolist() == [9, 8, 7]
    tagger.model.base.classifier.bias.data.add_(0.01)
    try:
        assert largest_difference(tagger.model, session) > 1e-3  # other weights would be seen
    finally:
        tagger.model.base.classifier.bias.data.sub_(0.01)


def test_predictions_are_those_of_pytorch_also_in_windows(tagger, exported, encoder, tmp_path):
    run = tiny_run(encoder, tmp_path, max_pieces=12)
    rows = [*sentences(), sentence(" ".join(["Docker", "fails", "on", "Debian"] * 8), 20)]
    expected = predict_with(run, tagger, rows)
    found = predict_onnx(run, tagger, exported, rows, threads=1)
    assert [record["prediction"] for record in found] == [record["prediction"] for record in expected]
    assert any(set(record["prediction"]) != {"O"} for record in found)


@pytest.mark.parametrize("per_channel", [True, False])
def test_int8_weights_are_a_quarter_and_near(tagger, exported, per_channel):
    small = quantise_onnx(exported, per_channel)
    assert onnx_megabytes(small) < 0.35 * onnx_megabytes(exported)
    assert 0 < largest_difference(tagger.model, open_session(small, 1)) < 1.5


def test_what_int8_would_spoil_stays_as_it_is(tmp_path):
    run = tiny_run(save_tiny_encoder(tmp_path / "encoder", layers=8), tmp_path)
    features = fit_features(run.task, sentences(), True, True)
    base = load_encoder(run, encoder_path(run), TAGS, attention="eager")
    plain = export_tagger(TokenTagger(base, layout_of(run.task, features.sizes)).eval(), tmp_path / "onnx")
    kept = kept_whole(onnx.load(str(plain)).graph)
    assert sum("feature" in name for name in kept) == 2 * len(features.sizes)
    seconds = [f"/model/base/bert/encoder/layer.{layer}/output/dense/MatMul" for layer in (0, 1)]
    assert [name for name in kept if "MatMul" in name] == ["/model/base/classifier/MatMul", *seconds]
    nodes = onnx.load(str(quantise_onnx(plain))).graph.node
    assert {name for name in kept if "MatMul" in name} <= {
        node.name for node in nodes if node.op_type == "MatMul"
    }
    assert sum(node.op_type == "MatMulInteger" for node in nodes) == 8 * 6 - 2


def test_sizes_count_weights_in_other_files(exported, tmp_path):
    whole = onnx_megabytes(exported)
    onnx.save_model(
        onnx.load(str(exported)),
        str(tmp_path / "split.onnx"),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (tmp_path / "split.onnx").stat().st_size < 0.2e6
    assert onnx_megabytes(tmp_path / "split.onnx") == pytest.approx(whole, rel=0.05)


def test_calls_take_turns_and_all_are_counted():
    order = []
    found = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, runs=6, rounds=3)
    assert [len(times) for times in found.values()] == [6, 6]
    assert order.index("b") < len(order) - 1 - order[::-1].index("a")  # a comes again after b
    assert latency_line(np.arange(101.0)) == {"ms": 50, "ms_p5": 5, "ms_p95": 95}


def test_compression_of_trained_variants(encoder, tmp_path):
    settings = {
        f"{name}__{key}": value
        for name in ("full", "lora", "distilled")
        for key, value in (("epochs", 1), ("head_rate", 1e-2))
    }
    run = tiny_run(
        encoder, tmp_path, latency_runs=4, distilled__layers=1, distilled__teacher="lora", **settings
    )
    with pytest.raises(UserError, match="variant 'lora' is not trained"):
        export_onnx(run, "lora")
    rows = sentences()
    for name in ("lora", "distilled"):
        fit(run, name, rows, rows)
    table = compression_table(run, ["lora", "distilled"], rows)
    assert list(table.index.get_level_values("form").unique()) == ["PyTorch fp32", "ONNX fp32", "ONNX int8"]
    assert (table["ms"] > 0).all() and (
        table.xs("ONNX fp32", level="form")["largest_difference"] < 1e-4
    ).all()
    assert (table.xs("ONNX fp32", level="form")["f1_change"] == 0).all()
    assert (table.xs("PyTorch fp32", level="form")["speedup"] == 1).all()
