"""How much faster questions are answered that share one reading of their text.

Run as: python -m helpers.benchmark_prefix crime --data DIR     (untuned base model; --rows 3 by default)
"""
from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import pandas as pd
import typer

from helpers.config import Run
from helpers.data import load_source
from helpers.dialogue import answer_separately, answer_together
from helpers.models import load_tokenizer, load_untuned
from helpers.tasks import Example


def compare(run: Run, model, tokenizer, rows: Sequence[Example], constraint: str = "source") -> pd.DataFrame:
    """Seconds to answer all questions about each row, from one reading of the text and from one reading a question.

    Both ways run one after the other on the same row, and write the same answers.

    Returns
    -------
    DataFrame
        Index row id; columns shared, separate (seconds), ratio, same_answers.
    """
    lines = {}
    limit = run["max_new_tokens"]
    answer_together(model, tokenizer, run.task, [rows[0].text], constraint, 2)  # first-call costs belong to neither way
    for row in rows:
        started = time.perf_counter()
        together = answer_together(model, tokenizer, run.task, [row.text], constraint, limit)[0]
        between = time.perf_counter()
        apart = answer_separately(model, tokenizer, run.task, row.text, constraint, limit)
        shared, separate = between - started, time.perf_counter() - between
        same = all(together[name].tokens == apart[name].tokens for name in apart)
        lines[row.id] = (shared, separate, separate / shared, same)
    columns = ["shared", "separate", "ratio", "same_answers"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis("row")


def finding(table: pd.DataFrame) -> str:
    """What sharing saves, in a sentence."""
    ratio = table["separate"].sum() / table["shared"].sum()
    same = "the same" if table["same_answers"].all() else "not always the same"
    return (f"Reading a text once for all its questions is **{ratio:.1f} ×** as fast as reading it anew for each "
            f"({table['shared'].mean():.2f} against {table['separate'].mean():.2f} seconds a text); "
            f"the answers are {same}.")


def main(task: str, data: str = "sample", profile: str = "cpu", rows: Annotated[int, typer.Option()] = 3) -> None:
    """Time the untuned base model on the first rows of a data source."""
    run = Run(task=task, profile=profile, data=data)
    source = load_source(run)
    table = compare(run, load_untuned(run), load_tokenizer(run), (source.get("all") or source["validation"])[:rows])
    print(table.round(3).to_string())
    print(finding(table).replace("*", ""))


if __name__ == "__main__":
    typer.run(main)
