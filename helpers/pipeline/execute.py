"""Run one notebook with papermill: own interpreter and environment, live log, progress by cell, errors as one line."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TextIO

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines
from papermill.exceptions import PapermillExecutionError

from helpers.machine import peak_memory_mb, usable_cores
from helpers.paths import ROOT
from helpers.pipeline.progress import Progress, headings, one_line, plain
from helpers.run import Run

KERNEL_START_SECONDS = 180


class StageFailed(Exception):
    """A stage ended with an error; the message is one line for the terminal."""


# -- the kernel -------------------------------------------------------------------------------------------------------
class OwnInterpreter(AsyncKernelManager):
    """Starts kernels with the interpreter of this process, whatever kernels are installed on the machine."""

    transport_encryption = "auto"  # others on the machine can read the kernel's sockets otherwise

    @property
    def kernel_spec(self) -> KernelSpec:
        """A kernel specification made here."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        return KernelSpec(
            argv=argv,
            display_name="Python 3 (ipykernel)",
            language="python",
            metadata={"supported_encryption": "curve"},
        )

    async def _async_interrupt_kernel(self) -> None:
        """Nothing: a kernel is shut down when it is idle or killed, and an interrupt only adds noise to the log."""


class StudyClient(PapermillNotebookClient):
    """Kills a kernel that is left in the middle of a cell; one that has run to the end may shut itself down."""

    def papermill_execute_cells(self) -> None:
        """Run all cells up to the first that fails."""
        self.shutdown_kernel = "immediate"
        super().papermill_execute_cells()
        self.shutdown_kernel = "graceful"


class LiveLog:
    """File for a kernel's output that also shows the newest line on the terminal."""

    def __init__(self, file: TextIO, progress: Progress) -> None:
        self.file, self.progress = file, progress

    def write(self, text: str) -> None:
        """Take a piece of output as it comes."""
        self.file.write(text)
        self.progress.note(text)

    def flush(self) -> None:
        """Called by papermill after each piece."""
        self.file.flush()


class StudyEngine(NBClientEngine):
    """papermill engine that reports each cell before it runs and hands an environment to the kernel."""

    @classmethod
    def execute_managed_notebook(
        cls,
        nb_man: Any,
        kernel_name: str,
        *,
        log: LiveLog,
        kernel: dict[str, Any],
        on_cell: Callable[[int], None],
        facts: dict[str, Any],
        **ignored: Any,
    ) -> None:
        """Execute the notebook of a papermill execution manager."""
        client = StudyClient(
            nb_man,
            kernel_manager_class=OwnInterpreter,
            kernel_name=kernel_name,
            timeout=None,
            startup_timeout=KERNEL_START_SECONDS,
            coalesce_streams=True,
            stdout_file=log,
            stderr_file=log,
            log=logging.getLogger("papermill"),
        )
        start, complete, save = nb_man.cell_start, nb_man.cell_complete, nb_man.save

        def unsaved(step: Callable[..., None], *given: Any, **named: Any) -> None:
            nb_man.save = lambda **nothing: None
            try:
                step(*given, **named)
            finally:
                nb_man.save = save

        def cell_start(cell: Any, cell_index: int | None = None, **more: Any) -> None:
            on_cell(cell_index or 0)
            unsaved(start, cell, cell_index, **more)
            if (
                cell.cell_type == "code"
            ):  # papermill saves before and after every cell, text too: seconds a notebook
                save()

        def cell_complete(cell: Any, cell_index: int | None = None, **more: Any) -> None:
            if client.km is not None and client.km.provisioner is not None:
                facts["peak_memory_mb"] = peak_memory_mb(client.km.provisioner.pid) or facts.get(
                    "peak_memory_mb"
                )
            unsaved(complete, cell, cell_index=cell_index, **more)

        nb_man.cell_start, nb_man.cell_complete = cell_start, cell_complete
        client.execute(stdout=subprocess.DEVNULL, stderr=log.file, **kernel)  # cells' output comes by message


papermill_engines.register("study", StudyEngine)
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

    The output notebook is saved before every code cell and at the end; what cells print goes to the log as they print
    it. The cell that fails stays in the output notebook, and its traceback ends the log. `token` is given to the kernel
    as `STUDY_FORCE` (not empty if the stage is forced), and it inherits the file descriptors `keep_open`.
    """
    import nbformat
    import papermill
    from nbclient.exceptions import DeadKernelError

    cells = nbformat.read(notebook, as_version=4).cells
    tagged = [index for index, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    cells.insert(
        tagged[0] + 1 if tagged else 0, nbformat.v4.new_code_cell()
    )  # as papermill does with the values
    names = headings(cells)
    progress.start(notebook.stem, len(cells))
    facts: dict[str, Any] = {}
    log.write_text("", encoding="utf-8")
    with log.open("a", encoding="utf-8") as log_file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. on notebooks without cell ids
        kernel = {"cwd": str(ROOT), "env": kernel_environment(run, token), "pass_fds": tuple(keep_open)}
        try:
            papermill.execute_notebook(
                notebook,
                output,
                parameters=parameters,
                engine_name="study",
                kernel_name="python3",
                language="python",
                progress_bar=False,
                log=LiveLog(log_file, progress),
                kernel=kernel,
                facts=facts,
                on_cell=lambda index: progress.cell(index, names[index]),
            )
        except PapermillExecutionError as error:
            log_file.write("\n" + plain("\n".join(error.traceback)) + "\n")
            kind = "" if error.ename == "UserError" else f"{error.ename}: "
            message = one_line(kind + error.evalue)
            raise StageFailed(f"{notebook.stem}, cell [{error.exec_count}]: {message}") from None
        except DeadKernelError:
            raise StageFailed(
                f"{notebook.stem}: the Python process died without a word; most likely the machine ran "
                "out of memory"
            ) from None
        except RuntimeError as error:
            raise StageFailed(
                f"{notebook.stem}: no kernel could be started: {one_line(str(error))}"
            ) from error
    return facts
