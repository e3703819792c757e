"""Wrong command lines: each gives one exact line on standard error, its exit status, and builds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.errors import CommandFailed, MissingFeature, MissingPrivilege, MissingProgram
from tests.cli.conftest import Command, FakeRunner

WRONG = [
    ("rnu", "unknown command 'rnu' (did you mean 'run'?)"),
    ("frobnicate", "unknown command 'frobnicate' (known: run, list, show, doctor, bench, schema)"),
    ("--verson", "unknown option '--verson' of testbed (did you mean '--version'?)"),
    ("run", "missing SCENARIO (see testbed run --help)"),
    ("run strol", "unknown scenario 'strol' (did you mean 'stroll'?)"),
    ("run xyz", "unknown scenario 'xyz' (known: roam, stroll)"),
    ("run stroll more", "unexpected argument 'more' (see testbed run --help)"),
    ("run stroll --sett a=b", "unknown option '--sett' of testbed run (did you mean '--set'?)"),
    (
        "run stroll -x",
        "unknown option '-x' of testbed run (known: --set, --out, --tunnel, --json, --quiet, -q, --help)",
    ),
    ("run stroll --set", "option '--set' requires an argument"),
    ("run stroll --json=yes", "option '--json' does not take a value"),
    ("run stroll --set ingress", "--set ingress: expected key=value"),
    ("run stroll --set ingres=off", "unknown option 'ingres' (did you mean 'ingress'?)"),
    ("run stroll --set colour=red", "unknown option 'colour' (known: ingress, laps, reverse_tunnel)"),
    ("run stroll --set ingress=strict", "option 'ingress': 'strict' is not one of off, acl"),
    ("run stroll --set laps=many", "option 'laps': 'many' is not a whole number from 1 to 9"),
    ("run stroll --set laps=10", "option 'laps': '10' is not a whole number from 1 to 9"),
    ("run stroll --set reverse_tunnel=maybe", "option 'reverse_tunnel': 'maybe' is not on or off"),
    ("run stroll --set laps=1 --set laps=2", "option 'laps' is set twice"),
    (
        "run roam --set home_prefix=192.0.2.1/24",
        "option 'home_prefix': '192.0.2.1/24' is not an IPv4 prefix such as 192.0.2.0/24: "
        "192.0.2.1/24 has host bits set",
    ),
    ("run stroll --tunnel gre", "--tunnel: 'gre' is not one of auto, netdev, ebpf"),
    ("run stroll --out full", "--out full: is not empty (expected a folder that is new or empty)"),
    ("run stroll --out file", "--out file: is a file (expected a folder that is new or empty)"),
    ("run stroll --out gone", "--out gone: is a file (expected a folder that is new or empty)"),
    ("run stroll --out=", "--out: the name is empty (expected a folder that is new or empty)"),
    ("show two-visted", "unknown scenario or topology 'two-visted' (did you mean 'two-visited'?)"),
    ("show 7", "unknown scenario or topology '7' (known: roam, stroll, two-visited)"),
    ("schema agents", "unknown schema 'agents' (did you mean 'agent'?)"),
    ("schema", "missing KIND (see testbed schema --help)"),
    ("list everything", "unexpected argument 'everything' (see testbed list --help)"),
]


@pytest.mark.parametrize(("words", "complaint"), WRONG, ids=[words for words, _ in WRONG])
def test_a_wrong_command_line_is_told_in_one_line_and_nothing_is_built(
    testbed: Command, runner: FakeRunner, tmp_path: Path, words: str, complaint: str
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "report.json").touch()
    (tmp_path / "file").touch()
    (tmp_path / "gone").symlink_to("nowhere")
    outcome = testbed(*words.split())

    assert outcome.err == f"testbed: error: {complaint}\n"
    assert (outcome.status, outcome.out, runner.calls) == (2, "", [])
    assert {path.name for path in tmp_path.iterdir()} == {"full", "file", "gone"}


def test_a_folder_below_a_file_is_refused(testbed: Command, runner: FakeRunner, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = testbed("run", "stroll", "--out", "file/results")

    expected = f"testbed: error: file/results: {tmp_path}/file is a file (give another folder with --out)\n"
    assert (outcome.status, outcome.err, runner.calls) == (2, expected, [])


def test_a_folder_that_cannot_be_written_to_is_refused(
    testbed: Command, runner: FakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.cli.run.os.access", lambda path, mode: False)  # root may write anywhere
    outcome = testbed("run", "stroll")

    expected = f"testbed: error: runs: no permission to write in {tmp_path} (give another folder with --out)\n"
    assert (outcome.status, outcome.err, runner.calls) == (2, expected, [])


@pytest.mark.parametrize("place", ["/proc/results", f"{'long' * 64}/results"])
def test_a_folder_that_cannot_be_made_is_told_in_one_line(testbed: Command, runner: FakeRunner, place: str) -> None:
    outcome = testbed("run", "stroll", "--out", place)

    assert outcome.err.startswith(f"testbed: error: --out {place}: cannot be made: ")
    assert (outcome.status, outcome.err.count("\n"), runner.calls) == (2, 1, ["check_machine"])


@pytest.mark.parametrize(
    ("refusal", "complaint"),
    [
        (MissingProgram("tcpdump is not installed", hint="apt install tcpdump"), "tcpdump is not installed"),
        (MissingPrivilege("no namespaces for you", hint="run it with sudo"), "no namespaces for you"),
        (
            MissingFeature("this kernel has no ipip devices", hint="use --tunnel ebpf"),
            "this kernel has no ipip devices",
        ),
    ],
)
def test_a_machine_that_cannot_run_it_gives_exit_status_3_and_the_remedy(
    testbed: Command, runner: FakeRunner, refusal: MissingFeature, complaint: str
) -> None:
    runner.refuses = refusal
    outcome = testbed("run", "stroll", "--out", "results")

    assert outcome.err == f"testbed: error: {complaint} ({refusal.hint})\n"
    assert (outcome.status, outcome.out, runner.calls) == (3, "", ["check_machine"])
    assert not Path("results").exists()


def test_an_error_whose_message_has_several_lines_is_still_told_in_one(testbed: Command, runner: FakeRunner) -> None:
    runner.breaks = CommandFailed("ip link: status 2:\n  RTNETLINK answers:\n  File exists\n", node="core")
    outcome = testbed("run", "stroll", "--quiet")

    assert outcome.err == "testbed: error: core: ip link: status 2: RTNETLINK answers: File exists\n"
    assert outcome.status == 2


def test_an_exception_that_is_none_of_ours_shows_where_it_came_from_and_asks_for_a_report(
    testbed: Command, runner: FakeRunner
) -> None:
    runner.breaks = ZeroDivisionError("division by zero")
    outcome = testbed("run", "stroll", "--quiet")

    lines = outcome.err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == (
        "testbed: error: this is a bug of the testbed, please report it with the lines above: "
        "ZeroDivisionError: division by zero"
    )
    assert outcome.status == 2


def test_ctrl_c_gives_exit_status_130(testbed: Command, runner: FakeRunner) -> None:
    runner.breaks = KeyboardInterrupt()
    outcome = testbed("run", "stroll", "--quiet")

    assert (outcome.status, outcome.err) == (130, "testbed: error: interrupted\n")
