"""Training of taggers, of tokens and of spans: losses, plans, averages, going on after a kill, distillation."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from few_rows import checkpoint_of, dies_at, losses_of
from few_rows import examples as events
from tiny_encoder import TAGS, sentence, sentences, tiny_run

from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.models.packaged import encoder_path
from helpers.run import Run
from helpers.tagging.encode import BEGIN, IGNORE, OUTSIDE, collate_windows
from helpers.tagging.features import UNKNOWN, WordFeatures, fit_features
from helpers.tagging.model import (
    EXTRAS,
    TokenTagger,
    TrainedTagger,
    layout_of,
    load_encoder,
    load_token_tokenizer,
    load_trained_tagger,
    save_tagger,
)
from helpers.tagging.predict import predict_scores
from helpers.tasks import load_task
from helpers.training import taggers
from helpers.training.distil import build_student, soft_loss, teacher_log_probs, trained
from helpers.training.fit import fingerprint, fit
from helpers.training.rows import encode_training, fine_outputs, training_sentences, variant_settings
from helpers.training.taggers import Learner, plan_steps, tagging_loss

TASK, CALENDAR = load_task("it_ner"), load_task("calendar")
FINER = {"OS": "Operating_System", "ERROR": "Error_Name", "HARDWARE": "Device", "VERSION": "Version"}


def fine_sentences():
    """The rows with finer tags: two finer labels for software."""
    rows = []
    for row in sentences():
        kinds = FINER | {"SOFTWARE": "Language" if row.id % 2 else "Application"}
        fine = [tag if tag == "O" else tag[:2] + kinds[tag[2:]] for tag in row.target.tags]
        marked = " ".join(f"{word}/{tag}" for word, tag in zip(row.target.tokens, row.target.tags))
        rows.append(sentence(marked.replace("/O", ""), row.id, fine_tags=fine))
    return rows


def quick(variant, **more):
    own = {"epochs": 3, "batch_pieces": 64, "learning_rate": 3e-3, "head_rate": 1e-2, "patience": 3, **more}
    return {f"{variant}__{name}": value for name, value in own.items()}


def span_run(encoder, out, **own) -> Run:
    """A run of the calendar's tagger on the tiny encoder."""
    own = {"learning_rate": 5e-3, "head_rate": 5e-3, "epochs": 30, "batch_pieces": 80, "patience": 30} | own
    settings = {"encoder_model": str(encoder), **{f"tagger.{key}": value for key, value in own.items()}}
    return Run(task="calendar", profile="smoke", out=str(out), settings=settings)


def test_full_fine_tuning_learns_and_predicts(encoder, tmp_path):
    own = {"epochs": 12, "patience": 12, "learning_rate": 1e-2, "freeze_embeddings": False}
    run, rows = tiny_run(encoder, tmp_path, **quick("full", **own)), sentences()
    result = fit(run, "full", rows, rows)
    assert result.best_score > 0.8 and result.history[-1]["loss"] < 0.7 * result.history[0]["loss"]
    assert {"val_f1", "val_loss", "transition_multiple"} <= set(result.history[result.best_step - 1])
    records = systems.load(run, "full").predict(rows)
    assert [len(record["prediction"]) for record in records] == [len(row.target.tags) for row in rows]
    assert json.loads(records[0]["raw"])[0][1] in rows[0].text
    assert set(records[0]["confidence"]) == set(run.task.fields)


def test_a_tagger_of_spans_learns_and_follows_its_hints(encoder, tmp_path):
    run, rows = span_run(encoder, tmp_path), events()
    assert fit(run, "tagger", rows, rows).best_score == 1.0
    records = systems.load(run, "tagger").predict(rows)
    assert [record["prediction"] for record in records] == [row.target for row in rows]
    assert all(0 < value <= 1 for value in records[0]["confidence"].values())
    best = checkpoint_of(run, "tagger") / "best"
    assert (best / EXTRAS).exists() and not list(checkpoint_of(run, "tagger").glob("trainer/checkpoint-*"))
    tagger = load_trained_tagger(run, best)
    with_hints, without = (
        predict_scores(run, replace(tagger, features=features), rows[:1])[0]
        for features in (tagger.features, WordFeatures())
    )
    assert np.abs(with_hints - without).max() > 1e-3


KILLED = {
    # with an average of the weights, dropout in the adapter, finer labels; and made rows first, some without hints
    "enhanced": (8, {"rank": 4, "alpha": 8, "lora_dropout": 0.1, "epochs": 6, "batch_pieces": 32}),
    "tagger": (5, {"epochs": 4, "made_epochs": 2, "hint_dropout": 0.3, "dropout": 0.1}),
}


@pytest.mark.parametrize("variant", KILLED)
def test_a_killed_run_goes_on_to_the_same_bytes(encoder, tmp_path, monkeypatch, variant):
    step, own = KILLED[variant]
    if variant == "tagger":
        rows, (whole, parts) = events(), (span_run(encoder, tmp_path / name, **own) for name in "ab")
        rows = [*rows, *(row.with_(origin="swap", id=50 + row.id) for row in rows[:4])]
    else:
        rows = fine_sentences()
        whole, parts = (tiny_run(encoder, tmp_path / name, **quick(variant, **own)) for name in "ab")
    expected = fit(whole, variant, rows, rows[:8])
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        dies_at(step, patched)
        fit(parts, variant, rows, rows[:8])
    assert list(checkpoint_of(parts, variant).glob("trainer/checkpoint-*")), "it does not begin anew"
    (best := checkpoint_of(parts, variant) / "best").mkdir()  # as where it ended while it kept the best
    (best / "tokenizer.json").write_text('{"version":')
    assert fit(parts, variant, rows, rows[:8]) == expected
    folders = [checkpoint_of(run, variant) / "best" for run in (whole, parts)]
    files = [{path.name: path.read_bytes() for path in folder.glob("*.*")} for folder in folders]
    assert files[0] == files[1] and EXTRAS in files[0]


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


def test_the_gazetteer_feature_of_training_rows(encoder, tmp_path):
    """Leave-one-out for labelled rows and their copies; unknown throughout for weakly labelled ones."""
    run = tiny_run(encoder, tmp_path)
    rows = [sentence("Vim/B-SOFTWARE works", 0), sentence("Vim/B-SOFTWARE fails", 1)]
    features = fit_features(TASK, rows, gazetteer=True)
    made = [rows[0].with_(origin="oversampled"), sentence("Vim/B-SOFTWARE sleeps", 2).with_(origin="weak")]
    tagger = TrainedTagger(SimpleNamespace(layout=layout_of(TASK)), load_token_tokenizer(run), features, None)
    windows = encode_training(run, tagger, [*rows, *made])
    known = features.values(TASK, sentence("vim"), [(0, 3)])[0]
    assert [row.features for row in windows] == [[known, [UNKNOWN]]] * 3 + [[[UNKNOWN], [UNKNOWN]]]


def test_rules_stand_beside_the_other_features():
    row = sentence("Vim… on Debian/B-OS")  # normalising makes the first word longer
    features = fit_features(TASK, [row], shapes=True, gazetteer=True, hints=True)
    assert list(features.sizes) == ["shape", "casing", "gazetteer", *(f"rules: {one}" for one in TASK.fields)]
    values = features.values(TASK, row, [(0, 4), (5, 7), (8, 14)])
    assert {len(word) for word in values} == {len(features.sizes)}
    assert [word[3 + TASK.fields.index("OS")] for word in values] == [OUTSIDE, OUTSIDE, BEGIN]


def test_few_rows_are_read_more_often_and_phases_follow_each_other(encoder, tmp_path):
    def plan(least, *given):
        run = tiny_run(
            encoder, tmp_path, full__least_steps=least, full__batch_pieces=10, full__warmup_share=0
        )
        return list(plan_steps(run, "full", given))

    row = [0] * 10  # a batch by itself
    assert len(plan(0, ([row] * 4, 3))) == len(plan(12, ([row] * 4, 3))) == 12
    assert len(plan(13, ([row] * 4, 3))) == 16
    steps = plan(0, ([row], 2), ([row] * 2, 1))
    assert [step.last for step in steps] == [False, False, True, True]
    assert [step.ends for step in steps] == [True, True, False, True]
    assert [step.epoch for step in steps] == [1, 2, 2.5, 3] and steps[3].seed is None
    assert len({step.seed for step in steps[:3]}) == 3
    assert [step.factor for step in steps[::2]] == [1, 1], "the rate rises and falls in each phase"


@pytest.mark.parametrize("made_epochs, sizes", [(1, [3, 8, 8]), (0, [8, 8])])
def test_made_rows_come_first_and_gold_rows_alone_after_them(
    encoder, tmp_path, monkeypatch, made_epochs, sizes
):
    run, seen = span_run(encoder, tmp_path, epochs=2, made_epochs=made_epochs, batch_pieces=1000), []
    watched = lambda rows, pad: seen.append(len(rows)) or collate_windows(rows, pad)
    monkeypatch.setattr(taggers, "collate_windows", watched)
    made = [row.with_(origin="swap") for row in events()[:3]]
    result = fit(run, "tagger", [*events(), *made], events()[:2])
    assert seen == sizes and [record["epoch"] for record in result.history] == [*range(1, len(sizes) + 1)]


def test_patience_counts_in_the_last_phase_alone(encoder, tmp_path, monkeypatch):
    scores = iter([0.5, 0.4, 0.4, 0.6, 0.5, 0.5, 0.9])
    names = ("val_score", "val_exact_match", "val_field_accuracy", "val_exact_f1")
    monkeypatch.setattr(taggers, "evaluate", lambda *given: dict.fromkeys(names, next(scores)))
    run = span_run(encoder, tmp_path, epochs=9, made_epochs=3, patience=2, batch_pieces=1000)
    rows = [*events(), *(row.with_(origin="swap", id=50 + row.id) for row in events())]
    result = fit(run, "tagger", rows, events()[:2])
    assert len(losses_of(result)) == 6 and (result.best_step, result.best_score) == (4, 0.6)


def test_loss_sums_over_fields_and_words_of_values_weigh_more(encoder, tmp_path, monkeypatch):
    model = taggers.new_tagger(span_run(encoder, tmp_path), "tagger", events()).model
    logits = torch.zeros(3, len(CALENDAR.fields), 3)
    logits[:, 0] = torch.tensor([[0.0, 1, 2], [1, 0, 0], [3, 0, 1]])
    monkeypatch.setattr(type(model), "word_logits", lambda self, batch: logits)
    wanted = torch.full((3, len(CALENDAR.fields)), IGNORE)
    wanted[:2, 0] = torch.tensor([OUTSIDE, BEGIN])  # of the third word nothing is known
    outside, begin = (float(torch.logsumexp(row, 0) - row[tag]) for row, tag in zip(logits[:, 0], (0, 1)))
    for weight in (1.0, 3.0):
        own = {"inside_weight": weight, "label_smoothing": 0.0}
        loss = tagging_loss(own)(model, {"outputs": wanted, "tags": wanted})
        assert float(loss) == pytest.approx((outside + weight * begin) / 2, abs=1e-6)


def test_an_average_follows_the_weights_closely_at_first():
    layer = torch.nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(0.0)
    learner = Learner(layer, 0.15)
    layer.weight.data.fill_(1.0)
    learner.average.update_parameters(layer)  # decay 1 / 10
    assert learner.predicting.weight.item() == pytest.approx(0.9) and layer.weight.item() == 1.0
    learner.average.update_parameters(layer)  # decay 0.15, below 2 / 11
    assert learner.predicting.weight.item() == pytest.approx(0.15 * 0.9 + 0.85)
    assert Learner(layer, 0.0).predicting is layer


def test_finer_labels_are_outputs_that_add_up_to_ours(encoder, tmp_path):
    run, rows = tiny_run(encoder, tmp_path), fine_sentences()
    outputs, stands_for = fine_outputs(TASK, rows)
    assert {"O", "B-Language", "I-Device"} <= set(outputs) and "B-SOFTWARE" not in outputs
    assert {output: TAGS[tag] for output, tag in zip(outputs, stands_for)}["I-Device"] == "I-HARDWARE"
    assert fine_outputs(TASK, [*rows, sentence("plain")]) == ((), ())
    layout, logits = layout_of(TASK, finer=(outputs, stands_for)), torch.randn(4, len(outputs))
    model = TokenTagger(load_encoder(run, encoder_path(run), outputs), layout)
    ours = model.tag_log_probs(logits).exp()
    assert ours.sum(-1) == pytest.approx(torch.ones(4))
    both = logits.softmax(-1)[:, [outputs.index("B-Language"), outputs.index("B-Application")]].sum(-1)
    assert ours[:, TAGS.index("B-SOFTWARE")] == pytest.approx(both)


def test_soft_loss_by_hand():
    teacher, student = torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.5, 0.5]]).log()
    by_hand = 0.8 * np.log(1.6) + 0.2 * np.log(0.4)
    assert soft_loss(student, teacher, 1.0).item() == pytest.approx(by_hand, rel=1e-5)
    # at temperature 2 the teacher's odds of 4 become 2, and the result is multiplied by 4
    by_hand = 4 * (2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3))
    assert soft_loss(student, teacher, 2.0).item() == pytest.approx(by_hand, rel=1e-4)
    assert soft_loss(teacher, teacher, 2.0).item() == pytest.approx(0, abs=1e-6)


def test_the_student_learns_from_its_teachers(encoder, tmp_path):
    rows, own = sentences(), {"layers": 1, "teacher": "full, lora"}
    settings = quick("full", epochs=2) | quick("lora", epochs=1) | quick("distilled", **own)
    run = tiny_run(encoder, tmp_path, **settings)
    with pytest.raises(UserError, match="train full, lora first"):
        fit(run, "distilled", rows, rows)
    whole = fit(run, "full", rows, rows)
    before = fingerprint(run, "distilled", rows, rows)
    fit(run, "lora", rows, rows)
    assert fingerprint(run, "distilled", rows, rows) != before  # another teacher, another student
    both = [predict_scores(run, trained(run, name), rows) for name in ("full", "lora")]
    soft = teacher_log_probs(run, ["full", "lora"], rows + rows[:1])
    mean = np.exp(both[0][0]) / 2 + np.exp(both[1][0]) / 2
    assert soft[0].exp().numpy() == pytest.approx(mean, abs=1e-4) and torch.equal(soft[0], soft[-1])
    result = fit(run, "distilled", rows, rows)
    assert len(systems.load(run, "distilled").loaded.model.base.bert.encoder.layer) == 1
    assert result.parameters["total"] < whole.parameters["total"]
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_a_student_of_a_finer_teacher_tells_our_labels_or_the_finer_ones(encoder, tmp_path):
    run, (outputs, stands_for) = tiny_run(encoder, tmp_path), fine_outputs(TASK, fine_sentences())
    base, layout = load_encoder(run, encoder_path(run), outputs), layout_of(TASK, finer=(outputs, stands_for))
    nothing = np.zeros((len(TAGS), len(TAGS)))
    teacher = TrainedTagger(TokenTagger(base, layout), load_token_tokenizer(run), WordFeatures(), nothing)
    own = variant_settings(run, "distilled") | {"layers": 1}
    student, finer = (build_student(run, own | {"fine": fine}, teacher) for fine in (False, True))
    assert student.model.layout == layout_of(TASK) and finer.model.layout == layout
    assert torch.equal(finer.model.base.classifier.weight, base.classifier.weight), "its teacher's"
    first, source = (one.base.bert.encoder.layer for one in (student.model, teacher.model))
    assert len(first) == 1 and torch.equal(first[0].output.dense.weight, source[1].output.dense.weight)
    save_tagger(student, tmp_path / "student")
    assert load_trained_tagger(run, tmp_path / "student").model.base.config.num_labels == len(TAGS)
