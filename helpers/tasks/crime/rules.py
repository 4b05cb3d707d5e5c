"""Rules baseline: what the headings of a report say, read with patterns written from train rows; without headings names by the
words around them, items and descriptions by their verbs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from helpers.tasks.crime.report import WORDS, means_nothing, sections
from helpers.tasks.crime.schema import FIELDS, Target
from helpers.tasks.dates import Mention, find_dates, find_times

# -- a report without headings ---------------------------------------------------------------------------------------------
EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_NUMBER = r"\b[^\d\n]{0,15}?#?\s?((?:[A-Z]{1,2}-?)?\d[\w-]*)"
_SURE_BADGE = re.compile(rf"(?:badge|shoulder|warrant|collar|service|star|shield){_NUMBER}", re.IGNORECASE)
BADGE = re.compile(rf"(?:badge|shoulder|warrant|collar|number|no\.?|id){_NUMBER}", re.IGNORECASE)
GROUP = re.compile(
    r"\b(?:(?:in (?:his|her|their) )?(?:early|mid|late)?[ -]?(?:teens|twenties|thirties|forties|fifties|sixties|seventies|eighties)"
    r"|(?:mid|early|late)[ -]?\d0s|young adult|adult|elderly|middle-aged|senior|teenager|minor)\b",
    re.IGNORECASE,
)
_WORD = r"(?:[A-Z]|d')[\w'-]+"
NAME = rf"{_WORD}(?: (?:[A-Z]\.|de|del|van|von|der|da|dos|bin|al|el|la|le|{_WORD}))? {_WORD}(?: {_WORD})?"
_RANK = "|".join(map(re.escape, sorted(WORDS["ranks"], key=len, reverse=True)))
_OFFICER = re.compile(
    rf"\b(?:(?:[A-Z][\w'-]+\.?[ -])?(?:{_RANK})\b\.? )+(?:\d+ )?(?:[A-Z]\. )?{_WORD}(?: {_WORD}){{0,2}}"
)
_TYPES = sorted({one for crime in WORDS["crimes"].values() for one in crime["types"]}, key=len, reverse=True)
_TYPE = re.compile(rf"\b({'|'.join(map(re.escape, _TYPES))})\b", re.IGNORECASE)
_TYPE_SAID = re.compile(
    r"(?:classified|recorded|treated|listed|registered|filed|entered|put down|logged)(?: \w+){0,3} as (?:an? |the )?"
    r"([a-z][a-z -]{3,40}?)(?=[.,;]| by | and | with | but | for now)"
    r"|[Tt]he (?!incident|attack|matter|offen|fire|act\b|theft of|break)([a-z-]+(?: [a-z-]+){0,3}) (?:took place|occurred|happened)"
)
_ROOM = r"(?:Suite|Apartment|Flat|Floor|Unit|Room|Lot|Platform|Level|Building|Block|Kade|Pier|Gate) [\dA-Z]+"
_PIECE = rf"(?:{_ROOM}|{_WORD}(?: (?:of|the|and|&|{_WORD}))*)"
_PLACE = re.compile(
    rf"((?:{_PIECE}, )*\b\d{{1,5}}[A-Z]? (?:rue )?(?:{_WORD}|\d+(?:st|nd|rd|th))(?: {_WORD})*(?:, {_PIECE})*)"
    rf"|({_WORD}(?: {_WORD})* \d{{1,4}}[A-Z]?(?:, {_PIECE})+)"
    rf"|\b(?:at|outside|in front of|from|in) ((?:the )?(?:{_PIECE}|(?:[\w-]+ ){{1,3}}of {_PIECE})(?: [a-z]+)?(?:, {_PIECE})+)"
)
_SENTENCE = re.compile(
    r"(?<!\b[A-Z]\.)(?<!Mrs\.)(?<!\b[MDS][rst]\.)(?<!Sgt\.)(?<!Det\.)(?<!Cst\.)(?<!Ofc\.)(?<![ap]\.m\.)(?<=[.!?])\s+(?=[\"A-Z0-9])|\n+"
)
_DEED = re.compile(
    r"\b(?:st[oe]len?|took|taken|broken?|forc(?:ed|ing)|robbed|struck|hit|attacked|damaged|smashed|set alight|on fire|arson|threatened"
    r"|pushed|shoved|lost|followed|sprayed|snatched|torn|removed|cut|punched|kicked|slashed|painted|transfer|withdr[ae]wn?|entered"
    r"|some(?:one|body)|an? (?:\w+ ){0,2}(?:man|woman|person|stranger|caller|driver|customer|visitor|rider|girl)|unknown|intruders?"
    r"|thie(?:f|ves)|two men|persuaded|opened)\b",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"\b(?:secured|collected|seized|recovered|s[ae]en?|described|said|told|arrest(?:ed)?|called|report(?:ed)?|[Oo]fficer|camera|found|asked)\b"
)
_STATUS = re.compile(
    r"\b(?:case|file|matter|investigation|status|report|enquir(?:y|ies)|it)\b[^.\n]{0,40}?(?:\bis|\bremains?|\bstays?|\bwas|\bhas been|:)"
    r"(?: still| now| currently)? ((?:open|active|under|closed|suspended|pending|ongoing|inactive|reopened|unsolved|solved|referred"
    r"|awaiting|filed|forwarded|sent to|with the|cleared|passed|in the hands)\b[^.\n]*)",
    re.IGNORECASE,
)
_AGED = re.compile(
    rf"({NAME})(?:, | \(|, aged |, (?:an? )?(?:[a-z-]+ ){{1,3}}(?:aged |of )|, who is )(\d{{2,3}})(?=[,.;)]|-year| years)"
)
_VICTIM = re.compile(
    rf"(?:[Vv]ictims?(?: is| was|,)?|[Cc]omplainant|belonging to|property of|in the name of)(?: the)? ({NAME})"
)
_TITLE = r"(?:,|:| is)? (?:Dr\. )?"
ROLES = {
    f"Victim_{name}": re.compile(
        rf"(?:{words}){_TITLE}((?:Mrs?\. |Ms\. )?{NAME})|((?:Mrs?\. |Ms\. )?{NAME}), (?:the |its )?(?:\w+ )?(?:{noun})\b"
    )
    for name, words, noun in (
        ("Owner", "[Oo]wner|[Pp]roprietor|[Oo]wned by", "owner|proprietor"),
        ("Manager", "[Mm]anager|[Mm]anaged by", "manager"),
        ("CEO", "[Cc]hief [Ee]xecutive(?: [Oo]fficer)?|CEO", "CEO|chief executive"),
    )
}
_FIRM = re.compile(rf"(?<!\w)((?:{_WORD} |& ){{1,4}}(?:{'|'.join(WORDS['business_words'])})\b\.?)")
_SAW = re.compile(
    rf"({NAME})(?:,[^.,]*)?,?(?: and ({NAME}))? (?:had |has |also |both )*"
    r"(?:saw|seen|heard|watched|noticed|witnessed|gave (?:a |an )?(?:statement|account)|describe[sd]|met)\b"
)
_KEPT = re.compile(
    r"\b(?:secured|collected|seized|recovered|bagged|kept|took possession of|handed over|retrieved|evidence includes)\b:? (.+)"
)
_KEPT_THEM = re.compile(r"^(.+?) (?:were|was) (?:also )?(?:secured|collected|seized|recovered|bagged)\b")
_LOOKS = re.compile(
    r"^(an? (?:[\w-]+,? ){0,4}?(?:man|woman|male|female|person|youth|boy|girl|teenager|figure)\b[^;]*?)"
    r"(?=[.;]?$|;| (?:run|leave|walk|enter|drive|ride|push|jump)\b|, who (?:ran|left|drove)| left )"
)
_SUSPECTS = re.compile(
    r"\bas (?=an? )|\b(?:is|was|saw|shows) (?=an? )|[;,]? (?:and )?the (?:other|second|pillion|driver|first)[^,;]{0,20}? (?:is |was |as )?(?=an? )"
    r"|, (?:and )?(?=an? (?:[\w-]+ ){0,3}(?:man|woman|youth|girl|boy)\b)"
)
_LOOKING = re.compile(
    r"\b(?:in an?|with|wearing|aged|about \d|dressed|hair|tall|of (?:slim|medium|average))\b"
)


def first(mentions: Sequence[Mention]) -> list[str]:
    """The first date or time as it is written, without the stop of its sentence ("8:20 PM.", unlike "8:20 p.m.")."""
    return [one.text.rstrip(".") if one.text.count(".") == 1 else one.text for one in mentions[:1]]


def captured(pattern: re.Pattern, text: str, but: Sequence[str] = ()) -> list[str]:
    """The groups that the pattern finds, each once, without those that stand in other values."""
    groups = (one for match in pattern.finditer(text) for one in match.groups() if one)
    return [one for one in dict.fromkeys(groups) if not any(one in other for other in but)]


def _items_told(sentences: Sequence[str]) -> Iterator[str]:
    """What the first sentence about things that were secured names."""
    matches = (_KEPT_THEM.search(one) or _KEPT.search(one) for one in sentences)
    named = next((match[1] for match in matches if match), "")
    for item in re.split(r", and |, | and ", re.split(r"[;:]| for examination| as evidence", named)[0]):
        yield re.sub(r"^(?:an?|the|his|her) ", "", item.strip(" ."), flags=re.IGNORECASE)


def told(text: str) -> Target:
    """Types → values."""
    days, times, masked = find_dates(text), find_times(text), text
    for mention in (*days, *times):
        masked = masked.replace(mention.text, "_" * len(mention.text))
    sentences = [one for one in _SENTENCE.split(text) if one]
    summary = max(
        sentences, key=lambda one: len(_DEED.findall(one)) - 2 * len(_AFTER.findall(one)) + (len(one) > 50)
    )
    officers, where = (
        _OFFICER.findall(text),
        [one.strip(" .") for one in captured(_PLACE, masked)[:1] if "_" not in one],
    )
    taken = officers + where
    roles = {name: captured(pattern, text, taken)[:1] for name, pattern in ROLES.items()}
    runs = [one for names in roles.values() for one in names]
    aged = [(re.sub(r"^(?:When|The|Mrs?|Ms) ", "", name), age) for name, age in _AGED.findall(masked)]
    aged = [(name, age) for name, age in aged if not any(name in other for other in taken)]
    persons = [name for name, _ in aged if name not in runs] or captured(_VICTIM, text, taken)[:1]
    firms = captured(_FIRM, text, taken)[:1]
    others = captured(re.compile(f"({NAME})"), summary, taken + runs)[:1]
    victims = (firms or persons if runs else persons or firms) or [name for name, _ in aged] or others
    looks = [match[1] for one in sentences for part in _SUSPECTS.split(one) if (match := _LOOKS.search(part))]
    values = {
        "Location": where,
        "Officer_Name": officers[:1],
        "Officer_BadgeNumber": (_SURE_BADGE.findall(masked) or BADGE.findall(masked))[:1],
        "Victim_Name": victims,
        "Victim_Age": [age for _, age in aged][: max(1, len(victims))],
        "Victim_AgeRange": [],
        **roles,
        "Victim_Email": EMAIL.findall(text),
        "Crime_Time": first(times),
        "Crime_Type": (captured(_TYPE_SAID, text) or captured(_TYPE, text))[:1],
        "Crime_Summary": [summary],
        "Crime_Date": first(days),
        "Crime_Status": captured(_STATUS, text)[-1:],
        "Evidence_Type": list(_items_told(sentences)),
        "Witness_Name": captured(_SAW, text, taken + victims + runs),
        "Suspect_Description": list(dict.fromkeys(one for one in looks if _LOOKING.search(one)))[:2],
    }
    return {name: values.get(name, []) for name in FIELDS}


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
        whole = re.split(r" \(|,? (?:an? .+ )?(?:owned|managed) by|\. (?=[A-Z])| is an? ", whole)[0]
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
    name = re.split(r",| \(|;|\n| - | – ", content)[0].strip()
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


def extract(report: str) -> Target:
    """Types → values as the headings give them; from the whole text where there are none."""
    by_name: dict[str, str] = {}
    for section in sections(report):
        by_name.setdefault(section.name, section.content.strip())
    if not by_name:
        return told(report)
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
    found["Crime_Summary"] = found["Crime_Summary"] or [by_name.get("circumstances", "")]
    for section, name, read in (
        ("suspects", "Suspect_Description", _suspects),
        ("witnesses", "Witness_Name", _witnesses),
        ("evidence", "Evidence_Type", _items),
    ):
        content = by_name.get(section, "")
        found[name] = [content.strip(" .")] if means_nothing(content) else read(content)
    found |= _officer(by_name.get("officer", "")) | _victims(by_name.get("victims", ""))
    return {name: [value for value in found.get(name, []) if value] for name in FIELDS}
