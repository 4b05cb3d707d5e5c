"""The folder for a hub: whole, checked, with a card whose numbers are those of the metrics and whose code runs."""

import re
import shutil
from unittest.mock import MagicMock

import pytest

from helpers import publish
from helpers.command import status
from helpers.export.folders import export_folder


def test_the_folder_is_whole_and_its_card_speaks_of_the_metrics(calendar_run, tmp_path):
    folder = publish.write_folder(calendar_run, "lora", "me/calendar-lora")
    assert publish.check_folder(folder) == []
    card = (folder / "README.md").read_text(encoding="utf-8")
    numbers = ("| exact match | 0.500 (0.250 to 0.750) |", "100 of 1,000 parameters", "| action | 0.500 |")
    for words in (*numbers, "model='me/calendar-lora'", "| rank |", "Free decoding"):
        assert words in card, words
    hub = MagicMock()
    publish.push(folder, "me/calendar-lora", api=hub)
    assert hub.create_repo.call_args.kwargs["private"]
    assert hub.upload_folder.call_args.kwargs["delete_patterns"] == "*", "what is not in the folder goes"
    (folder / "notes.py").write_text("print()")
    (folder / "model.safetensors").unlink()
    (folder / "README.md").unlink()
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace("{", f'{{"base": ["{tmp_path}"],', 1))
    problems = " ".join(publish.check_folder(folder))
    missing = ("model*.safetensors is missing", "README.md is missing")
    for words in ("notes.py is no file", *missing, "config.json holds a path"):
        assert words in problems, problems


def test_the_code_on_a_card_runs_as_printed(calendar_run, token_run, capsys):
    for one, variant in ((calendar_run, "lora"), (calendar_run, "tagger"), (token_run, "lora")):
        folder = publish.write_folder(one, variant, "me/model", ())
        card = (folder / "README.md").read_text(encoding="utf-8")
        code = re.search(r"```python\n(.*?)```", card, re.DOTALL)[1].replace("me/model", str(folder))
        exec(compile(code, "card", "exec"), {})  # noqa: S102
        assert capsys.readouterr().out.strip(), variant
    assert "entity F1 | 0.500 (0.250 to 0.750)" in card


def test_the_licence_is_that_of_the_base(calendar_run, monkeypatch):
    from huggingface_hub import ModelCard

    for name, licence, base in (
        ("HuggingFaceTB/SmolLM-360M", "apache-2.0", "HuggingFaceTB/SmolLM-360M"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3", "meta-llama/Meta-Llama-3-8B-Instruct"),
        ("/somewhere/my-model", "other", None),
    ):
        monkeypatch.setitem(calendar_run.settings, "base_model", name)
        data = ModelCard(publish.model_card(calendar_run, "lora", "me/model")).data
        assert (data.license, data.base_model) == (licence, base)


def test_a_folder_that_a_stranger_cannot_load_is_not_ready(calendar_run, tmp_path):
    folder = publish.write_folder(calendar_run, "lora", "me/model", ())
    assert publish.try_folder(folder, "text-generation", "Lunch") == []
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "tokenizer.json").write_text("{}")
    (problem,) = publish.try_folder(tmp_path / "other", "text-generation", "Lunch")
    assert problem.startswith("pipeline cannot load it (")


def test_nothing_is_sent_without_the_flag(calendar_run, monkeypatch, capsys):
    monkeypatch.setattr(publish, "push", lambda *args, **kwargs: pytest.fail("sent"))
    assert status(publish.main, ["--run", str(calendar_run.dir), "--variant", "tagger"]) == 0
    assert "MB, ready" in capsys.readouterr().out
    card = (export_folder(calendar_run, "tagger", "hub") / "README.md").read_text(encoding="utf-8")
    assert "extras.safetensors" in card and "Free decoding" not in card
    for repo in ("", "me/x/base"):
        assert status(publish.main, ["--run", str(calendar_run.dir), "--push", "--repo", repo]) == 2
