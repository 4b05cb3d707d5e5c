"""Encoders of other kinds than BERT: they train, with adapter, with word features, and are found again; or are refused."""

import pytest
from tiny_encoder import SENTENCES, sentence, sentences, tiny_run
from transformers import AutoModel as Encoder
from transformers import AutoTokenizer, DebertaV2Config, GPT2Config, ModernBertConfig, RobertaConfig

from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.models.packaged import CUT, encoder_path, packaged_encoder
from helpers.tagging.encode import windows_of, words_of
from helpers.tagging.model import load_token_tokenizer
from helpers.tagging.predict import predict_scores
from helpers.tasks.metrics import entity_f1
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


def test_a_model_that_writes_is_read_in_both_directions_and_its_classifier_comes_back(tmp_path):
    own = {"decoder__encoder": CUT, "decoder__epochs": 3, "decoder__bits": 32, "decoder__batch_pieces": 40}
    run, rows = tiny_run(tmp_path / "none", tmp_path, max_pieces=40, **own), sentences()
    result = fit(run, "decoder", rows, rows)
    system = systems.load(run, "decoder")
    tags = [row.target.tags for row in rows]
    found = [record["prediction"] for record in system.predict(rows)]
    assert entity_f1(tags, found) == pytest.approx(result.best_score, abs=1e-4) and result.best_score > 0
    one, other = (
        predict_scores(run, system.loaded, [sentence(f"it says {last}")])[0] for last in ("no", "yes")
    )
    assert abs(one[0] - other[0]).max() > 1e-3, "the first word sees the last"
    alone = predict_scores(run, system.loaded, rows[2:3])[0]
    assert alone == pytest.approx(predict_scores(run, system.loaded, rows)[2], abs=1e-4), "but no padding"


def test_pieces_of_a_model_that_writes_stand_between_two_special_ones(tmp_path):
    run, row = tiny_run(tmp_path / "none", tmp_path), sentence("Ubuntu 22.04")
    tokenizer = load_token_tokenizer(run, encoder_path(run, CUT))
    text, words = words_of(run.task, row)
    ((window,),) = windows_of(tokenizer, [text], [words], 32)
    pieces = tokenizer.convert_ids_to_tokens(window.input_ids)
    assert (pieces[0], pieces[-1]) == (tokenizer.bos_token, tokenizer.eos_token)
    assert [pieces[at] for at in window.heads] == ["U", "2"] and window.words == [0, 1]
