"""A process that imports the large libraries once; the kernel of each notebook is a fork of it.

Run as: python -m helpers.kernel_server FD MODULE …     (by :mod:`helpers.execute`; forks when it is told to)

Importing PyTorch, transformers, PEFT and the libraries of the figures takes longer than many a notebook. What is imported
here are libraries, never a module of this project: those are read anew by each kernel.
"""
from __future__ import annotations

import atexit
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.config import ROOT, Run

# In the order in which notebooks want them: a kernel may be asked for before the last is there.
LIBRARIES = ("ipykernel.kernelapp", "pandas", "matplotlib.pyplot", "scipy.stats", "seaborn", "great_tables", "rapidfuzz",
             "torch", "transformers.configuration_utils", "transformers.tokenization_utils_tokenizers", "faker",
             "transformers.modeling_utils", "llguidance.hf", "torch._dynamo", "peft", "transformers.trainer",
             "trl.trainer.sft_trainer", "sklearn.metrics", "datasets", "cleanlab")

_MESSAGE = 65536
_FILES = 8
_STOP_SECONDS = 10
_START_SECONDS = 180


def can_fork(run: Run) -> bool:
    """Whether kernels can be forks: not beside a GPU, whose driver does not survive that, and on Linux alone."""
    return run.profile != "gpu" and not Path("/dev/nvidiactl").exists() and hasattr(os, "pidfd_open")


def _code_state() -> int:
    """Changes whenever code that has been imported may have."""
    return max(path.stat().st_mtime_ns for path in (ROOT / "helpers").rglob("*.py"))


# -- the side that asks for kernels ---------------------------------------------------------------------------------------
class ForkedKernel:
    """A kernel that another process started: what the kernel's manager uses of :class:`subprocess.Popen`.

    Parameters
    ----------
    pid : int
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._handle: int | None = os.pidfd_open(pid)
        except ProcessLookupError:
            self._handle = None

    def wait(self, timeout: float | None = None) -> int | None:
        """0 once the process has ended (its own status is its parent's to know); None where it has not in time."""
        if self._handle is not None:
            if not select.select([self._handle], [], [], timeout)[0]:
                return None
            os.close(self._handle)
            self._handle = None
        return 0

    def poll(self) -> int | None:
        """None while the process runs."""
        return self.wait(0)

    def send_signal(self, number: int) -> None:
        """Send a signal, if the process still runs."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        """Ask the process to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process."""
        self.send_signal(signal.SIGKILL)


class KernelServer:
    """Starts the process that imports the libraries, and asks it for kernels. They all end where this process does.

    Parameters
    ----------
    env : dict
        Environment of the kernels.
    """

    def __init__(self, env: dict[str, str]) -> None:
        self.env, self.state = env, _code_state()
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(_START_SECONDS)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "helpers.kernel_server", str(theirs.fileno()), *LIBRARIES], cwd=ROOT, env=env,
                pass_fds=[theirs.fileno()], start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL)

    def fits(self, env: dict[str, str]) -> bool:
        """Whether it lives, and a kernel with this environment started anew would be the same."""
        same = {**self.env, "STUDY_FORCE": ""} == {**env, "STUDY_FORCE": ""}
        return same and self.process.poll() is None and self.state == _code_state()

    def fork(self, command: list[str], force: str, log: Path, keep_open: Sequence[int]) -> ForkedKernel:
        """A kernel with a command line, its errors in a log; it inherits the files that are to be kept open.

        Raises
        ------
        RuntimeError
            If the process does not answer.
        """
        told = json.dumps({"arguments": command[command.index("-f"):], "force": force, "log": str(log)})
        try:
            socket.send_fds(self.ours, [told.encode()], list(keep_open))
            answer = self.ours.recv(_MESSAGE)
        except OSError as error:
            raise RuntimeError(f"the process that kernels are forked from does not answer: {error}") from error
        if not answer:
            raise RuntimeError("the process that kernels are forked from has ended")
        return ForkedKernel(int(answer))

    def dismiss(self) -> None:
        """End it."""
        self.ours.close()
        self.process.kill()
        self.process.wait(_STOP_SECONDS)


# -- the side that is forked ------------------------------------------------------------------------------------------
def main(descriptor: int, libraries: Sequence[str]) -> None:
    """Import libraries, and become a kernel's parent whenever one is asked for; end where nobody can ask any more."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as a kernel does on its start
    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # a kernel ends with its parent, and this is it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for a kernel's status
    left = list(libraries)
    with socket.socket(fileno=descriptor) as theirs:
        while True:
            if left and not select.select([theirs], [], [], 0)[0]:
                try:
                    importlib.import_module(left.pop(0))
                except Exception:  # the notebook that needs it imports it again, and shows what is wrong
                    continue
                continue
            message, files, _, _ = socket.recv_fds(theirs, _MESSAGE, _FILES)
            if not message:
                return
            if os.fork() == 0:
                break
            for file in files:
                os.close(file)
        os.setsid()
        theirs.sendall(str(os.getpid()).encode())
    _be_kernel(json.loads(message))


def _be_kernel(told: dict[str, Any]) -> None:
    """Be a kernel to the end. The files that came with the message stay open: they hold the run's lock."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.environ["STUDY_FORCE"] = told["force"]
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = ["ipykernel_launcher", *told["arguments"]]
    try:
        from ipykernel.kernelapp import launch_new_instance

        launch_new_instance()
    finally:
        # what libraries have to end is ended; taking all their modules apart would make the next notebook wait 2 s
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
