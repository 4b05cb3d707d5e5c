"""Fixtures and settings that several test files use."""

import functools
import http.server
import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# the same examples every time, and no failure because a shared machine was slow for a moment
settings.register_profile("study", deadline=None, derandomize=True)
settings.load_profile("study")


def pytest_configure(config: pytest.Config) -> None:
    """Marks of this project."""
    config.addinivalue_line("markers", "whole_run: runs all notebooks in the smoke profile (some minutes)")


@dataclass(frozen=True)
class SmokeRun:
    """One whole run of a task in the smoke profile."""

    task: str
    out: Path
    status: int
    output: str

    @property
    def artifacts(self) -> Path:
        """`artifacts/<task>` of the run."""
        return self.out / "artifacts" / self.task


def run_study(*arguments: object) -> tuple[int, str]:
    """What `./run_all.sh` does once the environment is ready: exit status, and all it printed."""
    command = [sys.executable, "-m", "helpers.pipeline.runner", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    done = subprocess.run(command, cwd=ROOT, check=False, **pipes)
    return done.returncode, done.stdout


def run_smoke(task: str, out: Path, *more: object) -> SmokeRun:
    """A task's notebooks and report in the smoke profile."""
    return SmokeRun(task, out, *run_study(task, "--profile", "smoke", "--out", out, *more))


def own_rows(task: str, sample: str, folder: Path) -> Path:
    """A data folder as a user would bring it: ten rows to train on, two each to validate and test."""
    rows = (ROOT / "data" / task / sample).read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / task).mkdir(parents=True)
    for part, of_part in {"train": rows[:10], "validation": rows[10:12], "test": rows[12:14]}.items():
        (folder / task / f"{part}.jsonl").write_text("".join(of_part), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> SmokeRun:
    """All notebooks and the report, run once for every test that looks at what a run leaves."""
    return run_smoke("calendar", tmp_path_factory.mktemp("smoke"))


@pytest.fixture(scope="session")
def crime_smoke_run(tmp_path_factory: pytest.TempPathFactory, base: Path) -> SmokeRun:
    """The same of the crime task, on rows that come in a folder (`--data DIR`), with a base of random weights."""
    folder = own_rows("crime", "reports.jsonl", tmp_path_factory.mktemp("own") / "my-data")
    given = "--data", folder, "--set", f"base_model={base}"
    return run_smoke("crime", tmp_path_factory.mktemp("crime_smoke"), *given)


@pytest.fixture(scope="session")
def it_ner_smoke_run(tmp_path_factory: pytest.TempPathFactory) -> SmokeRun:
    """The same of the IT task."""
    return run_smoke("it_ner", tmp_path_factory.mktemp("it_ner_smoke"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a base model of random weights."""
    from tiny_model import save_tiny_base

    return save_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def tokenizer(base: Path):
    """The tokenizer of that base model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(base)


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an encoder of random weights."""
    from tiny_encoder import save_tiny_encoder

    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def calendar_run(tmp_path_factory: pytest.TempPathFactory):
    """A finished run of the calendar task with random models."""
    from tiny_run import make_run

    from helpers.export.model_folder import open_run

    return open_run("calendar", make_run(tmp_path_factory.mktemp("run")))[0]


@pytest.fixture(scope="module")
def token_run(tmp_path_factory: pytest.TempPathFactory):
    """The same of the IT task."""
    from tiny_run import make_token_run

    from helpers.export.model_folder import open_run

    return open_run("it_ner", make_token_run(tmp_path_factory.mktemp("run")))[0]


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, list[str]]]:
    """A local web server in place of the public one; yields the folder it serves and the paths it was asked for."""
    folder, requests = tmp_path / "web", []
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("STUDY_PUBLIC_URL", f"http://127.0.0.1:{server.server_port}/")
    monkeypatch.setenv("STUDY_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield folder, requests
    server.shutdown()
    server.server_close()


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch):
    """Cases are fitted and predicted without a model; `done` lists (variant, seed, rows) of what was fitted."""
    from helpers.evaluation import sweep, systems

    def fit(run, variant, train, validation):
        if len(fit.done) == fit.dies_at:
            raise KeyboardInterrupt
        fit.done.append((variant, run.seed, len(train)))

    class Stand(systems.System):
        def _answers(self, examples, decoding, progress):
            chance = random.Random(f"{self.run.seed} {self.name} {len(examples)}")
            targets = [row.target if chance.random() < 0.6 else None for row in examples]
            return [{"id": row.id, "prediction": one, "raw": "{"} for row, one in zip(examples, targets)]

        def release(self):
            """Nothing is held; to look for garbage takes longer than the rest."""

    monkeypatch.setattr(sweep, "fit", fit)
    monkeypatch.setattr(systems, "load_trained", lambda run, name: Stand(run, name, None))
    fit.done, fit.dies_at = [], None
    return fit
