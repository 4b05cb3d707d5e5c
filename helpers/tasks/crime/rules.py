"""Rules baseline: what the headings of a report say, read with patterns written from train rows.

In a report without headings the patterns look through the whole text, which finds little: that is the point of a
baseline.
"""

from __future__ import annotations

import re
from collections import defaultdict

from helpers.tasks.crime.text import FIELDS, Target, means_nothing, sections

MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
DATE = re.compile(
    rf"(?:{MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?, \d{{4}}|\d{{1,2}} (?:{MONTHS}) \d{{4}}|\d{{4}}-\d{{2}}-\d{{2}}"
    r"|\d{1,2}[/.]\d{1,2}[/.]\d{4}"
)
TIME = re.compile(r"\b\d{1,2}:\d{2}(?:\s?[AaPp]\.?[Mm]\.?)?")
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
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
_ROLES = {
    "owner": "Victim_Owner",
    "manager": "Victim_Manager",
    "ceo": "Victim_CEO",
    "email": "Victim_Email",
    "name": "Victim_Name",
    "business": "Victim_Name",
    "businessname": "Victim_Name",
    "company": "Victim_Name",
    "age": "Victim_Age",
    "agerange": "Victim_AgeRange",
}
_KEYED = re.compile(
    r"^(?:- )?\**(?:Victim[_ ])?(Name|Business(?: Name)?|Company|Age ?Range|Age|Owner|Manager|CEO|E-?mail)"
    r"\**\s?[:–]\**\s*(.+)$"
)
_TOLD = {
    "Victim_Owner": r"[Oo]wned by ((?:Mr\. |Mrs\. |Ms\. )?[^,;.(]+)",
    "Victim_Manager": r"[Mm]anaged by ((?:Mr\. |Mrs\. |Ms\. )?[^,;.(]+)",
}
_OWNS = re.compile(r"(?<!home)owners? of the", re.IGNORECASE)
YOUNG = 30  # train labels call the victims of up to this age young adults


def age_group(age: str) -> str:
    """The group that train labels give for an age."""
    return "Young Adult" if int(age) <= YOUNG else "Adult"


def _pieces(content: str) -> list[str]:
    """Lines of a section, those without a list mark cut at their commas and semicolons."""
    pieces = []
    for line in content.split("\n"):
        # "Tech Haven, LLC" and "Hall 3, 18 Dock Street" stay whole where a legal form or a number follows
        pieces += [line] if _KEYED.match(line) else re.split(r"[;,]\s+(?!LLC|Inc)", line)
    return [piece.strip() for piece in pieces if piece.strip()]


def _person_names(text: str) -> list[str]:
    """`John and Mary Smith` → both full names; `Mr. and Mrs. Thompson` likewise; other names as they are."""
    pair = re.fullmatch(r"(\S+) and (\S+) (.+)", text)
    return [f"{pair[1]} {pair[3]}", f"{pair[2]} {pair[3]}"] if pair else [text]


def _victims(content: str) -> dict[str, list[str]]:
    """Names, ages and roles of a victims section."""
    found: dict[str, list[str]] = defaultdict(list)
    if means_nothing(content):
        return found
    keyed: dict[str, list[str]] = defaultdict(list)
    first = True
    for piece in _pieces(content):
        key = _KEYED.match(piece)
        if key:
            name = _ROLES[key[1].lower().replace(" ", "").replace("-", "")]
            keyed[name].append(re.split(r",(?! (?:LLC|Inc))", key[2])[0].strip(" *."))
        elif first and not means_nothing(piece):
            whole = re.sub(r"^The victim is (?:the )?", "", piece)
            whole = re.split(r" \(|,? (?:an? .+ )?(?:owned|managed) by", whole)[0]
            found["Victim_Name"] += _person_names(whole.strip(' "-'))
        first = False
    for name, values in list(keyed.items()):
        if name in ("Victim_Age", "Victim_AgeRange"):
            continue
        plain = [value for value in values if not means_nothing(value)]
        # a person's form has roles that do not apply to a person
        found[name] += plain if "Victim_Age" in keyed else values
    for name, pattern in _TOLD.items():
        found[name] += [match.strip() for match in re.findall(pattern, content)]
    if re.search(r"\bCEO\b(?!:)", content) and not found["Victim_CEO"]:
        found["Victim_CEO"] += found["Victim_Owner"]
    if _OWNS.search(content):
        found["Victim_Owner"] += found["Victim_Name"]
    found["Victim_Email"] = found["Victim_Email"] or EMAIL.findall(content)
    ages = keyed["Victim_Age"] or [age for match in _AGES.findall(content) for age in match if age]
    found["Victim_Age"] = [age for age in ages if age.isdecimal()]
    found["Victim_AgeRange"] = [age_group(age) for age in found["Victim_Age"]]
    return found


def _items(content: str) -> list[str]:
    """Items of an evidence section: bullets, or what stands between commas, semicolons and a final "and"; its word for
    "none" where there are none."""
    if means_nothing(content):
        return [content.strip(" .")]
    bullets = re.findall(r"^[-•*] (.+)$", content, re.MULTILINE)
    items = bullets or re.split(r"[;,]\s+(?:and )?|\s+and (?=an? )", content)
    return [re.sub(r"^\w+_Type: ", "", item).strip(" .") for item in items if item.strip(" .")]


def _witnesses(content: str) -> list[str]:
    """Names in a witness section, or its word for "none"."""
    if means_nothing(content):
        return [content.strip(" .")]
    lines = [
        re.sub(r"^[-•*] |(?:Witness_)?Name: ", "", line)
        for line in content.split("\n")
        if "Description:" not in line
    ]
    names = [
        re.split(r",| \(| [-–] |;", line.removeprefix("- ").strip())[0] for line in lines if line.strip()
    ]
    return [name.strip(" .-") for name in names]


def _suspects(content: str) -> list[str]:
    """Descriptions in a suspects section, or its word for "none"."""
    if means_nothing(content):
        return [content.strip(" .")]
    lines = [re.sub(r"^[-•*] |Suspect_Description: |Description: ", "", line) for line in content.split("\n")]
    told = [re.sub(r"^(?:The )?[Ss]uspect (?:is )?described as an? ", "", line) for line in lines]
    return [line.strip(" .") for line in told if line.strip()]


def _officer(content: str) -> tuple[list[str], list[str]]:
    """Names and badge numbers of an officer section."""
    name = re.split(r",| \(|;|\n| - | – ", content)[0].strip()
    badge = _BADGE.search(content)
    return ([name] if name and not means_nothing(name) else []), ([badge[1]] if badge else [])


def extract(report: str) -> Target:
    """Types → values as the headings give them; from the whole text where there are none."""
    found: dict[str, list[str]] = defaultdict(list)
    by_name: dict[str, str] = {}
    for section in sections(report):
        by_name.setdefault(section.name, section.content.strip())
    for name, field in (
        ("type", "Crime_Type"),
        ("location", "Location"),
        ("summary", "Crime_Summary"),
        ("status", "Crime_Status"),
    ):
        content = by_name.get(name, "")
        if content and not means_nothing(content):
            found[field] = [content]
    if "officer" in by_name:
        found["Officer_Name"], found["Officer_BadgeNumber"] = _officer(by_name["officer"])
    if "victims" in by_name:
        found.update(_victims(by_name["victims"]))
    if by_name.get("suspects"):
        found["Suspect_Description"] = _suspects(by_name["suspects"])
    if by_name.get("witnesses"):
        found["Witness_Name"] = _witnesses(by_name["witnesses"])
    if by_name.get("evidence"):
        found["Evidence_Type"] = _items(by_name["evidence"])
    when = "\n".join(by_name.get(name, "") for name in ("when", "date", "time")) if by_name else report
    found["Crime_Date"], found["Crime_Time"] = DATE.findall(when)[:1], TIME.findall(when)[:1]
    if not by_name:
        found["Officer_Name"] = list(dict.fromkeys(_OFFICER.findall(report)))[:1]
        found["Officer_BadgeNumber"], found["Victim_Email"] = (
            _BADGE.findall(report)[:1],
            EMAIL.findall(report),
        )
    return {name: found[name] for name in FIELDS}
