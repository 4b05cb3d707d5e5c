"""Labels of the IT task, their tags, and the finer labels of the public annotation that stand for them."""

from __future__ import annotations

from collections.abc import Sequence

from helpers.tasks.bio import label_of, to_iob2

LABELS = ("ERROR", "HARDWARE", "OS", "SOFTWARE", "VERSION")
TAGS = ("O", *(f"{prefix}-{label}" for label in LABELS for prefix in "BI"))
COARSE_LABEL = {
    "Application": "SOFTWARE",
    "Library": "SOFTWARE",
    "Language": "SOFTWARE",
    "Operating_System": "OS",
    "Device": "HARDWARE",
    "Version": "VERSION",
    "Error_Name": "ERROR",
}
UNMAPPED = frozenset(
    "Algorithm Class_Name Code_Block Data_Structure Data_Type File_Name File_Type Function_Name HTML_XML_Tag "
    "Keyboard_IP Library_Class Library_Function Library_Variable Licence Organization Output_Block "
    "User_Interface_Element User_Name Value Variable_Name Website".split()
)
"""Labels of the public annotation that none of ours stands for; their tokens are outside."""


def relabel(fine_tags: Sequence[str]) -> tuple[str, ...]:
    """Tags of our five labels from those of the public annotation; adjacent tokens of one label become one entity."""
    labels = [COARSE_LABEL.get(label_of(tag), "") for tag in fine_tags]
    return to_iob2([f"I-{label}" if label else "O" for label in labels])


def coarse_tag(fine_tag: str) -> str:
    """The one of our tags that a finer tag of :func:`align_fine` stands for."""
    label = COARSE_LABEL.get(label_of(fine_tag))
    return fine_tag[:2] + label if label else "O"
