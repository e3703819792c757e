"""The other commands, and how the whole behaves as a program: pipes, encodings, what it imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed import __version__
from testbed.reports import json_report
from tests.cli.conftest import Command, FakeRunner
from tests.reports.golden import assert_golden

ROOT = Path(__file__).parents[2]
_MAIN = "import sys; from testbed.cli.app import main; sys.exit(main())"


def _program(*words: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command line as a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", _MAIN, *words], cwd=ROOT, env=os.environ | environment, capture_output=True, check=False
    )


def test_without_a_command_the_help_is_printed(testbed: Command) -> None:
    outcome = testbed()
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out == testbed("--help").out


@pytest.mark.parametrize("command", ["run", "list", "show", "doctor", "bench", "schema"])
def test_every_command_has_a_help_with_examples(testbed: Command, command: str) -> None:
    outcome = testbed(command, "--help")
    assert (outcome.status, outcome.err) == (0, "")
    assert f"Examples:\n    testbed {command}" in outcome.out


def test_version_is_printed(testbed: Command) -> None:
    assert testbed("--version").out == f"testbed {__version__}\n"


def test_list_prints_names_and_titles(testbed: Command, runner: FakeRunner) -> None:
    lines = testbed("list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["roam", "stroll"]
    assert lines[1] == "stroll  A node goes for a stroll"


def test_list_gives_json(testbed: Command, runner: FakeRunner) -> None:
    listed = json.loads(testbed("list", "--json").out)
    assert listed[1] == {"name": "stroll", "title": "A node goes for a stroll", "topology": "two-visited"}


def test_show_draws_the_network_and_prints_addresses_and_options(testbed: Command, runner: FakeRunner) -> None:
    assert_golden("show_stroll.txt", testbed("show", "stroll").out)


def test_show_of_a_topology_has_no_options(testbed: Command) -> None:
    shown = testbed("show", "two-visited").out
    assert shown.startswith("Topology two-visited: ")
    assert "Options" not in shown


def test_show_gives_json(testbed: Command, runner: FakeRunner) -> None:
    shown = json.loads(testbed("show", "stroll", "--json").out)
    assert [option["name"] for option in shown["scenario"]["options"]] == ["ingress", "laps", "reverse_tunnel"]
    assert shown["topology"]["home"]["home_agent_address"] == "192.0.2.1"
    assert json.loads(testbed("show", "two-visited", "--json").out) == {"scenario": None, "topology": shown["topology"]}


def test_a_terminal_without_unicode_is_given_ascii() -> None:
    shown = _program("show", "roam", PYTHONIOENCODING="ascii")
    assert shown.returncode == 0
    assert shown.stdout.isascii()
    assert b"+----" in shown.stdout


def test_json_is_utf8_on_any_terminal() -> None:
    printed = _program("schema", "report", PYTHONIOENCODING="ascii")
    assert json.loads(printed.stdout.decode("utf-8")) == json_report.schema()
    assert "→".encode() in printed.stdout


@pytest.mark.parametrize("words", [["--help"], ["show", "roam"], ["show", "roam", "--json"], ["schema", "report"]])
def test_a_reader_that_goes_away_is_no_error(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = subprocess.run(
        [sys.executable, "-c", _MAIN, *words], cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert (program.returncode, program.stderr) == (0, b"")


def _imported_by(*words: str) -> set[str]:
    program = "import sys; from testbed.cli.app import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, check=True, text=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("words", [["--help"], ["list"], ["show", "roam"], ["run", "nowhere"], ["schema", "report"]])
def test_commands_that_build_nothing_import_nothing_that_builds(words: list[str]) -> None:
    loaded = _imported_by(*words)
    assert "testbed.cli.app" in loaded
    assert not loaded & {"scapy", "pyroute2", "mininet", "asyncio"}


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "--json"]])
def test_help_and_list_import_nothing_that_makes_one_wait(words: list[str]) -> None:
    assert not _imported_by(*words) & {"rich.console", "pydantic"}
