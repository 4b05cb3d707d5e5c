"""Where rows of the IT task come from: the sample's markup, CoNLL files, and the public annotation with its finer labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from helpers.errors import UserError
from helpers.tasks.bio import columns_of, label_of, parse_markup, rows_of_columns, to_iob2

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


def row_of_line(line: str) -> dict[str, Any]:
    """The row of a line of the sample's markup."""
    return parse_markup(line, KINDS)


def _in_our_labels(row: dict[str, Any]) -> dict[str, Any]:
    fine = row["ner_tags"]
    return {"tokens": row["tokens"], "ner_tags": list(coarse_tags(fine)), "fine_tags": fine}


def split_public(headings: Sequence[str], files: dict[str, bytes]) -> dict[str, list[dict[str, Any]]]:
    """The published split (train, dev as validation, test) in our labels, with the finer tags beside them.

    Lines about where a post comes from begin with one of the headings; they are no sentences.
    """
    parts = {"train": "train.txt", "validation": "dev.txt", "test": "test.txt"}
    columns = {part: columns_of(files[name].decode("utf-8").splitlines()) for part, name in parts.items()}
    return {
        part: [_in_our_labels(row) for _, row in rows_of_columns(own) if row["tokens"][0] not in headings]
        for part, own in columns.items()
    }


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
