"""Train variants of a task in several processes, one a GPU; stage 04 then finds them trained.

Run as: accelerate launch --config_file configs/fsdp.yaml -m helpers.pipeline.launch crime lora --profile gpu
        accelerate launch --config_file configs/cpu.yaml -m helpers.pipeline.launch calendar lora
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext

from helpers.errors import UserError, one_of
from helpers.machine import is_main_process, process_count, wait_for_processes
from helpers.pipeline.runner import Parser, add_run_options, make_run, read_settings
from helpers.pipeline.stages import task_lock
from helpers.run import Run


def trainable(run: Run, names: Sequence[str]) -> list[str]:
    """The variants to train: those named, or all that several processes can train."""
    able = list(run.task.variants.writers)
    for name in names:
        one_of(name, run.task.variants, "variant")
        if name not in able:
            several = ", ".join(able)
            raise UserError(f"{name} is trained by one process, in stage 04; several can train: {several}")
    if not able:
        raise UserError(f"every variant of {run.task.name} is trained by one process, in stage 04")
    return list(names) or able


def train(run: Run, variants: Sequence[str]) -> None:
    """Fit the variants on the rows that stages 01 to 03 left; each process takes its share of every batch."""
    from helpers.models.base import device_of
    from helpers.training.fit import fit
    from helpers.training.rows import training_rows

    wait_for_processes(device_of(run.profile).device)
    validation = run.load("validation")
    for variant in variants:
        result = fit(run, variant, training_rows(run, variant), validation)
        if is_main_process():
            losses = [record["loss"] for record in result.history if "loss" in record]
            change = f"loss {losses[0]:.4f} → {losses[-1]:.4f}"
            print(f"{variant}: {len(losses)} steps in {process_count()} processes, {change}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 2 for what the user can mend."""
    parser = Parser("accelerate launch -m helpers.pipeline.launch", description=__doc__.splitlines()[0])
    parser.add_argument("task")
    parser.add_argument(
        "variants", nargs="*", help="which to train; by default all that several processes can"
    )
    add_run_options(parser)
    try:
        given = parser.parse_args(arguments)
        run = make_run(given.task, given, read_settings(given.settings))
        with task_lock(run) if is_main_process() else nullcontext():
            train(run, trainable(run, given.variants))
    except UserError as error:
        if is_main_process():
            print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
