"""Numbers that may be hours of the day though they do not say which half they mean: "at 7", "5:30"."""

from __future__ import annotations

import re

from helpers.tasks.dates import TO, WEEKDAY, Mention, find_dates, find_durations, guessed_hour, time_text

_BARE = re.compile(
    r"(?<![\w:/.,-])(?P<hour>1[0-2]|0?[1-9])(?:[:.](?P<minute>[0-5]\d))?(?!\w|[:/.,-]\d)", re.IGNORECASE
)
REACH = 40  # characters before a number that may hold its cue
_CUE = re.compile(r"(?:\b(?:at|from|by|around|about|between|starts?|starting)|@|~|¦,?)\s*$", re.IGNORECASE)
_BARE_END = re.compile(
    rf"(?:\s?{TO}\s?\d{{1,2}}(?:[:.]\d\d)?(?![\w.:]))?(?=\s*(?:$|[¦,.;:()!?–—-]|(?:on|with|w/?|in|at|for|and|or|sharp"
    rf"|today|tomorrow|this|next|every|each|via|{WEEKDAY})(?!\w)))",
    re.IGNORECASE,
)
BARE, GUESSED = "bare hour", "bare hour, morning or evening guessed"


def find_bare_times(text: str) -> tuple[Mention, ...]:
    """Numbers that may be hours without a half of the day ("at 7", "5:30").

    `style` is :data:`BARE` where the words around say that it is an hour and the text which half it means,
    :data:`GUESSED` where only the first is sure, "number" else.
    """
    blank, found = text, []
    for one in find_dates(text) + find_durations(text):
        blank = blank[: one.start] + "¦" * (one.end - one.start) + blank[one.end :]
    for match in _BARE.finditer(blank):
        hour, told = guessed_hour(int(match["hour"]), text)
        end = _BARE_END.match(blank, match.end())
        hourly = _CUE.search(blank[max(0, match.start() - REACH) : match.start()]) and end
        style = (BARE if told else GUESSED) if hourly else "number"
        stop = end.end() if hourly else match.end()
        value = time_text(hour, int(match["minute"] or 0))
        found.append(Mention(match.start(), stop, text[match.start() : stop], value, style))
    return tuple(found)
