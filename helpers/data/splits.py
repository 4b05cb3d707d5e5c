"""Which rows say the same, and how to split so that no such rows straddle the parts."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from rapidfuzz import fuzz, process
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from helpers.data.read import PARTS, write_jsonl
from helpers.errors import UserError
from helpers.run import Run
from helpers.tasks.records import Example
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
        Smallest similarity that is returned, 0–100.

    Returns
    -------
    DataFrame
        Columns `left`, `right` (positions), `similarity`, and `kind`: `exact` (the same normalised text), `near` (the
        same numbers: the same event written twice) or `sibling` (other numbers: another event in the same words).
        Ordered by `right`, then `left`.
    """
    within = right is None
    wordings: list[dict[str, list[int]]] = [
        {},
        {},
    ]  # each once: placeholders of left-out code repeat by the thousand
    for side, texts in zip(wordings, (left, left if within else right)):
        for at, text in enumerate(texts):
            side.setdefault(masked(text), []).append(at)
    ones, others, scores = _wording_pairs(list(wordings[0]), list(wordings[1]), threshold)
    rows = [[np.array(places) for places in side.values()] for side in wordings]
    found = [
        (np.repeat(rows[0][i], len(rows[1][j])), np.tile(rows[1][j], len(rows[0][i])))
        for i, j in zip(ones, others)
    ]
    counts = [len(pair[0]) for pair in found]
    first, second = (
        np.concatenate([pair[side] for pair in found]) if found else np.zeros(0, int) for side in (0, 1)
    )
    frame = pd.DataFrame({"left": first, "right": second, "similarity": np.repeat(scores, counts)})
    if within:
        frame = frame[frame["left"] < frame["right"]]
    frame = frame.sort_values(["right", "left"], ignore_index=True)
    return frame.assign(kind=_kinds(left, left if within else right, frame["left"], frame["right"]))


def _wording_pairs(
    left: list[str], right: list[str], threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions in both lists, and similarity, of the pairs of texts that reach the threshold."""
    rows, columns = (
        np.array(sorted(range(len(side)), key=lambda at: len(side[at])), dtype=int) for side in (left, right)
    )
    by_length, sizes = [right[at] for at in columns], np.array([len(right[at]) for at in columns])
    share = threshold / (
        200 - threshold
    )  # a text shorter than this share of the other cannot reach the threshold
    found = [(np.zeros(0, int), np.zeros(0, int), np.zeros(0))]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        low = np.searchsorted(sizes, share * len(left[block[0]]) - 1e-6)
        high = np.searchsorted(sizes, len(left[block[-1]]) / share + 1e-6) if share else len(sizes)
        scores = process.cdist(
            [left[at] for at in block],
            by_length[low:high],
            scorer=fuzz.ratio,
            dtype=np.float32,
            score_cutoff=threshold,
            workers=-1,
        )
        i, j = np.nonzero(scores >= max(threshold, 1e-6))
        found.append((block[i], columns[low + j], scores[i, j].astype(float)))
    ones, others, similarity = (np.concatenate(part) for part in zip(*found))
    return ones, others, similarity


def _kinds(left: Sequence[str], right: Sequence[str], ones: pd.Series, others: pd.Series) -> np.ndarray:
    """Kind of likeness of the pairs (positions in `left` and `right`) of alike texts, see :func:`alike`."""
    same = []
    for form in (normalise, numbers):
        codes: dict = {}
        coded = [
            np.array([codes.setdefault(form(text), len(codes)) for text in side], dtype=int)
            for side in (left, right)
        ]
        same.append(coded[0][ones] == coded[1][others])
    return np.array(["sibling", "near", "exact"], dtype=object)[np.where(same[0], 2, same[1].astype(int))]


def nearest(texts: Sequence[str], limit: int = 2000) -> pd.Series:
    """Similarity (0–100) of each text to the one most like it; of longer lists only the first `limit` texts."""
    wording = [masked(text) for text in texts[:limit]]
    best = []
    for start in range(0, len(wording), _BLOCK):
        scores = process.cdist(
            wording[start : start + _BLOCK], wording, scorer=fuzz.ratio, dtype=np.float32, workers=-1
        )
        scores[np.arange(len(scores)), start + np.arange(len(scores))] = 0
        best += scores.max(axis=1).tolist()
    return pd.Series(best, name="similarity", dtype=float)


def similarity_bands(texts: Sequence[str], width: int = 5) -> pd.Series:
    """Number of texts by the similarity to their nearest neighbour, in bands "85–90" of `width`, none left out."""
    low = (nearest(texts) // width * width).clip(upper=100 - width).astype(int)
    bands = range(low.min(), 100, width) if len(low) else ()
    return pd.Series({f"{band}–{band + width}": int((low == band).sum()) for band in bands}, dtype=int)


def near_groups(texts: Sequence[str], threshold: float = NEAR) -> list[int]:
    """Group number of each text: texts linked by a chain of alike pairs share one."""
    if not len(texts):
        return []
    pairs = alike(texts, threshold=threshold)
    links = coo_array((np.ones(len(pairs)), (pairs["left"], pairs["right"])), shape=(len(texts), len(texts)))
    return connected_components(links, directed=False)[1].tolist()


# -- removal ----------------------------------------------------------------------------------------------------------
_REMOVED = ["part", "id", "text", "because_of", "id_kept", "text_kept", "similarity", "kind"]


def _removed(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=_REMOVED)


def deduplicate(examples: list[Example], part: str = "all") -> tuple[list[Example], pd.DataFrame]:
    """Leave out every row that repeats a row kept before it (exactly or nearly, with the same numbers).

    A row in the same words with other numbers is another event and stays. The table names each row that was left out,
    and which kept one it repeats.
    """
    pairs = alike([example.text for example in examples])
    pairs = pairs[pairs["kind"] != "sibling"]
    gone: dict[int, tuple] = {}
    for i, j, similarity, kind in pairs.itertuples(index=False):
        if i not in gone and j not in gone:
            one, other = examples[j], examples[i]
            gone[j] = (part, one.id, one.text, part, other.id, other.text, similarity, kind)
    return [example for at, example in enumerate(examples) if at not in gone], _removed(list(gone.values()))


def drop_leaks(parts: dict[str, list[Example]]) -> tuple[dict[str, list[Example]], pd.DataFrame]:
    """Leave out train rows that repeat a validation or test row; the evaluation parts stay whole."""
    train, gone = parts["train"], {}
    for part in [name for name in parts if name != "train"]:
        pairs = alike([example.text for example in train], [example.text for example in parts[part]])
        for i, j, similarity, kind in pairs[pairs["kind"] != "sibling"].itertuples(index=False):
            one, other = train[i], parts[part][j]
            gone.setdefault(i, ("train", one.id, one.text, part, other.id, other.text, similarity, kind))
    kept = [example for at, example in enumerate(train) if at not in gone]
    return {**parts, "train": kept}, _removed([gone[at] for at in sorted(gone)])


# -- splitting --------------------------------------------------------------------------------------------------------
def alike_rows(examples: Sequence[Example]) -> list[list[Example]]:
    """The rows in groups of like wording (:func:`near_groups`), each group and each row in order of appearance."""
    groups: dict[int, list[Example]] = {}
    for group, example in zip(near_groups([example.text for example in examples]), examples):
        groups.setdefault(group, []).append(example)
    return list(groups.values())


def grouped_split(
    examples: list[Example], rng: random.Random, shares: dict[str, float] = SHARES
) -> dict[str, list[Example]]:
    """Split at random so that alike rows, siblings too, land in one part.

    The first of the `shares` takes what the other parts have no room for.
    """
    dealt = alike_rows(examples)
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


def leakage_audit(parts: dict[str, list[Example]]) -> pd.DataFrame:
    """How many rows of one part have a like row in another.

    Returns
    -------
    DataFrame
        One row for each pair of parts, indexed by its name; columns `exact`, `near`, `sibling`: rows of the second part
        whose nearest kind of likeness to a row of the first part it is.
    """
    table = {}
    for one, other in combinations([part for part in PARTS if part in parts], 2):
        pairs = alike([example.text for example in parts[one]], [example.text for example in parts[other]])
        closest = pairs.groupby("right")["kind"].min()  # exact < near < sibling, also by alphabet
        table[f"{one} – {other}"] = {
            kind: int((closest == kind).sum()) for kind in ("exact", "near", "sibling")
        }
    return pd.DataFrame.from_dict(table, orient="index")


@dataclass(frozen=True)
class Splits:
    """Parts of the data, what was left out on the way (:func:`deduplicate`, :func:`drop_leaks`), and the leakage audit.

    The audit holds :func:`leakage_audit` of the parts before and after, one under the other in the level `when`.
    """

    parts: dict[str, list[Example]]
    removed: pd.DataFrame
    audit: pd.DataFrame


def make_splits(run: Run, source: dict[str, list[Example]]) -> Splits:
    """Parts for training and evaluation from a loaded source.

    An unsplit source is cleared of repeats and split by wording, in the task's shares. Given parts keep their
    evaluation rows whole (scores stay comparable); train loses its own repeats and the repeats of evaluation rows.

    Parameters
    ----------
    run : Run
        Gives the seed and, where its setting `max_rows` is not 0, the number of rows to work with (of given parts
        only train is cut).
    source : dict of str to list of Example
        What :func:`helpers.data.read.load_source` returned.

    Raises
    ------
    UserError
        If there are too few rows to split, or train has none left.
    """
    limit = run.settings.get("max_rows") or None
    if "all" in source:
        rows = run.rng("max_rows").sample(source["all"], min(limit or len(source["all"]), len(source["all"])))
        rows = sorted(rows, key=lambda example: example.id)
        before = plain_split(rows, run.rng("plain split"), run.task.rows.shares)
        rows, removed = deduplicate(rows)
        parts = grouped_split(rows, run.rng("split"), run.task.rows.shares)
    else:
        before = {part: list(source[part]) for part in PARTS if part in source}
        before["train"] = before["train"][:limit]
        train, repeats = deduplicate(before["train"], "train")
        parts, leaks = drop_leaks({**before, "train": train})
        removed = _removed(repeats.values.tolist() + leaks.values.tolist())
        if not parts["train"]:
            raise UserError("every train row repeats an evaluation row: give train rows of their own")
    audit = pd.concat(
        {"before": leakage_audit(before), "after": leakage_audit(parts)}, names=["when", "parts"]
    )
    return Splits(parts, removed, audit)


def open_rows(source: dict[str, list[Example]], parts: dict[str, list[Example]]) -> list[Example]:
    """Loaded rows that may be looked at: those of train as it came, or those of a sample that no other part got."""
    if "all" not in source:
        return source["train"]
    held_out = {example.id for part, rows in parts.items() if part != "train" for example in rows}
    return [example for example in source["all"] if example.id not in held_out]


def plain_split(
    examples: list[Example], rng: random.Random, shares: dict[str, float] = SHARES
) -> dict[str, list[Example]]:
    """The plain split by the same shares that takes no notice of likeness: what the audit compares with."""
    rows = list(examples)
    rng.shuffle(rows)
    ends = [round(len(rows) * share) for share in (shares["train"], shares["train"] + shares["validation"])]
    return {"train": rows[: ends[0]], "validation": rows[ends[0] : ends[1]], "test": rows[ends[1] :]}


def write_splits(run: Run, parts: dict[str, list[Example]]) -> None:
    """Write `splits/<part>.jsonl`; a test file of an earlier run goes where these parts have none."""
    if "test" not in parts:
        run.path("splits", "test.jsonl").unlink(missing_ok=True)
    for part, examples in parts.items():
        write_jsonl(run.path("splits", f"{part}.jsonl"), map(run.task.rows.to_json, examples))
