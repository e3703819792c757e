"""What the agents' launchers share: opening the sockets and tunnels of a home or foreign agent, reading its addresses.

Each role has a launcher of its own, so that an agent loads only what its role needs: that is a third of its start.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Interface

from testbed.agents.frames import ALL_MOBILITY_AGENTS, ALL_ROUTERS
from testbed.agents.link_socket import ROUTER_SOLICITATION, LinkSocket
from testbed.agents.process import Process
from testbed.agents.registration_socket import RegistrationSocket
from testbed.agents.settings import Settings
from testbed.errors import ConfigError, KernelRefused
from testbed.network.rtnetlink import RouteNetlink
from testbed.tunnels.driver import open_driver
from testbed.tunnels.table import TunnelTable

Reload = Callable[[], Settings]
Launched = tuple[Process, dict[str, object]]
"""An agent to be run, and what it tells when it is ready."""


def agents_link(interface: str, undo: ExitStack) -> LinkSocket:
    """The link on which a mobility agent advertises itself."""
    link = LinkSocket(interface, icmp_type=ROUTER_SOLICITATION, groups=(ALL_ROUTERS, ALL_MOBILITY_AGENTS))  # D8
    undo.callback(link.close)
    return link


def open_registrations(undo: ExitStack) -> RegistrationSocket:
    """Port 434."""
    registrations = RegistrationSocket()
    undo.callback(registrations.close)
    return registrations


def open_tunnels(driver: str, underlay: tuple[str, ...], undo: ExitStack) -> TunnelTable:
    """The tunnels of this node; none yet."""
    tunnels = TunnelTable(open_driver(driver, underlay=underlay))
    undo.callback(tunnels.close)
    return tunnels


def own_addresses() -> set[IPv4Address]:
    """All addresses of this node."""
    with RouteNetlink() as netlink:
        return {address.ip for _index, address in netlink.addresses()}


def address_of(index: int, interface: str) -> IPv4Interface:
    """The first address of an interface.

    :raises KernelRefused: it has none.
    """
    with RouteNetlink() as netlink:
        addresses = [address for _index, address in netlink.addresses(index)]
    if not addresses:
        raise KernelRefused(f"interface {interface!r} has no IPv4 address to advertise")
    return addresses[0]


def on_same_ground(settings: Settings, fixed: tuple[str, ...], reload: Reload) -> Reload:
    """``reload``, refusing settings in which a ``fixed`` key has changed: a running agent is built on those."""

    def checked() -> Settings:
        fresh = reload()
        for key in fixed:
            before, after = getattr(settings, key), getattr(fresh, key)
            if before != after:
                raise ConfigError(f"{key} is {after}, expected {before} as before; it needs a new start of the agent")
        return fresh

    return checked
