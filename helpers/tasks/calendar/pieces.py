"""Pieces of the text of an event: where one ends, and what at its ends belongs to no value."""

from __future__ import annotations

import re

from helpers.tasks.fields import Place

CUT = "¦"  # stands for what has been read, a letter for a letter
STOP = re.compile(rf"\s*(?:(?:[{CUT};|()•]|,(?!(?<=\d,)\d{{3}}\b))|[.:!?](?=\s|$)|\s[-–—]+\s|[–—]|$)")
FILLER = re.compile(
    r"(?:[\s,;:.()–—@|•-]|\b(?:scheduled|planned|set|arranged|booked|confirmed|slated|for|on|at|around"
    r"|about|starts?|starting|from"
    r"|to|by|time|lasting|lasts?|which|and|should|be|expected|roughly|approx(?:imately)?|nearly"
    r"|just|only|(?-i:the|a|an)"
    r"|(?-i:it)|is|are|in|of|via|until|till|say|(?-i:max|will)|figure|between|maybe|with|w/|down"
    r"|beginning|due|w|into|not|won't|run|longer|more|than|takes?|enough|tops|prob(?:ably)?|it's"
    r"|(?:the )?(?:first|next) one|at most|(?:his|her|my|our|your|their|local) time|thr(?:u"
    r"|ough) the night|thr(?:u|ough)|that's|up to|all (?:day|morning|afternoon|evening|week)|date|time"
    r"|start|length|duration|when|where|venue|place)"
    r"(?![\w-]))+",
    re.IGNORECASE,
)
TRAILER = re.compile(
    r"(?:before(?=\s*$)|leaves|departs|begins|(?:before|after)\s(?:work|school|lunch|dinner|class|hours|the\srush)|takes\splace|[\s,;:.!()–—@|•-]"
    r"|(?<![\w-])(?:(?:on|into|in|to)\s(?:the|my|our|your)\s(?:calendar|diary)|scheduled|re-?scheduled|moved|postponed|pushed(?:\sback)?"
    r"|planned|set|arranged|booked|slated|for|on|at|around|about|starts?|starting"
    r"|from|by|lasting|lasts?|which|and|will|should|is|are|(?<!check\s)in|of|via|until|(?-i:the|a|an)"
    r"|with|w/|w|into|due|to|block|reserve|keep|make|take|cap|let's|be|roughly|quick|so|or|long|using"
    r"|pls|please"
    r"|ok|confirmed|beginning))+$",
    re.IGNORECASE,
)
REACH = 80  # characters that words which lead up to what was cut may take
_MARKS = " ,;:–—-|•¦"
_ARTICLE = re.compile(r"(?:the|our|my|an?|that|this|just|only|also)\s+", re.IGNORECASE)


def blot(rest: str, start: int, end: int) -> str:
    return rest[:start] + CUT * (end - start) + rest[end:]


def tight(rest: str, start: int, end: int) -> Place:
    """The place without blanks, marks and a leading article."""
    while start < end and rest[start] in _MARKS + ".":
        start += 1
    while end > start and rest[end - 1] in _MARKS:
        end -= 1
    if article := _ARTICLE.match(rest, start, end):
        start = article.end()
    return start, end
