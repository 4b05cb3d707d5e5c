"""The base model's tokenizer, packing, optimiser and pre-training loop."""
from __future__ import annotations

import dataclasses
import itertools
import json
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from helpers.base_tokenizer import spaced_openings, train_tokenizer
from helpers.corpus import mixture
from helpers.corpus.document import Document, chat
from helpers.optimisers import Muon, orthogonalise
from helpers.packing import LONG, SHORT, encode, pack, shard
from helpers.pretrain import RECIPES, build_model, learning_rate_factor, pretrain, weighted_loss


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer((d.text for d in itertools.islice(mixture.stream(seed=3), 1500)), vocab_size=900)


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.characters(exclude_characters="▁", exclude_categories=["Cs"]), max_size=60))
def test_any_text_survives_encoding(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


def test_digits_stand_alone_and_json_joints_merge(tokenizer):
    tokens = tokenizer.tokenize('on 12/10/2026 {"action": "x", "date": null}')
    assert not any(sum(c.isdigit() for c in token) > 1 for token in tokens)
    assert any(token.count('"') == 1 and ":" in token for token in tokens)


@settings(max_examples=150, deadline=None)
@given(text=st.text(st.sampled_from('ab 1é½[{:,"}]\n('), max_size=30))
def test_quotation_marks_survive_and_open_strings_with_a_space(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids) == text
    if text.isascii():  # other letters may be bytes in so small a vocabulary
        read = "".join(tokenizer.convert_ids_to_tokens(ids)).replace("▁", " ").replace("<0x0A>", "\n")
        assert read == spaced_openings(text)


def test_a_value_has_the_same_tokens_in_the_text_and_in_the_answer(tokenizer):
    tokens = tokenizer.tokenize('by Zorvel Plink 12: {"who": ["Zorvel Plink 12"]}')
    value = tokenizer.tokenize(" Zorvel Plink 12")
    places = [at for at in range(len(tokens)) if tokens[at:at + len(value)] == value]
    assert len(places) == 2


def test_literal_byte_names_are_plain_text(tokenizer):
    ids = tokenizer("<0x41>", add_special_tokens=False)["input_ids"]
    assert len(ids) > 1 and tokenizer.decode(ids) == "<0x41>"


def test_chat_template_equals_pretraining_chat(tokenizer):
    messages = [("system", "Be brief."), ("user", "Hi"), ("assistant", '{"a": 1}')]
    rendered = tokenizer.apply_chat_template([{"role": r, "content": c} for r, c in messages], tokenize=False)
    assert rendered == tokenizer.bos_token + chat(messages).text


def test_chat_template_marks_assistant_tokens(tokenizer):
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes, 12"}]
    encoded = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    kept = [i for i, m in zip(encoded["input_ids"], encoded["assistant_masks"]) if m]
    assert tokenizer.decode(kept) == "Yes, 12<|im_end|>"


def test_weights_mark_exactly_the_answers(tokenizer):
    document = chat([("user", "Where?"), ("assistant", "Room 4"), ("user", "When?"), ("assistant", "noon")])
    ids, weights = encode(document, tokenizer, given_weight=0.1)
    answers = "".join(tokenizer.decode([i]) for i, w in zip(ids, weights) if w == 1.0)
    assert answers == "Room 4<|im_end|>noon<|im_end|>"
    assert weights[0] == 0.0 and {w for w in weights[1:]} == {0.1, 1.0}


def test_packing_keeps_every_document_whole():
    rng = random.Random(0)
    encoded = [([number] * rng.randint(1, 60), [1.0] * 0) for number in range(1, 40)]
    encoded = [(ids, [1.0] * len(ids)) for ids, _ in encoded]
    rows = pack(encoded, 64, pad=0)
    assert all(len(ids) == len(weights) == 64 for ids, weights in rows)
    runs = [(key, len(list(group))) for ids, _ in rows for key, group in itertools.groupby(ids) if key]
    assert sorted(runs) == sorted((ids[0], len(ids)) for ids, _ in encoded)
    assert len(rows) < len(encoded)


def test_shards_depend_on_seed_alone_and_have_two_widths(tokenizer):
    def make():
        return shard(mixture.stream(seed=8), tokenizer, 120, 2048, random.Random(1))
    first, second = make(), make()
    assert all(torch.equal(a.input_ids, b.input_ids) for a, b in zip(first, second, strict=True))
    assert {batch.input_ids.shape[1] for batch in first} == {SHORT, LONG}


def test_orthogonalised_matrices_have_singular_values_near_one():
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(3, 24, 16)))
    assert values.min() > 0.5 and values.max() < 1.5


def test_muon_lowers_a_quadratic():
    torch.manual_seed(0)
    weight, target = torch.nn.Parameter(torch.zeros(6, 4)), torch.randn(6, 4)
    optimiser = Muon([weight], lr=0.05)
    losses = []
    for _ in range(60):
        loss = (weight - target).square().mean()
        losses.append(loss.item())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    assert losses[-1] < 0.2 * losses[0]


def test_learning_rate_warms_up_holds_and_falls():
    recipe = dataclasses.replace(RECIPES["cpu"], warmup_steps=10, decay_share=0.5)
    assert learning_rate_factor(0, 0.0, recipe) == pytest.approx(0.1)
    assert learning_rate_factor(500, 0.3, recipe) == 1.0
    assert learning_rate_factor(500, 0.75, recipe) == pytest.approx(0.5)
    assert learning_rate_factor(500, 1.0, recipe) == pytest.approx(0.01)


def test_weighted_loss_against_cross_entropy_by_hand(tokenizer):
    from helpers.packing import Batch

    model = build_model(dataclasses.replace(RECIPES["smoke"], vocab_size=len(tokenizer)), tokenizer).eval()
    ids = torch.tensor([[1, 300, 301, 302]])
    with torch.no_grad():
        log_probs = model(ids).logits.log_softmax(-1)[0]
        expected = -(0.5 * log_probs[0, 300] + 1.0 * log_probs[2, 302]) / 1.5
        loss = weighted_loss(model, Batch(ids, torch.tensor([[0.0, 0.5, 0.0, 1.0]])))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_start_finds_and_copies_what_followed_last_time(tokenizer):
    model = build_model(dataclasses.replace(RECIPES["cpu"], vocab_size=len(tokenizer)), tokenizer).eval()
    model.set_attn_implementation("eager")
    half = torch.randperm(500, generator=torch.Generator().manual_seed(0))[:30] + 300
    with torch.no_grad():
        output = model(torch.cat([half, half])[None], output_attentions=True)
    back = output.attentions[0][0, :2]
    assert back[0].diagonal(offset=-1).median() > 0.95 and back[1].diagonal(offset=-2)[1:].median() > 0.95
    copied = output.logits[0, 32:-1].argmax(-1) == half[3:]  # from the second half's third token on
    assert copied.float().mean() > 0.7  # before a single step of training; chance is one in 900


def test_the_start_refuses_a_model_that_cannot_hold_the_circuit(tokenizer):
    recipe = dataclasses.replace(RECIPES["cpu"], vocab_size=len(tokenizer), heads=2)
    with pytest.raises(ValueError, match="2 heads of 112 dimensions"):
        build_model(recipe, tokenizer)


def test_the_opening_stream_is_short_and_the_same_for_a_seed():
    first, again = ([d.text for d in itertools.islice(mixture.stream(seed=4, opening=True), 80)] for _ in range(2))
    assert first == again and max(map(len, first)) < 1500
    later = [d.text for d in itertools.islice(mixture.stream(seed=4), 300)]
    assert max(map(len, later)) > 1500


def test_smoke_profile_learns_and_leaves_a_loadable_model(tmp_path):
    summary = pretrain(RECIPES["smoke"], tmp_path, "smoke", save_every=5)
    losses = [record["held_out_loss"] for record in summary["history"]]
    assert losses[-1] < losses[0] - 0.3
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert model.config.vocab_size == len(tokenizer) and model.config.max_position_embeddings == 2048
    saved = json.loads((tmp_path / "pretraining.json").read_text())
    assert saved["tokens"] >= RECIPES["smoke"].tokens and len(saved["sha256"]) == 64


def test_a_stopped_pretraining_resumes_to_the_same_weights(tmp_path, monkeypatch):
    import helpers.pretrain as module

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    recipe = dataclasses.replace(RECIPES["smoke"], tokens=30_000)
    pretrain(recipe, whole, "smoke", save_every=3)
    original, calls = module.weighted_loss, itertools.count()

    def dies(model, batch):
        if torch.is_grad_enabled() and next(calls) == 5:
            raise KeyboardInterrupt
        return original(model, batch)

    monkeypatch.setattr(module, "weighted_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        pretrain(recipe, parts, "smoke", save_every=3)
    monkeypatch.setattr(module, "weighted_loss", original)
    pretrain(recipe, parts, "smoke", save_every=3)
    assert (whole / "model.safetensors").read_bytes() == (parts / "model.safetensors").read_bytes()


def test_a_finished_model_is_trained_on_with_new_documents(tmp_path):
    recipe = dataclasses.replace(RECIPES["smoke"], tokens=12_000)
    first = pretrain(recipe, tmp_path / "first", "smoke", save_every=2)
    before = (tmp_path / "first/model.safetensors").read_bytes()
    later = dataclasses.replace(recipe, copy_tokens=0, matrix_lr=0.0, other_lr=0.0)
    second = pretrain(later, tmp_path / "second", "smoke", save_every=2, start_from=tmp_path / "first")
    assert (tmp_path / "second/model.safetensors").read_bytes() == before  # rates of zero: these are the same weights
    assert second["tokens"] == first["tokens"] + second["sittings"][1]["tokens"] and len(second["sittings"]) == 2
    tokens = [record["tokens"] for record in second["history"]]
    assert tokens == sorted(tokens) and len(tokens) > len(first["history"])
    assert second["history"][len(first["history"])]["held_out_loss"] == pytest.approx(
        first["history"][-1]["held_out_loss"], abs=0.02)
    assert "sitting 2" in (tmp_path / "second/README.md").read_text()


def test_banned_texts_never_reach_the_stream():
    banned = next(mixture.stream(seed=21)).text
    later = [d.text for d in itertools.islice(mixture.stream(seed=21, banned=frozenset({banned})), 20)]
    assert banned not in later


def test_document_text_joins_its_parts():
    assert Document((("a", False), ("b", True))).text == "ab"


def test_batches_by_length_hold_every_document_once_and_waste_little():
    from helpers.packing import by_length

    rng = random.Random(0)
    encoded = [([number] * rng.randint(5, 200), []) for number in range(1, 300)]
    encoded = [(ids, [1.0] * len(ids)) for ids, _ in encoded]
    batches = by_length(encoded, 1024, pad=0)
    seen = sorted(ids[0] for rows in batches for ids, _ in rows)
    assert seen == list(range(1, 300))
    assert all(len({len(ids) for ids, _ in rows}) == 1 and len(rows) * len(rows[0][0]) <= 1024 for rows in batches)
    padding = sum(ids.count(0) for rows in batches for ids, _ in rows)
    assert padding < 0.05 * sum(len(ids) for ids, _ in encoded)
