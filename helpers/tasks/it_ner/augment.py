"""More training rows for the IT task: sentences with entities oversampled, and text without labels labelled weakly."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

from helpers.errors import UserError
from helpers.tasks.base import Example
from helpers.tasks.bio import TaggedTokens, label_of, spans_of, words_of_text
from helpers.tasks.it_ner.dictionary import Dictionary
from helpers.tasks.it_ner.sources import COARSE_LABEL, LABELS
from helpers.tasks.text import normalise

PACKAGES = "packages"
# an entry of the dictionary labels weakly only if that share of its occurrences in train is labelled
LEAST_SHARE = 0.6
SHORTEST, LONGEST = 5, 40  # tokens of a sentence that is labelled weakly
RARE = 0.5  # a label is rare where it has less than this share of the mean number of entities a label
_MARKUP = re.compile(r"[`*|<>{}\\=_#]|::|https?:|\.\. ")
Tables = dict[str, tuple[pd.DataFrame, str]]


# -- resampling -------------------------------------------------------------------------------------------------------
def label_counts(examples: Iterable[Example]) -> Counter[str]:
    """Number of entities of each label."""
    return Counter(label for example in examples for _, _, label in spans_of(example.target.tags))


def oversample(train: Sequence[Example], settings: dict[str, Any], rng: random.Random) -> list[Example]:
    """Copies of sentences with entities, `origin` "oversampled".

    Settings: each such sentence is to count `oversample` times on average (1 or more), one with a rare label (less than
    half of the mean number of entities a label) `rare_boost` times more.
    """
    counts, copies = label_counts(train), []
    rare = {label for label in LABELS if counts[label] < RARE * counts.total() / len(LABELS)}
    for example in train:
        labels = {label_of(tag) for tag in example.target.tags} - {""}
        wanted = (settings["oversample"] - 1) * bool(labels) + settings["rare_boost"] * bool(labels & rare)
        copies += [example.with_(origin="oversampled")] * (int(wanted) + (rng.random() < wanted % 1))
    return copies


# -- weak labels ------------------------------------------------------------------------------------------------------
def _sentences(text: str) -> list[str]:
    """Plain sentences of a document: no code, tables, links, headings or other markup."""
    text = re.sub(r"```.*?```", "\n\n", text, flags=re.DOTALL)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    found = [one for paragraph in paragraphs for one in re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph)]
    return [one for one in found if re.fullmatch(r"[A-Z].*[.!?]", one) and not _MARKUP.search(one)]


def unlabelled_sentences(source: str) -> list[str]:
    """Sentences to label weakly, each once, in a fixed order: lines of a text file, or of `packages` the descriptions
    of the Python packages that are installed, text about software that every environment of this project has."""
    if source != PACKAGES:
        try:
            lines = Path(source).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"unlabelled={source!r} cannot be read ({error}): give a UTF-8 text file with a sentence a line"
            ) from None
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    about = [one.metadata for one in metadata.distributions() if one.metadata]
    texts = {  # `get`: a backport raises on what is missing
        (one.get("Name") or "").lower(): one.get_payload() or one.get("Description") or "" for one in about
    }
    return list(dict.fromkeys(one for name in sorted(texts) for one in _sentences(texts[name])))


def weak_rows(train: Sequence[Example], settings: dict[str, Any], rng: random.Random) -> list[Example]:
    """Sentences with the labels that dictionary and patterns give them, `origin` "weak"; only those that have a label.

    Settings: `weak_ratio`, the wanted number of weak rows as a share of the labelled rows; `unlabelled`, where they come
    from (:func:`unlabelled_sentences`). Ids of train are not used again.
    """
    wanted = round(settings["weak_ratio"] * len(train))
    if not wanted:
        return []
    dictionary, sentences = Dictionary(train), unlabelled_sentences(settings["unlabelled"])
    rng.shuffle(sentences)
    first, rows = 1 + max(example.id for example in train), []
    for sentence in sentences:
        tokens = tuple(words_of_text(sentence))
        tags = dictionary.tags(tokens, LEAST_SHARE) if SHORTEST <= len(tokens) <= LONGEST else ()
        if set(tags) - {"O"}:
            target = TaggedTokens(tokens, tags)
            rows.append(Example(first + len(rows), normalise(" ".join(tokens)), target, "weak"))
        if len(rows) == wanted:
            break
    return rows


# -- tables for notebook 02 -------------------------------------------------------------------------------------------
def weak_quality(train: Sequence[Example], labelled: Sequence[Example]) -> pd.DataFrame:
    """How good the weak labels are, measured on rows whose labels are known and that the dictionary has not seen.

    Index label and `all`; columns predicted, right, gold (counts of entities), precision, recall.
    """
    dictionary, lines = Dictionary(train), []
    for example in labelled:
        gold = set(spans_of(example.target.tags))
        found = set(spans_of(dictionary.tags(example.target.tokens, LEAST_SHARE)))
        lines += [(span[2], span in found, span in gold & found, span in gold) for span in gold | found]
    frame = pd.DataFrame(lines, columns=["label", "predicted", "right", "gold"])
    table = frame.groupby("label").sum().reindex(LABELS, fill_value=0).astype(int)
    table.loc["all"] = table.sum()
    return table.assign(precision=table["right"] / table["predicted"], recall=table["right"] / table["gold"])


def relabelling_table(examples: Sequence[Example]) -> pd.DataFrame:
    """Index finer label, most frequent first; columns label (ours, or `outside`) and entities; empty without such tags."""
    counts = Counter(
        fine for example in examples for _, _, fine in spans_of(example.extra.get("fine_tags") or ())
    )
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(fine, COARSE_LABEL.get(fine, "outside"), count) for fine, count in ranked]
    return pd.DataFrame(rows, columns=["finer label", "label", "entities"]).set_index("finer label")


def resampling_table(train: Sequence[Example], rows: Sequence[Example]) -> pd.DataFrame:
    """Entities of each label, `sentences with entities` and `sentences without`: columns before, after, and origins."""
    groups = {"before": train, "after": rows}
    for origin in sorted({row.origin for row in rows} - {"gold"}):
        groups[origin] = [row for row in rows if row.origin == origin]
    columns = {}
    for name, group in groups.items():
        counts, filled = label_counts(group), sum(set(row.target.tags) != {"O"} for row in group)
        columns[name] = {label: counts[label] for label in LABELS}
        columns[name] |= {"sentences with entities": filled, "sentences without": len(group) - filled}
    return pd.DataFrame(columns).rename_axis("what")


def augmentation_tables(
    train: Sequence[Example], rows: Sequence[Example], validation: Sequence[Example]
) -> Tables:
    """Name → (table, caption) for notebook 02; the finer labels only where the rows have such."""
    relabelled = "Finer labels of the source in train, and which of our labels they became."
    resampled = (
        "Entities and sentences before and after, and what each way brought: copies of sentences with entities, and "
        "weakly labelled ones."
    )
    weak = "How good the weak labels are: the same labelling on validation rows, against their labels."
    tables = {
        "relabelling": (relabelling_table(train), relabelled),
        "resampling": (resampling_table(train, rows), resampled),
        "weak_labels": (weak_quality(train, validation), weak),
    }
    return {name: table for name, table in tables.items() if len(table[0])}
