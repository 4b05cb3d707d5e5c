"""The machine: device and precision, cores, memory, seeds, and the processes that train one model together."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import platform
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib


@dataclass(frozen=True)
class Device:
    """Where tensors live and in which precision, and why in one clause."""

    device: str
    dtype: Any
    reason: str


def pick_device(profile: str) -> Device:
    """Choose device and precision for a profile, and print the choice with its reason; of several GPUs the first.

    fp32 on the CPU always: some virtual machines kill a process at its first bf16 matrix product. On a GPU bf16 from
    compute capability 8.0 (the first with bf16 units), else fp16.
    """
    import torch

    if profile == "gpu" and "WORLD_SIZE" not in os.environ:
        # the libraries would spread a model over all GPUs they see, or refuse to; several are the work of accelerate
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.partition(",")[0]
    if profile != "gpu":
        chosen = Device("cpu", torch.float32, f"the {profile} profile runs everywhere, in fp32")
    elif not torch.cuda.is_available():
        chosen = Device("cpu", torch.float32, "torch sees no GPU here; hub models are slow on a CPU")
    else:
        major, minor = torch.cuda.get_device_capability()
        name = f"{torch.cuda.get_device_name()}, compute capability {major}.{minor}"
        if major >= 8:
            chosen = Device("cuda", torch.bfloat16, f"{name}: has bf16 units")
        else:
            chosen = Device("cuda", torch.float16, f"{name}: bf16 needs 8.0, so fp16")
    print(f"device: {chosen.device}, {str(chosen.dtype).removeprefix('torch.')} ({chosen.reason})")
    return chosen


# -- several processes: `accelerate launch` (or torchrun) starts them and says so in environment variables -------------
def process_count() -> int:
    """Processes that train together."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_main_process() -> bool:
    """Whether this process is the one that writes files."""
    return int(os.environ.get("RANK", "0")) == 0


def shards_model() -> bool:
    """Whether the weights are spread over the processes (FSDP) instead of copied to each."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"


def wait_for_processes(device: str) -> None:
    """Go on once every process has come here; they meet over gloo on the CPU and over NCCL on GPUs."""
    if process_count() > 1:
        from accelerate import PartialState

        PartialState(cpu=device == "cpu").wait_for_everyone()


# -- seeds, cores, memory ---------------------------------------------------------------------------------------------
def seed_everything(seed: int) -> None:
    """Seed random, NumPy and torch, and have torch choose deterministic kernels (with a warning where it has none)."""
    import numpy as np
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # else cuBLAS is not deterministic
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # else every new tensor is written twice


def usable_cores() -> int:
    """Physical cores this process may use: hyper-threads counted once, CPU affinity and container quota respected."""
    return joblib.cpu_count(only_physical_cores=True)


def _cpu_name() -> str:
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Name and memory of each GPU, asked of the driver: importing torch for that would cost seconds."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def hardware() -> dict[str, Any]:
    """CPU, usable cores, memory in GB, GPUs."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cpu": _cpu_name(),
        "machine": platform.machine(),
        "cores": usable_cores(),
        "memory_gb": round(memory / 1e9, 1),
        "gpus": _gpus(),
    }


def free_memory() -> None:
    """Give back what models that nobody holds any more have taken, of the GPU too.

    Trainers refer to themselves in circles, and the C library keeps freed blocks for itself: what is loaded next would
    come on top of a model that is long gone.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def reset_peak_memory() -> None:
    """Start measuring the peak anew, where the system allows it (Linux); the GPU's peak too if one is in use."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb(pid: int | None = None) -> float | None:
    """Highest resident memory in MB of this process (since :func:`reset_peak_memory`), or of another one on Linux."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
        peak = next(line for line in lines if line.startswith("VmHWM:"))
        return round(int(peak.split()[1]) * 1024 / 1e6, 1)
    if pid is not None:
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
