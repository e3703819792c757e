"""Stands in for an agent: ours, with one thing left out (``python -m tests.scenarios.faulty_agent FAULT …``).

The scenario does not know; it has to notice.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

from testbed.agents import __main__ as agent
from testbed.agents import actions, admission, kernel_foreign, kernel_home, kernel_mobile, presence
from testbed.network import rtnetlink
from testbed.protocol.identification import IdentificationVerdict, TimestampReplayProtection


def no_tunnel() -> None:
    """The home agent accepts, answers ARP for the mobile node, and has no tunnel to it."""

    def install(self: Any, home_address: Any, tunnel: Any) -> None:
        self._netlink.request(rtnetlink.add_proxy_neighbour(home_address, self._link))

    kernel_home.HomeKernel._install = install  # type: ignore[method-assign]


def no_proxy_arp() -> None:
    """The home agent never answers ARP for the mobile node."""

    def nothing(address: Any, device: int) -> rtnetlink.Message:
        return rtnetlink.set_link("lo", up=True)

    kernel_home.add_proxy_neighbour = nothing  # type: ignore[attr-defined]


def no_authentication() -> None:
    """The home agent believes every authenticator."""
    admission.verify = lambda *_arguments, **_options: None  # type: ignore[attr-defined]


def believes_replays() -> None:
    """The home agent takes every identification for a new one."""
    TimestampReplayProtection.check = lambda *_arguments: IdentificationVerdict.OK  # type: ignore[method-assign]


def keeps_tunnels() -> None:
    """The home agent never takes a tunnel down while it has a binding."""
    apply = kernel_home.HomeKernel.apply

    def keeping(self: Any, action: Any) -> None:
        if not isinstance(action, actions.ReleaseTunnel):
            apply(self, action)

    kernel_home.HomeKernel.apply = keeping  # type: ignore[method-assign]


def keeps_arp() -> None:
    """The mobile node leaves ARP on when it is away."""
    set_link = rtnetlink.set_link
    kernel_mobile.set_link = lambda device, **_settings: set_link(device, arp=True)  # type: ignore[attr-defined]


def announces_another() -> None:
    """The mobile node announces an address on its return that is not its own."""
    other = IPv4Address("192.0.2.99")
    module: Any = presence
    module.AnnounceAddress = lambda _home_address: actions.AnnounceAddress(other)


def no_reverse_tunnel() -> None:
    """The foreign agent grants a reverse tunnel and then sends its visitor's packets as they are."""

    def nothing(*_arguments: Any, **_options: Any) -> rtnetlink.Message:
        return rtnetlink.set_link("lo", up=True)

    kernel_foreign.add_rule = nothing  # type: ignore[attr-defined]


FAULTS: dict[str, Callable[[], None]] = {
    "no-tunnel": no_tunnel,
    "no-proxy-arp": no_proxy_arp,
    "no-authentication": no_authentication,
    "believes-replays": believes_replays,
    "keeps-tunnels": keeps_tunnels,
    "keeps-arp": keeps_arp,
    "announces-another": announces_another,
    "no-reverse-tunnel": no_reverse_tunnel,
}

if __name__ == "__main__":
    fault, *arguments = sys.argv[1:]
    FAULTS[fault]()
    sys.exit(agent.main(arguments))
