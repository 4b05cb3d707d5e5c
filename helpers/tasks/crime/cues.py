"""What stands around values in running text: regular expressions of the words in `cues.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from helpers.tasks.crime.report import WORDS
from helpers.tasks.dates import MONTH

_LISTS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def _any(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
POLICE_MAIL = re.compile("tips|police|sheriff|garda")
_NUMBER = r"\b[^\d\n]{0,15}?#?\s?((?:[A-Z]{1,2}-?)?\d[\w-]*)"
SURE_BADGE = re.compile(
    rf"(?:badge|shoulder|warrant|collar|service|star|shield|serial){_NUMBER}", re.IGNORECASE
)
BADGE = re.compile(rf"(?:badge|shoulder|warrant|collar|number|no\.?|id){_NUMBER}", re.IGNORECASE)
BADGE_NEXT = re.compile(r"[,.]? ?[/(]? ?(?:[A-Za-z]{2,9}\.? ){0,2}#?((?:[A-Z]{1,2}-?)?\d{2,}\b(?![:./]\d))")
GROUP = re.compile(
    r"\b(?:(?:in (?:his|her|their|my) )?(?:early|mid|late)?[ -]?(?:teens|twenties|thirties|forties|fifties|sixties|seventies|eighties)"
    r"|(?:in (?:his|her|their|my) )?(?:mid|early|late)[ -]?\d0s|young adult|adult|elderly|middle-aged|senior|teenager|minor)\b",
    re.IGNORECASE,
)
WORD = r"(?:(?:St|Mt|Ft)\. )?(?:[A-Z]|d')[\w'-]+"
NAME = rf"{WORD}(?: (?:[A-Z]\.|de|del|van|von|der|da|dos|bin|al|el|la|le|{WORD}))? {WORD}(?: {WORD})?"
_RANK = _any(map(re.escape, WORDS["ranks"]))
OFFICER = re.compile(
    rf"\b(?:(?:[A-Z][\w'-]+\.?[ -])?(?:{_RANK})\b\.? )+(?:\d+ )?(?:[A-Z]\. )?{WORD}(?: {WORD}){{0,2}}"
)
NO_OFFICER = re.compile(
    rf"^(?:(?:{_any(_LISTS['not_names'])}|I'm|[AP]M|Quote|Contact|Call|Ask|Inform)[.,]? )+"
)
_CRIMES = _any([re.escape(one) for crime in WORDS["crimes"].values() for one in crime["types"]])
TYPE = re.compile(
    rf"\b((?:(?:{_any(_LISTS['kinds'])}) ){{0,3}}(?:{_CRIMES}|{_any(_LISTS['crimes'])})(?: (?:{_any(_LISTS['of_what'])})\b)?(?:, (?:{_any(_LISTS['kinds'])})\b)?)(?!\w)",
    re.IGNORECASE,
)
TYPE_SAID = re.compile(
    r"(?:classified|recorded|treated|listed|registered|filed|entered|put down|logged)(?: \w+){0,3} as (?:an? |the )?"
    r"([a-z][a-z -]{3,40}?)(?=[.,;]| by | and | with | but | for now)"
    r"|[Tt]he (?!incident|attack|matter|offen|fire|act\b|theft of|break)([a-z-]+(?: [a-z-]+){0,3}) (?:took place|occurred|happened)"
)
_ROOM = r"(?:(?:Suite|Apartment|Flat|Floor|Unit|Room|Lot|Platform|Level|Building|Block|Kade|Pier|Gate) [\dA-Z][\dA-Z-]*|\b[a-z]+ floor|level \d+)"
_RUN = rf"{WORD}(?: (?:{WORD}|\d+(?:st|nd|rd|th)\b|\d{{1,3}}\b)){{0,5}}"
_STREET = rf"\b\d{{1,5}}[A-Z]? (?:rue )?(?:\d+(?:st|nd|rd|th) )?{_RUN}"
PIECE = rf"(?:{_ROOM}|{_STREET}|{WORD}(?: (?:of|the|and|&|{WORD})){{0,6}})"
SITE = rf"{WORD}(?: {WORD}){{0,5}} (?:{_any(_LISTS['places'])})\b|{_ROOM}"
PLACE = re.compile(
    rf"((?:{PIECE}, ){{0,3}}{_STREET}(?:, {PIECE}){{0,5}})"
    rf"|(\d+ block of {_RUN}(?:, {PIECE}){{0,5}}|(?:corner|intersection|junction) of {_RUN} and {_RUN}(?:, {PIECE}){{0,5}})"
    rf"|({_RUN} \d{{1,4}}[A-Z]?(?:, {PIECE}){{1,5}}|(?:{PIECE}, ){{0,3}}(?:{WORD} ){{1,5}}(?:{_any(_LISTS['places'])}) \d{{1,4}}\b)"
    rf"|\b(?:at|outside|in front of|from|in) ((?:the )?(?:{PIECE}|(?:[\w-]+ ){{1,3}}of {PIECE})(?: [a-z]+)?(?:, {PIECE}){{1,5}})"
)
NOT_WHERE = re.compile(
    rf"^(?:Staff of |(?i:{_CRIMES}|{_any(_LISTS['kinds'])}|{_any(_LISTS['crimes'])}|[ ,])+, )"
)
SITED = re.compile(
    rf"\b(?:at|outside|to|in|on|off at|occurred,) ((?:the )?(?:{SITE})(?: and (?:{WORD}|\d+(?:st|nd|rd|th)))?(?:, (?:near [a-z ]+|{PIECE}))*)"
    rf"|(?:^|[,.] )((?:{SITE}) and {WORD}|{WORD}(?: {WORD})* and \d+(?:st|nd|rd|th))(?=[.,\n]|$)",
    re.MULTILINE,
)
STOP = re.compile(r"[.!?][\"”’')]*\s+(?=[\"“'(\[A-Z0-9])|\n+")
ABBREVIATED = re.compile(
    rf"(?:\b(?:[A-Z]|Mrs?|Ms|[DS]r|St|Nos?|Prof|Jan|Feb|Mar|Apr|Aug|Sept?|Oct|Nov|Dec|{_RANK}|Ptl|Dep|Sub))\.$"
)
DEED = re.compile(rf"\b(?:{_any(_LISTS['deeds'])})\b", re.IGNORECASE)
AFTER = re.compile(rf"\b(?:{_any(_LISTS['afterwards'])})\b")
STATUS = re.compile(
    r"\b(?:case|file|matter|investigation|status|disposition|report|(?:en|in)quir(?:y|ies)|it)\b[^.\n]{0,40}?(?:\bis|\bare|\bremains?|\bstays?|\bwas|\bhas been|:)"
    r"(?: now| currently)? ((?:still )?(?:open|active|under|closed|suspended|pending|ongoing|continuing|inactive|reopened|unsolved|solved|referred"
    r"|awaiting|being looked into|submitted|filed|forwarded|sent to|with the|cleared|passed|in the hands|not yet)\b[^.\n]*)",
    re.IGNORECASE,
)
CUT = re.compile(
    r"; | by (?=[A-Z]|the [A-Z])|, (?:and|but|so) | and (?:the|a|an|I|we|he|she|patrols|officers)\b| on \d"
)
STATE = re.compile(
    r"(?:(?:Police|Detectives|Prosecutors?|Inquir(?:y|ies)|Enquir(?:y|ies)|Case|BOLO|Investigators) (?:\w+ ){0,2}(?:\w+ed|\w+ing)|No (?:further action|leads|suspects)|To (?:detectives|prosecutor)|Open|Active|Closed|Suspended|Pending|Inactive|Referred|Awaiting|Cleared|Unsolved|(?:Warrant|Charges?) \w+ed|Under (?:active )?investigation|Ongoing)\b[^.]*"
)
AGED = re.compile(
    rf"({NAME})(?:, | \(|, aged? |, (?:an? )?(?:[a-z-]+ ){{1,3}}(?:aged |of )|, who is |,? is (?:an? [a-z ]{{1,30}}, )?|(?: \([a-z]+\))?, age |\n?\s*Age:? | and I am )(\d{{2,3}})(?=[,.;)\n]|-year| years|$)"
)
AGE_BEFORE = re.compile(rf"\b(\d{{2,3}})-year-old (?:[a-z]+ ){{0,3}}({NAME})")
AGE_OF = re.compile(
    r"\b(\d{1,3})-year-old (?:[a-z]+ ){0,3}(?:was|were|had|is|who|lost|walk|resident|student)"
)
_HARMED = _any(_LISTS["harmed"])
VICTIM = re.compile(
    rf"(?:\b(?i:{_HARMED})s?(?: is| was|,|:|;)?(?: identified as)?|belong(?:s|ing) to|[Pp]roperty of|in the name of)(?: the)? (?:Prof\. |Dr\. |Mrs?\. )?({NAME})"
)
# people of whom surnames alone are said: "belonged to Keller and Ortiz"
OWNED_BY = re.compile(rf"\bbelong(?:ed|ing) to ({WORD}(?:, {WORD})*,? and {WORD})(?! [A-Z])(?=[.,;\n ]|$)")
FIRST_PERSON = re.compile(
    rf"\b(?:[Mm]y (?:full )?name is|I am|I'm|I,|Name:|Yours(?: [a-z]+)?,\n?|[Ss]igned:?|[Ss]incerely,\n?) ?({NAME})"
)
MY_AGE = re.compile(r"\bI am (\d{2})(?= and|,| years|\.)")
COUPLE = re.compile(rf"\b({WORD}) and ({WORD}) ({WORD}),? (?:(?:are|were|had|both|who)\b|\(?\d)")
_TITLE = r"(?:,|:| is)? (?:Dr\. )?"
ROLES = {
    f"Victim_{name}": re.compile(
        rf"(?:{words}){_TITLE}((?:Mrs?\. |Ms\. )?{NAME})|((?:Mrs?\. |Ms\. )?{NAME}), (?!whose )(?:(?:am )?the |its |who )?(?:[\w'’]+ ){{0,2}}?(?:{noun})\b"
    )
    for name, words, noun in (
        ("Owner", "[Oo]wner|[Pp]roprietor|[Oo]wned by", "owner|proprietor|owns"),
        ("Manager", "[Mm]anager|[Mm]anaged by|I manage (?:it|the [a-z]+)[;,] my name is", "manager|manages"),
        ("CEO", "[Cc]hief [Ee]xecutive(?: [Oo]fficer)?|CEO", "CEO|chief executive"),
    )
}
FIRM = re.compile(rf"(?<!\w)((?:{WORD} |& ){{1,4}}(?:{'|'.join(WORDS['business_words'])})\b\.?)")
_TITLED = rf"{WORD}(?: (?:(?:of|&|the|a|and) )?(?:{WORD}|\d{{2,4}}\b)){{1,5}}"
FIRM_SAID = re.compile(
    rf"(?:[Tt]he|[Mm]y|[Hh]er|[Hh]is|[Oo]ur|[Aa]) (?:[a-z]+ )?(?:{_any(_LISTS['firms'])})(?: [a-z ]{{1,30}} is|,)? (?:the )?({_TITLED})"
    rf"|(?:{_any(_LISTS['of_firms'])}) (?:the )?({_TITLED})|(?<![\w,] )({_TITLED}), an? (?:[a-z]+ )?(?:{_any(_LISTS['firms'])})\b"
)
NO_FIRM = re.compile(r"Police|Sheriff|Department of|Insurance|Prosecutor|Watch\b")
_SEEN = _any(_LISTS["saw"])
_SEERS = _any(_LISTS["seers"])
SAW = re.compile(
    rf"({NAME})(?:,[^.,]*)?,?(?: (?:across|from|of|next|at|in|over|on|opposite)(?: [\w.]+){{1,4}}?)?(?: and ({NAME}))? (?:had |has |also |both |who )*(?:{_SEEN})\b"
    rf"|({NAME})[^.\n]{{0,120}}\. (?:He|She) (?:had |also )?(?:{_SEEN})\b"
    rf"|\b(?i:{_SEERS})s?(?: is| was|,|:)? (?:named |called )?({NAME})"
    rf"|\b(?:seen|heard|witnessed|described|watched) by (?:[a-z]+ )*({NAME})|\b(?:called|named|by the name of) ({NAME})"
)
SEEN_SAID = re.compile(rf"\b(?:{_SEEN}|{_any(_LISTS['saw_too'])})\b")
UNSEEN = re.compile(r"\b(?:[Nn]o ?body|nothing|asleep|no one|[Nn]either|not (?:see|hear))\b")
A_NAME = re.compile(f"({NAME})")
NO_PERSON = re.compile(
    rf"\b(?:{_any(_LISTS['places'])}|{_any(WORDS['business_words'])}|Police|Unit|Team|University|Avenue|County)\b"
)
KEPT = re.compile(
    rf"\b(?:{_any(_LISTS['kept'])}|{_any(_LISTS['keeps'])})\b(?: nearby)?(?: were| was| are)?:? (.+)",
    re.IGNORECASE,
)
KEPT_TOO = re.compile(rf"\b(?:{_any(_LISTS['keeps_too'])})\b:? (.+)")
KEPT_THEM = re.compile(
    rf"^(.+?) (?:were|was) (?:also |now |found [a-z ]+ and )?(?:{_any(_LISTS['kept'])}|{_any(_LISTS['kept_too'])})\b"
)
KEPT_LAST = re.compile(rf"^(?:[^,;:]*[;:] )?(.+?) (?:{_any(_LISTS['kept'])})\.?$")
FOUND = re.compile(r"^Found (?:\w+ )?(?:were|was|are) (.+)")
ITEM_ENDS = re.compile(
    r"[;:]| for (?:examination|comparison)| as evidence| in evidence| to be (?:examined|tested)| from (?:her|him|me|us)\b| \((?=[a-z])"
)
ITEM_CUT = re.compile(
    r" (?:that (?:had|has|was|were|is)|which|who|found (?:in|on|at|under|beneath|behind|beside)|left (?:on|at|behind)|dropped|valued|beside|near|behind|under) .*"
)
ITEM_HEAD = re.compile(
    r"^(?:(?:she|he|they|also|then|and|has|have|had) )*(?:(?:took|made|lifted|obtained|kept|collected|secured|seized|recovered|copied|received|is|are|was|were) )?"
    r"(?:an?|the|his|her|my|their) |^(?:(?:she|he|they|also|then|and|has|have|had) )*(?:took|made|lifted|obtained|kept|collected|secured|seized|recovered|copied|received|bagged) ",
    re.IGNORECASE,
)
NO_ITEM = re.compile(
    r"^(?i:which|that|who|by|to|at|of|on|in|not|as|with|from|back|place|was|is|he|she|it|over|her|him|victim|vehicle|has|had|wrote|stood|rode|told)\b"
    r"|\b(?:statement|complaint|report|victim|badge|inspector|driver)$|@|^\d+$|^[A-Z][a-z]+ [A-Z][a-z]+$"
)
SOURCED = re.compile(
    r"^(?!.*(?:video|footage|recording|image|still|clip|CCTV|camera|print|swab|sample|chips|data|record|photo|page))(.*) from (?:an?|the) .*",
    re.IGNORECASE,
)
_FIGURES = _any(_LISTS["figures"])
_LEAVING = r"(?:getting|loading|crouching|leaving|walking|running|driving|standing|riding|climbing|fleeing|sitting|heading)"
LOOKS = re.compile(
    rf"^((?:an?|two|three|four|some) (?:[\w-]+,? ){{0,4}}?(?:{_FIGURES})\b[^;]*?)"
    r"(?=,?[.;]?$|; | (?:run|leave|walk|enter|drive|ride|push|jump|get|go|climb|flee|carry|throw|load|hurry|come|pass|slip)\b"
    rf"|,? {_LEAVING} (?!sticks?|shoes|boots|gear|hat|gloves|pants|jacket|suit)| at the (?:wheel|scene|door|time)\b|, who \w+(?:ed|t|e|an|ove)\b| left (?:the|in|on|by|with|toward)\b)"
    rf"|^((?:[\w-]+,? ){{0,3}}?(?:[Mm]ale|[Ff]emale|[Mm]an|[Ww]oman),[^;]*?)(?=[.;]?$|; )"
)
SUSPECTS = re.compile(
    r"\bas (?=an? )|\b(?:is|was|saw|shows|observed|seeing|seen|recorded|noticed|speak to|remember(?:s|ed)|described|spotted|show|someone like|(?:was|remembers) only|known only as|speak to|him|her|[a-z]:) (?=an? |two |three |some )|[;,]? (?:and )?the (?:other|second|pillion|driver|first)[^,;]{0,20}? (?:is |was |as )?(?=an? )"
    r"|, (?:and )?(?=an? (?:[\w-]+,? ){0,3}(?:man|woman|youth|girl|boy|male|female)\b)"
)
LOOKING = re.compile(
    rf"\b(?:in an?|with|wearing|aged|about \d|dressed|hair|tall|build|beard|bald|glasses|of (?:slim|medium|average|large)|{_any(WORDS['phrases']['garment'])})\b"
)
LOOKS_BARE = re.compile(
    rf"\b(?:described (?:him|her|them|it)? ?as|describes (?:him|her|them)? ?as|account of the [a-z]+:|[Dd]escription:|(?:^|[Tt]he )(?:{_FIGURES}|suspect|thief|robber|driver|caller|one|other)(?: in [a-z ]{{1,30}}| who [a-z ]{{1,40}})? (?:is|was)|^(?:She|He) is) "
    r"((?!an? |the |still |not |being |believed |thought |said |last |gone|seen|wanted|arrested)[^;\n]{12,}?)(?=\.?$)",
    re.MULTILINE,
)
LIKE = re.compile(
    r"^(?:One|The (?:first|second|other|suspects?|victims?|person|man|woman|driver)|She|He) (?:is|was|as|are)\b|badge|\bDet\.|\bCpl\."
)
_CLOCK = r"\[?(?:[01]?\d|2[0-3])[:.]?[0-5]\d(?:[:.]\d\d)?\]?(?: ?hrs?| hours)?"
LOGGED = re.compile(rf"^{_CLOCK}\s*[-–—:|]?\s+(?=\S)")
SPEAKER = re.compile(r"^[A-Z][\w-]*(?: (?:to )?[A-Z\d][\w-]*){0,3}: (?=\S)")
NUMBERED = re.compile(r"^(?:A[.:]|\d{1,2}[.)]) (?=\S)", re.MULTILINE)
MAIL = re.compile(r"\A(?:(?:From|To|Cc|Sent|Subject): .*\n)+")
ASKED = re.compile(r"^Q[.:].*\n?", re.MULTILINE)
HAPPENED = re.compile(rf"\b(?:{_any(_LISTS['happened'])})\b", re.IGNORECASE)
REPORTED = re.compile(rf"\b(?:{_any(_LISTS['reported'])})\b", re.IGNORECASE)
DAY_ALONE = re.compile(
    rf"\b(?:\d{{1,2}}(?:st|nd|rd|th)? (?:{MONTH})|(?:{MONTH})\.? \d{{1,2}}(?:st|nd|rd|th)?)\b(?!,? \d{{4}})",
    re.IGNORECASE,
)
AT = re.compile(r"(?:(?<=\bat )|^)(?:[01]\d|2[0-3])[0-5]\d\b(?! [A-Z\d])", re.MULTILINE)
NOT_NAMES = frozenset(_LISTS["not_names"])
