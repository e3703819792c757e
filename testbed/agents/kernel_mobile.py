"""A mobile node's kernel state: a host of its home link, or a silent node behind a foreign agent (M11, D16).

The home address stays on the interface all the time, so that connections survive. Away, IFF_NOARP keeps the kernel
from asking and from answering ARP, and the prefix route is gone: nobody of the home network is a neighbour here. The
default route stays until a foreign agent's takes its place; it leads nowhere meanwhile, and programs do not fail.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from testbed.agents.actions import KernelAction, LeaveHome, Neighbour, ReturnHome, UseForeignAgent
from testbed.agents.kernel import Sysctls, undo
from testbed.agents.settings import MobileSettings
from testbed.errors import KernelRefused
from testbed.network.rtnetlink import (
    IFF_NOARP,
    RouteNetlink,
    delete_neighbour,
    delete_route,
    replace_route,
    set_link,
    set_neighbour,
)

ANYWHERE = IPv4Network("0.0.0.0/0")


class MobileKernel:
    """The interface is the settings' own; closing this leaves it as a host of the home link has it."""

    def __init__(self, settings: MobileSettings) -> None:
        self._settings = settings
        self._netlink = RouteNetlink()
        self._link = self._netlink.link_index(settings.interface)
        self._router: IPv4Address | None = None
        self.away = bool(self._netlink.link_flags(self._link) & IFF_NOARP)
        self._sysctls = Sysctls()
        for scope in ("all", settings.interface):  # M11; one of them on its own is enough to obey redirects
            self._sysctls.set(f"net/ipv4/conf/{scope}/accept_redirects", 0)

    def apply(self, action: KernelAction) -> None:
        match action:
            case LeaveHome():
                self._leave_home()
            case UseForeignAgent(agent=agent):
                self._use(agent)
            case ReturnHome():
                self._return_home()
            case _:
                raise KernelRefused(f"a mobile node cannot do {action}")

    def close(self) -> None:
        if self.away:
            self._return_home()
        self._sysctls.close()
        self._netlink.close()

    def _leave_home(self) -> None:
        self._netlink.request(set_link(self._link, arp=False))
        self.away = True
        undo(self._netlink, delete_route(self._settings.home_network, device=self._link))

    def _use(self, agent: Neighbour) -> None:
        self._netlink.request(
            set_neighbour(agent.address, agent.mac, self._link),
            replace_route(ANYWHERE, device=self._link, gateway=agent.address, onlink=True),
        )
        if self._router not in (None, agent.address):
            undo(self._netlink, delete_neighbour(self._router, self._link))
        self._router = agent.address

    def _return_home(self) -> None:
        settings = self._settings
        # Switching ARP on makes the kernel forget every neighbour of the interface, the foreign agent's entry included.
        self._netlink.request(
            set_link(self._link, arp=True),
            replace_route(settings.home_network, device=self._link, source=settings.home_address),
            replace_route(ANYWHERE, device=self._link, gateway=settings.home_gateway),
        )
        self._router = None
        self.away = False
