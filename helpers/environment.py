"""What a result depends on besides the data: device, seeds, threads, hardware, versions; and what a run costs."""
from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib

from helpers import processes
from helpers.config import ROOT, Run

LOCK_FILE = "requirements.txt"
PACKAGES = ("torch", "transformers", "tokenizers", "peft", "trl", "bitsandbytes", "llguidance", "numpy", "pandas")


# -- files ------------------------------------------------------------------------------------------------------------
def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; an empty one where there is no file or it cannot be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file so that a kill at any moment leaves either the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON, whole or not at all."""
    write_file(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def digest(*parts: str | bytes) -> str:
    """SHA-256 (hexadecimal) of several texts or byte strings; `("ab", "c")` and `("a", "bc")` differ."""
    total = hashlib.sha256()
    for part in parts:
        content = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        total.update(f"{len(content)}:".encode() + content)
    return total.hexdigest()


# -- device and seeds -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Device:
    """Where tensors live and in which precision, and why in one clause."""

    device: str
    dtype: Any
    reason: str


def pick_device(profile: str) -> Device:
    """Choose device and precision for a profile, and print the choice with its reason.

    fp32 on the CPU always: some virtual machines kill a process at its first bf16 matrix product. On a GPU bf16 from
    compute capability 8.0 (the first with bf16 units), else fp16.
    """
    import torch

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


def seed_everything(seed: int) -> None:
    """Seed random, NumPy and torch, and have torch choose deterministic kernels (with a warning where it has none)."""
    import numpy as np
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is only deterministic with a fixed workspace
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # writing every new tensor twice takes a tenth of a step


def usable_cores() -> int:
    """Physical cores this process may use: hyper-threads counted once, CPU affinity and container quota respected."""
    return joblib.cpu_count(only_physical_cores=True)


# -- hardware and fingerprints ----------------------------------------------------------------------------------------
def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    """Name and memory of each GPU, asked of the driver: importing torch for that would cost seconds."""
    if not shutil.which("nvidia-smi"):
        return []
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]


def hardware() -> dict[str, Any]:
    """CPU, usable cores, memory in GB, GPUs."""
    try:
        memory_gb = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        memory_gb = None
    return {"cpu": _cpu_name(), "machine": platform.machine(), "cores": usable_cores(), "memory_gb": memory_gb,
            "gpus": _gpus()}


def environment_fingerprint() -> dict[str, Any]:
    """Python, platform, the versions that matter most, and one hash each over all packages and over the lock file."""
    versions = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in metadata.distributions()
                if dist.metadata["Name"]}
    lock = ROOT / LOCK_FILE
    return {"python": platform.python_version(), "system": platform.system(),
            "packages": {name: versions[name] for name in PACKAGES if name in versions},
            "packages_sha256": digest(*(f"{name}=={version}" for name, version in sorted(versions.items()))),
            "lock_sha256": digest(lock.read_bytes()) if lock.exists() else None}


def notebook_source(path: Path) -> str:
    """The cells of a notebook as one text: type, tags and source, without outputs, ids or other metadata."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return json.dumps([[cell["cell_type"], sorted(cell.get("metadata", {}).get("tags", [])), "".join(cell["source"])]
                       for cell in cells], ensure_ascii=False)


def code_fingerprint(root: Path = ROOT) -> str:
    """One hash over every module of `helpers/` and the cells of every notebook."""
    modules = sorted(path for path in (root / "helpers").rglob("*.py"))
    notebooks = sorted((root / "notebooks").glob("*.ipynb"))
    parts: list[str | bytes] = []
    for path in modules:
        parts += [path.relative_to(root).as_posix(), path.read_bytes()]
    for path in notebooks:
        parts += [path.relative_to(root).as_posix(), notebook_source(path)]
    return digest(*parts)


def data_fingerprint(run: Run) -> str:
    """One hash over the bytes of the source files; of public data the pinned hashes are part of the task's code."""
    from helpers.data import source_files

    if run.data == "public":
        return digest("public", run.task.name)
    parts: list[str | bytes] = []
    for part, path in sorted(source_files(run).items()):
        parts += [part, path.read_bytes() if path.exists() else b"missing"]
    return digest(*parts)


def write_manifest(run: Run, stage: str, seconds: float, **more: Any) -> dict[str, Any]:
    """Merge what a stage ran on, its wall time and more facts into `artifacts/<task>/manifest.json`; returns all."""
    path = run.path("manifest.json")
    stages = read_json(path).get("stages", {})
    stages[stage] = {"seconds": round(seconds, 1), **more}
    manifest = {"task": run.task.name, "profile": run.profile, "settings": run.settings, "seed": run.seed,
                "data": {"source": run.data, "sha256": data_fingerprint(run)},
                "code": {"sha256": code_fingerprint()}, "environment": environment_fingerprint(),
                "hardware": hardware(), "stages": dict(sorted(stages.items()))}
    write_json(path, manifest)
    return manifest


# -- costs ------------------------------------------------------------------------------------------------------------
def reset_peak_memory() -> None:
    """Start measuring the peak anew, where the system allows it (Linux); the GPU's peak too if one is in use."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def peak_memory_mb(pid: int | None = None) -> float | None:
    """Highest resident memory in MB of this process (since :func:`reset_peak_memory`), or of another one on Linux."""
    try:
        for line in Path(f"/proc/{pid or 'self'}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) * 1024 / 1e6, 1)
    except OSError:
        pass
    if pid is not None:
        return None
    import resource

    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes on macOS, in KiB elsewhere
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)


def record_costs(run: Run, variant: str, **costs: float | None) -> None:
    """Merge costs of one variant into `artifacts/<task>/costs.json`; of several processes the first one writes."""
    if not processes.is_main():
        return
    path = run.path("costs.json")
    content = read_json(path)
    content[variant] = {**content.get(variant, {}), **costs}
    write_json(path, dict(sorted(content.items())))


@contextmanager
def timed(run: Run, variant: str, what: str) -> Iterator[None]:
    """Record wall time and peak memory of a block as `<what>_seconds` and `<what>_peak_memory_mb` of a variant.

    A block that raises leaves no record. On a GPU its peak comes along as `<what>_gpu_memory_mb`.
    """
    reset_peak_memory()
    started = time.perf_counter()
    yield
    costs = {f"{what}_seconds": round(time.perf_counter() - started, 2), f"{what}_peak_memory_mb": peak_memory_mb()}
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        costs[f"{what}_gpu_memory_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    record_costs(run, variant, **costs)
