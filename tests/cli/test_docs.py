"""What docs/commands.md shows of the commands is what they print.

``TESTBED_UPDATE_GOLDEN=1 pytest`` writes the outputs anew; the difference is then for a reviewer to read.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Command

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_COLUMNS = "100"


def test_the_outputs_on_the_page_are_those_of_the_commands(testbed: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", _COLUMNS)

    def rendered(block: re.Match[str]) -> str:
        commands = re.findall(r"^\$ testbed (.*)$", block[1], re.MULTILINE)
        assert commands, block[0]
        outcomes = [(words, testbed(*words.split())) for words in commands]
        return "```console\n" + "".join(f"$ testbed {words}\n{one.out}{one.err}" for words, one in outcomes) + "```"

    written = PAGE.read_text(encoding="utf-8")
    told, number = _BLOCK.subn(rendered, written)
    if os.environ.get("TESTBED_UPDATE_GOLDEN"):
        PAGE.write_text(told, encoding="utf-8")
    assert number >= 4
    assert told == PAGE.read_text(encoding="utf-8")
