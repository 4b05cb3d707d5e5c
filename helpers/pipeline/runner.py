"""Run the study from the command line: every notebook in order, then the report.

Run as: ./run_all.sh calendar --profile smoke        (or python -m helpers.pipeline.runner in a ready environment)
"""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from helpers.command import FAILED, explain
from helpers.errors import UserError, one_of
from helpers.manifest import write_manifest
from helpers.paths import ROOT, input_folder
from helpers.pipeline.stages import (
    Busy,
    Stage,
    begin,
    find_stages,
    finish,
    forget_optional,
    pick_stage,
    require_complete,
    shown,
    stage_keys,
    task_lock,
    why_run,
)
from helpers.run import PROFILES, SEED, Run, setting_name
from helpers.tasks import TASK_NAMES

SOURCES = ("sample", "public")


class Stopped(KeyboardInterrupt):
    """The user or the system asked the run to stop (asyncio lets only this kind of exception through)."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


# -- one task ---------------------------------------------------------------------------------------------------------
def build_report(run: Run, log: Path) -> None:
    """Write the report of a task; what the writing prints goes to the log."""
    from helpers.pipeline.execute import StageFailed
    from helpers.pipeline.progress import one_line

    with (
        log.open("w", encoding="utf-8", buffering=1) as file,
        contextlib.redirect_stdout(file),
        contextlib.redirect_stderr(file),
    ):
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


def run_task(
    run: Run,
    notebooks: Path | None = None,
    start: str | None = None,
    force: bool = False,
    given: dict[str, Any] | None = None,
    deploy: bool = False,
    end: str | None = None,
) -> list[str]:
    """Run all stages of a task that are not up to date, and every stage after the first of them; returns their names.

    `start` and `end` are stages as in `--from` (it and all later ones run) and `--to`; `force` runs every stage,
    `deploy` the optional ones too. `given` are the settings the user gave: they become the notebooks' parameter
    `settings`.
    """
    stages = find_stages(notebooks, deploy)
    first = pick_stage(stages, start) if start else 0
    last = pick_stage(stages, end, "--to") if end else len(stages) - 1
    with task_lock(run) as lock:
        keys = stage_keys(run, stages)
        stale = require_complete(run, stages, keys, first)
        names = [setting_name(name, run.settings) for name in given or {}]
        parameters = {
            "task": run.task.name,
            "profile": run.profile,
            "data": run.data,
            "out": run.out,
            "settings": json.dumps({name: run.settings[name] for name in names}),
            "seed": run.seed,
        }
        return _run_stages(run, stages, keys, (first, last), force, bool(start), stale, parameters, lock)


def _run_stages(
    run: Run,
    stages: list[Stage],
    keys: list[dict[str, str]],
    span: tuple[int, int],
    force: bool,
    from_here: bool,
    stale: list[str],
    parameters: dict[str, Any],
    lock: int,
) -> list[str]:
    """Skip what is good, run the rest of the first to the last stage of the span; one line on each."""
    from helpers.pipeline.execute import StageFailed, execute
    from helpers.pipeline.progress import Progress

    ran: list[str] = []
    reasons = [why_run(run, stage, key) for stage, key in zip(stages, keys)]
    first, last = span
    progress = Progress(last + 1)
    progress.say(f"{run.task.name}: profile {run.profile}, data {run.data}, into {shown(run.dir)}")
    if stale:
        progress.say(
            f"note: the code of {', '.join(stale)} has changed since; --from uses their results as they are"
        )
    try:
        for index, (stage, key) in enumerate(zip(stages[: last + 1], keys)):
            if index < first:
                progress.end(f"{stage.name} kept")
                continue
            reason = "forced" if force else "asked for" if from_here else reasons[index]
            if reason is None and not ran:
                progress.end(f"{stage.name} unchanged, skipped")
                continue
            log = run.path("logs", f"{stage.name}.log")
            if stage.notebook is not None:
                forget_optional(run, stages)
            token = begin(run, stage, stages[index + 1 :], key, fresh=force or from_here)
            started = time.monotonic()
            try:
                if stage.notebook is None:
                    progress.start(stage.name, 1)
                    facts: dict[str, Any] = {}
                    build_report(run, log)
                else:
                    facts = execute(
                        run, stage.notebook, stage.output(run), log, parameters, progress, token, [lock]
                    )
            except StageFailed as error:
                raise StageFailed(f"{error} (log: {shown(log)})") from None
            except KeyboardInterrupt:
                progress.say(f"stopped in {stage.name}; the same command continues there")
                raise
            seconds = time.monotonic() - started
            write_manifest(run, stage.name, seconds, **facts)
            finish(run, stage, key)
            ran.append(stage.name)
            progress.end(f"{stage.name} done in {seconds:.0f} s ({reason or 'a stage before it ran'})")
    finally:
        progress.close()
    return ran


# -- command line -----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Plan:
    """What the command line asked for, checked."""

    runs: list[Run]
    start: str | None
    force: bool
    given: dict[str, Any]
    deploy: bool = False
    pdf: bool = False
    end: str | None = None

    def carry_out(self) -> None:
        """Run the tasks one after the other."""
        started = time.monotonic()
        for run in self.runs:
            run_task(
                run, start=self.start, force=self.force, given=self.given, deploy=self.deploy, end=self.end
            )
        if self.pdf and not self.end:
            print_reports(self.runs)
        minutes, seconds = divmod(round(time.monotonic() - started), 60)
        result = (
            self.runs[-1].path("notebooks", "x").parent
            if self.end
            else self.runs[-1].report_dir / "index.html"
        )
        print(f"done in {minutes} min {seconds} s: {shown(result)}")


def spread_settings(arguments: Sequence[str]) -> list[str]:
    """Allow `--set a=1 b=2`: each further `name=value` gets a `--set` of its own."""
    result: list[str] = []
    in_set = False
    for argument in arguments:
        if argument.startswith("-"):
            in_set = argument == "--set"
            result.append(argument)
        elif in_set and result[-1] != "--set" and "=" in argument:
            result += ["--set", argument]
        else:
            in_set = in_set and result[-1] == "--set"
            result.append(argument)
    return result


def read_settings(pairs: Sequence[str]) -> dict[str, str]:
    """`name=value` texts as a dict; the last value of a name counts."""
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UserError(f"--set {pair!r}: write it as name=value")
        settings[name.strip()] = value
    return settings


def data_source(given: str, tasks: Sequence[str]) -> str:
    """`sample`, `public`, or the absolute path of a folder that has training rows for the tasks."""
    if given in SOURCES:
        return given
    folder = (Path(os.environ.get("STUDY_CWD") or os.getcwd()) / Path(given).expanduser()).resolve()
    if not folder.is_dir():
        folder = Path(input_folder(given))
    if not folder.is_dir():
        near = difflib.get_close_matches(given, SOURCES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UserError(f"--data {given!r} is neither sample nor public nor a folder{hint}")
    from helpers.tasks import load_task

    for task in tasks:
        endings = (".jsonl", *load_task(task).rows.suffixes)
        if not any((folder / task / f"train{ending}").is_file() for ending in endings):
            raise UserError(
                f"--data {given!r} has no {task}/train.jsonl: a data folder holds "
                f"{task}/train.jsonl, {task}/validation.jsonl and perhaps {task}/test.jsonl"
            )
    return str(folder)


def output_folder(given: str | None, profile: str) -> str | None:
    """Absolute path for `artifacts/` and `report/`, None for the profile's own place; a smoke run is never the repository's."""
    if given is None:
        return None
    folder = (Path(os.environ.get("STUDY_CWD") or os.getcwd()) / Path(given).expanduser()).resolve()
    if profile == "smoke" and folder == ROOT:
        raise UserError(f"--out {given!r} is the repository: the smoke profile never writes over its report")
    return str(folder)


def choose(
    task: Annotated[
        str, typer.Argument(metavar="calendar|crime|it_ner|all", help="What to run.")
    ] = "calendar",
    profile: Annotated[
        str,
        typer.Option(
            metavar="smoke|cpu|gpu",
            help="smoke: everything small, in under two minutes; cpu: real models on a laptop; "
            "gpu: the hub models, needs a GPU and the network.",
        ),
    ] = "cpu",
    data: Annotated[
        str,
        typer.Option(
            metavar="sample|public|DIR",
            help="The rows shipped with the project, the public data set (is downloaded), "
            "or your own <task>/train.jsonl, validation.jsonl and test.jsonl in DIR.",
        ),
    ] = "sample",
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NN", help="Start at this stage, e.g. 04 or report; it and all later ones run."
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="NN", help="Stop after this stage; the report is then not written."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run stages again that are up to date.")] = False,
    deploy: Annotated[
        bool,
        typer.Option(
            "--deploy",
            help="Also export, calibrate and try the best models (notebook 07), which takes some minutes.",
        ),
    ] = False,
    variants: Annotated[
        str | None, typer.Option(metavar="NAME,...", help="Train these variants alone, e.g. lora,tagger.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seeds everything random.")] = SEED,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="name=value ...",
            help="Replace a setting of the profile; a wrong name lists them all.",
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder for artifacts/ and report/ instead of this repository (smoke: artifacts/smoke).",
        ),
    ] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Print the report to PDF too; needs Chromium.")] = False,
) -> Plan:
    """Run the notebooks of a task in order and write its report.

    A stage whose notebook, helpers, data and parameters have not changed is skipped; a run that was stopped continues
    where it stopped. Logs and executed notebooks are in artifacts/<task>/, the report is report/index.html.
    """
    choices = {name: [name] for name in TASK_NAMES} | {"all": list(TASK_NAMES)}
    one_of(task, tuple(choices), "task")
    one_of(profile, PROFILES, "profile")
    tasks = choices[task]
    given = read_settings(setting or []) | ({"variants": variants} if variants else {})
    source, folder = data_source(data, tasks), output_folder(out, profile)
    stages = find_stages(optional=deploy)
    for stage, option in ((start, "--from"), (end, "--to")):
        if stage:
            pick_stage(stages, stage, option)
    if start and end and pick_stage(stages, start) > pick_stage(stages, end):
        raise UserError(f"--from {start} comes after --to {end}")
    try:
        runs = [
            Run(task=name, profile=profile, data=source, out=folder, settings=given, seed=seed)
            for name in tasks
        ]
    except OSError as error:
        raise UserError(f"--out {out!r} cannot be used: {error.strerror or error}") from None
    return Plan(runs, start, force, given, deploy, pdf, end)


def _stop(signum: int, frame: Any) -> None:
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)  # a second signal ends the process at once
    raise Stopped(signum)


def cli(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit status; 2 where nothing was run because of what the user gave."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.command()(choose)
    given = spread_settings(sys.argv[1:] if arguments is None else arguments)
    try:
        plan = app(args=given, prog_name="./run_all.sh", standalone_mode=False)
        if isinstance(plan, Plan):  # --help gives an exit status instead
            plan.carry_out()
        return 0
    except Stopped as stop:
        return 128 + stop.signum
    except Exception as error:
        from helpers.pipeline.execute import StageFailed

        failed = isinstance(error, (StageFailed, Busy))
        status, line = (FAILED, str(error)) if failed else explain(error, "./run_all.sh --help")
        if line is None:
            raise
        print(f"error: {line}", file=sys.stderr)
        return status


if __name__ == "__main__":
    sys.exit(cli())
