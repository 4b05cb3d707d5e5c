"""Device choice, the hub, damaged files, costs."""

import os

import pytest
import torch

from helpers import files, machine
from helpers import run as run_module
from helpers.errors import UserError
from helpers.manifest import record_costs, timed
from helpers.run import Run


@pytest.mark.parametrize("capability, dtype", [((7, 5), torch.float16), ((8, 0), torch.bfloat16)])
def test_gpu_precision_follows_compute_capability(capability, dtype, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    chosen = machine.pick_device("gpu")
    assert (chosen.device, chosen.dtype) == ("cuda", dtype) and "Some GPU" in capsys.readouterr().out


@pytest.mark.parametrize(
    "visible, processes, seen", [(None, None, "0"), ("3,1", None, "3"), ("", None, ""), ("0,1", "2", "0,1")]
)
def test_of_several_gpus_one_is_seen_unless_accelerate_has_started_the_process(
    monkeypatch, visible, processes, seen
):
    """TRL's trainer refuses to run where it sees two, as on Kaggle."""
    for name, value in (("CUDA_VISIBLE_DEVICES", visible), ("WORLD_SIZE", processes)):
        monkeypatch.setenv(name, value or "")
        if value is None:
            monkeypatch.delenv(name)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    machine.pick_device("cpu")
    assert os.environ.get("CUDA_VISIBLE_DEVICES") == visible, "no business of a profile without GPU"
    machine.pick_device("gpu")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == seen


def test_what_one_run_wants_of_the_hub_does_not_bind_the_next(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(run_module, "OFFLINE_GIVEN", False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", constants.HF_HUB_OFFLINE)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for profile, offline in (("gpu", False), ("smoke", True), ("gpu", False)):
        Run("calendar", profile=profile, out=str(tmp_path))
        assert (os.environ.get("HF_HUB_OFFLINE") == "1") == constants.HF_HUB_OFFLINE == offline
    monkeypatch.setattr(run_module, "OFFLINE_GIVEN", True)
    Run("calendar", profile="smoke", out=str(tmp_path))
    assert not constants.HF_HUB_OFFLINE, "what the user said counts"


@pytest.mark.parametrize("content", [b'{"a": ', b"[1]", b"\xff"])
def test_read_json_refuses_a_damaged_file(tmp_path, content):
    (tmp_path / "half.json").write_bytes(content)
    with pytest.raises(UserError, match=r"half\.json .*: delete it"):
        files.read_json(tmp_path / "half.json")
    assert files.read_json(tmp_path / "none.json") == {}


def test_costs_are_merged_and_failures_left_out_and_a_gpu_tells_its_own_peak(tmp_path, monkeypatch):
    run = Run("calendar", profile="gpu", out=str(tmp_path))
    record_costs(run, "lora", size_mb=3.5)
    with timed(run, "lora", "train"):
        pass
    with pytest.raises(ValueError), timed(run, "other", "train"):
        raise ValueError
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 5_000_000)
    with timed(run, "lora", "predict"):
        pass
    costs = files.read_json(run.path("costs.json"))
    assert set(costs) == {"lora"} and costs["lora"]["size_mb"] == 3.5
    assert 0 <= costs["lora"]["train_seconds"] < 5 and costs["lora"]["train_peak_memory_mb"] > 6
    assert costs["lora"]["predict_peak_memory_mb"] == 5.0
