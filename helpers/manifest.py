"""What a result depends on, code, data, versions; and what it costs."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

from helpers.data.folders import part_file
from helpers.data.read import data_fingerprint
from helpers.files import digest, file_digest, read_json, write_json
from helpers.machine import hardware, is_main_process, peak_memory_mb, reset_peak_memory
from helpers.paths import ROOT, input_model
from helpers.run import Run

LOCK_FILE = "requirements.txt"
PACKAGES = "torch transformers tokenizers peft trl bitsandbytes llguidance numpy pandas".split()


def environment_fingerprint() -> dict[str, Any]:
    """Python, platform, the versions that matter most, and one hash each over all packages and over the lock file."""
    versions = {
        dist.metadata["Name"].lower().replace("_", "-"): dist.version
        for dist in metadata.distributions()
        if dist.metadata["Name"]
    }
    lock = ROOT / LOCK_FILE
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "packages": {name: versions[name] for name in PACKAGES if name in versions},
        "packages_sha256": digest(*(f"{name}=={version}" for name, version in sorted(versions.items()))),
        "lock_sha256": digest(lock.read_bytes()) if lock.exists() else None,
    }


def notebook_source(path: Path) -> str:
    """The cells of a notebook as one text: type, tags and source, without outputs, ids or other metadata."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    kept = [
        [cell["cell_type"], sorted(cell["metadata"].get("tags", [])), "".join(cell["source"])]
        for cell in cells
    ]
    return json.dumps(kept, ensure_ascii=False)


def code_fingerprint(root: Path = ROOT, shared: bool = False) -> str:
    """One hash over every module and data file of `helpers/`, or of what tasks share, and the cells of every notebook."""
    parts: list[str | bytes] = []
    for path in sorted((root / "helpers").rglob("*")):
        own = shared and path.parent.parent == root / "helpers" / "tasks"
        if path.is_file() and "__pycache__" not in path.parts and not own:
            parts += [path.relative_to(root).as_posix(), path.read_bytes()]
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        parts += [path.relative_to(root).as_posix(), notebook_source(path)]
    return digest(*parts)


def code_files(folder: Path) -> list[Path]:
    """Modules, word lists and schema of one folder of the package or of a task of the user's own; its rows are none."""
    rows = {part_file(folder, part) for part in ("rows", "train", "validation", "test")}
    kinds = (".py", ".yaml", ".json", ".txt")
    return [path for path in sorted(folder.glob("*")) if path.suffix in kinds and path not in rows]


def settings_files(run: Run) -> str:
    """One digest of all files and folders that settings name: models, rows without labels, a copy of public data.

    Of a hub model those of the Kaggle input that stands for it.
    """
    given = {name: value for name, value in run.settings.items() if isinstance(value, str) and value}
    named = [ROOT / Path(value).expanduser() for value in given.values()]
    named += filter(None, (input_model(value) for name, value in given.items() if name.endswith("_model")))
    inside = [path for place in named for path in (place, *sorted(place.rglob("*"))) if path.is_file()]
    return digest(*map(file_digest, inside))


def write_manifest(run: Run, stage: str, seconds: float, **more: Any) -> dict[str, Any]:
    """Merge what a stage ran on, its wall time and more facts into `artifacts/<task>/manifest.json`; returns all."""
    path = run.path("manifest.json")
    stages = read_json(path).get("stages", {})
    stages[stage] = {"seconds": round(seconds, 1), **more}
    manifest = {
        "task": run.task.name,
        "profile": run.profile,
        "settings": run.settings,
        "seed": run.seed,
        "data": {"source": run.data, "sha256": data_fingerprint(run)},
        "code": {"sha256": code_fingerprint(), "shared": code_fingerprint(shared=True)},
        "environment": environment_fingerprint(),
        "hardware": hardware(),
        "stages": dict(sorted(stages.items())),
    }
    write_json(path, manifest)
    return manifest


# -- costs ------------------------------------------------------------------------------------------------------------
def record_costs(run: Run, variant: str, **costs: float | None) -> None:
    """Merge costs of one variant into `artifacts/<task>/costs.json`; of several processes the first one writes."""
    if not is_main_process():
        return
    path = run.path("costs.json")
    content = read_json(path)
    content[variant] = {**content.get(variant, {}), **costs}
    write_json(path, dict(sorted(content.items())))


@contextmanager
def timed(run: Run, variant: str, what: str) -> Iterator[None]:
    """Record wall time and peak memory of a block as `<what>_seconds` and `<what>_peak_memory_mb` of a variant.

    A block that raises leaves no record. On a GPU the peak is that of the GPU.
    """
    reset_peak_memory()
    started = time.perf_counter()
    yield
    seconds, peak = round(time.perf_counter() - started, 2), peak_memory_mb()
    torch = sys.modules.get("torch")
    if run.profile == "gpu" and torch is not None and torch.cuda.is_available():
        peak = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    record_costs(run, variant, **{f"{what}_seconds": seconds, f"{what}_peak_memory_mb": peak})
