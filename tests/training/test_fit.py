"""The entry point of training: what is trained anew, on which rows, and what its settings are."""

import re
import shutil
from collections import Counter
from types import SimpleNamespace

import pytest
from crime_rows import example as crime_example
from few_rows import examples, make_run

from helpers.data.read import write_jsonl
from helpers.errors import UserError
from helpers.models.base import load_tokenizer
from helpers.run import Run
from helpers.training import fit as fit_module
from helpers.training.common import FitResult
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


def tamper(base):
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")


CHANGES = {  # what is done to what a training is given
    "setting": lambda given: given.run.settings.update({"lora.rank": given.run["lora.rank"] + 1}),
    "seed": lambda given: setattr(given.run, "seed", 7),
    "base": lambda given: tamper(given.base),
    "fewer rows": lambda given: given.train.pop(),
    "fewer rows to validate": lambda given: given.validation.pop(),
    "label": lambda given: given.train[0].target.update(action="Dinner"),
    "prompt": lambda given: given.patch(given.run.task.chat, "_prompt", "Read: {text}"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_shapes_a_model_trains_it_anew_and_clears_the_old_one(
    base, tmp_path, trained, monkeypatch, change
):
    copy = shutil.copytree(base, tmp_path / "base")
    run, train, validation = make_run(copy, tmp_path / "out", "lora"), examples(), examples()[:2]
    first = fit(run, "lora", train, validation)
    old = run.path("checkpoints", "lora", "trainer", "runs", "log")
    old.touch()
    run.settings["qlora.rank"] += 1  # of another variant
    assert fit(run, "lora", train, validation) == first and trained == ["lora"] and old.exists()
    given = {"run": run, "train": train, "validation": validation, "base": copy}
    CHANGES[change](SimpleNamespace(**given, patch=monkeypatch.setattr))
    fit(run, "lora", train, validation)
    assert trained == ["lora", "lora"] and not old.exists(), "nothing goes on from other inputs"
    old.parent.mkdir(parents=True)
    run.path("checkpoints", "lora", "key").unlink()  # as where a kill came while the folder was cleared
    fit(run, "lora", train, validation)
    assert len(trained) == 3 and not old.parent.exists()


def test_a_forced_stage_trains_anew_once(base, tmp_path, trained, monkeypatch):
    run = make_run(base, tmp_path, "lora")
    for token in ("", "first", "first", "second"):  # the same after a kill
        monkeypatch.setenv("STUDY_FORCE", token)
        fit(run, "lora", examples(), examples()[:2])
    assert len(trained) == 3


def test_too_long_rows_are_named_and_left_out_not_cut(base, tmp_path, capsys):
    run = make_run(base, tmp_path, "lora")
    rows = [*examples()[:2], examples()[2].with_(id=77, text="Lunch " * 100)]
    run.settings["max_length"] = max(map(len, encode_rows(run, load_tokenizer(run), rows[:2])))
    assert len(encode_rows(run, load_tokenizer(run), rows)) == 2
    assert "1 of 3 rows have more than max_length=" in capsys.readouterr().out
    with pytest.raises(UserError, match="1 of 1 rows .*row 77 has .*--set max_length="):
        encode_rows(run, load_tokenizer(run), rows[2:])


def test_copies_of_a_row_share_out_its_questions(base, tmp_path):
    run = Run("crime", profile="smoke", out=str(tmp_path), settings={"model": str(base)})
    tokenizer = load_tokenizer(run)
    rows = [crime_example("Ann was robbed.", {"Victim_Name": ["Ann"]})] * 3
    encoded = encode_rows(run, tokenizer, rows, questions=6)
    texts = ["".join(tokenizer.decode(token) for token in row.labels if token != -100) for row in encoded]
    asked = [re.findall(r'\{"(\w+)"', text) for text in texts]
    assert [len(names) for names in asked] == [6, 6, 6]
    assert Counter(name for names in asked for name in names) == Counter(run.task.chat.questions)
    assert encode_rows(run, tokenizer, rows, questions=6) == encoded


def test_gold_rows_are_repeated_and_made_rows_drawn_alike_for_variants_with_the_same_settings(base, tmp_path):
    run, rows = make_run(base, tmp_path, "lora", gold_repeats=2, made_rows=3), examples()
    made = [row.with_(id=100 + index, origin="swap") for index, row in enumerate(rows)]
    for part, given in {"train": rows, "train_augmented": rows + made}.items():
        write_jsonl(run.path("splits", f"{part}.jsonl"), [run.task.rows.to_json(row) for row in given])
    for variant in ("lora", "qlora"):
        run.settings |= {f"{variant}.gold_repeats": 2, f"{variant}.made_rows": 3}
    chosen = training_rows(run, "lora")
    assert Counter(row.id for row in chosen if row.origin == "gold") == {row.id: 2 for row in rows}
    drawn = {row.id for row in chosen if row.origin != "gold"}
    assert len(drawn) == 3 == len(chosen) - 2 * len(rows) and drawn <= {row.id for row in made}
    assert training_rows(run, "qlora") == chosen
    for wanted, count in ((-1, len(made)), (0, 0)):
        run.settings["lora.made_rows"] = wanted
        assert len(training_rows(run, "lora")) == 2 * len(rows) + count


def test_word_lists_shape_a_model_and_settings_count_by_their_values(tmp_path):
    code = fit_module.training_code(Run("calendar", profile="smoke", out=str(tmp_path)))
    names = {path.name for path in code}
    assert {"dates.yaml", "lists.yaml", "fields.py"} <= names and "settings.yaml" not in names
