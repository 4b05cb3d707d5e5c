"""Errors that the user can mend."""

from __future__ import annotations

import difflib


class UserError(Exception):
    """Something the user can mend; the message is one line that says what to do."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows: the line, without the code that it came through."""
        return [f"{type(self).__name__}: {self}"]


def one_of(value: str, allowed: tuple[str, ...] | list[str], what: str) -> str:
    """Return `value` if allowed, else raise a :class:`UserError` that names the nearest choice."""
    if value in allowed:
        return value
    near = difflib.get_close_matches(value, allowed, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise UserError(f"unknown {what} {value!r}: choose from {', '.join(allowed)}{hint}")
