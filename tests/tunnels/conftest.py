"""Fixtures: the line of namespaces, and a driver at both ends of its middle."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from testbed.tunnels.driver import ProbeResult, TunnelDevice, TunnelDriver, open_driver, probe
from tests.tunnels.lab import CN, FROM_FA, FROM_HA, MN, Line


@functools.cache
def available() -> dict[str, ProbeResult]:
    """Probed once: it takes a child process."""
    return probe()


def needs_driver(name: str) -> None:
    """Skip the test where the driver cannot work, with the reason."""
    found = available()[name]
    if not found.available:
        pytest.skip(f"tunnel driver {name}: {found.detail}; {found.remedy}")


@pytest.fixture(params=["ebpf", "netdev"])
def driver_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    needs_driver(name)
    return name


@pytest.fixture
def line() -> Iterator[Line]:
    if os.geteuid():
        pytest.skip("making network namespaces with veth pairs between them needs root")
    made = Line()
    yield made
    made.close()


@dataclass
class Ends:
    """A tunnel between ha and fa, open at both ends; inner routes point into it."""

    line: Line
    ha: TunnelDriver
    fa: TunnelDriver
    from_ha: TunnelDevice
    from_fa: TunnelDevice


@pytest.fixture
def ends(driver_name: str, line: Line) -> Iterator[Ends]:
    with line["ha"].entered():
        ha = open_driver(driver_name, underlay=["core", "cn"])
        from_ha = ha.open(FROM_HA)
    with line["fa"].entered():
        fa = open_driver(driver_name, underlay=["core"])
        from_fa = fa.open(FROM_FA)
    line.sh("ha", f"ip route add {MN} dev {from_ha.name}")
    line.sh("fa", f"ip route add {CN} dev {from_fa.name}")
    yield Ends(line, ha, fa, from_ha, from_fa)
    ha.shutdown()
    fa.shutdown()
