"""The process that stands by for the next notebook: what it imports, that it becomes the kernel, and that it goes."""
from __future__ import annotations

import json
import os
import sys
import time
import types

import nbformat
import pytest
from conftest import ROOT
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_runner import gone, make_run, report, write_notebook  # noqa: F401  (report is a fixture)

from helpers import execute, runner, standby
from helpers.standby import Standby, imported_modules, needed_modules


def test_it_imports_what_the_notebook_does_and_what_training_will(tmp_path):
    path = tmp_path / "04_x.ipynb"
    nbformat.write(new_notebook(cells=[
        new_markdown_cell("import nothing"), new_code_cell("import pandas as pd, json\nfrom helpers import plots"),
        new_code_cell("%time\nimport lost"), new_code_cell("from helpers.train import fit\nif True:\n    import re")]), path)
    assert imported_modules(path) == ["pandas", "json", "helpers", "helpers.plots", "helpers.train", "re"]
    task = types.SimpleNamespace(trainers={"a": "helpers.train:fit_a", "b": "helpers.train_trl:fit_b"})
    assert needed_modules(types.SimpleNamespace(task=task), path)[-2:] == ["re", "helpers.train_trl"]
    (tmp_path / "broken.ipynb").write_text("{")
    assert imported_modules(tmp_path / "broken.ipynb") == imported_modules(tmp_path / "none.ipynb") == []
    of_five = needed_modules(types.SimpleNamespace(task=task), ROOT / "notebooks" / "05_evaluate.ipynb")
    assert {"helpers.evaluation", "peft", "helpers.predict"} <= set(of_five) and "helpers.train_trl" not in of_five


def test_the_next_notebook_runs_in_the_process_that_stood_by(tmp_path, report, monkeypatch):  # noqa: F811
    pids, original = [], Standby.become

    def become(self, *told):
        pids.append(self.process.pid)
        return original(self, *told)

    monkeypatch.setattr(Standby, "become", become)
    facts = ("import json, os, sys\nprint(json.dumps([os.getpid(), os.getcwd(), sys.executable, 'colorsys' in sys.modules,"
             " os.environ['MPLBACKEND'], os.environ['STUDY_FORCE']]))\nprint('to stderr', file=sys.stderr)")
    write_notebook(tmp_path / "nb" / "01_a.ipynb", facts)
    write_notebook(tmp_path / "nb" / "02_b.ipynb", facts, "import colorsys", "import matplotlib.pyplot as plt\n_ = plt.plot([1])")
    run = make_run(tmp_path)
    assert runner.run_task(run, tmp_path / "nb", force=True) == ["01_a", "02_b", "report"]
    first, second = (run.path("logs", f"{name}.log").read_text().splitlines() for name in ("01_a", "02_b"))
    assert pids == [json.loads(second[0])[0]] and json.loads(first[0])[0] not in pids
    assert json.loads(first[0])[1:3] == json.loads(second[0])[1:3] == [str(ROOT), sys.executable]
    assert json.loads(first[0])[3] is False and json.loads(second[0])[3] is True, "imported before it is asked for"
    assert json.loads(first[0])[4] == json.loads(second[0])[4]
    assert json.loads(first[0])[5] and json.loads(second[0])[5], "a forced stage is one there too"
    assert second[1] == "to stderr" and gone(pids[0]) and not execute._waiting
    done = nbformat.read(run.path("notebooks", "02_b.ipynb"), as_version=4)
    assert "image/png" in done.cells[-1].outputs[-1].data, "figures are shown as in any kernel"


def test_none_is_left_where_the_next_notebook_does_not_run(tmp_path, report):  # noqa: F811
    write_notebook(tmp_path / "nb" / "01_a.ipynb", "1 / 0")
    write_notebook(tmp_path / "nb" / "02_b.ipynb", "1")
    made, original = [], Standby.__init__

    def start(self, *given):
        original(self, *given)
        made.append(self.process)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Standby, "__init__", start)
        with pytest.raises(execute.StageFailed):
            runner.run_task(make_run(tmp_path), tmp_path / "nb")
    assert len(made) == 1 and made[0].poll() is not None and not execute._waiting


def test_it_is_passed_over_where_a_kernel_would_be_another(monkeypatch):
    env = dict(os.environ) | {"STUDY_FORCE": ""}
    waiting = Standby(["json"], env)
    assert waiting.fits({**env, "STUDY_FORCE": "token"}) and not waiting.fits({**env, "OMP_NUM_THREADS": "7"})
    monkeypatch.setattr(standby, "_code_state", lambda: -1)
    assert not waiting.fits(env), "code has changed since"
    execute._waiting.append(waiting)
    assert execute._take_standby(env) is None and waiting.process.poll() is not None


def test_it_ends_with_the_process_that_started_it(tmp_path):
    env = dict(os.environ) | {"STUDY_FORCE": ""}
    waiting = Standby(["json"], env)
    waiting.ours.close()
    deadline = time.monotonic() + 30
    while waiting.process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert waiting.process.returncode == 0
