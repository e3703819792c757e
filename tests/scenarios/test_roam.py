"""Roam holds, and what is broken under it on purpose breaks it with a message that says what was seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from testbed.network import world
from testbed.reports.result import CheckResult, RunResult, SilentListener, Verdict
from testbed.scenarios import catalogue
from testbed.scenarios.options import parse_settings
from testbed.scenarios.runner import run_scenario

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.skipif(not world.inside(), reason="needs the private world: run make test"),
]


def roam(folder: Path, *settings: str, faults: dict[str, str] | None = None) -> RunResult:
    """``faults`` names, by role, what is wrong with an agent; see faulty_agent.py."""
    scenario = catalogue.get("roam")
    faulty = (sys.executable, "-m", "tests.scenarios.faulty_agent")
    programs = {role: (*faulty, fault) for role, fault in (faults or {}).items()}
    options: Any = parse_settings(scenario.options, settings)
    return run_scenario(
        scenario, options, out=folder, tunnel="auto", listener=SilentListener(), agent_programs=programs
    )


def failures(run: RunResult) -> dict[str, CheckResult]:
    """The first failure of each check."""
    failed = [check for check in run.checks() if check.verdict is Verdict.FAIL]
    return {check.name: check for check in reversed(failed)}


def complaints(run: RunResult) -> str:
    failed = [check for check in run.checks() if check.verdict is Verdict.FAIL]
    return "\n".join([run.error or "", *(f"{c.name}: expected {c.expected}; observed {c.observed}" for c in failed)])


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("ingress=off",),
        ("ingress=strict",),
        ("reverse_tunnel=direct",),
        ("movement_detection=lazy", "advertisement_interval=0.2", "lifetime=5"),
    ],
)
def test_every_promise_holds(tmp_path: Path, settings: tuple[str, ...]) -> None:
    run = roam(tmp_path, *settings)
    assert run.verdict is Verdict.PASS, complaints(run)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["verdict"] == "pass"
    for name in run.artifacts.values():
        assert (tmp_path / name).exists(), name


def test_without_a_filter_the_triangle_is_kept_throughout(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off")
    away = {path.path for step in run.steps[2:5] for path in step.paths if path.title == "mn to cn"}
    assert run.verdict is Verdict.PASS, complaints(run)
    assert away == {
        "mn → fa-a → edge-a → core → cn-router → cn",
        "mn → fa-b → edge-b → core → cn-router → cn",
    }


def test_a_filter_without_a_reverse_tunnel_fails_and_names_the_router_and_its_counter(tmp_path: Path) -> None:
    run = roam(tmp_path, "reverse_tunnel=off", "ingress=acl")
    assert run.verdict is Verdict.FAIL
    assert failures(run).keys() == {"path", "tcp"}
    observed = failures(run)["path"].observed
    assert "came in at edge-a on fa-a and did not leave again" in observed
    assert "ingress filter in mode acl at edge-a:fa-a, 0 packets accepted" in observed


def test_a_home_agent_without_a_tunnel_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", faults={"home": "no-tunnel"})
    assert "0 tunnels (none)" in failures(run)["binding"].observed
    assert "home-router" in failures(run)["path"].observed


def test_a_home_agent_without_proxy_arp_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", faults={"home": "no-proxy-arp"})
    assert "no proxy ARP for 192.0.2.10 on lan" in failures(run)["binding"].observed


def test_a_home_agent_that_checks_no_authentication_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", faults={"home": "no-authentication"})
    assert "forged-registration" in failures(run)
    assert "the binding changed" in failures(run)["forged-registration"].observed


def test_a_home_agent_that_believes_replays_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", faults={"home": "believes-replays"})
    assert "the binding changed" in failures(run)["replayed-registration"].observed


def test_a_home_agent_that_keeps_its_old_tunnel_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", faults={"home": "keeps-tunnels"})
    assert failures(run)["binding"].observed == "2 tunnels (tun-1, tun-2)"


def test_a_run_that_is_told_to_end_leaves_a_whole_report_of_what_it_found(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    command = [sys.executable, "-m", "testbed", "run", "roam", "--out", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 2: "):
                process.terminate()
        assert process.wait() == 130
    report = json.loads((folder / "report.json").read_text())
    assert (report["verdict"], report["interrupted"], report["error"]) == ("error", True, "interrupted")
    assert [step["verdict"] for step in report["steps"]] == ["pass", "error"]
    assert report["steps"][1]["error"] == "interrupted"
    for name in report["artifacts"].values():
        assert (folder / name).exists(), name


def test_a_mobile_node_that_keeps_arp_on_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", faults={"mobile": "keeps-arp"})
    assert "link eth0 (veth) up" in failures(run)["arp-switch"].observed


def test_a_mobile_node_that_announces_another_address_on_its_return_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", faults={"mobile": "announces-another"})
    assert failures(run)["gratuitous-arp"].observed == "no announcement"
    assert failures(run)["announces-first"].observed == "no announcement"


def test_a_foreign_agent_that_only_says_that_it_tunnels_back_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=acl", faults={"foreign": "no-reverse-tunnel"})
    assert failures(run)["visitor"].observed == "its packets do not"
    assert "came in at edge-a on fa-a and did not leave again" in complaints(run)
