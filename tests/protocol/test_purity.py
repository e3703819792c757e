"""The protocol package does no input or output, and brings in nothing heavy."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import testbed.protocol

MODULES = sorted(Path(testbed.protocol.__path__[0]).glob("*.py"))
DOING_IO = {"asyncio", "logging", "pathlib", "select", "selectors", "socket", "subprocess", "threading", "time"}


def _imported(module: Path) -> set[str]:
    imported = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    return imported


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_imports_only_the_standard_library_and_its_own_room(module: Path) -> None:
    own = {name for name in _imported(module) if name.startswith("testbed.")}
    others = {name.partition(".")[0] for name in _imported(module) - own}
    assert all(name == "testbed.errors" or name.startswith("testbed.protocol.") for name in own)
    assert others <= sys.stdlib_module_names
    assert not others & DOING_IO
