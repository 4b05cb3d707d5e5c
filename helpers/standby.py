"""The process of the next notebook's kernel: it imports what the notebook needs while the one before still runs.

Run as: python -m helpers.standby FD MODULE …     (by :mod:`helpers.execute`; becomes a kernel when it is told to)
"""
from __future__ import annotations

import ast
import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.config import ROOT, Run

_MESSAGE = 65536
_FILES = 8
_STOP_SECONDS = 10


# -- what to import ---------------------------------------------------------------------------------------------------
def imported_modules(notebook: Path) -> list[str]:
    """Modules that the cells of a notebook import, those of `from helpers import name` among them."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError, KeyError):  # its own stage says what is wrong with it
        return []
    found: dict[str, None] = {}
    for cell in cells:
        try:
            nodes = list(ast.walk(ast.parse("".join(cell["source"])))) if cell["cell_type"] == "code" else []
        except SyntaxError:  # a cell with commands of IPython
            continue
        for node in nodes:
            if isinstance(node, ast.Import):
                found |= dict.fromkeys(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                inside = ROOT.joinpath(*node.module.split("."))
                found |= dict.fromkeys([node.module] + [f"{node.module}.{alias.name}" for alias in node.names
                                                        if (inside / f"{alias.name}.py").is_file()])
    return list(found)


def needed_modules(run: Run, notebook: Path) -> list[str]:
    """Those modules, and the libraries that training and loading a variant import when they are called."""
    names = imported_modules(notebook)
    if "helpers.train" in names:
        names += [trainer.partition(":")[0] for trainer in run.task.trainers.values()]
    if "helpers.evaluation" in names:
        names.append("peft")
    return list(dict.fromkeys(names))


def _code_state() -> int:
    """Changes whenever code that may have been imported does."""
    return max(path.stat().st_mtime_ns for path in (ROOT / "helpers").rglob("*.py"))


# -- the side that waits for a kernel -------------------------------------------------------------------------------------
class Standby:
    """A process that imports modules and then waits to be told which kernel to be.

    It ends by itself where this process does, and holds no file of it before it is a kernel.

    Parameters
    ----------
    modules : sequence of str
    env : dict
        Environment of the kernel.
    """

    def __init__(self, modules: Sequence[str], env: dict[str, str]) -> None:
        self.env, self.state = env, _code_state()
        self.ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "helpers.standby", str(theirs.fileno()), *modules], cwd=ROOT,
                env=env | {"JPY_PARENT_PID": str(os.getpid())}, pass_fds=[theirs.fileno()], start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def fits(self, env: dict[str, str]) -> bool:
        """Whether it lives, and a kernel with this environment started now would import the same."""
        same = {**self.env, "STUDY_FORCE": ""} == {**env, "STUDY_FORCE": ""}
        return same and self.process.poll() is None and self.state == _code_state()

    def become(self, command: list[str], force: str, log: Path, keep_open: Sequence[int]) -> subprocess.Popen:
        """Make it the kernel of a command line, with its errors in a log; returns the process."""
        told = json.dumps({"arguments": command[command.index("-f"):], "force": force, "log": str(log)})
        socket.send_fds(self.ours, [told.encode()], list(keep_open))
        self.ours.close()
        return self.process

    def dismiss(self) -> None:
        """End it where it is not needed."""
        self.ours.close()
        self.process.kill()
        self.process.wait(_STOP_SECONDS)


# -- the side that becomes one ----------------------------------------------------------------------------------------
def main(descriptor: int, modules: Sequence[str]) -> None:
    """Import, wait, and be a kernel."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as a kernel does on its start
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception:  # the notebook imports it again, and shows what is wrong
            break
    with socket.socket(fileno=descriptor) as theirs:
        message, _, _, _ = socket.recv_fds(theirs, _MESSAGE, _FILES)  # the files stay open: they hold the run's lock
    if not message:
        return
    told: dict[str, Any] = json.loads(message)
    os.environ["STUDY_FORCE"] = told["force"]
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = ["ipykernel_launcher", *told["arguments"]]
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
