"""An attack is only refused where it arrived, was answered as it has to be, and left the binding as it was."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP, UDP

from testbed.checks import attacks
from testbed.evidence.kernel_state import KernelSnapshot
from testbed.protocol.registration import RegistrationReply
from testbed.reports.result import CheckResult
from tests.checks.still_scene import StillScene, host_route, kernel
from tests.evidence.wire import Wire

BOUND = kernel("home-router", tunnels=("tun-1",), routes=(host_route("tun-1"),))
MOVED = kernel("home-router", tunnels=("other", "tun-1"), routes=(host_route("tun-1"),))


@dataclass
class AttackedScene(StillScene):
    """A home agent that is attacked from port 5000, and whose kernel is the next of ``kernels`` at each look."""

    kernels: list[KernelSnapshot] = field(default_factory=list)

    def namespace(self, node: str) -> Any:
        return self

    def socket(self, *_arguments: int) -> Any:
        return _Sender()

    def snapshot(self, node: str) -> KernelSnapshot:
        return self.kernels.pop(0)


class _Sender:
    def __enter__(self) -> _Sender:
        return self

    def __exit__(self, *_exception: object) -> None: ...

    def sendto(self, message: bytes, destination: tuple[str, int]) -> None: ...

    def getsockname(self) -> tuple[str, int]:
        return ("203.0.113.10", 5000)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTBED_TIME_FACTOR", "0.01")


def refused(
    folder: Path, *, arrives: bool = True, code: int | None = None, after: KernelSnapshot = BOUND
) -> CheckResult:
    wire = Wire(folder)
    wire.now_ns = time.time_ns() + 60_000_000_000  # later than the attack, whenever that is
    scene = AttackedScene(wire.log(), kernels=[BOUND, after])
    attack = attacks.forged_request(scene, "cn", 256)
    there, back = IP(src="203.0.113.10", dst="192.0.2.1"), IP(src="192.0.2.1", dst="203.0.113.10")
    wire.link(
        "core:home-router", "home-router:core", there / UDP(sport=5000, dport=434) / attack.message, lost=not arrives
    )
    if code is not None:
        addresses = IPv4Address("192.0.2.10"), IPv4Address("192.0.2.1")
        reply = RegistrationReply(code, 0, *addresses, 1).encode()
        wire.link("home-router:core", "core:home-router", back / UDP(sport=434, dport=5000) / reply)
    scene.packets = wire.log()
    return asyncio.run(attacks.refused(scene, attack))


def test_silence_and_the_right_code_are_refusals(tmp_path: Path) -> None:
    assert refused(tmp_path).observed == "silence, binding unchanged"
    assert refused(tmp_path, code=131).verdict == "pass"


def test_an_attack_that_got_lost_proves_nothing(tmp_path: Path) -> None:
    lost = refused(tmp_path, arrives=False)
    assert (lost.verdict, lost.observed) == ("fail", "the attack never reached the home agent")


def test_another_code_is_no_refusal(tmp_path: Path) -> None:
    assert refused(tmp_path, code=0).observed == "code 0, binding unchanged"
    assert refused(tmp_path, code=0).verdict == "fail"


def test_a_binding_that_changed_tells_of_itself_even_if_its_tunnel_has_the_old_name(tmp_path: Path) -> None:
    found = refused(tmp_path, after=MOVED)
    assert found.verdict == "fail"
    assert found.observed.startswith("the binding changed from")
