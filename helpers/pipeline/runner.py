"""Run the study from the command line: every notebook in order, then the report.

Run as: ./run_all.sh calendar --profile smoke        (or python -m helpers.pipeline.runner in a ready environment)
"""

from __future__ import annotations

import argparse
import difflib
import errno
import json
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from helpers.command import FAILED, REFUSED
from helpers.data.folders import part_file
from helpers.errors import UserError, one_of
from helpers.files import clear_unfinished
from helpers.manifest import write_manifest
from helpers.paths import ROOT, input_folder
from helpers.pipeline import stages
from helpers.pipeline.progress import Progress, one_line
from helpers.pipeline.stages import Stage, StageFailed, given_path, shown
from helpers.run import PROFILES, SEED, Run, setting_name
from helpers.tasks import TASK_NAMES, load_task

SOURCES = ("sample", "public")
LITTLE_ROOM = 50_000_000  # bytes; libraries say in words of their own that a disk was full
GO_ON = "make room, and the same command goes on"


class Stopped(KeyboardInterrupt):
    """The user or the system asked the run to stop (asyncio lets only this kind of exception through)."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


# -- one task ---------------------------------------------------------------------------------------------------------
def build_report(run: Run, log: Path) -> None:
    """Write the report of a task; what the writing prints goes to the log, and so does the traceback where it fails."""
    with log.open("w", encoding="utf-8") as file, redirect_stdout(file), redirect_stderr(file):
        try:
            from helpers.report import pages as report

            report.build(run)
        except Exception as error:
            traceback.print_exc(file=file)
            kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
            raise StageFailed(f"report: {one_line(kind + str(error))}") from error


def print_reports(runs: Sequence[Run]) -> None:
    """A PDF beside each report that has changed; where that cannot be done, one line says why and the run is good."""
    from helpers.report import pdf

    pages = [*(run.report_dir / f"{run.task.name}.html" for run in runs), runs[-1].report_dir / "index.html"]
    try:
        for page in pages:
            if not pdf.up_to_date(page):
                print(f"printed {shown(pdf.print_pdf(page))}")
    except UserError as error:
        print(f"note: {error}", file=sys.stderr)


def run_stage(
    run: Run, stage: Stage, parameters: dict[str, Any], progress: Progress, token: str, lock: int
) -> float:
    """Execute a notebook or build the report, and put it into the manifest; returns the seconds."""
    log, started, facts = run.path("logs", f"{stage.name}.log"), time.monotonic(), {}
    try:
        if stage.notebook is None:
            progress.start(stage.name, 1)
            build_report(run, log)
        else:
            from helpers.pipeline.execute import execute  # loads what a run without work does not need

            output = stage.output(run)
            facts = execute(run, stage.notebook, output, log, parameters, progress, token, [lock])
    except StageFailed as error:
        free = shutil.disk_usage(run.dir).free
        room = f"; {free / 1e6:.1f} MB are free in {shown(run.dir)}: {GO_ON}" * (free < LITTLE_ROOM)
        raise StageFailed(f"{error}{room} (log: {shown(log)})") from None
    except KeyboardInterrupt:
        progress.say(f"stopped in {stage.name}; the same command continues there")
        raise
    seconds = time.monotonic() - started
    write_manifest(run, stage.name, seconds, **facts)
    return seconds


def run_task(
    run: Run,
    notebooks: Path | None = None,
    start: str | None = None,
    force: bool = False,
    given: dict[str, Any] | None = None,
    deploy: bool = False,
    end: str | None = None,
) -> list[str]:
    """Run all stages of a task that are not up to date, in order; returns their names.

    `start` and `end` are stages as in `--from` (it and all later ones run) and `--to`; `force` runs every stage,
    `deploy` the optional ones too. `given` are the settings the user gave: they become the notebooks' parameter
    `settings`.
    """
    every = stages.find_stages(notebooks, deploy)
    first = stages.pick_stage(every, start) if start else 0
    last = stages.pick_stage(every, end, "--to") if end else len(every) - 1
    names = [setting_name(name, run.settings) for name in given or {}]
    parameters = {
        "task": str(run.own_folder or run.task.name),
        "profile": run.profile,
        "data": run.data,
        "out": run.out,
        "settings": json.dumps({name: run.settings[name] for name in names}),
        "seed": run.seed,
    }
    ran: list[str] = []
    with stages.task_lock(run) as lock:
        clear_unfinished(run.dir)
        keys = stages.stage_keys(run, every)
        stale = stages.require_complete(run, every, keys, first)
        progress = Progress(last + 1)
        progress.say(f"{run.task.name}: profile {run.profile}, data {run.data}, into {shown(run.dir)}")
        if stale:
            told = f"the code of {', '.join(stale)} has changed since; --from uses their results as they are"
            progress.say(f"note: {told}")
        try:
            for index, stage in enumerate(every[: last + 1]):
                key = keys[index] | stages.left_before(run, every, index)
                reason = "forced" if force else "asked for" if start else stages.why_run(run, stage, key)
                if index < first or reason is None:
                    progress.end(f"{stage.name} {'kept' if index < first else 'unchanged, skipped'}")
                    continue
                if stage.notebook is not None:
                    stages.forget_optional(run, every)
                token = stages.begin(run, stage, every[index + 1 :], key, fresh=force or bool(start))
                seconds = run_stage(run, stage, parameters, progress, token, lock)
                stages.finish(run, stage)
                ran.append(stage.name)
                progress.end(f"{stage.name} done in {seconds:.0f} s ({reason})")
        finally:
            progress.close()
    return ran


# -- command line -----------------------------------------------------------------------------------------------------
class Parser(argparse.ArgumentParser):
    """Reports wrong use as a :class:`UserError`."""

    def error(self, message: str) -> None:
        """What argparse says of a wrong option."""
        raise UserError(f"{message} ({self.prog} --help lists the options)")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """The options of a run that :func:`make_run` reads."""
    add, default = parser.add_argument, " (default: %(default)s)"
    profiles = "smoke: everything small, in minutes; cpu: real models on a laptop; gpu: hub models, a GPU, the network"
    add("--profile", metavar="|".join(PROFILES), default="cpu", help=profiles + default)
    data = (
        "the rows shipped with the project, the public ones (downloaded), or DIR/<task>/train.jsonl and so on"
    )
    add("--data", metavar="sample|public|DIR", default="sample", help=data + default)
    add("--seed", type=int, metavar="N", default=SEED, help="seeds everything random" + default)
    many = {"dest": "settings", "nargs": "+", "action": "extend", "default": [], "metavar": "name=value"}
    add("--set", **many, help="replace settings of the profile; a wrong name lists them all")
    add(
        "--out",
        metavar="DIR",
        help="folder for artifacts/ and report/ (default: this repository, or artifacts/smoke)",
    )


def make_parser() -> Parser:
    """The options of ./run_all.sh."""
    parser = Parser(
        prog="./run_all.sh",
        description="Run the notebooks of a task in order and write its report. A stage whose notebook, helpers, data "
        "and parameters have not changed is skipped; a run that was stopped continues where it stopped. Logs and "
        "executed notebooks are in artifacts/<task>/, the report is report/index.html.",
    )
    add, tasks = parser.add_argument, "|".join([*TASK_NAMES, "all", "FOLDER"])
    add(
        "task",
        nargs="?",
        default="calendar",
        metavar=tasks,
        help="what to run; a folder is a task of your own",
    )
    add_run_options(parser)
    add("--variants", metavar="NAME,...", help="train these variants alone, e.g. lora,tagger")
    add(
        "--from",
        dest="start",
        metavar="NN",
        help="start at this stage, e.g. 04 or report; all later ones run too",
    )
    add("--to", dest="end", metavar="NN", help="stop after this stage; the report is then not written")
    add("--force", action="store_true", help="run stages again that are up to date")
    add("--deploy", action="store_true", help="also export, calibrate and try the best models (notebook 07)")
    add("--pdf", action="store_true", help="print the report to PDF too; needs Chromium")
    return parser


def read_settings(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as a dict; the last value of a name counts."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserError(f"--set {pair!r}: write it as name=value")
        settings[name.strip()] = value
    return settings


def data_source(given: str, task: Any) -> str:
    """`sample`, `public`, or the absolute path of a folder that has training rows for the task."""
    if given in SOURCES:
        return given
    folder = given_path(given) if given_path(given).is_dir() else Path(input_folder(given))
    if not folder.is_dir():
        near = difflib.get_close_matches(given, SOURCES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"--data {given!r} is neither sample nor public nor a folder{hint}")
    name = task.name
    if part_file(folder / name, "train") is None:
        parts = f"{name}/validation.jsonl and perhaps {name}/test.jsonl"
        raise UserError(f"--data {given!r} has no {name}/train.jsonl: put one there, {parts}")
    return str(folder)


def make_run(task: str, given: argparse.Namespace, settings: dict[str, str]) -> Run:
    """The run of a task that the options describe."""
    one_of(given.profile, PROFILES, "profile")
    out = None if given.out is None else given_path(given.out)
    if given.profile == "smoke" and out == ROOT:
        raise UserError(
            f"--out {given.out!r} is the repository: the smoke profile never writes over its report"
        )
    try:
        data = data_source(given.data, load_task(task))
        return Run(task, given.profile, data, out and str(out), settings, given.seed)
    except OSError as error:
        raise UserError(f"--out {given.out!r} cannot be used: {error.strerror or error}") from None


def carry_out(given: argparse.Namespace) -> None:
    """Check what was asked for, then run the tasks one after the other."""
    started = time.monotonic()
    own = given.task not in (*TASK_NAMES, "all") and given_path(given.task).is_dir()
    named = str(given_path(given.task)) if own else one_of(given.task, [*TASK_NAMES, "all"], "task")
    tasks = TASK_NAMES if named == "all" else [named]
    settings = read_settings(given.settings) | ({"variants": given.variants} if given.variants else {})
    every = stages.find_stages(optional=given.deploy)
    first = stages.pick_stage(every, given.start) if given.start else 0
    if given.end and stages.pick_stage(every, given.end, "--to") < first:
        raise UserError(f"--from {given.start} comes after --to {given.end}")
    runs = [make_run(task, given, settings) for task in tasks]
    for run in runs:
        run_task(run, None, given.start, given.force, settings, given.deploy, given.end)
    if given.pdf and not given.end:
        print_reports(runs)
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    result = runs[-1].path("notebooks", "x").parent if given.end else runs[-1].report_dir / "index.html"
    print(f"done in {minutes} min {seconds} s: {shown(result)}")


def _stop(signum: int, frame: Any) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)  # a second signal ends the process at once
    raise Stopped(signum)


def cli(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit status; 2 where nothing was run because of what the user gave."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    try:
        carry_out(make_parser().parse_args(arguments))
        return 0
    except Stopped as stop:
        return 128 + stop.signum
    except (UserError, StageFailed, OSError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        print(f"error: {error}{f': {GO_ON}' * full}", file=sys.stderr)
        return REFUSED if isinstance(error, UserError) and not isinstance(error, stages.Busy) else FAILED


if __name__ == "__main__":
    sys.exit(cli())
