"""Where training curves are written: TensorBoard files, Weights & Biases, or nowhere (setting `report_to`)."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from helpers.errors import UserError, one_of
from helpers.run import Run

PLACES = ("tensorboard", "wandb", "none")


class CurveWriter(Protocol):
    """What takes single values of a curve."""

    def add_scalar(self, name: str, value: float, step: int) -> None: ...

    def close(self) -> None: ...


class _Nowhere:
    """Drops what it is given."""

    def add_scalar(self, name: str, value: float, step: int) -> None:
        pass

    def close(self) -> None:
        pass


class _WandbRun:
    """A run of Weights & Biases; with WANDB_MODE=offline it stays on this machine."""

    def __init__(self, run: Run, variant: str, folder: Path):
        import importlib

        wandb = importlib.import_module("wandb")  # wanted by those who ask for it alone: no dependency
        self.session = wandb.init(
            project=f"study-{run.task.name}",
            name=variant,
            dir=str(folder),
            resume="allow",
            config={name: value for name, value in run.settings.items()},
        )

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.session.log({name: value}, step=step)

    def close(self) -> None:
        self.session.finish()


def report_to(run: Run) -> str:
    """The place that the settings name; TensorBoard for tasks without that setting.

    Raises
    ------
    UserError
        For an unknown place, or one whose package is not installed.
    """
    import importlib.util

    place = one_of(run.settings.get("report_to", "tensorboard"), PLACES, "report_to")
    if place == "wandb" and importlib.util.find_spec("wandb") is None:
        raise UserError(
            "report_to=wandb needs the package: pip install wandb, or leave report_to=tensorboard"
        )
    return place


def curve_writer(run: Run, variant: str, folder: Path, step: int) -> CurveWriter:
    """What the plain training loop writes its curves to, from `step` on."""
    place = report_to(run)
    if place == "none":
        return _Nowhere()
    if place == "wandb":
        return _WandbRun(run, variant, folder)
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"), purge_step=step)
