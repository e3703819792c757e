"""Roam holds, and what is broken under it on purpose breaks it with a message that says what was seen."""

from __future__ import annotations

import json
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


def roam(folder: Path, *settings: str, home_agent_fault: str | None = None) -> RunResult:
    scenario = catalogue.get("roam")
    fault = (sys.executable, "-m", "tests.scenarios.faulty_agent", str(home_agent_fault))
    programs = {"home": fault} if home_agent_fault else None
    options: Any = parse_settings(scenario.options, settings)
    return run_scenario(
        scenario, options, out=folder, tunnel="auto", listener=SilentListener(), agent_programs=programs
    )


def failures(run: RunResult) -> dict[str, CheckResult]:
    return {check.name: check for check in run.checks() if check.verdict is Verdict.FAIL}


def complaints(run: RunResult) -> str:
    failed = [f"{check.name}: expected {check.expected}; observed {check.observed}" for check in failures(run).values()]
    return "\n".join([run.error or "", *failed])


@pytest.mark.parametrize("settings", [(), ("ingress=off",), ("ingress=strict",), ("reverse_tunnel=direct",)])
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
    run = roam(tmp_path, "ingress=off", home_agent_fault="no-tunnel")
    assert "0 tunnels (none)" in failures(run)["binding"].observed
    assert "home-router" in failures(run)["path"].observed


def test_a_home_agent_without_proxy_arp_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", home_agent_fault="no-proxy-arp")
    assert "no proxy ARP for 192.0.2.10 on lan" in failures(run)["binding"].observed


def test_a_home_agent_that_checks_no_authentication_is_found_out(tmp_path: Path) -> None:
    run = roam(tmp_path, "ingress=off", home_agent_fault="no-authentication")
    assert "forged-registration" in failures(run)
    assert "the binding changed" in failures(run)["forged-registration"].observed
