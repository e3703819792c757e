"""What a mobile node shows of itself on its link: ARP on or off, and who is told where it is (RFC 5944 4.6, M11)."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.agents.actions import Action, AnnounceAddress, AnswerArp, LeaveHome, Neighbour, ReturnHome
from testbed.agents.agent_list import HeardAgent
from testbed.agents.announcements import Announcements
from testbed.agents.events import ArpRequestHeard


class Presence:
    """Present as a host of the home link, or hidden: the kernel then neither asks nor answers ARP."""

    def __init__(self, home_address: IPv4Address, *, hidden: bool) -> None:
        self.hidden = hidden
        self._home_address = home_address
        self._announcements = Announcements()

    def hide(self) -> list[Action]:
        """Nothing may be heard of us on a link that is not known to be the home link."""
        self._announcements.withdraw(self._home_address)
        if self.hidden:
            return []
        self.hidden = True
        return [LeaveHome()]

    def show(self) -> list[Action]:
        """This is the home link."""
        if not self.hidden:
            return []
        self.hidden = False
        return [ReturnHome()]

    def announce(self, now_s: float) -> list[Action]:
        """Take the home address back from the home agent, which has answered for it (H12)."""
        return [self._announcements.announce(now_s, AnnounceAddress(self._home_address))]

    def due(self, now_s: float) -> list[Action]:
        return list(self._announcements.due(now_s))

    def deadline(self) -> float | None:
        return self._announcements.deadline()

    def answer(self, heard: ArpRequestHeard, agent: HeardAgent | None) -> list[Action]:
        """M11: hidden, only our foreign agent is answered, and only if it asked us alone; else the kernel answers."""
        if not self.hidden or agent is None or not heard.unicast or heard.target != self._home_address:
            return []
        if heard.sender_mac != agent.neighbour.mac:
            return []
        return [AnswerArp(heard.target, Neighbour(heard.sender, heard.sender_mac))]
