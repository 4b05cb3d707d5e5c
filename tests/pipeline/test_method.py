"""Notebook 04 builds by hand what `fit` builds: adapter, losses, optimiser and arguments of the run."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
import torch
from conftest import ROOT
from own_tasks import booking, write_rooms
from tiny_encoder import sentences
from tiny_encoder import tiny_run as tiny_token_run
from tiny_model import save_tiny_base
from tiny_run import rows as events

from helpers.data.read import write_jsonl
from helpers.run import Run
from helpers.training import losses, taggers, writers
from helpers.training.rows import variant_settings

CODE = [
    "".join(cell["source"])
    for cell in json.loads((ROOT / "notebooks" / "04_train_lora.ipynb").read_text("utf-8"))["cells"]
    if cell["cell_type"] == "code" and "bootstrap" not in cell["metadata"].get("tags", [])
]


def run_cells(run: Run, rows: list, check: dict[str, Any]) -> dict[str, Any]:
    """The variables of the notebook before its training; `check` are functions called behind the cell with their text."""
    write = {"train": rows, "train_augmented": rows, "validation": rows[:2], "test": rows[:2]}
    for part, examples in write.items():
        write_jsonl(run.path("splits", f"{part}.jsonl"), map(run.task.rows.to_json, examples))
    given = {
        "task": str(run.own_folder or run.task.name),
        "profile": run.profile,
        "out": run.out,
        "seed": run.seed,
    }
    given |= {"data": run.data, "settings": json.dumps(run.settings)}
    variables: dict[str, Any] = {}
    for source in CODE:
        if "fit(run," in source:
            break
        exec(compile(source, "04_train_lora", "exec"), variables)
        variables |= given if source.startswith("task = ") else {}
        for text, function in check.items():
            if text in source:
                function(variables)
    return variables


def the_tagger_is_that_of_the_run(found: dict[str, Any]) -> None:
    own, tagger, batch = found["own"], found["tagger"], found["batch"]
    with torch.no_grad():
        wanted = taggers.tagging_loss(own)(tagger.model.eval(), batch)
    assert found["tag_loss"](batch).item() == pytest.approx(wanted.item(), rel=1e-5)


def it_learns_at_the_rates_of_the_run(found: dict[str, Any]) -> None:
    def rates(groups):
        return {(id(one), group["lr"]) for group in groups for one in group["params"]}

    assert rates(found["groups"]) == rates(taggers.parameter_groups(found["tagger"].model, found["own"]))


def the_parts_are_those_of_the_losses(found: dict[str, Any]) -> None:
    run, targets = found["run"], found["targets"]
    weights = torch.tensor([kind.weight for kind in run.task.kinds.values()])
    answer, entity = found["answer"], found["entity"]
    assert answer.item() == pytest.approx(losses.answer_loss(targets).item())
    assert (answer + 2 * entity).item() == pytest.approx(losses.entity_loss(targets, weights, 2.0).item())
    penalties = 0.2 * found["json_format"] + 0.1 * found["field_accuracy"] + 0.05 * found["confidence"]
    wanted = losses.structured_loss(targets, len(run.task.fields))
    assert (answer + penalties).item() == pytest.approx(wanted.item())


def test_what_a_writer_shows_is_what_fit_builds(encoder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "path", list(sys.path))
    settings = {"base_model": str(save_tiny_base(tmp_path / "base")), "encoder_model": str(encoder)}
    run = Run("calendar", profile="smoke", out=str(tmp_path), settings=settings)
    checks = {
        "def tag_loss": the_tagger_is_that_of_the_run,
        "groups = [": it_learns_at_the_rates_of_the_run,
        "confidence = (top": the_parts_are_those_of_the_losses,
    }
    found = run_cells(run, events(run.task), checks)
    assert found["writer"] == "lora"
    printed = capsys.readouterr().out
    assert 'LEARNT | {"action": "Lunch"' in printed and "trainable params" in printed
    base, _, _ = writers.base_of(run, "lora")
    same_adapter(found["config"], base.peft_config["default"])
    of_run, by_hand = writers.training_arguments(run, "lora", tmp_path), found["arguments"]
    for name in (
        "learning_rate weight_decay max_grad_norm lr_scheduler_type optim bf16 fp16 use_cpu seed "
        "loss_type max_length dataset_kwargs remove_unused_columns gradient_checkpointing"
    ).split():
        assert getattr(by_hand, name) == getattr(of_run, name), name
    assert isinstance(found["trainer"], writers.SFTTrainer) and found["trainer"].state.global_step == 2


def test_what_a_tagger_shows_is_what_fit_builds(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    run = tiny_token_run(encoder, tmp_path)
    checks = {
        "def tag_loss": the_tagger_is_that_of_the_run,
        "groups = [": it_learns_at_the_rates_of_the_run,
    }
    found = run_cells(run, sentences(), checks)
    assert found["writer"] is None and found["own"] == variant_settings(run, "lora")
    of_run = taggers.new_tagger(run, "lora", sentences()).model.base.peft_config["default"]
    same_adapter(found["config"], of_run)


def test_a_task_of_writers_alone_is_shown_a_tagger_too(encoder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = write_rooms(tmp_path / "rooms")
    variant = "lora: {kind: writer, adapter: true, trl: true, like: [writer, adapter]}"
    (folder / "settings.yaml").write_text(f"variants:\n  {variant}\nvotes: {{}}\n")
    settings = {"base_model": str(save_tiny_base(tmp_path / "base")), "encoder_model": str(encoder)}
    run = Run(str(folder), profile="smoke", out=str(tmp_path / "out"), settings=settings)
    found = run_cells(run, [run.task.rows.parse(booking(at), at) for at in range(6)], {})
    assert found["wanted"] == ["lora"] == [found["writer"]]
    assert found["trainer"].state.global_step == 2


def same_adapter(one: Any, other: Any) -> None:
    for name in ("r", "lora_alpha", "lora_dropout", "target_modules", "task_type"):
        assert getattr(one, name) == getattr(other, name), name
    assert set(one.modules_to_save or ()) == set(other.modules_to_save or ())
