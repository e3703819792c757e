"""Who announces whom by ARP, and who keeps silent."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.l2 import ARP

from testbed.checks import arp
from testbed.reports.result import CheckResult
from tests.checks.still_scene import StillScene, recent_wire
from tests.evidence.wire import BROADCAST, Wire, mac

MN, HOME_AGENT, FOREIGN_AGENT = "mn:eth0", "home-router:lan", "fa-a:access"
HOME_ADDRESS = "192.0.2.10"
LATER_NS = 2**62


@pytest.fixture
def wire(tmp_path: Path) -> Wire:
    return recent_wire(tmp_path)


def message(operation: int, sender_place: str, sender: str, target: str) -> Any:
    return ARP(op=operation, hwsrc=mac(sender_place), psrc=sender, pdst=target)


def announcement(of: str) -> Any:
    return message(1, of, HOME_ADDRESS, HOME_ADDRESS)


def silence(wire: Wire, since_ns: int | None) -> CheckResult:
    return asyncio.run(arp.silent_away(StillScene(wire.log()), since_ns=since_ns, until_ns=LATER_NS))


def test_an_answer_to_the_foreign_agent_breaks_no_silence(wire: Wire) -> None:
    wire.link(FOREIGN_AGENT, MN, message(1, FOREIGN_AGENT, "198.51.100.1", HOME_ADDRESS))
    wire.link(MN, FOREIGN_AGENT, message(2, MN, HOME_ADDRESS, "198.51.100.1"))
    assert silence(wire, 0).verdict == "pass"


@pytest.mark.parametrize(
    ("operation", "receiver", "to"),
    [(1, FOREIGN_AGENT, BROADCAST), (2, FOREIGN_AGENT, BROADCAST), (1, FOREIGN_AGENT, None), (2, "guest:eth0", None)],
)
def test_whatever_else_it_says_by_arp_breaks_it(wire: Wire, operation: int, receiver: str, to: str | None) -> None:
    wire.link(MN, receiver, message(operation, MN, HOME_ADDRESS, "198.51.100.1"), to=to)
    found = silence(wire, 0)
    assert found.verdict == "fail"
    assert found.observed.startswith("1 such frames")
    assert "mn:eth0 out" in found.evidence[0]


def test_what_it_said_before_it_knew_that_it_was_away_is_its_right(wire: Wire) -> None:
    wire.link(MN, FOREIGN_AGENT, message(1, MN, HOME_ADDRESS, "192.0.2.1"), to=BROADCAST)
    assert silence(wire, wire.now_ns + 1).verdict == "pass"


def test_silence_of_one_who_never_registered_abroad_proves_nothing(wire: Wire) -> None:
    assert silence(wire, None).observed == "it never registered abroad"


def test_an_announcement_with_another_s_address_is_none_of_the_mobile_node(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    wire.link(HOME_AGENT, "home-host:eth0", announcement(HOME_AGENT), to=BROADCAST)
    monkeypatch.setenv("TESTBED_TIME_FACTOR", "0.01")
    scene = StillScene(wire.log())

    def announced(owner: str) -> CheckResult:
        return asyncio.run(arp.announced(scene, "home-router", "lan", owner=owner, since_ns=0))

    assert announced("home-router").verdict == "pass"
    assert announced("mn").observed == "1 announcements, with other link-layer addresses"


def test_the_announcement_comes_before_the_deregistration(wire: Wire) -> None:
    wire.link(MN, HOME_AGENT, announcement(MN), to=BROADCAST)
    scene = StillScene(wire.log())

    def announced_before(request_ns: int | None, since_ns: int = 0) -> CheckResult:
        return asyncio.run(arp.announced_before(scene, request_ns, since_ns=since_ns))

    assert announced_before(wire.now_ns + 1).verdict == "pass"
    assert announced_before(wire.now_ns - 1_000_000).verdict == "fail"
    assert announced_before(None).observed == "no deregistration"
    assert announced_before(wire.now_ns + 1, since_ns=wire.now_ns + 1).observed == "no announcement"
