"""Two tasks as users bring them: bookings of rooms, a schema and rows, and dishes on menus, labels and rows alone."""

import json
import textwrap
from pathlib import Path

SCHEMA = '''
"""Bookings of rooms, from the line in which somebody asks for one."""

from typing import Annotated, Literal

from pydantic import BaseModel

from helpers.tasks.fields import Date, Span, Time


class Booking(BaseModel):
    """What a caretaker needs to know."""

    room: Annotated[str | None, Span()]
    day: Annotated[str | None, Date()]
    start: Annotated[str | None, Time()]
    guests: Annotated[list[str] | None, Span()]
    layout: Literal["rows", "circle"] | None = None
'''
ROOMS, PEOPLE = ["Birch Room", "Room 12B", "the attic", "Hall C"], ["Ann", "Bo Li", "Cy", "Dee", "Eli"]
ASKED = (
    "Please book {room} on {when} for {people}",
    "Choir practice: {when}, {people} sing, we take {room}",
    "Could my neighbours {people} have {room}? They come {when}",
    "{people} want to hold their workshop in {room}, starting {when}",
    "The board meets in {room} on {when}. Present: {people}",
    "Reserve {room} because {people} give a talk on {when}",
    "Birthday party {when} with {people}, is {room} free then",
    "Moving the yoga class of {people} to {room}, new date {when}",
)
ENDINGS = (
    (", chairs in a circle", "circle"),
    (", seats in rows and a projector, please", "rows"),
    (", tea for twenty would be nice", None),
    (". Somebody has to turn the heating on before", None),
    (", as last year", None),
)
DISHES = ["leek soup", "apple pie", "fried rice", "stew"]
PLACES = ["Graz", "Old Mill", "Cork", "Lake House", "Bonn"]


def booking(at: int) -> dict:
    """A row; every value differs from row to row, and the wording does."""
    room, guest, other = ROOMS[at % 4], PEOPLE[at % 5], PEOPLE[(at + 2) % 5]
    day, hour = 1 + at % 28, 8 + at % 10
    (ending, layout), when = ENDINGS[at % 5], f"{day} May 2027 at {hour}:30"
    text = ASKED[at % 8].format(room=room, when=when, people=f"{guest} and {other}") + ending
    start = f"{(hour - 1) % 12 + 1}:30 {'PM' if hour >= 12 else 'AM'}"
    output = {"room": room, "day": f"{day:02}/05/2027", "start": start}
    output |= {"guests": [guest, other], "layout": layout}
    return {"text": text, "output": output}


def dish(at: int) -> dict:
    """A row of tagged tokens."""
    words = [("They", ""), ("served", ""), (DISHES[at % 4], "DISH"), ("in", ""), (PLACES[at % 5], "PLACE")]
    words += [("for", ""), (f"{at}", ""), ("people", ""), (".", "")]
    pairs = [(word, label, first) for text, label in words for first, word in enumerate(text.split())]
    tags = [f"{'I' if first else 'B'}-{label}" if label else "O" for _, label, first in pairs]
    return {"tokens": [word for word, _, _ in pairs], "ner_tags": tags}


def _written(folder: Path, name: str, content: str, rows: list[dict]) -> Path:
    folder.mkdir()
    (folder / name).write_text(textwrap.dedent(content))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def write_rooms(folder: Path) -> Path:
    """Make the folder of the JSON task, with 60 rows."""
    return _written(folder, "schema.py", SCHEMA, list(map(booking, range(60))))


def write_dishes(folder: Path) -> Path:
    """Make the folder of the tagging task, with 60 rows."""
    return _written(folder, "labels.txt", "DISH\nPLACE\n", list(map(dish, range(60))))
