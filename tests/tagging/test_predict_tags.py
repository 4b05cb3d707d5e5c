"""Predictions of taggers: windows put together, confidence, files, texts of all kinds."""

import numpy as np
import pytest
import torch
from tiny_encoder import TAGS, sentences, tiny_run

from helpers.run import Run
from helpers.tagging.encode import BEGIN, OUTSIDE, collate_windows
from helpers.tagging.features import fit_features
from helpers.tagging.model import (
    TokenTagger,
    TrainedTagger,
    build_token_tagger,
    keep_layers,
    layout_of,
    load_token_tokenizer,
    load_trained_tagger,
    save_tagger,
)
from helpers.tagging.predict import (
    choose_multiple,
    encode_rows,
    label_confidence,
    predict_scores,
    predict_with,
    records_of,
    transition_pmi,
    untuned_tagger,
)
from helpers.tasks import Example, load_task
from helpers.tasks.bio import TaggedTokens
from helpers.training.taggers import new_tagger

TASK, CALENDAR = load_task("it_ner"), load_task("calendar")
NOTHING = np.zeros((len(TAGS), len(TAGS)))


def span_tagger(encoder, out, **own):
    """A run of the calendar's tagger on the tiny encoder, and the tagger untrained."""
    settings = {"encoder_model": str(encoder), **{f"tagger.{key}": value for key, value in own.items()}}
    run = Run(task="calendar", profile="smoke", out=str(out), settings=settings)
    return run, new_tagger(run, "tagger", [])


def text(words: str) -> Example:
    return Example(0, words, None)


def test_windows_are_put_together_in_the_order_of_the_words(encoder, tmp_path):
    """An encoder of no layer, blind for positions, scores each piece by itself: windows may not change a score."""
    narrow, wide = (tiny_run(encoder, tmp_path, max_pieces=size) for size in (12, 64))
    tagger = untuned_tagger(narrow)
    base = keep_layers(tagger.model.base, [])
    base.bert.embeddings.position_embeddings.weight.data.zero_()
    model = TokenTagger(base, layout_of(TASK)).eval()
    tagger = TrainedTagger(model, tagger.tokenizer, tagger.features, NOTHING)
    tokens = "the router of our new office in Cork has a red light and hums".split() + ["\x00", "end"]
    examples = [Example(0, " ".join(words), TaggedTokens(tuple(words), ())) for words in (tokens, [])]
    cut, whole = (predict_scores(run, tagger, examples) for run in (narrow, wide))
    assert cut[0] == pytest.approx(whole[0], abs=1e-5) and cut[1].shape == (0, 1, len(TAGS))
    assert cut[0][14, 0].argmax() == TAGS.index("O") and np.ptp(cut[0][:14, 0, 1]) > 1e-3


def test_a_text_longer_than_the_encoder_is_answered_in_full(encoder, tmp_path):
    run, tagger = span_tagger(encoder, tmp_path, hints=False)
    examples = [text(" ".join(f"{number} so" for number in range(400))), text("Call Bo at 9am")]
    scores = predict_scores(run, tagger, examples)
    assert scores[0].shape == (800, len(CALENDAR.fields), 3)
    for row in encode_rows(run, tagger.tokenizer, tagger.features, examples)[0]:
        assert len(row) <= 64, "what the encoder has positions for"
        alone = tagger.model.tag_log_probs(tagger.model.word_logits(collate_windows([row], 0)))
        assert np.allclose(scores[0][row.window.words], alone.detach().numpy(), atol=1e-4)
    place = CALENDAR.fields.index("location")
    scores[0][:] = [0.0, -20, -20]  # no word of any value but one, far behind what the encoder takes at once
    scores[0][700:702, place] = [[-9.0, 0, -9], [-9, -9, 0]]
    (record,) = records_of(CALENDAR, examples[:1], scores[:1], tagger)
    assert record["prediction"]["location"] == "350 so"


@pytest.mark.parametrize("words", ["-" * 700, "! " * 700, "a." * 400 + "b", "- " * 3])
def test_texts_without_words_or_with_endless_ones_are_answered(encoder, tmp_path, words):
    (record,) = predict_with(*span_tagger(encoder, tmp_path), [text(words)])
    assert set(record["prediction"]) == set(CALENDAR.fields)


def test_hints_stand_at_what_the_rules_find(encoder, tmp_path):
    run, tagger = span_tagger(encoder, tmp_path, hints=True)
    features, tokenizer = tagger.features, tagger.tokenizer
    assert set(features.sizes.values()) == {3} and len(features.sizes) == len(CALENDAR.fields)
    examples = [text("Standup on 12/03/2026"), text("Standup on 12/03/2026 with Bo")]
    cut = [windows[0] for windows in encode_rows(run, tokenizer, features, examples)]
    hints = collate_windows(cut, 0)["features"]
    pieces = tokenizer.convert_ids_to_tokens(cut[0].window.input_ids)
    date = hints[0, :, CALENDAR.fields.index("date")].tolist()
    assert [piece for piece, tag in zip(pieces, date) if tag == BEGIN] == ["12", "/", "03", "/", "202", "##6"]
    assert (hints[0, len(pieces) :] == OUTSIDE).all()
    assert (hints[0, :, CALENDAR.fields.index("notes")] == OUTSIDE).all()


def test_the_multiple_is_the_smallest_of_the_best():
    gold = [("B-OS", "I-OS"), ("O", "O")]
    scores = [np.log(np.full((2, 1, len(TAGS)), 0.01)) for _ in gold]
    for one, tags in zip(scores, gold):
        one[range(2), 0, [TAGS.index(tag) for tag in tags]] = np.log(0.5)
    assert choose_multiple(scores, gold, NOTHING, TAGS) == (0.0, 1.0)
    begin, inside = TAGS.index("B-OS"), TAGS.index("I-OS")
    scores[0][1, 0, begin] = np.log(0.6)  # the second word looks like a new entity by itself
    pmi = np.zeros_like(NOTHING)
    pmi[begin, inside] = 1.0
    assert choose_multiple(scores, gold, pmi, TAGS) == (0.2, 1.0)  # log 0.6 − log 0.5 = 0.18


def test_confidence_is_the_least_sure_word():
    scores = np.log(np.full((2, len(TAGS)), 0.01))
    scores[0, TAGS.index("B-OS")], scores[1, TAGS.index("O")] = np.log(0.9), np.log(0.9)
    confidence = label_confidence(scores, ["B-OS", "O"], TAGS, TASK.fields)
    assert confidence["OS"] == pytest.approx(0.91) and confidence["ERROR"] == pytest.approx(0.98)
    assert set(label_confidence(np.zeros((0, len(TAGS))), [], TAGS, TASK.fields).values()) == {1.0}


def test_a_reloaded_adapter_gives_the_same_scores(encoder, tmp_path):
    """The classifier is saved with the adapter: a fresh one would give other scores."""
    run, features = tiny_run(encoder, tmp_path), fit_features(TASK, sentences(), True, True)
    own = {"dropout": 0.0, "rank": 4, "alpha": 8, "lora_dropout": 0.0}
    model = build_token_tagger(run, own, layout_of(TASK, features.sizes)).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in filter(lambda one: one.requires_grad, model.parameters()):
        parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    pmi = transition_pmi([[0, 1]], len(TAGS))
    tagger = TrainedTagger(model, load_token_tokenizer(run), features, 0.2 * pmi)
    before = predict_scores(run, tagger, sentences())
    torch.manual_seed(99)
    save_tagger(tagger, tmp_path / "best")
    again = load_trained_tagger(run, tmp_path / "best")
    for one, other in zip(before, predict_scores(run, again, sentences())):
        assert one == pytest.approx(other, abs=1e-4)
    assert not hasattr(again.model.base, "peft_config")
    assert again.features == features and np.allclose(again.transitions, 0.2 * pmi, atol=1e-6)
    untouched = predict_scores(run, untuned_tagger(run), sentences())
    assert max(np.abs(a - b).max() for a, b in zip(before, untouched)) > 0.1
