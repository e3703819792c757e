"""Puts an agent together: state machine, sockets, tunnels and kernel of its role; what is opened, ``undo`` closes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv4Interface

from testbed.agents.carrier import Carrier
from testbed.agents.event_log import EventLog
from testbed.agents.foreign import ForeignAgent
from testbed.agents.frames import ALL_MOBILITY_AGENTS, ALL_ROUTERS, LinkAddress
from testbed.agents.home import HomeAgent
from testbed.agents.kernel_foreign import ForeignKernel
from testbed.agents.kernel_home import HomeKernel
from testbed.agents.kernel_mobile import MobileKernel
from testbed.agents.link_socket import ROUTER_ADVERTISEMENT, ROUTER_SOLICITATION, LinkSocket
from testbed.agents.mobile import MobileNode
from testbed.agents.process import Process, Settings
from testbed.agents.registration_socket import RegistrationSocket, reserve_port
from testbed.agents.settings import ForeignSettings, HomeSettings, MobileSettings
from testbed.errors import ConfigError, KernelRefused
from testbed.network.rtnetlink import RouteNetlink
from testbed.tunnels.driver import open_driver
from testbed.tunnels.table import TunnelTable

Reload = Callable[[], Settings]

_FIXED = {
    HomeSettings: ("home_agent", "home_network", "interface", "underlay", "tunnel_driver"),
    ForeignSettings: ("care_of_address", "interface", "underlay", "tunnel_driver"),
    MobileSettings: ("home_address", "home_network", "home_agent", "home_gateway", "interface"),
}
"""What an agent's sockets and kernel state are built on; a change needs a new start."""


def launch(settings: Settings, reload: Reload, log: EventLog, undo: ExitStack) -> tuple[Process, dict[str, object]]:
    """An agent that has only to be run, and what it is to tell when it is ready.

    :raises KernelRefused: the node is not as the settings say.
    :raises MissingFeature: no tunnel driver works here.
    """
    same_ground = _on_same_ground(settings, reload)
    match settings:
        case HomeSettings():
            return _home(settings, same_ground, log, undo)
        case ForeignSettings():
            return _foreign(settings, same_ground, log, undo)
        case MobileSettings():
            return _mobile(settings, same_ground, log, undo)


def _home(settings: HomeSettings, reload: Reload, log: EventLog, undo: ExitStack) -> tuple[Process, dict[str, object]]:
    link = _agents_link(settings.interface, undo)
    registrations = _registrations(undo)
    tunnels = _tunnels(settings.tunnel_driver, settings.underlay, undo)
    kernel = HomeKernel(settings.interface, tunnels, settings.mobile_nodes)
    undo.callback(kernel.close)
    accepted = {settings.home_network.broadcast_address, *_own_addresses()}  # H5
    if settings.home_agent not in accepted:
        raise KernelRefused(f"home agent address {settings.home_agent} is on no interface of this node")
    own = LinkAddress(link.mac, settings.home_agent, accepted)
    agent = HomeAgent(settings, wall_clock=time.time)
    process = Process(agent, kernel, link, own, log, reload, registrations=registrations, tunnels=tunnels.driver)
    return process, {"role": "home", "name": settings.name, "tunnel_driver": tunnels.driver.name}


def _foreign(
    settings: ForeignSettings, reload: Reload, log: EventLog, undo: ExitStack
) -> tuple[Process, dict[str, object]]:
    link = _agents_link(settings.interface, undo)
    registrations = _registrations(undo)
    access = _address_of(link.index, settings.interface)
    accepted = _own_addresses()
    if settings.care_of_address not in accepted:
        raise KernelRefused(f"care-of address {settings.care_of_address} is on no interface of this node")
    tunnels = _tunnels(settings.tunnel_driver, settings.underlay, undo)
    kernel = ForeignKernel(settings.interface, tunnels)
    undo.callback(kernel.close)
    own = LinkAddress(link.mac, access.ip, accepted)
    agent = ForeignAgent(settings, access)
    process = Process(agent, kernel, link, own, log, reload, registrations=registrations, tunnels=tunnels.driver)
    return process, {"role": "foreign", "name": settings.name, "tunnel_driver": tunnels.driver.name}


def _mobile(
    settings: MobileSettings, reload: Reload, log: EventLog, undo: ExitStack
) -> tuple[Process, dict[str, object]]:
    link = LinkSocket(settings.interface, icmp_type=ROUTER_ADVERTISEMENT, arp=True)
    undo.callback(link.close)
    undo.callback(reserve_port().close)
    carrier = Carrier(settings.interface)
    undo.callback(carrier.close)
    kernel = MobileKernel(settings)
    undo.callback(kernel.close)
    own = LinkAddress(link.mac, settings.home_address, {settings.home_address})
    agent = MobileNode(settings, wall_clock=time.time, left_away=kernel.away)
    process = Process(agent, kernel, link, own, log, reload, carrier=carrier)
    return process, {"role": "mobile", "name": settings.name}


def _agents_link(interface: str, undo: ExitStack) -> LinkSocket:
    link = LinkSocket(interface, icmp_type=ROUTER_SOLICITATION, groups=(ALL_ROUTERS, ALL_MOBILITY_AGENTS))  # D8
    undo.callback(link.close)
    return link


def _registrations(undo: ExitStack) -> RegistrationSocket:
    registrations = RegistrationSocket()
    undo.callback(registrations.close)
    return registrations


def _tunnels(driver: str, underlay: tuple[str, ...], undo: ExitStack) -> TunnelTable:
    tunnels = TunnelTable(open_driver(driver, underlay=underlay))
    undo.callback(tunnels.close)
    return tunnels


def _own_addresses() -> set[IPv4Address]:
    with RouteNetlink() as netlink:
        return {address.ip for _index, address in netlink.addresses()}


def _address_of(index: int, interface: str) -> IPv4Interface:
    with RouteNetlink() as netlink:
        addresses = [address for _index, address in netlink.addresses(index)]
    if not addresses:
        raise KernelRefused(f"interface {interface!r} has no IPv4 address to advertise")
    return addresses[0]


def _on_same_ground(settings: Settings, reload: Reload) -> Reload:
    """``reload``, refusing settings that a running agent cannot take over."""

    def checked() -> Settings:
        fresh = reload()
        for key in _FIXED[type(settings)]:
            before, after = getattr(settings, key), getattr(fresh, key)
            if before != after:
                raise ConfigError(f"{key} is {after}, expected {before} as before; it needs a new start of the agent")
        return fresh

    return checked
