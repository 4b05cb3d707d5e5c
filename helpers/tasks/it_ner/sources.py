"""Where rows of the IT task come from: the sample's markup, CoNLL files, and the public annotation with its finer labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from helpers.errors import UserError
from helpers.tasks.bio import label_of, to_iob2
from helpers.tasks.tokens import parse_markup, rows_of_columns

KINDS = ("ticket", "forum", "bug")
COARSE_LABEL = {
    "Application": "SOFTWARE",
    "Library": "SOFTWARE",
    "Language": "SOFTWARE",
    "Operating_System": "OS",
    "Device": "HARDWARE",
    "Version": "VERSION",
    "Error_Name": "ERROR",
}
"""Labels of the public annotation → the one of ours that stands for them."""
LABELS = tuple(sorted(set(COARSE_LABEL.values())))
UNMAPPED = frozenset(
    "Algorithm Class_Name Code_Block Data_Structure Data_Type File_Name File_Type Function_Name HTML_XML_Tag "
    "Keyboard_IP Library_Class Library_Function Library_Variable Licence Organization Output_Block "
    "User_Interface_Element User_Name Value Variable_Name Website".split()
)
"""Labels of the public annotation that none of ours stands for; their tokens are outside."""
HEADINGS = frozenset({"Question_ID", "Question_URL", "Answer_to_Question_ID"})
"""First tokens of the public file's lines about where a post comes from; they are no sentences."""


def coarse_tags(fine_tags: Sequence[str]) -> tuple[str, ...]:
    """Tags of our labels from those of the public annotation; adjacent tokens of one label become one entity."""
    labels = [COARSE_LABEL.get(label_of(tag), "") for tag in fine_tags]
    return to_iob2([f"I-{label}" if label else "O" for label in labels])


def relabel(tags: Sequence[str], fine: Sequence[str] | None) -> tuple[Sequence[str], Sequence[str] | None]:
    """Tags in our labels, and the finer ones: those given, or the tags if they are the finer kind."""
    labels = {label_of(tag) for tag in tags} - {""}
    if labels and labels <= COARSE_LABEL.keys() | UNMAPPED:
        return coarse_tags(tags), tags
    return tags, fine


def rows_of_file(suffix: str, lines: Sequence[str]) -> Iterator[tuple[int, dict[str, Any] | ValueError]]:
    """Rows of a file that is not JSONL: `.txt` holds the inline markup, `.conll` columns.

    Yields
    ------
    line : int
    row : dict, or the ValueError that says why there is none
    """
    if suffix == ".conll":
        yield from _sentences(lines)
        return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                yield number, parse_markup(line.rstrip("\r\n"), LABELS, KINDS)
            except ValueError as error:
                yield number, error


def _sentences(lines: Iterable[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of CoNLL columns that are sentences."""
    return ((line, row) for line, row in rows_of_columns(lines) if row["tokens"][0] not in HEADINGS)


def _in_our_labels(row: dict[str, Any]) -> dict[str, Any]:
    fine = row["ner_tags"]
    return {"tokens": row["tokens"], "ner_tags": list(coarse_tags(fine)), "fine_tags": fine}


def split_public(files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """The published split (train, dev as validation, test) in our labels, with the finer tags beside them."""
    parts = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}
    lines = {part: files[name].decode("utf-8").splitlines() for part, name in parts.items()}
    return {part: [_in_our_labels(row) for _, row in _sentences(own)] for part, own in lines.items()}


def split_hub(parts: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of the parts of the annotation's data set on the hub, as :func:`split_public` gives them.

    The data set is not pinned, so labels under other names are an error here: they would all be outside.

    Raises
    ------
    UserError
        If the rows are not tokens with tags, or one of the labels that ours are made of does not occur.
    """
    rows = [row for part in parts.values() for row in part]
    if any(not {"tokens", "ner_tags"} <= row.keys() for row in rows):
        raise UserError("the hub's rows have no columns tokens and ner_tags: use --set public_source=files")
    known = {label_of(str(tag)) for row in rows for tag in row["ner_tags"]}
    if missing := sorted(COARSE_LABEL.keys() - known):
        raise UserError(
            f"no row of the hub's data set has the label {missing[0]}, but {', '.join(sorted(known - {''}))}: "
            "use --set public_source=files"
        )
    return {part: list(map(_in_our_labels, own)) for part, own in parts.items()}
