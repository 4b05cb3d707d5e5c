"""The process that kernels are forked from: what they share, what each has of its own, and that all of them end."""
from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from test_runner import gone, make_run, report, write_notebook  # noqa: F401  (report is a fixture)

from helpers import execute, kernel_server, runner
from helpers.kernel_server import ForkedKernel, KernelServer

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="kernels are forks on Linux alone")


@pytest.fixture(autouse=True)
def light_libraries(monkeypatch):
    """One module that nothing else imports stands for the large ones; no server is left behind."""
    monkeypatch.setattr(kernel_server, "LIBRARIES", ("lost.and.found", "colorsys"))
    execute.dismiss_server()
    yield
    execute.dismiss_server()


@pytest.fixture
def server():
    made = KernelServer(dict(os.environ) | {"STUDY_FORCE": ""})
    yield made
    if made.process.poll() is None:
        made.dismiss()


def until(happened, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_kernels_share_the_libraries_and_nothing_else(tmp_path, report):  # noqa: F811
    facts = ("import json, os, sys, signal\nprint(json.dumps([os.getpid(), os.getppid(), os.getcwd(), sys.executable, "
             "'colorsys' in sys.modules, 'left' in globals(), os.environ['STUDY_FORCE'], os.getsid(0), "
             "[name for name in sys.modules if name.startswith('helpers.')]]))\nleft = 1\nprint('to stderr', file=sys.stderr)")
    plain = "import subprocess\nprint(subprocess.run(['true']).returncode)"  # whose parent has to see that a child ends
    write_notebook(tmp_path / "nb" / "01_a.ipynb", "import time\ntime.sleep(2)", facts, plain)
    write_notebook(tmp_path / "nb" / "02_b.ipynb", facts, "import colorsys", "import matplotlib.pyplot as plt\n_ = plt.plot([1])")
    run = make_run(tmp_path)
    assert runner.run_task(run, tmp_path / "nb", force=True) == ["01_a", "02_b", "report"]
    first, second = (run.path("logs", f"{name}.log").read_text().splitlines() for name in ("01_a", "02_b"))
    one, two = json.loads(first[0]), json.loads(second[0])
    assert one[0] != two[0] and one[1] == two[1] == execute._servers[0].process.pid
    assert one[2:4] == two[2:4] == [str(ROOT), sys.executable]
    assert two[4] is True and one[5] is two[5] is False
    assert one[6] and two[6], "a forced stage is told so"
    assert one[7] == one[0] and two[7] == two[0], "a session of its own, so that it can be killed with its children"
    assert set(two[8]) <= {"helpers.config", "helpers.hosted", "helpers.kernel_server"}, "code of the project is read anew"
    assert first[1:3] == ["to stderr", "0"] and gone(one[0]) and gone(two[0])
    done = nbformat.read(run.path("notebooks", "02_b.ipynb"), as_version=4)
    assert "image/png" in done.cells[-1].outputs[-1].data, "figures are shown as in any kernel"


def test_a_kernel_that_dies_is_seen_and_the_next_one_runs(tmp_path, report):  # noqa: F811
    write_notebook(tmp_path / "nb" / "01_a.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(execute.StageFailed, match="died without a word"):
        runner.run_task(make_run(tmp_path), tmp_path / "nb")
    before = execute._servers[0].process.pid
    write_notebook(tmp_path / "nb" / "01_a.ipynb", "1")
    assert runner.run_task(make_run(tmp_path), tmp_path / "nb") == ["01_a", "report"]
    assert execute._servers[0].process.pid == before


def test_a_new_server_takes_the_place_of_one_that_does_not_fit(tmp_path, monkeypatch):
    run = make_run(tmp_path)
    first = execute.kernel_server(run)
    assert execute.kernel_server(run) is first
    assert first.fits({**first.env, "STUDY_FORCE": "token"}) and not first.fits({**first.env, "OMP_NUM_THREADS": "7"})
    monkeypatch.setattr(kernel_server, "_code_state", lambda: -1)
    second = execute.kernel_server(run)
    assert second is not first and first.process.poll() is not None, "code has changed since"
    second.process.kill()
    second.process.wait()
    assert execute.kernel_server(run) is not second


def test_beside_a_gpu_kernels_are_started_as_usual(tmp_path):
    assert kernel_server.can_fork(make_run(tmp_path, profile="cpu"))
    run = make_run(tmp_path, profile="gpu")
    assert not kernel_server.can_fork(run) and execute.kernel_server(run) is None and not execute._servers


def test_command_line_leaves_no_server(tmp_path, monkeypatch):
    asked = []

    def run_task(run, **given):
        asked.append(execute.kernel_server(run))
        raise execute.StageFailed("no")

    monkeypatch.setattr(runner, "run_task", run_task)
    assert runner.cli(["calendar", "--out", str(tmp_path)]) == 1
    assert asked[0].process.poll() is not None and not execute._servers


# -- the process itself ---------------------------------------------------------------------------------------------------
def kernel(server: KernelServer, tmp_path: Path) -> ForkedKernel:
    log = tmp_path / "log"
    log.touch()
    return server.fork(["python", "-f", str(tmp_path / "connection.json")], "", log, ())


def test_kernel_and_server_end_with_the_process_that_started_them(server, tmp_path):
    process = kernel(server, tmp_path)
    assert process.poll() is None and process.wait(0.1) is None
    server.ours.close()
    until(lambda: server.process.poll() == 0)
    until(lambda: process.poll() == 0)
    assert gone(process.pid)


def test_kernel_takes_signals_until_it_has_ended(server, tmp_path):
    process = kernel(server, tmp_path)
    process.send_signal(signal.SIGCONT)
    assert process.poll() is None
    process.kill()
    assert process.wait(30) == process.poll() == 0 and gone(process.pid)
    process.terminate()  # and does nothing any more
    assert ForkedKernel(process.pid).poll() == 0


def test_server_that_has_ended_is_named(server, tmp_path):
    server.process.kill()
    server.process.wait()
    with pytest.raises(RuntimeError, match="forked from"):
        kernel(server, tmp_path)
