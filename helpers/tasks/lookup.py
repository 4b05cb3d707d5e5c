"""Modules and functions by the names that tasks give for them."""
from __future__ import annotations

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import Any


def load_module(name: str) -> ModuleType:
    """The module with that dotted name."""
    return importlib.import_module(name)


def load_function(address: str) -> Callable[..., Any]:
    """The function at `module:function`."""
    module, name = address.split(":")
    return getattr(load_module(module), name)
