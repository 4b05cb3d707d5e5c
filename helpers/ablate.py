"""Measure what each part of the systems contributes, on folds of train and validation; the test part is not touched.

Run as: python -m helpers.ablate --task calendar --data public        (hours on two cores; goes on where it stopped)
"""
from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from transformers.utils import logging as transformers_logging

from helpers.ablation_cells import carry_out, plan_cells, read_cells
from helpers.ablation_folds import read_pool
from helpers.ablation_results import RESULTS, results_path, summarise
from helpers.config import PROFILES, ROOT, TASK_NAMES, Run, UserError, one_of
from helpers.environment import write_json
from helpers.runner import data_source, read_settings, spread_settings
from helpers.stages import Busy, shown, task_lock

FOLDS = 5
SMOKE_FOLDS = 2
FAILED, REFUSED, STOPPED = 1, 2, 130


def ablate(run: Run, only: Sequence[str] = (), folds: int = FOLDS, max_seconds: float | None = None,
           results: Path | None = None) -> Path | None:
    """Carry out the ablations of the run's task, or some of them, and write the results file.

    Parameters
    ----------
    run : Run
        Its `out` is the work folder.
    only : sequence of str
        Names of ablations; all by default. The file holds whatever is finished, also of the others.
    folds : int
    max_seconds : float, optional
        Begin nothing after that time.
    results : Path, optional
        Folder of the results file; `results/ablations` in the repository by default.

    Returns
    -------
    Path
        The results file; None where nothing is finished.

    Raises
    ------
    UserError
        If the task has no such ablation or the rows are too few.
    """
    ablations = run.task.ablations(run.profile)
    if not ablations:
        raise UserError(f"task {run.task.name!r} has no ablations")
    chosen = [one_of(name, list(ablations), "ablation") for name in only] or list(ablations)
    transformers_logging.set_verbosity_error()  # what it says of each model it loads would tear the progress bar apart
    with task_lock(run):
        pool = read_pool(run)
        plan = plan_cells(run, pool, ablations, folds)
        complete = carry_out(run, plan, chosen, run.root, max_seconds)
        content = summarise(run, pool, ablations, plan, read_cells(run.root / "cells.jsonl"), folds)
    if not complete:
        print("stopped after the time given; the same command goes on")
    if not content["ablations"]:
        print("no configuration is finished yet: no results written")
        return None
    path = results_path(run, results)
    write_json(path, content)
    count = sum(len(one["configurations"]) for one in content["ablations"].values())
    print(f"{shown(path)}: {count} configurations in {len(content['ablations'])} ablations, "
          f"{content['manifest']['trained']} trainings")
    return path


def choose(
    task: Annotated[str, typer.Option(metavar="|".join(TASK_NAMES), help="What to measure.")] = "calendar",
    profile: Annotated[str, typer.Option(
        metavar="smoke|cpu|gpu", help="As in ./run_all.sh; smoke takes a minute.")] = "cpu",
    data: Annotated[str, typer.Option(metavar="sample|public|DIR", help="The rows, as in ./run_all.sh.")] = "sample",
    out: Annotated[str | None, typer.Option(
        metavar="DIR", help="Work folder, artifacts/<task>-ablations by default.")] = None,
    only: Annotated[list[str] | None, typer.Option(
        metavar="NAME", help="One ablation; may be given several times. A wrong name lists them.")] = None,
    folds: Annotated[int | None, typer.Option(min=2, help=f"Number of folds ({FOLDS}; smoke: {SMOKE_FOLDS}).")] = None,
    max_seconds: Annotated[float | None, typer.Option(
        min=0, help="Stop after the training in progress once that time is over.")] = None,
    setting: Annotated[list[str] | None, typer.Option(
        "--set", metavar="name=value ...", help="Replace a setting of the profile; a wrong name lists them all."
    )] = None,
    results: Annotated[str | None, typer.Option(
        metavar="DIR", help="Folder of the results file, results/ablations by default (smoke: in the work folder)."
    )] = None,
) -> None:
    """Train and score every configuration of every ablation, then write results/ablations/<task>-<data>.json.

    What is finished stays in the work folder, so a run that was stopped goes on with the same command.
    """
    one_of(task, TASK_NAMES, "task")
    one_of(profile, PROFILES, "profile")
    smoke = profile == "smoke"
    work = Path(out).expanduser().resolve() if out else ROOT / "artifacts" / f"{task}-ablations{'-smoke' * smoke}"
    run = Run(task=task, profile=profile, data=data_source(data, [task]), out=str(work),
              settings=read_settings(setting or []))
    place = Path(results).expanduser().resolve() if results else work / "results" if smoke else RESULTS
    ablate(run, only or (), folds or (SMOKE_FOLDS if smoke else FOLDS), max_seconds, place)


def cli(arguments: Sequence[str] | None = None) -> int:
    """The command line: returns the exit status; 2 where nothing was done because of what the user gave."""
    app = typer.Typer(add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})
    app.command()(choose)
    given = spread_settings(sys.argv[1:] if arguments is None else arguments)
    try:
        app(args=given, prog_name="python -m helpers.ablate", standalone_mode=False)
        return 0
    except KeyboardInterrupt:
        return STOPPED
    except Exception as error:
        if hasattr(error, "format_message"):  # what typer says of a wrong option
            line = f"{' '.join(error.format_message().split())} (python -m helpers.ablate --help)"
        elif isinstance(error, (UserError, OSError)):
            line = str(error)
        else:
            raise
        print(f"error: {line}", file=sys.stderr)
        return FAILED if isinstance(error, (Busy, OSError)) else REFUSED


if __name__ == "__main__":
    sys.exit(cli())
