"""Imports run one way: a room imports those before it, and no module reaches itself."""

import ast
from functools import cache
from pathlib import Path

import networkx
import pytest
from conftest import ROOT

ROOMS = (
    "errors paths files tasks run machine command data manifest models writing tagging training evaluation "
    "views export calibrate serve infer publish report pipeline hosted"
).split()
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "helpers").rglob("*.py"))
}
PROGRAMS = {"helpers.evaluation.benchmark": "export"}  # measures what is exported too; no module imports it


def room_of(module: str) -> str:
    """The folder of a module, or its name where it stands beside the folders."""
    return PROGRAMS.get(module, module.split(".")[1] if "." in module else "")


@cache
def imports_of(module: str) -> frozenset[str]:
    """Modules of the package that one imports, on top or inside a function, but for the packages they are in."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return frozenset(found & set(MODULES) - {module, "helpers"})


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_rooms_before_its_own(module):
    if room := room_of(module):
        late = {one for one in imports_of(module) if ROOMS.index(room_of(one)) > ROOMS.index(room)}
        assert not late


def test_no_module_imports_a_program():
    assert not {one for module in MODULES for one in imports_of(module)} & set(PROGRAMS)


def test_no_module_reaches_itself():
    graph = networkx.DiGraph((module, one) for module in MODULES for one in imports_of(module))
    assert not list(networkx.simple_cycles(graph))


def test_every_room_says_what_is_in_it():
    for folder in {path.parent for path in MODULES.values()} - {Path(ROOT / "helpers")}:
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))), folder
