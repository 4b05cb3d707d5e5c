"""Run one notebook with papermill: own interpreter and environment, live log, progress by cell, errors as one line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import papermill
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from helpers.command import HASH_SEED
from helpers.machine import peak_memory_mb, usable_cores
from helpers.paths import ROOT
from helpers.pipeline.progress import Progress, headings, one_line, plain
from helpers.pipeline.stages import StageFailed
from helpers.run import Run

KERNEL_START_SECONDS = 180


# -- the kernel -------------------------------------------------------------------------------------------------------
class OwnInterpreter(AsyncKernelManager):
    """Starts kernels with the interpreter of this process, whatever kernels are installed on the machine."""

    transport_encryption = "auto"  # others on the machine can read the kernel's sockets otherwise

    @property
    def kernel_spec(self) -> KernelSpec:
        """A kernel specification made here."""
        argv = [sys.executable, "-m", "helpers.pipeline.kernel", "-f", "{connection_file}"]
        encrypted = {"supported_encryption": "curve"}
        return KernelSpec(argv=argv, display_name="Python 3", language="python", metadata=encrypted)


class Engine(NBClientEngine):
    """papermill's engine with such a kernel, started as `launch` says; its peak memory is left in `facts`."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        launch: dict,
        facts: dict,
        left_in: Path,
        progress: Progress,
        **options: Any,
    ) -> None:
        """Execute the notebook of a papermill execution manager; however it ends, it is `left_in` a file."""
        names = headings(nb_man.nb.cells)
        progress.start(left_in.stem, len(names))
        # what is worth keeping is on the disk when a cell ends: an orderly end of the process would only take time
        own = {"kernel_manager_class": OwnInterpreter, "shutdown_kernel": "immediate", "timeout": None}
        own |= {"stdout_file": progress, "stderr_file": progress, "coalesce_streams": True}
        own["on_cell_start"] = lambda cell, cell_index: progress.cell(cell_index, names[cell_index])
        client = PapermillNotebookClient(nb_man, startup_timeout=KERNEL_START_SECONDS, **(options | own))
        client.reset_execution_trackers()
        try:
            with client.setup_kernel(**launch):
                client.papermill_execute_cells()
                facts["peak_memory_mb"] = peak_memory_mb(client.km.provisioner.pid)
        finally:
            nbformat.write(nb_man.nb, left_in)


papermill_engines.register("study", Engine)
logging.getLogger("papermill").setLevel(logging.ERROR)  # it logs every start


def kernel_environment(run: Run, token: str = "") -> dict[str, str]:
    """Environment variables of the kernel: offline unless asked otherwise, fixed threads and hashes, no telemetry."""
    env = dict(os.environ)
    env.pop("MPLBACKEND", None)  # the kernel sets its inline backend only where none is given
    cache = run.root / "artifacts" / ".cache"
    cache.mkdir(parents=True, exist_ok=True)
    env |= {
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONHASHSEED": HASH_SEED,
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
        "HF_DATASETS_CACHE": str(cache / "datasets"),
        "IPYTHONDIR": str(cache / "ipython"),
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
    facts: dict[str, Any] = {}
    with log.open("w", encoding="utf-8") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. on notebooks without cell ids
        progress.log = file
        launch = {"cwd": str(ROOT), "env": kernel_environment(run, token), "pass_fds": tuple(keep_open)}
        launch |= {"stdout": subprocess.DEVNULL, "stderr": file}  # what cells print comes by message
        try:
            papermill.execute_notebook(
                notebook,
                output,
                parameters=parameters,
                engine_name="study",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                request_save_on_cell_execute=False,  # before and after each cell: seconds a notebook
                launch=launch,
                facts=facts,
                left_in=output,
                progress=progress,
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
    return facts
