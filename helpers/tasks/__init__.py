"""The three tasks behind one interface."""
from __future__ import annotations

import importlib

from helpers.errors import UserError, one_of
from helpers.tasks.base import Task
from helpers.tasks.records import Example

__all__ = ["Example", "TASK_NAMES", "Task", "get_task"]

TASK_NAMES = ("calendar", "crime", "it_ner")


def get_task(name: str | Task) -> Task:
    """The task with that name.

    Raises
    ------
    UserError
        If there is no such task, or it has not been built yet.
    """
    if isinstance(name, Task):
        return name
    one_of(name, TASK_NAMES, "task")
    try:
        return importlib.import_module(f"helpers.tasks.{name}").TASK
    except ModuleNotFoundError as error:
        if error.name != f"helpers.tasks.{name}":
            raise
        raise UserError(f"task {name!r} is not part of this version yet: choose calendar or crime") from None
