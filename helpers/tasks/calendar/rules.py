"""Rule baseline: where the eight fields of an event stand in its text.

Dates, times, lengths and what repeats are read first and blotted out, then people and places by the words that
introduce them, then what commas and dashes divide is sorted by its looks; the first that is left is the action.
"""

from __future__ import annotations

import re

from helpers.tasks.calendar.asking import asked, coming, framed
from helpers.tasks.calendar.people import (
    FAMILY as _FAMILY,
)
from helpers.tasks.calendar.people import (
    LIKELY,
    MAYBE,
    NAME,
    PRONOUN,
    SURE,
    TITLE,
    certainty,
    given_names,
    parts,
    people,
    tight,
    usual_name,
)
from helpers.tasks.calendar.places import (
    CUT,
    PLATFORM,
    STREET,
    looks_like_place,
    numbered,
    online,
    place_noun,
)
from helpers.tasks.calendar.schema import Event
from helpers.tasks.calendar.when import NOTE, blot, read
from helpers.tasks.kind import Place

_STOP = re.compile(rf"\s*(?:[{CUT},;|()•]|[.:!?](?=\s|$)|\s[-–—]+\s|[–—]|$)")
_WORD_STOP = re.compile(
    r"\s+(?:at|in|on|via|for|from(?=\s*$|\s+(?:the\s)?(?:(?-i:[A-Z])|\d))|about|to|over|re|abt|regarding|by|using|before|after|who|which|where|if|is|are|will|should"
    r"|lasting|starting|starts?|planned|scheduled|w/|with|every|each|into|down|ok|so|online|joins?|around|bring|attending|coming|will)(?!\w)",
    re.IGNORECASE,
)
_COMPANY = re.compile(
    r"(?:(?<![\w/])(?:with|w/|w(?=\s)|invite(?=\s)|(?:led|hosted|run)\sby|featuring|feat\.|panel\sis|speakers?(?=\s(?-i:[A-Z]))|candidate(?=\s(?-i:[A-Z]))"
    r"|(?:attend(?:ees|ing)|guests?|present|panel|speakers?|participants|invited|who):)|w/)\s*",
    re.IGNORECASE,
)
_OF_NAME = re.compile(
    rf"\b(?:(?P<led>for|by)|(?P<titled>of|to|from)"
    r"|(?i:(?:meet|call|email|visit|see|phone|ring|text|shadow|interview|babysit)(?:t?ing)?|drop off|pick up))\s+"
    rf"(?P<who>(?:[a-z]+\s)?{TITLE}\s{NAME}(?:\s{NAME})?|{NAME}(?:\s{NAME})?)(?!\w)"
)
_VERB = re.compile(
    rf"(?i:(?:meet|call|email|visit|see|phone|ring|text|shadow|interview|babysit|collect|fetch)(?:t?ing)?|drop\soff|pick\sup)\s"
    rf"(?P<who>.+?)(?=\s(?:at|in|on|from|for|outside|about)\s|\s?[{CUT},;.]|$)"
)
_ABOUT = re.compile(
    rf"(?:(?<![\w,] )\b(?P<what>mtg|meeting|call|chat|talk)|\b(?:{PLATFORM}))\s{CUT}[{CUT}\s]*(?P<re>re|abt|about|regarding)\b:?\s",
    re.IGNORECASE,
)
_LISTED = re.compile(
    rf"(?<=[\w'{CUT}–—-] )(?P<people>(?:{TITLE}\s)?{NAME}(?:(?:\s*,\s*(?:and|&)\s+|\s*,\s*|\s+and\s+|\s*[&+/]\s*)(?:{TITLE}\s)?{NAME})+)"
    rf"(?=\s*(?:[{CUT},;.|)]|$|[-–—]\s|via\b|on\b|at\b|online\b|for\b|attending\b))"
)
_PLACED = re.compile(
    rf"(?<![\w-])(?:(?:at|inside|near|outside(?=\s(?:the\s|\d|(?-i:[A-Z]))))\s+|@\s*|(?:via|using|over|on)\s+(?=(?:{PLATFORM}|(?-i:Meet|[A-Z][a-z]+[A-Z]\w+))\b)"
    rf"|(?<!put\s)(?<!pencil\s)(?<!check\s)(?:in|from)\s+(?!the\s(?:morning|afternoon|evening|week|end)|\w+\s(?:calendar|diary))(?=(?:the|an?|our|my|his|her)\s|(?-i:[^\W_a-z])|room|rm|flat|apartment|studio|hall|{PLATFORM})"
    rf"|on\s+(?=[^,{CUT}]*\b(?:street|st|road|lane|avenue|square|pier|boat|houseboat|roof|rooftop|terrace|deck|floor|pitch)\b))",
    re.IGNORECASE,
)
_PLACE_END = re.compile(
    r"\s+(?:for|from|to|with|w/|and(?=\s+[a-z])|which|where|should|starting|starts?|lasting|every|each|at|before|after"
    rf"|on(?!\s[^,{CUT}]*\b{STREET})|then|by|via|so|if|all(?=\sday|\safternoon|\smorning))(?!\w)",
    re.IGNORECASE,
)
_FILLER = re.compile(
    r"(?:[\s,;:.()–—@|•-]|\b(?:scheduled|planned|set|arranged|booked|confirmed|slated|for|on|at|around|about|starts?|starting|from"
    r"|to|by|time|time for|lasting|lasts?|which|and|should|be|expected|roughly|approx(?:imately)?|nearly|just|only|(?-i:the|a|an)"
    r"|(?-i:it)|is|are|in|of|via|until|till|say|(?-i:max|will)|figure|maybe|with|w/|down|beginning|due|w|into|not|won't|run|longer|more|than|takes?|enough|tops|prob(?:ably)?|it's|(?:the )?(?:first|next) one|at most|(?:his|her|my|our|your|their|local) time|thr(?:u|ough) the night|thr(?:u|ough)|that's|up to|all (?:day|morning|afternoon|evening|week)|date|time|start|length|duration|when|where|venue|place)"
    r"(?=\W|$))+",
    re.IGNORECASE,
)
_TRAILER = re.compile(
    r"(?:(?:before|after)\s(?:work|school|lunch|dinner|class|hours|the\srush)|takes\splace|[\s,;:.!()–—@|•-]|(?<![\w-])(?:(?:on|into|in|to)\s(?:the|my|our|your)\s(?:calendar|diary)|scheduled|re-?scheduled|planned|set|arranged|booked|slated|for|on|at|around|about|starts?|starting"
    r"|from|by|lasting|lasts?|which|and|will|should|is|are|(?<!check\s)in|of|via|until|(?-i:the|a|an)|with|w/|w|into|due|to|block|reserve|keep|make|take|cap|let's|be|roughly|quick|so|or|long|using|pls|please"
    r"|ok|confirmed|beginning))+$",
    re.IGNORECASE,
)
_VENUE = re.compile(rf"{NAME} & {NAME}")  # "Plough & Quill"
_HEAD = re.compile(rf"[\w{CUT}][,;–—]\s(?P<head>\w[\w'’]*(?:\s[\w'’]+){{0,2}})\s$")
_FOR = re.compile(
    r"\s(?P<cue>for|between|vs|versus|against|of|to|from)\.?\s+(?P<who>(?:(?!\s(?:for|between|vs|of|to|from)\s).)+)$",
    re.IGNORECASE,
)
_ENDS_IN_PLACE = re.compile(
    rf"(?:(?:\s(?:to|for)|(?i:visit))\s(?:the|my|our)\s(?P<there>(?:[a-z]+\s)?\w+)|(?<=[a-z])\s(?P<place>{NAME}(?:\s{NAME}){{0,2}}))$"
)
_ENDS_IN_NAME = re.compile(rf"(?<=[a-z])\s(?P<who>(?P<first>{NAME})(?:\s{NAME}){{0,2}})$")
_REMARK = re.compile(
    r"(?!(?:and|for|or|to|should|with|w/|i'm|i|it|if|re|abt|about|make|cap|keep|let's|block|reserve|hang)\s)\S+\s\S",
    re.IGNORECASE,
)
_NUMBER_OF = re.compile(r"\d+\s\w+s$|\d+$")


def _people_after(rest: str, start: int) -> tuple[list[Place], int]:
    """People from a place on: all that comes before a stop, and after a comma what looks like people."""
    found: list[Place] = []
    while start < len(rest):
        stop = _STOP.search(rest, start).start()
        word = _WORD_STOP.search(rest, start, stop)
        end = word.start() if word else stop
        divided = list(parts(rest, start, end))
        more = [_of_a_list(rest[a:b]) or rest[a - 4 : a].lower() in ("the ", "our ") for a, b in divided]
        if found and divided and not (all(more) and _of_a_list(rest[slice(*divided[0])])):
            break
        for a, b in divided:
            platform = re.search(rf"\s+(?:{PLATFORM})$", rest[a:b], re.IGNORECASE)
            b = a + platform.start() if platform else b
            words = rest[a:b].split(" ")
            if len(words) > 1 and words[0].lower() in given_names() and place_noun(words[-1]):
                b = a + len(words[0])  # "Sara Workshop Room"
            if not PRONOUN.fullmatch(rest[a:b]):
                found.append((a, b))
        if word or not divided or rest[stop : stop + 1] != ",":
            break
        start = stop + 1
    return [place for place in found if place[0] < place[1]], found[-1][1] if found else start


def _of_a_list(piece: str) -> bool:
    """Whether what follows a person after a comma is one more: sure, or a single name."""
    sure = certainty(piece)
    return not looks_like_place(piece) and (sure >= LIKELY or (sure == MAYBE and " " not in piece))


def _place_after(rest: str, start: int) -> Place:
    """The place from here on, with the floors, rooms and streets that follow after commas."""
    stop = _STOP.search(rest, start).start()
    word = _PLACE_END.search(rest, start, stop)
    end = word.start() if word else stop
    while not word and rest[end : end + 2] == ", ":
        more = _STOP.search(rest, end + 2).start()
        chunk = rest[end + 2 : more].strip()
        wing = chunk[:1].isupper() and place_noun(chunk.split()[-1])
        if not (
            wing or re.match(r"(?:\d|floor|room|rm|building|suite|gate|hall)\b|\d+\w*\s|.*#\d", chunk, re.I)
        ):
            break
        end = more
    trailer = _TRAILER.search(rest, start, end)
    return tight(rest, start, trailer.start() if trailer else end)


def _segments(rest: str) -> list[Place]:
    """What is left between cuts, commas, dashes and stops, without what frames it or led up to what was cut."""
    found, at = [], 0
    while at < len(rest):
        stop = _STOP.search(rest, at)
        start, end = at, stop.start()
        if start and (filler := _FILLER.match(rest, start, end)):
            start = filler.end()
        asks = found and NOTE.match(rest[start:end])  # "cameras on please"
        if not asks and (trailer := _TRAILER.search(rest, start, end)):
            end = trailer.start()
        past = framed(rest, start, end)
        start = start if found and past < end else past
        if re.search(r"\w", rest[start:end]) and not PRONOUN.fullmatch(rest[start:end]):
            found.append(tight(rest, start, end))
        at = max(stop.end(), at + 1)
    return [place for place in found if place[0] < place[1]]


def _peopled(rest: str, segments: list[Place]) -> list[bool]:
    """Which segments name people: those that do so by themselves, and what stands in one list with them."""
    divided = [[rest[slice(*place)] for place in people(rest, *segment, least=0)] for segment in segments]
    sure = [[certainty(piece) for piece in pieces] for pieces in divided]
    least = [SURE] + [LIKELY] * len(segments)
    found = [
        bool(own)
        and 2 * sum(one >= enough for one in own) >= len(own)
        and not looks_like_place(" ".join(pieces))
        for own, pieces, enough in zip(sure, divided, least)
    ]
    joined = [
        bool(re.fullmatch(r"\s*[,;]\s*(?:and\s|&\s)?(?:the\s|our\s|my\s)?", rest[a[1] : b[0]]))
        for a, b in zip(segments, segments[1:])
    ]
    maybe = [
        at > 0
        and all(one >= MAYBE for one in own)
        and not looks_like_place(" ".join(pieces))
        and "&" not in rest[slice(*segments[at])]
        for at, (own, pieces) in enumerate(zip(sure, divided))
    ]
    single = [
        possible and all(" " not in piece for piece in pieces) for possible, pieces in zip(maybe, divided)
    ]
    found = [sure or (alone and len(pieces) > 1) for sure, alone, pieces in zip(found, single, divided)]
    for steps in (range(1, len(segments)), range(len(segments) - 2, 0, -1)):
        for at in steps:
            before = joined[at - 1] and (found[at - 1] or (single[at] and single[at - 1]))
            after = at < len(joined) and joined[at] and (found[at + 1] or (single[at] and single[at + 1]))
            found[at] = found[at] or (maybe[at] and (before or after))
    named = next(
        (at for at in range(1, len(found)) if not (found[at] and joined[at - 1])), len(found)
    )  # "Lan, Bo: rowing"
    if (
        1 < named < len(found)
        and sure[0]
        and min(sure[0]) >= MAYBE
        and rest[segments[named - 1][1] :].lstrip()[:1] in ":–—-"
    ):
        found[0] = True
    return found


def _people(rest: str, found: dict[str, list[Place]]) -> str:
    """The text without the people whom its words introduce, who are noted in `found`."""
    for who, span in [*asked(rest), *coming(rest)]:
        if CUT not in rest[slice(*span)]:
            found["attendees"] = sorted([*found["attendees"], *who])
            rest = blot(rest, *span)
    companies = []
    for company in [*_COMPANY.finditer(rest)]:
        people_, end = _people_after(rest, company.end())
        if people_:  # of "dinner with clients … with Henry" the last
            companies, rest = people_, blot(rest, company.start(), end)
    found["attendees"] = sorted([*found["attendees"], *companies])
    for one in [] if found["attendees"] else list(_LISTED.finditer(rest)):
        who = list(parts(rest, *one.span()))
        sure = [certainty(rest[a:b]) for a, b in who]
        led = (
            certainty(rest[rest[: one.start() - 1].rfind(" ") + 1 : who[0][1]]) == SURE
        )  # "Aunt Rosemary" of a list
        if not led and (sure[0] == SURE or (SURE in sure and "/" in one.group())):
            found["attendees"], rest = who, blot(rest, *one.span())
    verb = _VERB.match(rest, framed(rest, 0, len(rest)))
    if verb and (who := people(rest, *verb.span("who"))):
        found["attendees"], rest = sorted([*found["attendees"], *who]), blot(rest, *verb.span("who"))
    if about := _ABOUT.search(rest):  # "mtg w/ Ann re: the budget" is about the budget
        rest = blot(rest, about.start() if about["what"] else about.start("re"), about.end())
    for one in _OF_NAME.finditer(rest):
        titled = re.search(rf"\b{TITLE}\s", one["who"])
        who = one["who"].split()
        known = titled or (who[0].lower() in given_names() and (len(who) > 1 or not one["titled"]))
        if known and not place_noun(rest[one.start("who") : one.end() + 12].split(",")[0]):
            found["attendees"] = sorted([one.span("who"), *found["attendees"]])
            rest = blot(rest, one.start() if one["led"] or one["titled"] else one.start("who"), one.end())
    return rest


def find(text: str) -> dict[str, list[Place]]:
    """Field → where its values stand in a normalised text."""
    found: dict[str, list[Place]] = {name: [] for name in Event.model_fields}
    rest = _people(read(text, found), found)
    start = -1
    for one in _PLACED.finditer(rest):
        place = _place_after(rest, one.end())
        if one.group().lower().startswith("from") and certainty(rest[slice(*place)]) >= LIKELY:
            continue
        head = _HEAD.search(rest, 0, one.start())  # "dojo on Castle St" after a comma
        if head and place[0] < place[1] and one.group()[:2] in ("in", "on"):
            named = place_noun(head["head"].split()[-1]) or (
                one.group()[:2] == "on" and head["head"].istitle()
            )
            place = (head.start("head"), place[1]) if named else place
        if place[0] < place[1] and not (found["location"] and one.start() < found["location"][0][1]):
            found["location"], start = [place], min(place[0], one.start())
    if found["location"]:
        rest = blot(rest, start, found["location"][0][1])

    left: list[Place] = []
    introduced = bool(found["attendees"])
    segments = _segments(rest)
    for at, (place, peopled) in enumerate(zip(segments, _peopled(rest, segments))):
        piece, first = text[slice(*place)], not left and at + 1 < len(segments)
        where, sure = found["location"], certainty(piece)
        follows = text[where[0][1] : place[0]] if where else ""
        # beside people named by "with", two capitalised words by themselves are a venue unless they are a usual name
        alone = rest[: place[0]].rstrip(" ,").endswith(CUT)
        venue = (
            introduced
            and alone
            and not where
            and piece.count(" ") == 1
            and piece[0].isupper()
            and not usual_name(piece)
        )
        if left and NOTE.match(piece):
            left.append(place)
        elif _NUMBER_OF.match(piece):
            continue
        elif follows == ", The " or (
            follows == ", " and piece[0].isupper() and looks_like_place(piece) and sure < SURE
        ):
            found["location"] = [(where[0][0], place[1])]
        elif (left or first) and peopled and not venue:
            found["attendees"] = sorted([*found["attendees"], *people(rest, *place, least=0)])
        elif (
            not where
            and (left or (first and _named_place(piece)))
            and looks_like_place(piece, strict=not left)
            or left
            and not where
            and (sure == MAYBE and (" " in piece or found["attendees"]) or venue or _VENUE.fullmatch(piece))
        ):
            found["location"] = [place]
        elif left and not found["attendees"] and sure == MAYBE:
            found["attendees"] = [place]
        else:
            left.append(place)
    if left:
        found["action"] = [_action(text, *left[0], found)]
        found["notes"] = [
            place
            for place in left[1:]
            if NOTE.match(text[slice(*place)]) or _REMARK.match(text[slice(*place)])
        ][:1]
    return found


def _named_place(piece: str) -> bool:
    """Whether a piece that comes before all else is written as a place is, not as an event: a platform, capitals all
    through, an address, or somebody's."""
    capitals = all(
        word[0].isupper() or word[0].isdigit() or word in ("of", "the", "and", "&", "de")
        for word in piece.split()
    )
    return (
        online(piece)
        or (" " in piece and capitals and not piece.isupper())
        or bool(re.fullmatch(r"[A-Z]\w*'s \w+", piece))
    )


def _action(text: str, start: int, end: int, found: dict[str, list[Place]]) -> Place:
    """The action without people and places at its end, which are noted in `found`."""
    piece = text[start:end]
    hall = _ENDS_IN_PLACE.search(piece)
    hall = hall if hall and place_noun(hall[hall.lastgroup].split()[-1]) else None
    platform = re.search(rf"\s+({PLATFORM})$", piece, re.IGNORECASE)
    room = numbered(piece)
    if not found["location"] and (platform or room or hall):
        at = platform.start(1) if platform else room.start("numbered") if room else hall.start(hall.lastgroup)
        before = re.sub(r"(?:\s(?:to|for))?\s(?:the|my|our)\s*$", "", piece[:at]).rstrip()
        if before:
            found["location"], end = [(start + at, end)], start + len(before)
    if who := _FOR.search(text, start, end):
        least = {"of": SURE, "to": LIKELY, "from": LIKELY}.get(who["cue"], LIKELY)
        own = people(text, *who.span("who"), least)
        if own or (least == LIKELY and _FAMILY.fullmatch(who["who"])):
            found["attendees"] = sorted([*found["attendees"], *(own or parts(text, *who.span("who")))])
            end = who.start()
    elif not found["attendees"] and (named := _ENDS_IN_NAME.search(text, start, end)):
        known = named["first"].lower() in given_names() and not place_noun(named["who"])
        if known:
            found["attendees"], end = [named.span("who")], named.start()
    return start, end - 2 * text[start:end].endswith("'s")  # "sectional's on"
