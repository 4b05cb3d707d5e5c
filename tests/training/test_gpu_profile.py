"""The gpu profile's code at SmolLM's, BERT's and DistilBERT's widths, with random weights and few layers."""

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
from helpers.models.packaged import packaged_encoder
from helpers.run import Run
from helpers.tasks import load_task
from helpers.training import writers
from helpers.training.fit import fit

# widths as published with the models; layers and vocabulary are cut
SMOLLM = {"hidden_size": 960, "intermediate_size": 2560, "num_attention_heads": 15, "num_key_value_heads": 5}
BERT = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
SHORT = {"epochs": 1, "least_steps": 0}
DISTILBERT = {"dim": 768, "n_heads": 12, "hidden_dim": 3072}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    """SmolLM2's with a small vocabulary of its own: the rows of a wider one would be more of the same."""
    real = AutoTokenizer.from_pretrained(save_tiny_base(tmp_path_factory.mktemp("base")))
    return real.train_new_from_iterator([row.text for row in (*rows(4), example("Ann was robbed.", {}))], 600)


def save_model(folder: Path, tokenizer, layers: int) -> Path:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        num_hidden_layers=layers,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=True,
        **SMOLLM,
    )
    torch.manual_seed(0)
    LlamaForCausalLM(config).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def rows(count: int):
    task = load_task("calendar")
    output = {**dict.fromkeys(task.fields), "action": "Call", "attendees": ["Ann"]}
    texts = [f"Call Ann at {at + 1} pm" for at in range(count)]
    return [task.rows.parse({"event_text": text, "output": output}, at) for at, text in enumerate(texts)]


def make_run(task: str, out: Path, variant: str, base: Path, **own) -> Run:
    """A run in the gpu profile, with as little decoding as there can be."""
    little = {"max_new_tokens": 2, "score_rows": 1, "score_constraint": "free"}
    own = {f"{variant}.{key}": value for key, value in {"epochs": 1, "warmup_steps": 0, **own}.items()}
    return Run(task, profile="gpu", out=str(out / "out"), settings={"base_model": str(base), **little, **own})


@pytest.mark.parametrize("variant", ["lora", "qlora"])
def test_gpu_profile_trains_and_writes_at_the_real_widths(tmp_path, tokenizer, variant, monkeypatch):
    monkeypatch.setattr(
        writers, "needs_checkpointing", lambda *given: True
    )  # as a large model on a small GPU
    base = save_model(tmp_path / "base", tokenizer, 2)
    run = make_run("calendar", tmp_path, variant, base, batch_size=1, accumulation=2)
    result = fit(run, variant, rows(4), rows(1))
    assert [record["step"] for record in result.history if "loss" in record] == [1, 2]
    width, inner, keys = 960, 2560, 960 * 5 // 15
    pairs = [(width, width), (width, keys), (width, keys), (width, width), *[(width, inner)] * 3]
    assert result.parameters["trainable"] == 2 * run[f"{variant}.rank"] * sum(map(sum, pairs))
    assert ("4-bit NF4" in result.note) == (variant == "qlora")
    models = [one for one in gc.get_objects() if isinstance(one, LlamaForCausalLM)]
    assert not [one for one in models if one.config.hidden_size == width], "the next has room"


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
    settings = {"encoder_model": str(encoders / "bert"), "distilled.teacher": variant}
    settings |= {f"{name}.{key}": at for name in (variant, "distilled") for key, at in SHORT.items()}
    settings["distilled.student_model"] = str(encoders / "distilbert")
    run = Run("it_ner", profile="gpu", out=str(tmp_path), settings=settings)
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
    base = save_model(tmp_path / "base", tokenizer, 1)
    run = make_run("crime", tmp_path, "qlora", base)
    report = example("Ann was robbed.", {"Victim_Name": ["Ann"]})
    result = fit(run, "qlora", [report, report], [report])
    assert "4-bit NF4" in result.note and len([record for record in result.history if "loss" in record]) == 1
    monkeypatch.setattr(adapters_module, "holds_whole", lambda run: False)  # as on a T4
    records = systems.load(run, "qlora").predict([report], "free")
    assert records[0]["raw"].count("\n") == 17
    gc.collect()
