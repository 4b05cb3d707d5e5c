"""What frames an event in a request and is none of it: greetings, "could you please", who is asked and who comes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from helpers.tasks.calendar.people import FAMILY, LIKELY, MAYBE, PRONOUN, SURE, certainty, parts, people
from helpers.tasks.calendar.pieces import CUT
from helpers.tasks.calendar.schema import LEAD
from helpers.tasks.fields import Place

_ARTICLE = r"(?:(?:an?|the|my|our|some|next)\s+)"
_WORDS = r"""(?:(?:a\s)?reminder\s(?:to|for|of|about)|(?:hi|hey|hello|dear|morning)\s(?:all|team|everyone|folks|both|there|guys)|hey|hi|hiya|yo|hello|ok(?:ay)?|so|just|also|fyi|reminder|heads[ -]up|pls|plz|please|kindly
|(?:can|could|would|will|may|might|shall)\s(?:you|u|we|i|someone|somebody|anyone)(?:\s(?:both|all))?(?:\s(?:mind|get\syou\sto|come\sto|attend|join))?
|be\sso\skind(?:\sas)?(?:\sto)?|(?:a\s)?note(?:\sthat)?|remind\sme\s(?:to|of|about)|don't\sforget(?:\sto)?|make\ssure\sto
|(?:i|we)(?:'(?:d|ll|m|re|ve)|\s(?:am|are|have|need|want|will|would|must|should|got))(?:\s(?:like|got|need|want|going|gonna|hosting|having|be|to|2))*
|(?:i|we)(?=\s[a-z]+\s(?:the|an?|my|our)\s|\s*$)
|need(?=\s(?:to|2|the|an?)\b|\s*$)(?:\s(?:to|2))?|gotta|gonna(?:\sneed)?|got\sto|have\sto|going\sto
|promised(?:\sto)?|there(?:'s|\sis|\sare|\swill\sbe)|let's(?:\sdo|\shave)?|move
|(?:have|do|put|stick|pop|jot|slot|squeeze|set)(?:\s(?:in|down|aside|out))?(?=\s(?:an?|the|my|our|some)\s|\s*$)|have(?=\scoffee|\slunch|\sdinner)
|(?:find|make|get|grab)\s(?:us\s|me\s)?(?:an?|some)\s(?:slot|time|moment|hour|spot)\sfor|(?:adding|stick|pop|jot\sdown|set\saside)(?=\s\w)
|(?:add|book|reserve|schedule|block|plan|arrange|hold|find|keep|pencil\sin|set\saside|want|would|could|can)(?=\s*$))"""
_FRAME = re.compile(rf"(?:{_WORDS}(?![\w'])[\s,:!.]*)+{_ARTICLE}?".replace("\n", ""), re.IGNORECASE)
_PLEA = re.compile(
    r"\b(?:need|want|book|put|pencil\sin|get|invite|tell|ask|let|suit|see|seeing|having|meeting|taking)\s"
    rf"(?P<who>(?!for\s)[^{CUT};:|()]+?)(?:\s(?:down|in|along|over|round))?\s(?:to\scome\sto|for|(?:know\s)?that|to(?=\sthe))\s+{_ARTICLE}?(?=\S)",
    re.IGNORECASE,
)
_BID = re.compile(
    rf"\b(?:could|can|will|would)\s(?P<who>[^{CUT};:|()]+?)\s(?:please\s)?(?:come\sto|join(?:\sus"
    r"|\sme)?\s(?:for|in|at)|attend)"
    rf"\s+{_ARTICLE}?(?=\S)",
    re.IGNORECASE,
)
_COMES = re.compile(
    r"(?:(?:\s(?:is|are|will\sbe)|'s|'re)\s(?:coming|joining|attending|there|in|invited|leading|presenting|speaking)"
    r"|\s(?:joins?|comes?|attending|coming|invited|chairing|presiding|presenting|speaking|to\sbe\sthere)|\swill\s(?:join|come|preside|chair"
    r"|speak|attend|lead|do|run|give|hold|be\sthere)"
    r"|\sand\s(?:I|me)\s(?:are|will|have)(?:\smeeting)?|\s(?:is|are)\s\w+ing\s(?:me|us)(?:\sup)?|\s(?:is"
    r"|are)\s(?:doing|giving|running|teaching|hosting|taking|meeting)|'s\s(?:doing|gonna)|\s(?:says?"
    r"|gonna)"
    r"|\sif\s(?:he|she|they)(?:'\w+)?\s\w+)(?!\w)"
    rf"(?:\s(?:along|too|as\swell|me|us))*(?:\s(?:for|to(?:\shelp(?:\s(?:me|us))?)?))?(?:\s{_ARTICLE.rstrip('+')})?",
    re.IGNORECASE,
)
_BOOKISH = re.compile(
    r"(?:book|plan)\s(?:club|fair|launch|signing|group|swap|sale|tour|talk|reading)\b", re.IGNORECASE
)
_HARD = re.compile(rf"[{CUT};:|()!?–—]|\.\s|\s-\s")


def framed(text: str, start: int, end: int) -> int:
    """Where what is asked for begins: past greetings, pleas, and the words for putting something on a calendar."""
    at, before = start, -1
    while at < end and at != before:
        before = at
        match = _FRAME.match(text[at:end])
        at += match.end() if match else 0
        lead = LEAD.match(text[at:end])
        at += lead.end() if lead and not _BOOKISH.match(text, at) else 0
    return at


def asked(rest: str) -> Iterator[tuple[list[Place], Place]]:
    """People who are asked for and what asks: "we need Ann and Bo for", "could the nurses come to"."""
    for plea in [*_PLEA.finditer(rest), *_BID.finditer(rest)]:
        who = people(rest, *plea.span("who"), least=0)
        sure = [certainty(rest[slice(*place)]) for place in who]
        spoken_to = any(PRONOUN.match(rest, *place) for place in who)  # "could you both"
        if spoken_to or re.search(r"(?:^|\s)(?:with|w/|at)\s", plea["who"]):
            continue
        several = (
            FAMILY.fullmatch(plea["who"])
            and plea["who"].startswith("the ")
            or len(sure) > 1
            and min(sure) >= MAYBE
        )
        if plea.re is _BID or SURE in sure or min(sure, default=0) >= LIKELY or several:
            yield who, plea.span()


def coming(rest: str) -> Iterator[tuple[list[Place], Place]]:
    """People of whom it is said that they come or do something, and what says so."""
    for says in _COMES.finditer(rest):
        hard = [stop.end() for stop in _HARD.finditer(rest, 0, says.start())]
        start = framed(rest, hard[-1] if hard else 0, says.start())
        found: list[Place] = []
        for place in reversed(list(parts(rest, start, says.start()))):
            piece = rest[slice(*place)]
            if PRONOUN.fullmatch(piece):
                continue
            if certainty(piece) < MAYBE:
                break
            found.insert(0, place)
        while (
            found
            and rest[start : found[0][0]].rstrip()[-1:] not in ("", ",")
            and certainty(rest[slice(*found[0])]) == MAYBE
        ):
            del found[0]  # "at the Crown & Anchor, Ann is coming"
        if any(certainty(rest[slice(*place)]) >= LIKELY for place in found):
            yield found, (found[0][0], says.end())
