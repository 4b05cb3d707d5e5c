"""Reports under other headings, in another order, with parts left out, or told without headings at all."""

from __future__ import annotations

import random
import re

from helpers.tasks.crime.text import Section, means_nothing, normalise_report, sections
from helpers.tasks.records import Example
from helpers.tasks.text import places

# sections that can be left out, and the type that goes with each
DROPPABLE = {
    "summary": "Crime_Summary",
    "suspects": "Suspect_Description",
    "witnesses": "Witness_Name",
    "evidence": "Evidence_Type",
    "status": "Crime_Status",
    "circumstances": "",
    "investigation": "",
    "steps": "",
    "conclusion": "",
    "signature": "",
}
LEAST_SECTIONS = 6
OTHER_HEADINGS = {
    "type": ("Offence", "Type of Crime", "Category"),
    "when": ("When", "Date & Time", "Date and Time of Incident"),
    "location": ("Place", "Where", "Address", "Scene"),
    "officer": ("Officer in Charge", "Investigating Officer"),
    "summary": ("Synopsis", "In Brief", "Short Summary"),
    "victims": ("Victim(s)", "Persons Harmed", "Aggrieved Party"),
    "suspects": ("Suspect(s)", "Offender Description"),
    "witnesses": ("Witnesses", "Witness(es)"),
    "evidence": ("Items Secured", "Evidence", "Exhibits"),
    "circumstances": ("Background", "What Happened"),
    "investigation": ("First Enquiries", "Action Taken"),
    "steps": ("Next Steps", "Outstanding"),
    "status": ("Status", "State of the Case", "Case Status"),
    "conclusion": ("Remarks",),
    "signature": ("Signed",),
}


def _joined(example: Example, parts: list[Section], lines: list[str]) -> str:
    """The report with these sections in place of its own; what stands above the first heading stays."""
    before = example.text[: example.text.index(parts[0].lines)]
    return normalise_report(before + "\n".join(text.rstrip("\n") for text in lines))


def reorder(example: Example, rng: random.Random) -> Example | None:
    """The sections in another order, the signature still last; None for a report that is not under headings."""
    parts = sections(example.text)
    if len(parts) < LEAST_SECTIONS:
        return None
    last = [part for part in parts if part.name == "signature"]
    others = [part for part in parts if part.name != "signature"]
    rng.shuffle(others)
    text = _joined(example, parts, [part.lines for part in others + last])
    return example.with_(text=text, origin="reorder")


def drop(example: Example, rng: random.Random) -> Example | None:
    """One to three sections left out; a type whose section is gone has no value any more.

    A section stays if one of its values is also told somewhere else: whether it then still counts would be arguable.
    """
    parts = sections(example.text)
    if len(parts) < LEAST_SECTIONS:
        return None
    gone = rng.sample(parts, rng.randint(1, 3))
    gone = [part for part in gone if part.name in DROPPABLE]
    text = _joined(example, parts, [part.lines for part in parts if part not in gone])
    target = dict(example.target)
    for part in gone:
        name = DROPPABLE[part.name]
        if name and any(places(value, text) for value in target[name] if not means_nothing(value)):
            return None
        if name:
            target[name] = []
    return (
        example.with_(text=text, target=target, origin="drop")
        if gone and _still_told(example, target, text)
        else None
    )


def _still_told(example: Example, target: dict[str, list[str]], text: str) -> bool:
    """Whether every value that stood in the report and is still wanted stands in the new text as well."""
    return all(
        places(value, text) for values in target.values() for value in values if places(value, example.text)
    )


def rename(example: Example, rng: random.Random) -> Example | None:
    """Other words for some headings, in bold or plain."""
    parts = sections(example.text)
    if len(parts) < LEAST_SECTIONS:
        return None
    bold, lines = rng.random() < 0.5, []
    for part in parts:
        heading = (
            rng.choice(OTHER_HEADINGS.get(part.name, (part.heading,))) if rng.random() < 0.6 else part.heading
        )
        content = part.lines[len(part.lines.split("\n")[0]) :]  # lines below the heading's own
        first = part.content.split("\n")[0] if not part.lines.split("\n")[0].endswith((":", "**")) else ""
        lines.append(f"**{heading}:** {first}{content}" if bold else f"{heading}: {first}{content}")
    text = _joined(example, parts, lines)
    return example.with_(text=text, origin="rename") if _still_told(example, example.target, text) else None


# -- told ----------------------------------------------------------------------------------------------------------
_OPENINGS = (
    "On {date}, at {time}, {type} took place at {place}.",
    "At {time} on {date} a call came in from {place}: {type}.",
    "This is about {type} at {place} on {date}, around {time}.",
    "{type} was reported at {place}; it happened on {date} at {time}.",
)
_OFFICERS = (
    "{name}, badge number {badge}, took the report.",
    "I am {name}, number {badge}, and I was sent there.",
    "The first on the scene was {name} (badge {badge}).",
    "The file is kept by {name}, badge #{badge}.",
)
_SUSPECTS = (
    "The suspect was described as follows: {}.",
    "What we know of the suspect: {}.",
    "Wanted is this person: {}.",
)
_WITNESSES = (
    "{} saw it happen and has given a statement.",
    "It was witnessed by {}.",
    "{} was there and will testify.",
)
_EVIDENCE = (
    "We secured {}.",
    "Kept as evidence: {}.",
    "In the evidence room there are {}.",
    "What was collected: {}.",
)
_STATUS = ("As things stand the case is {}.", "For now it is marked {}.", "Its status: {}.")
_HARMED = (
    "The damage was done to {}.",
    "Harmed by this: {}.",
    "The victim is {}.",
    "It was {} who suffered the loss.",
)
_PROSE = ("circumstances", "investigation", "steps", "conclusion")


def _listed(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} and {values[-1]}"


def _victims(target: dict[str, list[str]], rng: random.Random) -> list[str]:
    """Sentences about who was harmed, with ages, roles and address."""
    names, ages = target["Victim_Name"], target["Victim_Age"]
    told = []
    if names:
        aged = [f"{name} ({age})" for name, age in zip(names, ages)] if len(names) == len(ages) else names
        told.append(rng.choice(_HARMED).format(_listed(aged)))
    ages = [] if names and len(names) == len(ages) else ages
    for role, words in (("Victim_Owner", "owner"), ("Victim_Manager", "manager"), ("Victim_CEO", "CEO")):
        if target[role] and set(target[role]) != set(names):
            age = f", {ages[0]} years old" if ages else ""
            told.append(
                rng.choice(
                    (
                        f"The {words} is {_listed(target[role])}{age}.",
                        f"I spoke to {_listed(target[role])}{age}, the {words}.",
                    )
                )
            )
            ages = []
    told += [f"The age given is {_listed(ages)}."] if ages else []
    if target["Victim_Email"]:
        told.append(f"Mail goes to {_listed(target['Victim_Email'])}.")
    return told


def retell(example: Example, rng: random.Random) -> Example | None:
    """The report without headings: its facts in sentences, its running text as it is; nothing is said of what is not there.

    None for a report that is told already, lacks the facts to open with, or says a value in words that cannot be kept.
    """
    parts = sections(example.text)
    target = {
        name: [value for value in values if not means_nothing(value)]
        for name, values in example.target.items()
    }
    needed = ("Crime_Date", "Crime_Time", "Crime_Type", "Location")
    if len(parts) < LEAST_SECTIONS or not all(target[name] for name in needed):
        return None
    opening = rng.choice(_OPENINGS).format(
        date=target["Crime_Date"][0],
        time=target["Crime_Time"][0],
        type=target["Crime_Type"][0],
        place=target["Location"][0],
    )
    told = [" ".join(_victims(target, rng))]
    if target["Officer_Name"] and target["Officer_BadgeNumber"]:
        told.append(
            rng.choice(_OFFICERS).format(
                name=target["Officer_Name"][0], badge=target["Officer_BadgeNumber"][0]
            )
        )
    for name, patterns in (
        ("Suspect_Description", _SUSPECTS),
        ("Witness_Name", _WITNESSES),
        ("Evidence_Type", _EVIDENCE),
        ("Crime_Status", _STATUS),
    ):
        if target[name]:
            told.append(rng.choice(patterns).format(_listed([value.rstrip(".") for value in target[name]])))
    told += [part.content for part in parts if part.name in _PROSE and part.content.endswith(".")]
    told += target["Crime_Summary"]
    rng.shuffle(told)
    told = [opening, *told] if rng.random() < 0.7 else [told[0], opening, *told[1:]]
    told = [re.sub(r"\s*\n[-•* ]*", " ", text) for text in told if text]
    size = rng.randint(2, 4)
    text = normalise_report("\n\n".join(" ".join(told[at : at + size]) for at in range(0, len(told), size)))
    target["Suspect_Description"] = [value.rstrip(".") for value in target["Suspect_Description"]]
    return (
        example.with_(text=text, target=target, origin="retell")
        if _still_told(example, target, text)
        else None
    )
