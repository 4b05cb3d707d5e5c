"""What a machine can train and hold: variants that do not fit a GPU are left out and named."""

from __future__ import annotations

import pytest
import torch

from helpers.errors import UserError
from helpers.machine import Device
from helpers.models import memory as memory_module
from helpers.models.memory import holds_whole, needed_gb, variants_that_fit
from helpers.models.packaged import PACKAGED
from helpers.run import Run
from helpers.tasks import load_task


def test_needed_memory_by_hand():
    # weights, gradients, two moments in fp32 and a copy in 16 bits; 16 bits; 4 bits with scales, embeddings and head in
    # fp32: and 3 GB beside them
    needed = [needed_gb(1_000_000_000, kind) for kind in ("full", "adapter", "adapter in 4 bits")]
    assert needed == pytest.approx([21.0, 5.0, 4.25])


def test_activations_are_computed_twice_only_where_they_do_not_fit(tmp_path, monkeypatch):
    assert memory_module.activations_gb(32, 4096, 1000) == pytest.approx(34 * 32 * 4096 * 1000 / 1e9)
    run = Run("calendar", profile="gpu", out=str(tmp_path), settings={"base_model": PACKAGED})
    assert not memory_module.needs_checkpointing(run, "lora", 10**9), "there is no GPU here"
    monkeypatch.setattr(memory_module, "device_of", lambda profile: Device("cuda", torch.float16, ""))
    monkeypatch.setattr(memory_module, "gpu_gb", lambda: 15.8)
    assert [memory_module.needs_checkpointing(run, "lora", tokens) for tokens in (8 * 300, 80 * 10_000)] == [
        False,
        True,
    ]


@pytest.mark.parametrize(
    "task, parameters, memory, fitting",
    [
        ("crime", 8_030_000_000, 15.8, ["qlora", "tagger"]),
        ("crime", 8_030_000_000, 25.4, ["lora", "qlora", "tagger"]),
        ("crime", 8_030_000_000, 150.1, ["full", "lora", "qlora", "tagger"]),
        ("calendar", 362_000_000, 15.8, list(load_task("calendar").variants)),
    ],
)
def test_what_does_not_fit_the_gpu_is_left_out_and_named(
    task, parameters, memory, fitting, tmp_path, monkeypatch, capsys
):
    run = Run(task, profile="gpu", out=str(tmp_path))
    assert variants_that_fit(run) == list(run.task.variants), "no GPU here: nothing to run out of"
    monkeypatch.setattr(memory_module, "device_of", lambda profile: Device("cuda", torch.float16, ""))
    monkeypatch.setattr(memory_module, "base_parameters", lambda run: parameters)
    monkeypatch.setattr(memory_module, "gpu_gb", lambda: memory)
    capsys.readouterr()
    assert variants_that_fit(run) == fitting
    left_out = capsys.readouterr().out
    first = next(iter(run.task.variants))
    kept = run.path("checkpoints", first, "finished.json")  # several GPUs have trained it
    kept.write_text("{}")
    assert variants_that_fit(run) == [name for name in run.task.variants if name in {*fitting, first}]
    kept.unlink()
    monkeypatch.setattr(memory_module, "gpu_gb", lambda: 1.0)
    with pytest.raises(UserError, match="base_model"):
        variants_that_fit(run)
    capsys.readouterr()
    assert [name for name in run.task.variants if f"{name} is left out" in left_out] == [
        name for name in run.task.variants if name not in fitting
    ]


@pytest.mark.parametrize(
    "parameters, memory, whole",
    [(8_030_000_000, 15.8, False), (8_030_000_000, 25.4, True), (362_000_000, 15.8, True)],
)
def test_a_model_that_decodes_in_16_bits_has_to_fit_whole(parameters, memory, whole, tmp_path, monkeypatch):
    run = Run("crime", profile="gpu", out=str(tmp_path))
    assert holds_whole(run), "no GPU here: nothing to run out of"
    monkeypatch.setattr(memory_module, "device_of", lambda profile: Device("cuda", torch.float16, ""))
    monkeypatch.setattr(memory_module, "base_parameters", lambda run: parameters)
    monkeypatch.setattr(memory_module, "gpu_gb", lambda: memory)
    assert holds_whole(run) is whole
