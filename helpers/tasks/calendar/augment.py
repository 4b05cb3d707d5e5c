"""New training rows from labelled ones: values swapped, told in another row's words, restyled, or invented."""

from __future__ import annotations

import datetime
import random
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

from helpers.tasks.calendar.pieces import (
    Piece,
    calendar_day,
    clock,
    join_pieces,
    redate,
    redure,
    retime,
    split_pieces,
)
from helpers.tasks.calendar.pools import (
    NUMBER,
    InventedPools,
    Pools,
    duration_kind,
    duration_like,
    is_virtual,
    lead_kind,
    lead_of,
    mine_pools,
    place_kind,
)
from helpers.tasks.calendar.surface import duration_minutes, spell_minutes
from helpers.tasks.calendar.text import normalise_span
from helpers.tasks.records import Example
from helpers.tasks.text import typo

Augmenter = Callable[[Example, random.Random], "Example | None"]
FIRST_DAY, LAST_DAY = datetime.date(2023, 1, 1), datetime.date(2028, 12, 31)


# -- exchanging values ----------------------------------------------------------------------------------------------
def _new_action(
    before: Piece, piece: Piece, core: str, recurrence: tuple[str, str] | None, text: str, pools: Pools
) -> tuple[Piece, Piece]:
    """The action with its lead kept and its core exchanged, and the text before it.

    An article follows the sound of the new core, the capital follows the old one, the recurrence the new core.
    """
    lead = lead_of(piece.text)
    old = piece.text[len(lead) :]
    if old[:1].isupper() and core[:1].islower() and not lead:
        core = core[:1].upper() + core[1:]
    elif old[:1].islower() and core.split()[0].lower() in pools.lower_words and core[1:2].islower():
        core = core[:1].lower() + core[1:]
    article = "an" if core[:1].lower() in "aeiou" else "a"
    if lead:
        lead = re.sub(r"\ban?\s+$", f"{article} ", lead)
    else:
        before = replace(before, text=re.sub(r"\ban?\s+$", f"{article} ", before.text))
    inner = None
    if recurrence:
        place = re.search(re.escape(recurrence[0]), core, re.IGNORECASE)
        if place:
            inner = (place.group(), normalise_span("recurrence", place.group(), text, pools.conventions))
    return before, replace(piece, text=lead + core, value=lead + core, recurrence=inner)


def random_day(rng: random.Random) -> datetime.date:
    """A day between :data:`FIRST_DAY` and :data:`LAST_DAY`."""
    return FIRST_DAY + datetime.timedelta(days=rng.randrange((LAST_DAY - FIRST_DAY).days + 1))


def random_clock(rng: random.Random) -> tuple[int, int]:
    """Hour and minute of the waking day, mostly on the quarter."""
    return rng.randint(7, 21), rng.choice((0, 0, 0, 15, 30, 30, 45, 5 * rng.randrange(12)))


def exchange(
    example: Example, pieces: list[Piece], pools: Pools, rng: random.Random, origin: str
) -> Example | None:
    """The same words around other values: dates and times in the same style, names and places from the pools."""
    new, used = [], set()
    for before, piece in zip([Piece("")] + pieces, pieces):
        if piece.field == "action" and piece.verbatim:
            core, recurrence = pools.action(lead_kind(before.text, piece.text), rng)
            new[-1], piece = _new_action(before, piece, core, recurrence, example.text, pools)
        elif piece.field == "date":
            piece = redate(piece, random_day(rng))
        elif piece.field == "time":
            hour, minute = random_clock(rng)
            changed = retime(piece, hour, minute)
            piece = changed if changed is not piece else retime(piece, hour, 0)
        elif piece.field == "attendees" and piece.verbatim:
            name = pools.person(piece.text, rng)
            while name in used and len(used) < 5:
                name = pools.person(piece.text, rng)
                used.add(name)
            used.add(name)
            piece = replace(piece, text=name, value=name)
        elif (
            piece.field == "location"
            and piece.verbatim
            and pools.places.get((*place_kind(before.text), is_virtual(piece.text)))
        ):
            place = pools.place(piece.text, place_kind(before.text), rng)
            piece = replace(piece, text=place, value=place)
        elif piece.field == "duration" and NUMBER.match(piece.text):
            surface = rng.choice(pools.durations.get(duration_kind(piece.text), [piece.text]))
            minutes = duration_minutes(surface)
            in_minutes = bool(re.search(r"\d\s?m", surface))
            piece = redure(piece, surface, spell_minutes(minutes, in_minutes)) if minutes else piece
        elif piece.field == "recurrence":
            text, value = rng.choice(pools.recurrences or [(piece.text, piece.value)])
            piece = replace(piece, text=text, value=value)
        new.append(piece)
    return join_pieces(new, example, origin)


def _told_like(pieces: list[Piece], template: list[Piece], text: str, pools: Pools) -> list[Piece] | None:
    """The values of `pieces` in the words, order and style of `template`, which must have the same fields."""
    mine: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        if piece.field:
            mine[piece.field].append(piece)
    places = [index for index, piece in enumerate(template) if piece.field == "attendees"]
    if mine["notes"] or (len(places) > 1 and len(mine["attendees"]) != len(places)):
        return None  # a remark fits its own sentence only
    told: list[Piece] = []
    for slot in template:
        if not slot.field:
            told.append(slot)
            continue
        if slot.field == "attendees" and len(places) == 1:
            for index, person in enumerate(mine["attendees"]):
                told += [
                    Piece("" if not index else " and " if index + 1 == len(mine["attendees"]) else ", "),
                    person,
                ]
            continue
        piece = mine[slot.field].pop(0)
        if slot.field == "action":
            kind, core = lead_kind(told[-1].text, slot.text), piece.text[len(lead_of(piece.text)) :]
            if not (slot.verbatim and piece.verbatim) or (
                kind and not lead_of(piece.text) and not pools.is_noun(core)
            ):
                return None
            told[-1], piece = _new_action(told[-1], slot, core, piece.recurrence, text, pools)
        elif slot.field == "date":
            day = calendar_day(piece.value)
            piece = redate(slot, day) if day else slot
        elif slot.field == "time":
            hours = clock(piece.value)
            piece = retime(slot, *hours) if hours else slot
        elif slot.field == "location" and is_virtual(slot.text) != is_virtual(piece.text):
            return None
        elif slot.field == "duration":
            minutes, kind = duration_minutes(piece.text), duration_kind(slot.text)
            alike = [text for text in pools.durations.get(kind, []) if duration_minutes(text) == minutes]
            surface = alike[0] if alike else duration_like(kind, minutes) if minutes else None
            if surface is None:
                return None
            piece = redure(slot, surface, spell_minutes(minutes or 0, bool(re.search(r"\d\s?m", surface))))
        told.append(piece)
    return told


# -- style ----------------------------------------------------------------------------------------------------------
def _between(pieces: list[Piece], pattern: str, new: str | Callable[[re.Match], str]) -> list[Piece]:
    """The pattern replaced in the text between the values."""
    return [
        piece if piece.field else replace(piece, text=re.sub(pattern, new, piece.text)) for piece in pieces
    ]


def _style(pieces: list[Piece], pools: Pools, rng: random.Random) -> list[Piece]:
    """One to three changes of writing that leave the meaning as it is."""

    def redated(p: Piece) -> Piece:
        day = calendar_day(p.value) if p.field == "date" else None
        return redate(p, day, rng.choice(pools.dates)) if day else p

    def retimed(p: Piece) -> Piece:
        hours = clock(p.value) if p.field == "time" else None
        return retime(p, *hours, rng.choice(pools.times)) if hours else p

    def slip(match: re.Match) -> str:
        return typo(match.group(), rng)

    short = any(re.search(r"\bw/", p.text) for p in pieces)
    joined = any(re.search(r"[&+]\s*$", p.text) for p in pieces if not p.field)
    changes = [
        lambda: [p.rewritten(str.lower) for p in pieces],
        lambda: _between(pieces, *((r"\bw/(?=\s|$)", "with") if short else (r"\bwith\b", "w/"))),
        lambda: _between(pieces, *((r"\s*[&+]\s*$", " and ") if joined else (r",?\s+and\s+$", " & "))),
        lambda: _between(pieces, r"\.$", "") if pieces[-1].text.endswith(".") else [*pieces, Piece(".")],
        lambda: [redated(p) for p in pieces],
        lambda: [retimed(p) for p in pieces],
        lambda: _between(pieces, r"\w+", slip),
    ]
    for change in rng.sample(changes, rng.choice((1, 2, 2, 3))):
        pieces = change()
    return pieces


# -- what the task offers -------------------------------------------------------------------------------------------
def augmenters(train: list[Example]) -> dict[str, Augmenter]:
    """The three augmentations of labelled rows; each returns None for a row whose values it cannot place.

    `entity_swap` puts values mined from train in place of the row's own, `template` tells the row's values in the words
    of another train row with the same fields, `style` varies case, joining words, punctuation, date and time style.
    """
    pools = mine_pools(train)
    by_fields: dict[frozenset, list[list[Piece]]] = defaultdict(list)
    for _, pieces in pools.rows:
        by_fields[frozenset(piece.field for piece in pieces)].append(pieces)

    def different(made: Example | None, example: Example) -> Example | None:
        return made if made is not None and made.text != example.text else None

    def entity_swap(example: Example, rng: random.Random) -> Example | None:
        pieces = split_pieces(example)
        return different(exchange(example, pieces, pools, rng, "entity_swap"), example) if pieces else None

    def template(example: Example, rng: random.Random) -> Example | None:
        pieces = split_pieces(example)
        others = by_fields.get(frozenset(piece.field for piece in pieces)) if pieces else None
        for _ in range(8 if others else 0):
            told = _told_like(pieces, rng.choice(others), example.text, pools)
            made = different(join_pieces(told, example, "template"), example) if told else None
            if made is not None:
                return made
        return None

    def style(example: Example, rng: random.Random) -> Example | None:
        pieces = split_pieces(example)
        for _ in range(4 if pieces else 0):
            made = different(join_pieces(_style(pieces, pools, rng), example, "style"), example)
            if made is not None:
                return made
        return None

    return {"entity_swap": entity_swap, "template": template, "style": style}


def synthesise(train: list[Example], count: int, rng: random.Random) -> list[Example]:
    """Rows with invented values in the words of train rows.

    Whether a scheduling verb belongs to the action, a duration is spelt out or an article dropped follows the train row
    that gave the words. No text occurs twice or in train.

    Returns
    -------
    list of Example
        At most `count`; fewer where train is too small to give so many different texts. Ids go on after those of train.
    """
    pools = mine_pools(train)
    if not pools.rows or count <= 0:
        return []
    invented, seen, made = InventedPools(pools, rng), {example.text for example in train}, []
    first_id = max(example.id for example in train) + 1
    for _ in range(20 * count):
        example, pieces = rng.choice(pools.rows)
        new = exchange(example, pieces, invented, rng, "synthetic")
        if new is not None and new.text not in seen:
            seen.add(new.text)
            made.append(new.with_(id=first_id + len(made)))
            if len(made) == count:
                break
    return made


def perturbations() -> dict[str, Augmenter]:
    """Changes of the input that should not change the answer (see :mod:`helpers.tasks.calendar.perturb`)."""
    from helpers.tasks.calendar.perturb import PERTURBATIONS

    return dict(PERTURBATIONS)
