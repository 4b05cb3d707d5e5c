"""Rules for a report that has no headings, be it a story, a statement, a blotter or a log: what the words around a value say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from helpers.tasks.crime import cues
from helpers.tasks.crime.schema import FIELDS, Target
from helpers.tasks.dates import WEEKDAY, Mention, find_dates, find_times


def unlogged(text: str) -> str:
    """The text without what a log or an interview puts before its lines: the hour, who speaks, numbers, questions."""
    lines = cues.MAIL.sub("", text).split("\n")
    if sum(map(bool, map(cues.LOGGED.match, lines))) >= 3:
        lines = [cues.SPEAKER.sub("", cues.LOGGED.sub("", line)) for line in lines]
    lines = [line.replace(" – ", "\n") if line.count(" – ") >= 3 else line for line in lines]
    return cues.NUMBERED.sub("", cues.ASKED.sub("", "\n".join(lines)))


def sentences(text: str) -> list[str]:
    """Sentences as they are written; a line is never joined with the next one."""
    found, start = [], 0
    for stop in cues.STOP.finditer(text):
        end = stop.start() if "\n" in stop.group()[:1] else stop.start() + len(stop.group().rstrip())
        if "\n" in stop.group() or not cues.ABBREVIATED.search(text[max(start, end - 16) : end]):
            found.append(text[start:end].strip())
            start = stop.end()
    return [one for one in (*found, text[start:].strip()) if one]


def person(name: str) -> str:
    """A name without the words before it that are none, empty where no two words are left."""
    words = name.split()
    while words and words[0].strip(".") in cues.NOT_NAMES:
        words.pop(0)
    return " ".join(words) if len(words) > 1 else ""


def first(mentions: Sequence[Mention]) -> list[str]:
    """The first date or time as it is written, without the stop of its sentence ("8:20 PM.", unlike "8:20 p.m.")."""
    return [re.sub(r"(?<!\.m)\.$", "", one.text) for one in mentions[:1]]


def captured(pattern: re.Pattern, text: str, but: Sequence[str] = ()) -> list[str]:
    """The groups that the pattern finds, each once, without those that stand in other values."""
    groups = (one for match in pattern.finditer(text) for one in match.groups() if one)
    return [one for one in dict.fromkeys(groups) if not any(one in other for other in but)]


def _likely(mentions: Sequence[Mention], text: str, summary: str) -> list[Mention]:
    """The mentions, first those that are said of the deed, last those of reports, of arrivals, and of a letter's head."""
    ends = [line.end() for line in re.finditer(r"[.!?][\"”]?$", text, re.MULTILINE)]
    head = text.rfind("\n", 0, ends[0]) if ends else 0

    def rank(one: Mention) -> int:
        before = re.split(r"[.;!?\n] ?", text[max(0, one.start - 60) : one.start])[-1]
        near = 2 * bool(cues.HAPPENED.search(before)) - 2 * bool(cues.REPORTED.search(before))
        return near + 2 * (one.text in summary) - 2 * (one.start < head)

    return sorted(mentions, key=rank, reverse=True)


def _days(text: str) -> list[Mention]:
    """Days, those without a year too, without the weekday before them."""
    days = list(find_dates(text))
    for match in cues.DAY_ALONE.finditer(text):
        if all(match.end() <= one.start or one.end <= match.start() for one in days):
            days.append(Mention(*match.span(), match.group(), "", "no year"))
    found = []
    for one in sorted(days):
        cut = re.match(rf"(?:{WEEKDAY}\b\.?,? )?(?:the )?", one.text, re.IGNORECASE).end()
        found.append(one._replace(start=one.start + cut, text=one.text[cut:]))
    return found


def _hours(text: str) -> list[Mention]:
    """Times of day; four digits before a name are the number of a house."""
    found = [
        one
        for one in find_times(text)
        if not (
            re.fullmatch(r"\d{4}", one.text)
            and re.match(r" (?:\d+(?:st|nd|rd|th)|[A-Z][a-z])", text[one.end :])
        )
    ]
    more = [Mention(*match.span(), match.group(), "", "hhmm") for match in cues.AT.finditer(text)]
    return sorted([*found, *(one for one in more if all(one.start != other.start for other in found))])


def _sites(parts: Sequence[str]) -> list[str]:
    """Lines that are nothing but a place."""
    return [one for one in parts if re.fullmatch(rf"(?:{cues.SITE})(?:, (?:{cues.PIECE}|[a-z ]+))?", one)]


def _grouped(victims: Sequence[str], text: str) -> Iterator[str]:
    """The group of age that is said right behind the name of a victim."""
    for name in victims:
        for match in re.finditer(re.escape(name.split()[-1]), text):
            if group := cues.GROUP.search(re.split(r"[.\n]", text[match.end() : match.end() + 45])[0]):
                yield group[0].strip()


def _items_told(parts: Sequence[str]) -> Iterator[str]:
    """What sentences about things that were secured name, those with weaker words only where there are no others."""
    found = [
        cues.KEPT_THEM.search(one)
        or cues.FOUND.search(one)
        or cues.KEPT_LAST.search(one)
        or cues.KEPT.search(one)
        for one in parts
    ]
    for match in filter(None, found if any(found) else map(cues.KEPT_TOO.search, parts)):
        for item in re.split(r", and |, | and ", cues.ITEM_ENDS.split(match[1])[0]):
            item = cues.ITEM_CUT.sub("", cues.ITEM_HEAD.sub("", item.strip(" .")))
            if item and not cues.NO_ITEM.search(item):
                yield cues.SOURCED.sub(r"\1", item)


def _named(parts: Sequence[str], but: Sequence[str]) -> Iterator[str]:
    """People in sentences about what was seen or told, the subject of "he saw" too."""
    for one in parts:
        if cues.SEEN_SAID.search(one) and not cues.UNSEEN.search(one):
            for name in captured(cues.A_NAME, one, but):
                if (name := person(name)) and not cues.NO_PERSON.search(name):
                    yield name


def tells(sentence: str) -> float:
    """How much a sentence says of what was done."""
    said = (
        len(cues.DEED.findall(sentence))
        - 2 * len(cues.AFTER.findall(sentence))
        + (len(sentence) > 50)
        + sentence.endswith(".")
    )
    return said + bool(cues.TYPE.search(sentence)) - 3 * bool(cues.LIKE.search(sentence))


def _harmed(text: str, masked: str, summary: str, taken: Sequence[str]) -> tuple[Target, list[str]]:
    """Victims with their ages and groups and who runs them, and the names that stand for somebody."""
    people = {name: map(person, captured(pattern, text, taken)) for name, pattern in cues.ROLES.items()}
    roles = {name: list(filter(None, found))[:1] for name, found in people.items()}
    runs = [one for names in roles.values() for one in names]
    firms = captured(cues.FIRM_SAID, text, taken) + captured(cues.FIRM, text)
    firms = [one for one in firms if not cues.NO_FIRM.search(one)][:1]
    aged = [*cues.AGED.findall(masked), *(found[::-1] for found in cues.AGE_BEFORE.findall(masked))]
    aged = [(person(name), age) for name, age in aged]
    aged = [(name, age) for name, age in aged if name and not any(name in other for other in taken)]
    couple = [f"{one} {last}" for *both, last in cues.COUPLE.findall(text) for one in both]
    persons = (
        captured(cues.FIRST_PERSON, text, [*taken, *runs])[:1]
        or [name for name, _ in aged if name not in runs]
        or captured(cues.VICTIM, text, taken)[:1]
    )
    found = (firms or persons if runs else persons or firms) or [name for name, _ in aged] or couple[:2]
    owners = [one for names in captured(cues.OWNED_BY, text) for one in re.split(r",? and |, ", names)]
    found = found or owners or captured(cues.A_NAME, summary, [*taken, *runs])[:1]
    alone = [*firms, *owners]  # what needs no second word to be a name
    victims = [one for one in (one if one in alone else person(one) for one in found) if one]
    ages = [age for _, age in aged] or cues.AGE_OF.findall(summary) or cues.MY_AGE.findall(text)[:1]
    return {
        "Victim_Name": victims,
        "Victim_Age": ages[: max(1, len(victims))],
        "Victim_AgeRange": list(dict.fromkeys(_grouped(victims, text))),
        **roles,
        "Victim_Owner": [one for one in roles["Victim_Owner"] if one not in victims],
    }, victims + runs


def _described(parts: Sequence[str], summary: str) -> list[str]:
    """Descriptions of suspects, rather those that are no part of the summary."""
    pieces = (cues.LOOKS.search(part) for one in parts for part in cues.SUSPECTS.split(one))
    found = [match[1] or match[2] for match in pieces if match]
    found, bare = (
        [one for one in some if cues.LOOKING.search(one)]
        for some in (found, captured(cues.LOOKS_BARE, "\n".join(parts)))
    )
    return list(dict.fromkeys([one for one in found if one not in summary] or bare or found))[:2]


def _badge(masked: str, officers: Sequence[str]) -> list[str]:
    """The number behind a word for it, or behind the officer's name."""
    after = masked[masked.index(officers[0]) + len(officers[0]) :][:80] if officers else ""
    near = cues.BADGE_NEXT.findall(after)[:1] or cues.BADGE.findall(after)
    return (cues.SURE_BADGE.findall(masked) or near or cues.BADGE.findall(masked))[:1]


def told(text: str) -> Target:
    """Types → values."""
    text = unlogged(text)
    days, times, masked = _days(text), _hours(text), text
    for mention in (*days, *times):
        masked = masked.replace(mention.text, "_" * len(mention.text))
    parts = sentences(text)
    summary = max(parts, key=tells, default="")
    officers = [cues.NO_OFFICER.sub("", one) for one in cues.OFFICER.findall(masked)]
    places = captured(cues.PLACE, masked)[:1] or captured(cues.SITED, masked)[:1] or _sites(parts)[:1]
    where = [cues.NOT_WHERE.sub("", one.strip(" .")) for one in places if "_" not in one]
    harmed, known = _harmed(text, masked, summary, officers + where)
    known += officers + where
    seers = list(filter(None, map(person, captured(cues.SAW, text, known))))
    seers += [one for one in _named(parts, known) if not any(one in other for other in seers)]
    types, said = captured(cues.TYPE, text), captured(cues.TYPE_SAID, text)
    status = [cues.CUT.split(one)[0] for one in captured(cues.STATUS, text)]
    alone = [one.strip(".") for one in parts if cues.STATE.fullmatch(one.strip("."))]
    values = harmed | {
        "Location": where,
        "Officer_Name": officers[:1],
        "Officer_BadgeNumber": _badge(masked, officers),
        "Victim_Email": [one for one in cues.EMAIL.findall(text) if not cues.POLICE_MAIL.search(one)],
        "Crime_Time": first(_likely(times, text, summary)),
        "Crime_Type": ([one for one in said if cues.TYPE.search(one)] or types or said)[:1],
        "Crime_Summary": [summary] if summary else [],
        "Crime_Date": first(_likely(days, text, summary)),
        "Crime_Status": (status or alone)[-1:],
        "Evidence_Type": list(_items_told(parts)),
        "Witness_Name": list(dict.fromkeys(seers)),
        "Suspect_Description": _described(parts, summary),
    }
    return {name: values.get(name, []) for name in FIELDS}
