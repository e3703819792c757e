"""The agents that a mobile node hears, each until its advertisement's lifetime is over (RFC 5944 section 2.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address

from testbed.agents.actions import Neighbour
from testbed.agents.deadlines import Deadlines
from testbed.agents.events import AdvertisementHeard
from testbed.protocol.discovery import AgentAdvertisement

CAPACITY = 32
"""More agents than any link has; forged advertisements cannot fill the memory."""

LAST_SEQUENCE_OF_BOOT = 255
"""Only an agent that has just started uses 0..255 (D9)."""


@dataclass(frozen=True, slots=True)
class HeardAgent:
    """An agent by its latest advertisement. Its address is the one it sent from, as requests to it go there (M2)."""

    neighbour: Neighbour
    advertisement: AgentAdvertisement
    expires_at_s: float


class News(Enum):
    """What an advertisement tells about its sender."""

    NEW = "new"
    KNOWN = "known"
    RESTARTED = "restarted"  # it has forgotten its visitors (D10)


class AgentList:
    """Agents by their IP and MAC address."""

    def __init__(self) -> None:
        self._agents: dict[Neighbour, HeardAgent] = {}
        self._expiries: Deadlines[Neighbour] = Deadlines()

    def hear(self, now_s: float, heard: AdvertisementHeard) -> tuple[HeardAgent, News]:
        """Take in an advertisement."""
        neighbour = Neighbour(heard.source, heard.source_mac)
        earlier = self._agents.get(neighbour)
        if earlier is None and len(self._agents) >= CAPACITY:
            self._drop(next(iter(self._agents)))
        advertisement = heard.advertisement
        agent = HeardAgent(neighbour, advertisement, now_s + advertisement.lifetime_s)
        self._agents[neighbour] = agent
        self._expiries.set(neighbour, agent.expires_at_s)
        if earlier is None:
            return agent, News.NEW
        restarted = has_restarted(earlier.advertisement.sequence, advertisement.sequence)
        return agent, News.RESTARTED if restarted else News.KNOWN

    def all(self) -> tuple[HeardAgent, ...]:
        return tuple(self._agents.values())

    def forget_all(self) -> None:
        """On another link, nothing of what was heard holds."""
        for neighbour in list(self._agents):
            self._drop(neighbour)

    def deadline(self) -> float | None:
        return self._expiries.next()

    def expired(self, now_s: float) -> list[Neighbour]:
        """The agents that were not heard again in time; they are forgotten here."""
        lost = self._expiries.due(now_s)
        for neighbour in lost:
            del self._agents[neighbour]
        return lost

    def _drop(self, neighbour: Neighbour) -> None:
        del self._agents[neighbour]
        self._expiries.drop(neighbour)


def has_restarted(before: int, after: int) -> bool:
    """Whether sequence number ``after``, heard later than ``before``, tells that the agent has started anew (D10)."""
    return after < before and after <= LAST_SEQUENCE_OF_BOOT


def offers_care_of_address(agent: HeardAgent) -> bool:
    """Whether one can register through it: a foreign agent with a care-of address (D4)."""
    advertisement = agent.advertisement
    return bool(advertisement.flags & advertisement.flags.FOREIGN_AGENT and advertisement.care_of_addresses)


def is_home_agent(agent: HeardAgent, home_agent: IPv4Address) -> bool:
    """Whether it is that home agent, on its home link (D6, D16)."""
    advertisement = agent.advertisement
    addresses = {agent.neighbour.address, *(router.address for router in advertisement.routers)}
    return bool(advertisement.flags & advertisement.flags.HOME_AGENT) and home_agent in addresses
