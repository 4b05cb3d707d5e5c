"""Grammars for constrained decoding of the calendar task, in llguidance's Lark syntax."""

from __future__ import annotations

import re
from collections.abc import Iterable

from helpers.tasks.calendar.surface import Mention, find_dates, find_times
from helpers.tasks.calendar.text import FIELDS, REWRITES
from helpers.tasks.text import NOTHING, lark_literal, span_terminal

MAX_STRING = 80  # characters of a constrained value; the longest in train is 51
MAX_ATTENDEES = 10
_FREE = rf'/([^"\\\x00-\x1f\x7f]|\\["\\\/bfnrt]|\\u[0-9a-fA-F]{{4}}){{1,{MAX_STRING}}}/'
_DATE = (
    # a day or a month may lack its zero, as labels do before they are made canonical: held to "02/06" alone, a model that
    # has written "2" for the second could only go on to the twenty-sixth
    r"/((0?[1-9]|[12][0-9])\/(0?[1-9]|1[0-2])|30\/(0?[13-9]|1[0-2])|31\/(0?[13578]|1[02]))"
    r"\/(19|20)[0-9]{2}/"
)
_TIME = r"/(1[0-9]|2[0-3]|0?[1-9]):[0-5][0-9] [AP]M/"  # "16:55 AM" too, which is read as 4:55 PM
_AMOUNT = (
    r"/[0-9]{1,3}(\.[0-9]{1,2})? (hours?|hrs?|minutes?|mins?|days?|weeks?|months?)"
    r"( [0-9]{1,2} (minutes?|mins?))?/"
)
_FREQUENCIES = (
    "daily",
    "weekly",
    "biweekly",
    "bi-weekly",
    "fortnightly",
    "monthly",
    "quarterly",
    "annual",
    "annually",
    "yearly",
    "weekdays",
    "weekends",
)
_EVERY = (
    r"/every ([0-9]{1,2} |other )?(day|week|month|quarter|year|weekday|weekend|Monday|Tuesday|Wednesday|Thursday"
    r"|Friday|Saturday|Sunday)s?/"
)


def _forms(mentions: Iterable[Mention]) -> str:
    """What dates or times of a text may be written as, each with or without its leading zeros; nothing without any.

    All dates and times of train labels are found in their texts.
    """
    values = dict.fromkeys(mention.value for mention in mentions)
    return " | ".join(
        "/" + re.sub(r"\b0?(?=[1-9]\d?[/:])", "0?", value).replace("/", r"\/") + "/" for value in values
    )


def _source_terminals(text: str) -> list[str]:
    """Strings that are spans of the text, with the rewrites that train labels show; dates and times that stand in it.

    Action, people and place may spell out an abbreviation (:data:`REWRITES`); notes may gain a capital; a duration may
    be an amount with its unit spelt ("1 hour" for "an hour"); a recurrence may lose its capitals or be a usual
    frequency.
    """
    span = span_terminal(text, "SPAN", every=lambda unit: REWRITES.get(unit, ()))
    if not span:
        return [f"{name}_STRING: {NOTHING}" for name in ("SPAN", "NOTES", "DURATION", "RECURRENCE")]
    notes = span_terminal(text, "NOTE", first=lambda unit: {unit[:1].upper() + unit[1:]} - {unit})
    low = span_terminal(text, "LOW", every=lambda unit: {unit.lower()} - {unit})
    frequencies = " | ".join(map(lark_literal, _FREQUENCIES))
    return [
        *span,
        *notes,
        *low,
        r'SPAN_STRING: "\"" SPAN "\""',
        r'NOTES_STRING: "\"" NOTE "\""',
        rf'DURATION_STRING: "\"" (SPAN | {_AMOUNT}) "\""',
        rf'RECURRENCE_STRING: "\"" (LOW | {frequencies} | {_EVERY}) "\""',
    ]


def grammar(text: str, constraint: str) -> str:
    """The grammar of the eight-key JSON object.

    Parameters
    ----------
    text : str
        Normalised event text.
    constraint : str
        `schema`: types, date and time forms; `source`: verbatim fields are whole-word spans of the text as well, dates
        and times those that are read in it, where any are.

    Raises
    ------
    ValueError
        For another constraint.
    """
    if constraint not in ("schema", "source"):
        raise ValueError(f"constraint {constraint!r} is neither schema nor source")
    kinds = dict.fromkeys(FIELDS, "FREE") | {"date": "DATE", "time": "TIME", "attendees": "people"}
    forms = {"FREE": _FREE, "DATE": _DATE, "TIME": _TIME}
    lines, person = [], "FREE"
    if constraint == "source":
        forms |= {"DATE": _forms(find_dates(text)) or _DATE, "TIME": _forms(find_times(text)) or _TIME}
        lines, person = _source_terminals(text), "SPAN"
        kinds |= {
            "action": "SPAN",
            "location": "SPAN",
            "notes": "NOTES",
            "duration": "DURATION",
            "recurrence": "RECURRENCE",
        }
    lines += [rf'{name}_STRING: "\"" ({form}) "\""' for name, form in forms.items()]
    lines.append(f'people: "null" | "[" {person}_STRING (", " {person}_STRING){{0,{MAX_ATTENDEES - 1}}} "]"')
    body = ' ", " '.join(
        rf'"\"{name}\": " {kinds[name] if kinds[name] == "people" else "v_" + name}' for name in FIELDS
    )
    lines += [f'v_{name}: "null" | {kind}_STRING' for name, kind in kinds.items() if kind != "people"]
    return "\n".join([f'start: "{{" {body} "}}"', *lines])
