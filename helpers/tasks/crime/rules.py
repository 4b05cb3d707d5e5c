"""Rules baseline: what the headings of a report say, read with patterns written from train rows, and what is told without them."""

from __future__ import annotations

import re
from collections import defaultdict

from helpers.tasks.crime.cues import BADGE, EMAIL, GROUP, NAME, ROLES
from helpers.tasks.crime.report import LEAST_HEADINGS, SECTIONS, means_nothing, sections
from helpers.tasks.crime.schema import FIELDS, Target
from helpers.tasks.crime.told import captured, first, sentences, tells, told, unlogged
from helpers.tasks.dates import find_dates, find_times

# -- a report under headings -----------------------------------------------------------------------------------------------
YOUNG = 30  # train labels call the victims of up to this age young adults
_AGES = re.compile(
    r"\b(?:aged?s?:?\s+|both (?:aged )?)?(\d{1,3})(?: and (\d{1,3}))?(?= years?\b|[,;.)\n]|$| respectively)"
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
        whole = re.split(
            r" \(|,? (?:an? .+ )?(?:owned|managed) by|(?<!Prof)(?<!\b[DM][rs])(?<!Mrs)\. (?=[A-Z])| is an? ",
            whole,
        )[0]
        found["Victim_Name"] = _person_names(whole.strip(' "-'))
        # further persons, each with an age or a line
        more = re.findall(rf"(?:; |\n(?:- )?|\. )({NAME})(?:, | \()(?=\d|an? |student|adult)", content)
        found["Victim_Name"] += [name for name in more if name not in found["Victim_Name"]]
    for name in ("Victim_Name", "Victim_Owner", "Victim_Manager", "Victim_CEO", "Victim_Email"):
        # a person's form has roles that do not apply to a person
        found[name] += [value for value in keyed[name] if not (keyed["Victim_Age"] and means_nothing(value))]
    for name, pattern in ROLES.items():
        found[name] = found[name] or captured(pattern, content)[:1]
    if re.search(r"\bCEO\b(?!:)", content) and not found["Victim_CEO"]:
        found["Victim_CEO"] = [*found["Victim_Owner"]]
    if _OWNS.search(content):
        found["Victim_Owner"] += found["Victim_Name"]
    found["Victim_Email"] = found["Victim_Email"] or EMAIL.findall(content)
    ages = keyed["Victim_Age"] or [age for match in _AGES.findall(content) for age in match if age]
    found["Victim_Age"] = [age for age in ages if age.isdecimal()]
    found["Victim_AgeRange"] = GROUP.findall(content)[:1]
    return found


def _officer(content: str) -> dict[str, list[str]]:
    """The name and the badge number of an officer section."""
    name = re.split(r",| \(|;|\n| - | – | / ", content)[0].strip()
    badge = BADGE.search(content)
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
    """The names that lines and pieces of a witness section begin with."""
    pieces = re.split(rf"\n|; |(?:, | and )(?={NAME}(?:$|,| \(| and|;))", content)
    lines = [re.sub(r"^[-•*] |(?:Witness_)?Name: ", "", line) for line in pieces]
    lines = [line.removeprefix("- ").strip() for line in lines if "Description:" not in line]
    return [re.split(r",| \(| [-–] |;", line)[0].strip(" .-") for line in lines]


def _suspects(content: str) -> list[str]:
    """The descriptions of a suspects section, a line each."""
    content = re.sub(r"Suspect_Description: |Description: ", "", _BULLET.sub("", content))
    told = re.sub(r"^(?:The )?[Ss]uspect (?:is )?described as an? ", "", content, flags=re.MULTILINE)
    return [
        line.strip(" .;")
        for line in re.split(r"\n|; |\.? ?(?:Suspect )?\(?\b[1-9][).:] |\((?=[1-9]\))", told)
    ]


def _under_headings(by_name: dict[str, str]) -> Target:
    """Types → values of sections, by the names of these."""
    when = "\n".join(by_name.get(name, "") for name in ("when", "date", "time"))
    found = {"Crime_Date": first(find_dates(when)), "Crime_Time": first(find_times(when))}
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


def extract(report: str) -> Target:
    """Types → values as the headings give them; what no heading is for as the rest of the text tells it."""
    text = re.sub(r" \| (?=[A-Z][\w/ ]{1,30}:)", "\n", report)  # "LOC: Hall B | STATUS: open"
    by_name: dict[str, str] = {}
    parts = sections(text)
    for part in parts:
        by_name.setdefault(part.name, part.content.strip())
    if len(by_name) >= LEAST_HEADINGS or text.startswith("**"):
        headed = {name for section in by_name for name in SECTIONS[section].get("types", ())}
        if story := by_name.get("circumstances"):
            by_name.setdefault("summary", max(sentences(story), key=tells))
        prose = [part.content for part in parts if "types" not in SECTIONS[part.name]]
        text = "\n".join([text[: text.index(parts[0].lines)] if parts else text, *prose])
    else:  # a heading here and there opens a sentence
        headed, by_name = set(), {}
        for part in sections("\n".join(sentences(unlogged(text)))):
            value = part.content.strip().split("\n")[0]
            value = value if part.name == "summary" else value.strip(" .")
            more = part.name in by_name and part.name in ("suspects", "witnesses")
            by_name[part.name] = f"{by_name[part.name]}\n{value}" if more else by_name.get(part.name, value)
    found = _under_headings(by_name)
    missing = [name for name in FIELDS if not found[name] and name not in headed]
    return found | ({name: value for name, value in told(text).items() if name in missing} if missing else {})
