"""The three tasks behind one interface."""

from __future__ import annotations

import importlib

from helpers.errors import one_of
from helpers.tasks.base import Task
from helpers.tasks.records import Example

__all__ = ["Example", "TASK_NAMES", "Task", "get_task"]

TASK_NAMES = ("calendar", "crime", "it_ner")


def get_task(name: str | Task) -> Task:
    """The task with that name.

    Raises
    ------
    UserError
        If there is no such task.
    """
    if isinstance(name, Task):
        return name
    one_of(name, TASK_NAMES, "task")
    return importlib.import_module(f"helpers.tasks.{name}.task").TASK
