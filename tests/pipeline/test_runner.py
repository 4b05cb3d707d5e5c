"""The runner: what is skipped, what runs again, what a failure or a kill leaves, and one-line errors."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import nbformat
import pytest
from conftest import ROOT
from tiny_task import TinyTask

from helpers.data.read import load_source
from helpers.errors import UserError
from helpers.pipeline import execute, runner, stages
from helpers.pipeline.execute import StageFailed
from helpers.run import Run

DRIVER = """
import sys
from pathlib import Path
from helpers.pipeline import runner, stages
stages.NOTEBOOKS = Path(sys.argv[1])
sys.exit(runner.cli(sys.argv[2:]))
"""
ALL = ["01_first", "02_second", "03_third", "report"]


def write_notebook(path: Path, *cells: str) -> None:
    """A notebook with a heading, a parameters cell and some code cells."""
    parameters = "task = profile = data = 'unset'\nout = None\nsettings = '{}'\nseed = 0"
    first = nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]})
    code = [first, *map(nbformat.v4.new_code_cell, cells)]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A title"), *code]), path)


def leaves(path: Path, **files: str) -> None:
    """A notebook that writes files, as far as the fixture `quick` is concerned."""
    write_notebook(path, "LEAVES" + json.dumps(files))


def fruit(folder: Path) -> Path:
    """The folder of a task: a label and two rows."""
    folder.mkdir()
    (folder / "labels.txt").write_text("APPLE\n")
    for part in ("train", "validation"):
        row = {"tokens": ["an", "apple"], "ner_tags": ["O", "B-APPLE"]}
        (folder / f"{part}.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.fixture
def notebooks(tmp_path: Path) -> Path:
    for name in ALL[:3]:
        write_notebook(tmp_path / "notebooks" / f"{name}.ipynb", f"print('{name}')")
    return tmp_path / "notebooks"


def make_run(tmp_path: Path, **changes) -> Run:
    return Run(task=TinyTask(), out=str(tmp_path / "out"), **changes)


@pytest.fixture
def quick(monkeypatch) -> list[dict]:
    """Notebooks are copied, not executed, and a report is one word; gives what each notebook was run with."""
    calls: list[dict] = []

    def copy(run, notebook, output, log, parameters, progress, token="", keep_open=()):
        calls.append({"name": notebook.stem, "parameters": parameters, "token": token})
        if "FAIL" in notebook.read_text():
            raise StageFailed(f"{notebook.stem}, cell [2]: broken")
        for cell in nbformat.read(notebook, as_version=4).cells:
            if cell.source.startswith("LEAVES"):
                for name, text in json.loads(cell.source.removeprefix("LEAVES")).items():
                    run.path("tables", name).write_text(text)
        output.write_text(notebook.read_text())
        return {}

    def build(run):
        run.report_dir.mkdir(exist_ok=True)
        (run.report_dir / "tiny.html").write_text("report")

    monkeypatch.setattr("helpers.report.pages.build", build)
    monkeypatch.setattr(execute, "execute", copy)
    monkeypatch.setattr(runner, "write_manifest", lambda *args, **more: None)  # has tests of its own
    return calls


# -- what runs again (without kernels) --------------------------------------------------------------------------------
def test_a_changed_notebook_runs_alone_and_the_report_with_it(tmp_path, notebooks, quick):
    run, path = make_run(tmp_path), notebooks / "02_second.ipynb"
    assert runner.run_task(run, notebooks) == ALL
    content = nbformat.read(path, as_version=4)
    content.cells[2].outputs = [nbformat.v4.new_output("stream", text="kept by an editor")]
    content.metadata["editor"] = "x"
    nbformat.write(content, path)
    assert runner.run_task(run, notebooks) == []
    write_notebook(path, "print('changed')")
    assert runner.run_task(run, notebooks) == ["02_second", "report"]
    assert runner.run_task(run, notebooks) == []


def test_later_stages_run_again_where_an_earlier_one_leaves_other_files(tmp_path, notebooks, quick):
    run = make_run(tmp_path)
    leaves(notebooks / "01_first.ipynb", table="a", model="m")
    leaves(notebooks / "03_third.ipynb", table="c")  # writes over what another stage left
    assert runner.run_task(run, notebooks) == ALL
    assert runner.run_task(run, notebooks) == []
    leaves(notebooks / "01_first.ipynb", table="a")  # does not write the model again: it stays its own
    assert runner.run_task(run, notebooks) == ["01_first", "report"]
    leaves(notebooks / "01_first.ipynb", table="b")
    assert runner.run_task(run, notebooks) == ALL
    run.path("costs.json").write_text("{}")  # by the clock: nothing depends on it
    assert runner.run_task(run, notebooks) == []


@pytest.mark.parametrize("change", [{"profile": "smoke"}, {"seed": 1}, {"settings": {"epochs": 4}}])
def test_other_parameters_run_everything(tmp_path, notebooks, quick, change, monkeypatch):
    monkeypatch.setattr(TinyTask, "settings", lambda self, profile: {"epochs": 3})
    runner.run_task(make_run(tmp_path), notebooks)
    given = change.get("settings", {})
    assert runner.run_task(make_run(tmp_path, **change), notebooks, given=given) == ALL
    assert [json.loads(call["parameters"]["settings"]) for call in quick] == [{}] * 3 + [given] * 3


def test_changed_contents_of_what_was_given_run_everything(tmp_path, notebooks, quick, monkeypatch):
    files = [tmp_path / name / "tiny" / "train.jsonl" for name in ("rows", "model", "text")]
    for file in files:
        file.parent.mkdir(parents=True)
        file.write_text("{}\n")
        file.with_name("validation.jsonl").write_text("{}\n")
    settings = {"encoder_model": str(tmp_path / "model"), "unlabelled": str(files[2]), "epochs": 3}
    monkeypatch.setattr(TinyTask, "settings", lambda self, profile: settings)
    run = make_run(tmp_path, data=str(tmp_path / "rows"))
    runner.run_task(run, notebooks)
    assert runner.run_task(run, notebooks) == []
    for file in files:
        file.write_text("{} \n")
        assert runner.run_task(run, notebooks) == ALL, file


def test_a_changed_helper_runs_the_stages_that_can_reach_it(tmp_path, notebooks, quick, monkeypatch):
    second, third, report = ALL[1:]
    changes = {  # a file, and the stages that run when it changes
        "one.py": [second],
        "two.py": [third],
        "deep/d.py": [third],  # imported by a function of two.py
        "deep/__init__.py": [third],
        "page.css": [second, third, report],
        "template/page.html": [second, third, report],
        "tasks/__init__.py": [third],
        "tasks/tiny/rules.py": [third],
        "tasks/tiny/notes.md": [third],
        "tasks/tiny/rows.jsonl": [],
        "tasks/yours/__init__.py": [],
        "tasks/yours/words.md": [],
        "lonely.py": [],
        "report/__init__.py": [report],
        "report/pages.py": [report],
    }
    package = tmp_path / "helpers"
    sources = {"two.py": "def f():\n    from helpers.deep.d import x", "__init__.py": ""}
    sources["served.py"] = "import os\nbase = os.environ.get('LLM_BASE_URL')"
    for name in changes | sources:
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(sources.get(name, ""))
    write_notebook(notebooks / "02_second.ipynb", "!ls\ndef late():\n    from helpers import one")
    imports = "%matplotlib inline\nimport helpers.two as other, helpers.served, helpers.tasks"
    write_notebook(notebooks / "03_third.ipynb", imports)
    keys = stages.stage_keys
    monkeypatch.setattr(stages, "stage_keys", lambda run, each: keys(run, each, tmp_path))
    monkeypatch.delenv("LLM_BASE_URL", raising=False)
    run = make_run(tmp_path)
    assert runner.run_task(run, notebooks) == ALL
    for name, again in changes.items():
        (package / name).write_text((package / name).read_text() + "\nx = 1")
        assert runner.run_task(run, notebooks) == again, name
    monkeypatch.setenv("LLM_BASE_URL", "http://localhost:1")  # a switch counts where the code reads it
    assert runner.run_task(run, notebooks) == [third]


def test_missing_output_runs_again_and_the_reasons_are_told(tmp_path, notebooks, quick, capsys):
    run = make_run(tmp_path)
    runner.run_task(run, notebooks)
    run.path("notebooks", "03_third.ipynb").unlink()
    assert runner.run_task(run, notebooks) == ["03_third"], "it left the same again"
    told = capsys.readouterr().err
    assert "01_first done in 0 s (not run yet)" in told and "01_first unchanged, skipped" in told
    assert "(03_third.ipynb is missing)" in told
    (run.report_dir / "tiny.html").unlink()
    assert runner.run_task(run, notebooks) == ["report"]
    old = {"stage": "02_second", "key": "as an older version wrote it"}
    run.path("stages", "02.json").write_text(json.dumps(old))
    assert runner.run_task(run, notebooks) == ["02_second"]
    write_notebook(notebooks / "01_first.ipynb", "print('changed')")
    runner.run_task(run, notebooks)
    told = capsys.readouterr().err
    assert "(changed: notebook)" in told and "(changed: what a stage before it left)" in told


def test_force_runs_everything_with_a_token_that_a_failed_attempt_keeps(tmp_path, notebooks, quick):
    run = make_run(tmp_path)
    runner.run_task(run, notebooks)
    assert runner.run_task(run, notebooks, force=True) == ALL
    assert {call["token"] for call in quick[:3]} == {""} and all(call["token"] for call in quick[3:])
    write_notebook(notebooks / "02_second.ipynb", "FAIL")
    for force in (True, False, True):
        with pytest.raises(StageFailed, match=r"02_second, cell \[2\]: broken \(log: .*02_second.log\)"):
            runner.run_task(run, notebooks, force=force)
    forced, continued, anew = [call["token"] for call in quick if call["name"] == "02_second"][-3:]
    assert forced == continued != anew
    assert runner.run_task(run, notebooks, end="01", force=True) == ALL[:1]
    write_notebook(notebooks / "02_second.ipynb", "print('mended')")
    assert runner.run_task(run, notebooks) == ALL[1:], "what was forced takes the later stages along"


def test_from_runs_that_stage_and_all_later_ones_and_to_stops_after_one(tmp_path, notebooks, quick):
    run = make_run(tmp_path)
    with pytest.raises(UserError, match="needs stage 01_first, which is not complete"):
        runner.run_task(run, notebooks, start="02")
    assert runner.run_task(run, notebooks, end="2") == ALL[:2] and not (run.report_dir / "tiny.html").exists()
    assert runner.run_task(run, notebooks, end="02") == []
    assert runner.run_task(run, notebooks) == ALL[2:]
    for given in ("2", "02", "02_second"):
        assert runner.run_task(run, notebooks, start=given) == ALL[1:]
    assert runner.run_task(run, notebooks, start="report") == ["report"]
    with pytest.raises(UserError, match="other parameters"):
        runner.run_task(make_run(tmp_path, seed=1), notebooks, start="02")


def test_what_a_stage_left_is_on_the_disk_before_its_stamp_says_so(tmp_path, notebooks, quick, monkeypatch):
    synced, run, sync = [], make_run(tmp_path), os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: (sync(file), synced.append(os.fstat(file).st_ino)))
    leaves(notebooks / "01_first.ipynb", table="a")
    runner.run_task(run, notebooks, end="01")
    left, stamp = (run.path(*parts).stat().st_ino for parts in (("tables", "table"), ("stages", "01.json")))
    assert synced.index(left) < synced.index(stamp)


def test_files_that_a_kill_left_half_written_go(tmp_path, notebooks, quick, monkeypatch):
    def kill(*_):
        raise SystemExit

    run = make_run(tmp_path)
    with monkeypatch.context() as patched, pytest.raises(SystemExit):
        patched.setattr("os.replace", kill)
        patched.setattr(Path, "unlink", lambda *_, **more: None)  # nothing is tidied after a kill
        patched.setattr("os.getpid", lambda: 1)  # the next run is another process
        runner.run_task(run, notebooks)
    assert list(run.dir.rglob("*.tmp"))
    assert runner.run_task(run, notebooks) == ALL and not list(run.dir.rglob("*.tmp"))


def test_two_runs_on_one_folder_are_refused(tmp_path, notebooks, quick, monkeypatch):
    run = make_run(tmp_path)
    monkeypatch.setattr(stages, "LOCK_SECONDS", 0.5)
    with stages.task_lock(run), pytest.raises(UserError, match=f"process {os.getpid()}.*--out"):
        runner.run_task(run, notebooks)
    assert not quick and runner.run_task(run, notebooks) == ALL


def test_optional_stages_run_only_when_asked_for_and_are_forgotten_when_models_change(tmp_path):
    plain, whole = stages.find_stages(), stages.find_stages(optional=True)
    assert [stage.name for stage in whole if stage not in plain] == ["07_deploy"]
    run = Run(task="calendar", profile="smoke", out=str(tmp_path))
    deployed = whole[-2].output(run)
    deployed.parent.mkdir(parents=True, exist_ok=True)
    deployed.touch()
    for given, left in ((whole, True), (plain, False)):
        stages.forget_optional(run, given)
        assert deployed.exists() is left


# -- command line -----------------------------------------------------------------------------------------------------
@pytest.fixture
def signals():
    """Put the test session's own signal handlers back."""
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


TASKS = "unknown task 'calender': choose from calendar, crime, it_ner, all; did you mean 'calendar'?"


@pytest.mark.parametrize(
    "arguments, reason",
    [
        ("calender", TASKS),
        ("--profile fast", "unknown profile 'fast': choose from smoke, cpu, gpu"),
        ("--data smaple", "neither sample nor public nor a folder; did you mean 'sample'?"),
        ("--data .", "has no calendar/train.jsonl"),
        ("--set epochs", "write it as name=value"),
        ("--set no_such_setting=1", "unknown setting 'no_such_setting'"),
        ("--from 99", "unknown stage '99' for --from"),
        ("--to 99", "unknown stage '99' for --to"),
        ("--from 03 --to 02", "--from 03 comes after --to 02"),
        ("--out file.txt", "--out 'file.txt' cannot be used"),
        (f"--profile smoke --out {ROOT}", "never writes over its report"),
        ("--wrong cpu", "--wrong"),
        ("calendar crime", "crime"),
    ],
)
def test_wrong_use_is_one_line_and_runs_nothing(
    arguments, reason, tmp_path, notebooks, monkeypatch, capsys, signals
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STUDY_CWD", raising=False)
    monkeypatch.setattr(runner, "run_task", lambda *args: pytest.fail("something ran"))
    monkeypatch.setattr(stages, "NOTEBOOKS", notebooks)
    Path("file.txt").write_text("in the way")
    assert runner.cli([*([] if "--out" in arguments else ["--out", "out"]), *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("error: ") and err.count("\n") == 1 and reason in err


def test_a_full_disk_is_one_line_with_the_way_on(monkeypatch, capsys, signals):
    def fails(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(runner, "run_task", fails)
    assert runner.cli(["calendar", "--profile", "smoke"]) == 1
    said = capsys.readouterr().err
    assert "No space left on device: make room" in said and said.count("\n") == 1


@pytest.mark.parametrize("free, said", [(0, "; 0.0 MB are free in {}: make room"), (10**9, "")])
def test_a_stage_that_fails_on_a_full_disk_says_so(tmp_path, notebooks, quick, monkeypatch, free, said):
    """PyTorch's writer speaks of an unexpected position there."""
    run = make_run(tmp_path)
    write_notebook(notebooks / "02_second.ipynb", "FAIL")
    monkeypatch.setattr("shutil.disk_usage", lambda path: types.SimpleNamespace(free=free))
    with pytest.raises(StageFailed) as failure:
        runner.run_task(run, notebooks)
    told = str(failure.value)
    assert ("make room" in told) == bool(said) and said.format(run.dir) in told and "\n" not in told


def test_options_reach_the_run(tmp_path, monkeypatch, capsys, signals):
    seen = []
    monkeypatch.setattr(runner, "run_task", lambda run, *more: seen.append((run, more)))
    monkeypatch.setenv("STUDY_CWD", str(tmp_path))
    (tmp_path / "mine" / "calendar").mkdir(parents=True)
    (tmp_path / "mine" / "calendar" / "train.jsonl").touch()
    sets = "--set few_shot=1 max_rows=5 --set few_shot=2 --variants lora,tagger"
    assert runner.cli(f"--profile smoke {sets} --data mine --out there --from 2 --deploy".split()) == 0
    assert runner.cli("all --out there --seed 7 --force --to 03".split()) == 0
    (smoke, more), *others = seen
    assert (smoke.profile, smoke.data, smoke.root) == ("smoke", str(tmp_path / "mine"), tmp_path / "there")
    assert (smoke["few_shot"], smoke["max_rows"], smoke["variants"]) == (2, 5, "lora,tagger")
    assert more[:3] == (None, "2", False) and more[4:] == (True, None)
    assert [run.task.name for run, _ in others] == ["calendar", "crime", "it_ner"] and others[0][0].seed == 7
    assert others[0][1] == (None, None, True, {}, False, "03")
    assert capsys.readouterr().out.splitlines()[0].endswith("report/index.html")


def test_a_folder_is_a_task_with_rows_of_its_own(tmp_path, notebooks, quick, monkeypatch, signals):
    monkeypatch.setattr(stages, "NOTEBOOKS", notebooks)
    monkeypatch.setenv("STUDY_CWD", str(tmp_path))
    folder, command = fruit(tmp_path / "fruit"), "fruit --out out --to 03".split()
    write_notebook(notebooks / "03_third.ipynb", "import helpers.tasks")
    assert runner.cli(command) == 0
    assert {call["parameters"]["task"] for call in quick} == {str(folder)}
    run = Run(task=quick[0]["parameters"]["task"], out=str(tmp_path / "out"))
    assert {part: len(rows) for part, rows in load_source(run).items()} == {"train": 1, "validation": 1}
    with (folder / "labels.txt").open("a") as file:
        file.write("PEAR\n")
    assert runner.cli(command) == 0 and quick[-1]["name"] == "03_third" and len(quick) > 3
    (folder / "rows.jsonl").write_text(2 * (folder / "train.jsonl").read_text())
    assert {part: len(rows) for part, rows in load_source(run).items()} == {"all": 2}


@pytest.mark.parametrize(
    "profile, data, curves, offline, wandb",
    [
        ("cpu", "sample", "tensorboard", "1", "disabled"),
        ("smoke", "/rows", "wandb", "1", None),
        ("cpu", "public", "wandb", None, None),
        ("gpu", "sample", "tensorboard", None, "disabled"),
    ],
)
def test_network_and_wandb_are_only_there_when_asked_for(
    profile, data, curves, offline, wandb, tmp_path, monkeypatch
):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "WANDB_MODE", "WANDB_DISABLED"):
        monkeypatch.delenv(name, raising=False)
    run = types.SimpleNamespace(profile=profile, data=data, root=tmp_path, settings={"report_to": curves})
    env = execute.kernel_environment(run)
    assert env.get("HF_HUB_OFFLINE") == env.get("TRANSFORMERS_OFFLINE") == offline
    assert env.get("WANDB_MODE") == wandb


# -- with kernels -----------------------------------------------------------------------------------------------------
def test_notebook_runs_with_this_interpreter_offline_from_the_root_and_logs_as_it_prints(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))  # another kernel named python3, found first
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["false"], "display_name": "wrong", "language": "python"}))
    known = {"HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0", "TOKENIZERS_PARALLELISM": "false"}
    facts = (
        "import sys, os, json\nprint(json.dumps([sys.executable, os.getcwd(), task, profile, data, out, seed,"
        f" {{name: os.environ.get(name) for name in {list(known)}}},"
        " int(os.environ['OMP_NUM_THREADS']) > 0, os.environ['HF_DATASETS_CACHE'].startswith(out)]))"
    )
    write_notebook(tmp_path / "nb" / "01_facts.ipynb", facts, "print('on stderr', file=sys.stderr)")
    run, out = make_run(tmp_path), str(tmp_path / "out")
    assert runner.run_task(run, tmp_path / "nb", end="01") == ["01_facts"]
    log = run.path("logs", "01_facts.log").read_text().splitlines()
    given = ["tiny", "cpu", "sample", out, 42]
    assert json.loads(log[0]) == [sys.executable, str(ROOT), *given, known, True, True]
    assert log[1:] == ["on stderr"]
    done = nbformat.read(run.path("notebooks", "01_facts.ipynb"), as_version=4)
    assert done.cells[3].outputs[0].text.startswith('["')
    stage = json.loads(run.path("manifest.json").read_text())["stages"]["01_facts"]
    assert stage["seconds"] > 0 and (sys.platform != "linux" or stage["peak_memory_mb"] > 10)


def test_failing_cell_is_kept_and_named_and_later_cells_do_not_run(tmp_path):
    notebooks, run = tmp_path / "nb", make_run(tmp_path)
    write_notebook(notebooks / "02_bad.ipynb", "print('before')", "1 / 0", "print('never')")
    with pytest.raises(StageFailed) as failure:
        runner.run_task(run, notebooks)
    log = run.path("logs", "02_bad.log")
    assert str(failure.value) == f"02_bad, cell [4]: ZeroDivisionError: division by zero (log: {log})"
    told = log.read_text()
    assert told.startswith("before\n") and "1 / 0" in told and "never" not in told
    done = nbformat.read(run.path("notebooks", "02_bad.ipynb"), 4).cells
    assert [cell.outputs[0].ename for cell in done if "1 / 0" in cell.source] == ["ZeroDivisionError"]
    message = "from helpers.errors import UserError\nraise UserError('rows.jsonl, line 3: not JSON')"
    write_notebook(notebooks / "02_bad.ipynb", message)
    with pytest.raises(StageFailed, match=r"^02_bad, cell \[3\]: rows.jsonl, line 3: not JSON \(log: "):
        runner.run_task(run, notebooks)
    assert log.read_text().strip() == "UserError: rows.jsonl, line 3: not JSON", "no code lines"
    write_notebook(notebooks / "02_bad.ipynb", "import os\nos._exit(9)")
    with pytest.raises(StageFailed, match="02_bad: the Python process died without a word.*memory"):
        runner.run_task(run, notebooks)


def start_and_wait(tmp_path: Path) -> tuple[subprocess.Popen, int, list[str]]:
    """Start a run whose second notebook hangs the first time; gives its process and the kernel's process id."""
    notebooks, marker = tmp_path / "nb", tmp_path / "marker"
    first = "from pathlib import Path\nopen(Path(out) / 'a', 'a').write('x')"
    write_notebook(notebooks / "01_a.ipynb", first)
    hangs = (
        f"import os, time\nfrom pathlib import Path\nmarker = Path({str(marker)!r})\nfirst = not marker.exists()\n"
        "marker.write_text(f'{os.getpid()} ')\ntime.sleep(900 if first else 0)"
    )
    write_notebook(notebooks / "02_b.ipynb", hangs, "(Path(out) / 'b').write_text('done')")
    task, out = fruit(tmp_path / "fruit"), str(tmp_path / "out")
    command = [sys.executable, "-c", DRIVER, str(notebooks), str(task), "--out", out, "--to", "02"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=ROOT, **pipes)
    deadline = time.monotonic() + 600  # a busy machine
    while not (marker.exists() and marker.read_text().endswith(" ")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)
    return process, int(marker.read_text()), command


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    status = Path(f"/proc/{pid}/stat")  # a process that nobody waits for stays as a zombie
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] == "Z"


def test_run_that_was_killed_continues_with_the_stage_it_was_in(tmp_path):
    process, kernel, command = start_and_wait(tmp_path)
    process.kill()
    process.communicate()
    # it waits for the old kernel
    again = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert again.returncode == 0, again.stderr
    assert gone(kernel)
    for told in ("01_a unchanged, skipped", "02_b done", "interrupted"):
        assert told in again.stderr
    assert (tmp_path / "out" / "a").read_text() == "x" and (tmp_path / "out" / "b").read_text() == "done"


def test_a_kernel_whose_run_was_killed_before_it_was_there_ends(tmp_path):
    argv = execute.OwnInterpreter().kernel_spec.argv
    command = [part.format(connection_file=tmp_path / "kernel.json") for part in argv]
    env = {**os.environ, "JPY_PARENT_PID": str(os.getpid() + 1)}  # an orphan: its parent is another one
    assert subprocess.run(command, env=env, cwd=ROOT, timeout=120, check=False).returncode == 1


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_run_and_kernel(tmp_path, signum):
    process, kernel, _ = start_and_wait(tmp_path)
    process.send_signal(signum)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 128 + signum
    assert "stopped in 02_b; the same command continues there" in output and "Traceback" not in output
    assert gone(kernel)
    artifacts = tmp_path / "out" / "artifacts" / "fruit"
    assert nbformat.read(artifacts / "notebooks" / "02_b.ipynb", as_version=4).cells
    assert not json.loads((artifacts / "stages" / "02.json").read_text()).get("done")
