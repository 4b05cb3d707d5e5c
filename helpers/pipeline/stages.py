"""The graph of stages: which there are, what each depends on, and whether what it left is still good.

A stage's key is a hash over everything that decides its result: the notebook's cells, the helper modules it can reach,
the data, the parameters, the lock file and the key of the stage before it. The key is stored after the stage has
succeeded, as the last thing written; so a stage that was killed has none and runs again.
"""

from __future__ import annotations

import ast
import json
import os
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from helpers.data.read import data_fingerprint
from helpers.errors import UserError
from helpers.files import digest, read_json, write_json
from helpers.manifest import LOCK_FILE, notebook_source
from helpers.paths import ROOT
from helpers.run import Run

NOTEBOOKS = ROOT / "notebooks"
REPORT = "report"
OPTIONAL = ("07_deploy",)  # notebooks that run only where they are asked for
LOCK_SECONDS = 10.0
SWITCHES = (
    "LLM_BASE_URL",
    "LLM_MODEL",
)  # environment variables that change results where the code reads them


class Busy(UserError):
    """Another run uses the same artifacts."""


@dataclass(frozen=True)
class Stage:
    """One step of the study: a notebook, or the report made of them (`notebook` is None)."""

    name: str
    notebook: Path | None

    @property
    def number(self) -> str:
        """`03` of `03_baseline`; `report` for the report."""
        return self.name.split("_", 1)[0]

    def stamp(self, run: Run) -> Path:
        """File that says with which key the stage succeeded."""
        return run.path("stages", f"{self.number}.json")

    def started(self, run: Run) -> Path:
        """File that says with which key the stage was begun, while it has not succeeded."""
        return run.path("stages", f"{self.number}.started.json")

    def output(self, run: Run) -> Path:
        """The executed notebook, or the report of the task."""
        if self.notebook is None:
            return run.report_dir / f"{run.task.name}.html"
        return run.path("notebooks", self.notebook.name)


def find_stages(notebooks: Path | None = None, optional: bool = False) -> list[Stage]:
    """The numbered notebooks of a folder in order, those of :data:`OPTIONAL` if wanted, then the report."""
    notebooks = notebooks or NOTEBOOKS
    paths = sorted(notebooks.glob("[0-9][0-9]_*.ipynb"))
    if not paths:
        raise UserError(f"no numbered notebook (01_….ipynb) in {notebooks}")
    return [Stage(path.stem, path) for path in paths if optional or path.stem not in OPTIONAL] + [
        Stage(REPORT, None)
    ]


def forget_optional(run: Run, stages: list[Stage]) -> None:
    """Remove what optional stages that are not among these left: it speaks of models that are there no longer."""
    for name in OPTIONAL:
        if name not in [stage.name for stage in stages]:
            left = Stage(name, NOTEBOOKS / f"{name}.ipynb")
            for path in (left.stamp(run), left.started(run), left.output(run)):
                path.unlink(missing_ok=True)


def pick_stage(stages: list[Stage], given: str, option: str = "--from") -> int:
    """Index of the stage that an option names: `4`, `04`, `04_train_lora` or `report`."""
    wanted = given.zfill(2) if given.isdigit() else given
    for index, stage in enumerate(stages):
        if wanted in (stage.number, stage.name):
            return index
    raise UserError(
        f"unknown stage {given!r} for {option}: choose from {', '.join(stage.number for stage in stages)}"
    )


# -- which modules a notebook can reach -------------------------------------------------------------------------------
def _module_file(root: Path, module: str) -> Path | None:
    """File of a dotted module name of the helpers package, or None."""
    base = root.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _parse(source: str) -> ast.AST:
    """Parse a cell or module; notebook magics and shell lines are dropped."""
    try:
        return ast.parse(source)
    except SyntaxError:
        kept = [line for line in source.splitlines() if not re.match(r"\s*[%!?]|.*\?\s*$", line)]
        try:
            return ast.parse("\n".join(kept))
        except SyntaxError:
            return ast.Module(body=[], type_ignores=[])  # the cell will fail when it runs; it reaches nothing


def _imported(tree: ast.AST, module: str, is_package: bool) -> Iterable[str]:
    """Dotted names that a module imports anywhere; of `from a import b` both `a` and `a.b`."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@lru_cache(maxsize=1024)
def _read_module(source: str, module: str, is_package: bool) -> tuple[str, ...]:
    """Names that a module imports; parsed once, though every stage of every task reaches it."""
    return tuple(_imported(_parse(source), module, is_package))


def helper_closure(sources: Iterable[str], task: str, root: Path = ROOT) -> list[Path]:
    """Files of the helpers package that the source of some cells reaches through imports, at once or by others.

    The tasks are imported by name at run time; where `helpers.tasks` is reached, the modules of this task
    (`helpers/tasks/<task>/`) and the interface belong to the closure. So do files beside the modules that are not Python
    (templates, style sheets) once a module of the closure names them or their folder.
    """
    found: dict[str, Path] = {}
    texts: list[str] = []
    waiting = [name for source in sources for name in _imported(_parse(source), "", False)]
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] != "helpers" or name in found:
            continue
        if "." in name:
            waiting.append(name.rpartition(".")[0])  # importing a module runs its package first
        path = _module_file(root, name)
        if path is None:
            continue
        found[name] = path
        texts.append(path.read_text(encoding="utf-8"))
        waiting += _read_module(texts[-1], name, path.name == "__init__.py")
        if name == "helpers.tasks":
            own = sorted((path.parent / task).glob("*.py"))
            waiting += ["helpers.tasks.base", *(f"helpers.tasks.{task}.{module.stem}" for module in own)]
    everything = "\n".join(texts)
    beside: list[Path] = []
    for path in {entry for folder in {path.parent for path in found.values()} for entry in folder.iterdir()}:
        if path.name in everything and path.suffix not in (".py", ".pyc"):
            inside = [] if (path / "__init__.py").exists() else path.rglob("*")
            beside += [each for each in (path, *inside) if each.is_file()]
    return sorted({*found.values(), *beside})


# -- keys -------------------------------------------------------------------------------------------------------------
def stage_keys(run: Run, stages: list[Stage], root: Path = ROOT) -> list[dict[str, str]]:
    """Key of every stage, with the hashes it is made of, so that a changed one can be named."""
    lock = root / LOCK_FILE
    parameters = {
        "task": run.task.name,
        "profile": run.profile,
        "data": run.data,
        "settings": run.settings,
        "seed": run.seed,
    }
    common = {
        "data": data_fingerprint(run),
        "parameters": digest(json.dumps(parameters, sort_keys=True, default=str)),
        "packages": digest(lock.read_bytes() if lock.exists() else b""),
    }
    results = [
        path for pattern in ("sweeps/*.jsonl", "*.json") for path in sorted(root.glob(f"results/{pattern}"))
    ]
    keys: list[dict[str, str]] = []
    for stage in stages:
        if stage.notebook is None:
            cells, sources = "", ["import helpers.report.pages"]
        else:
            cells = notebook_source(stage.notebook)
            sources = [source for kind, _, source in json.loads(cells) if kind == "code"]
        modules = helper_closure(sources, run.task.name, root)
        code = [part for path in modules for part in (path.relative_to(root).as_posix(), path.read_bytes())]
        text = b"".join(part for part in code if isinstance(part, bytes)).decode("utf-8", "replace")
        shows = results if root / "helpers" / "evaluation" / "measured.py" in modules else []
        switches = [f"{name}={os.environ.get(name)}" for name in SWITCHES if name in text or name in cells]
        parts = {
            "notebook": digest(cells),
            "helpers": digest(*code),
            **common,
            "results": digest(*(path.read_bytes() for path in shows)),
            "switches": digest(*switches),
            "stage before": keys[-1]["key"] if keys else "",
        }
        keys.append({"key": digest(*parts.values()), **parts})
    return keys


def why_run(run: Run, stage: Stage, key: dict[str, str]) -> str | None:
    """Why a stage has to run, in a few words; None if what it left is still good."""
    stamp = read_json(stage.stamp(run))
    if not stamp:
        return "was interrupted" if stage.started(run).exists() else "not run yet"
    if stamp.get("key") != key["key"]:
        changed = [
            name for name in key if name not in ("key", "stage before") and stamp.get(name) != key[name]
        ]
        return f"changed: {', '.join(changed) or 'a stage before it'}"
    if not stage.output(run).exists():
        return f"{stage.output(run).name} is missing"
    return None


def require_complete(run: Run, stages: list[Stage], keys: list[dict[str, str]], start: int) -> list[str]:
    """Check that every stage before `start` has succeeded with this data and these parameters.

    Returns the names of stages whose code has changed since; their results are used as they are.
    """
    stale = []
    for stage, key in zip(stages[:start], keys):
        stamp = read_json(stage.stamp(run))
        if not stamp or not stage.output(run).exists():
            raise UserError(
                f"--from {stages[start].number} needs stage {stage.name}, which is not complete in "
                f"{shown(run.dir)}: start without --from"
            )
        other = [name for name in ("parameters", "data") if stamp.get(name) != key[name]]
        if other:
            raise UserError(
                f"--from {stages[start].number} needs stage {stage.name}, which was run with other "
                f"{' and '.join(other)}: start without --from"
            )
        if stamp.get("key") != key["key"]:
            stale.append(stage.name)
    return stale


# -- stamps -----------------------------------------------------------------------------------------------------------
def begin(run: Run, stage: Stage, later: list[Stage], key: dict[str, str], fresh: bool) -> str:
    """Forget that this and all later stages succeeded, and give a forced attempt its token (else empty).

    It stays the same when the attempt is killed and started again, so that training can tell checkpoints of this
    attempt, where it goes on, from older ones, which it must not use.
    """
    for each in (*reversed(later), stage):
        each.stamp(run).unlink(missing_ok=True)
        if fresh:
            each.started(run).unlink(missing_ok=True)
    before = read_json(stage.started(run))
    if before.get("key") == key["key"]:
        return str(before.get("token", ""))
    token = uuid.uuid4().hex if fresh else ""
    write_json(stage.started(run), {"key": key["key"], "token": token})
    return token


def finish(run: Run, stage: Stage, key: dict[str, str]) -> None:
    """Record that the stage succeeded; the last thing written of a stage."""
    write_json(stage.stamp(run), {"stage": stage.name, **key})
    stage.started(run).unlink(missing_ok=True)


# -- one run at a time -----------------------------------------------------------------------------------------------
def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


@contextmanager
def task_lock(run: Run) -> Iterator[int]:
    """Hold `artifacts/<task>/.lock`, so that two runs never write to one folder; gives the file descriptor.

    Kernels inherit the descriptor: after `kill -9` of a run the lock is free once its kernel has ended too, a second
    or so later, and a new run waits for that.
    """
    import fcntl

    path = run.path(".lock")
    with path.open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                file.seek(0)
                owner = file.read().strip()
                if _alive(owner) or time.monotonic() > deadline:
                    raise Busy(
                        f"another run (process {owner or 'unknown'}) is using {shown(run.dir)}: wait for it, "
                        "or give this one its own folder with --out"
                    ) from None
                time.sleep(0.2)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def shown(path: Path) -> str:
    """A path as the user would type it: relative to where the command was given if it lies below."""
    here = Path(os.environ.get("STUDY_CWD") or os.getcwd())
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
