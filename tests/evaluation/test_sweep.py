"""Sweeps: what a file may say, folds that leak nothing, a kill and what comes after it, means by hand."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conftest import ROOT

from helpers.command import status
from helpers.data.read import read_jsonl
from helpers.data.splits import alike
from helpers.errors import UserError
from helpers.evaluation import measured, sweep, systems
from helpers.files import read_json, write_json
from helpers.run import Run
from helpers.tasks import load_task
from helpers.tasks.records import Example

TEXT = """
task: calendar
profile: smoke
variants: [lora, tagger, full_entity_loss]
settings:
  default: {max_rows: 60}
  no made rows: {max_rows: 60, synthetic: 0, augment_per_row: 0}
seeds: [1, 2]
"""


@pytest.fixture
def fits(monkeypatch):
    """Fitting and predicting without a model; the list of what was fitted."""
    done = []

    def fit(run, variant, train, validation):
        done.append((variant, run.seed, len(train)))
        if len(done) == getattr(fit, "dies_at", None):
            raise KeyboardInterrupt
        write_json(
            run.path("costs.json"), read_json(run.path("costs.json")) | {variant: {"train_seconds": 2.0}}
        )

    class Stand(systems.System):
        def _answers(self, examples, decoding, progress):
            chance = random.Random(f"{self.run.seed} {self.name} {decoding} {self.run['synthetic']}")
            return [
                {"id": row.id, "prediction": row.target if chance.random() < 0.6 else None, "raw": "{"}
                for row in examples
            ]

        def release(self):
            """Nothing is held; to look for garbage takes longer than the rest."""

    monkeypatch.setattr("helpers.training.fit.fit", fit)
    monkeypatch.setattr(systems, "load_trained", lambda run, name: Stand(run, name, None))
    fit.done = done
    return fit


def file(folder: Path, text: str = TEXT) -> Path:
    path = folder / "small.yaml"
    path.write_text(text)
    return path


def without_seconds(path: Path) -> list[dict]:
    return [
        {name: value for name, value in line.items() if "seconds" not in name} for line in read_jsonl(path)
    ]


def test_a_kill_and_a_line_cut_short_leave_the_same_file(fits, tmp_path):
    whole = sweep.carry_out(file(tmp_path), out=tmp_path / "whole")
    assert len(fits.done) == 2 * 2 * 3
    lines = read_jsonl(whole)
    assert [line["variant"] for line in lines[:4]] == ["lora", "tagger", "full_entity_loss", "vote"]
    assert lines[1]["train_rows"] > lines[9]["train_rows"]  # rows are made in the first setting alone
    assert list(lines[0]["scores"]) == ["scored", "validation"]
    assert list(lines[0]["scores"]["scored"]) == ["free", "source"] and list(
        lines[1]["scores"]["scored"]
    ) == ["source"]
    assert not (tmp_path / "whole" / "small-work").exists()

    fits.dies_at = 12 + 5
    killed = tmp_path / "killed" / "small.jsonl"
    with pytest.raises(KeyboardInterrupt):
        sweep.carry_out(file(tmp_path), out=killed.parent)
    with killed.open("a") as half:
        half.write('{"key": "cut sh')
    assert not killed.with_suffix(".json").exists()
    assert sweep.carry_out(file(tmp_path), out=killed.parent) == killed
    assert without_seconds(killed) == without_seconds(whole)
    assert len(fits.done) == 12 + 5 + 8  # what was finished is not fitted again
    about = read_json(killed.with_suffix(".json"))
    assert about["rows"].keys() == {"train", "validation", "test"} and len(about["code"]) == 1


def test_a_vote_is_counted_from_its_members_and_costs_what_they_cost(fits, tmp_path):
    lines = read_jsonl(sweep.carry_out(file(tmp_path), out=tmp_path))
    vote = next(line for line in lines if line["variant"] == "vote")
    members = [line for line in lines[:4] if line["variant"] in load_task("calendar").variants.votes["vote"]]
    assert vote["train_rows"] is None and vote["train_seconds"] == sum(
        line["train_seconds"] for line in members
    )
    assert (
        read_json(tmp_path / "small.json")["seconds"] == 12 * 2
    )  # those of votes are those of their members


def test_a_vote_without_its_members_predictions_asks_them_again(fits, tmp_path):
    path = sweep.carry_out(file(tmp_path), out=tmp_path)
    whole, lines = without_seconds(path), path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"variant": "vote"' not in line))
    sweep.carry_out(file(tmp_path), out=tmp_path)
    assert without_seconds(path) == whole


def test_time_that_is_over_begins_nothing(fits, tmp_path, capsys):
    assert sweep.carry_out(file(tmp_path), out=tmp_path, max_seconds=0) is None
    assert not fits.done and "the same command goes on" in capsys.readouterr().out
    run = Run("calendar", profile="smoke", out=str(tmp_path))
    assert measured.sweep_tables(run, tmp_path) == {}


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
def test_what_cannot_be_is_one_line(fits, tmp_path, capsys, old, new, words):
    assert old in TEXT
    path = file(tmp_path, TEXT.replace(old, new, 1))
    assert status(sweep.main, [str(path), "--out", str(tmp_path)]) == 2 and not fits.done
    said = capsys.readouterr().err
    assert words in said and said.count("\n") == 1


def test_folds_hold_every_row_out_once_and_straddle_no_group():
    nouns = (
        "dentist, budget review, picnic by the lake, chess club, rehearsal, house viewing, tax return, marathon, "
        "parents' evening, board dinner, oil change, poetry slam, book fair, surgery"
    ).split(", ")
    rows = [
        Example(at, f"{nouns[at // 3].capitalize()} at {1 + at % 3} pm", {}) for at in range(3 * len(nouns))
    ]
    folds = sweep.fold_parts(rows, 4, seed=1)
    assert sorted(row.id for parts in folds for row in parts["test"]) == [row.id for row in rows]
    for parts in folds:
        assert sum(map(len, parts.values())) == len(rows) and all(parts.values())
        texts = {part: [row.text for row in own] for part, own in parts.items()}
        assert not any(
            len(alike(texts[one], texts[other]))
            for one, other in (("train", "test"), ("train", "validation"), ("validation", "test"))
        )


def test_folds_use_train_rows_alone_and_number_themselves(fits, tmp_path):
    lines = read_jsonl(sweep.carry_out(file(tmp_path, TEXT + "folds: 2\n"), out=tmp_path))
    assert {line["fold"] for line in lines} == {1, 2} and len(lines) == 2 * 2 * 2 * 4
    table, caption = measured.sweep_table(tmp_path / "small.jsonl")
    assert (table["runs"] == 4).all() and "2 folds of the train part" in caption


def line(seed, variant, exact, free=None, **more):
    scored = {"free": {"exact_match": free, "json_validity": 0.5}} if free is not None else {}
    scored["source"] = {"exact_match": exact, "json_validity": 1.0}
    return {
        "settings": "default",
        "seed": seed,
        "variant": variant,
        "train_rows": 10,
        "train_seconds": 4.0,
        "predict_seconds": 1.0,
        "scores": {"scored": scored},
    } | more


def test_means_and_deviations_worked_by_hand():
    lines = [
        line(1, "lora", 0.6, 0.5),
        line(2, "lora", 0.8, 0.5, train_seconds=6.0),
        line(3, "lora", 0.7, 0.8),
        line(1, "vote", 0.9, train_rows=None),
    ]
    table = measured.means(lines, "exact_match")
    assert table.index.tolist() == [("default", "lora"), ("default", "vote")] and table["runs"].tolist() == [
        3,
        1,
    ]
    assert table["exact_match"].tolist() == ["0.700 ± 0.100", "0.900"]
    assert table["exact_match free"].tolist() == ["0.600 ± 0.173", None]
    assert table["json_validity free"].iloc[0] == "0.500 ± 0.000" and "exact_match validation" not in table
    assert table["train_seconds"].round(2).tolist() == [4.67, 4.0] and table[
        "train_rows"
    ].isna().tolist() == [False, True]


def test_a_notebook_shows_the_sweeps_of_its_task_and_data(fits, tmp_path):
    sweep.carry_out(file(tmp_path), out=tmp_path)
    run = Run("calendar", profile="smoke", out=str(tmp_path / "run"))
    ((table, caption),) = measured.sweep_tables(run, tmp_path).values()
    assert len(table) == 8 and caption.startswith("small: mean ± standard deviation over seeds 1, 2 (")
    assert measured.sweep_tables(Run("crime", profile="smoke", out=str(tmp_path / "run")), tmp_path) == {}
    write_json(tmp_path / "small.json", read_json(tmp_path / "small.json") | {"data": "public"})
    assert measured.sweep_tables(run, tmp_path) == {}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs" / "sweeps").glob("*.yaml")), ids=lambda path: path.stem
)
def test_committed_files_ask_for_what_there_is_and_their_results_are_complete(path, tmp_path):
    asked = sweep.read_sweep(path)
    for name in asked.settings:
        run = asked.run(name, asked.seeds[0], "sample", tmp_path)
        assert set(asked.variants) <= set(run.task.variants)
    results = measured.SWEEPS / f"{path.stem}.jsonl"
    assert results.exists() == results.with_suffix(".json").exists()
    if results.exists():
        table, _ = measured.sweep_table(results)
        assert (table["runs"] == len(asked.seeds) * max(1, asked.folds)).all()
        assert set(table.index.get_level_values("settings")) == set(asked.settings)


def test_two_sweeps_never_write_one_file(fits, tmp_path, monkeypatch):
    path = file(tmp_path)

    def second(*_):
        with pytest.raises(UserError, match="another process is writing"):
            sweep.carry_out(path, out=tmp_path)
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "answer", second)
    with pytest.raises(KeyboardInterrupt):
        sweep.carry_out(path, out=tmp_path)


def test_the_keyboard_stops_a_command_without_a_traceback(fits, tmp_path, capsys):
    fits.dies_at = 1
    assert status(sweep.main, [str(file(tmp_path)), "--out", str(tmp_path)]) == 130
    assert "Traceback" not in capsys.readouterr().err
