"""The mobile node's state machine (RFC 5944 sections 2.4 and 3.6), with a foreign agent's care-of address.

::

    state          event                                    action                                  next state
    -------------  ---------------------------------------  --------------------------------------  -------------
    unplugged      link up                                  LeaveHome, solicit at once              searching
    searching      home agent heard, never asked elsewhere  ReturnHome if ARP was off               home
    searching      home agent heard (D16)                   ReturnHome, gratuitous ARP, deregister  deregistering
    searching      foreign agent heard                      LeaveHome, ask it                       registering
    searching      the agent that we are registered with    none                                    registered
    registering    granted                                  UseForeignAgent                         registered
    registering    refused, mendable (M9)                   ask better, at once                     registering
    registering    refused, or no answer                    ask again later (M10)                   registering
    registered     time to renew, agent restarted (D10)     ask again                               registering
    deregistering  granted                                  none                                    home
    with an agent  home agent heard (D16)                   as when searching                       deregistering
    with an agent  another foreign agent, and we moved      ask it                                  registering
    with an agent  not heard any more (D13)                 another agent at once, or solicit       (searching)
    any            link down                                LeaveHome                               unplugged
    any            link up                                  LeaveHome, solicit at once              searching

"With an agent" is registering, registered, deregistering or home. Link events count only where movement is detected
by them (``link``, see :mod:`testbed.agents.movement`). As long as it is not known that the link is the home link, ARP
is off: on a visited one it must not be heard (M11). Times are monotonic seconds; the wall clock (Unix seconds) is
only for identifications.
"""

from __future__ import annotations

import random as random_source
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from testbed.agents.actions import (
    Action,
    Neighbour,
    Report,
    SendSolicitation,
    UseForeignAgent,
)
from testbed.agents.agent_list import AgentList, HeardAgent, News, is_home_agent, offers_care_of_address
from testbed.agents.deadlines import earliest
from testbed.agents.events import (
    AdvertisementHeard,
    ArpRequestHeard,
    Event,
    LinkDown,
    LinkUp,
    ReplyHeard,
    SettingsChanged,
)
from testbed.agents.movement import best_agent, calls_for_move
from testbed.agents.presence import Presence
from testbed.agents.registration import (
    Granted,
    Ignored,
    Refused,
    Registration,
    RegistrationClient,
    home_target,
    target_at,
)
from testbed.agents.settings import MobileSettings
from testbed.agents.solicitor import Solicitor


class State(Enum):
    UNPLUGGED = "unplugged"
    SEARCHING = "searching"
    REGISTERING = "registering"
    REGISTERED = "registered"
    DEREGISTERING = "deregistering"
    HOME = "home"


class MobileNode:
    """One mobile node; ``left_away`` says that an earlier run of it ended away from home (ARP is still off)."""

    def __init__(
        self,
        settings: MobileSettings,
        *,
        wall_clock: Callable[[], float],
        random: Callable[[], float] = random_source.random,
        left_away: bool = False,
    ) -> None:
        self.settings = settings
        self.state = State.SEARCHING
        self.agents = AgentList()
        self.registration: Registration | None = None
        self.counters: Counter[str] = Counter()
        self._agent: HeardAgent | None = None
        self._presence = Presence(settings.home_address, hidden=left_away)
        self._may_be_bound = left_away
        self._client = RegistrationClient(settings, wall_clock)
        self._solicitor = Solicitor(random)

    def start(self, now_s: float) -> list[Action]:
        self._solicitor.restart(now_s)
        return self._on_time(now_s)

    def deadline(self) -> float | None:
        """When :meth:`handle` is to be called with no event, at the latest."""
        registration = self.registration
        renewal_s = registration.renew_at_s if registration and self.state is State.REGISTERED else None
        return earliest(
            self.agents.deadline(),
            self._solicitor.deadline(),
            self._client.deadline(),
            self._presence.deadline(),
            renewal_s,
            registration.expires_at_s if registration else None,
        )

    def handle(self, now_s: float, event: Event | None = None) -> list[Action]:
        """Take in one event, or just the time, and say what is to be done."""
        actions = self._on_time(now_s)
        match event:
            case AdvertisementHeard():
                actions += self._on_advertisement(now_s, event)
            case ReplyHeard():
                actions += self._on_reply(now_s, event)
            case ArpRequestHeard():
                actions += self._presence.answer(event, self._agent)
            case LinkUp() if self.settings.movement_detection == "link":
                actions += self._on_link_up(now_s)
            case LinkDown() if self.settings.movement_detection == "link":
                actions += self._on_link_down()
            case SettingsChanged(settings=MobileSettings() as settings):
                actions += self._on_settings(now_s, settings)
            case _:
                pass  # what only concerns other roles
        return actions

    def _on_time(self, now_s: float) -> list[Action]:
        actions: list[Action] = self._presence.due(now_s)
        for lost in self.agents.expired(now_s):
            actions.append(Report("agent_lost", {"agent": lost.address}))
            if self._agent is not None and self._agent.neighbour == lost:
                actions += self._on_agent_lost(now_s)
        registration = self.registration
        if registration is not None and now_s >= registration.expires_at_s:
            self.registration = None
            actions.append(Report("registration_expired", {"care_of_address": registration.target.care_of_address}))
        if registration is not None and self.state is State.REGISTERED and now_s >= registration.renew_at_s:
            self._client.begin(now_s, registration.target)
            actions += self._to(State.REGISTERING)
        if self._solicitor.due(now_s):
            actions += self._solicit()
        return actions + self._ask(now_s)

    def _solicit(self) -> list[Action]:
        self.counters["solicitations_sent"] += 1
        return [SendSolicitation(self.settings.home_address), Report("solicitation_sent")]

    def _ask(self, now_s: float) -> list[Action]:
        """Send the request that is due, if one is."""
        request = self._client.due(now_s)
        if request is None or self._client.target is None:
            return []
        self.counters["requests_sent"] += 1
        target = self._client.target
        self._may_be_bound = self._may_be_bound or target.lifetime_s != 0
        return [request, Report("request_sent", target.describe())]

    def _on_link_up(self, now_s: float) -> list[Action]:
        actions = self._forget_link()
        self._solicitor.restart(now_s)
        if self._solicitor.due(now_s):
            actions += self._solicit()
        return actions + self._to(State.SEARCHING)

    def _on_link_down(self) -> list[Action]:
        return [*self._forget_link(), *self._to(State.UNPLUGGED)]

    def _forget_link(self) -> list[Action]:
        """The next link may be any; a registration stays, as it may be the same one."""
        self._client.cancel()
        self._solicitor.stop()
        self.agents.forget_all()
        self._agent = None
        return self._presence.hide()

    def _on_advertisement(self, now_s: float, heard: AdvertisementHeard) -> list[Action]:
        if self.state is State.UNPLUGGED:
            return []  # heard on the link that was left
        agent, news = self.agents.hear(now_s, heard)
        actions: list[Action] = []
        if news is not News.KNOWN:
            fields = {"agent": agent.neighbour.address, "mac": agent.neighbour.mac, "news": news.value}
            actions.append(Report("agent_heard", fields))
        current = self._agent
        if current is not None and current.neighbour == agent.neighbour:
            self._agent = agent
            if self.registration is not None and self.registration.target.agent == agent.neighbour:
                self.registration = replace(self.registration, sequence=agent.advertisement.sequence)
            restarted = news is News.RESTARTED and self.state in (State.REGISTERED, State.REGISTERING)
            return actions + (self._register(now_s) if restarted else [])  # D10
        if is_home_agent(agent, self._client.home_agent):
            return actions + self._turn_to(now_s, agent)  # D16
        if current is None or calls_for_move(self.settings.movement_detection, current, agent, news):
            chosen = best_agent([agent], self._client.home_agent, reverse_tunnel=self.settings.reverse_tunnel)
            return actions + (self._turn_to(now_s, chosen) if chosen is not None else [])
        return actions

    def _on_agent_lost(self, now_s: float) -> list[Action]:
        """D13: another agent that is still believed, at once; else ask for one."""
        self._agent = None
        self._client.cancel()
        other = best_agent(self.agents.all(), self._client.home_agent, reverse_tunnel=self.settings.reverse_tunnel)
        if other is not None:
            return self._turn_to(now_s, other)
        self._solicitor.resume(now_s)
        return self._to(State.SEARCHING)

    def _turn_to(self, now_s: float, agent: HeardAgent) -> list[Action]:
        self._agent = agent
        self._solicitor.stop()
        if is_home_agent(agent, self._client.home_agent):
            return self._return_home(now_s, agent)
        assert offers_care_of_address(agent)
        actions = self._presence.hide()
        if self.registration is not None and self.registration.is_known_to(agent, self.settings):
            self._client.cancel()
            return actions + self._to(State.REGISTERED)
        return actions + self._register(now_s)

    def _return_home(self, now_s: float, agent: HeardAgent) -> list[Action]:
        """H12 in this order: ARP on, gratuitous ARP, and only then the request that ends all bindings."""
        actions = self._presence.show()
        if not self._may_be_bound:
            self._client.cancel()
            return actions + self._to(State.HOME)
        actions += self._presence.announce(now_s)
        home_agent = Neighbour(self._client.home_agent, agent.neighbour.mac)
        self.registration = None  # from now on the home agent may have forgotten it
        self._client.begin(now_s, home_target(home_agent, self.settings))
        return actions + self._to(State.DEREGISTERING) + self._ask(now_s)

    def _register(self, now_s: float) -> list[Action]:
        """Ask the current foreign agent."""
        if self._agent is None:
            return []
        actions = self._to(State.REGISTERING)
        target = target_at(self._agent, self.settings)
        if self.settings.reverse_tunnel and not target.reverse_tunnel:
            actions.append(Report("reverse_tunnel_unavailable", {"agent": target.agent.address}))
        if self.registration is not None and self.registration.target != target:
            self.registration = None  # from now on the home agent may have given it up for this one, reply or not
        self._client.begin(now_s, target)
        return actions + self._ask(now_s)

    def _on_reply(self, now_s: float, heard: ReplyHeard) -> list[Action]:
        outcome = self._client.judge(now_s, heard)
        match outcome:
            case Ignored(reason=reason):
                self.counters["replies_discarded"] += 1
                return [Report("reply_discarded", {"source": heard.source, "reason": reason})]
            case Refused():
                return self._on_refused(now_s, heard, outcome)
            case Granted():
                return self._on_granted(now_s, outcome)

    def _on_granted(self, now_s: float, granted: Granted) -> list[Action]:
        self.counters["requests_granted"] += 1
        target = granted.target
        fields = {**target.describe(), "code": granted.code, "lifetime_s": granted.lifetime_s}
        report = Report("registered" if target.lifetime_s else "deregistered", fields)
        self._solicitor.registered()
        if target.lifetime_s == 0:
            self.registration = None
            self._may_be_bound = False
            return [report, *self._to(State.HOME)]
        sequence = self._agent.advertisement.sequence if self._agent is not None else 0
        self.registration = Registration.granted(now_s, granted, sequence)
        return [UseForeignAgent(target.agent), report, *self._to(State.REGISTERED)]

    def _on_refused(self, now_s: float, heard: ReplyHeard, refused: Refused) -> list[Action]:
        self.counters[f"requests_refused_{refused.code}"] += 1
        fields = {"code": refused.code, "by": heard.reply.denied_by, "agent": refused.target.agent.address}
        return [Report("refused", fields), *self._ask(now_s)]

    def _on_settings(self, now_s: float, settings: MobileSettings) -> list[Action]:
        """Away, the changed wishes are registered at once; at home there is nothing to tell anybody."""
        self.settings = self._client.settings = settings
        if self.state in (State.REGISTERED, State.REGISTERING):
            return self._register(now_s)
        return []

    def _to(self, state: State) -> list[Action]:
        if state is self.state:
            return []
        report = Report("state", {"from": self.state.value, "to": state.value})
        self.state = state
        return [report]
