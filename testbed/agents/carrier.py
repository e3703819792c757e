"""Which of the kernel's link news mean that the cable was pulled or plugged, for one interface."""

from __future__ import annotations

from testbed.agents.events import LinkDown, LinkUp
from testbed.network.rtnetlink import LinkChange, LinkMonitor, RouteNetlink


class Carrier:
    """Watches one interface; its own changes, such as of the ARP flag, are no news of the cable."""

    def __init__(self, interface: str) -> None:
        self._monitor = LinkMonitor()  # before the present state is asked for, lest a change fall in between
        with RouteNetlink() as netlink:
            link = netlink.link(interface)
        self._index = link.index if link else 0
        self._ups = link.carrier_ups if link else 0
        self.up = bool(link and link.up)

    def fileno(self) -> int:
        return self._monitor.fileno()

    def close(self) -> None:
        self._monitor.close()

    def read(self) -> list[LinkUp | LinkDown]:
        """What happened to the cable since the last time."""
        found = [self._judge(change) for change in self._monitor.read() if change.index == self._index]
        return [event for event in found if event is not None]

    def _judge(self, change: LinkChange) -> LinkUp | LinkDown | None:
        was_up, self.up = self.up, change.up
        # A carrier that went and came at once is told as one change of a link that seems to have been up all the time.
        came, self._ups = change.carrier_ups != self._ups, change.carrier_ups
        if change.up and (came or not was_up):
            return LinkUp()
        return LinkDown() if was_up and not change.up else None
