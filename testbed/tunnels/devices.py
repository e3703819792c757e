"""What both drivers need for their devices: names, MTUs, silence, and what an earlier process left behind.

A process that is killed leaves its tunnel devices to the kernel, as with any network device. They carry a note
(IFLA_IFALIAS), so the next driver in the namespace recognises and removes them: an agent that starts has no bindings,
so no tunnel of a predecessor is right. Two drivers at once in a namespace would remove each other's; an abstract
socket, which the kernel keeps per network namespace and frees with its process, lets in only one.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from testbed.errors import KernelRefused, LabError, MissingFeature
from testbed.network.rtnetlink import Message, RouteNetlink, delete_link, set_link
from testbed.tunnels.endpoints import Encapsulation, TunnelEndpoints

_NAME = "tun-{}"
_OURS = re.compile(r"tun-(\d+|any)")
_NOTE = "mobile ip tunnel"
_LOCK = b"\0testbed tunnel driver"


class TunnelDevices:
    """The ``tun-N`` devices of this network namespace, in the hands of one driver."""

    def __init__(self, underlay: Sequence[str]) -> None:
        """Takes hold of the namespace and removes what an earlier driver left.

        ``underlay`` are the devices that outer packets arrive on. Raises ``LabError`` where another process's driver is
        at work in the namespace, ``KernelRefused`` where an underlay device does not exist.
        """
        self._lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.kernel = RouteNetlink()
        self._numbers: set[int] = set()
        try:
            self._lock.bind(_LOCK)
            self.underlay = {name: self.kernel.link_index(name) for name in underlay}
            self._remove_leftovers()
        except OSError as failure:
            self.release()
            if failure.errno != errno.EADDRINUSE:
                raise
            raise LabError("another tunnel driver is at work in this network namespace") from failure
        except KernelRefused:
            self.release()
            raise

    def release(self) -> None:
        """Let go of the namespace; devices are the driver's to remove first."""
        self._lock.close()
        self.kernel.close()

    def _remove_leftovers(self) -> None:
        left = [link.index for link in self.kernel.links() if link.alias == _NOTE and _OURS.fullmatch(link.name)]
        self.kernel.request(*map(delete_link, left), ignore={errno.ENODEV})

    def create(self, request: Callable[[str], Message]) -> str:
        """Make the device that ``request(name)`` describes under the lowest free name, and return the name."""
        number = 1
        while True:
            if number not in self._numbers:
                name = _NAME.format(number)
                if self._created(request(name), name):
                    self._numbers.add(number)
                    return name
            number += 1

    def _created(self, request: Message, name: str) -> bool:
        try:
            self.kernel.request(request)
        except KernelRefused as refusal:
            # EEXIST also means an equal tunnel under another name, which no other name would mend.
            if errno_of(refusal) == errno.EEXIST and self.kernel.link(name) is not None:
                return False
            raise
        return True

    def remove(self, name: str) -> None:
        """Remove a device by name; one that is gone already is as good."""
        self._numbers.discard(int(name.removeprefix(_NAME.format(""))))
        link = self.kernel.link(name)
        if link is not None:
            self.kernel.request(delete_link(link.index), ignore={errno.ENODEV})

    def bring_up(self, *names: str) -> None:
        """Mark devices as ours and switch them on, with nothing on them but what is routed there."""
        for name in names:
            _silence_ipv6(name)
        self.kernel.request(*(set_link(name, alias=_NOTE, up=True, multicast=False) for name in names))

    def mtu(self, endpoints: TunnelEndpoints) -> int:
        """Bytes that an inner packet may have: the path's MTU as far as it is known, less the encapsulation."""
        return self._path_mtu(endpoints) - endpoints.encapsulation.overhead

    def _path_mtu(self, endpoints: TunnelEndpoints) -> int:
        try:
            route = self.kernel.route_to(endpoints.remote, endpoints.local)
        except KernelRefused:  # no route yet: the narrowest device it can leave by
            found = [self.kernel.link(index) for index in self.underlay.values()]
            return min((link.mtu for link in found if link), default=1500)
        device = self.kernel.link(route.device)
        return route.mtu or (device.mtu if device else 1500)


def only_ipip(driver: str, endpoints: TunnelEndpoints) -> None:
    """Raise ``MissingFeature`` for an encapsulation that ``driver`` does not have."""
    if endpoints.encapsulation is not Encapsulation.IPIP:
        raise MissingFeature(f"the {driver} driver has no {endpoints.encapsulation} encapsulation")


def errno_of(refusal: KernelRefused) -> int | None:
    """The errno behind a refusal."""
    return refusal.__cause__.errno if isinstance(refusal.__cause__, OSError) else None


def _silence_ipv6(name: str) -> None:
    """No link-local address, so no router solicitations nor listener reports into the tunnel."""
    switch = Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6")
    if switch.exists() and switch.read_text().strip() == "0":
        switch.write_text("1")
