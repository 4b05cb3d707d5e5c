"""Ablations: folds that leak nothing, cells that are trained once and survive a kill, statistics worked by hand."""
from __future__ import annotations

import contextlib
import random
import re
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from tiny_model import save_tiny_base
from tiny_task import TinyTask, row
from transformers import BertConfig, BertModel

import helpers.ablation_cells as cells_module
import helpers.ablation_results as results_module
from helpers import ablation_report
from helpers.ablate import ablate, cli
from helpers.ablation_cells import Cell, carry_out, cell_run, plan_cells, read_cells, train_and_score
from helpers.ablation_folds import (
    Split,
    choosing_split,
    first_rows,
    fold_splits,
    make_folds,
    read_pool,
    validation_split,
)
from helpers.ablation_results import read_results, row_means, spread, summarise_configuration
from helpers.config import PROFILES, Run, UserError, merge_settings
from helpers.environment import read_json, write_json
from helpers.splits import alike, write_splits
from helpers.tasks import get_task
from helpers.tasks.records import Ablation, Configuration, Example
from helpers.text import normalise

WRITER, TAGGER = "full_entity_loss", "tagger"


def sample_run(tmp_path, rows=60, **settings) -> Run:
    return Run(task="calendar", profile="smoke", out=str(tmp_path), settings={"max_rows": rows, **settings})


def texts(examples) -> set[str]:
    return {normalise(example.text) for example in examples}


# -- folds ------------------------------------------------------------------------------------------------------------
def wordings(count: int) -> list[Example]:
    """Rows of which every third is a sibling (other numbers) or near repeat of the one before it."""
    nouns = ["dentist", "budget review", "picnic by the lake", "chess club", "rehearsal", "house viewing", "tax return",
             "marathon", "parents' evening", "board dinner", "oil change", "poetry slam", "book fair", "surgery"]
    found = []
    for at in range(count):
        noun = nouns[at // 3 % len(nouns)] * (1 + at // 3 // len(nouns))
        found.append(row(at, f"{noun.capitalize()} at {1 + at % 3} pm"))
    return found


def test_folds_are_disjoint_cover_everything_and_are_of_one_size():
    rows = wordings(40)
    folds = make_folds(rows, 5, random.Random(1))
    assert sorted(example.id for fold in folds for example in fold) == list(range(40))
    assert max(map(len, folds)) - min(map(len, folds)) <= 3
    assert folds == make_folds(rows, 5, random.Random(1)) != make_folds(rows, 5, random.Random(2))


def test_no_like_wordings_straddle_folds_or_the_choosing_rows(tmp_path):
    run = sample_run(tmp_path, 0)
    pool = read_pool(run)
    splits = fold_splits(run, pool, 5)
    assert len(splits) == 5
    for split in splits:
        parts = [[example.text for example in part] for part in (split.train, split.choosing, split.held_out)]
        assert sum(map(len, parts)) == len(pool.rows) and all(parts)
        assert not any(len(alike(one, other)) for one, other in combinations(parts, 2))
    assert sorted(example.id for split in splits for example in split.held_out) == list(range(len(pool.rows)))


def test_the_pool_never_holds_a_test_row(tmp_path):
    from helpers.data import load_source
    from helpers.splits import make_splits

    run = sample_run(tmp_path)
    parts, pool = make_splits(run, load_source(run)).parts, read_pool(run)
    assert texts(pool.rows) == texts(parts["train"]) | texts(parts["validation"])
    assert not texts(pool.rows) & texts(parts["test"])


def test_pooled_rows_of_two_files_do_not_share_ids(tmp_path):
    folder = tmp_path / "data" / "calendar"
    folder.mkdir(parents=True)
    lines = (ROOT / "data" / "calendar" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    (folder / "train.jsonl").write_text("\n".join(lines[:30]), encoding="utf-8")
    (folder / "validation.jsonl").write_text("\n".join(lines[30:40]), encoding="utf-8")
    pool = read_pool(Run(task="calendar", profile="smoke", data=str(tmp_path / "data"), out=str(tmp_path / "out")))
    assert [example.id for example in pool.rows] == list(range(len(pool.rows)))
    assert pool.name == "data" and len(pool.validation) == 10


def test_too_few_wordings_for_the_folds_are_refused():
    with pytest.raises(UserError, match="6 rows in 2 different wordings are too few for 3 folds"):
        make_folds(wordings(6), 3, random.Random(1))


def test_choosing_rows_are_a_tenth_and_at_least_two():
    unlike = [row(at, "".join(random.Random(at).choices("abcdefghijklmnopqrstuvwxyz", k=30))) for at in range(100)]
    train, choosing = choosing_split(unlike, random.Random(3))
    assert (len(train), len(choosing)) == (90, 10)
    assert len(choosing_split([row(at, letter * 9) for at, letter in enumerate("abcde")], random.Random(3))[1]) == 2


def test_smaller_choices_of_rows_are_part_of_larger_ones(tmp_path):
    rows = wordings(40)
    chosen = [{one.id for one in first_rows(rows, count, random.Random(5))} for count in (4, 10, 25, 0)]
    assert list(map(len, chosen)) == [4, 10, 25, 40]
    assert chosen[0] < chosen[1] < chosen[2] < chosen[3]
    run = sample_run(tmp_path)
    pool = read_pool(run)
    small, large = validation_split(run, pool, 5), validation_split(run, pool)
    assert texts(small.train) < texts(large.train) and small.choosing == large.choosing
    assert small.held_out == large.held_out == pool.validation
    assert not texts(large.train + large.choosing) & texts(pool.validation)
    assert validation_split(run, pool, len(large.train)) is None


# -- cells without training -------------------------------------------------------------------------------------------
ABLATIONS = {
    "systems": Ablation("Systems", (Configuration("rules", "rules"), Configuration("usual", WRITER, against="rules"))),
    "rows": Ablation("Rows", (Configuration("none", WRITER, {"synthetic": 0, "augment_per_row": 0}),
                              Configuration("both", WRITER, against="none"))),
    "ways": Ablation("Ways", (Configuration("free", WRITER, decoding="free"),
                              Configuration("source", WRITER, decoding="source", against="free"))),
    "curve": Ablation("Curve", tuple(Configuration(f"{size}", WRITER, rows=size) for size in (5, 10, 0)),
                      scored_on="validation", view="curve"),
    "seeds": Ablation("Seeds", (Configuration("usual", WRITER, seeds=3),), scored_on="validation", view="seeds"),
}
TRAININGS = 2 + 2 + 3 + 2  # usual and none on two folds, three sizes, two more seeds; all else is shared or untrained


@contextlib.contextmanager
def without_models():
    """Training and prediction without a model; gives the calls of `fit` and the rows that others are made from."""
    calls, sources, augment = [], [], cells_module.augment_train
    environment = results_module.environment_fingerprint()

    def fit(run, variant, train, validation):
        calls.append({"run": run, "variant": variant, "train": train, "validation": validation})

    def predict(run, variant, examples, constraint="source", progress=True):
        right = random.Random(f"{run.seed} {constraint} {len(run.load('train'))} {run.settings['synthetic']}")
        return [{"id": one.id, "prediction": one.target if right.random() < 0.6 else run.task.rules(one.text),
                 "raw": "", "confidence": None} for one in examples]

    def recorded(run, train):
        sources.append(train)
        return augment(run, train)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("helpers.train.fit", fit)
        patch.setattr("helpers.predict.predict_variant", predict)
        patch.setattr(cells_module, "augment_train", recorded)
        patch.setattr(results_module, "environment_fingerprint", lambda: environment)  # takes a second
        patch.setattr(type(get_task("calendar")), "ablations", lambda self, profile: ABLATIONS)
        yield calls, sources


@pytest.fixture
def fake():
    with without_models() as (calls, _):
        yield calls


@dataclass(frozen=True)
class Finished:
    """All of ABLATIONS carried out once."""

    folder: Path
    path: Path
    calls: list
    sources: list

    @property
    def run(self) -> Run:
        return sample_run(self.folder)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    with without_models() as (calls, sources):
        path = ablate(sample_run(folder), folds=2, results=folder / "results")
    return Finished(folder, path, list(calls), list(sources))


def without_seconds(value):
    if isinstance(value, dict):
        return {name: without_seconds(item) for name, item in value.items() if name != "seconds"}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def test_every_cell_is_trained_once_and_scored_under_all_its_decodings(finished, fake):
    assert len(finished.calls) == TRAININGS
    assert not list((finished.folder / "cells").iterdir())  # no checkpoint is left
    before = finished.path.read_bytes()
    assert ablate(finished.run, folds=2, results=finished.path.parent) == finished.path and not fake
    assert finished.path.read_bytes() == before
    ways = {frozenset(record["scores"]) for record in read_cells(finished.folder / "cells.jsonl").values()
            if record["variant"] == WRITER and record["split"].startswith("fold") and record["made_rows"]}
    assert ways == {frozenset({"free", "source"})}
    content = read_json(finished.path)
    assert list(content["ablations"]) == list(ABLATIONS) and content["manifest"]["trained"] == TRAININGS
    seeds = content["ablations"]["seeds"]["configurations"][0]
    assert [part["seed"] for part in seeds["parts"]] == [42, 43, 44]


def test_no_held_out_row_is_trained_on_and_made_rows_come_from_the_training_rows(finished):
    pool = read_pool(finished.run)
    records = read_cells(finished.folder / "cells.jsonl").values()
    records = [record for record in records if record["variant"] != "rules"]
    for call, source, record in zip(finished.calls, finished.sources, records, strict=True):
        held_out = texts(example for example in pool.rows if example.id in record["ids"])
        gold = texts(example for example in call["train"] if example.origin == "gold")
        made = texts(example for example in call["train"] if example.origin != "gold")
        assert gold == texts(source) and len(held_out) == len(record["ids"])
        assert not held_out & (gold | made | texts(call["validation"]))
        assert not gold & texts(call["validation"])
        assert len(alike(sorted(held_out), sorted(made))) == 0
        assert record["made_rows"] == sum(example.origin != "gold" for example in call["train"])
    assert {record["made_rows"] > 0 for record in records} == {True, False}


def test_a_killed_run_goes_on_to_the_same_results(finished, fake, tmp_path, monkeypatch):
    score, calls = cells_module.train_and_score, []

    def dies(*args):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return score(*args)

    monkeypatch.setattr(cells_module, "train_and_score", dies)
    with pytest.raises(KeyboardInterrupt):
        ablate(sample_run(tmp_path), folds=2, results=tmp_path / "results")
    with (tmp_path / "cells.jsonl").open("a") as file:
        file.write('{"key": "cut sh')  # a kill in the middle of a line
    again = ablate(sample_run(tmp_path), folds=2, results=tmp_path / "results")
    assert len(fake) == TRAININGS
    assert without_seconds(read_json(again)) == without_seconds(read_json(finished.path))


def test_time_that_is_over_begins_nothing_more_and_leaves_what_is_finished(fake, tmp_path, capsys):
    run = sample_run(tmp_path)
    pool, ticks = read_pool(run), iter(range(100))
    plan = plan_cells(run, pool, ABLATIONS, 2)
    assert not carry_out(run, plan, list(ABLATIONS), tmp_path, 4, clock=lambda: next(ticks))
    assert len(read_cells(tmp_path / "cells.jsonl")) == 3  # begun at 1, 2 and 3 seconds
    assert ablate(run, folds=2, max_seconds=0, results=tmp_path / "results")
    content = read_results(run, tmp_path / "results")
    assert [one["name"] for one in content["ablations"]["systems"]["configurations"]] == ["rules"]
    assert content["ablations"]["systems"]["missing"] == ["usual"]
    assert "the same command goes on" in capsys.readouterr().out


def test_only_the_named_ablation_is_carried_out(fake, tmp_path):
    ablate(sample_run(tmp_path), ["rows"], 2, results=tmp_path / "results")
    assert len(fake) == 4
    content = read_json(tmp_path / "results" / "calendar-sample.json")
    assert list(content["ablations"]) == ["systems", "rows", "ways"]  # what "rows" trained serves the others too


def test_what_changes_a_result_changes_its_key(tmp_path):
    run, usual = sample_run(tmp_path), Configuration("usual", WRITER)
    split = Split("fold 1", (row(0, "a"),), (row(1, "b"),), (row(2, "c"),))
    key = cells_module.cell_key(run, usual, split, 42, "code")
    others = [
        cells_module.cell_key(run, usual, split, 43, "code"), cells_module.cell_key(run, usual, split, 42, "other"),
        cells_module.cell_key(run, usual, Split("fold 1", (row(0, "z"),), split.choosing, split.held_out), 42, "code"),
        cells_module.cell_key(run, Configuration("usual", "lora"), split, 42, "code"),
        cells_module.cell_key(run, Configuration("usual", WRITER, trainer="a:b"), split, 42, "code"),
        cells_module.cell_key(run, Configuration("usual", WRITER, {f"{WRITER}.epochs": 9}), split, 42, "code"),
        cells_module.cell_key(run, Configuration("usual", WRITER, {"synthetic": 9}), split, 42, "code")]
    assert len({key, *others}) == len(others) + 1
    same = [Configuration("other name", WRITER, decoding="free"), Configuration("usual", WRITER, {"lora.epochs": 9}),
            Configuration("usual", WRITER, {"synthetic": run["synthetic"]})]
    assert {cells_module.cell_key(run, one, split, 42, "code") for one in same} == {key}


def test_a_trainer_of_the_configuration_takes_the_place_of_the_variants_own(tmp_path):
    split = Split("fold 1", tuple(read_pool(sample_run(tmp_path)).rows[:6]), (), ())
    one = Configuration("plain", WRITER, trainer="helpers.train:fit_answer_loss")
    own = cell_run(sample_run(tmp_path), Cell(one, split, 7, "k"), tmp_path / "cell")
    assert own.task.trainers[WRITER] == one.trainer and own.seed == 7
    assert get_task("calendar").trainers[WRITER] != one.trainer


def test_a_vote_is_counted_from_what_its_members_predicted(tmp_path):
    run = tiny_run(tmp_path)
    run.task.votes = {"vote": ("large", "small", "rules")}
    gold = (row(0, "a", "Ann", "mon"), row(1, "b", "Bo", "tue"))
    split, vote = Split("fold 1", (row(5, "z"),), (), gold), Configuration("vote", "vote")
    members = tuple(Cell(Configuration(name, name), split, 42, name) for name in run.task.votes["vote"])
    found = {"large": [("Ann", "mon"), ("Bob", "tue")], "small": [("Ann", "tue"), ("Bo", "wed")],
             "rules": [("Al", "mon"), ("Bob", "wed")]}
    cells = {name: {"key": name, "ids": [0, 1], "made_rows": 2, "scores": {"source": {
        "predictions": [{"name": one, "day": day, "people": None} for one, day in given]}}}
        for name, given in found.items()}
    record = cells_module.count_votes(run, Cell(vote, split, 42, "v", members), cells)
    assert record["scores"]["source"]["exact"] == [1, 0]  # Ann on Monday by two votes each; Bob on Wednesday
    assert record["scores"]["source"]["right"] == [3, 1] and record["seconds"] == 0


def test_members_of_a_vote_are_trained_for_it_unless_they_are_there_already(tmp_path, monkeypatch):
    run = sample_run(tmp_path)
    monkeypatch.setattr(type(run.task), "votes", {"vote": (WRITER, "lora", "rules")})
    ablations = {"alone": Ablation("Alone", (Configuration("usual", WRITER),)),
                 "votes": Ablation("Votes", (Configuration("vote", "vote"),))}
    plan, done = plan_cells(run, read_pool(run), ablations, 2), []

    def train(run, cell, decodings, folder):
        done.append((cell.configuration.variant, cell.split.name))
        right = [{"id": one.id, "prediction": one.target} for one in cell.split.held_out]
        return cells_module._record(run, cell, dict.fromkeys(decodings, right), 0, 1.0)

    monkeypatch.setattr(cells_module, "train_and_score", train)
    assert carry_out(run, plan, ["alone"], tmp_path) and carry_out(run, plan, ["votes"], tmp_path)
    assert done == [(WRITER, "fold 1"), (WRITER, "fold 2"), ("lora", "fold 1"), ("rules", "fold 1"),
                    ("lora", "fold 2"), ("rules", "fold 2")]
    votes = [record for record in read_cells(tmp_path / "cells.jsonl").values() if record["variant"] == "vote"]
    assert len(votes) == 2 and all(set(record["scores"]["source"]["exact"]) == {1} for record in votes)


# -- numbers ----------------------------------------------------------------------------------------------------------
def hand_made(seeds=(1,)) -> tuple[list[Cell], dict]:
    """Two folds of two rows and four fields: right are rows 0 and 3 whole, row 1 in half, row 2 not at all."""
    one = Configuration("usual", "large")
    folds = [Split(f"fold {n}", (), (), tuple(row(at) for at in ids)) for n, ids in ((1, (0, 2)), (2, (1, 3)))]
    cells = [Cell(one, split, seed, f"{split.name} {seed}") for split in folds for seed in seeds]
    hits = {0: (1, 4), 1: (0, 2), 2: (0, 0), 3: (1, 4)}
    records = {cell.key: {"ids": [held.id for held in cell.split.held_out], "fields": 4, "train_rows": 9,
                          "made_rows": 3, "seconds": 2.5, "scores": {"source": {
                              "exact": [hits[held.id][0] for held in cell.split.held_out],
                              "right": [hits[held.id][1] for held in cell.split.held_out]}}} for cell in cells}
    return cells, records


def tiny_run(tmp_path) -> Run:
    return Run(task=TinyTask(), profile="smoke", out=str(tmp_path))


def test_scores_pool_the_folds_by_row(tmp_path):
    cells, records = hand_made()
    ids, exact, fields = row_means(cells, records, "source")
    assert (ids, exact.tolist(), fields.tolist()) == ([0, 1, 2, 3], [1, 0, 0, 1], [1, 0.5, 0, 1])
    one = summarise_configuration(tiny_run(tmp_path), cells, records)
    assert (one["exact_match"], one["field_accuracy"], one["rows"], one["seconds"]) == (0.5, 0.625, 4, 5.0)
    assert [part["exact_match"] for part in one["parts"]] == [0.5, 0.5]
    assert one["spread"] == {"mean": 0.5, "sd": 0.0, "min": 0.5, "max": 0.5}
    low, high = one["ci95"]["exact_match"]
    assert 0 <= low < 0.5 < high <= 1 and "differences" not in one


def test_a_row_that_several_seeds_scored_counts_once():
    cells, records = hand_made(seeds=(1, 2))
    records["fold 1 2"]["scores"]["source"] = {"exact": [0, 0], "right": [2, 0]}  # seed 2 misses row 0
    ids, exact, fields = row_means(cells, records, "source")
    assert (ids, exact.tolist(), fields.tolist()) == ([0, 1, 2, 3], [0.5, 0, 0, 1], [0.75, 0.5, 0, 1])


def test_differences_are_paired_by_row(tmp_path):
    left, records = hand_made()
    right = [Cell(Configuration("other", "large"), cell.split, 1, f"other {cell.key}") for cell in left]
    for cell, other in zip(left, right):
        wrong = {"exact": [0, 0], "right": [0, 0]}
        records[other.key] = {**records[cell.key], "scores": {"source": wrong}}
    change = summarise_configuration(tiny_run(tmp_path), left, records, right)["differences"]["exact_match"]
    # rows 0 and 3 are won, none is lost: of the four ways to swap two rows, two are as extreme
    assert (change["difference"], change["wins"], change["losses"], change["p"]) == (0.5, 2, 0, 0.5)
    with pytest.raises(ValueError, match="not scored on the same rows"):
        summarise_configuration(tiny_run(tmp_path), left, records, right[:1])


def test_spread_by_hand():
    assert spread([0.8, 0.9, 1.0]) == pytest.approx({"mean": 0.9, "sd": 0.1, "min": 0.8, "max": 1.0})
    assert spread([0.8])["sd"] is None


def test_results_name_no_folder_of_the_machine(fake, tmp_path):
    run = sample_run(tmp_path, base_model=str(ROOT / "artifacts" / "base"))
    content = ablate(run, ["systems"], 2, results=tmp_path / "results").read_text(encoding="utf-8")
    assert '"base_model": "base"' in content
    assert str(tmp_path) not in content and str(ROOT) not in content


# -- command line -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments, message", [
    (["--only", "loses"], "error: unknown ablation 'loses': choose from .*; did you mean 'losses'?"),
    (["--task", "calender"], "error: unknown task 'calender'"),
    (["--data", "nowhere"], "error: --data 'nowhere' is neither sample nor public nor a folder"),
    (["--set", "lora.rnak=3"], "error: unknown setting 'lora.rnak'"),
    (["--folds", "1"], "error: .*folds"),
])
def test_what_is_wrong_is_said_in_one_line(arguments, message, tmp_path, capsys):
    status = cli(["--profile", "smoke", "--out", str(tmp_path), *arguments])
    error = capsys.readouterr().err.strip()
    assert status == 2 and error.count("\n") == 0 and re.match(message.replace("?", r"\?"), error), error


def test_a_task_without_ablations_says_so(tmp_path):
    with pytest.raises(UserError, match="'tiny' has no ablations"):
        ablate(tiny_run(tmp_path))


@pytest.mark.parametrize("profile", PROFILES)
def test_declared_ablations_fit_the_task(profile):
    task = get_task("calendar")
    defaults = task.settings(profile)
    for ablation in task.ablations(profile).values():
        names = [one.name for one in ablation.configurations]
        assert len(set(names)) == len(names)
        assert ablation.scored_on in ("folds", "validation") and ablation.view in ("comparison", "curve", "seeds")
        for one in ablation.configurations:
            assert one.variant in (*task.variants, *task.votes, "rules") and one.against in ("", *names)
            assert one.decoding in ("", *task.decodings_of(one.variant))
            merged = merge_settings(defaults, one.settings)
            assert all(type(merged[name]) is type(defaults[name]) for name in one.settings)
    assert {"augmentation", "constraints", "losses", "systems", "learning_curve", "seeds"} <= set(
        task.ablations(profile))


# -- report -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def reported(finished, tmp_path):
    """A run that has its splits, and a copy of the results for them."""
    from helpers.data import load_source
    from helpers.splits import make_splits

    run = sample_run(tmp_path)
    write_splits(run, make_splits(run, load_source(run)).parts)
    write_json(tmp_path / finished.path.name, read_json(finished.path))
    return run, tmp_path


def test_tables_hold_the_numbers_of_the_file(reported):
    run, folder = reported
    results, tables = read_results(run, folder), ablation_report.ablation_tables(run, folder)
    assert list(tables) == list(ABLATIONS)
    for label, frame in tables.items():
        configurations = results["ablations"][label]["configurations"]
        column = "mean" if label == "seeds" else "exact_match"
        assert frame[column].tolist() == [one["exact_match"] for one in configurations]
    assert tables["rows"]["difference"].dropna().tolist() == [
        results["ablations"]["rows"]["configurations"][1]["differences"]["exact_match"]["difference"]]
    assert "difference" not in tables["curve"] and tables["seeds"].loc["usual", "seeds"] == 3


def test_sentences_say_where_the_numbers_are_from(reported):
    run, folder = reported
    assert ablation_report.same_rows(run, read_results(run, folder))
    origin = ablation_report.origin(run, folder)
    assert origin.startswith("Measured once on ") and "no test row" in origin
    assert "Not the rows of this run" not in ablation_report.caption(run, "rows", folder)
    assert ablation_report.conclusions(run, folder).count("\n- ") == len(ABLATIONS) - 1
    path = folder / "calendar-sample.json"
    write_json(path, {**read_json(path), "data": {**read_json(path)["data"], "sha256": "of other rows"}})
    assert ablation_report.origin(run, folder).startswith("**These are not the rows of this run.**")
    assert "Not the rows of this run" in ablation_report.caption(run, "rows", folder)


def test_without_results_one_line_says_what_to_run(tmp_path):
    run = sample_run(tmp_path)
    assert "`python -m helpers.ablate --task calendar --data sample`" in ablation_report.origin(run, tmp_path)
    assert ablation_report.ablation_tables(run, tmp_path) == {} and ablation_report.curve_frame(run, tmp_path) is None
    assert "\n" not in ablation_report.conclusions(run, tmp_path)


def test_learning_curve_draws_rows_on_a_log_scale_with_intervals(reported):
    run, folder = reported
    frame = ablation_report.curve_frame(run, folder)
    assert frame["rows"].is_monotonic_increasing and (frame["low"] <= frame["score"]).all()
    without = frame.assign(made=False, score=frame["score"] / 2, low=0.0)
    both = pd.concat([frame, without], ignore_index=True)
    figure = ablation_report.learning_curve(both)
    ax = figure.axes[0]
    assert (ax.get_xscale(), len(figure.axes), len(ax.containers)) == ("log", 1, 2)
    drawn = ax.containers[1].lines[0].get_ydata()
    assert np.allclose(drawn, frame["score"]) and "log" in ax.get_xlabel()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["gold rows alone", "gold and made rows"]
    first = 100 * (frame["score"] / 2).iloc[0]
    assert f"{first:+.1f} points at {frame['rows'].iloc[0]} rows" in ablation_report.curve_finding(both)


# -- with models ------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Base model and encoder of a few thousand weights."""
    import torch
    from transformers import AutoTokenizer

    from helpers.encoder import packaged_encoder

    base, encoder = save_tiny_base(tmp_path_factory.mktemp("base")), tmp_path_factory.mktemp("encoder")
    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(packaged_encoder())
    BertModel(BertConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                         intermediate_size=64)).save_pretrained(encoder)
    tokenizer.save_pretrained(encoder)
    return {"base_model": str(base), "encoder_model": str(encoder)}


def test_smoke_profile_end_to_end(models, tmp_path, capsys):
    small = {"max_rows": 20, "synthetic": 4, "score_rows": 1, "max_new_tokens": 60, "score_constraint": "free"}
    words = ["--profile", "smoke", "--out", str(tmp_path)]
    for name, value in {**models, **small}.items():
        words += ["--set", f"{name}={value}"]
    assert cli([*words, "--only", "losses", "--only", "learning_curve"]) == 0, capsys.readouterr().err
    content = read_json(tmp_path / "results" / "calendar-sample.json")
    assert content["ablations"]["losses"]["missing"] == content["ablations"]["learning_curve"]["missing"] == []
    for one in content["ablations"].values():
        assert all(0 <= each["field_accuracy"] <= 1 for each in one["configurations"])
    trained = [part for each in content["ablations"]["losses"]["configurations"] for part in each["parts"]]
    assert len(trained) == 4 and all(part["seconds"] > 0 for part in trained)
    assert not list((tmp_path / "cells").iterdir())


def test_a_tagger_is_trained_and_scored_in_a_cell(models, tmp_path):
    run = sample_run(tmp_path, 20, **models)
    pool = read_pool(run)
    split = validation_split(run, pool)
    record = train_and_score(run, Cell(Configuration("tagger", TAGGER), split, 42, "k"), ["source"], tmp_path / "cell")
    assert record["ids"] == [one.id for one in pool.validation] and record["train_rows"] == len(split.train)
    assert set(record["scores"]) == {"source"} and all(0 <= n <= 8 for n in record["scores"]["source"]["right"])
