"""What :mod:`helpers.evaluation.transfer` measured away from home, as tables: light, so that choosing loads no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from helpers.data.read import data_name
from helpers.files import read_json
from helpers.paths import ROOT
from helpers.run import Run
from helpers.tasks.text import words

TRANSFER, HOME = ROOT / "results" / "transfer", "home"


def transfer_path(run: Run, out: Path | None = None) -> Path:
    """File of what :mod:`helpers.evaluation.transfer` measured for a task and the data that is home."""
    return (out or TRANSFER) / f"{run.task.name}{f'-{data_name(run)}' * (data_name(run) != 'sample')}.json"


def read_transfer(run: Run) -> dict[str, Any]:
    """What was measured away from home with the profile and the models of a run; empty where nothing was."""
    found = read_json(transfer_path(run))
    models = {name: run.settings.get(name) for name in found.get("models", {})}
    return found if (found.get("profile"), found.get("models")) == (run.profile, models) else {}


def transfer_table(content: dict[str, Any], score: str = "") -> pd.DataFrame:
    """Home and away side by side, a line for each case and set, a column a system.

    Parameters
    ----------
    score : str
        A score of the lines, by default the one that forgives spelling where the set is another source's.

    Returns
    -------
    DataFrame
        Index (trained on, scored on, score); columns rows and the systems in the order in which they were measured.
    """
    cells: dict[tuple[str, str, str], dict[str, Any]] = {}
    for line in content["lines"]:
        for name, found in line["sets"].items():
            soft = line["group"] == "source" and name != HOME
            which = score or (content["soft"] if soft else content["headline"])
            cell = cells.setdefault((line["case"], name, which), {"rows": found["rows"]})
            cell[line["variant"]] = found.get(which)
    table = pd.DataFrame.from_dict(cells, orient="index")
    return table.rename_axis(["trained on", "scored on", "score"])


def home_and_away(content: dict[str, Any]) -> pd.DataFrame:
    """Mean score of the systems that have been measured in every set, forgiving spelling.

    Returns
    -------
    DataFrame
        Index variant; columns home (the validation part of the rows that the study trains on), away (mean of the cases,
        a case being the mean of its sets) and mean of both; the columns' name is that of the score.
    """
    columns = pd.Index(["home", "away", "mean"], name=words(content.get("soft", "")))
    nothing = pd.DataFrame(columns=columns, dtype=float)
    if not content:
        return nothing
    frame = pd.DataFrame(
        [
            (line["variant"], line["case"], name, found[content["soft"]])
            for line in content["lines"]
            for name, found in line["sets"].items()
        ],
        columns=["variant", "case", "set", "score"],
    )
    wide = frame.pivot(index="variant", columns=["case", "set"], values="score").dropna()
    away = wide.drop(columns=[one for one in wide.columns if one[1] == HOME])
    if away.empty or (HOME, HOME) not in wide:  # one of the two is not measured
        return nothing
    means = away.T.groupby(level="case").mean().mean()
    home = wide[HOME, HOME]
    return pd.DataFrame({"home": home, "away": means, "mean": (home + means) / 2}).set_axis(columns, axis=1)
