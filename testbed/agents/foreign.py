"""The foreign agent's state machine (RFC 5944 section 3.7): requests and replies relayed, visitors served.

A mobile node's registration here goes through these states; a visitor's entry stays untouched while a new request of
its is on the way (F6), so that both may hold at once::

    state     event                                     action                                    next state
    --------  ----------------------------------------  ----------------------------------------  ----------
    unknown   request that may be relayed               relay to the home agent                   pending
    unknown   request that may not                      reply with our code, once a second (F5)   unknown
    pending   the same node asks again                  relay the new one, forget the old one     pending
    pending   no reply in time                          reply 78                                  unknown
    pending   ICMP error, no route                      reply 80, 81, 82 or 88                    unknown
    pending   reply, a registration accepted            InstallVisitor                            awaiting
    pending   reply, a deregistration accepted          RemoveVisitor if there is one             awaiting
    pending   reply that denies                         relay it                                  unknown
    pending   reply that is no good                     reply 68 or 71                            unknown
    awaiting  kernel agrees                             relay the reply                           visiting
    awaiting  kernel declines                           reply 66                                  unknown
    visiting  lifetime over                             RemoveVisitor, no message at all (F1)     unknown
    any       reply that matches no pending request     none (F6)                                 unchanged

What may be relayed, and how, is :mod:`testbed.agents.relaying`'s judgement. Times are monotonic seconds.
"""

from __future__ import annotations

import random as random_source
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from testbed.agents.actions import Action, InstallVisitor, RemoveVisitor, Report, SendRegistration
from testbed.agents.advertiser import Advertiser
from testbed.agents.bindings import expiry
from testbed.agents.deadlines import earliest
from testbed.agents.events import (
    Event,
    KernelAgreed,
    KernelDeclined,
    RelayFailed,
    ReplyHeard,
    RequestHeard,
    SettingsChanged,
    SolicitationHeard,
)
from testbed.agents.foreign_messages import advertisement, denial, to_mobile, visitor_report
from testbed.agents.limits import OncePerInterval
from testbed.agents.pending import Key, PendingRequest, PendingRequests, reply_key
from testbed.agents.relaying import Refusal, check_reply, check_request, reply_to_relay, request_to_relay
from testbed.agents.settings import ForeignSettings
from testbed.agents.visitors import Visitor, VisitorList
from testbed.protocol.registration import RegistrationReply, ReplyCode, RequestFlags
from testbed.tunnels.endpoints import TunnelEndpoints

UNREACHABLE_CODES = {
    "network": ReplyCode.HOME_NETWORK_UNREACHABLE,
    "host": ReplyCode.HOME_AGENT_HOST_UNREACHABLE,
    "port": ReplyCode.HOME_AGENT_PORT_UNREACHABLE,
    "other": ReplyCode.HOME_AGENT_UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class _Awaited:
    """An accepted registration that is told to the mobile node when the kernel has done its part."""

    pending: PendingRequest
    reply: RegistrationReply
    action: InstallVisitor | RemoveVisitor
    visitor: Visitor | None


class ForeignAgent:
    """One foreign agent; ``access`` is its address on the link where mobile nodes visit."""

    def __init__(
        self,
        settings: ForeignSettings,
        access: IPv4Interface,
        *,
        random: Callable[[], float] = random_source.random,
    ) -> None:
        self.settings = settings
        self.access = access
        self.visitors = VisitorList()
        self.pending = PendingRequests(settings.max_pending, settings.pending_timeout_s)
        self.counters: Counter[str] = Counter()
        self._awaited: dict[IPv4Address, _Awaited] = {}
        self._denials = OncePerInterval()
        self._advertiser = Advertiser(
            settings.advertisement.interval_s,
            lambda sequence: advertisement(self.settings, self.access, sequence, busy=self.busy),
            random,
        )

    @property
    def busy(self) -> bool:
        """No room for another mobile node: it goes on advertising, with B set (D5)."""
        return self.pending.full or len(self.visitors) >= self.settings.max_visitors

    def start(self, now_s: float) -> list[Action]:
        return [self._advertiser.start(now_s)]

    def deadline(self) -> float | None:
        """When :meth:`handle` is to be called with no event, at the latest."""
        return earliest(self._advertiser.deadline(), self.pending.deadline(), self.visitors.deadline())

    def handle(self, now_s: float, event: Event | None = None) -> list[Action]:
        """Take in one event, or just the time, and say what is to be done."""
        actions = self._on_time(now_s)
        match event:
            case RequestHeard():
                actions += self._on_request(now_s, event)
            case ReplyHeard():
                actions += self._on_reply(now_s, event)
            case SolicitationHeard():
                actions += self._advertiser.answer(now_s, event)
            case RelayFailed():
                actions += self._on_relay_failed(now_s, event)
            case KernelAgreed(action=action):
                actions += self._on_kernel_agreed(now_s, action)
            case KernelDeclined(action=action, reason=reason):
                actions += self._on_kernel_declined(now_s, action, reason)
            case SettingsChanged(settings=ForeignSettings() as settings):
                self._on_settings(settings)
            case _:
                pass  # what only concerns other roles
        return actions

    def _on_time(self, now_s: float) -> list[Action]:
        actions: list[Action] = list(self._advertiser.due(now_s))
        for visitor in self.visitors.expired(now_s):
            actions.append(RemoveVisitor(visitor.home_address, visitor.tunnel))
            actions.append(visitor_report("visitor_removed", visitor, reason="expired"))
        for pending in self.pending.timed_out(now_s):
            refusal = Refusal(ReplyCode.REGISTRATION_TIMEOUT, "the home agent did not answer")
            actions += self._deny(now_s, pending.heard, refusal)
        return actions

    def _on_request(self, now_s: float, heard: RequestHeard) -> list[Action]:
        request = heard.request
        if heard.source_mac is None:
            return self._discard("requests", request.home_address, "not from a neighbour on the link")
        self.pending.drop_earlier(heard)
        if self.pending.is_copied_by(heard):
            return self._discard("requests", request.home_address, "a neighbour's pending request, copied")
        refusal = check_request(heard, self.settings, self.access.ip) or self._check_room(heard)
        if refusal is not None:
            return self._deny(now_s, heard, refusal)
        pending = PendingRequest(heard, heard.source_mac)
        self.pending.add(now_s, pending)
        self.counters["requests_relayed"] += 1
        fields = {
            "home_address": request.home_address,
            "home_agent": request.home_agent,
            "lifetime_s": request.lifetime_s,
        }
        relayed = request_to_relay(request, self.settings)
        sending = SendRegistration(relayed, source=self.settings.care_of_address, destination=request.home_agent)
        return [sending, Report("request_relayed", fields)]

    def _check_room(self, heard: RequestHeard) -> Refusal | None:
        request = heard.request
        if self.pending.full:
            return Refusal(ReplyCode.FOREIGN_INSUFFICIENT_RESOURCES, "too many requests are pending")
        newcomer = request.lifetime_s != 0 and self.visitors.get(request.home_address) is None
        if newcomer and len(self.visitors) >= self.settings.max_visitors:
            return Refusal(ReplyCode.FOREIGN_INSUFFICIENT_RESOURCES, "too many visitors")
        return None

    def _on_reply(self, now_s: float, heard: ReplyHeard) -> list[Action]:
        reply = heard.reply
        pending = self.pending.take(reply_key(reply.home_address, reply.identification))
        if pending is None:
            return self._discard("replies", reply.home_address, "matches no pending request")
        refusal = check_reply(reply, pending.heard, self.settings)
        if refusal is not None:
            return self._deny(now_s, pending.heard, refusal)
        if not reply.accepted or pending.heard.request.flags & RequestFlags.DECAPSULATES:
            return self._relay_reply(pending, reply)
        if pending.heard.request.lifetime_s == 0 or reply.lifetime_s == 0:
            return self._remove_visitor(pending, reply)
        return self._install_visitor(now_s, pending, reply)

    def _install_visitor(self, now_s: float, pending: PendingRequest, reply: RegistrationReply) -> list[Action]:
        request = pending.heard.request
        lifetime_s = min(reply.lifetime_s, request.lifetime_s, self.settings.max_lifetime_s)  # F6
        tunnel = TunnelEndpoints(self.settings.care_of_address, reply.home_agent)
        reverse = bool(request.flags & RequestFlags.REVERSE_TUNNEL)
        expires_at_s = expiry(now_s, lifetime_s)
        visitor = Visitor(request.home_address, pending.mac, tunnel, reverse, lifetime_s, expires_at_s)
        action = InstallVisitor(visitor.home_address, visitor.mac, tunnel, reverse)
        self._awaited[visitor.home_address] = _Awaited(pending, reply, action, visitor)
        return [action]

    def _remove_visitor(self, pending: PendingRequest, reply: RegistrationReply) -> list[Action]:
        visitor = self.visitors.get(reply.home_address)
        if visitor is None:
            return self._relay_reply(pending, reply)
        action = RemoveVisitor(visitor.home_address, visitor.tunnel)
        self._awaited[visitor.home_address] = _Awaited(pending, reply, action, None)
        return [action]

    def _on_kernel_agreed(self, now_s: float, action: object) -> list[Action]:
        awaited = self._take_awaited(action)
        if awaited is None:
            return []
        earlier = self.visitors.get(awaited.reply.home_address)
        relayed = self._relay_reply(awaited.pending, awaited.reply)
        if awaited.visitor is not None:
            self.visitors.put(awaited.visitor)
            return [*relayed, visitor_report("visitor_renewed" if earlier else "visitor_added", awaited.visitor)]
        if earlier is not None:
            self.visitors.remove(earlier.home_address)
            return [*relayed, visitor_report("visitor_removed", earlier, reason="deregistered")]
        return relayed

    def _on_kernel_declined(self, now_s: float, action: object, reason: str) -> list[Action]:
        """The mobile node is not told that it is registered where its packets would not arrive."""
        awaited = self._take_awaited(action)
        if awaited is None:
            return []
        return self._deny(now_s, awaited.pending.heard, Refusal(ReplyCode.FOREIGN_INSUFFICIENT_RESOURCES, reason))

    def _take_awaited(self, action: object) -> _Awaited | None:
        if not isinstance(action, InstallVisitor | RemoveVisitor):
            return None
        awaited = self._awaited.get(action.home_address)
        return self._awaited.pop(action.home_address) if awaited is not None and awaited.action is action else None

    def _on_relay_failed(self, now_s: float, failed: RelayFailed) -> list[Action]:
        key: Key = reply_key(failed.home_address, failed.identification)
        pending = self.pending.take(key)
        if pending is None:
            return []
        refusal = Refusal(UNREACHABLE_CODES[failed.unreachable], f"{failed.unreachable} unreachable")
        return self._deny(now_s, pending.heard, refusal)

    def _relay_reply(self, pending: PendingRequest, reply: RegistrationReply) -> list[Action]:
        self.counters["replies_relayed"] += 1
        fields = {"home_address": reply.home_address, "code": int(reply.code), "lifetime_s": reply.lifetime_s}
        message = reply_to_relay(reply, self.settings)
        return [to_mobile(message, pending.heard, self.access.ip), Report("reply_relayed", fields)]

    def _deny(self, now_s: float, heard: RequestHeard, refusal: Refusal) -> list[Action]:
        """F5: at most one denial a second for each mobile node."""
        request = heard.request
        if not self._denials.allows(request.home_address, now_s):
            return self._discard("requests", request.home_address, refusal.reason)
        self.counters[f"requests_denied_{int(refusal.code)}"] += 1
        fields = {"home_address": request.home_address, "code": int(refusal.code), "reason": refusal.reason}
        message = denial(request, refusal, self.settings)
        return [to_mobile(message, heard, self.access.ip), Report("request_denied", fields)]

    def _discard(self, what: str, home_address: IPv4Address, reason: str) -> list[Action]:
        self.counters[f"{what}_discarded"] += 1
        event = "request_discarded" if what == "requests" else "reply_discarded"
        return [Report(event, {"home_address": home_address, "reason": reason})]

    def _on_settings(self, settings: ForeignSettings) -> None:
        """What is advertised and granted from now on; visitors keep what they were granted."""
        self.settings = settings
        self.pending.capacity = settings.max_pending
        self.pending.timeout_s = settings.pending_timeout_s
        self._advertiser.interval_s = settings.advertisement.interval_s
