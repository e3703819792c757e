"""What a home agent's kernel holds is judged whatever table, name or order it is in."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.checks import kernel_state
from testbed.evidence.kernel_state import KernelSnapshot, ProxyNeighbour
from testbed.reports.result import CheckResult
from tests.checks.still_scene import StillScene, host_route, kernel, recent_wire

PROXY = ProxyNeighbour(IPv4Address("192.0.2.10"), "lan")


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StillScene:
    monkeypatch.setenv("TESTBED_TIME_FACTOR", "0.01")
    return StillScene(recent_wire(tmp_path).log())


def at_home_agent(scene: StillScene, snapshot: KernelSnapshot, *, bound: bool) -> CheckResult:
    scene.snapshots["home-router"] = snapshot
    check = kernel_state.binding_installed if bound else kernel_state.no_mobility_state
    return asyncio.run(check(scene))


def test_a_binding_is_one_tunnel_a_route_into_it_and_proxy_arp(scene: StillScene) -> None:
    right = kernel("home-router", tunnels=("tun-1",), routes=(host_route("tun-1"),), proxies=(PROXY,))
    assert at_home_agent(scene, right, bound=True).verdict == "pass"


@pytest.mark.parametrize(
    ("snapshot", "complaint"),
    [
        (
            kernel("home-router", tunnels=("tun-1", "tun-2"), routes=(host_route("tun-2"),), proxies=(PROXY,)),
            "2 tunnels (tun-1, tun-2)",
        ),
        (
            kernel("home-router", tunnels=("tun-1",), routes=(host_route("core"),), proxies=(PROXY,)),
            "routes for 192.0.2.10/32: route 192.0.2.10/32 dev core",
        ),
        (
            kernel("home-router", tunnels=("tun-1",), routes=(host_route("tun-1"),)),
            "no proxy ARP for 192.0.2.10 on lan",
        ),
    ],
)
def test_less_or_more_than_that_is_no_binding(scene: StillScene, snapshot: KernelSnapshot, complaint: str) -> None:
    found = at_home_agent(scene, snapshot, bound=True)
    assert (found.verdict, found.observed) == ("fail", complaint)


@pytest.mark.parametrize(
    ("snapshot", "left"),
    [
        (kernel("home-router", routes=(host_route("core", table=100),)), "route 192.0.2.10/32 dev core table 100"),
        (kernel("home-router", tunnels=("tun-3",)), "link tun-3 (veth) up mtu 1500"),
        (kernel("home-router", proxies=(PROXY,)), "proxy neighbour 192.0.2.10 dev lan"),
    ],
)
def test_whatever_is_left_of_a_binding_is_named(scene: StillScene, snapshot: KernelSnapshot, left: str) -> None:
    found = at_home_agent(scene, snapshot, bound=False)
    assert (found.verdict, found.observed) == ("fail", left)
    assert at_home_agent(scene, kernel("home-router"), bound=False).verdict == "pass"
