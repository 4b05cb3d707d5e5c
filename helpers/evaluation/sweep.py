"""A sweep: settings × seeds (× folds) of one YAML file, and one table of their means.

Run as: python -m helpers.evaluation.sweep configs/sweeps/calendar_seeds.yaml --data public
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from sklearn.model_selection import GroupKFold

from helpers.data import read as data
from helpers.data.splits import make_splits, near_groups
from helpers.errors import UserError, one_of
from helpers.evaluation.cases import Case, Sets, held_out_parts, measure
from helpers.evaluation.measured import SCORED, SWEEPS, sweep_table
from helpers.paths import ROOT
from helpers.run import SEED, Run
from helpers.tasks.base import Example


class Sweep(BaseModel):
    """What a file in `configs/sweeps/` says; task, data and profile as in `./run_all.sh`."""

    model_config = ConfigDict(extra="forbid")
    task: str
    data: str = "sample"
    profile: str = "cpu"
    # what is fitted; votes whose members are all among them are counted too
    variants: list[str] = Field(min_length=1)
    # name → settings that differ from the profile's
    settings: dict[str, dict[str, Any]] = Field({"default": {}}, min_length=1)
    # each makes rows and trains anew, on the parts that the first one splits
    seeds: list[int] = Field([SEED], min_length=1)
    # of the train part, held out and scored in turn; 0: the data's own parts
    folds: int = Field(0, ge=0)


def read_sweep(path: Path) -> Sweep:
    """The sweep of a YAML file; what it must not say is one line (UserError)."""
    try:
        return Sweep.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UserError(f"{path.name}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (OSError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())[:200]}") from None


def fold_parts(rows: Sequence[Example], count: int, seed: int) -> list[Sets]:
    """Parts for each fold: it is `test`; alike rows stay together."""
    groups = near_groups([row.text for row in rows])
    if not 2 <= count < len(set(groups)):
        raise UserError(f"{len(rows)} rows in {len(set(groups))} wordings cannot be cut into {count} folds")
    folds = (set(fold.tolist()) for _, fold in GroupKFold(count).split(rows, groups=groups))
    return [held_out_parts(rows, [at in fold for at in range(len(rows))], seed) for fold in folds]


def plan(sweep: Sweep, source: str, work: Path) -> list[Case]:
    """A case for each fold, setting and seed; unknown settings and variants are refused (UserError)."""

    def run(settings: str, seed: int) -> Run:
        place = str(work / "plan")
        return Run(sweep.task, sweep.profile, source or sweep.data, place, sweep.settings[settings], seed)

    runs = {pair: run(*pair) for pair in itertools.product(sweep.settings, sweep.seeds)}
    first = next(iter(runs.values()))
    for name in sweep.variants:
        one_of(name, first.task.variants, "variant")
    own = make_splits(first, data.load_source(first)).parts
    folds = fold_parts(own["train"], sweep.folds, first.seed) if sweep.folds else [own]
    return [
        Case(
            f"{settings}, seed {seed}, part {at}",
            settings,
            one,
            parts,
            {SCORED: parts["test"]} if "test" in parts else {},
        )
        for at, parts in enumerate(folds)
        for (settings, seed), one in runs.items()
    ]


def carry_out(
    path: Path, source: str = "", out: Path | None = None, max_seconds: float = math.inf
) -> Path | None:
    """Carry out the sweep of a YAML file; what is finished is not done again.

    Parameters
    ----------
    source : str
        Data source in place of the file's.
    out : Path, optional
        Folder of results and of checkpoints while there is work; `results/sweeps` and `artifacts/sweeps`.
    max_seconds : float
        Nothing is begun after that time.

    Returns
    -------
    Path
        The results file; None where the time was over before the end.
    """
    sweep, work = read_sweep(path), (out or ROOT / "artifacts" / "sweeps") / f"{path.stem}-work"
    cases = plan(sweep, source, work)
    name = data.data_name(cases[0].run)
    results = (out or SWEEPS) / f"{path.stem}{f'-{name}' * (name != sweep.data)}.json"
    done = measure(cases, sweep.variants, results, work, {"sweep": sweep.model_dump()}, (), max_seconds)
    return results if done else None


def main(
    file: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="One of configs/sweeps, or your own.")],
    data: Annotated[str, typer.Option(metavar="sample|public|DIR", help="In place of the file's.")] = "",
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="For results and work.")] = None,
    max_seconds: Annotated[float, typer.Option(min=0, help="Begin nothing after that time.")] = math.inf,
) -> None:
    """Fit and score every setting and seed of a file; the same command goes on where it was stopped."""
    source = data if data in ("", "sample", "public") else str(Path(data).expanduser().resolve())
    results = carry_out(file, source, out, max_seconds)
    if results:
        print(sweep_table(results)[0].to_string())


if __name__ == "__main__":
    from helpers.command import start

    start(main)
