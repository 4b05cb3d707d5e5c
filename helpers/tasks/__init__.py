"""Tasks: what is asked of a text, in a folder each, behind one interface. Stands on errors, paths and files alone."""

from helpers.tasks.base import Example, Task
from helpers.tasks.load import TASK_NAMES, load_task

__all__ = ["Example", "TASK_NAMES", "Task", "load_task"]
