"""Which rows say the same, and how to split so that no such rows straddle the parts."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, filterfalse

import numpy as np
import pandas as pd
from rapidfuzz import fuzz, process
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helpers.data.read import PARTS, write_jsonl
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks.base import Example, Task
from helpers.tasks.rows import SHARES
from helpers.tasks.text import normalise

NEAR = 90
"""Similarity (0–100) from which two digit-masked texts count as one wording.

On 554 public calendar rows the most similar pairs reach 87 and are different events in one phrasing ("Yoga class at the
studio …", "Photography class at the studio …"); a changed letter, mark or space in a text of 50 characters gives 98.
"""
_BLOCK = 512


# -- likeness ---------------------------------------------------------------------------------------------------------
def masked(text: str) -> str:
    """The wording of a text: normalised, lower case, every digit written as 0."""
    return re.sub(r"\d", "0", normalise(text).lower())


def numbers(text: str) -> tuple[str, ...]:
    """The numbers in a text, in order and without leading zeros."""
    return tuple(found.lstrip("0") or "0" for found in re.findall(r"\d+", normalise(text)))


def alike(left: Sequence[str], right: Sequence[str] | None = None, threshold: float = NEAR) -> pd.DataFrame:
    """Pairs of texts whose wording is nearly the same.

    Likeness is rapidfuzz's normalised Indel similarity, 100 · (1 − d / (m + n)) with d insertions and deletions
    between texts of m and n characters, on :func:`masked` texts.

    Parameters
    ----------
    left, right : sequence of str
        Texts to compare; without `right` each unordered pair of `left` is compared once.
    threshold : float
        Smallest similarity that is returned, above 0 and at most 100.

    Returns
    -------
    DataFrame
        Columns `left`, `right` (positions), `similarity`, and `kind`: `exact` (the same normalised text), `near` (the
        same numbers: the same event written twice) or `sibling` (other numbers: another event in the same words).
        Ordered by `right`, then `left`.
    """
    ones, others = _Wordings(left), _Wordings(left if right is None else right)
    share = threshold / (
        200 - threshold
    )  # no text shorter than this share of the other can reach the threshold
    found = [pd.DataFrame({"left": [], "right": [], "similarity": []}, dtype=int)]
    for start in range(0, len(ones.order), _BLOCK):
        rows = ones.order[start : start + _BLOCK]
        shortest, longest = ones.sizes[rows[0]], ones.sizes[rows[-1]]
        low, high = np.searchsorted(
            others.sizes[others.order], [share * shortest - 1e-6, longest / share + 1e-6]
        )
        columns = others.order[start if right is None else low : high]
        scores = process.cdist(
            ones.masked[rows],
            others.masked[columns],
            scorer=fuzz.ratio,
            dtype=np.float32,
            score_cutoff=threshold,
            workers=-1,
        )
        i, j = np.nonzero(scores)
        found.append(
            pd.DataFrame({"left": rows[i], "right": columns[j], "similarity": scores[i, j].astype(float)})
        )
    frame = pd.concat(found)
    if right is None:
        frame[["left", "right"]] = np.sort(frame[["left", "right"]], axis=1)
        frame = frame[frame["left"] < frame["right"]].drop_duplicates(["left", "right"])
    frame = frame.sort_values(["right", "left"], ignore_index=True)
    same_text = ones.normal[frame["left"]] == others.normal[frame["right"]]
    same_numbers = ones.numbers[frame["left"]] == others.numbers[frame["right"]]
    return frame.assign(
        kind=np.select([same_text, same_numbers], ["exact", "near"], "sibling").astype(object)
    )


class _Wordings:
    """Texts in the forms in which they are compared, and their order by length."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.normal = np.array([normalise(text) for text in texts], dtype=object)
        self.numbers = np.array([" ".join(numbers(text)) for text in texts], dtype=object)
        self.masked = np.array([masked(text) for text in texts], dtype=object)
        self.sizes = np.array([len(text) for text in self.masked], dtype=int)
        self.order = np.argsort(self.sizes, kind="stable")


def similarity_bands(texts: Sequence[str]) -> pd.Series:
    """Number of texts by the similarity to their nearest neighbour, in bands "85–90" of 5, none left out.

    Of longer lists only the first 2,000 texts are looked at.
    """
    wording = list(map(masked, texts[:2000]))
    scores = process.cdist(wording, wording, scorer=fuzz.ratio, dtype=np.float32, workers=-1)
    np.fill_diagonal(scores, 0)
    low = (scores.max(axis=1, initial=0) // 5 * 5).clip(max=95).astype(int)
    bands = range(low.min(), 100, 5) if len(low) else ()
    return pd.Series({f"{band}–{band + 5}": int((low == band).sum()) for band in bands}, dtype=int)


def near_groups(texts: Sequence[str], threshold: float = NEAR) -> list[int]:
    """Group number of each text: texts linked by a chain of alike pairs share one."""
    if not len(texts):
        return []
    pairs = alike(texts, threshold=threshold)
    links = coo_array((np.ones(len(pairs)), (pairs["left"], pairs["right"])), shape=(len(texts), len(texts)))
    return connected_components(links, directed=False)[1].tolist()


# -- like rows ------------------------------------------------------------------------------------------------------
def like_rows(rows: Sequence[Example], task: Task) -> pd.DataFrame:
    """Pairs of rows in nearly the same words, as :func:`alike` finds them, by their labels too.

    Near rows with other labels (another name) are other events, siblings; these and copies with other labels are marked in
    the column `conflict`.
    """
    pairs = alike([row.text for row in rows])
    values = [task.values(row.target) for row in rows]
    other = [values[i] != values[j] for i, j in zip(pairs["left"], pairs["right"])]
    pairs["conflict"] = np.array(other, dtype=bool) & (pairs["kind"] != "sibling")
    pairs.loc[(pairs["kind"] == "near") & pairs["conflict"], "kind"] = "sibling"
    return pairs


def repeats(pairs: pd.DataFrame, parts: Sequence[str]) -> pd.DataFrame:
    """Rows to leave out: those that repeat a row kept before them, and train rows that repeat one of an evaluation part.

    The rows of evaluation parts stay. Columns `right` (the row that goes), `left` (that which stays), `similarity`, `kind`.
    """
    columns, gone = ["right", "left", "similarity", "kind"], {}
    # pairs are ordered by `right`, so that train has lost its own repeats before evaluation rows come up
    for j, i, *how in pairs.loc[pairs["kind"] != "sibling", columns].itertuples(index=False):
        if parts[i] == parts[j] and parts[i] in ("all", "train"):
            if i not in gone and j not in gone:
                gone[j] = (j, i, *how)
        elif parts[i] == "train":
            gone.setdefault(i, (i, j, *how))
    return pd.DataFrame(gone.values(), columns=columns)


def leakage_audit(pairs: pd.DataFrame, parts: Sequence[str | None]) -> pd.DataFrame:
    """How many rows of one part have a like row in another; a row whose part is None was left out.

    One line for each pair of parts, indexed by its name; columns `exact`, `near`, `sibling`: rows of the second part whose
    nearest kind of likeness to a row of the first part it is.
    """
    part, table = np.array(parts, dtype=object), {}
    both = pd.concat([pairs, pairs.rename(columns={"left": "right", "right": "left"})])
    for one, other in combinations([name for name in PARTS if name in set(parts)], 2):
        across = (part[both["left"]] == one) & (part[both["right"]] == other)
        closest = both[across].groupby("right")["kind"].min()  # exact < near < sibling, also by alphabet
        table[f"{one} – {other}"] = {
            kind: int((closest == kind).sum()) for kind in ("exact", "near", "sibling")
        }
    return pd.DataFrame.from_dict(table, orient="index")


# -- splitting --------------------------------------------------------------------------------------------------------
def grouped_split(
    examples: list[Example], rng: random.Random, shares: dict[str, float] = SHARES
) -> dict[str, list[Example]]:
    """Split at random so that alike rows, siblings too, land in one part.

    The first of the `shares` takes what the other parts have no room for. (scikit-learn's group splitters deal groups
    to folds of like size in an order of their own: other rows than those that all results so far were measured on.)
    """
    groups: dict[int, list[Example]] = {}
    for group, example in zip(near_groups([example.text for example in examples]), examples):
        groups.setdefault(group, []).append(example)
    dealt = list(groups.values())
    rng.shuffle(dealt)
    first, *others = shares
    room = {part: round(shares[part] * len(examples)) for part in others}
    parts: dict[str, list[Example]] = {part: [] for part in shares}
    for members in dealt:
        part = next((name for name in others if len(parts[name]) + len(members) <= room[name]), first)
        parts[part] += members
    if not all(parts.values()):
        raise UserError(
            f"{len(examples)} rows in {len(dealt)} different wordings are too few to split into "
            f"{', '.join(shares)}: add rows or give the parts as files (--data DIR)"
        )
    return {part: sorted(members, key=lambda example: example.id) for part, members in parts.items()}


def plain_parts(count: int, rng: random.Random, shares: dict[str, float]) -> list[str]:
    """The part of each row in a split by the same shares that takes no notice of likeness: what the audit compares with."""
    order, train = list(range(count)), round(count * shares["train"])
    rng.shuffle(order)
    end = round(count * (shares["train"] + shares["validation"]))
    parts = ["train"] * train + ["validation"] * (end - train) + ["test"] * (count - end)
    return [part for _, part in sorted(zip(order, parts))]


@dataclass(frozen=True)
class Splits:
    """Parts of the data, what was noticed on the way, and the leakage audit.

    The tables name rows and the one beside which each was noticed: `removed` those left out (:func:`repeats`), `conflicts`
    those in nearly the same words whose labels differ, `siblings` those of another part in the same words. The audit holds
    :func:`leakage_audit` of the parts before and after, in the level `when`.
    """

    parts: dict[str, list[Example]]
    removed: pd.DataFrame
    conflicts: pd.DataFrame
    siblings: pd.DataFrame
    audit: pd.DataFrame


def make_splits(run: Run, source: dict[str, list[Example]]) -> Splits:
    """Parts for training and evaluation from a loaded source.

    An unsplit source is cleared of repeats and split by wording, in the task's shares; rows that its hook `test_only`
    names come to the test part on top. Given parts keep their evaluation rows whole (scores stay comparable); train loses
    its own repeats and the repeats of evaluation rows. The setting `max_rows` limits the rows, of given parts those of train.

    Raises
    ------
    UserError
        If there are too few rows to split, or train has none left.
    """
    limit, hooks = run.settings.get("max_rows") or None, run.task.hooks
    whole = list(filterfalse(hooks.test_only, source.get("all", ())))
    held = list(filter(hooks.test_only, source.get("all", ())))
    if held:  # what comes to the test part leaves no like row in another
        near = set(alike([row.text for row in held], [row.text for row in whole])["right"])
        whole = [row for at, row in enumerate(whole) if at not in near]
    if whole:
        rows = run.rng("max_rows").sample(whole, min(limit or len(whole), len(whole)))
        rows = sorted(rows, key=lambda example: example.id)
        given = ["all"] * len(rows)
        before = plain_parts(len(rows), run.rng("plain split"), run.task.rows.shares)
    else:
        source = {part: source[part] for part in PARTS if part in source}
        source["train"] = source["train"][:limit]
        rows = [example for examples in source.values() for example in examples]
        given = before = [part for part, examples in source.items() for _ in examples]
    pairs = like_rows(rows, run.task)
    gone = repeats(pairs, given)
    kept = sorted(set(range(len(rows))) - set(gone["right"]))
    if whole:
        parts = grouped_split([rows[at] for at in kept], run.rng("split"), run.task.rows.shares)
        parts["test"] += held[:limit]
    else:
        parts = {part: [rows[at] for at in kept if given[at] == part] for part in source}
        if not parts["train"]:
            raise UserError("every train row repeats an evaluation row: give train rows of their own")
    owner = {id(row): part for part, found in parts.items() for row in found}
    after = [owner.get(id(row)) for row in rows]
    audit = {"before": leakage_audit(pairs, before), "after": leakage_audit(pairs, after)}
    about = [(part, row.id, row.text) for part, row in zip(given, rows)]

    def named(found: pd.DataFrame) -> pd.DataFrame:
        """Rows `right` beside the rows `left`, once each."""
        once = found.drop_duplicates("right")[["right", "left", "similarity", "kind"]].itertuples(index=False)
        lines = [(*about[j], *about[i], *how) for j, i, *how in once]
        names = "part id text because_of id_kept text_kept similarity kind"
        return pd.DataFrame(lines, columns=names.split())

    across = np.array([given[i] != given[j] for i, j in zip(pairs["left"], pairs["right"])], dtype=bool)
    return Splits(
        parts,
        named(gone),
        named(pairs[pairs["conflict"]]),
        named(pairs[across & (pairs["kind"] == "sibling")]),
        pd.concat(audit, names=["when", "parts"]),
    )


def open_rows(source: dict[str, list[Example]], parts: dict[str, list[Example]]) -> list[Example]:
    """Loaded rows that may be looked at: those of train as it came, or those of a sample that no other part got."""
    if "all" not in source:
        return source["train"]
    held_out = {example.id for part, rows in parts.items() if part != "train" for example in rows}
    return [example for example in source["all"] if example.id not in held_out]


def write_splits(run: Run, parts: dict[str, list[Example]]) -> None:
    """Write `splits/<part>.jsonl`; a test file of an earlier run goes where these parts have none."""
    if "test" not in parts:
        run.path("splits", "test.jsonl").unlink(missing_ok=True)
    for part, examples in parts.items():
        write_jsonl(run.path("splits", f"{part}.jsonl"), map(run.task.rows.to_json, examples))
