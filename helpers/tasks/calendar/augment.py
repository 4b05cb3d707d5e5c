"""New training rows from labelled ones: values swapped, told in another row's words, restyled, or invented."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from helpers.tasks.base import Change, Task
from helpers.tasks.calendar.conventions import value_of
from helpers.tasks.calendar.pools import (
    InventedPools,
    Pools,
    is_virtual,
    lead_kind,
    lead_of,
    mine_pools,
    place_kind,
)
from helpers.tasks.dates import duration_minutes, spell_minutes
from helpers.tasks.records import Example
from helpers.tasks.text import typo
from helpers.tasks.variation import Piece, join_pieces, new_rows, split_pieces


# -- exchanging values ----------------------------------------------------------------------------------------------
def _new_action(
    before: Piece, piece: Piece, core: str, inner: tuple[str, str, str] | None, text: str, pools: Pools
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
    changed = None
    if inner:
        place = re.search(re.escape(inner[1]), core, re.IGNORECASE)
        if place:
            said = value_of("recurrence", place.group(), text, pools.conventions)
            changed = ("recurrence", place.group(), said)
    return before, replace(piece, text=lead + core, value=lead + core, inner=changed)


def _restyled(task: Task, piece: Piece, value: str, like: str) -> Piece:
    """A date or time with another value, written as another surface is; the piece itself where that cannot be."""
    text = task.kinds[piece.field].restyle(value, like)
    return replace(piece, text=text, value=value) if text else piece


def _lasting(piece: Piece, surface: str) -> Piece:
    """Another duration; its value copies the surface where the old one did, else it is spelt out."""
    spaced = re.compile(r"^(\d+(?:\.\d+)?)([a-z]+)$")
    spelt = spell_minutes(duration_minutes(surface) or 0, bool(re.search(r"\d\s?m", surface)))
    as_spaced = piece.value == spaced.sub(r"\1 \2", piece.text)
    value = surface if piece.verbatim else spaced.sub(r"\1 \2", surface) if as_spaced else spelt
    return replace(piece, text=surface, value=value)


def exchange(
    task: Task, pools: Pools, example: Example, pieces: list[Piece], rng: random.Random
) -> list[Piece]:
    """The same words around other values: dates and times in the same style, names and places from the pools."""
    new, used = [], set()
    for before, piece in zip([Piece(""), *pieces], pieces):
        if piece.field == "action" and piece.verbatim:
            core, recurrence = pools.action(lead_kind(before.text, piece.text), rng)
            new[-1], piece = _new_action(before, piece, core, recurrence, example.text, pools)
        elif piece.field in ("date", "time"):
            varied = task.kinds[piece.field].vary(piece.text, rng)
            piece = replace(piece, text=varied[0], value=varied[1]) if varied else piece
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
        elif piece.field == "duration":
            varied = task.kinds["duration"].vary(piece.text, rng)
            piece = _lasting(piece, varied[0]) if varied else piece
        elif piece.field == "recurrence":
            text, value = rng.choice(pools.recurrences or [(piece.text, piece.value)])
            piece = replace(piece, text=text, value=value)
        new.append(piece)
    return new


def _told_like(
    task: Task, pieces: list[Piece], template: list[Piece], text: str, pools: Pools
) -> list[Piece] | None:
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
            told[-1], piece = _new_action(told[-1], slot, core, piece.inner, text, pools)
        elif slot.field in ("date", "time"):
            piece = _restyled(task, slot, piece.value, slot.text)
        elif slot.field == "location" and is_virtual(slot.text) != is_virtual(piece.text):
            return None
        elif slot.field == "duration":
            surface = task.kinds["duration"].restyle(piece.text, slot.text)
            if surface is None:
                return None
            piece = _lasting(slot, surface)
        told.append(piece)
    return told


# -- style ----------------------------------------------------------------------------------------------------------
def _between(pieces: list[Piece], pattern: str, new: str | Callable[[re.Match], str]) -> list[Piece]:
    """The pattern replaced in the text between the values."""
    return [
        piece if piece.field else replace(piece, text=re.sub(pattern, new, piece.text)) for piece in pieces
    ]


def _style(task: Task, pieces: list[Piece], pools: Pools, rng: random.Random) -> list[Piece]:
    """One to three changes of writing that leave the meaning as it is."""

    def restyled(field: str, surfaces: list[str]) -> list[Piece]:
        return [_restyled(task, p, p.value, rng.choice(surfaces)) if p.field == field else p for p in pieces]

    def slip(match: re.Match) -> str:
        return typo(match.group(), rng)

    short = any(re.search(r"\bw/", p.text) for p in pieces)
    joined = any(re.search(r"[&+]\s*$", p.text) for p in pieces if not p.field)
    changes = [
        lambda: [p.rewritten(task.kinds, str.lower) for p in pieces],
        lambda: _between(pieces, *((r"\bw/(?=\s|$)", "with") if short else (r"\bwith\b", "w/"))),
        lambda: _between(pieces, *((r"\s*[&+]\s*$", " and ") if joined else (r",?\s+and\s+$", " & "))),
        lambda: _between(pieces, r"\.$", "") if pieces[-1].text.endswith(".") else [*pieces, Piece(".")],
        lambda: restyled("date", pools.dates),
        lambda: restyled("time", pools.times),
        lambda: _between(pieces, r"\w+", slip),
    ]
    for change in rng.sample(changes, rng.choice((1, 2, 2, 3))):
        pieces = change()
    return pieces


# -- what the task offers -------------------------------------------------------------------------------------------
def augmenters(task: Task, train: Sequence[Example]) -> dict[str, Change]:
    """The three augmentations of labelled rows; each returns None for a row whose values it cannot place.

    `entity_swap` puts values mined from train in place of the row's own, `template` tells the row's values in the words
    of another train row with the same fields, `style` varies case, joining words, punctuation, date and time style.
    """
    pools = mine_pools(task, train)
    by_fields: dict[frozenset, list[list[Piece]]] = defaultdict(list)
    for _, pieces in pools.rows:
        by_fields[frozenset(piece.field for piece in pieces)].append(pieces)

    def tried(origin: str, tries: int, change: Callable[..., list[Piece] | None]) -> Change:
        def augment(example: Example, rng: random.Random) -> Example | None:
            pieces = split_pieces(task, example)
            for _ in range(tries if pieces else 0):
                changed = change(example, pieces, rng)
                made = join_pieces(task, changed, example, origin) if changed else None
                if made is not None and made.text != example.text:
                    return made
            return None

        return augment

    def told(example: Example, pieces: list[Piece], rng: random.Random) -> list[Piece] | None:
        others = by_fields.get(frozenset(piece.field for piece in pieces))
        return others and _told_like(task, pieces, rng.choice(others), example.text, pools)

    return {
        "entity_swap": tried("entity_swap", 1, partial(exchange, task, pools)),
        "template": tried("template", 8, told),
        "style": tried("style", 4, lambda example, pieces, rng: _style(task, pieces, pools, rng)),
    }


def synthesise(task: Task, train: list[Example], count: int, rng: random.Random) -> list[Example]:
    """Rows with invented values in the words of train rows.

    Whether a scheduling verb belongs to the action, a duration is spelt out or an article dropped follows the train row
    that gave the words. No text occurs twice or in train; fewer than `count` come out of a small train part.
    """
    pools = mine_pools(task, train)
    if not pools.rows or count <= 0:
        return []
    invented = InventedPools(pools, rng)

    def make() -> Example | None:
        example, pieces = rng.choice(pools.rows)
        return join_pieces(task, exchange(task, invented, example, pieces, rng), example, "synthetic")

    return new_rows(train, count, make)
