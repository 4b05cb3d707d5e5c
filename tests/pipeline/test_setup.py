"""The set-up: which environment is used, when packages are installed, what the user is told; and the three lists agree.

The scripts run for real in a small copy of the repository; the interpreters they find are stand-ins that write down
what pip is asked to do.
"""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from conftest import ROOT
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.version import Version

from helpers.pipeline import setup_env

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOOLS = ("bash", "sh", "env", "dirname", "cat", "sleep", "mkdir", "chmod", "cp")
STAND_IN = """#!/bin/sh
case "$1 $2 $3" in
  "-m pip install")
    if [ -z "$REAL_PIP" ]; then
      for last; do :; done
      echo "pip in $0: ${{last##*/}}" >>"{log}"; sleep "${{PIP_SLEEP:-0}}"
      case "$last" in *"$PIP_FAILS") exit "${{PIP_STATUS:-0}}" ;; *) exit 0 ;; esac
    fi ;;
  *"version('torch')"*) echo "${{TORCH-2.13.0+cpu}}"; exit 0 ;;
  */setup_env.py*) echo "set up by $0" >>"{log}" ;;
  "-c import"*) {check} ;;
esac
exec "{python}" "$@"
"""
NO_VENV = 'case "$2" in *venv*) exit 1;; esac'  # what an interpreter without that module does
LOCKS = ("requirements.txt", "requirements-model.txt")
RUNNER = "import os, sys; print('ran', sys.argv[1:], os.getcwd(), os.environ['STUDY_CWD'])"


def stand_in(path: Path, log: Path, check: str = ":") -> Path:
    """An interpreter that only logs pip and the set-up; `check` is shell code run at `-c "import …"`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STAND_IN.format(log=log, python=sys.executable, check=check))
    path.chmod(0o755)
    return path


class Clone:
    """A small clone with a search path that holds only what a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.root, self.bin, self.log = folder / "clone", folder / "bin", folder / "log"
        pipeline = self.root / "helpers" / "pipeline"
        pipeline.mkdir(parents=True)
        for name in ("run_all.sh", "environment.yml"):
            shutil.copy2(ROOT / name, self.root / name)
        for name in ("setup_env.sh", "setup_env.py"):
            shutil.copy2(ROOT / "helpers" / "pipeline" / name, pipeline / name)
        self.locks = [self.root / name for name in LOCKS]
        for lock in (*self.locks, *(self.root / f"requirements-{extra}.txt" for extra in ("serve", "llm"))):
            lock.write_text("one==1\n")
        (self.root / "pyproject.toml").write_text('dependencies = ["torch==2.13.0"]')
        (self.root / "helpers" / "__init__.py").touch()
        (pipeline / "__init__.py").touch()
        (pipeline / "runner.py").write_text(RUNNER)
        self.bin.mkdir()
        for name in TOOLS:
            (self.bin / name).symlink_to(shutil.which(name))
        self.environment = stand_in(folder / "active" / "bin" / "python", self.log).parent.parent

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen:
        env = {"PATH": str(self.bin), "HOME": os.environ.get("HOME", "/"), "STUDY_ENV": "active", **variables}
        pipes = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [self.root / "run_all.sh", *arguments]
        return subprocess.Popen(command, env=env, cwd=self.root.parent, start_new_session=True, **pipes)

    def run(self, *arguments: str, **variables: str) -> tuple[int, str, str]:
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err

    def calls(self, what: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if line.startswith(what)]

    def installed(self) -> list[str]:
        """The lock files whose packages pip was told to install, one after the other."""
        return [line.rpartition(" ")[2] for line in self.calls("pip")]


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    return Clone(tmp_path)


# -- an active environment --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name, said, taken",
    [
        ("other", {}, False),
        ("other", {"STUDY_ENV": "active"}, True),
        ("other", {"STUDY_ENV": "active", "CONDA_DEFAULT_ENV": "base"}, False),
        ("entity-extraction-study", {}, True),
    ],
)
def test_an_environment_that_was_not_made_for_this_is_left_alone(clone, tmp_path, name, said, taken):
    stand_in(clone.bin / "python3", clone.log)
    folders = (clone.root / ".venv", tmp_path / name)
    own, active = (stand_in(folder / "bin" / "python", clone.log) for folder in folders)
    given = {"CONDA_PREFIX": str(tmp_path / name), "STUDY_ENV": ""}
    status, out, err = clone.run(**given | said)
    assert status == 0 and out.startswith("ran") and ("is left alone" in err) != taken
    assert clone.run(**given)[::2] == (0, ""), "said once, and what was set up before is taken again"
    assert clone.calls("pip") == [f"pip in {active if taken else own}: {lock}" for lock in LOCKS]


def test_packages_are_installed_again_only_where_a_lock_has_changed_or_an_extra_is_new(clone):
    active = {"VIRTUAL_ENV": str(clone.environment)}
    assert clone.run(**active)[0] == 0
    assert clone.run(**active)[::2] == (0, "")
    assert clone.installed() == [*LOCKS]
    clone.locks[1].write_text("one==2\n")
    assert clone.run(**active)[0] == 0
    assert clone.installed() == [*LOCKS, LOCKS[1]]
    assert clone.run("--deploy", **active, LLM_BASE_URL="there")[0] == clone.run(**active)[0] == 0
    assert clone.installed()[3:] == ["requirements-serve.txt", "requirements-llm.txt"]


@pytest.mark.parametrize(
    "there, index, device, asked, told",
    [
        ("2.13.0", True, True, [], "2.13.0 is there and stays"),
        ("", True, False, ["--no-deps", "--index-url", "INDEX", "torch==2.13.0"], "built for CPUs"),
        ("2.12.0+cpu", False, False, ["torch==2.13.0"], "cannot be reached"),
        ("", True, True, [*setup_env.LOCKED, "--requirement", "requirements-gpu.txt"], "for GPUs"),
    ],
)
def test_torch_is_the_build_that_fits_and_what_is_there_stays(
    web, tmp_path, monkeypatch, capsys, there, index, device, asked, told
):
    (web[0] / "torch").mkdir()
    address = os.environ["STUDY_PUBLIC_URL"].rstrip("/") if index else "http://127.0.0.1:9"
    monkeypatch.setattr(setup_env, "CPU_INDEX", address)
    monkeypatch.setattr(setup_env.os.path, "exists", lambda path: device)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("TORCH", there)
    python = stand_in(tmp_path / "python", tmp_path / "log")
    options = setup_env.torch_options(python, "torch==2.13.0", setup_env.torch_build()) or []
    assert [option.replace(address, "INDEX") for option in options] == asked
    assert told in capsys.readouterr().err


def test_failed_installation_is_one_error_and_is_tried_again(clone):
    active = {"CONDA_PREFIX": str(clone.environment)}
    status, out, err = clone.run(**active, PIP_STATUS="3", PIP_FAILS=LOCKS[0])
    assert (status, out) == (1, "") and err.count("error:") == 1
    assert f"{LOCKS[0]} could not be installed" in err
    assert clone.run(**active)[0] == 0
    assert clone.installed() == [LOCKS[0], *LOCKS]


def test_set_up_that_is_killed_starts_over(clone):
    active = {"CONDA_PREFIX": str(clone.environment)}
    process, deadline = clone.start(**active, PIP_SLEEP="30"), time.monotonic() + 20
    while not clone.calls("pip"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    status, out, _ = clone.run(**active)
    assert status == 0 and out.startswith("ran")
    assert clone.installed() == [LOCKS[0], *LOCKS]


# -- .venv ------------------------------------------------------------------------------------------------------------
def test_the_chosen_python_that_works_makes_the_environment_anew_where_it_is_half_made(clone):
    # the first is a version manager's empty promise
    for name, check in (("3.11", "exit 127"), ("3.12", NO_VENV), ("3.13", ":"), ("3.14", ":")):
        stand_in(clone.bin / f"python{name}", clone.log, check)
    stand_in(clone.root / ".venv" / "bin" / "python", clone.log, "exit 1")
    (clone.root / ".venv" / "leftover").touch()
    for lock in clone.locks:
        lock.write_text("# nothing\n")
    (clone.root / "pyproject.toml").write_text("dependencies = []")
    status, out, err = clone.run(REAL_PIP="1")  # venv is the real one too
    assert status == 0 and out.startswith("ran") and "making the virtual environment" in err
    assert clone.calls("set up") == [f"set up by {clone.bin}/python3.13"]
    assert (clone.root / ".venv" / "pyvenv.cfg").exists() and not (clone.root / ".venv" / "leftover").exists()
    assert clone.run()[::2] == (0, "")


@pytest.mark.parametrize(
    "active, check, reason",
    [
        (True, None, "has no Python"),
        (True, "exit 1", "3.10"),
        (False, None, "no Python 3.10 or newer"),
        (False, "exit 1", "no Python 3.10 or newer"),
        (False, NO_VENV, "python3 has no venv module"),
    ],
)
def test_no_python_that_fits_is_one_line(clone, tmp_path, active, check, reason):
    unfit = tmp_path / "unfit"
    unfit.mkdir()
    if check:
        stand_in(unfit / "bin" / "python" if active else clone.bin / "python3", clone.log, check)
    status, out, err = clone.run(**({"CONDA_PREFIX": str(unfit)} if active else {}))
    assert (status, out) == (1, "") and err.startswith("error:") and err.count("\n") == 1
    assert reason in err and (str(unfit) in err) == active


# -- the lists of packages --------------------------------------------------------------------------------------------
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PYTHONS = ("3.10.14", "3.11.9", "3.12.4", "3.13.1", "3.14.0")
NAMES = {"bs4": "beautifulsoup4", "dateutil": "python-dateutil", "sklearn": "scikit-learn"}
NAMES |= {"PIL": "pillow", "yaml": "pyyaml"}


def canonical(name: str) -> str:
    return name.lower().replace("_", "-")


def lock_lines(name: str) -> list[tuple[Requirement, list[str]]]:
    """The requirements of a lock, each with its hashes."""
    blocks = re.split(r"\n(?=\w)", (ROOT / name).read_text(encoding="utf-8"))
    parts = [re.split(r" \\\n +| (?=--hash)", block) for block in blocks if block[0] != "#"]
    return [(Requirement(requirement), hashes) for requirement, *hashes in parts]


EXTRAS = PROJECT["optional-dependencies"]
LOCKED = {extra: lock_lines(f"requirements{extra and '-'}{extra}.txt") for extra in ("", *EXTRAS)}


def locked(name: str, python: str, extra: str) -> list[Version]:
    """Versions that the locks hold of a package on Linux with that Python."""
    place = default_environment() | {"sys_platform": "linux", "platform_machine": "x86_64"}
    place |= {"python_version": python.rpartition(".")[0], "python_full_version": python}
    return [
        Version(next(iter(line.specifier)).version)
        for line, _ in LOCKED[""] + (LOCKED[extra] if extra else []) + LOCKED["gpu"]
        if canonical(line.name) == canonical(name) and (not line.marker or line.marker.evaluate(place))
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_locks_have_one_fitting_version_of_every_direct_dependency(python):
    for extra, needs in {"": PROJECT["dependencies"], **EXTRAS}.items():
        for wanted in map(Requirement, needs):
            (version,) = set(locked(wanted.name, python, extra))
            assert wanted.specifier.contains(version, prereleases=True), wanted


def test_locks_pin_every_line_to_files_and_only_that_of_the_gpu_has_torch():
    for extra, lines in LOCKED.items():
        for line, hashes in lines:
            assert [one.operator for one in line.specifier] == ["=="], line
            assert hashes and all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}\n*", one) for one in hashes), line
        heavy = [line.name for line, _ in lines if re.match("torch$|nvidia|triton", line.name)]
        assert bool(heavy) == (extra == "gpu")


def test_conda_environment_is_python_with_its_own_torch_and_the_lock():
    content = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, torch, pip, packages = content["dependencies"]
    assert pip == "pip" and packages == {"pip": ["-r requirements.txt"]}
    assert torch == f"pytorch={locked('torch', PYTHONS[0], '')[0]}"
    assert any(each.startswith(f"{python.removeprefix('python=')}.") for each in PYTHONS)


def test_every_package_that_the_code_imports_is_a_direct_dependency():
    needs = [*PROJECT["dependencies"], *(one for each in EXTRAS.values() for one in each)]
    direct, found = {canonical(Requirement(each).name) for each in needs}, {}
    for path in (ROOT / "helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            modules += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            found |= {module.split(".")[0]: path.name for module in modules}
    foreign = set(found) - {"helpers"} - set(sys.stdlib_module_names)
    missing = {top: found[top] for top in foreign if canonical(NAMES.get(top, top)) not in direct}
    assert not missing, f"imported, but not in pyproject.toml: {missing}"
