"""News of links: which device came up, went down or disappeared, as the kernel tells it."""

from __future__ import annotations

import errno
from dataclasses import dataclass

from testbed.network.rtnetlink import links
from testbed.network.rtnetlink.connection import RouteNetlink, open_socket
from testbed.network.rtnetlink.message import answers

_RTMGRP_LINK = 1
_RECEIVE_BYTES = 1 << 16


@dataclass(frozen=True)
class LinkChange:
    """The state of one device after a change; ``up``: administratively up and with carrier.

    ``carrier_ups`` counts how often its carrier came: the kernel tells of a carrier that went and came at once as one
    change, and of other changes, such as of flags, in the same words.
    """

    index: int
    name: str
    up: bool
    removed: bool = False
    carrier_ups: int = 0


class LinkMonitor:
    """A subscription to link news; wait for `fileno` to become readable, then `read`."""

    def __init__(self, namespace_fd: int | None = None) -> None:
        self._socket = open_socket(groups=_RTMGRP_LINK, namespace_fd=namespace_fd)
        self._socket.setblocking(False)
        # Opened now: after an overflow this thread may be in another namespace.
        self._kernel = RouteNetlink(namespace_fd)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the subscription."""
        self._socket.close()
        self._kernel.close()

    def read(self) -> list[LinkChange]:
        """All news so far, in order, without waiting.

        News may repeat a state. When more came than the kernel could keep, the present state of every device is given
        instead, so that nobody goes on believing something stale (removals are then not told).
        """
        changes: list[LinkChange] = []
        overflowed = False
        while True:
            try:
                datagram = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                # Only now: what was still waiting when the overflow was told is older than the present state.
                return self._present_state() if overflowed else changes
            except OSError as failure:
                if failure.errno != errno.ENOBUFS:
                    raise
                overflowed = True
                continue
            for answer in answers(datagram):
                link = links.decode_link(answer.body)
                removed = answer.type == links.RTM_DELLINK
                changes.append(LinkChange(link.index, link.name, link.up and not removed, removed, link.carrier_ups))

    def _present_state(self) -> list[LinkChange]:
        return [
            LinkChange(link.index, link.name, link.up, carrier_ups=link.carrier_ups) for link in self._kernel.links()
        ]
