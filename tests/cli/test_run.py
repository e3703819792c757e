"""``testbed run``: what it hands to the runner, what it prints where, and what its exit status says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from testbed.cli.run import run_console
from testbed.errors import KernelRefused, MissingFeature
from testbed.reports.console import LiveConsole, PlainConsole
from testbed.reports.result import Verdict
from tests.cli.conftest import Command, FakeRunner, StrollOptions


def test_everything_is_checked_before_the_world_is_entered(testbed: Command, runner: FakeRunner) -> None:
    assert testbed("run", "stroll").status == 0
    assert runner.calls == ["check_machine", "run_in_world", "run_scenario"]
    assert runner.asked_for == {"scenario": "stroll", "options": StrollOptions(), "out": None, "tunnel": "auto"}


def test_options_folder_and_tunnel_driver_reach_the_runner(
    testbed: Command, runner: FakeRunner, tmp_path: Path
) -> None:
    testbed("run", "stroll", "--set", "ingress=acl", "--set", "reverse-tunnel=on", "--out", "a/b", "--tunnel", "ebpf")

    assert runner.asked_for == {
        "scenario": "stroll",
        "options": StrollOptions(ingress="acl", reverse_tunnel=True),
        "out": Path("a/b"),
        "tunnel": "ebpf",
    }
    assert (tmp_path / "a" / "b").is_dir()


def test_folder_and_tunnel_driver_can_come_from_the_environment(
    testbed: Command, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTBED_OUT", "results")
    monkeypatch.setenv("TESTBED_TUNNEL", "netdev")
    testbed("run", "stroll")

    assert (runner.asked_for["out"], runner.asked_for["tunnel"]) == (Path("results"), "netdev")


@pytest.mark.parametrize(
    ("verdict", "status"), [(Verdict.PASS, 0), (Verdict.SKIP, 0), (Verdict.FAIL, 1), (Verdict.ERROR, 2)]
)
def test_the_exit_status_is_that_of_the_worst_check(
    testbed: Command, runner: FakeRunner, verdict: Verdict, status: int
) -> None:
    runner.verdict = verdict
    assert testbed("run", "stroll").status == status


@pytest.mark.parametrize("verdict", [Verdict.PASS, Verdict.FAIL])
def test_an_interrupted_run_exits_with_130_whatever_was_found(
    testbed: Command, runner: FakeRunner, verdict: Verdict
) -> None:
    runner.interrupted, runner.verdict = True, verdict
    assert testbed("run", "stroll").status == 130


def test_the_story_goes_to_standard_output_as_plain_lines_when_it_is_no_terminal(
    testbed: Command, runner: FakeRunner
) -> None:
    outcome = testbed("run", "stroll")

    assert "  pass path: packets arrive\n" in outcome.out
    assert "\x1b" not in outcome.out
    assert outcome.err == ""


def test_json_is_alone_on_standard_output_and_the_story_on_standard_error(testbed: Command, runner: FakeRunner) -> None:
    outcome = testbed("run", "stroll", "--json")

    assert json.loads(outcome.out)["verdict"] == "pass"
    assert "  pass path: packets arrive\n" in outcome.err


def test_json_and_quiet_together_leave_only_the_end_on_standard_error(testbed: Command, runner: FakeRunner) -> None:
    outcome = testbed("run", "stroll", "--json", "-q")

    assert json.loads(outcome.out)["summary"]["checks"] == 1
    assert outcome.err == "result pass: 1 check holds in 1 step, 1.0 s\n"


def test_a_failed_run_still_prints_its_report_as_json(testbed: Command, runner: FakeRunner) -> None:
    runner.verdict = Verdict.FAIL
    outcome = testbed("run", "stroll", "--json", "-q")

    assert (outcome.status, json.loads(outcome.out)["verdict"]) == (1, "fail")


class _Terminal:
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


@pytest.mark.parametrize(
    ("terminal", "quiet", "kind"),
    [("xterm-256color", False, LiveConsole), ("xterm-256color", True, PlainConsole), ("dumb", False, PlainConsole)],
)
def test_the_display_is_live_only_where_the_terminal_can_be_driven(
    monkeypatch: pytest.MonkeyPatch, terminal: str, quiet: bool, kind: type
) -> None:
    monkeypatch.setenv("TERM", terminal)
    assert isinstance(run_console(_Terminal(), quiet=quiet), kind)  # type: ignore[arg-type]


@pytest.mark.usefixtures("real_world")
@pytest.mark.parametrize(
    ("breaks", "status", "complaint"),
    [
        (KernelRefused("add veth: File exists", node="core"), 2, "testbed: error: core: add veth: File exists\n"),
        (MissingFeature("no veth", hint="boot another kernel"), 3, "testbed: error: no veth (boot another kernel)\n"),
        (KeyboardInterrupt(), 130, "testbed: error: interrupted\n"),
    ],
)
def test_what_breaks_inside_a_private_world_is_told_once_and_becomes_the_exit_status(
    testbed: Command, runner: FakeRunner, breaks: BaseException, status: int, complaint: str
) -> None:
    runner.breaks = breaks
    outcome = testbed("run", "stroll", "--quiet")
    assert (outcome.status, outcome.out, outcome.err) == (status, "", complaint)


@pytest.mark.usefixtures("real_world")
def test_a_run_in_a_private_world_prints_its_story_once_and_its_report(testbed: Command, runner: FakeRunner) -> None:
    runner.verdict = Verdict.FAIL
    outcome = testbed("run", "stroll", "--json")

    assert (outcome.status, json.loads(outcome.out)["verdict"]) == (1, "fail")
    assert outcome.err.count("  FAIL path: packets arrive\n") == 1
