"""Rule baseline: where the eight fields of an event stand in its text.

Dates, times, lengths and what repeats are read first and blotted out (`when`), then people whom words introduce
(`company`, `asking`) and places after their prepositions (`places`). What commas, dashes and cuts leave is sorted by clues:
titles, kin and given names, lists, nouns of places, numbers, capitals, imperatives. The first that is left is the action.
"""

from __future__ import annotations

import re

from helpers.tasks.calendar.asking import framed
from helpers.tasks.calendar.company import introduced
from helpers.tasks.calendar.people import (
    FAMILY,
    LIKELY,
    MAYBE,
    NAME,
    PRONOUN,
    SURE,
    certainty,
    given_names,
    parts,
    people,
    usual_name,
)
from helpers.tasks.calendar.pieces import CUT, FILLER, REACH, STOP, TRAILER, blot, tight
from helpers.tasks.calendar.places import (
    PLACED,
    PLATFORM,
    looks_like_place,
    numbered,
    online,
    place_after,
    place_noun,
)
from helpers.tasks.calendar.schema import Event
from helpers.tasks.calendar.when import NOTE, read, remarked
from helpers.tasks.fields import Place

_VENUE = re.compile(rf"{NAME} & {NAME}")  # "Plough & Quill"
_HEAD = re.compile(rf"[\w{CUT}][,;–—]\s(?P<head>\w[\w'’]*(?:\s[\w'’]+){{0,2}})\s$")
_FOR = re.compile(
    r"\s(?P<cue>for|between|vs?|versus|against|of|to|from)\.?\s+(?P<who>(?:(?!\s(?:for|between|vs?|of|to|from)\s).)+)$",
    re.IGNORECASE,
)
_ENDS_IN_PLACE = re.compile(
    r"(?:\s(?:to|for)\s(?:the|my|our)\s(?P<there>(?:[a-z]+\s)?\w+)"
    rf"|(?<=[a-z])\s(?P<place>{NAME}(?:\s{NAME}){{0,2}}))$"
)
_ENDS_IN_NAME = re.compile(rf"(?<=[a-z\d])(?<!\sand)\s(?P<who>(?P<first>{NAME})(?:\s{NAME}){{0,2}})$")
_REST = re.compile(
    r"(?!(?:and|for|or|to|should|with|w/|i'm|i|it|if|re|abt|about|make|cap|keep|let's|block|reserve"
    r"|hang|no|knowing|until|till|all|just|not|won't|maybe|hopefully)\s)\w+(?:\s\S+){1,3}",
    re.IGNORECASE,
)
_NOTHING = re.compile(
    r"\d+\s\w+s$|\d+$|no\s(?:location|place|venue|attendees|guests)(?:\syet)?$"
)  # "30 visitors", "no location"


def _segments(rest: str) -> list[Place]:
    """What is left between cuts, commas, dashes and stops, without what frames it or led up to what was cut."""
    found, at = [], 0
    while at < len(rest):
        stop = STOP.search(rest, at)
        start, end = at, stop.start()
        if start and (filler := FILLER.match(rest, start, end)):
            start = filler.end()
        asks = found and NOTE.match(rest[start:end])  # "cameras on please"
        if not asks and (trailer := TRAILER.search(rest, max(start, end - REACH), end)):
            end = trailer.start()
        past = framed(rest, start, end)
        start = start if found and past < end else past
        if re.search(r"\w", rest[start:end]) and not PRONOUN.fullmatch(rest[start:end]):
            found.append(tight(rest, start, end))
        at = max(stop.end(), at + 1)
    return [place for place in found if place[0] < place[1]]


def _peopled(rest: str, segments: list[Place]) -> list[bool]:
    """Which segments name people: those that do so by themselves, and what stands in one list with them."""
    if not segments:
        return []
    divided = [[rest[slice(*place)] for place in people(rest, *segment, least=0)] for segment in segments]
    sure = [[certainty(piece) for piece in pieces] for pieces in divided]
    venue = [
        looks_like_place(rest[slice(*place)]) or rest[place[0] - 4 : place[0]] == "The " for place in segments
    ]
    found = [
        bool(own) and not there and 2 * sum(one >= LIKELY for one in own) >= len(own)
        for own, there in zip(sure, venue)
    ]
    maybe = [
        bool(own) and not there and min(own) >= MAYBE and "&" not in rest[slice(*place)]
        for own, there, place in zip(sure, venue, segments)
    ]
    single = [
        at > 0 and maybe[at] and all(" " not in piece for piece in divided[at]) for at in range(len(segments))
    ]
    strong = [
        SURE in own if named else alone and len(own) > 1 for named, own, alone in zip(found, sure, single)
    ]
    found = [named or more for named, more in zip(found, strong)]
    joined = [
        bool(re.fullmatch(r"\s*[,;]\s*(?:and\s|&\s)?(?:the\s|our\s|my\s)?", rest[a[1] : b[0]]))
        for a, b in zip(segments, segments[1:])
    ]
    for steps, other in ((range(1, len(segments)), -1), (range(len(segments) - 2, 0, -1), 1)):
        for at in steps:
            beside = strong[at + other] or (single[at] and single[at + other])
            if beside and maybe[at] and joined[min(at, at + other)]:
                found[at] = strong[at] = True
    run = next((at for at in range(1, len(found)) if not (found[at] and joined[at - 1])), len(found))
    after = segments[run][0] if run < len(segments) else len(rest)
    colon = bool(re.fullmatch(r"\s*[:–—-]\s*", rest[segments[run - 1][1] : after]))
    if run > 1 and colon and maybe[0]:
        found[0] = True  # "Lan, Bo: rowing"
    elif found[0]:  # but not "Tea, 3 May"
        found[0] = SURE in sure[0] and (run > 1 or colon or len(divided[0]) > 1 or " " in divided[0][0])
    return found


def find(text: str) -> dict[str, list[Place]]:
    """Field → where its values stand in a normalised text."""
    found: dict[str, list[Place]] = {name: [] for name in Event.model_fields}
    rest = introduced(read(text, found), found)
    start = -1
    for one in PLACED.finditer(rest):
        inside = found["location"] and one.start() < found["location"][0][1]
        if inside or remarked(rest, one.start()):
            continue
        place = place_after(rest, one.end())
        if one.group().lower().startswith("from") and certainty(rest[slice(*place)]) >= LIKELY:
            continue
        head = _HEAD.search(
            rest, max(0, one.start() - REACH), one.start()
        )  # "dojo on Castle St" after a comma
        if head and place[0] < place[1] and one.group()[:2] in ("in", "on"):
            named = place_noun(head["head"].split()[-1]) or (
                one.group()[:2] == "on" and not online(rest[slice(*place)])
            )
            place = (head.start("head"), place[1]) if named else place
        if place[0] < place[1]:
            found["location"], start = [place], min(place[0], one.start())
    if found["location"]:
        rest = blot(rest, start, found["location"][0][1])

    left: list[Place] = []
    company = bool(found["attendees"])
    segments = _segments(rest)
    for at, (place, peopled) in enumerate(zip(segments, _peopled(rest, segments))):
        piece, first = text[slice(*place)], not left and at + 1 < len(segments)
        where, sure = found["location"], certainty(piece)
        follows = text[where[0][1] : place[0]] if where else ""
        # beside people named by "with", two capitalised words by themselves are a venue unless they are a usual name
        alone = rest[: place[0]].rstrip(" ,").endswith(CUT)
        venue = (
            company
            and alone
            and not where
            and piece.count(" ") == 1
            and piece[0].isupper()
            and not usual_name(piece)
        )
        named_the = rest[place[0] - 4 : place[0]] == "The "
        if _NOTHING.match(piece):
            continue
        if left and text[left[-1][1] : place[0]] == " (" and sure < LIKELY:  # "Blood test (fasting)"
            left[-1] = (left[-1][0], place[1] + 1)
        elif left and NOTE.match(piece):
            left.append(place)
        elif follows == ", The " or (
            follows == ", " and piece[0].isupper() and looks_like_place(piece) and sure < SURE
        ):
            found["location"] = [(where[0][0], place[1])]
        elif peopled and not venue and (left or (first and _leads(rest, place))):
            found["attendees"] = sorted([*found["attendees"], *people(rest, *place, least=0)])
        elif (
            not where
            and (left or (first and _named_place(piece)))
            and looks_like_place(piece, strict=not left)
            or left
            and not where
            and (
                sure == MAYBE
                and (" " in piece or found["attendees"])
                or venue
                or named_the
                or _VENUE.fullmatch(piece)
            )
        ):
            found["location"] = [place]
        elif left and not found["attendees"] and sure == MAYBE:
            found["attendees"] = [place]
        else:
            left.append(place)
    if left:
        found["action"] = [_action(text, *left[0], found)]
        notes = [place for place in left[1:] if NOTE.match(text[slice(*place)])]
        rests = [place for place in left[1:] if place not in notes and _REST.fullmatch(text[slice(*place)])]
        if (
            rests
            and not found["location"]
            and not rest[: rests[0][0]].endswith((" for ", " for the ", " for a "))
        ):  # more events have a place than a remark
            found["location"], rests = rests[:1], rests[1:]
        found["notes"] = (found["notes"] or notes or rests)[:1]
    return found


def _leads(rest: str, place: Place) -> bool:
    """Whether people come before the event: a group alone ("tumour board") is one."""
    return any(certainty(rest[slice(*one)]) in (SURE, MAYBE) for one in parts(rest, *place))


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
        before = re.sub(r"(?:\s(?:to|for|in|at|on|by|of))?(?:\s(?:the|my|our))?\s*$", "", piece[:at]).rstrip()
        if before:
            found["location"], end = [(start + at, end)], start + len(before)
    elif (
        room and text[end : found["location"][0][0]] == ", " and room.start("numbered")
    ):  # "flat 3, 18 Elm Row"
        found["location"] = [(start + room.start("numbered"), found["location"][0][1])]
        end = start + len(re.sub(r"\s(?:to|for|in|at|of)\s*$", "", piece[: room.start("numbered")]).rstrip())
    if who := _FOR.search(text, start, end):
        least = SURE if who["cue"].lower() == "of" else LIKELY
        own = people(text, *who.span("who"), least)
        if own or (least == LIKELY and FAMILY.fullmatch(who["who"])):
            found["attendees"] = sorted([*found["attendees"], *(own or parts(text, *who.span("who")))])
            end = who.start()
    elif not found["attendees"] and (named := _ENDS_IN_NAME.search(text, start, end)):
        known = named["first"].lower() in given_names() and not place_noun(named["who"])
        if known:
            found["attendees"], end = [named.span("who")], named.start()
    writer = re.search(r"\w(\s(?:me|us))$", text[start:end])  # "meet me"
    end = start + writer.start(1) if writer else end
    return start, end - 2 * text[start:end].endswith("'s")  # "sectional's on"
