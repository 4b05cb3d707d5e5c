"""The gpu profile's code at the real widths, with random weights and few layers; its defaults against 16 GB."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
import torch
from crime_rows import example
from tiny_encoder import sentences
from tiny_model import save_tiny_base
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from helpers.evaluation import systems
from helpers.models import adapters as adapters_module
from helpers.models.encoder import packaged_encoder
from helpers.run import Run
from helpers.tasks import load_task
from helpers.training.fit import fit

# widths as published with the models; layers and vocabulary are cut
SMOLLM = {
    "hidden_size": 960,
    "intermediate_size": 2560,
    "num_attention_heads": 15,
    "num_key_value_heads": 5,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10_000.0,
    "tie_word_embeddings": True,
    "max_position_embeddings": 2048,
}
LLAMA3 = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500_000.0,
    "tie_word_embeddings": False,
    "max_position_embeddings": 8192,
}
BERT = {
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
}
DISTILBERT = {"dim": 768, "n_heads": 12, "hidden_dim": 3072, "max_position_embeddings": 512}
T4_GB = 14.7  # what a 16 GB T4 leaves for tensors


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """SmolLM2's with a small vocabulary of its own: the rows of a wider one would be more of the same."""
    real = AutoTokenizer.from_pretrained(save_tiny_base(tmp_path_factory.mktemp("base")))
    return real.train_new_from_iterator([row.text for row in (*rows(4), example("Ann was robbed.", {}))], 600)


def save_model(folder: Path, tokenizer, layers: int, **widths) -> Path:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=layers,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **widths,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows(count: int):
    task = load_task("calendar")
    return [
        task.rows.parse(
            {
                "event_text": f"Call Ann at {at + 1} pm",
                "output": {**dict.fromkeys(task.fields), "action": "Call", "attendees": ["Ann"]},
            },
            at,
        )
        for at in range(count)
    ]


@pytest.mark.parametrize(
    "name, widths, layers, variant",
    [("smollm", SMOLLM, 2, "lora"), ("smollm", SMOLLM, 2, "qlora"), ("llama3", LLAMA3, 1, "qlora")],
)
def test_gpu_profile_trains_and_writes_at_the_real_widths(tmp_path, tokenizer, name, widths, layers, variant):
    base = save_model(tmp_path / "base", tokenizer, layers, **widths)
    own = {"epochs": 1, "batch_size": 1, "accumulation": 2, "warmup_steps": 0}
    run = Run(
        "calendar",
        profile="gpu",
        out=str(tmp_path / "out"),
        settings={
            "base_model": str(base),
            "max_new_tokens": 2,
            "score_rows": 1,
            "score_constraint": "free",
            **{f"{variant}.{key}": value for key, value in own.items()},
        },
    )
    result = fit(run, variant, rows(4), rows(1))
    assert [record["step"] for record in result.history if "loss" in record] == [1, 2]
    rank, width = run[f"{variant}.rank"], widths["hidden_size"]
    keys = width * widths["num_key_value_heads"] // widths["num_attention_heads"]
    pairs = [(width, width), (width, keys), (width, keys), (width, width)]
    if run[f"{variant}.targets"] == "all":
        pairs += [(width, widths["intermediate_size"])] * 3
    assert result.parameters["trainable"] == layers * rank * sum(map(sum, pairs))
    assert ("4-bit NF4" in result.note) == (variant == "qlora")
    gc.collect()


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """BERT and DistilBERT, one layer of the first, with a vocabulary of their size."""
    folder, words = tmp_path_factory.mktemp("encoders"), AutoTokenizer.from_pretrained(packaged_encoder())
    torch.manual_seed(0)
    for name, model in (
        ("bert", BertModel(BertConfig(vocab_size=len(words), num_hidden_layers=1, **BERT))),
        ("distilbert", DistilBertModel(DistilBertConfig(vocab_size=len(words), n_layers=1, **DISTILBERT))),
    ):
        model.save_pretrained(folder / name)
        words.save_pretrained(folder / name)
    return folder


@pytest.mark.parametrize("variant", ["full", "lora", "enhanced"])
def test_gpu_profile_trains_taggers_and_a_student_at_the_real_widths(tmp_path, encoders, variant):
    run = Run(
        "it_ner",
        profile="gpu",
        out=str(tmp_path),
        settings={
            "model": str(encoders / "bert"),
            "distilled.teacher": variant,
            "distilled.student_model": str(encoders / "distilbert"),
            **{
                f"{name}.{key}": value
                for name in (variant, "distilled")
                for key, value in (("epochs", 1), ("least_steps", 0))
            },
        },
    )
    results = {name: fit(run, name, sentences(), sentences()[:2]) for name in (variant, "distilled")}
    for result in results.values():
        assert [record["step"] for record in result.history if "loss" in record] == [1]
    model, student = (systems.load(run, name).loaded.model for name in (variant, "distilled"))
    assert model.base.config.hidden_size == student.base.config.dim == 768
    assert student.base.config.model_type == "distilbert"
    if run[f"{variant}.rank"]:
        pairs = 4 * (768 + 768) + 2 * (768 + 3072)  # query, key, value and three dense layers
        adapters = run[f"{variant}.rank"] * pairs
        assert (
            0 <= results[variant].parameters["trainable"] - adapters < 250_000
        )  # the rest: classifier and features
    gc.collect()


def test_a_chat_about_a_report_in_4_bits_at_a_real_width(tmp_path, tokenizer, monkeypatch):
    base = save_model(
        tmp_path / "base", tokenizer, 1, **SMOLLM
    )  # Llama-3's would take minutes for so many tokens
    run = Run(
        "crime",
        profile="gpu",
        out=str(tmp_path / "out"),
        settings={
            "model": str(base),
            "max_new_tokens": 2,
            "score_rows": 1,
            "qlora.epochs": 1,
            "qlora.warmup_steps": 0,
        },
    )
    report = example("Ann was robbed.", {"Victim_Name": ["Ann"]})
    result = fit(run, "qlora", [report, report], [report])
    assert "4-bit NF4" in result.note and len([record for record in result.history if "loss" in record]) == 1
    monkeypatch.setattr(adapters_module, "holds_whole", lambda run: False)  # as on a T4
    records = systems.load(run, "qlora").predict([report], "free")
    assert records[0]["raw"].count("\n") == 17
    gc.collect()


# -- does it fit? --------------------------------------------------------------------------------------------
def gigabytes(
    widths: dict, layers: int, vocabulary: int, four_bit: bool, rank: int, rows: int, tokens: int
) -> float:
    """Peak of training an adapter on all linear layers with gradient checkpointing, estimated from above.

    Frozen weights (half a byte each in 4 bits, plus an eighth for scales; else two), fp32 adapter with gradient and two
    moments, one saved input a layer, the activations of one layer, and logits in three copies of which two are fp32.
    """
    hidden, inner = widths["hidden_size"], widths["intermediate_size"]
    keys = hidden * widths["num_key_value_heads"] // widths["num_attention_heads"]
    linear = layers * (2 * hidden * hidden + 2 * hidden * keys + 3 * hidden * inner)
    embedded = vocabulary * hidden * (1 if widths["tie_word_embeddings"] else 2)
    adapter = layers * rank * (2 * (hidden + keys) + 2 * 2 * hidden + 3 * (hidden + inner))
    weights = linear * (0.5 * 1.125 if four_bit else 2) + embedded * (4 if four_bit else 2)
    activations = rows * tokens * (layers * hidden * 4 + 12 * hidden * 4 + 6 * inner * 4)
    return (weights + adapter * 16 + activations + rows * tokens * vocabulary * 10) / 1e9


@pytest.mark.parametrize(
    "task, variant, widths, layers, vocabulary, four_bit, tokens",
    [
        ("calendar", "lora", SMOLLM, 32, 49152, False, 256),
        ("calendar", "qlora", SMOLLM, 32, 49152, True, 256),
        ("crime", "qlora", LLAMA3, 32, 128256, True, 1600),
    ],
)
def test_defaults_of_the_gpu_profile_fit_a_t4(
    task, variant, widths, layers, vocabulary, four_bit, tokens, tmp_path
):
    run = Run(task, profile="gpu", out=str(tmp_path))
    batch, rank = run[f"{variant}.batch_size"], run[f"{variant}.rank"]
    assert gigabytes(widths, layers, vocabulary, four_bit, rank, batch, tokens) < T4_GB
    # the estimate is no formality: Llama-3-8B in 16 bits, or with eight rows at a time, does not fit
    assert gigabytes(LLAMA3, 32, 128256, False, 16, 1, 1600) > T4_GB
    assert gigabytes(LLAMA3, 32, 128256, True, 16, 8, 1600) > T4_GB
