"""The entry point of training: what is trained anew, on which rows, and what its settings are."""

from __future__ import annotations

import shutil
from collections import Counter

import pytest
from crime_rows import example as crime_example
from few_rows import examples, make_run

from helpers.data.read import write_jsonl
from helpers.errors import UserError
from helpers.evaluation import systems
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.tasks import load_task
from helpers.training import fit as fit_module
from helpers.training.common import FitResult, exact_scores
from helpers.training.fit import fit
from helpers.training.rows import encode_rows, training_rows


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """Variants that a stand-in for the trainer was asked to train."""
    asked: list[str] = []

    def train(run, variant, train, validation, folder):
        asked.append(variant)
        (folder / "best").mkdir(exist_ok=True)
        history = [{"step": 1, "epoch": 1.0, "loss": 2.0}]
        return FitResult(variant, history, {"trainable": 1, "total": 2}, 0.5, 1)

    monkeypatch.setattr(fit_module, "fit_writer", train)
    return asked


# -- what is trained anew ------------------------------------------------------------------------------------
def test_a_finished_variant_is_not_trained_again(base, tmp_path, trained):
    run = make_run(base, tmp_path, "lora")
    first = fit(run, "lora", examples(), examples()[:2])
    assert fit(run, "lora", examples(), examples()[:2]) == first and trained == ["lora"]
    assert systems.trained(run) == ["lora"] and first.best_score == 0.5
    assert run.path("history", "lora.json").exists() and run.path("costs.json").exists()


def other_rows(run, base):
    return run, examples()[1:], examples()[:2]


def other_validation(run, base):
    return run, examples(), examples()[:3]


def other_label(run, base):
    rows = examples()
    rows[0] = rows[0].with_(target={**rows[0].target, "action": "Dinner"})
    return run, rows, examples()[:2]


def other_setting(run, base):
    run.settings["lora.rank"] += 1
    return run, examples(), examples()[:2]


def other_seed(run, base):
    run.seed += 1
    return run, examples(), examples()[:2]


def other_base(run, base):
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    return run, examples(), examples()[:2]


@pytest.mark.parametrize(
    "change", [other_rows, other_validation, other_label, other_setting, other_seed, other_base]
)
def test_what_shapes_a_model_trains_it_anew_and_clears_the_old_one(base, tmp_path, trained, change):
    shutil.copytree(base, tmp_path / "base")
    run = make_run(tmp_path / "base", tmp_path / "out", "lora")
    fit(run, "lora", examples(), examples()[:2])
    old = run.path("checkpoints", "lora", "trainer", "runs", "log")
    old.touch()
    fit(run, "lora", examples(), examples()[:2])
    assert trained == ["lora"] and old.exists()
    run, train, validation = change(run, tmp_path / "base")
    fit(run, "lora", train, validation)
    assert trained == ["lora", "lora"] and not old.exists(), "nothing goes on from other inputs"
    old.parent.mkdir(parents=True)
    run.path("checkpoints", "lora", "key").unlink()  # as where a kill came while the folder was cleared
    fit(run, "lora", train, validation)
    assert len(trained) == 3 and not old.parent.exists()


@pytest.mark.parametrize("setting", ["qlora.rank", "tagger.epochs"])
def test_settings_of_other_variants_train_nothing_anew(base, tmp_path, trained, setting):
    run = make_run(base, tmp_path, "lora")
    fit(run, "lora", examples(), examples()[:2])
    run.settings[setting] += 1
    fit(run, "lora", examples(), examples()[:2])
    assert trained == ["lora"]


def test_a_forced_stage_trains_anew_once(base, tmp_path, trained, monkeypatch):
    run = make_run(base, tmp_path, "lora")
    for token in ("", "first", "first", "second"):  # the same after a kill
        monkeypatch.setenv("STUDY_FORCE", token)
        fit(run, "lora", examples(), examples()[:2])
    assert len(trained) == 3


# -- rows ----------------------------------------------------------------------------------------------------
def test_too_long_rows_are_named_and_left_out_not_cut(base, tmp_path, capsys):
    run = make_run(base, tmp_path, "lora")
    rows = [*examples()[:2], examples()[2].with_(id=77, text="Lunch " * 100)]
    run.settings["max_length"] = max(map(len, encode_rows(run, load_tokenizer(run), rows[:2])))
    assert len(encode_rows(run, load_tokenizer(run), rows)) == 2
    assert "1 of 3 rows have more than max_length=" in capsys.readouterr().out
    with pytest.raises(UserError, match="1 of 1 rows .*row 77 has .*--set max_length="):
        encode_rows(run, load_tokenizer(run), rows[2:])


def answered(tokenizer, encoded) -> list[str]:
    """Texts of the answers that a chat learns."""
    texts, current = [], []
    for label in (*encoded.labels, -100):
        if label != -100:
            current.append(label)
        elif current:
            texts.append(tokenizer.decode(current))
            current = []
    return texts


def test_copies_of_a_row_share_out_its_questions(base, tmp_path):
    run = Run("crime", profile="smoke", out=str(tmp_path), settings={"model": str(base)})
    tokenizer = load_tokenizer(run)
    rows = [crime_example("Ann was robbed.", {"Victim_Name": ["Ann"]})] * 3
    asked = [
        [text.split('"')[1] for text in answered(tokenizer, each) if text.startswith("{")]
        for each in encode_rows(run, tokenizer, rows, questions=6)
    ]
    assert [len(names) for names in asked] == [6, 6, 6]
    assert Counter(name for names in asked for name in names) == Counter(run.task.chat.questions)
    again = [each.input_ids for each in encode_rows(run, tokenizer, rows, questions=6)]
    assert again == [each.input_ids for each in encode_rows(run, tokenizer, rows, questions=6)]


def test_gold_rows_are_repeated_and_made_rows_drawn_alike_for_variants_with_the_same_settings(base, tmp_path):
    run, rows = make_run(base, tmp_path, "lora", gold_repeats=2, made_rows=3), examples()
    made = [row.with_(id=100 + index, origin="swap") for index, row in enumerate(rows)]
    for part, given in {"train": rows, "train_augmented": rows + made}.items():
        write_jsonl(run.path("splits", f"{part}.jsonl"), [run.task.rows.to_json(row) for row in given])
    for variant in ("lora", "qlora"):
        run.settings |= {f"{variant}.gold_repeats": 2, f"{variant}.made_rows": 3}
    chosen = training_rows(run, "lora")
    assert Counter(row.id for row in chosen if row.origin == "gold") == {row.id: 2 for row in rows}
    drawn = [row.id for row in chosen if row.origin != "gold"]
    assert len(set(drawn)) == 3 and {*drawn} <= {row.id for row in made}
    assert training_rows(run, "qlora") == chosen
    run.settings["lora.made_rows"] = -1
    assert len(training_rows(run, "lora")) == 2 * len(rows) + len(made)
    run.settings["lora.made_rows"] = 0
    assert len(training_rows(run, "lora")) == 2 * len(rows)


def test_scores_by_hand():
    task, rows = load_task("calendar"), examples()[:2]
    wrong = {**rows[1].target, "attendees": ["Bo", "Zoe"], "location": None}
    found = exact_scores(task, rows, [{"prediction": rows[0].target}, {"prediction": wrong}])
    assert found["val_exact_match"] == 0.5
    assert found["val_field_accuracy"] == pytest.approx((8 + 6) / 16)
    # the rows have four and five values: action, date, time, a person, and Zoom; Zoe is one too many
    assert found["val_exact_f1"] == pytest.approx(2 * 8 / (9 + 9))
    assert exact_scores(task, rows, [{"prediction": None}] * 2)["val_exact_match"] == 0.0


# -- what trained models are for -----------------------------------------------------------------------------
def test_word_lists_shape_a_model_and_settings_count_by_their_values(tmp_path):
    names = {
        path.name for path in fit_module.training_code(Run("calendar", profile="smoke", out=str(tmp_path)))
    }
    assert {"dates.yaml", "lists.yaml", "fields.py"} <= names and "settings.yaml" not in names
