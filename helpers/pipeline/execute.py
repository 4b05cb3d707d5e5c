"""Run one notebook with papermill: own interpreter and environment, live log, progress by cell, errors as one line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import DeadKernelError
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from helpers.machine import peak_memory_mb, usable_cores
from helpers.paths import ROOT
from helpers.pipeline.progress import Progress, headings, one_line, plain
from helpers.pipeline.stages import StageFailed
from helpers.run import Run

KERNEL_START_SECONDS = 180
SAVE_SECONDS = 2.0  # papermill saves before and after each cell, which takes seconds a notebook


# -- the kernel -------------------------------------------------------------------------------------------------------
class OwnInterpreter(AsyncKernelManager):
    """Starts kernels with the interpreter of this process, whatever kernels are installed on the machine.

    `launch` are further options of the process, `facts` gets the kernel's peak memory when it ends.
    """

    transport_encryption = "auto"  # others on the machine can read the kernel's sockets otherwise
    shutdown_wait_time = 2.0  # a kernel that is left in the middle of a cell answers to no request
    launch: dict[str, Any] = {}
    facts: dict[str, Any] = {}

    @property
    def kernel_spec(self) -> KernelSpec:
        """A kernel specification made here."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        encrypted = {"supported_encryption": "curve"}
        return KernelSpec(argv=argv, display_name="Python 3", language="python", metadata=encrypted)

    async def start_kernel(self, **options: Any) -> None:
        """Start it in the given environment."""
        await super().start_kernel(**options, **self.launch)

    async def shutdown_kernel(self, *given: Any, **options: Any) -> None:
        """Note its memory, then end it."""
        if self.provisioner is not None and self.provisioner.pid:
            self.facts["peak_memory_mb"] = peak_memory_mb(self.provisioner.pid)
        await super().shutdown_kernel(*given, **options)

    async def _async_interrupt_kernel(self) -> None:
        """Nothing: a kernel is shut down when it is idle or killed, and an interrupt only adds noise to the log."""


class LiveLog:
    """File for a kernel's output that also shows the newest line on the terminal, and keeps its notes there."""

    def __init__(self, file: TextIO, progress: Progress) -> None:
        self.file, self.progress = file, progress

    def write(self, text: str) -> None:
        """Take a piece of output as it comes."""
        self.file.write(text)
        for line in text.splitlines():
            if line.startswith("note: "):
                self.progress.say(line)
        self.progress.note(text)

    def flush(self) -> None:
        """Called by papermill after each piece."""
        self.file.flush()


class SeldomSaving(NBClientEngine):
    """papermill's engine, which saves the notebook every few seconds and at the end."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **options: Any) -> None:
        """Execute the notebook of a papermill execution manager."""
        save = nb_man.save

        def save_now_and_then(**given: Any) -> None:
            if (nb_man.now() - nb_man.last_save_time).total_seconds() > SAVE_SECONDS:
                save(**given)

        nb_man.save = save_now_and_then
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **options)
        finally:
            nb_man.save = save


papermill_engines.register("study", SeldomSaving)
logging.getLogger("papermill").setLevel(logging.ERROR)  # it logs every start and save


def kernel_environment(run: Run, token: str = "") -> dict[str, str]:
    """Environment variables of the kernel: offline unless asked otherwise, fixed threads and hashes, no telemetry."""
    env = dict(os.environ)
    env.pop("MPLBACKEND", None)  # the kernel sets its inline backend only where none is given
    cache = run.root / "artifacts" / ".cache"
    cache.mkdir(parents=True, exist_ok=True)
    env |= {
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": "0",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "HF_DATASETS_CACHE": str(cache / "datasets"),
        "IPYTHONDIR": str(cache / "ipython"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), env.get("PYTHONPATH")])),
        "PYTHONWARNINGS": ",".join(filter(None, [env.get("PYTHONWARNINGS"), "ignore:IProgress not found"])),
        "PYTHONUNBUFFERED": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "STUDY_FORCE": token,
    }
    env.setdefault("OMP_NUM_THREADS", str(usable_cores()))
    if run.settings.get("report_to") != "wandb":
        env |= {"WANDB_DISABLED": "true", "WANDB_MODE": "disabled"}
    if run.profile != "gpu" and run.data != "public":
        env |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    return env


# -- one notebook -----------------------------------------------------------------------------------------------------
def execute(
    run: Run,
    notebook: Path,
    output: Path,
    log: Path,
    parameters: dict[str, Any],
    progress: Progress,
    token: str = "",
    keep_open: Sequence[int] = (),
) -> dict[str, Any]:
    """Execute a notebook in a kernel of its own in the repository's folder; returns facts for the manifest.

    What cells print goes to the log as they print it. The cell that fails stays in the output notebook, and its
    traceback ends the log. `token` is given to the kernel as `STUDY_FORCE` (not empty if the stage is forced), and it
    inherits the file descriptors `keep_open`.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [index for index, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    cells.insert(tagged[0] + 1 if tagged else 0, nbformat.v4.new_code_cell())  # as papermill does with values
    names = headings(cells)
    progress.start(notebook.stem, len(cells))
    with log.open("w", encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. on notebooks without cell ids

        class Kernel(OwnInterpreter):
            launch = {
                "cwd": str(ROOT),
                "env": kernel_environment(run, token),
                "pass_fds": tuple(keep_open),
                "stdout": subprocess.DEVNULL,  # what cells print comes by message
                "stderr": file,
            }
            facts: dict[str, Any] = {}

        live = LiveLog(file, progress)
        try:
            papermill.execute_notebook(
                notebook,
                output,
                parameters=parameters,
                engine_name="study",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                start_timeout=KERNEL_START_SECONDS,
                stdout_file=live,
                stderr_file=live,
                kernel_manager_class=Kernel,
                coalesce_streams=True,
                on_cell_start=lambda cell, cell_index: progress.cell(cell_index, names[cell_index]),
            )
        except PapermillExecutionError as error:
            file.write("\n" + plain("\n".join(error.traceback)) + "\n")
            kind = "" if error.ename == "UserError" else f"{error.ename}: "
            message = one_line(kind + error.evalue, 2000)
            raise StageFailed(f"{notebook.stem}, cell [{error.exec_count}]: {message}") from None
        except DeadKernelError:
            reason = "the Python process died without a word; most likely the machine ran out of memory"
            raise StageFailed(f"{notebook.stem}: {reason}") from None
        except RuntimeError as error:
            reason = f"no kernel could be started: {one_line(str(error))}"
            raise StageFailed(f"{notebook.stem}: {reason}") from error
    return Kernel.facts
