"""What a machine can train and hold: variants that do not fit a GPU are left out and named."""

import pytest
import torch

from helpers.errors import UserError
from helpers.machine import Device
from helpers.models import memory as memory_module
from helpers.models.memory import holds_whole, needed_gb, variants_that_fit
from helpers.models.packaged import PACKAGED
from helpers.run import Run
from helpers.tasks import load_task


@pytest.fixture
def pretend(monkeypatch):
    """Pretends a GPU of so many GB, and a base model of so many parameters."""

    def gpu(gigabytes: float, parameters: int | None = None) -> None:
        monkeypatch.setattr(memory_module, "device_of", lambda profile: Device("cuda", torch.float16, ""))
        monkeypatch.setattr(memory_module, "gpu_gb", lambda: gigabytes)
        if parameters:
            monkeypatch.setattr(memory_module, "base_parameters", lambda run: parameters)

    return gpu


def test_needed_memory_by_hand_and_activations_computed_twice_only_where_they_do_not_fit(tmp_path, pretend):
    # weights, gradients, two moments in fp32 and a copy in 16 bits; 16 bits; 4 bits with scales, embeddings and head in
    # fp32: and 3 GB beside them
    needed = [needed_gb(1_000_000_000, kind) for kind in ("full", "adapter", "adapter in 4 bits")]
    assert needed == pytest.approx([21.0, 5.0, 4.25])
    run = Run("calendar", profile="gpu", out=str(tmp_path), settings={"base_model": PACKAGED})
    assert not memory_module.needs_checkpointing(run, "lora", 10**9), "there is no GPU here"
    pretend(15.8)
    twice = [memory_module.needs_checkpointing(run, "lora", tokens) for tokens in (8 * 300, 80 * 10_000)]
    assert twice == [False, True]


@pytest.mark.parametrize(
    "task, parameters, gigabytes, fitting, whole",
    [
        ("crime", 8_030_000_000, 15.8, "qlora tagger", False),
        ("crime", 8_030_000_000, 25.4, "lora qlora tagger", True),
        ("crime", 8_030_000_000, 150.1, "full lora qlora tagger", True),
        ("calendar", 362_000_000, 15.8, " ".join(load_task("calendar").variants), True),
    ],
)
def test_what_does_not_fit_the_gpu_is_left_out_and_named(
    task, parameters, gigabytes, fitting, whole, tmp_path, pretend, capsys
):
    run, fitting = Run(task, profile="gpu", out=str(tmp_path)), fitting.split()
    assert variants_that_fit(run) == list(run.task.variants) and holds_whole(run), "no GPU here to run out of"
    pretend(gigabytes, parameters)
    capsys.readouterr()
    assert variants_that_fit(run) == fitting and holds_whole(run) is whole
    told = capsys.readouterr().out
    left_out = [name for name in run.task.variants if f"{name} is left out" in told]
    assert left_out == [name for name in run.task.variants if name not in fitting]
    first = next(iter(run.task.variants))
    kept = run.path("checkpoints", first, "finished.json")  # several GPUs have trained it
    kept.write_text("{}")
    assert variants_that_fit(run) == [name for name in run.task.variants if name in {*fitting, first}]
    kept.unlink()
    pretend(1.0)
    with pytest.raises(UserError, match="base_model"):
        variants_that_fit(run)
