"""Kernel state of agents where the kernel refuses: nothing of what was asked for holds, all of what was before does."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from testbed.agents.actions import (
    InstallBinding,
    InstallVisitor,
    LeaveHome,
    ReleaseTunnel,
    RemoveBinding,
    RemoveVisitor,
)
from testbed.agents.kernel import Sysctls
from testbed.agents.kernel_foreign import ForeignKernel
from testbed.agents.kernel_home import HomeKernel
from testbed.errors import KernelRefused
from testbed.network.netns import Namespace
from testbed.tunnels.driver import TunnelCounters, TunnelDevice
from testbed.tunnels.endpoints import TunnelEndpoints
from testbed.tunnels.table import TunnelTable
from tests.agents.parties import HOME_ADDRESS, MN_MAC, STRANGER_MAC
from tests.network.private import in_world

pytestmark = pytest.mark.kernel

OWN = IPv4Address("198.51.100.66")
GOOD, BETTER, BROKEN = (TunnelEndpoints(OWN, IPv4Address(f"192.0.2.{last}")) for last in (1, 2, 3))
NO_DEVICE = 9999


class Driver:
    """Gives devices that were made beforehand, and for BROKEN one that does not exist."""

    name = "stub"

    def __init__(self, devices: dict[TunnelEndpoints, int]) -> None:
        self.devices = devices
        self.closed: list[TunnelEndpoints] = []

    def open(self, endpoints: TunnelEndpoints) -> TunnelDevice:
        index = self.devices.get(endpoints, NO_DEVICE)
        return TunnelDevice(f"tun-{index}", index, endpoints, self.name)

    def close(self, device: TunnelDevice) -> None:
        self.closed.append(device.endpoints)

    def counters(self, device: TunnelDevice) -> TunnelCounters:
        raise AssertionError(f"nobody asks for the counters of {device}")

    def strangers(self) -> int:
        return 0

    def fileno(self) -> None:
        return None

    def refresh(self) -> None: ...

    def shutdown(self) -> None: ...


class Node:
    """A namespace with a link and two devices that stand for tunnels; the test's thread is inside."""

    def __init__(self) -> None:
        self.namespace = Namespace.create("node")
        self.sh("ip link add link0 type veth peer name far && ip link set link0 up && ip link set far up")
        self.sh("ip link add tun-1 type veth peer name tun-2 && ip link set tun-1 up && ip link set tun-2 up")
        indexes = [int(self.sh(f"ip -o link show {name}").split(":")[0]) for name in ("tun-1", "tun-2")]
        self.driver = Driver(dict(zip((GOOD, BETTER), indexes, strict=True)))
        self.tunnels = TunnelTable(self.driver)

    def sh(self, script: str) -> str:
        return self.namespace.run(["sh", "-ec", script]).stdout

    def state(self) -> str:
        routes = "ip -4 route show table all | sed '/table local/d'"
        return self.sh(f"{routes}; ip rule; ip neigh show proxy; ip neigh show nud permanent")


@in_world
def test_a_home_agent_that_is_refused_keeps_what_was_before() -> None:
    node = Node()
    with node.namespace.entered():
        kernel = HomeKernel("link0", node.tunnels, [HOME_ADDRESS])
    empty = node.state()
    with pytest.raises(KernelRefused):
        kernel.apply(InstallBinding(HOME_ADDRESS, BROKEN))
    assert node.state() == empty
    kernel.apply(InstallBinding(HOME_ADDRESS, GOOD))
    bound = node.state()
    assert f"{HOME_ADDRESS} dev tun-1" in bound
    with pytest.raises(KernelRefused):
        kernel.apply(InstallBinding(HOME_ADDRESS, BROKEN))
    assert node.state() == bound
    assert node.driver.closed == [BROKEN, BROKEN]
    kernel.apply(InstallBinding(HOME_ADDRESS, BETTER))
    assert f"{HOME_ADDRESS} dev tun-2" in node.state()
    kernel.apply(ReleaseTunnel(HOME_ADDRESS, GOOD))
    kernel.apply(RemoveBinding(HOME_ADDRESS))
    kernel.apply(ReleaseTunnel(HOME_ADDRESS, BETTER))
    assert node.state() == empty
    assert node.driver.closed == [BROKEN, BROKEN, GOOD, BETTER]
    kernel.close()


@in_world
def test_a_foreign_agent_that_is_refused_keeps_what_was_before() -> None:
    node = Node()
    with node.namespace.entered():
        kernel = ForeignKernel("link0", node.tunnels)
    empty = node.state()
    with pytest.raises(KernelRefused):
        kernel.apply(InstallVisitor(HOME_ADDRESS, MN_MAC, BROKEN, reverse=True))
    assert node.state() == empty
    kernel.apply(InstallVisitor(HOME_ADDRESS, MN_MAC, GOOD, reverse=True))
    visited = node.state()
    with pytest.raises(KernelRefused):
        kernel.apply(InstallVisitor(HOME_ADDRESS, STRANGER_MAC, BROKEN, reverse=False))
    assert node.state() == visited
    kernel.apply(InstallVisitor(HOME_ADDRESS, MN_MAC, GOOD, reverse=True))
    assert node.state() == visited
    kernel.apply(InstallVisitor(HOME_ADDRESS, STRANGER_MAC, BETTER, reverse=False))
    moved = node.state()
    assert str(STRANGER_MAC) in moved
    assert "iif link0" not in moved
    assert "iif tun-1 " not in moved
    kernel.apply(RemoveVisitor(HOME_ADDRESS, BETTER))
    assert node.state() == empty
    assert node.driver.closed == [BROKEN, BROKEN, GOOD, BETTER]
    kernel.close()


@in_world
def test_an_action_of_another_role_is_refused() -> None:
    node = Node()
    with node.namespace.entered():
        kernel = HomeKernel("link0", node.tunnels, [])
    with pytest.raises(KernelRefused, match="a home agent cannot do"):
        kernel.apply(LeaveHome())
    kernel.close()


@in_world
def test_sysctls_are_put_back_and_a_wrong_one_is_named() -> None:
    key = "net/ipv4/conf/lo/accept_redirects"
    file = Path("/proc/sys", key)
    before = file.read_text()
    sysctls = Sysctls()
    sysctls.set(key, 1 - int(before))
    assert file.read_text() != before
    with pytest.raises(KernelRefused, match="cannot set net/ipv4/conf/nowhere/x to 1"):
        sysctls.set("net/ipv4/conf/nowhere/x", 1)
    sysctls.close()
    assert file.read_text() == before
