"""A lab of 100 hosts on one LAN, up and down: ours against plain Mininet with its own LinuxBridge.

Both build the same ``SingleSwitchTopo``, each in a fresh private world, and each must carry a ping from the first host
to the last before it is taken down. Mininet is spared the raising of the host's limits (a few sysctls), which must not
happen; that makes it a little faster than it is.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import SingleSwitchTopo

from testbed.bench.apart import in_world
from testbed.bench.rows import Row, Target, median
from testbed.errors import LabError
from testbed.network.mininet_net import LabNet

HOSTS = 100
_ROUNDS = 3

UP_TARGET = Target(1 / 5)
DOWN_TARGET = Target(1 / 10)


def measure() -> list[Row]:
    """Ratios of times, ours over plain Mininet's: medians of rounds that alternate."""
    ours, plain = [], []
    for _ in range(_ROUNDS):
        ours.append(in_world(partial(_up_and_down, _our_net)))
        plain.append(in_world(partial(_up_and_down, _plain_net)))
    (our_up, our_down), (plain_up, plain_down) = (
        (median([up for up, _ in times]), median([down for _, down in times])) for times in (ours, plain)
    )
    of = f"medians of {_ROUNDS}"
    return [
        Row(f"{HOSTS} hosts up, ours / Mininet", our_up / plain_up, "", UP_TARGET, of),
        Row(f"{HOSTS} hosts down, ours / Mininet", our_down / plain_down, "", DOWN_TARGET, of),
        Row(f"{HOSTS} hosts up, ours", our_up, "s", detail=f"Mininet {plain_up:.2f} s"),
        Row(f"{HOSTS} hosts down, ours", our_down, "s", detail=f"Mininet {plain_down:.2f} s"),
    ]


def _our_net() -> Any:
    return LabNet(SingleSwitchTopo(HOSTS))


def _plain_net() -> Any:
    setLogLevel("error")  # it warns of br_netfilter for each bridge
    Mininet.inited = True
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return Mininet(SingleSwitchTopo(HOSTS), switch=LinuxBridge, controller=None)


def _up_and_down(make: Callable[[], Any]) -> tuple[float, float]:
    """Seconds until the net is started, and until it is stopped."""
    began_s = time.monotonic()
    net = make()
    net.start()
    up_s = time.monotonic() - began_s
    first, last = net.hosts[0], net.hosts[-1]
    pinged = first.popen(["ping", "-n", "-c", "1", "-W", "5", last.IP()])
    said, _ = pinged.communicate()
    if pinged.returncode:
        raise LabError(f"{first} does not reach {last}: {said!r}")
    began_s = time.monotonic()
    net.stop()
    return up_s, time.monotonic() - began_s
