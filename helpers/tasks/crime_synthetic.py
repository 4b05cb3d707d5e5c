"""Reports from the generator of the pre-training text, labelled by the conventions that train shows."""
from __future__ import annotations

import random
import re
from collections.abc import Sequence

from helpers.corpus.report_crimes import CRIMES
from helpers.corpus.reports import draft
from helpers.tasks.records import Example
from helpers.tasks.crime_rules import age_group
from helpers.tasks.crime_swap import pools
from helpers.tasks.crime_text import FIELDS, Target, is_headed, means_nothing, normalise_report
from helpers.text import normalise, places

# what the generator calls a fact → the type it is a value of
TYPES = {"location": "Location", "official": "Officer_Name", "id": "Officer_BadgeNumber", "subject": "Victim_Name",
         "age": "Victim_Age", "range": "Victim_AgeRange", "owner": "Victim_Owner", "manager": "Victim_Manager",
         "ceo": "Victim_CEO", "email": "Victim_Email", "type": "Crime_Type", "date": "Crime_Date", "time": "Crime_Time",
         "status": "Crime_Status", "summary": "Crime_Summary", "items": "Evidence_Type", "witness": "Witness_Name",
         "description": "Suspect_Description"}
_ARTICLE = re.compile(r"(?:an?|the) ", re.IGNORECASE)


def groups_ages(train: Sequence[Example]) -> bool:
    """Whether train labels give the group of an age (`Adult`) though the report only states the age."""
    stated = [example for example in train if example.target["Victim_Age"]]
    grouped = [example for example in stated if any(
        not places(value, example.text) for value in example.target["Victim_AgeRange"])]
    return 2 * len(grouped) > len(stated)


def keeps_articles(train: Sequence[Example]) -> bool:
    """Whether train labels of evidence keep the article that an item has in the report."""
    kept = left_out = 0
    for example in train:
        for value in example.target["Evidence_Type"]:
            before = [example.text[:start] for start, _ in places(value, example.text)[:1]]
            kept += bool(_ARTICLE.match(value))
            left_out += any(re.search(r"\b(?:an?|the) $", text, re.IGNORECASE) for text in before)
    return kept >= left_out


def _labelled(stated: dict[str, list[str]], by_age: bool, with_articles: bool) -> Target:
    """The generator's facts as the task's types."""
    target = {name: [] for name in FIELDS}
    for fact, name in TYPES.items():
        target[name] = [normalise(str(value)) for value in stated.get(fact, ())]
    if not with_articles:
        for name in ("Evidence_Type", "Suspect_Description"):
            target[name] = [_ARTICLE.sub("", value, count=1) if _ARTICLE.match(value) else value for value in target[name]]
    if by_age:
        target["Victim_AgeRange"] = [age_group(age) for age in target["Victim_Age"] if age.isdecimal()]
    return target


def synthesise(train: Sequence[Example], count: int, rng: random.Random) -> list[Example]:
    """Invented crime reports, every second one without headings; ids go on after those of train."""
    names, conventions, made = pools(), (groups_ages(train), keeps_articles(train)), []
    first = 1 + max((example.id for example in train), default=-1)
    while len(made) < count:
        layout = "narrative" if len(made) % 2 else "headed"
        report, writer = draft(rng, names, rng.choice(CRIMES), layout)
        text, target = normalise_report(report), _labelled(writer.stated, *conventions)
        values = [value for name, found in target.items() for value in found
                  if name != "Victim_AgeRange" or not conventions[0]]
        told = not is_headed(text) and any(map(means_nothing, values))
        if values and not told and all(places(value, text) for value in values):
            made.append(Example(first + len(made), text, target, "synthetic"))
    return made
