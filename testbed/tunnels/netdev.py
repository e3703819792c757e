"""The `netdev` driver: the kernel's own ipip devices.

They do all of RFC 2003, path MTU discovery and relayed ICMP errors included. What they do not do is silence: for an
encapsulated packet without a tunnel the kernel answers "port unreachable". So one more device, ``tun-any``, takes what
no other tunnel matches; strict rp_filter, with no route ever pointing there, drops every packet that comes out of it.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence

from testbed.errors import KernelRefused, MissingFeature, MissingPrivilege
from testbed.network.rtnetlink import Link, add_ipip, delete_link, set_link
from testbed.tunnels.devices import TunnelDevices, errno_of, only_ipip
from testbed.tunnels.driver import TunnelCounters, TunnelDevice
from testbed.tunnels.endpoints import TunnelEndpoints

_CATCH_ALL = "tun-any"
# linux/ip.h
_FORWARDING = 1
_RP_FILTER = 8
_STRICT = 1


class NetdevDriver:
    """ipip devices of the caller's network namespace."""

    name = "netdev"

    def __init__(self, underlay: Sequence[str], *, ttl: int = 64) -> None:
        """``ttl`` is that of outer headers. Raises ``MissingFeature`` where the kernel has no ipip devices."""
        self._ttl = ttl
        self._devices = TunnelDevices(underlay)
        self._open: dict[str, TunnelDevice] = {}
        try:
            self._catch_all()
        except KernelRefused as refusal:
            self._devices.release()
            if errno_of(refusal) == errno.EOPNOTSUPP:
                raise MissingFeature(
                    "the kernel has no ipip devices",
                    hint="load the ipip module (modprobe ipip), boot a distribution kernel, or use the ebpf driver",
                ) from refusal
            if errno_of(refusal) == errno.EPERM:
                raise MissingPrivilege("ipip devices need CAP_NET_ADMIN", hint="run as root") from refusal
            raise

    def _catch_all(self) -> None:
        # Bound to the loopback, because unbound it would equal tunl0 where the module has put one into the namespace,
        # and because ip_tunnel_lookup() prefers a tunnel bound to the device of arrival to any that is not: bound to
        # an underlay device it would take the packets of all other tunnels. Not bound there, it comes last.
        kernel = self._devices.kernel
        silence = {_RP_FILTER: _STRICT, _FORWARDING: 0}
        kernel.request(add_ipip(_CATCH_ALL, None, None, ttl=self._ttl, device=kernel.link_index("lo")))
        kernel.request(set_link(_CATCH_ALL, ipv4_settings=silence))
        self._devices.bring_up(_CATCH_ALL)

    def open(self, endpoints: TunnelEndpoints) -> TunnelDevice:
        """See `TunnelDriver.open`."""
        only_ipip(self.name, endpoints)
        mtu = self._devices.mtu(endpoints)
        name = self._devices.create(
            lambda name: add_ipip(name, endpoints.local, endpoints.remote, ttl=self._ttl, mtu=mtu)
        )
        self._devices.bring_up(name)
        device = TunnelDevice(name, self._devices.kernel.link_index(name), endpoints, self.name)
        self._open[name] = device
        return device

    def close(self, device: TunnelDevice) -> None:
        """See `TunnelDriver.close`."""
        del self._open[device.name]
        self._devices.remove(device.name)

    def counters(self, device: TunnelDevice) -> TunnelCounters:
        """See `TunnelDriver.counters`; the kernel's device statistics, which do not tell reasons apart."""
        link = self._link(device.name)
        drops = {reason: count for reason, count in (("tx", link.tx_dropped),) if count}
        return TunnelCounters(link.tx_packets, link.tx_bytes, link.rx_packets, link.rx_bytes, drops)

    def strangers(self) -> int:
        """See `TunnelDriver.strangers`."""
        return self._link(_CATCH_ALL).rx_packets

    def fileno(self) -> None:
        """See `TunnelDriver.fileno`; ipip keeps path MTUs itself."""

    def refresh(self) -> None:
        """See `TunnelDriver.refresh`."""

    def _link(self, name: str) -> Link:
        link = self._devices.kernel.link(name)
        if link is None:
            raise KernelRefused(f"there is no tunnel device {name}")
        return link

    def shutdown(self) -> None:
        """See `TunnelDriver.shutdown`."""
        for name in list(self._open):
            self.close(self._open[name])
        catch_all = self._devices.kernel.link(_CATCH_ALL)
        if catch_all is not None:
            self._devices.kernel.request(delete_link(catch_all.index), ignore={errno.ENODEV})
        self._devices.release()
