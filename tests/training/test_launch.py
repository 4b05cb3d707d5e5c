"""Training in several processes: two of them on the CPU give the losses of one, and the shipped configurations load."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils import DistributedType
from conftest import ROOT
from few_rows import examples, losses_of

from helpers.data.read import write_jsonl
from helpers.errors import UserError
from helpers.files import read_json
from helpers.pipeline import launch
from helpers.pipeline.stages import task_lock
from helpers.run import Run
from helpers.training.fit import fit
from helpers.training.rows import training_rows
from helpers.training.writers import split_batch

SETTINGS = {"max_new_tokens": 8, "score_rows": 1, "lora.dropout": 0.0, "lora.learning_rate": 1e-2}
SETTINGS |= {"lora.epochs": 2, "lora.batch_size": 4, "lora.warmup_steps": 1}


def make_run(base: Path, out: Path) -> Run:
    """A run whose stage 02 has left sixteen training rows."""
    run = Run("calendar", profile="smoke", out=str(out), settings={"base_model": str(base), **SETTINGS})
    rows = [row.with_(id=at) for at, row in enumerate(2 * examples())]
    for part, given in {"train": rows, "train_augmented": rows, "validation": rows[:2]}.items():
        write_jsonl(run.path("splits", f"{part}.jsonl"), map(run.task.rows.to_json, given))
    return run


def test_two_processes_give_the_losses_of_one(base, tmp_path):
    one, two = make_run(base, tmp_path / "one"), make_run(base, tmp_path / "two")
    launcher = f"-m accelerate.commands.launch --config_file {ROOT}/configs/cpu.yaml --main_process_port 0"
    command = [sys.executable, *launcher.split(), "-m", "helpers.pipeline.launch", "calendar", "lora"]
    command += ["--profile", "smoke", "--out", str(tmp_path / "two"), "--set", f"base_model={base}"]
    command += [f"{name}={value}" for name, value in SETTINGS.items()]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, env=env, **pipes) as together:
        alone = fit(one, "lora", training_rows(one, "lora"), one.load("validation"))
        output, _ = together.communicate(timeout=300)
    assert together.returncode == 0 and "8 steps in 2 processes" in output, output
    # what stage 04 does afterwards: it takes the trained variant as its own
    found = fit(two, "lora", training_rows(two, "lora"), two.load("validation"))
    assert len(losses_of(found)) == 8 and losses_of(found) == pytest.approx(losses_of(alone), rel=1e-3)
    assert len(set(losses_of(found))) == 8, "the weights have moved"
    assert found.parameters == alone.parameters
    assert (two.path("checkpoints", "lora", "best") / "adapter_model.safetensors").exists()
    assert "train_seconds" in read_json(two.path("costs.json"))["lora"]


def test_what_several_processes_cannot_share_or_train_is_one_line(tmp_path, capsys):
    assert [split_batch(*given) for given in ((8, 4, 2), (1, 2, 2), (8, 1, 1))] == [(4, 4), (1, 1), (8, 1)]
    with pytest.raises(UserError, match="4 processes cannot share batch_size=1 × accumulation=2"):
        split_batch(1, 2, 4)

    def said(*arguments: str) -> str:
        assert launch.main([*arguments, "--profile", "smoke", "--out", str(tmp_path)]) == 2
        return capsys.readouterr().err

    assert "several can train: full_entity_loss, lora, lora_structured_loss, qlora\n" in said(
        "calendar", "tagger"
    )
    assert said("it_ner") == "error: every variant of it_ner is trained by one process, in stage 04\n"
    assert "run notebook 02_augment" in said("calendar")
    with task_lock(Run("calendar", profile="smoke", out=str(tmp_path))):
        assert "is using" in said("calendar")


@pytest.mark.parametrize("name, kind", [("fsdp", DistributedType.FSDP), ("gpus", DistributedType.MULTI_GPU)])
def test_shipped_configurations_load_and_fit_the_settings(name, kind, tmp_path):
    config = load_config_from_file(str(ROOT / "configs" / f"{name}.yaml"))
    assert config.distributed_type == kind and config.num_processes == 2
    run = Run("crime", profile="gpu", out=str(tmp_path))
    for variant in launch.trainable(run, []):
        split_batch(run[f"{variant}.batch_size"], run[f"{variant}.accumulation"], config.num_processes)
    if kind == DistributedType.FSDP:
        from transformers.models.llama import modeling_llama

        assert hasattr(modeling_llama, config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"])
