"""A foreign agent's kernel state: per visitor a route and a permanent neighbour, per tunnel two routing tables.

What comes out of a tunnel is looked up in a table that holds the visitors and, for everybody else, a black hole: it is
dropped without a word (F7). What a visitor with a reverse tunnel sends is looked up in the table of its tunnel, which
holds nothing but a default route into it (RFC 3024, direct delivery).
"""

from __future__ import annotations

import errno
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from testbed.agents.actions import InstallVisitor, KernelAction, RemoveVisitor
from testbed.agents.kernel import RP_FILTER, RP_FILTER_OFF, undo
from testbed.errors import KernelRefused, TestbedError
from testbed.network.rtnetlink import (
    Message,
    RouteNetlink,
    add_rule,
    delete_neighbour,
    delete_route,
    delete_rule,
    replace_route,
    set_link,
    set_neighbour,
)
from testbed.tunnels.driver import TunnelDevice
from testbed.tunnels.endpoints import TunnelEndpoints
from testbed.tunnels.table import TunnelTable

VISITORS_TABLE = 434
REVERSE_TABLES = 43_400
"""The table of a tunnel is this plus the index of its device."""

FROM_TUNNEL_PRIORITY, FROM_VISITOR_PRIORITY = 434, 435
_ANY_TABLE = 0
_MOST_LEFT_RULES = 100_000

ANYWHERE = IPv4Network("0.0.0.0/0")


@dataclass(frozen=True, slots=True)
class _Installed:
    """What holds for one visitor."""

    action: InstallVisitor
    device: TunnelDevice


class ForeignKernel:
    """``interface`` is the one that mobile nodes visit; the tunnel table is the caller's to close."""

    def __init__(self, interface: str, tunnels: TunnelTable) -> None:
        self._tunnels = tunnels
        self._interface = interface
        self._netlink = RouteNetlink()
        self._link = self._netlink.link_index(interface)
        self._visitors: dict[IPv4Address, _Installed] = {}
        self._furnished: set[TunnelEndpoints] = set()  # tunnels that have their rule and their table
        self._clear_leftovers()
        self._netlink.request(replace_route(ANYWHERE, table=VISITORS_TABLE, type="blackhole"))

    def apply(self, action: KernelAction) -> None:
        match action:
            case InstallVisitor():
                self._install(action)
            case RemoveVisitor():
                self._remove(action.home_address)
            case _:
                raise KernelRefused(f"a foreign agent cannot do {action}")

    def close(self) -> None:
        for home_address in list(self._visitors):
            self._remove(home_address)
        undo(self._netlink, delete_route(ANYWHERE, table=VISITORS_TABLE))
        self._netlink.close()

    def _clear_leftovers(self) -> None:
        """A predecessor that was killed left its visitors and its rules; some routes went with its tunnels."""
        for host in self._netlink.destinations(VISITORS_TABLE):
            self._forget_delivery(host.network_address)
        for priority in (FROM_TUNNEL_PRIORITY, FROM_VISITOR_PRIORITY):
            for _ in range(_MOST_LEFT_RULES):
                try:
                    self._netlink.request(delete_rule(priority, _ANY_TABLE))
                except KernelRefused:
                    break  # there is none left

    def _install(self, action: InstallVisitor) -> None:
        home_address = action.home_address
        earlier = self._visitors.get(home_address)
        device = self._open_tunnel(action.tunnel, home_address)
        try:
            self._netlink.request(*self._delivery(action))
            if action.reverse:
                # an equal rule may be there already, of the earlier registration
                self._netlink.request(self._reverse_rule(action, device, add=True), ignore=(errno.EEXIST,))
        except TestbedError:
            self._restore(action, device, earlier)
            raise
        self._visitors[home_address] = _Installed(action, device)
        if earlier is not None:
            self._retire(earlier, action)

    def _delivery(self, action: InstallVisitor) -> list[Message]:
        host = IPv4Network(action.home_address)
        return [
            set_neighbour(action.home_address, action.mac, self._link),  # F7: no ARP for visitors, as long as they stay
            replace_route(host, device=self._link),
            replace_route(host, device=self._link, table=VISITORS_TABLE),
        ]

    def _reverse_rule(self, action: InstallVisitor, device: TunnelDevice, *, add: bool) -> Message:
        rule = add_rule if add else delete_rule
        source = IPv4Network(action.home_address)
        return rule(FROM_VISITOR_PRIORITY, REVERSE_TABLES + device.index, source=source, iif=self._interface)

    def _retire(self, earlier: _Installed, present: InstallVisitor) -> None:
        """Undo what the earlier registration had and the present one has not."""
        other_tunnel = earlier.action.tunnel != present.tunnel
        if earlier.action.reverse and (other_tunnel or not present.reverse):
            undo(self._netlink, self._reverse_rule(earlier.action, earlier.device, add=False))
        if other_tunnel:
            self._close_tunnel(earlier.action.tunnel, earlier.device, present.home_address)

    def _restore(self, action: InstallVisitor, device: TunnelDevice, earlier: _Installed | None) -> None:
        """After a refusal: the earlier registration holds as before, or nothing does."""
        if earlier is None:
            self._forget(action, device)
        else:
            self._netlink.request(*self._delivery(earlier.action))
        if earlier is None or earlier.action.tunnel != action.tunnel:
            self._close_tunnel(action.tunnel, device, action.home_address)

    def _remove(self, home_address: IPv4Address) -> None:
        installed = self._visitors.pop(home_address, None)
        if installed is None:
            return
        self._forget(installed.action, installed.device)
        self._close_tunnel(installed.action.tunnel, installed.device, home_address)

    def _forget(self, action: InstallVisitor, device: TunnelDevice) -> None:
        if action.reverse:
            undo(self._netlink, self._reverse_rule(action, device, add=False))
        self._forget_delivery(action.home_address)

    def _forget_delivery(self, home_address: IPv4Address) -> None:
        host = IPv4Network(home_address)
        undo(
            self._netlink,
            delete_route(host, device=self._link, table=VISITORS_TABLE),
            delete_route(host, device=self._link),
            delete_neighbour(home_address, self._link),
        )

    def _open_tunnel(self, tunnel: TunnelEndpoints, home_address: IPv4Address) -> TunnelDevice:
        """The tunnel's device, with its rule and its table from its first user on."""
        device = self._tunnels.acquire(tunnel, home_address)
        if tunnel in self._furnished:
            return device
        try:
            self._netlink.request(
                set_link(device.index, ipv4_settings={RP_FILTER: RP_FILTER_OFF}),  # inner sources are anywhere
                replace_route(ANYWHERE, device=device.index, table=REVERSE_TABLES + device.index),
            )
            rule = add_rule(FROM_TUNNEL_PRIORITY, VISITORS_TABLE, iif=device.name)
            self._netlink.request(rule, ignore=(errno.EEXIST,))
        except TestbedError:
            self._tunnels.release(tunnel, home_address)
            raise
        self._furnished.add(tunnel)
        return device

    def _close_tunnel(self, tunnel: TunnelEndpoints, device: TunnelDevice, home_address: IPv4Address) -> None:
        if self._tunnels.users(tunnel) == {home_address}:
            self._furnished.discard(tunnel)
            undo(self._netlink, delete_route(ANYWHERE, device=device.index, table=REVERSE_TABLES + device.index))
            self._tunnels.release(tunnel, home_address)
            # Last, so that nothing out of the tunnel is ever routed like the node's other packets.
            undo(self._netlink, delete_rule(FROM_TUNNEL_PRIORITY, VISITORS_TABLE, iif=device.name))
        else:
            self._tunnels.release(tunnel, home_address)
