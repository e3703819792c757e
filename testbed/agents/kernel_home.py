"""A home agent's kernel state: per binding a host route into the tunnel and a proxy ARP entry (RFC 5944 4.1, 4.6).

Strict reverse-path filtering on each tunnel device is the check of RFC 3024 section 5.3: the inner source of a packet
out of the tunnel must be a home address that is bound to the tunnel's other end, or the packet is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from testbed.agents.actions import InstallBinding, KernelAction, ReleaseTunnel, RemoveBinding
from testbed.agents.kernel import RP_FILTER, RP_FILTER_STRICT, Sysctls, undo
from testbed.errors import KernelRefused, TestbedError
from testbed.network.rtnetlink import (
    Message,
    RouteNetlink,
    add_proxy_neighbour,
    delete_proxy_neighbour,
    delete_route,
    replace_route,
    set_link,
)
from testbed.tunnels.endpoints import TunnelEndpoints
from testbed.tunnels.table import TunnelTable


class HomeKernel:
    """``interface`` is the one on the home link, ``mobile_nodes`` may have bindings; the table is the caller's."""

    def __init__(self, interface: str, tunnels: TunnelTable, mobile_nodes: Iterable[IPv4Address]) -> None:
        self._tunnels = tunnels
        self._netlink = RouteNetlink()
        self._link = self._netlink.link_index(interface)
        self._sysctls = Sysctls()
        self._bindings: dict[IPv4Address, TunnelEndpoints] = {}
        self._filtered: set[TunnelEndpoints] = set()  # tunnels whose device has its rp_filter
        self._clear_leftovers(mobile_nodes)
        # the kernel would delay proxied answers by up to 0.8 s, as if other hosts had a better right to answer
        self._sysctls.set(f"net/ipv4/neigh/{interface}/proxy_delay", 0)

    def apply(self, action: KernelAction) -> None:
        match action:
            case InstallBinding():
                self._install(action.home_address, action.tunnel)
            case RemoveBinding():
                self._remove(action.home_address)
            case ReleaseTunnel():
                self._release(action.home_address, action.tunnel)
            case _:
                raise KernelRefused(f"a home agent cannot do {action}")

    def close(self) -> None:
        for home_address in list(self._bindings):
            self._remove(home_address)
        self._sysctls.close()
        self._netlink.close()

    def _clear_leftovers(self, mobile_nodes: Iterable[IPv4Address]) -> None:
        """A predecessor that was killed left its proxy entries; its routes went with its tunnels."""
        undo(self._netlink, *[delete_proxy_neighbour(home_address, self._link) for home_address in mobile_nodes])

    def _install(self, home_address: IPv4Address, tunnel: TunnelEndpoints) -> None:
        earlier = self._bindings.get(home_address)
        device = self._tunnels.acquire(tunnel, home_address)
        messages: list[Message] = []
        if tunnel not in self._filtered:
            messages.append(set_link(device.index, ipv4_settings={RP_FILTER: RP_FILTER_STRICT}))
        # The route before the proxy entry: the kernel answers ARP only for what it would send elsewhere.
        messages.append(replace_route(IPv4Network(home_address), device=device.index))
        messages.append(add_proxy_neighbour(home_address, self._link))
        try:
            self._netlink.request(*messages)
        except TestbedError:
            self._restore(home_address, tunnel, earlier)
            raise
        self._filtered.add(tunnel)
        self._bindings[home_address] = tunnel

    def _restore(self, home_address: IPv4Address, tunnel: TunnelEndpoints, earlier: TunnelEndpoints | None) -> None:
        """After a refusal: the earlier binding holds as before, or nothing does."""
        if earlier is None:
            self._forget(home_address)
        else:
            device = self._tunnels.acquire(earlier, home_address)
            self._netlink.request(replace_route(IPv4Network(home_address), device=device.index))
        if earlier != tunnel:
            self._release(home_address, tunnel)

    def _release(self, home_address: IPv4Address, tunnel: TunnelEndpoints) -> None:
        self._tunnels.release(tunnel, home_address)
        if not self._tunnels.users(tunnel):
            self._filtered.discard(tunnel)

    def _remove(self, home_address: IPv4Address) -> None:
        if self._bindings.pop(home_address, None) is not None:
            self._forget(home_address)

    def _forget(self, home_address: IPv4Address) -> None:
        undo(
            self._netlink,
            delete_proxy_neighbour(home_address, self._link),  # H12: proxy ARP ends first
            delete_route(IPv4Network(home_address), type="unicast"),
        )
