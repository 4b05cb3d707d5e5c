"""Where training curves go."""

from __future__ import annotations

import importlib.util

import pytest

from helpers.errors import UserError
from helpers.run import Run
from helpers.training.log import curve_writer, report_to
from helpers.training.writers import training_arguments


@pytest.fixture()
def run(tmp_path):
    return Run(task="crime", profile="smoke", out=str(tmp_path))


def test_curves_go_to_tensorboard_unless_told_otherwise(run, tmp_path):
    assert (
        report_to(run) == "tensorboard" == report_to(Run(task="calendar", profile="smoke", out=str(tmp_path)))
    )
    writer = curve_writer(run, "full", tmp_path, 0)
    writer.add_scalar("train/loss", 1.0, 1)
    writer.close()
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert training_arguments(run, "lora", tmp_path).report_to == ["tensorboard"]


def test_none_writes_nothing(run, tmp_path):
    run.settings["report_to"] = "none"
    writer = curve_writer(run, "full", tmp_path, 0)
    writer.add_scalar("train/loss", 1.0, 1)
    writer.close()
    assert (
        not (tmp_path / "tensorboard").exists() and training_arguments(run, "lora", tmp_path).report_to == []
    )


def test_other_places_are_refused_with_a_way_out(run, monkeypatch):
    run.settings["report_to"] = "wandbb"
    with pytest.raises(UserError, match="did you mean 'wandb'"):
        report_to(run)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    run.settings["report_to"] = "wandb"
    with pytest.raises(UserError, match="pip install wandb"):
        report_to(run)
