"""More training rows for the IT task: sentences with entities oversampled, and text without labels labelled weakly."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

import pandas as pd

from helpers.errors import UserError
from helpers.tasks.bio import TaggedTokens, label_of, spans_of
from helpers.tasks.it_ner.gazetteer import Gazetteer, build_gazetteer, dictionary_tags
from helpers.tasks.it_ner.tags import LABELS, relabel
from helpers.tasks.records import Example
from helpers.tasks.text import normalise
from helpers.tasks.tokens import tokenise

PACKAGES = "packages"
LEAST_SHARE = (
    0.6  # a gazetteer entry labels weakly only if that share of its occurrences in train is labelled
)
SHORTEST, LONGEST = 5, 40  # tokens of a sentence that is labelled weakly
_MARKUP = re.compile(r"[`*|<>{}\\=_#]|::|https?:|\.\. ")
RARE = 0.5  # a label is rare where it has less than this share of the mean number of entities a label


# -- resampling -------------------------------------------------------------------------------------------------------
def label_counts(examples: Iterable[Example]) -> Counter[str]:
    """Number of entities of each label."""
    return Counter(label for example in examples for _, _, label in spans_of(example.target.tags))


def rare_labels(train: Sequence[Example]) -> frozenset[str]:
    """Labels with less than half of the mean number of entities a label."""
    counts = label_counts(train)
    return frozenset(label for label in LABELS if counts[label] < RARE * counts.total() / len(LABELS))


def oversample(
    train: Sequence[Example], factor: float, rare_boost: float, rng: random.Random
) -> list[Example]:
    """Copies of sentences with entities, so that each counts `factor` times on average, those with a rare label more.

    Parameters
    ----------
    train : sequence of Example
    factor : float
        Wanted weight of a sentence with an entity, 1 or more.
    rare_boost : float
        Weight added where one of its labels is rare (:func:`rare_labels`).
    rng : random.Random

    Returns
    -------
    list of Example
        The copies alone, `origin` "oversampled".
    """
    rare, copies = rare_labels(train), []
    for example in train:
        labels = {label_of(tag) for tag in example.target.tags} - {""}
        wanted = (factor - 1 if labels else 0.0) + (rare_boost if labels & rare else 0.0)
        copies += [example.with_(origin="oversampled")] * (int(wanted) + (rng.random() < wanted % 1))
    return copies


# -- weak labels ------------------------------------------------------------------------------------------------------
def _sentences(text: str) -> list[str]:
    """Plain sentences of a document: no code, tables, links, headings or other markup."""
    text = re.sub(r"```.*?```", "\n\n", text, flags=re.DOTALL)
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n", text)]
    found = [
        sentence for paragraph in paragraphs for sentence in re.split(r"(?<=[.!?])\s+(?=[A-Z])", paragraph)
    ]
    return [
        sentence
        for sentence in found
        if re.match(r"[A-Z]", sentence) and sentence[-1] in ".!?" and not _MARKUP.search(sentence)
    ]


def unlabelled_sentences(source: str) -> list[str]:
    """Sentences to label weakly, each once, in a fixed order.

    Parameters
    ----------
    source : str
        A text file with one sentence a line, or `packages`: the descriptions of the Python packages that are
        installed, text about software that every environment of this project has.

    Raises
    ------
    UserError
        If there is no such file.
    """
    if source != PACKAGES:
        try:
            lines = Path(source).expanduser().read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"unlabelled={source!r} cannot be read ({error}): give a UTF-8 text file with a sentence a "
                "line"
            ) from None
        return list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    about = [
        dist.metadata for dist in metadata.distributions()
    ]  # `get`: a backport raises on what is missing
    texts = {
        (one.get("Name") or "").lower(): one.get_payload() or one.get("Description") or ""
        for one in about
        if one
    }
    return list(dict.fromkeys(sentence for name in sorted(texts) for sentence in _sentences(texts[name])))


def weak_rows(train: Sequence[Example], ratio: float, source: str, rng: random.Random) -> list[Example]:
    """Sentences of `source` with the labels that gazetteer and patterns give them.

    Only sentences in which something was found are taken.

    Parameters
    ----------
    train : sequence of Example
        Labelled rows the gazetteer is made of; their ids are not used again.
    ratio : float
        Wanted number of weak rows as a share of the labelled rows.
    source : str
        See :func:`unlabelled_sentences`.
    rng : random.Random

    Returns
    -------
    list of Example
        At most `ratio` times the number of train rows, `origin` "weak".
    """
    wanted = round(ratio * len(train))
    if not wanted:
        return []
    gazetteer, sentences = build_gazetteer(train), unlabelled_sentences(source)
    rng.shuffle(sentences)
    first, rows = 1 + max(example.id for example in train), []
    for sentence in sentences:
        tokens = tuple(sentence[start:end] for start, end in tokenise(sentence))
        if not SHORTEST <= len(tokens) <= LONGEST:
            continue
        tags = weak_tags(tokens, gazetteer)
        if set(tags) != {"O"}:
            rows.append(
                Example(first + len(rows), normalise(" ".join(tokens)), TaggedTokens(tokens, tags), "weak")
            )
        if len(rows) == wanted:
            break
    return rows


def weak_tags(tokens: Sequence[str], gazetteer: Gazetteer) -> tuple[str, ...]:
    """Tags that the weak labelling gives."""
    return dictionary_tags(tokens, gazetteer, LEAST_SHARE)


def weak_quality(train: Sequence[Example], labelled: Sequence[Example]) -> pd.DataFrame:
    """How good the weak labels are, measured on rows whose labels are known and that the gazetteer has not seen.

    Returns
    -------
    DataFrame
        Index label and `all`; columns predicted, right, gold (counts of entities), precision, recall.
    """
    gazetteer = build_gazetteer(train)
    counts = {label: Counter() for label in (*LABELS, "all")}
    for example in labelled:
        gold, found = (
            set(spans_of(example.target.tags)),
            set(spans_of(weak_tags(example.target.tokens, gazetteer))),
        )
        for what, spans in (("gold", gold), ("predicted", found), ("right", gold & found)):
            for span in spans:
                counts[span[2]][what] += 1
                counts["all"][what] += 1
    table = (
        pd.DataFrame.from_dict(counts, orient="index", columns=["predicted", "right", "gold"])
        .fillna(0)
        .astype(int)
    )
    table["precision"], table["recall"] = table["right"] / table["predicted"], table["right"] / table["gold"]
    return table.rename_axis("label")


# -- tables for notebook 02 -------------------------------------------------------------------------------------------
def relabelling_table(examples: Sequence[Example]) -> pd.DataFrame:
    """Finer labels and what became of them.

    Returns
    -------
    DataFrame
        Index finer label, most frequent first; columns label (ours, or `outside`) and entities. Empty where the rows
        have no finer tags.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for example in examples:
        for _start, _end, fine in spans_of(example.extra.get("fine_tags") or ()):
            label = label_of(relabel([f"B-{fine}"])[0])
            counts[fine, label or "outside"] += 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows = [(fine, label, count) for (fine, label), count in ranked]
    return pd.DataFrame(rows, columns=["finer label", "label", "entities"]).set_index("finer label")


def resampling_table(train: Sequence[Example], rows: Sequence[Example]) -> pd.DataFrame:
    """Entities of each label, sentences with and without entities, before and after.

    Returns
    -------
    DataFrame
        Index the labels, `sentences with entities`, `sentences without`; columns before, after and, for each origin of
        `rows` beside gold, the number that it brought.
    """
    origins = sorted({row.origin for row in rows} - {"gold"})
    groups = {
        "before": train,
        "after": rows,
        **{o: [row for row in rows if row.origin == o] for o in origins},
    }
    columns = {}
    for name, group in groups.items():
        counts = label_counts(group)
        filled = sum(set(example.target.tags) != {"O"} for example in group)
        columns[name] = {
            **{label: counts[label] for label in LABELS},
            "sentences with entities": filled,
            "sentences without": len(group) - filled,
        }
    return pd.DataFrame(columns).rename_axis("what")
