"""Invented crime reports for tests: one under headings, one told."""

import json

from helpers.tasks import Example, load_task

TASK = load_task("crime")
QUESTIONS = TASK.chat.questions
SYSTEM = "A virtual assistant answers questions from a user based on the provided text."
READ = "I’ve read this text."
HEADED = """**Crime Type:** Burglary
**Date and Time:** March 4, 2024, at 21:15
**Location:** 12 Quay Lane, Port Arden
**Reporting Officer:** Sergeant Mila Brandt, Badge #7731
**Summary:** Two cash boxes were taken from a closed bakery.
**Description of Victim(s):** Harbour Bakery, Owner: Ines Calder, Email: ines@harbourbakery.example
**Description of Suspect(s) (if applicable):** Tall man, 6'1" or so, in a grey parka
**Witnesses (if any):** None identified
**Evidence Collected:** Pry bar, two fingerprints, a torn glove
**Circumstances Surrounding the Incident:** Ms. Calder locked up at 19:00 and found the back door forced.
**Current Status:** Under Investigation"""
HEADED_ANSWERS = {
    "Location": ["12 Quay Lane, Port Arden"],
    "Officer_Name": ["Sergeant Mila Brandt"],
    "Officer_BadgeNumber": ["7731"],
    "Victim_Name": ["Harbour Bakery"],
    "Victim_Owner": ["Ines Calder"],
    "Victim_Email": ["ines@harbourbakery.example"],
    "Crime_Type": ["Burglary"],
    "Crime_Date": ["March 4, 2024"],
    "Crime_Time": ["21:15"],
    "Crime_Status": ["Under Investigation"],
    "Crime_Summary": ["Two cash boxes were taken from a closed bakery."],
    "Evidence_Type": ["Pry bar", "two fingerprints", "a torn glove"],
    "Witness_Name": ["None identified"],
    "Suspect_Description": ["Tall man, 6'1\" or so, in a grey parka"],
}
TOLD = """On 3 May 2023, at half past ten, a bicycle was stolen in front of the library on Mill Street.
Its owner, Jonas Weil (34), told Constable Ada Finch, number 118, that the lock had been cut.

A passer-by, Rita Moreau, saw a young woman in a red cap ride away. The cut lock was kept; the case stays open."""
TOLD_ANSWERS = {
    "Location": ["library on Mill Street"],
    "Officer_Name": ["Constable Ada Finch"],
    "Officer_BadgeNumber": ["118"],
    "Victim_Name": ["Jonas Weil"],
    "Victim_Age": ["34"],
    "Crime_Date": ["3 May 2023"],
    "Crime_Time": ["half past ten"],
    "Crime_Status": ["open"],
    "Evidence_Type": ["cut lock"],
    "Witness_Name": ["Rita Moreau"],
    "Suspect_Description": ["young woman in a red cap"],
    "Crime_Summary": [
        "On 3 May 2023, at half past ten, a bicycle was stolen in front of the library on Mill Street."
    ],
}


def conversation(
    report: str = HEADED, answers: dict | None = None, questions=QUESTIONS, read: str = READ
) -> str:
    """The flat row of a report, written without the code under test."""
    answers = HEADED_ANSWERS if answers is None else answers
    lines = [SYSTEM, f"User: Text:\n{report}", f"Assistant: {read}"]
    for name in questions:
        lines += [
            f"User: What describes {name} in the text?",
            f"Assistant: {json.dumps({name: answers.get(name, [])})}",
        ]
    return "\n".join(lines)


def example(report: str = HEADED, answers: dict | None = None, id: int = 0) -> Example:
    """A parsed row."""
    return TASK.rows.parse({"conversation": conversation(report, answers)}, id)


def headed() -> Example:
    return example()


def told() -> Example:
    return example(TOLD, TOLD_ANSWERS, 1)
