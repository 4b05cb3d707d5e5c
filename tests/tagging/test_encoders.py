"""Encoders of other kinds than BERT: they train, with adapter, with word features, and are found again; or are refused."""

import pytest
from tiny_encoder import SENTENCES, sentence, sentences, tiny_run
from transformers import AutoModel as Encoder
from transformers import AutoTokenizer, DebertaV2Config, GPT2Config, ModernBertConfig, RobertaConfig

from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.models.packaged import packaged_encoder
from helpers.tagging.model import load_token_tokenizer
from helpers.training.fit import fit

LAYERS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
RELATIVE = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
KINDS = {
    "roberta": (RobertaConfig, LAYERS | {"max_position_embeddings": 40, "pad_token_id": 1}),
    "deberta-v2": (DebertaV2Config, LAYERS | RELATIVE | {"max_position_embeddings": 64}),
    "modernbert": (ModernBertConfig, LAYERS | {"max_position_embeddings": 64, "pad_token_id": 0}),
    "gpt2": (GPT2Config, {"n_positions": 64, "n_embd": 32, "n_layer": 1, "n_head": 2}),
}


def save_encoder(kind, folder):
    tokenizer = AutoTokenizer.from_pretrained(packaged_encoder())
    config, sizes = KINDS[kind]
    Encoder.from_config(config(vocab_size=len(tokenizer), **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "kind, variant",
    [("roberta", "lora"), ("deberta-v2", "lora"), ("modernbert", "lora"), ("modernbert", "enhanced")],
)
def test_encoders_of_other_kinds_train_and_answer(kind, variant, tmp_path):
    own = {f"{variant}__epochs": 1, f"{variant}__least_steps": 0}
    run = tiny_run(save_encoder(kind, tmp_path / "encoder"), tmp_path, max_pieces=40, **own)
    assert load_token_tokenizer(run).model_max_length == (38 if kind == "roberta" else 64)
    result = fit(run, variant, sentences(), sentences()[:2])
    assert 0 < result.parameters["trainable"] < result.parameters["total"] or variant == "enhanced"
    long = sentence(" ".join(SENTENCES[:4] * 5), 9)  # read in windows, to the last position there is
    system = systems.load(run, variant)
    (record,) = system.predict([long])
    assert system.loaded.model.base.config.model_type == kind
    assert len(record["prediction"]) == len(long.target.tokens)


def test_an_encoder_without_known_projections_is_refused_by_name(tmp_path):
    run = tiny_run(save_encoder("gpt2", tmp_path / "encoder"), tmp_path)
    with pytest.raises(UserError, match="'gpt2'"):
        fit(run, "lora", sentences(), sentences()[:2])
