"""Where calendar values stand in the text, how labellers rewrote them, and which values mean the same."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from helpers.tasks.calendar.surface import (
    Mention,
    canonical_date,
    canonical_time,
    duration_minutes,
    find_dates,
    find_durations,
    find_times,
    render_date,
    render_time,
    spell_minutes,
)
from helpers.tasks.records import Example
from helpers.tasks.text import normalise, word_spans

__all__ = [
    "ABBREVIATED",
    "FIELDS",
    "REWRITES",
    "Conventions",
    "Mention",
    "align",
    "canonical_date",
    "canonical_time",
    "duration_minutes",
    "equivalent",
    "find_dates",
    "find_durations",
    "find_times",
    "learn_conventions",
    "normalise_span",
    "render_date",
    "render_time",
    "spell_minutes",
    "strip_lead",
    "surface",
]
FIELDS = ("action", "date", "time", "attendees", "location", "duration", "recurrence", "notes")
ABBREVIATED = {
    "mtg": "meeting",
    "mtgs": "meetings",
    "sess": "session",
    "conf": "conference",
    "rm": "room",
    "appt": "appointment",
    "dept": "department",
    "w/": "with",
    "convo": "conversation",
    "bday": "birthday",
    "b'day": "birthday",
    "1:1": "1-on-1",
    "mgr": "manager",
    "pres": "presentation",
    "wkly": "weekly",
    "intro": "introduction",
    "prep": "preparation",
    "bldg": "building",
    "eng": "engineering",
    "engg": "engineering",
    "mktg": "marketing",
}
# Abbreviations that train labels spell out in the value (mtg 6 times in 14, sess. always).
REWRITES: dict[str, tuple[str, ...]] = {"mtg": ("meeting",), "Mtg": ("Meeting",), "sess": ("session",)}
LEAD = re.compile(
    r"^(?:please\s+)?(?:re-?schedule|schedule|book|set\s*up|set|plan|arrange|organi[sz]e|add|put\s+(?:in|down)"
    r"|pencil\s+in|block(?:\s+(?:out|off))?|reserve|list|create|make|hold)\b"
    r"(?:\s+me\s+in)?"
    r"(?:\s+(?:an?\s+|some\s+)?(?:placeholder|time\s+slot|slot|time|spot)(?:\s+(?:for|to))?\b)?"
    r"(?:\s+for\b)?(?:\s+(?:an?|the|our|my|next))*\s+(?=\w)",
    re.IGNORECASE,
)
_ARTICLE = re.compile(r"^(?:the|an?|our|my|that|this)\s+", re.IGNORECASE)
_PREPOSITION = re.compile(r"^(?:at|in|on|via|over|using|through|@)\s+", re.IGNORECASE)
_RECURRENCE = (
    (re.compile(r"(?:every|each)\s+(?:other|2|two|second)\s+weeks?|bi-?weekly|fortnight(?:ly)?"), "biweekly"),
    (re.compile(r"(?:every|each)\s+(?:week)?day|daily"), "daily"),
    (re.compile(r"(?:every|each|once a)\s+week|weekly"), "weekly"),
    (re.compile(r"(?:every|each|once a)\s+month|monthly"), "monthly"),
    (re.compile(r"(?:every|each)\s+(?:3 months|three months|quarter)|quarterly"), "quarterly"),
    (re.compile(r"(?:every|each|once a)\s+year|annual(?:ly)?|yearly"), "annual"),
)
_OFTEN = re.compile(r"\b(?:every|each)\s+\w+(?:\s+weeks?)?|\b\w+ly\b|\bannual\b", re.IGNORECASE)


def strip_lead(action: str) -> str:
    """The action without a scheduling verb and article in front: "Schedule a review" → "review"."""
    return LEAD.sub("", action, count=1)


def _plain(text: str) -> str:
    """Lower case, abbreviations spelt out, punctuation gone."""
    text = re.sub(r"\bw/\s?", "with ", normalise(text).lower())
    words = re.findall(r"\w+(?:[-':&]\w+)*", text)
    return " ".join(ABBREVIATED.get(word, word) for word in words)


def equivalent(name: str, left: str, right: str) -> bool:
    """Whether two values of a calendar field mean the same to a reader.

    Case, punctuation, articles, abbreviations ("mtg", "w/") never count; "14:00" is "2pm", "1hr" is "60 minutes",
    "every week" is "weekly", "Schedule a review" is "review", "at the library" is "library".
    """
    if _plain(left) == _plain(right):
        return bool(_plain(left)) or left == right
    if name == "date":
        return canonical_date(left) == canonical_date(right)
    if name == "time":
        return canonical_time(left) == canonical_time(right)
    if name == "duration":
        minutes = duration_minutes(left)
        return minutes is not None and minutes == duration_minutes(right)
    if name == "recurrence":
        left, right = (_frequency(value) for value in (left, right))
    elif name == "action":
        left, right = (_ARTICLE.sub("", strip_lead(_plain(value))) for value in (left, right))
    elif name in ("location", "attendees"):
        left, right = (_ARTICLE.sub("", _PREPOSITION.sub("", _plain(value))) for value in (left, right))
    elif name == "notes":
        cue = re.compile(r"^(?:to|for|about|re)\s+(?:the\s+|an?\s+)?")
        left, right = (cue.sub("", _plain(value)) for value in (left, right))
    return bool(left) and left == right


def _frequency(value: str) -> str:
    plain = _plain(value)
    return next((name for pattern, name in _RECURRENCE if pattern.fullmatch(plain)), plain)


def _abbreviated_spans(value: str, text: str) -> list[tuple[int, int]]:
    """Spans of the text that give the value once abbreviations are spelt out ("Strategy mtg" → "Strategy meeting")."""
    words = []
    for word in value.split():
        writings = [word, *(short for short, long in ABBREVIATED.items() if long == word.lower())]
        words.append(f"(?:{'|'.join(map(re.escape, writings))})")
    pattern = r"(?<!\w)" + r"\.?\s".join(words) + r"(?!\w)\.?"
    return [match.span() for match in re.finditer(pattern, text, re.IGNORECASE)]


def _candidates(name: str, value: str, text: str) -> list[tuple[int, int]]:
    """Spans that may hold the value, best kind of match first."""
    mentions: Iterable[Mention] = ()
    if name == "date":
        mentions = find_dates(text)
    elif name == "time":
        mentions = find_times(text)
    if name in ("date", "time"):
        return [(m.start, m.end) for m in mentions if m.value == value] or word_spans(value, text)
    spans = word_spans(value, text)
    if name == "duration":
        minutes = duration_minutes(value)
        same = [
            (m.start, m.end)
            for m in find_durations(text)
            if minutes is not None and float(m.value) == minutes
        ]
        return spans + [span for span in same if span not in spans]
    spans = spans or word_spans(value, text, ignore_case=True) or _abbreviated_spans(value, text)
    if not spans and name == "recurrence":
        spans = [m.span() for m in _OFTEN.finditer(text) if _frequency(m.group()) == _frequency(value)]
    return spans


def align(example: Example) -> dict[str, list[tuple[int, int]]]:
    """Where each gold value stands in the text.

    Parameters
    ----------
    example : Example
        With a canonical target.

    Returns
    -------
    dict
        Field → one (start, end) a value, in the order of the values; an empty list where the field is absent or where
        any of its values is nowhere in the text. Spans of different fields do not overlap, but that of a recurrence may
        lie inside the action ("weekly" in "weekly sync").
    """
    text, target = example.text, example.target
    spans: dict[str, list[tuple[int, int]]] = {name: [] for name in FIELDS}
    taken: list[tuple[int, int]] = []

    def free(span: tuple[int, int], others: list[tuple[int, int]]) -> bool:
        return all(span[1] <= start or span[0] >= end for start, end in others)

    def order(name: str) -> tuple[int, int]:
        fixed = ("date", "time").index(name) if name in ("date", "time") else 2
        value = target[name]
        return fixed, -max(map(len, [value] if isinstance(value, str) else value))

    # dates and times are sure; of the rest the longest value goes first, so that "Zoom" cannot take "Zoom check-in"
    for name in sorted((name for name in FIELDS if target.get(name) and name != "recurrence"), key=order):
        found: list[tuple[int, int]] = []
        values = target[name] if isinstance(target[name], list) else [target[name]]
        for value in values:
            options = [span for span in _candidates(name, value, text) if free(span, taken + found)]
            if not options:
                break
            after = [span for span in options if not found or span[0] >= found[-1][1]]
            # a place or person named twice is the one outside the action, which comes first more often than not
            pick = (after or options)[-1 if name == "location" else 0]
            found.append(pick)
        if len(found) == len(values):
            spans[name] = found
            taken += found
    if target.get("recurrence"):
        places = _candidates("recurrence", target["recurrence"], text)
        spans["recurrence"] = places[:1]
    return spans


def surface(example: Example, name: str, spans: dict[str, list[tuple[int, int]]] | None = None) -> str | None:
    """The text of a field's first aligned span, or None."""
    places = (spans or align(example))[name]
    return example.text[slice(*places[0])] if places else None


# -- what labellers did with the spans ------------------------------------------------------------------------------
@dataclass
class Conventions:
    """Counts of how train labels rewrite spans.

    Parameters
    ----------
    durations : dict
        (style of the text or "", shape of the surface) → Counter of `as is`, `spaced`, `spelt`, `other`.
    words : dict
        (style of the text or "", lower-case abbreviation) → Counter of `as is` and `spelt`.
    capitals : dict
        (style of the text or "", field) → Counter of `as is`, `lower`, `capital`, `other` where the span begins with a
        capital or the value does.
    """

    durations: dict[tuple[str, str], Counter] = field(default_factory=lambda: defaultdict(Counter))
    words: dict[tuple[str, str], Counter] = field(default_factory=lambda: defaultdict(Counter))
    capitals: dict[tuple[str, str], Counter] = field(default_factory=lambda: defaultdict(Counter))


def duration_shape(span: str) -> str:
    """The surface with its number taken out: "30 mins" → "# mins"; "1hr" stays; "half an hour" → "words"."""
    span = normalise(span).lower()
    if not re.match(r"\d+(?:\.\d+)?\s?[a-z]", span):
        return "words"
    return re.sub(r"\d+(?:\.\d+)?", lambda m: "1" if m.group() == "1" else "#", span)


def style_context(text: str) -> str:
    """Date and time style of the text plus how people are joined: rows labelled alike look alike."""
    dates, times = find_dates(text), find_times(text)
    joiner = next((mark for mark in (" + ", " & ", " and ", ",") if mark in text), "")
    return "|".join(
        (dates[0].style if dates else "", times[0].style if times else "", joiner, "w/" * ("w/" in text))
    )


_SPACED = re.compile(r"^(\d+(?:\.\d+)?)\s?([a-z]+)$", re.IGNORECASE)


def _spaced(span: str) -> str:
    match = _SPACED.match(span)
    return f"{match[1]} {match[2]}" if match else span


def _duration_forms(span: str) -> dict[str, str]:
    minutes = duration_minutes(span)
    match = _SPACED.match(span)
    in_minutes = bool(match) and match[2].lower().startswith("m")
    spelt = span if minutes is None else spell_minutes(minutes, in_minutes)
    return {"as is": span, "spaced": _spaced(span), "spelt": spelt}


def learn_conventions(examples: Iterable[Example]) -> Conventions:
    """Count on labelled rows how durations, abbreviations and capitals of spans end up in the values."""
    learnt = Conventions()
    for example in examples:
        spans = align(example)
        context = style_context(example.text)
        for name in ("duration", "action", "recurrence", "notes"):
            place, value = surface(example, name, spans), example.target.get(name)
            if place is None:
                continue
            if name == "duration":
                form = next((form for form, text in _duration_forms(place).items() if text == value), "other")
                for key in ((context, duration_shape(place)), ("", duration_shape(place))):
                    learnt.durations[key][form] += 1
                continue
            for word in re.findall(r"\w+", place.lower()):
                if word in ABBREVIATED:
                    form = "spelt" if ABBREVIATED[word] in value.lower() else "as is"
                    for key in ((context, word), ("", word)):
                        learnt.words[key][form] += 1
            case = (
                "as is"
                if place == value
                else "lower"
                if place.lower() == value
                else "capital"
                if place[:1].upper() + place[1:] == value
                else "other"
            )
            if place[:1].isupper() or case == "capital":
                for key in ((context, name), ("", name)):
                    learnt.capitals[key][case] += 1
    return learnt


def _habit(
    counts: dict[tuple[str, str], Counter], text: str, key: str, forms: Iterable[str], default: str = "as is"
) -> str:
    """The form counted most for texts of this style, or for all texts where the style is rare."""
    for context in (style_context(text), ""):
        known = Counter(
            {form: count for form, count in counts.get((context, key), {}).items() if form in forms}
        )
        if sum(known.values()) >= 2:
            return max(sorted(known), key=known.__getitem__)
    return default


def normalise_span(name: str, span: str, text: str = "", conventions: Conventions | None = None) -> str:
    """The value that labellers would write for a span of the text.

    Parameters
    ----------
    name : str
        Field.
    span : str
        Piece of the text.
    text : str
        The whole text: its style tells whether "30m" was kept or spelt out.
    conventions : Conventions, optional
        What :func:`learn_conventions` counted; without it only dates, times and numbers in words change.
    """
    span = normalise(span)
    if name == "date":
        return canonical_date(span)
    if name == "time":
        return canonical_time(span)
    learnt = conventions or Conventions()
    if name == "duration":
        forms = _duration_forms(span)
        shape = duration_shape(span)
        return forms[_habit(learnt.durations, text, shape, forms, "spelt" if shape == "words" else "as is")]
    for word in dict.fromkeys(re.findall(r"\w+", span)):
        long = ABBREVIATED.get(word.lower())
        if long and _habit(learnt.words, text, word.lower(), ("as is", "spelt")) == "spelt":
            span = re.sub(rf"\b{word}\b\.?", long.capitalize() if word[:1].isupper() else long, span)
    if name in ("recurrence", "notes") and span[:1].isupper():
        return span.lower() if _habit(learnt.capitals, text, name, ("as is", "lower")) == "lower" else span
    return span
