"""Rules baseline: what the headings of a report say, read with patterns written from train rows.

In a report without headings the patterns look through the whole text, which finds little: that is the point of a
baseline.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from helpers.tasks.crime.report import means_nothing, sections
from helpers.tasks.crime.schema import FIELDS, Target
from helpers.tasks.dates import Mention, find_dates, find_times

EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
YOUNG = 30  # train labels call the victims of up to this age young adults
_BADGE = re.compile(
    r"(?:badge|shoulder|warrant|collar|number|no\.?|id)\b[^\d\n]{0,15}?#?\s?((?:[A-Z]{1,2}-?)?\d[\w-]*)",
    re.IGNORECASE,
)
_AGES = re.compile(
    r"\b(?:aged?s?:?\s+|both (?:aged )?)?(\d{1,3})(?: and (\d{1,3}))?(?= years?\b|[,;.)\n]|$| respectively)"
)
_OFFICER = re.compile(
    r"\b(?:Officer|Sergeant|Detective|Inspector|Constable|Deputy|Lieutenant|Trooper|PC|DC|DS|Sgt\.)"
    r"(?: [A-Z][\w.'-]+){1,3}"
)
_BULLET = re.compile(r"^[-•*] ", re.MULTILINE)
# "Tech Haven, LLC" stays whole
_COMMA = re.compile(r"[;,]\s+(?!LLC|Inc)")
# lines of a form: "Owner: Ines Calder", "- **Age:** 34"
_KEYED = re.compile(
    r"^(?:- )?\**(?:Victim[_ ])?(Name|Business(?: Name)?|Company|Age ?Range|Age|Owner|Manager|CEO|E-?mail)"
    r"\**\s?[:–]\**\s*(.+)$"
)
_KEYS = {"business": "Name", "businessname": "Name", "company": "Name", "agerange": "AgeRange", "ceo": "CEO"}
_TOLD = {
    "Victim_Owner": re.compile(r"[Oo]wned by ((?:Mr\. |Mrs\. |Ms\. )?[^,;.(]+)"),
    "Victim_Manager": re.compile(r"[Mm]anaged by ((?:Mr\. |Mrs\. |Ms\. )?[^,;.(]+)"),
}
_OWNS = re.compile(r"(?<!home)owners? of the", re.IGNORECASE)


def _person_names(text: str) -> list[str]:
    """`John and Mary Smith` → both full names; `Mr. and Mrs. Thompson` likewise; other names as they are."""
    pair = re.fullmatch(r"(\S+) and (\S+) (.+)", text)
    return [f"{pair[1]} {pair[3]}", f"{pair[2]} {pair[3]}"] if pair else [text]


def _keyed_and_first(content: str) -> tuple[dict[str, list[str]], str]:
    """Values of a victims section that have a key, by type, and what stands first without one."""
    keyed: dict[str, list[str]] = defaultdict(list)
    lines = content.split("\n")
    pieces = [piece for line in lines for piece in ([line] if _KEYED.match(line) else _COMMA.split(line))]
    pieces = [piece.strip() for piece in pieces if piece.strip()]
    for piece in pieces:
        if key := _KEYED.match(piece):
            word = re.sub(r"[ -]", "", key[1].lower())
            value = re.split(r",(?! (?:LLC|Inc))", key[2])[0].strip(" *.")
            keyed[f"Victim_{_KEYS.get(word, word.title())}"].append(value)
    first = pieces[0] if pieces and not _KEYED.match(pieces[0]) else ""
    return keyed, first


def _victims(content: str) -> dict[str, list[str]]:
    """Names, ages and roles of a victims section."""
    found: dict[str, list[str]] = defaultdict(list)
    if means_nothing(content):
        return found
    keyed, first = _keyed_and_first(content)
    if first and not means_nothing(first):
        whole = re.sub(r"^The victim is (?:the )?", "", first)
        whole = re.split(r" \(|,? (?:an? .+ )?(?:owned|managed) by", whole)[0]
        found["Victim_Name"] = _person_names(whole.strip(' "-'))
    for name in ("Victim_Name", "Victim_Owner", "Victim_Manager", "Victim_CEO", "Victim_Email"):
        # a person's form has roles that do not apply to a person
        found[name] += [value for value in keyed[name] if not (keyed["Victim_Age"] and means_nothing(value))]
    for name, pattern in _TOLD.items():
        found[name] += [match.strip() for match in pattern.findall(content)]
    if re.search(r"\bCEO\b(?!:)", content) and not found["Victim_CEO"]:
        found["Victim_CEO"] = [*found["Victim_Owner"]]
    if _OWNS.search(content):
        found["Victim_Owner"] += found["Victim_Name"]
    found["Victim_Email"] = found["Victim_Email"] or EMAIL.findall(content)
    ages = keyed["Victim_Age"] or [age for match in _AGES.findall(content) for age in match if age]
    found["Victim_Age"] = [age for age in ages if age.isdecimal()]
    found["Victim_AgeRange"] = [
        "Young Adult" if int(age) <= YOUNG else "Adult" for age in found["Victim_Age"]
    ]
    return found


def _officer(content: str) -> dict[str, list[str]]:
    """The name and the badge number of an officer section."""
    name = re.split(r",| \(|;|\n| - | – ", content)[0].strip()
    badge = _BADGE.search(content)
    return {
        "Officer_Name": [name] if name and not means_nothing(name) else [],
        "Officer_BadgeNumber": [badge[1]] if badge else [],
    }


def _items(content: str) -> list[str]:
    """Items of an evidence section: bullets, or what stands between commas, semicolons and a final "and"."""
    bullets = re.findall(r"^[-•*] (.+)$", content, re.MULTILINE)
    items = bullets or re.split(r"[;,]\s+(?:and )?|\s+and (?=an? )", content)
    return [re.sub(r"^\w+_Type: ", "", item).strip(" .") for item in items]


def _witnesses(content: str) -> list[str]:
    """The names that lines of a witness section begin with."""
    lines = [re.sub(r"^[-•*] |(?:Witness_)?Name: ", "", line) for line in content.split("\n")]
    lines = [line.removeprefix("- ").strip() for line in lines if "Description:" not in line]
    return [re.split(r",| \(| [-–] |;", line)[0].strip(" .-") for line in lines]


def _suspects(content: str) -> list[str]:
    """The descriptions of a suspects section, a line each."""
    content = re.sub(r"Suspect_Description: |Description: ", "", _BULLET.sub("", content))
    told = re.sub(r"^(?:The )?[Ss]uspect (?:is )?described as an? ", "", content, flags=re.MULTILINE)
    return [line.strip(" .") for line in told.split("\n")]


def _first(mentions: Sequence[Mention]) -> list[str]:
    """The first date or time as it is written, without the stop of its sentence ("8:20 PM.", unlike "8:20 p.m.")."""
    return [one.text.rstrip(".") if one.text.count(".") == 1 else one.text for one in mentions[:1]]


def extract(report: str) -> Target:
    """Types → values as the headings give them; from the whole text where there are none."""
    by_name: dict[str, str] = {}
    for section in sections(report):
        by_name.setdefault(section.name, section.content.strip())
    if not by_name:
        return {name: [] for name in FIELDS} | {
            "Crime_Date": _first(find_dates(report)),
            "Crime_Time": _first(find_times(report)),
            "Officer_Name": _OFFICER.findall(report)[:1],
            "Officer_BadgeNumber": _BADGE.findall(report)[:1],
            "Victim_Email": EMAIL.findall(report),
        }
    when = "\n".join(by_name.get(name, "") for name in ("when", "date", "time"))
    found = {"Crime_Date": _first(find_dates(when)), "Crime_Time": _first(find_times(when))}
    for section, name in (
        ("type", "Crime_Type"),
        ("location", "Location"),
        ("summary", "Crime_Summary"),
        ("status", "Crime_Status"),
    ):
        content = by_name.get(section, "")
        found[name] = [] if means_nothing(content) else [content]
    for section, name, read in (
        ("suspects", "Suspect_Description", _suspects),
        ("witnesses", "Witness_Name", _witnesses),
        ("evidence", "Evidence_Type", _items),
    ):
        content = by_name.get(section, "")
        found[name] = [content.strip(" .")] if means_nothing(content) else read(content)
    found |= _officer(by_name.get("officer", "")) | _victims(by_name.get("victims", ""))
    return {name: [value for value in found.get(name, []) if value] for name in FIELDS}
