"""Rule baseline: where the eight fields of an event stand in its text.

Dates, times, lengths and what repeats are read first and blotted out, then people and places by the words that
introduce them, then what commas and dashes divide is sorted by its looks; the first that is left is the action.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from helpers.tasks.calendar.schema import LEAD, LISTS, Event
from helpers.tasks.dates import (
    BARE,
    GUESSED,
    MONTH,
    WEEKDAY,
    find_bare_times,
    find_dates,
    find_durations,
    find_times,
)
from helpers.tasks.fields import Place

CUT = "¦"  # stands for what has been read, a letter for a letter
PLATFORMS, VIRTUAL, GROUPS = (tuple(LISTS[name]) for name in ("platforms", "virtual", "groups"))
_TITLES = "|".join(LISTS["titles"])
_TITLE = rf"(?:{_TITLES})\b[.·]?"
_GROUP = "|".join(sorted(GROUPS, key=len, reverse=True))
_PLATFORM = "|".join(sorted((*PLATFORMS, *VIRTUAL), key=len, reverse=True))
_NAME = r"[^\W\d_a-z][\w'’-]*"
_PLACE_NOUN = re.compile(rf"\b(?:{'|'.join(LISTS['place_words'])})s?\b", re.IGNORECASE)
_JOIN = re.compile(r"\s*,\s*(?:and|&)\s+|\s*,\s*|\s+and\s+|\s*[&+]\s*|\s*/\s*|\s+plus\s+")
_STOP = re.compile(rf"\s*(?:[{CUT},;|()•]|[.:!?](?=\s|$)|\s[-–—]+\s|[–—]|$)")
_WORD_STOP = re.compile(
    r"\s+(?:at|in|on|via|for|from(?=\s*$|\s+(?:the\s)?(?:(?-i:[A-Z])|\d))|about|to|over|re|abt|regarding|by|using|before|after|who|which|where|if|is|are|will|should"
    r"|lasting|starting|starts?|planned|scheduled|w/|with|every|each|into|down|ok|so|online|joins?|around|bring|attending|coming|will)(?!\w)",
    re.IGNORECASE,
)
_COMPANY = re.compile(
    r"(?:(?<![\w/])(?:with|w/|w(?=\s)|invite(?=\s)|(?:led|hosted|run)\sby|attendees:|featuring|feat\.)|w/)\s*",
    re.IGNORECASE,
)
_OF_NAME = re.compile(
    rf"\b(?:(?P<led>for|by)|(?P<titled>of|to|from)"
    rf"|(?i:meet|call|email|visit|see|seeing|phone|ring|text|drop off|pick up|shadow))\s+"
    rf"(?P<who>(?:[a-z]+\s)?{_TITLE}\s{_NAME}(?:\s{_NAME})?|{_NAME}(?:\s{_NAME})?)(?!\w)"
)
_LISTED = re.compile(
    rf"(?<![\w/])(?P<people>{_NAME}(?:(?:\s*,\s*(?:and|&)\s+|\s*,\s*|\s+and\s+|\s*[&+/]\s*){_NAME})+)"
    rf"(?=\s*(?:[{CUT},;.|)]|$|[-–—]\s|via\b|on\b|at\b|online\b|for\b|attending\b))"
)
_ARTICLE = re.compile(r"(?:the|our|my|an?|that|this)\s+", re.IGNORECASE)
_PLACED = re.compile(
    rf"(?<![\w-])(?:(?:at|inside|near)\s+|@\s*|(?:via|using|over|on)\s+(?=(?:{_PLATFORM})\b)"
    rf"|(?<!put\s)(?<!pencil\s)(?<!check\s)(?:in|from)\s+(?!the\s(?:morning|afternoon|evening|week|end))(?=(?:the|an?|our|my|his|her)\s|(?-i:[^\W_a-z])|room|rm|flat|apartment|studio|hall|{_PLATFORM})"
    rf"|on\s+(?=[^,{CUT}]*\b(?:street|st|road|lane|avenue|square|pier|boat|houseboat|roof|rooftop|terrace|deck|floor|pitch)\b))",
    re.IGNORECASE,
)
_PLACE_END = re.compile(
    r"\s+(?:for|from|to|with|w/|and(?=\s+[a-z])|which|where|should|starting|starts?|lasting|every|each|on|at|before|after"
    r"|then|by|via|so|if)(?!\w)"
)
_DAYS = rf"(?:{WEEKDAY}|week|weekday|weekend|day|month|quarter|year|morning|afternoon|evening|night)s?"
_OFTEN = re.compile(
    rf"\b(?:(?:every|each)\s+(?:(?:other|second|third|two|three|first|last|\d+(?:st|nd|rd|th)?)\s+)?{_DAYS}\b"
    rf"(?:(?:\s*,\s*|\s+and\s+|\s*&\s*|\s*/\s*){WEEKDAY}s?\b)*(?:\s+of\s+(?:the|each|every)\s+month)?"
    rf"|(?:first|second|third|fourth|last|\d+(?:st|nd|rd|th))\s+(?:{WEEKDAY}\s+)?(?:of|in)\s+(?:the|each|every)\s+month"
    rf"|{WEEKDAY}s(?:(?:\s*,\s*|\s+and\s+|\s*,?\s*&\s*){WEEKDAY}s)*\b(?<=days)|weekdays|weekends"
    r"|(?:once|twice|three times)\s+(?:a|per)\s+(?:day|week|month|year)"
    r"|daily|weekly|bi-?weekly|fortnightly|monthly|quarterly|annual(?:ly)?|yearly)\b",
    re.IGNORECASE,
)
_OFTEN_INSIDE = re.compile(r"(?:\w+ly|annual)\s\w", re.IGNORECASE)
_RELATIVE = re.compile(
    rf"(?:\b(?:on|this|next|coming|from|by)\s+(?:next\s+)?)?\b(?:(?:today|tomorrow|tmrw|tmr|tonight)\b"
    rf"|(?:the\s)?\d{{1,2}}(?:st|nd|rd|th)?\s(?:of\s)?(?:{MONTH})\b\.?|(?:{MONTH})\.?\s\d{{1,2}}(?:st|nd|rd|th)?\b"
    rf"|{WEEKDAY}\b\.?(?=\s*(?:[,;{CUT}@–—-]|at\b|$))|(?<=on\s){WEEKDAY}\b|(?<=next\s){WEEKDAY}\b|(?<=this\s){WEEKDAY}\b)"
    r"(?:\s+(?:morning|afternoon|evening|night)\b)?",
    re.IGNORECASE,
)
_AROUND_TIME = re.compile(
    rf"(?<={CUT})\s?(?:[A-Z]{{2,3}}T|UTC|GMT|ET|PT|(?:[A-Z]\w+|local)\stime|sharp|hrs|Uhr)\b|(?<={CUT})[\s,(]*(?:[A-Z]{{3,4}}\s)?20\d\d\b"
)
_FILLER = re.compile(
    r"(?:[\s,;:.()–—@|•-]|\b(?:scheduled|planned|set|arranged|booked|confirmed|slated|for|on|at|around|about|starts?|starting|from"
    r"|to|by|time|time for|lasting|lasts?|which|and|will|should|be|expected|roughly|approx(?:imately)?|nearly|just|only|(?-i:the|a|an)"
    r"|(?-i:it)|is|are|in|of|via|until|till|say|max|figure|maybe|with|w/|down|beginning|due|w|into)"
    r"(?=\W|$))+",
    re.IGNORECASE,
)
_TRAILER = re.compile(
    r"(?:[\s,;:.!()–—@|•-]|(?<![\w-])(?:(?:on|into|in)\sthe\scalendar|scheduled|re-?scheduled|planned|set|arranged|booked|slated|for|on|at|around|about|starts?|starting"
    r"|from|by|lasting|lasts?|which|and|will|should|is|are|(?<!check\s)in|of|via|until|(?-i:the|a|an)|with|w/|w|into|due|to|block|reserve|keep|make|take|cap|let's|be|roughly|quick|so|or|long|using|pls|please"
    r"|ok|confirmed|beginning))+$",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"(?:(?:hey|hi|ok(?:ay)?|so|just|fyi|reminder|pls|please|kindly|can (?:you|u)|could (?:you|u)|would you|be so kind as to"
    r"|note(?: that)?|a note that|i(?:'d| would) like to|i(?:'m| am)(?: having)?|i(?:'ve| have)(?: got)?(?: to)?|i need(?: to| 2)?"
    r"|i(?:'ll| will| want to)|we(?:'re|'ve| are| have)(?: hosting| having)?|there(?:'s| is| are| will be)|let's(?: do| have)?"
    r"|remind me (?:to|of|about)|don't forget(?: to)?|have(?= an? )|move)[\s,:]+)+(?:(?:an?|the|my|our)\s+)?",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"(?!(?:and|for|or|to|should|with|w/|i'm|i|it|if|re|abt|about|make|cap|keep|let's|block|reserve|hang)\s)\S+\s\S",
    re.IGNORECASE,
)
_NUMBER_OF = re.compile(r"\d+\s\w+s$|\d+$")
_NOTE = re.compile(rf"^(?:{'|'.join(LISTS['note_words'])})\b", re.IGNORECASE)


@lru_cache(maxsize=1)
def first_names() -> frozenset[str]:
    """Given names that Faker knows in several locales, and short forms it lacks, lower case."""
    from faker.providers.person import de_DE, en_GB, en_IN, en_US, es_ES, fr_FR, it_IT

    locales = (en_US, en_GB, en_IN, de_DE, es_ES, fr_FR, it_IT)
    known = {name for part in locales for name in part.Provider.first_names}
    return frozenset(name.lower() for name in known | set(LISTS["short_names"]))


def _blot(rest: str, start: int, end: int) -> str:
    return rest[:start] + CUT * (end - start) + rest[end:]


def _tight(rest: str, start: int, end: int) -> Place:
    """The place without blanks, marks and a leading article."""
    while start < end and rest[start] in " ,;:.–—-|•":
        start += 1
    while end > start and rest[end - 1] in " ,;:–—-|•" + CUT:
        end -= 1
    if article := _ARTICLE.match(rest, start, end):
        start = article.end()
    return start, end


def _looks_like_people(piece: str, first: bool = False) -> bool:
    """A title, a known given name, or (but for what comes first) a group stands in it, and no place."""
    words = piece.split()
    if not words or len(words) > 6 or _PLACE_NOUN.search(words[-1]) or re.search(r"\d{2}", piece):
        return False
    named = words[0].lower().removesuffix("'s") in first_names() and piece[0].isupper()
    group = not first and re.search(
        rf"(?:^|\s)(?:{_GROUP}|\w+(?:men|women|ers|ors|ists|ants|ents|mates|friends|staff))$", piece, re.I
    )
    return bool(re.match(_TITLE, piece) or re.search(rf"\s{_TITLE}\s[A-Z]", piece) or group) or (
        named and all(word[0].isupper() or word in ("de", "van", "von", "from", "of") for word in words)
    )


def _parts(rest: str, start: int, end: int) -> Iterator[Place]:
    """What "and", commas and the like divide."""
    at = start
    for join in [*_JOIN.finditer(rest, start, end), None]:
        stop = join.start() if join else end
        place = _tight(rest, at, stop)
        if place[0] < place[1]:
            yield place
        at = join.end() if join else end


def _people_after(rest: str, start: int) -> tuple[list[Place], int]:
    """People from a place on: all that comes before a stop, and after a comma what looks like people."""
    found: list[Place] = []
    while start < len(rest):
        stop = _STOP.search(rest, start).start()
        word = _WORD_STOP.search(rest, start, stop)
        end = word.start() if word else stop
        parts = list(_parts(rest, start, end))
        if found and not all(_looks_like_people(rest[a:b]) or _bare_name(rest[a:b], 1) for a, b in parts):
            break
        for a, b in parts:
            platform = re.search(rf"\s+(?:{_PLATFORM})$", rest[a:b], re.IGNORECASE)
            b = a + platform.start() if platform else b
            words = rest[a:b].split(" ")
            if len(words) > 1 and words[0].lower() in first_names() and _PLACE_NOUN.search(rest[a:b]):
                b = a + len(words[0])  # "Sara Workshop Room"
            found.append((a, b))
        if word or not parts or rest[stop : stop + 1] != ",":
            break
        start = stop + 1
    return [place for place in found if place[0] < place[1]], found[-1][1] if found else start


def _bare_name(piece: str, words: int = 2) -> bool:
    """Up to so many capitalised words, none of which is a place or a platform."""
    named = re.fullmatch(rf"{_NAME}(?:\s{_NAME})?", piece) and piece.count(" ") < words
    return bool(named) and not (_PLACE_NOUN.search(piece) or re.fullmatch(_PLATFORM, piece, re.IGNORECASE))


def _looks_like_place(piece: str) -> bool:
    plain = piece.strip(" .")
    if re.fullmatch(_PLATFORM + r"(?: huddle| call)?", plain, re.IGNORECASE):
        return True
    words, noun = plain.split(), _PLACE_NOUN.search(plain) and not re.match(r"[a-z]+(?:ing|ed)\b", plain)
    address = re.match(r"\d+\w?\s[A-Z]|.*[a-zé]\s\d+\w?$", plain) and plain[0].upper() == plain[0]
    return 0 < len(words) <= 7 and bool(noun or address or re.search(r"(?<!let)'s$", plain))


def _place_after(rest: str, start: int) -> Place:
    """The place from here on, with the floors, rooms and streets that follow after commas."""
    stop = _STOP.search(rest, start).start()
    word = _PLACE_END.search(rest, start, stop)
    end = word.start() if word else stop
    while not word and rest[end : end + 2] == ", ":
        more = _STOP.search(rest, end + 2).start()
        chunk = rest[end + 2 : more].strip()
        wing = chunk[:1].isupper() and _PLACE_NOUN.search(chunk.split()[-1])
        if not (
            wing or re.match(r"(?:\d|floor|room|rm|building|suite|gate|hall)\b|\d+\w*\s|.*#\d", chunk, re.I)
        ):
            break
        end = more
    trailer = _TRAILER.search(rest, start, end)
    return _tight(rest, start, trailer.start() if trailer else end)


def _segments(rest: str) -> list[Place]:
    """What is left between cuts, commas, dashes and stops, without the words that led up to what was cut."""
    found, at = [], 0
    while at < len(rest):
        stop = _STOP.search(rest, at)
        start, end = at, stop.start()
        if start and (filler := _FILLER.match(rest, start, end)):
            start = filler.end()
        if trailer := _TRAILER.search(rest, start, end):
            end = trailer.start()
        if re.search(r"\w", rest[start:end]):
            found.append(_tight(rest, start, end) if found else (start, end))
        at = max(stop.end(), at + 1)
    return [place for place in found if place[0] < place[1]]


def find(text: str) -> dict[str, list[Place]]:
    """Field → where its values stand in a normalised text."""
    found: dict[str, list[Place]] = {name: [] for name in Event.model_fields}
    rest = re.sub(rf"\b({_TITLES}|St)\.(?=\s)", lambda m: m.group()[:-1] + "·", text)
    bare = [one for one in find_bare_times(text) if one.style in (BARE, GUESSED)]
    read = {"date": find_dates(text), "time": find_times(text) or bare[:1], "duration": find_durations(text)}
    for name, mentions in read.items():
        found[name] = [one[:2] for one in mentions[:1]]
        for one in mentions:
            rest = _blot(rest, *one[:2])
    for around in _AROUND_TIME.finditer(rest):
        rest = _blot(rest, *around.span())
    often = list(_OFTEN.finditer(rest))
    found["recurrence"] = [one.span() for one in often[:1]]
    for one in often:
        inside = _OFTEN_INSIDE.match(rest, one.start())  # "weekly sync"
        rest = rest if inside else _blot(rest, *one.span())
    for one in _RELATIVE.finditer(rest):
        rest = _blot(rest, *one.span())

    for company in [*_COMPANY.finditer(rest)]:
        people, end = _people_after(rest, company.end())
        if people:  # of "dinner with clients … with Henry" the last
            found["attendees"], rest = people, _blot(rest, company.start(), end)
    for one in _OF_NAME.finditer(rest):
        titled = re.search(rf"\b{_TITLE}\s", one["who"])
        who = one["who"].split()
        known = titled or (who[0].lower() in first_names() and (len(who) > 1 or not one["titled"]))
        if known and not _PLACE_NOUN.search(rest[one.start("who") : one.end() + 12].split(",")[0]):
            found["attendees"] = sorted([one.span("who"), *found["attendees"]])
            rest = _blot(rest, one.start() if one["led"] or one["titled"] else one.start("who"), one.end())
    for one in [] if found["attendees"] else list(_LISTED.finditer(rest)):
        people = list(_parts(rest, *one.span()))
        if any(rest[a:b].lower() in first_names() for a, b in people):
            found["attendees"], rest = people, _blot(rest, *one.span())
    start = -1
    for one in _PLACED.finditer(rest):
        place = _place_after(rest, one.end())
        if place[0] < place[1] and not (found["location"] and one.start() < found["location"][0][1]):
            found["location"], start = [place], one.start()
    if found["location"]:
        rest = _blot(rest, start, found["location"][0][1])

    left: list[Place] = []
    segments = _segments(rest)
    for at, place in enumerate(segments):
        piece, people = text[slice(*place)], list(_parts(rest, *place))
        first = not left and at + 1 < len(segments)
        peopled = 2 * sum(_looks_like_people(text[a:b], first) for a, b in people) >= len(people)
        bare = all(_bare_name(text[a:b]) for a, b in people)
        titled = first and piece.istitle() and " " in piece
        several = len(people) > 1 and "&" not in piece and all(" " not in text[a:b] for a, b in people)
        if _NOTE.match(piece) and left:
            left.append(place)
        elif _NUMBER_OF.match(piece):
            continue
        elif (left or first) and peopled:
            found["attendees"] = sorted([*found["attendees"], *people])
        elif not found["location"] and (left or titled) and _looks_like_place(piece):
            found["location"] = [place]
        elif left and bare and (several or not found["attendees"] and " " not in piece):
            found["attendees"] = sorted([*found["attendees"], *people])
        elif left and bare and not found["location"]:
            found["location"] = [place]
        else:
            left.append(place)
    if left:
        start, end = _action(text, *left[0])
        platform = re.search(rf"\s+({_PLATFORM})$", text[start:end], re.IGNORECASE)
        if platform and not found["location"]:
            found["location"], end = [(start + platform.start(1), end)], start + platform.start()
        what, _, who = text[start:end].rpartition(" ")
        if what and not found["attendees"] and who.lower() in first_names() and who.istitle():
            found["attendees"], end = [(end - len(who), end)], start + len(what)
        found["action"] = [(start, end)]
        found["notes"] = [place for place in left[1:] if _REMARK.match(text[slice(*place)])][:1]
    return found


def _action(text: str, start: int, end: int) -> Place:
    """The action without what asks for its scheduling."""
    for pattern in (_OPENING, LEAD, _ARTICLE):
        match = pattern.match(text[start:end])
        if match and match.end() < end - start:
            start += match.end()
    return start, end
