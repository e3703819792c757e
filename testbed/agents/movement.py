"""Whether a mobile node has moved, and which agent it takes (RFC 5944 sections 2.4.2 and 3.6).

Four ways to notice, chosen in the configuration:

======  ================================================================================================
link    the carrier came up: solicit at once, forget what was heard before; also lifetime expiry
lazy    the current agent's advertisement lifetime is over (algorithm 1)
prefix  an advertisement with another prefix than the current agent's (algorithm 2); also lifetime expiry
eager   any agent not heard before; a deviation from D14, for measurements; also lifetime expiry
======  ================================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network

from testbed.agents.agent_list import HeardAgent, News, is_home_agent, offers_care_of_address
from testbed.protocol.discovery import AgentFlags


def calls_for_move(mode: str, current: HeardAgent, other: HeardAgent, news: News) -> bool:
    """Whether hearing ``other``, while ``current`` has not expired, means that the mobile node is elsewhere."""
    if mode == "eager":
        return news is News.NEW
    if mode == "prefix":
        ours, theirs = _prefix(current), _prefix(other)
        return ours is not None and theirs is not None and ours != theirs
    return False  # D14


def best_agent(agents: Iterable[HeardAgent], home_agent: IPv4Address, *, reverse_tunnel: bool) -> HeardAgent | None:
    """The one to turn to: home if it is here, else a foreign agent with room, with what we want if there is one.

    Of equals the one that will be believed longest, which is the one heard last.
    """
    usable = [agent for agent in agents if is_home_agent(agent, home_agent) or _has_room(agent)]

    def merit(agent: HeardAgent) -> tuple[bool, bool, float]:
        offers = bool(agent.advertisement.flags & AgentFlags.REVERSE_TUNNELLING)
        return is_home_agent(agent, home_agent), offers or not reverse_tunnel, agent.expires_at_s

    return max(usable, key=merit, default=None)


def _has_room(agent: HeardAgent) -> bool:
    return offers_care_of_address(agent) and not agent.advertisement.flags & AgentFlags.BUSY


def _prefix(agent: HeardAgent) -> IPv4Network | None:
    """The network of the agent's first address, if it tells (extension 19)."""
    advertisement = agent.advertisement
    if not advertisement.prefix_lengths or advertisement.prefix_lengths[0] > 32:
        return None
    return IPv4Network((advertisement.routers[0].address, advertisement.prefix_lengths[0]), strict=False)
