"""The eight fields of an event."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel

from helpers.tasks.calendar.kinds import Action, Frequency, Name, Note
from helpers.tasks.fields import Date, Duration, Time


class Event(BaseModel):
    """All keys must be there; absent values are null."""

    action: Annotated[str | None, Action(weight=1.5)]
    date: Annotated[str | None, Date()]
    time: Annotated[str | None, Time()]
    attendees: Annotated[list[str] | None, Name(weight=1.5)]
    location: Annotated[str | None, Name(weight=1.5, last=True)]
    duration: Annotated[str | None, Duration(weight=1.2)]
    recurrence: Annotated[str | None, Frequency(nested=True)]
    notes: Annotated[str | None, Note(weight=1.5)]
