"""Places in the text of an event: rooms, addresses, venues and platforms, by their nouns, numbers and capitals."""

from __future__ import annotations

import re
from zoneinfo import available_timezones

from helpers.tasks.calendar.pieces import CUT, REACH, STOP, TRAILER, tight
from helpers.tasks.calendar.schema import LISTS
from helpers.tasks.fields import Place

# big cities, by the names of time zones
_CITIES = frozenset(
    zone.rpartition("/")[2].replace("_", " ")
    for zone in available_timezones()
    if zone.startswith(("Africa/", "America/", "Asia/", "Australia/", "Europe/"))
)
PLATFORM = "|".join(sorted((*LISTS["platforms"], *LISTS["virtual"]), key=len, reverse=True))
_ONLINE = re.compile(rf"(?:{PLATFORM})(?:\s(?:huddle|call|video|chat|channel|link|meeting))?", re.IGNORECASE)
_NOUNS = "|".join(LISTS["place_words"])
_NOUN = re.compile(rf"\b(?:{_NOUNS})s?\b", re.IGNORECASE)
_NUMBERED = re.compile(
    rf"(?:.*\s)?(?P<numbered>(?i:{_NOUNS}|{'|'.join(LISTS['numbered_places'])})\.?\s(?:\d[\w.-]*|[A-Z]\d*))(?:\s[a-z]+)?"
)
_ADDRESS = re.compile(
    r"(?:(?i:number|no\.?|unit|flat)\s)?\d+\w?\s[A-Z]|(?!Year|Class|Grade|Form|Group)[A-Z].*[a-zé]\s\d+\w?$"
)
_FOREIGN = re.compile(
    r"(?i:(?:osteria|aula|sala|trattoria|ristorante|casa|villa|sal[aóo]n?|salle|salon|atelier|teatro"
    r"|teatre|gelateria|galleria|bodega|taberna"
    r"|chez|le|la|les|il|el|das|der|die|zum|zur|haus|hotel|café|brasserie|piazza|plaza|via|rue|corso|calle|st)\s.+"
    r"|.+\s&\s(?:sons?|daughters|co|partners|brothers|bros)\b.*|.+\s(?:del|della|di|du|des|d'\w+|am|im|zum)\b.*|\S+(?:stra(?:ß|ss)e|platz|saal|haus|zimmer"
    r"|strasse|gasse|weg)\b.*)"
)
_NO_PLACE = re.compile(r"[a-z]+(?:ing|ed)\b")
STREET = r"(?:street|st|road|rd|lane|avenue|ave|square|way|drive|hill|row|close|terrace|quay)\b"

_PLACE_END = re.compile(
    r"\s+(?:for|from|to|with|w/|and(?=\s+[a-z])|which|where|should|starting|starts?|lasting|every|each"
    r"|at|before|after"
    rf"|on(?!\s[^,{CUT}]*\b{STREET})|then|by|via|so|if|all(?=\sday|\safternoon|\smorning))(?!\w)",
    re.IGNORECASE,
)
PLACED = re.compile(
    r"(?<![\w-])(?:(?:at|inside|near|outside(?=\s(?:the\s|\d|(?-i:[A-Z]))))\s+|@\s*|(?:via|using|over"
    rf"|on)\s+(?=(?:{PLATFORM}|(?-i:Meet|[A-Z][a-z]+[A-Z]\w+))\b)"
    r"|(?<!put\s)(?<!pencil\s)(?<!check\s)(?:in|from)\s+(?!(?:English|French|German|Spanish|Italian"
    r"|Latin|Greek|Welsh|Dutch|Polish|Chinese|Japanese)\b|the\s(?:morning|afternoon|evening|week|end)"
    r"|\w+\s(?:calendar|diary))(?=(?:the|an?|our|my|his|her)\s|(?-i:[^\W_a-z])|room|rm|flat|apartment"
    rf"|studio|hall|{PLATFORM})"
    rf"|by\s+(?=the\s(?:[a-z]+\s){{0,2}}(?:{_NOUNS})\b)"
    rf"|on\s+(?=[^,{CUT}]*\b(?:street|st|road|lane|avenue|square|pier|boat|houseboat|roof|rooftop|terrace|deck|floor|pitch)\b))",
    re.IGNORECASE,
)


def online(piece: str) -> bool:
    """A platform or a way to meet from afar."""
    return bool(_ONLINE.fullmatch(piece.strip(" .")))


def place_noun(piece: str) -> bool:
    """Whether a word for rooms, buildings or grounds stands in the piece."""
    return bool(_NOUN.search(piece))


def city(piece: str) -> bool:
    """Whether a piece is the name of a big city."""
    return piece.strip(" .") in _CITIES


def numbered(piece: str) -> re.Match | None:
    """The room, gate or court with its number that ends a piece."""
    return _NUMBERED.fullmatch(piece)


def looks_like_place(piece: str, strict: bool = False) -> bool:
    """A platform, a noun for places (`strict`: at its end), a number or a street in it, a possessive at its end, or foreign
    words of venues."""
    plain = piece.strip(" .")
    words = plain.split()
    if online(plain) or city(plain):
        return True
    if not 0 < len(words) <= 7:
        return False
    named = (
        len(words) > 1
        and place_noun(words[0])
        and (words[1] == "of" or words[1][0].isupper() and len(words) == 2)
    )
    noun = named or (place_noun(words[-1] if strict else plain) and not _NO_PLACE.match(plain))
    address = _ADDRESS.match(plain) or numbered(plain)
    capitals = plain[0].isupper() and any(map(str.isupper, words[-1]))
    return bool(
        noun or address or re.search(r"(?<!let)'s$", plain) or (capitals and _FOREIGN.fullmatch(plain))
    )


def place_after(rest: str, start: int) -> Place:
    """The place from here on, with the floors, rooms and streets that follow after commas."""
    stop = STOP.search(rest, start).start()
    word = _PLACE_END.search(rest, start, stop)
    end = word.start() if word else stop
    while not word and rest[end : end + 2] == ", ":
        more = STOP.search(rest, end + 2).start()
        chunk = rest[end + 2 : more].strip()
        wing = chunk[:1].isupper() and place_noun(chunk.split()[-1])
        if not (
            wing or re.match(r"(?:\d|floor|room|rm|building|suite|gate|hall)\b|\d+\w*\s|.*#\d", chunk, re.I)
        ):
            break
        end = more
    trailer = TRAILER.search(rest, max(start, end - REACH), end)
    return tight(rest, start, trailer.start() if trailer else end)
