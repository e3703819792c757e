"""A run with one of everything that a report can hold, at fixed times."""

from __future__ import annotations

from ipaddress import IPv4Network

from testbed.reports.result import CheckResult, Measure, PathResult, RunListener, RunResult, StepResult, Verdict

SECOND_NS = 10**9
START_NS = 1_767_225_600 * SECOND_NS  # 2026-01-01 00:00:00 UTC


def passing_check() -> CheckResult:
    return CheckResult(
        name="path",
        title="packets of cn reach mn on the home link",
        verdict=Verdict.PASS,
        expected="cn → cn-router → core → home-router → mn",
        observed="cn → cn-router → core → home-router → mn",
        duration_s=0.25,
    )


def failing_check() -> CheckResult:
    return CheckResult(
        name="ingress-filter",
        title="packets of mn reach cn from visited network A",
        verdict=Verdict.FAIL,
        expected="5 of 5 packets at cn",
        observed="0 of 5; edge-a dropped 5 packets whose source is not in 198.51.100.0/25",
        node="edge-a",
        evidence=(
            "edge-a:fa-a #12 192.0.2.10 → 203.0.113.10 UDP 4000 → 5000",
            "edge-a counter ingress_filter/acl: 5 packets",
        ),
        rules=("G8", "H12"),
        look_closer="tshark -r runs/20260101-000000-roam/packets.pcapng -Y 'ip.src == 192.0.2.10' -V",
        duration_s=1.5,
    )


def skipped_check() -> CheckResult:
    return CheckResult(
        name="reverse-tunnel",
        title="packets of mn leave through the reverse tunnel",
        verdict=Verdict.SKIP,
        expected="protocol 4 from 198.51.100.66",
        observed="reverse_tunnel=off",
    )


def sample_run() -> RunResult:
    """A run of three steps: one that holds, one with a failed and a skipped check, one that broke."""
    home = StepResult(number=1, title="At home", started_ns=START_NS, ended_ns=START_NS + SECOND_NS)
    home.checks.append(passing_check())
    home.paths.append(
        PathResult("correspondent to mobile node", "cn → cn-router → core → home-router → mn", hops=4, tunnelled=False)
    )
    home.notes.append("the mobile node has no binding at home")
    visited = StepResult(
        number=2,
        title="In visited network A, filter on",
        started_ns=START_NS + SECOND_NS,
        ended_ns=START_NS + 4 * SECOND_NS,
        checks=[failing_check(), skipped_check()],
        paths=[
            PathResult(
                "correspondent to mobile node",
                "cn → cn-router → core → home-router ⇒ core ⇒ edge-a ⇒ fa-a → mn",
                hops=7,
                tunnelled=True,
            )
        ],
    )
    broken = StepResult(
        number=3,
        title="Home again",
        started_ns=START_NS + 4 * SECOND_NS,
        ended_ns=START_NS + 5 * SECOND_NS,
        error="mn: the agent ended with status 1 (see mn.log)",
    )
    return RunResult(
        scenario="roam",
        title="A mobile node roams through two visited networks and comes home",
        topology="two-visited",
        options={"ingress": "acl", "reverse_tunnel": False, "prefix": IPv4Network("198.51.100.0/25"), "moves": 3},
        environment={"kernel": "6.18.0", "tunnel driver": "ebpf"},
        started_ns=START_NS,
        ended_ns=START_NS + 5 * SECOND_NS + SECOND_NS // 2,
        steps=[home, visited, broken],
        measures=[
            Measure("handoff to visited-a", 12.345, "ms", "link up to first downlink packet"),
            Measure("lost in the handoff to visited-a", 3.0, "packets"),
        ],
        artifacts={"report": "report.json", "packets": "packets.pcapng"},
        folder="runs/20260101-000000-roam",
    )


def tell(run: RunResult, listener: RunListener) -> None:
    """Have the listener hear the run as if it went on now."""
    listener.run_started(run)
    for step in run.steps:
        listener.step_started(step)
        listener.progress("waiting for packets")
        listener.progress("waiting for packets")
        for check in step.checks:
            listener.check_ended(step, check)
        for path in step.paths:
            listener.path_found(step, path)
        listener.step_ended(step)
    listener.run_ended(run)
