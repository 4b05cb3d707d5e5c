"""Taggers: training, resuming, LoRA reload, finer labels, averaging, windows put together, distillation."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_encoder import TAGS, save_tiny_encoder, sentence, sentences, tiny_run

import helpers.training.taggers as train_module
from helpers.data.splits import write_splits
from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.models.encoder import encoder_path
from helpers.tagging.encode import collate_windows
from helpers.tagging.features import UNKNOWN, WordFeatures, fit_features
from helpers.tagging.model import (
    TokenTagger,
    TrainedTagger,
    add_token_lora,
    build_token_tagger,
    keep_layers,
    layout_of,
    load_encoder,
    load_token_tokenizer,
    load_trained_tagger,
    save_tagger,
)
from helpers.tagging.predict import choose_multiple, label_confidence, predict_scores, untuned_tagger
from helpers.tagging.sequence import transition_pmi
from helpers.tasks import Example, load_task
from helpers.tasks.bio import TaggedTokens, align_fine
from helpers.training.distil import build_student, soft_loss, spread_layers, teacher_log_probs, trained
from helpers.training.fit import fingerprint, fit
from helpers.training.rows import variant_settings
from helpers.training.taggers import WeightAverage, cosine_factor, parameter_groups, plan_epochs, tagging_loss
from helpers.training.tagging_rows import encode_training, fine_outputs, training_sentences
from helpers.views.training_views import training_row_table

TASK = load_task("it_ner")
NO_TRANSITIONS = np.zeros((len(TAGS), len(TAGS)))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"))


def fine_sentences():
    """The rows with finer tags: two finer labels for software."""
    rows = []
    for row in sentences():
        kinds = {
            "SOFTWARE": "Language" if row.id % 2 else "Application",
            "OS": "Operating_System",
            "ERROR": "Error_Name",
            "HARDWARE": "Device",
            "VERSION": "Version",
        }
        fine = [tag if tag == "O" else tag[:2] + kinds[tag[2:]] for tag in row.target.tags]
        marked = " ".join(f"{word}/{tag}" for word, tag in zip(row.target.tokens, row.target.tags))
        rows.append(sentence(marked.replace("/O", ""), row.id, fine_tags=fine))
    return rows


def scores_with(run, tagger, rows):
    return predict_scores(run, tagger.model, tagger.tokenizer, tagger.features, rows)


def quick(variant, **more):
    own = {"epochs": 3, "batch_pieces": 64, "learning_rate": 3e-3, "head_rate": 1e-2, "patience": 3, **more}
    return {f"{variant}__{name}": value for name, value in own.items()}


# -- training ---------------------------------------------------------------------------------------------------------
def test_full_fine_tuning_learns_and_predicts(encoder, tmp_path):
    own = {"epochs": 12, "patience": 12, "learning_rate": 1e-2, "freeze_embeddings": False}
    run = tiny_run(encoder, tmp_path, **quick("full", **own))
    rows = sentences()
    result = fit(run, "full", rows, rows)
    assert result.best_score > 0.8 and result.history[-1]["loss"] < 0.7 * result.history[0]["loss"]
    records = systems.load(run, "full").predict(rows)
    assert [record["id"] for record in records] == [row.id for row in rows]
    assert all(len(record["prediction"]) == len(row.target.tags) for record, row in zip(records, rows))
    assert json.loads(records[0]["raw"])[0][1] in rows[0].text
    assert set(records[0]["confidence"]) == set(run.task.fields)
    assert {"val_f1", "val_loss", "transition_multiple"} <= set(result.history[result.best_step - 1])


@pytest.mark.parametrize("rank, frozen, trained", [(0, True, False), (0, False, True), (4, False, False)])
def test_word_embeddings_stay_as_they_are_where_asked(encoder, tmp_path, rank, frozen, trained):
    run = tiny_run(encoder, tmp_path)
    own = variant_settings(run, "full") | {"rank": rank, "alpha": 8, "freeze_embeddings": frozen}
    model = build_token_tagger(run, own, layout_of(TASK))
    inner = model.base.get_base_model() if rank else model.base
    assert inner.get_input_embeddings().weight.requires_grad is trained
    assert any(p.requires_grad for name, p in model.named_parameters() if "classifier" in name)


def test_a_killed_run_goes_on_to_the_same_bytes(encoder, tmp_path, monkeypatch):
    rows = fine_sentences()
    whole, parts = (
        tiny_run(encoder, tmp_path / name, **quick("enhanced", rank=4, alpha=8, lora_dropout=0.1))
        for name in "ab"
    )
    fit(whole, "enhanced", rows, rows)
    original, calls = train_module.collate_windows, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 3:  # in the second epoch
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(train_module, "collate_windows", dies)
    with pytest.raises(KeyboardInterrupt):
        fit(parts, "enhanced", rows, rows)
    monkeypatch.setattr(train_module, "collate_windows", original)
    assert (parts.dir / "checkpoints/enhanced/resume.pt").exists()
    fit(parts, "enhanced", rows, rows)
    for name in ("best/adapter_model.safetensors", "best/extras.safetensors", "best/tagger.json"):
        first, second = ((run.dir / "checkpoints/enhanced" / name).read_bytes() for run in (whole, parts))
        assert first == second
    histories = [json.loads(run.path("history", "enhanced.json").read_text()) for run in (whole, parts)]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("place, written", [("none", False), ("tensorboard", True)])
def test_curves_go_where_the_setting_says(encoder, tmp_path, place, written):
    run = tiny_run(encoder, tmp_path, **quick("full"))
    run.settings["report_to"] = place
    fit(run, "full", sentences(), sentences())
    assert (run.dir / "checkpoints" / "full" / "tensorboard").exists() is written


def test_weak_rows_and_repeated_placeholders_are_thinned(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path)
    own = variant_settings(run, "full") | {"repeat_share": 0.25}
    blocks = [sentence(f"CODE : Q_{index} ( left out )", index) for index in range(100)]
    weak = sentence("Vim/B-SOFTWARE is old", 200).with_(origin="weak")
    entity = [sentence("Vim/B-SOFTWARE 9", 300)] * 3
    kept = training_sentences(run, own, [*blocks, weak, *entity])
    assert kept[0] == blocks[0] and 15 < len([row for row in kept if row.id < 200]) < 40
    assert weak not in kept and kept[-3:] == entity
    assert weak in training_sentences(run, own | {"weak": True}, [weak])


def test_the_table_of_training_rows_leaves_out_what_a_variant_does_not_learn(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path, enhanced__weak=True)
    gold, weak = sentences(), sentence("Vim/B-SOFTWARE is old", 200).with_(origin="weak")
    write_splits(run, {"train": gold, "train_augmented": [*gold, gold[0].with_(origin="oversampled"), weak]})
    table = training_row_table(run)
    assert table.loc["full"].to_dict() == {"gold": 8, "oversampled": 1, "weak": 0, "all": 9}
    assert table.loc["enhanced"].to_dict() == {"gold": 8, "oversampled": 1, "weak": 1, "all": 10}


def test_few_rows_are_read_more_often_and_phases_follow_each_other(encoder, tmp_path):
    def phases(least, *given):
        run = tiny_run(encoder, tmp_path, full__least_steps=least, full__batch_pieces=10)
        return [phase for _, _, phase in plan_epochs(run, "full", given)]

    row = [0] * 10  # a batch by itself
    assert (
        phases(0, ([row] * 4, 3)) == phases(12, ([row] * 4, 3)) == [0] * 3
        and phases(13, ([row] * 4, 3)) == [0] * 4
    )
    assert phases(0, ([row], 2), ([row] * 2, 1)) == [0, 0, 1]


def test_schedule_warms_up_and_ends_at_nothing():
    factors = [cosine_factor(step, 100, 10) for step in range(100)]
    assert factors[0] == 0.1 and factors[9] == 1 and factors[10] == 1 and factors[55] == pytest.approx(0.5)
    assert factors[99] < 0.001 and all(a >= b for a, b in zip(factors[9:], factors[10:]))


def test_new_layers_have_a_rate_of_their_own(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path)
    model = TokenTagger(load_encoder(run, encoder_path(run), TAGS), layout_of(TASK, {"shape": 5}, crf=True))
    own = {"learning_rate": 1.0, "head_rate": 2.0, "weight_decay": 0.1}
    rates = {
        id(p): (group["lr"], group["weight_decay"])
        for group in parameter_groups(model, own)
        for p in group["params"]
    }
    named = dict(model.named_parameters())
    assert rates[id(named["transitions"])] == rates[id(named["feature_inputs.0.weight"])] == (2.0, 0.0)
    assert rates[id(named["base.classifier.weight"])] == (2.0, 0.1)
    assert rates[id(named["base.classifier.bias"])] == (2.0, 0.0)
    assert rates[id(named["base.bert.encoder.layer.0.output.dense.weight"])] == (1.0, 0.1)
    assert rates[id(named["base.bert.embeddings.word_embeddings.weight"])] == (1.0, 0.0)


def test_averages_follow_and_change_places():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    average = WeightAverage(layer, 0.5)
    layer.weight.data.fill_(1.0)
    average.update()  # decay min(0.5, 1 / 10) = 0.1
    assert average.weights[0].item() == pytest.approx(0.9)
    average.swap()
    assert layer.weight.item() == pytest.approx(0.9) and average.weights[0].item() == 1.0
    none = WeightAverage(layer, 0.0)
    none.update()
    none.swap()
    assert layer.weight.item() == pytest.approx(0.9) and none.weights == []


# -- finer labels -----------------------------------------------------------------------------------------------------
def test_finer_labels_are_outputs_that_add_up_to_ours(encoder, tmp_path):
    run, rows = tiny_run(encoder, tmp_path), fine_sentences()
    outputs, stands_for = fine_outputs(TASK, rows)
    assert {"O", "B-Language", "I-Language", "B-Application", "I-Device"} <= set(outputs)
    assert "B-SOFTWARE" not in outputs
    assert {output: TAGS[tag] for output, tag in zip(outputs, stands_for)}["I-Device"] == "I-HARDWARE"
    assert fine_outputs(TASK, [*rows, sentence("plain")]) == ((), ())
    model = TokenTagger(
        load_encoder(run, encoder_path(run), outputs), layout_of(TASK, outputs=outputs, stands_for=stands_for)
    )
    logits = torch.randn(4, len(outputs))
    ours = model.tag_log_probs(logits).exp()
    assert ours.sum(-1) == pytest.approx(torch.ones(4))
    both = logits.softmax(-1)[:, [outputs.index("B-Language"), outputs.index("B-Application")]].sum(-1)
    assert ours[:, TAGS.index("B-SOFTWARE")] == pytest.approx(both)


def test_encoded_targets_follow_the_words_of_each_window(encoder, tmp_path):
    run, rows = tiny_run(encoder, tmp_path), fine_sentences()
    long = sentence(" ".join(["Docker/B-SOFTWARE", "fails"] * 20), 50, fine_tags=["B-Application", "O"] * 20)
    run.settings["max_pieces"] = 16
    outputs, _ = fine_outputs(TASK, rows)
    encoded = encode_training(run, load_token_tokenizer(run), WordFeatures(), outputs, [*rows, long])
    assert sum(len(row.tags) for row in encoded) == sum(len(row.target.tags) for row in [*rows, long])
    for row in encoded[len(rows) :]:
        for word, tag, output in zip(row.window.words, row.tags[:, 0].tolist(), row.outputs[:, 0].tolist()):
            assert TAGS[tag] == long.target.tags[word]
            assert outputs[output] == align_fine(long.target.tags, long.extra["fine_tags"])[word]
    assert len(encoded) > len(rows) + 2


def test_the_gazetteer_feature_of_training_rows(encoder, tmp_path):
    """Leave-one-out for labelled rows and their copies; unknown throughout for weakly labelled ones."""
    run = tiny_run(encoder, tmp_path)
    rows = [sentence("Vim/B-SOFTWARE works", 0), sentence("Vim/B-SOFTWARE fails", 1)]
    features = fit_features(TASK, rows, gazetteer=True)
    made = [rows[0].with_(origin="oversampled"), sentence("Vim/B-SOFTWARE sleeps", 2).with_(origin="weak")]
    encoded = encode_training(run, load_token_tokenizer(run), features, (), [*rows, *made])
    known = features.values(TASK, sentence("vim"), [(0, 3)])[0]
    assert [row.features for row in encoded] == [[known, [UNKNOWN]]] * 3 + [[[UNKNOWN], [UNKNOWN]]]


def test_loss_is_a_mean_of_classifier_and_sequence(encoder, tmp_path):
    run, rows = tiny_run(encoder, tmp_path), sentences()[:2]
    tokenizer = load_token_tokenizer(run)
    batch = collate_windows(encode_training(run, tokenizer, WordFeatures(), (), rows), 0)
    model = TokenTagger(load_encoder(run, encoder_path(run), TAGS), layout_of(TASK)).eval()
    logits, tags = model.word_logits(batch)[:, 0], batch["tags"][:, 0]
    single = F.cross_entropy(logits, tags, label_smoothing=0.1)
    own = {"label_smoothing": 0.1, "token_weight": 0.25, "inside_weight": 1.0}
    assert tagging_loss(own)(model, batch).item() == pytest.approx(single.item(), rel=1e-5)
    crf = TokenTagger(model.base, layout_of(TASK, crf=True)).eval()
    whole = train_module.crf_loss(logits.log_softmax(-1), tags, batch["row"], crf.transitions, TAGS)
    assert tagging_loss(own)(crf, batch).item() == pytest.approx(
        (0.25 * single + 0.75 * whole).item(), rel=1e-5
    )


# -- files ------------------------------------------------------------------------------------------------------------
def test_a_reloaded_adapter_gives_the_same_scores(encoder, tmp_path):
    """The classifier is saved with the adapter: a fresh one would give other scores."""
    run, features = tiny_run(encoder, tmp_path), fit_features(TASK, sentences(), True, True)
    base = add_token_lora(load_encoder(run, encoder_path(run), TAGS), 4, 8, 0.0, seed=1)
    model = TokenTagger(base, layout_of(TASK, features.sizes, crf=True))
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    tagger = TrainedTagger(
        model.eval(), load_token_tokenizer(run), features, transition_pmi([[0, 1]], len(TAGS)), 0.2
    )
    before = scores_with(run, tagger, sentences())
    torch.manual_seed(99)
    save_tagger(TASK, tagger, tmp_path / "best")
    again = load_trained_tagger(run, tmp_path / "best")
    for one, other in zip(before, scores_with(run, again, sentences())):
        assert one == pytest.approx(other, abs=1e-4)
    assert (
        not hasattr(again.model.base, "peft_config") and again.multiple == 0.2 and again.features == features
    )
    assert torch.equal(again.model.transitions, model.transitions)
    untouched = scores_with(run, untuned_tagger(run), sentences())
    assert max(np.abs(a - b).max() for a, b in zip(before, untouched)) > 0.1


# -- prediction -------------------------------------------------------------------------------------------------------
def test_windows_are_put_together_in_the_order_of_the_words(encoder, tmp_path):
    """An encoder of no layer, blind for positions, scores each piece by itself: windows may not change a score."""
    run = tiny_run(encoder, tmp_path, max_pieces=12)
    wide = tiny_run(encoder, tmp_path, max_pieces=64)
    tagger = untuned_tagger(run)
    base = keep_layers(tagger.model.base, [])
    base.bert.embeddings.position_embeddings.weight.data.zero_()
    tagger = TrainedTagger(
        TokenTagger(base, layout_of(TASK)).eval(), tagger.tokenizer, tagger.features, NO_TRANSITIONS
    )
    tokens = "the router of our new office in Cork has a red light and hums".split() + ["\x00", "end"]
    examples = [Example(0, " ".join(words), TaggedTokens(tuple(words), ())) for words in (tokens, [])]
    cut, whole = (
        predict_scores(one, tagger.model, tagger.tokenizer, tagger.features, examples) for one in (run, wide)
    )
    assert cut[0] == pytest.approx(whole[0], abs=1e-5) and cut[1].shape == (0, 1, len(TAGS))
    assert cut[0][14, 0].argmax() == TAGS.index("O") and np.ptp(cut[0][:14, 0, 1]) > 1e-3


def test_the_multiple_is_the_smallest_of_the_best():
    gold = [("B-OS", "I-OS"), ("O", "O")]
    scores = [np.log(np.full((2, 1, len(TAGS)), 0.01)) for _ in gold]
    for one, tags in zip(scores, gold):
        one[range(2), 0, [TAGS.index(tag) for tag in tags]] = np.log(0.5)
    assert choose_multiple(scores, gold, NO_TRANSITIONS, NO_TRANSITIONS, TAGS) == (0.0, 1.0)
    scores[0][1, 0, TAGS.index("B-OS")] = np.log(0.6)  # the second word looks like a new entity by itself
    pmi = np.zeros_like(NO_TRANSITIONS)
    pmi[TAGS.index("B-OS"), TAGS.index("I-OS")] = 1.0
    assert choose_multiple(scores, gold, NO_TRANSITIONS, pmi, TAGS) == (0.2, 1.0)  # log 0.6 − log 0.5 = 0.18


def test_confidence_is_the_least_sure_word():
    scores = np.log(np.full((2, len(TAGS)), 0.01))
    scores[0, TAGS.index("B-OS")], scores[1, TAGS.index("O")] = np.log(0.9), np.log(0.9)
    confidence = label_confidence(scores, ["B-OS", "O"], TAGS, TASK.fields)
    assert confidence["OS"] == pytest.approx(0.91) and confidence["ERROR"] == pytest.approx(0.98)
    assert set(label_confidence(np.zeros((0, len(TAGS))), [], TAGS, TASK.fields).values()) == {1.0}


# -- distillation -----------------------------------------------------------------------------------------------------
def test_soft_loss_by_hand():
    teacher, student = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.5, 0.5]]).log()
    assert soft_loss(student, teacher, 1.0).item() == pytest.approx(
        0.8 * np.log(1.6) + 0.2 * np.log(0.4), rel=1e-5
    )
    # at temperature 2 the teacher's odds of 4 become 2, and the result is multiplied by 4
    by_hand = 4 * (2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3))
    assert soft_loss(student, teacher, 2.0).item() == pytest.approx(by_hand, rel=1e-4)
    assert soft_loss(teacher, teacher, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_layers_are_spread_and_end_with_the_last():
    assert (
        spread_layers(6, 3) == [1, 3, 5] and spread_layers(4, 2) == [1, 3] and spread_layers(2, 2) == [0, 1]
    )


def test_the_student_learns_from_its_teachers(encoder, tmp_path):
    rows = sentences()
    settings = {
        **quick("full", epochs=2),
        **quick("lora", epochs=1),
        **quick("distilled", layers=1, teacher="full, lora"),
    }
    run = tiny_run(encoder, tmp_path, **settings)
    with pytest.raises(UserError, match="train full, lora first"):
        fit(run, "distilled", rows, rows)
    fit(run, "full", rows, rows)
    before = fingerprint(run, "distilled", rows, rows)
    fit(run, "lora", rows, rows)
    assert fingerprint(run, "distilled", rows, rows) != before  # another teacher, another student
    both = [scores_with(run, trained(run, name), rows) for name in ("full", "lora")]
    mean = [np.exp(a) / 2 + np.exp(b) / 2 for a, b in zip(*both)]
    soft = teacher_log_probs(run, ["full", "lora"], rows + rows[:1])
    assert soft[0].exp().numpy() == pytest.approx(mean[0], abs=1e-4) and torch.equal(soft[0], soft[-1])
    result = fit(run, "distilled", rows, rows)
    student = systems.load(run, "distilled").loaded.model
    assert student.base.config.num_hidden_layers == 1 and len(student.base.bert.encoder.layer) == 1
    assert result.parameters["total"] < fit(run, "full", rows, rows).parameters["total"]
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_a_student_of_a_finer_teacher_tells_our_labels_or_the_finer_ones(encoder, tmp_path):
    run = tiny_run(encoder, tmp_path)
    outputs, stands_for = fine_outputs(TASK, fine_sentences())
    base, layout = (
        load_encoder(run, encoder_path(run), outputs),
        layout_of(TASK, outputs=outputs, stands_for=stands_for),
    )
    teacher = TrainedTagger(
        TokenTagger(base, layout), load_token_tokenizer(run), WordFeatures(), NO_TRANSITIONS
    )
    own = variant_settings(run, "distilled") | {"layers": 1}
    student = build_student(run, own | {"fine": False}, teacher)
    assert student.model.base.classifier.out_features == len(TAGS) and student.model.layout == layout_of(TASK)
    finer = build_student(run, own | {"fine": True}, teacher)
    assert finer.model.layout == layout != layout_of(TASK)
    assert torch.equal(finer.model.base.classifier.weight, base.classifier.weight), (
        "it starts from its teacher's"
    )
    first, source = (one.base.bert.encoder.layer for one in (student.model, teacher.model))
    assert len(first) == 1 and len(source) == 2
    assert torch.equal(first[0].output.dense.weight, source[1].output.dense.weight)
    save_tagger(TASK, student, tmp_path / "student")
    assert load_trained_tagger(run, tmp_path / "student").model.base.config.num_labels == len(TAGS)
