"""The graph of stages: which there are, what each depends on, and whether what it left is still good.

A stage is known by the digests of all that decides its result: the notebook's cells, the helper modules it can reach,
the data, the parameters, the packages, and the files that the stages before it left. They are completed after the stage has
succeeded, as the last thing written; so a stage that was killed runs again, and a stage before it that ran again and left the
same files takes no other along.
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
from importlib import metadata
from pathlib import Path

from helpers.data.read import data_fingerprint
from helpers.errors import UserError
from helpers.files import digest, file_digest, read_json, sync_files, write_json
from helpers.manifest import LOCK_FILE, notebook_source, settings_files
from helpers.paths import ROOT
from helpers.run import Run

NOTEBOOKS = ROOT / "notebooks"
REPORT = "report"
OPTIONAL = ("07_deploy",)  # notebooks that run only where they are asked for
LOCK_SECONDS = 10.0
# environment variables that change results where the code reads them
SWITCHES = ("LLM_BASE_URL", "LLM_MODEL")
# no result is made of these
CLOCKED = ("notebooks", "logs", "stages", "manifest.json", "costs.json", ".lock")
GIVEN = ("parameters", "data", "files in settings")  # what the user chose, of a stage's key


class Busy(UserError):
    """Another run uses the same artifacts."""


class StageFailed(Exception):
    """A stage ended with an error; the message is one line for the terminal."""


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
        """File that says of what the stage was begun (`key`, `token`, `since`) and, once it has succeeded, what it left."""
        return run.path("stages", f"{self.number}.json")

    def output(self, run: Run) -> Path:
        """The executed notebook, or the report of the task."""
        if self.notebook is None:
            return run.report_dir / f"{run.task.name}.html"
        return run.path("notebooks", self.notebook.name)


def find_stages(notebooks: Path | None = None, optional: bool = False) -> list[Stage]:
    """The numbered notebooks of a folder in order, those of :data:`OPTIONAL` if wanted, then the report."""
    paths = sorted((notebooks or NOTEBOOKS).glob("[0-9][0-9]_*.ipynb"))
    wanted = [Stage(path.stem, path) for path in paths if optional or path.stem not in OPTIONAL]
    return [*wanted, Stage(REPORT, None)]


def forget_optional(run: Run, stages: list[Stage]) -> None:
    """Remove what optional stages that are not among these left: it speaks of models that are there no longer."""
    for name in set(OPTIONAL) - {stage.name for stage in stages}:
        left = Stage(name, NOTEBOOKS / f"{name}.ipynb")
        left.stamp(run).unlink(missing_ok=True)
        left.output(run).unlink(missing_ok=True)


def pick_stage(stages: list[Stage], given: str, option: str = "--from") -> int:
    """Index of the stage that an option names: `4`, `04`, `04_train_lora` or `report`."""
    wanted = given.zfill(2) if given.isdigit() else given
    for index, stage in enumerate(stages):
        if wanted in (stage.number, stage.name):
            return index
    numbers = ", ".join(stage.number for stage in stages)
    raise UserError(f"unknown stage {given!r} for {option}: choose from {numbers}")


# -- which modules a notebook can reach -------------------------------------------------------------------------------
@lru_cache(maxsize=1024)
def _imported(source: str) -> tuple[str, ...]:
    """Dotted names that a module or cell imports anywhere; of `from a import b` both `a` and `a.b`."""
    code = re.sub("^[%!].*", "", source, flags=re.MULTILINE)  # without magics and shell lines
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return ()  # the cell will fail when it runs
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(names)


def helper_closure(sources: Iterable[str], task: Path, root: Path = ROOT) -> list[Path]:
    """Files of the helpers package that the source of some cells reaches through imports, at once or by others.

    To a module belong its package and the files beside it that are not Python (templates, words). Tasks are found by their
    folders at run time: with `helpers.tasks` all in the folder of this `task` is reached but its rows.
    """
    found: set[Path] = set()
    waiting = [name for source in sources for name in _imported(source)]
    while waiting:
        name = waiting.pop()
        base = root.joinpath(*name.split("."))
        path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if name.split(".")[0] != "helpers" or path in found or not path.is_file():
            continue
        with_task = name == "helpers.tasks" and task.is_dir()
        own = [path, *(task.glob("*.py") if with_task else ())]
        folders = [path.parent, *([task] if with_task else [])]
        found |= {*own, *(one for folder in folders for one in _beside(folder))}
        waiting.append(name.rpartition(".")[0])  # importing a module runs its package first
        waiting += [one for module in own for one in _imported(module.read_text(encoding="utf-8"))]
    return sorted(found)


def _beside(folder: Path) -> list[Path]:
    """The files of a folder that are neither modules nor rows; of a package also those of its folders that are none."""
    package = (folder / "__init__.py").exists()
    folders = [one for one in folder.iterdir() if package and one.is_dir() and one.name != "__pycache__"]
    inside = [path for one in folders if not (one / "__init__.py").exists() for path in one.rglob("*")]
    return [
        path
        for path in [*folder.iterdir(), *inside]
        if path.suffix not in (".py", ".jsonl") and path.is_file()
    ]


# -- keys -------------------------------------------------------------------------------------------------------------
def stage_keys(run: Run, stages: list[Stage], root: Path = ROOT) -> list[dict[str, str]]:
    """For each stage the digests of all that decides what it leaves, by name, so that a change can be told.

    What the stages before it left is not among them: :func:`left_before` says that once they have run.
    """
    lock = root / LOCK_FILE
    parameters = [run.task.name, run.profile, run.data, run.settings, run.seed]
    common = {
        "data": data_fingerprint(run),
        "files in settings": settings_files(run),
        "parameters": digest(json.dumps(parameters, sort_keys=True, default=str)),
        "packages": digest(lock.read_bytes() if lock.exists() else b"", metadata.version("torch")),
    }
    keys = []
    for stage in stages:
        cells = "[]" if stage.notebook is None else notebook_source(stage.notebook)
        sources = [source for kind, _, source in json.loads(cells) if kind == "code"]
        sources += ["import helpers.report.pages"] if stage.notebook is None else []
        modules = helper_closure(sources, run.own_folder or root / "helpers" / "tasks" / run.task.name, root)
        code = [part for path in modules for part in (os.path.relpath(path, root), path.read_bytes())]
        text = cells + b"".join(code[1::2]).decode("utf-8", "replace")
        results = sorted((root / "results").rglob("*.json*")) if 'ROOT / "results"' in text else []
        own = {
            "notebook": digest(cells),
            "helpers": digest(*code),
            "results": digest(*(path.read_bytes() for path in results)),
            "switches": digest(*(f"{name}={os.environ.get(name)}" for name in SWITCHES if name in text)),
        }
        keys.append({**own, **common})
    return keys


def left_before(run: Run, stages: list[Stage], index: int) -> dict[str, str]:
    """The digest of all files that the stages before one left; for the report of the executed notebooks too."""
    left = [sorted(read_json(stage.stamp(run)).get("outputs", {}).items()) for stage in stages[:index]]
    pages = run.path("notebooks", "x").parent.glob("*.ipynb") if stages[index].notebook is None else ()
    return {"what a stage before it left": digest(json.dumps(left), *map(file_digest, sorted(pages)))}


def why_run(run: Run, stage: Stage, key: dict[str, str]) -> str | None:
    """Why a stage has to run, in a few words; None if what it left is still good."""
    stamp = read_json(stage.stamp(run))
    if not stamp.get("done"):
        return "was interrupted" if stamp else "not run yet"
    if changed := [name for name in key if stamp["key"].get(name) != key[name]]:
        return f"changed: {', '.join(changed)}"
    return None if stage.output(run).exists() else f"{stage.output(run).name} is missing"


def require_complete(run: Run, stages: list[Stage], keys: list[dict[str, str]], start: int) -> list[str]:
    """Check that every stage before `start` has succeeded with this data and these parameters.

    Returns the names of stages whose code has changed since; their results are used as they are.
    """
    stale = []
    for stage, key in zip(stages[:start], keys):
        stamp = read_json(stage.stamp(run))
        done = stamp.get("done") and stage.output(run).exists()
        changed = [name for name in key if not done or stamp["key"].get(name) != key[name]]
        if other := [name for name in changed if name in GIVEN]:
            how = f"run with other {' and '.join(other)}" if done else f"not complete in {shown(run.dir)}"
            raise UserError(
                f"--from {stages[start].number} needs stage {stage.name}, which is {how}: start without --from"
            )
        stale += [stage.name] if changed else []
    return stale


# -- stamps -----------------------------------------------------------------------------------------------------------
def begin(run: Run, stage: Stage, later: list[Stage], key: dict[str, str], fresh: bool) -> str:
    """Forget that this stage succeeded, if `fresh` later ones too, and give a forced attempt its token (else empty).

    The token stays the same when the attempt is killed and started again, so that training can tell checkpoints of this
    attempt, where it goes on, from older ones, which it must not use. What the stage left before is still its own where
    it is not written anew.
    """
    stamp, clock = read_json(stage.stamp(run)), run.path(".lock")
    clock.touch()  # by the clock of the file system, as the files of the stage
    killed = bool(stamp) and not stamp.get("done")
    if not killed or stamp["key"] != key or fresh:
        stamp = {
            "key": key,
            "token": uuid.uuid4().hex if fresh else "",
            "since": killed and stamp.get("since") or clock.stat().st_mtime_ns,
            "outputs": stamp.get("outputs", {}),
        }
        write_json(stage.stamp(run), stamp)
    for each in later if fresh else []:
        each.stamp(run).unlink(missing_ok=True)
    return stamp["token"]


def finish(run: Run, stage: Stage) -> None:
    """Record that the stage succeeded, and the files it left; the last thing written of a stage."""
    stamp, outputs = read_json(stage.stamp(run)), {}
    for path in sorted(run.dir.rglob("*")):
        name = path.relative_to(run.dir).as_posix()
        own = name in stamp["outputs"] or path.stat().st_mtime_ns >= stamp["since"]
        if own and path.is_file() and name.split("/")[0] not in CLOCKED:
            outputs[name] = file_digest(path)
    sync_files(run.dir / name for name in outputs)
    write_json(stage.stamp(run), stamp | {"outputs": outputs, "done": True})


# -- one run at a time ------------------------------------------------------------------------------------------------
@contextmanager
def task_lock(run: Run) -> Iterator[int]:
    """Hold `artifacts/<task>/.lock`, so that two runs never write to one folder; gives the file descriptor.

    Kernels inherit the descriptor: after `kill -9` of a run the lock is free once its kernel has ended too, a second
    or so later, and a new run waits for that.
    """
    import fcntl

    with run.path(".lock").open("a+", encoding="utf-8") as file:
        deadline = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    file.seek(0)
                    raise Busy(
                        f"another run (process {file.read().strip() or 'unknown'}) is using {shown(run.dir)}: wait "
                        "for it, or give this one its own folder with --out"
                    ) from None
                time.sleep(0.2)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield file.fileno()


def given_path(given: str) -> Path:
    """A path that was given on the command line: from the folder where the command was given."""
    return (Path(os.environ.get("STUDY_CWD") or os.getcwd()) / Path(given).expanduser()).resolve()


def shown(path: Path) -> str:
    """A path as the user would type it: relative to where the command was given if it lies below."""
    here = Path(os.environ.get("STUDY_CWD") or os.getcwd())
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
