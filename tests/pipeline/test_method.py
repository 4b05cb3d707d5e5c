"""Notebook 04 builds by hand what `fit` builds: adapter, losses, optimiser and arguments of the run."""

import json
import sys
from typing import Any

import pytest
import torch
from conftest import ROOT
from tiny_encoder import sentences
from tiny_encoder import tiny_run as tiny_token_run
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
    given = {"task": str(run.own_folder or run.task.name), "settings": json.dumps(run.settings)}
    given |= {name: getattr(run, name) for name in ("profile", "data", "out", "seed")}
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


def same(one: Any, other: Any, names: str) -> None:
    for name in names.split():
        assert getattr(one, name) == getattr(other, name), name


ADAPTER = "r lora_alpha lora_dropout target_modules task_type modules_to_save"
ARGUMENTS = (
    "learning_rate weight_decay max_grad_norm lr_scheduler_type optim bf16 fp16 use_cpu seed "
    "loss_type max_length dataset_kwargs remove_unused_columns gradient_checkpointing"
)
TAGGER = {"def tag_loss": the_tagger_is_that_of_the_run, "groups = [": it_learns_at_the_rates_of_the_run}


@pytest.fixture
def models(base, encoder, monkeypatch) -> dict[str, str]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    return {"base_model": str(base), "encoder_model": str(encoder)}


def test_what_a_writer_shows_is_what_fit_builds(models, tmp_path, capsys):
    run = Run("calendar", profile="smoke", out=str(tmp_path), settings=models)
    checks = TAGGER | {"confidence = (top": the_parts_are_those_of_the_losses}
    found = run_cells(run, events(run.task), checks)
    assert found["writer"] == "lora"
    printed = capsys.readouterr().out
    assert 'LEARNT | {"action": "Lunch"' in printed and "trainable params" in printed
    same(found["config"], writers.base_of(run, "lora")[0].peft_config["default"], ADAPTER)
    same(found["arguments"], writers.training_arguments(run, "lora", tmp_path), ARGUMENTS)
    assert isinstance(found["trainer"], writers.SFTTrainer) and found["trainer"].state.global_step == 2


def test_what_a_tagger_shows_is_what_fit_builds(encoder, models, tmp_path):
    run = tiny_token_run(encoder, tmp_path)
    found = run_cells(run, sentences(), TAGGER)
    assert found["writer"] is None and found["own"] == variant_settings(run, "lora")
    tagger = taggers.new_tagger(run, "lora", sentences())
    same(found["config"], tagger.model.base.peft_config["default"], ADAPTER)
