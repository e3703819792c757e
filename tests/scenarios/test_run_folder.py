"""A run's folder tells the truth after every kind of ending."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.errors import LabError
from testbed.evidence.capture import CaptureStatistics
from testbed.evidence.packets import PacketLog
from testbed.reports.result import CheckResult, RunResult, StepResult, Verdict
from testbed.scenarios import run_folder, runner
from testbed.scenarios.agent_process import AgentProcess
from testbed.scenarios.signals import ended_by_signals, undisturbed


@pytest.fixture
def run(tmp_path: Path) -> RunResult:
    check = CheckResult("path", "packets arrive", Verdict.PASS, "they do", "they did")
    step = StepResult(1, "At home", started_ns=10**18, ended_ns=10**18 + 5, checks=[check])
    return RunResult("roam", "Roam", "two-visited", {}, {}, 10**18, steps=[step], folder=str(tmp_path))


def lab_of(
    folder: Path, *, refresh: Callable[[], None] = lambda: None, told: str = "", broken: str | None = None
) -> Any:
    """As much of a lab as is asked for at the end: packets, captures' statistics and one agent's words."""
    packets = PacketLog()
    packets.refresh = refresh  # type: ignore[method-assign, assignment]
    agent = AgentProcess("fa-a", "foreign", SimpleNamespace(popen=None), {}, folder)
    agent.events_path.write_text(told)
    agent.log_path.touch()
    statistics = [CaptureStatistics("mn", "eth0", 10, 10, 2, broken)]
    capture = SimpleNamespace(statistics=statistics)
    return SimpleNamespace(packets=packets, capture=capture, agents={"fa-a": agent}, folder=folder)


def written(run: RunResult, lab: Any) -> dict[str, Any]:
    folder = Path(run.folder)
    run_folder.write(run, lab, folder, clock_offset_ns=1000)
    report: dict[str, Any] = json.loads((folder / "report.json").read_text())
    assert (folder / "junit.xml").read_text().startswith("<?xml")
    for name in report["artifacts"].values():
        assert (folder / name).exists(), name
    return report


def events(run: RunResult) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(run.folder, "events.jsonl").read_text().splitlines()]


def test_a_run_that_never_had_a_lab_has_its_reports(run: RunResult) -> None:
    run.error = "core: no veth"
    report = written(run, None)
    assert (report["verdict"], report["artifacts"].keys()) == ("error", {"report", "junit"})


def test_captures_that_cannot_be_merged_cost_neither_reports_nor_events(run: RunResult, tmp_path: Path) -> None:
    def damaged() -> None:
        raise LabError("mn.eth0.pcap is damaged")

    report = written(run, lab_of(tmp_path, refresh=damaged))
    assert (report["verdict"], report["error"]) == ("error", "mn.eth0.pcap is damaged")
    assert "packets" not in report["artifacts"]
    assert [event["event"] for event in events(run)] == ["step", "check"]


def test_the_story_s_own_error_is_not_lost_to_a_later_one(run: RunResult, tmp_path: Path) -> None:
    def damaged() -> None:
        raise LabError("mn.eth0.pcap is damaged")

    run.error = "fa-a: foreign agent ended with status 1"
    assert written(run, lab_of(tmp_path, refresh=damaged))["error"] == "fa-a: foreign agent ended with status 1"


def test_ctrl_c_while_packets_are_merged_leaves_the_reports(run: RunResult, tmp_path: Path) -> None:
    def impatient() -> None:
        signal.raise_signal(signal.SIGINT)

    report = written(run, lab_of(tmp_path, refresh=impatient))
    assert (report["verdict"], report["interrupted"]) == ("error", True)
    assert events(run)


def test_a_bug_at_the_end_is_in_the_report_and_goes_on(run: RunResult, tmp_path: Path) -> None:
    def bug() -> None:
        raise ZeroDivisionError("division by zero")

    with pytest.raises(ZeroDivisionError):
        run_folder.write(run, lab_of(tmp_path, refresh=bug), tmp_path, clock_offset_ns=0)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["error"] == "ZeroDivisionError: division by zero"
    assert report["artifacts"]["traceback"] == "traceback.txt"


def test_captures_that_missed_packets_or_broke_are_told_of(run: RunResult, tmp_path: Path) -> None:
    environment = written(run, lab_of(tmp_path, broken="killed"))["environment"]
    assert environment["packets missed by captures"] == "2"
    assert environment["captures that broke"] == "mn:eth0: killed"


def test_whatever_an_agent_prints_is_an_event_or_is_left_out(run: RunResult, tmp_path: Path) -> None:
    told = [
        '{"monotonic_ns": 5, "event": "ready", "time_ns": "noon", "node": "moon"}',
        "{not json",
        '{"monotonic_ns": "late", "event": "odd"}',
        '["a", "list"]',
        "",
        '{"unfinished": ',
    ]
    written(run, lab_of(tmp_path, told="\n".join(told)))
    of_agent = [event for event in events(run) if "role" in event]
    assert [(e["event"], e["time_ns"], e["node"]) for e in of_agent] == [
        ("ready", 1005, "fa-a"),
        ("odd", 10**18, "fa-a"),
    ]


def test_the_first_error_is_the_one_that_is_told(run: RunResult) -> None:
    with run_folder.recorded(run), run_folder.recorded(run):
        raise LabError("the story's")
    with run_folder.recorded(run):
        raise LabError("of taking it down")
    assert run.error == "the story's"


def test_an_interrupt_while_the_lab_is_taken_down_is_told(run: RunResult) -> None:
    with run_folder.recorded(run):
        raise KeyboardInterrupt
    assert (run.interrupted, run.error, run.verdict) == (True, "interrupted", Verdict.ERROR)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_end_a_run_as_ctrl_c_does_and_come_too_late_for_its_reports(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with ended_by_signals():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        with undisturbed():
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_job_in_the_background_to_which_ctrl_c_means_nothing_can_be_told_to_end() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGINT)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("verdict", "step_s", "error"),
    [
        (Verdict.PASS, 3.0, None),
        (Verdict.FAIL, -3.0, "the system clock was set by -3.000 s during the run, so that times do not compare"),
        (Verdict.FAIL, 0.0, None),
    ],
)
def test_failures_mean_nothing_where_the_clock_was_set(
    run: RunResult, verdict: Verdict, step_s: float, error: str | None
) -> None:
    run.steps[0].checks = [CheckResult("path", "packets arrive", verdict, "they do", "they did not")]
    runner._judge_clock(run, runner._clock_offset_ns() - round(step_s * 1e9))
    assert run.error == error
    assert ("system clock" in run.environment) is (step_s != 0)
