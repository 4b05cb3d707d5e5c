"""Which module scores a task."""

from __future__ import annotations

from types import ModuleType

from helpers.tasks import metrics, token_metrics
from helpers.tasks.base import Task


def metrics_of(task: Task) -> ModuleType:
    """Scores of values that are written, or of tags; both modules have the same functions."""
    return metrics if task.writes else token_metrics
