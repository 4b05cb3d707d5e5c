"""Ablations of the IT task: told by entity F1, paired by row, over seeds; and the picture of compression."""
from __future__ import annotations

import pandas as pd
import pytest
from tiny_encoder import save_tiny_encoder, tiny_run
from tiny_task import row

from helpers import ablation_report
from helpers.ablate import ablate, cli
from helpers.ablation_cells import Cell
from helpers.ablation_folds import Split
from helpers.ablation_results import row_ratios, summarise_configuration
from helpers.config import PROFILES, merge_settings
from helpers.data import load_source
from helpers.environment import read_json
from helpers.splits import make_splits, write_splits
from helpers.statistics import compare_ratios
from helpers.tasks import get_task
from helpers.tasks.records import Configuration
from helpers.token_plots import compression_picture


@pytest.mark.parametrize("profile", PROFILES)
def test_declared_ablations_change_settings_that_exist(profile):
    task = get_task("it_ner")
    defaults = task.settings(profile)
    for ablation in task.ablations(profile).values():
        names = [one.name for one in ablation.configurations]
        assert len(set(names)) == len(names)
        for one in ablation.configurations:
            assert one.variant in (*task.variants, *task.baselines) and one.against in ("", *names)
            merged = merge_settings(defaults, one.settings)
            assert all(merged[name] != defaults[name] for name in one.settings), "a setting that changes nothing"


# -- scores that are a ratio of two sums -------------------------------------------------------------------------------
def hand_made(run, top, bottom, seed=1):
    """One cell of three rows, whose headline has these numerators and denominators."""
    cell = Cell(Configuration("usual", "full"), Split("validation", (), (), tuple(map(row, range(3)))), seed, f"{seed}")
    record = {"ids": [0, 1, 2], "fields": 5, "train_rows": 9, "made_rows": 3, "seconds": 2.5, "scores": {"viterbi": {
        "exact": [1, 0, 0], "right": [5, 4, 3], "top": top, "bottom": bottom}}}
    return cell, record


def test_f1_is_a_ratio_of_sums_and_seeds_are_pooled_by_row(tmp_path):
    run = tiny_run(tmp_path / "encoder", tmp_path)
    (first, one), (second, other) = (hand_made(run, [2, 0, 4], [2, 2, 6]), hand_made(run, [2, 2, 0], [2, 2, 6], seed=2))
    records = {"1": one, "2": other}
    found = row_ratios([first, second], records, "viterbi")
    assert [part.tolist() for part in found] == [[2, 1, 2], [2, 2, 6]]
    result = summarise_configuration(run, [first, second], records)
    assert result["f1"] == pytest.approx(5 / 10) and result["exact_match"] == pytest.approx(1 / 3)
    assert [part["f1"] for part in result["parts"]] == pytest.approx([6 / 10, 4 / 10])
    assert result["spread"]["mean"] == pytest.approx(0.5) and result["ci95"]["f1"][0] < 0.5 < result["ci95"]["f1"][1]


def test_ratios_are_compared_on_the_same_rows():
    bottom = [2.0, 4.0, 2.0, 0.0] * 5
    left, right = ([2.0, 2.0, 2.0, 0.0] * 5, bottom), ([2.0, 2.0, 0.0, 0.0] * 5, [2.0, 4.0, 1.0, 0.0] * 5)
    found = compare_ratios(left, right, seed=1)
    assert (found["left"], found["right"]) == (0.75, pytest.approx(4 / 7))
    assert found["difference"] == pytest.approx(0.75 - 4 / 7) and found["low"] < found["difference"] < found["high"]
    assert (found["wins"], found["losses"]) == (5, 0) and found["p_permutation"] == pytest.approx(2 / 2 ** 5)
    same = compare_ratios(left, left, seed=1)
    assert (same["difference"], same["low"], same["high"], same["p_permutation"]) == (0, 0, 0, 1)


# -- with a model ------------------------------------------------------------------------------------------------------
def test_one_command_measures_and_the_report_shows_it(tmp_path, capsys):
    settings = {"encoder_model": save_tiny_encoder(tmp_path / "encoder", 1), "max_pieces": 32, "max_rows": 40,
                "enhanced.epochs": 1, "full.epochs": 1}
    words = ["--task", "it_ner", "--profile", "smoke", "--out", str(tmp_path)]
    for name, value in settings.items():
        words += ["--set", f"{name}={value}"]
    assert cli(words) == 0, capsys.readouterr().err
    folder = tmp_path / "results"
    content = read_json(folder / "it_ner-sample.json")
    assert content["headline"] == "f1" and all(not one["missing"] for one in content["ablations"].values())
    run = tiny_run(tmp_path / "encoder", tmp_path, max_rows=40, full__epochs=1, enhanced__epochs=1)
    write_splits(run, make_splits(run, load_source(run)).parts)
    tables = ablation_report.ablation_tables(run, folder)
    for name, frame in tables.items():
        assert frame["f1"].tolist() == [one["f1"] for one in content["ablations"][name]["configurations"]]
    assert tables["systems"].index.tolist() == ["rules", "dictionary", "full"] and tables["parts"]["against"].count() == 1
    assert tables["systems"].loc["rules", "f1"] > 0 and "entity F1" in ablation_report.caption(run, "parts", folder)
    assert ablation_report.conclusions(run, folder).count("points of entity F1") == 2
    assert "Measured once on" in ablation_report.origin(run, folder)
    # what is finished is not done again
    assert read_json(ablate(run, folds=2, results=folder)) == content


def test_nothing_is_shown_without_results(tmp_path):
    run = tiny_run(tmp_path / "encoder", tmp_path)
    assert ablation_report.ablation_tables(run, tmp_path) == {} and ablation_report.conclusions(run, tmp_path) == ""
    assert "python -m helpers.ablate --task it_ner" in ablation_report.origin(run, tmp_path)


# -- compression -------------------------------------------------------------------------------------------------------
def test_the_picture_shows_every_form_with_its_size():
    variants, forms = ["full", "distilled"], ["PyTorch fp32", "ONNX int8"]
    table = pd.DataFrame({"ms": [20.0, 8.0, 11.0, 4.0], "f1": [0.7, 0.69, 0.68, 0.67], "megabytes": [90, 23, 69, 17]},
                         pd.MultiIndex.from_product([variants, forms], names=["variant", "form"]))
    ax = compression_picture(table).axes[0]
    assert sorted(text.get_text() for text in ax.texts) == ["17 MB", "23 MB", "69 MB", "90 MB"]
    assert [text.get_text() for text in ax.get_legend().get_texts()] == variants + forms
    assert ax.get_xscale() == "log" and "ms" in ax.get_xlabel()
