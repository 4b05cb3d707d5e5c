"""Run one notebook: own interpreter and environment, live log, progress by cell, errors as one line."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

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
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        encrypted = {"supported_encryption": "curve"}
        return KernelSpec(argv=argv, display_name="Python 3", language="python", metadata=encrypted)


class Client(NotebookClient):
    """Executes cells; what they print goes to a log and, its newest line, to the progress as it comes."""

    log_file: TextIO
    progress: Progress

    def process_message(self, msg: dict[str, Any], *given: Any) -> Any:
        """Take a message of the kernel."""
        if msg["msg_type"] == "stream":
            self.log_file.write(msg["content"]["text"])
            self.log_file.flush()
            self.progress.note(msg["content"]["text"])
        return super().process_message(msg, *given)


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
def parametrised(notebook: Path, parameters: dict[str, Any]) -> Any:
    """The notebook with a cell of values behind the one tagged `parameters`, or at its beginning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # e.g. on notebooks without cell ids
        read = nbformat.read(notebook, as_version=4)
    lines = [f"{name} = {value!r}" for name, value in parameters.items()]
    tagged = [at for at, cell in enumerate(read.cells) if "parameters" in cell.metadata.get("tags", [])]
    cell = nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": ["injected-parameters"]})
    read.cells.insert(tagged[0] + 1 if tagged else 0, cell)
    return read


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
    read = parametrised(notebook, parameters)
    names = headings(read.cells)
    progress.start(notebook.stem, len(read.cells))
    options = {"timeout": None, "startup_timeout": KERNEL_START_SECONDS, "coalesce_streams": True}
    # what is worth keeping is on the disk when a cell ends: an orderly end of the process would only take time
    client = Client(read, kernel_manager_class=OwnInterpreter, shutdown_kernel="immediate", **options)
    with log.open("w", encoding="utf-8") as file:
        client.log_file, client.progress = file, progress
        launch = {"cwd": str(ROOT), "env": kernel_environment(run, token), "pass_fds": tuple(keep_open)}
        try:  # what cells print comes by message
            with client.setup_kernel(**launch, stdout=subprocess.DEVNULL, stderr=file):
                for index, cell in enumerate(read.cells):
                    progress.cell(index, names[index])
                    client.execute_cell(cell, index)
                return {"peak_memory_mb": peak_memory_mb(client.km.provisioner.pid)}
        except CellExecutionError as error:
            shown = next(one for one in cell.outputs if one.output_type == "error")
            file.write("\n" + plain("\n".join(shown.traceback)) + "\n")
            kind = "" if error.ename == "UserError" else f"{error.ename}: "
            message = one_line(kind + error.evalue)
            raise StageFailed(f"{notebook.stem}, cell [{cell.execution_count}]: {message}") from None
        except DeadKernelError:
            reason = "the Python process died without a word; most likely the machine ran out of memory"
            raise StageFailed(f"{notebook.stem}: {reason}") from None
        except RuntimeError as error:
            reason = f"no kernel could be started: {one_line(str(error))}"
            raise StageFailed(f"{notebook.stem}: {reason}") from error
        finally:
            nbformat.write(read, output)
