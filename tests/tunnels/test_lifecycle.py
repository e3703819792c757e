"""Devices and filters from the first driver to the last: names, looks, removal, and what a killed process leaves."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from testbed.errors import KernelRefused, LabError, MissingFeature
from testbed.tunnels.driver import TunnelDriver, open_driver
from testbed.tunnels.endpoints import TunnelEndpoints
from tests.tunnels.lab import CN, FROM_FA, FROM_HA, HA, MN, Line, carries, ipv4, udp

SECOND = TunnelEndpoints(HA, FROM_HA.remote + 1)
THIRD = TunnelEndpoints(HA, FROM_HA.remote + 2)


@pytest.fixture
def driver(driver_name: str, line: Line) -> Iterator[TunnelDriver]:
    with line["ha"].entered():
        opened = open_driver(driver_name, underlay=["core", "cn"])
    yield opened
    opened.shutdown()


def links(line: Line, node: str) -> dict[str, dict[str, Any]]:
    """Devices of a node as ip(8) tells, by name; without tunl0, which the ipip module puts everywhere."""
    found = json.loads(line.sh(node, "ip -d -j link"))
    return {link["ifname"]: link for link in found if link["ifname"] != "tunl0"}


def test_the_device_looks_like_a_point_to_point_tunnel(line: Line, driver: TunnelDriver) -> None:
    device = driver.open(FROM_HA)
    assert (device.name, device.endpoints, device.driver) == ("tun-1", FROM_HA, driver.name)
    link = links(line, "ha")["tun-1"]
    assert (link["ifindex"], link["mtu"]) == (device.index, 1480)
    assert {"NOARP", "UP", "LOWER_UP"} <= set(link["flags"])
    assert "MULTICAST" not in link["flags"]
    assert line.sh("ha", "ip addr show dev tun-1 | grep inet || true") == ""
    if os.path.exists("/proc/sys/net/ipv6"):
        assert line["ha"].read_sysctl("net/ipv6/conf/tun-1/disable_ipv6") == "1"


def test_ipv6_stays_silent_on_the_device_where_the_namespace_has_it(driver_name: str, line: Line) -> None:
    if not os.path.exists("/proc/sys/net/ipv6"):
        pytest.skip("this kernel has no IPv6")
    line["ha"].write_sysctl("net/ipv6/conf/default/disable_ipv6", 0)
    with line["ha"].entered():
        driver = open_driver(driver_name, underlay=["core"])
        device = driver.open(FROM_HA)
    assert line.sh("ha", f"ip -6 addr show dev {device.name}") == ""
    driver.shutdown()


def test_names_are_the_lowest_that_are_free(line: Line, driver: TunnelDriver) -> None:
    first, second = driver.open(FROM_HA), driver.open(SECOND)
    assert (first.name, second.name) == ("tun-1", "tun-2")
    driver.close(first)
    assert driver.open(THIRD).name == "tun-1"


def test_somebody_elses_device_keeps_its_name_and_its_life(line: Line, driver_name: str) -> None:
    line.sh("ha", "ip link add tun-1 type veth peer name other")
    with line["ha"].entered():
        driver = open_driver(driver_name, underlay=["core"])
    assert driver.open(FROM_HA).name == "tun-2"
    driver.shutdown()
    assert "tun-1" in links(line, "ha")
    line.sh("ha", "ip link del tun-1")


def test_removing_a_tunnel_takes_its_device_and_routes_along(line: Line, driver: TunnelDriver) -> None:
    before = links(line, "ha").keys()
    device = driver.open(FROM_HA)
    line.sh("ha", f"ip route add {MN} dev {device.name}")
    driver.close(device)
    assert links(line, "ha").keys() == before
    assert str(MN) not in line.sh("ha", "ip route")


def test_a_device_that_somebody_removed_can_still_be_closed(line: Line, driver: TunnelDriver) -> None:
    device = driver.open(FROM_HA)
    line.sh("ha", f"ip link del {device.name}")
    driver.close(device)
    assert driver.open(FROM_HA).name == "tun-1"


def test_a_closed_device_has_no_counters(driver: TunnelDriver) -> None:
    device = driver.open(FROM_HA)
    assert driver.counters(device).packets_out == 0
    driver.close(device)
    with pytest.raises(KernelRefused, match="there is no tunnel device tun-1"):
        driver.counters(device)


def test_the_same_tunnel_twice_is_refused_and_leaves_nothing(line: Line, driver: TunnelDriver) -> None:
    driver.open(FROM_HA)
    before = links(line, "ha").keys()
    with pytest.raises(KernelRefused, match="File exists"):
        driver.open(FROM_HA)
    assert links(line, "ha").keys() == before
    assert driver.open(SECOND).name == "tun-2"


def test_shutdown_leaves_the_namespace_as_it_was(line: Line, driver_name: str) -> None:
    before = links(line, "ha").keys()
    filters = line.sh("ha", "tc qdisc; tc filter show dev core ingress 2>/dev/null || true")
    with line["ha"].entered():
        driver = open_driver(driver_name, underlay=["core", "cn"])
    driver.open(FROM_HA)
    driver.open(SECOND)
    driver.shutdown()
    assert links(line, "ha").keys() == before
    assert line.sh("ha", "tc qdisc; tc filter show dev core ingress 2>/dev/null || true") == filters


def test_other_filters_on_the_underlay_survive_a_shutdown(line: Line, driver_name: str) -> None:
    line.sh("ha", "tc qdisc add dev core clsact && tc filter add dev core ingress pref 9 protocol ip u32 match u8 0 0")
    with line["ha"].entered():
        driver = open_driver(driver_name, underlay=["core"])
    driver.shutdown()
    assert "pref 9" in line.sh("ha", "tc filter show dev core ingress")
    assert "pref 434" not in line.sh("ha", "tc filter show dev core ingress")


def test_an_underlay_device_that_does_not_exist_is_named(line: Line, driver_name: str) -> None:
    with line["ha"].entered(), pytest.raises(KernelRefused, match="'absent'"):
        open_driver(driver_name, underlay=["absent"])


def test_a_second_driver_in_the_namespace_is_refused_while_the_first_lives(line: Line, driver: TunnelDriver) -> None:
    device = driver.open(FROM_HA)
    with line["ha"].entered(), pytest.raises(LabError, match="at work in this network namespace"):
        open_driver(driver.name, underlay=["core"])
    assert device.name in links(line, "ha")


def test_a_killed_process_leaves_a_working_tunnel_that_the_next_driver_replaces(line: Line, driver_name: str) -> None:
    kill_after_opening(line, driver_name)
    assert "tun-1" in links(line, "ha"), "devices stay with the kernel"
    line.sh("ha", f"ip route add {MN} dev tun-1")
    with line.listening("core", "ha") as wire:
        line.send("cn", ipv4(CN, MN, udp(b"orphan")), "ha")
        assert wire.wait(carries(b"orphan"))[9] == 4
    with line["ha"].entered():
        driver = open_driver(driver_name, underlay=["core"])
    assert not any(name.startswith("tun-") and name != "tun-any" for name in links(line, "ha"))
    assert driver.open(FROM_HA).name == "tun-1"
    line.sh("ha", f"ip route add {MN} dev tun-1")
    with line["fa"].entered():
        far = open_driver(driver_name, underlay=["core"])
        far.open(FROM_FA)
    with line.listening("mn", "fa") as target:
        line.send("cn", ipv4(CN, MN, udp(b"anew")), "ha")
        target.wait(carries(b"anew"))
    far.shutdown()
    driver.shutdown()


def kill_after_opening(line: Line, driver_name: str) -> None:
    """A process opens the driver and a tunnel in ha, and is killed with SIGKILL."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with line["ha"].entered():
                open_driver(driver_name, underlay=["core"]).open(FROM_HA)
                os.write(writer, b"open")
                signal.pause()
        finally:
            os._exit(1)
    os.close(writer)
    assert os.read(reader, 10) == b"open"
    os.close(reader)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_an_unknown_driver_is_refused_with_the_names_of_the_known() -> None:
    with pytest.raises(MissingFeature, match="auto, netdev or ebpf"):
        open_driver("vxlan", underlay=[])
