"""Sweeps: what a file may say, folds that leak nothing, means by hand."""

import runpy
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from helpers.command import status
from helpers.errors import UserError
from helpers.evaluation import measured, sweep
from helpers.files import read_json, write_json
from helpers.run import Run
from helpers.tasks.base import Example

TEXT = """
task: calendar
profile: smoke
variants: [lora, tagger]
settings:
  default: {max_rows: 60}
  no made rows: {max_rows: 60, synthetic: 0, augment_per_row: 0}
seeds: [1, 2]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(TEXT)
    return tmp_path / "small.yaml"


def test_every_setting_and_seed_is_fitted_and_shown_to_notebooks_of_its_data_once_complete(
    fits, file, tmp_path
):
    run = Run("calendar", profile="smoke", out=str(tmp_path / "run"))
    assert sweep.carry_out(file, out=tmp_path, max_seconds=0) is None and not fits.done
    path = sweep.carry_out(file, out=tmp_path)
    assert len(fits.done) == 2 * 2 * 2
    made = [rows for variant, _, rows in fits.done if variant == "tagger"]
    assert min(made[:2]) > max(made[2:]), "rows are made in the first setting alone"
    table, caption = measured.elsewhere(run, {}, "", tmp_path)["sweep_small"]
    assert list(table.loc["default"].index) == ["rules", "lora", "tagger", "vote", "tagger_and_rules"]
    assert (table["runs"] == 2).all()
    assert caption.startswith("small: mean ± standard deviation over seeds 1, 2 (smoke profile; ")
    assert not measured.complete_sweeps("crime", tmp_path)
    content = read_json(path)
    write_json(path, content | {"lines": [line for line in content["lines"] if "seed 2" not in line["case"]]})
    assert not measured.complete_sweeps("calendar", tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("max_rows: 60}", "max_rowz: 60}", "unknown setting 'max_rowz'"),
        ("tagger", "taggr", "unknown variant 'taggr'"),
        ("seeds: [1, 2]", "sedes: [1, 2]", "small.yaml: sedes: Extra inputs"),
        ("seeds: [1, 2]", "seeds: []", "seeds"),
        ("task: calendar", "task: calender", "did you mean 'calendar'"),
        ("profile: smoke", "profile: [", "cannot be read"),
        ("seeds: [1, 2]", "folds: 900", "cannot be cut into 900 folds"),
    ],
)
def test_what_cannot_be_is_one_line(fits, file, tmp_path, capsys, old, new, words):
    file.write_text(TEXT.replace(old, new, 1))
    assert status(sweep.main, [str(file), "--out", str(tmp_path)]) == 2 and not fits.done
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_folds_hold_every_row_out_once_and_straddle_no_group():
    nouns = "dentist budget picnic chess rehearsal viewing tax marathon parents dinner oil slam fair surgery"
    texts = [f"{noun} appointment number {noun} at {hour} pm" for noun in nouns.split() for hour in (1, 2, 3)]
    rows = [Example(at, text, {}) for at, text in enumerate(texts)]
    folds = sweep.fold_parts(rows, 4, seed=1)
    assert sorted(row.id for parts in folds for row in parts["test"]) == [row.id for row in rows]
    for parts in folds:
        assert sum(map(len, parts.values())) == len(rows) and all(parts.values())
        groups = [{row.text.split()[0] for row in own} for own in parts.values()]
        assert sum(map(len, groups)) == len(nouns.split()), "each noun is in one part"


def test_means_and_deviations_worked_by_hand(tmp_path):
    lines = [
        {
            "group": "a",
            "variant": variant,
            "train_seconds": seconds,
            "sets": {"home": {"exact_match": home}, "scored": {"exact_match": exact, "json_validity": 1.0}},
        }
        for variant, exact, home, seconds in (
            ("lora", 0.6, 0.5, 4.0),
            ("lora", 0.8, 0.5, 6.0),
            ("lora", 0.7, 0.8, 4.0),
            ("vote", 0.9, 0.9, None),
        )
    ]
    about = {"settings": {"a": {}}, "seeds": [1, 2, 3], "folds": 0, "profile": "cpu"}
    content = {"sweep": about, "headline": "exact_match", "lines": lines, "hardware": {"cpu": "a chip"}}
    write_json(tmp_path / "small.json", content)
    table, caption = measured.sweep_table(tmp_path / "small.json")
    assert table.index.tolist() == [("a", "lora"), ("a", "vote")] and table["runs"].tolist() == [3, 1]
    assert table["exact_match"].tolist() == ["0.700 ± 0.100", "0.900"]
    assert table["exact_match validation"].tolist() == ["0.600 ± 0.173", "0.900"]
    assert table["train_seconds"].round(2).iloc[0] == 4.67 and "a chip" in caption
    about["seeds"] = [1]
    write_json(tmp_path / "small.json", content | {"lines": lines[-1:]})
    caption = measured.sweep_table(tmp_path / "small.json")[1]
    assert caption.startswith("small: one training a line (seed 1), so no spread is known")


def test_committed_files_ask_for_what_there_is(tmp_path):
    for path in (ROOT / "configs" / "sweeps").glob("*.yaml"):
        asked = sweep.read_sweep(path)
        for settings in asked.settings.values():
            run = Run(asked.task, asked.profile, "sample", str(tmp_path), settings)
            assert set(asked.variants) <= set(run.task.variants)


@pytest.mark.parametrize("name", ["sweep", "transfer"])
def test_rows_are_made_under_the_hash_seed_of_stages(name, monkeypatch):
    begun = []
    monkeypatch.setattr("os.execve", lambda *given: begun.append(given) or sys.exit())
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    for seed, anew in (("7", 1), (None, 1), ("0", 0)):
        begun.clear()
        monkeypatch.setenv("PYTHONHASHSEED", seed) if seed else monkeypatch.delenv("PYTHONHASHSEED")
        with pytest.raises(SystemExit):
            runpy.run_module(f"helpers.evaluation.{name}", run_name="__main__")
        assert [env["PYTHONHASHSEED"] for *_, env in begun] == ["0"] * anew


def test_two_sweeps_never_work_in_one_folder(fits, file, tmp_path, monkeypatch):
    def second(*_):
        with pytest.raises(UserError, match="another process works in"):
            sweep.carry_out(file, out=tmp_path)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "ask", second)
    with pytest.raises(KeyboardInterrupt):
        sweep.carry_out(file, out=tmp_path)
