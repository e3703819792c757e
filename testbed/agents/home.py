"""The home agent's state machine (RFC 5944 section 3.8): requests in, bindings and answers out.

Every home address is in one of these states; "awaiting" lasts until the kernel has answered::

    state      event                                    action                                next state
    ---------  ---------------------------------------  ------------------------------------  ----------
    unbound    request granted                          InstallBinding                        awaiting
    bound      request granted                          InstallBinding (perhaps another tun.) awaiting
    bound      deregistration granted                   RemoveBinding                         awaiting
    unbound    deregistration granted                   reply 0                               unbound
    bound      the request that made it, again (H7)     the same reply, remaining lifetime    bound
    bound      lifetime over                            RemoveBinding, no reply (H1)          unbound
    awaiting   kernel agrees to an installation         gratuitous ARP if first (H12), reply  bound
    awaiting   kernel agrees to a removal               gratuitous ARP for the MN, reply      unbound
    awaiting   kernel declines                          reply 130, nothing else               as before
    awaiting   another request                          none: the mobile node will ask again  awaiting
    any        request denied                           reply with the code                   unchanged
    any        request to be discarded                  none (H2, H4)                         unchanged

Which request is granted, denied or discarded is :mod:`testbed.agents.admission`'s judgement. Times are monotonic
seconds; the wall clock (Unix seconds) is only for identifications.
"""

from __future__ import annotations

import random as random_source
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.actions import (
    Action,
    AnnounceAddress,
    InstallBinding,
    ReleaseTunnel,
    RemoveBinding,
    Report,
)
from testbed.agents.admission import Denied, Discarded, Duplicate, Parties, judge
from testbed.agents.advertiser import Advertiser
from testbed.agents.announcements import Announcements
from testbed.agents.bindings import Binding, BindingTable, expiry
from testbed.agents.deadlines import earliest
from testbed.agents.events import (
    Event,
    KernelAgreed,
    KernelDeclined,
    RequestHeard,
    SettingsChanged,
    SolicitationHeard,
)
from testbed.agents.home_messages import accepting_code, advertisement, binding_report, reply
from testbed.agents.limits import OncePerInterval
from testbed.agents.settings import HomeSettings
from testbed.protocol.registration import RegistrationRequest, ReplyCode, RequestFlags
from testbed.tunnels.endpoints import TunnelEndpoints


@dataclass(frozen=True, slots=True)
class _Awaited:
    """A granted request that is answered when the kernel has done its part; ``binding`` is None for a removal."""

    heard: RequestHeard
    parties: Parties
    action: InstallBinding | RemoveBinding
    binding: Binding | None


class HomeAgent:
    """One home agent; feed it :meth:`start`, events and the time, and do what it returns."""

    def __init__(
        self,
        settings: HomeSettings,
        *,
        wall_clock: Callable[[], float],
        random: Callable[[], float] = random_source.random,
    ) -> None:
        self.settings = settings
        self.bindings = BindingTable()
        self.counters: Counter[str] = Counter()
        self._wall_clock = wall_clock
        self._advertiser = Advertiser(
            settings.advertisement.interval_s, lambda sequence: advertisement(self.settings, sequence), random
        )
        self._announcements = Announcements()
        self._awaited: dict[IPv4Address, _Awaited] = {}
        self._last_identification: dict[IPv4Address, int] = {}
        self._authentication_denials = OncePerInterval()

    def start(self, now_s: float) -> list[Action]:
        return [self._advertiser.start(now_s)]

    def deadline(self) -> float | None:
        """When :meth:`handle` is to be called with no event, at the latest."""
        return earliest(self._advertiser.deadline(), self._announcements.deadline(), self.bindings.deadline())

    def handle(self, now_s: float, event: Event | None = None) -> list[Action]:
        """Take in one event, or just the time, and say what is to be done."""
        actions = self._on_time(now_s)
        match event:
            case RequestHeard():
                actions += self._on_request(now_s, event)
            case SolicitationHeard():
                actions += self._advertiser.answer(now_s, event)
            case KernelAgreed(action=action):
                actions += self._on_kernel_agreed(now_s, action)
            case KernelDeclined(action=action, reason=reason):
                actions += self._on_kernel_declined(action, reason)
            case SettingsChanged(settings=HomeSettings() as settings):
                actions += self._on_settings(settings)
            case _:
                pass  # what only concerns other roles
        return actions

    def _on_time(self, now_s: float) -> list[Action]:
        actions: list[Action] = [*self._advertiser.due(now_s), *self._announcements.due(now_s)]
        for binding in self.bindings.expired(now_s):
            self._awaited.pop(binding.home_address, None)
            actions += self._removal(binding, "expired")
        return actions

    def _on_request(self, now_s: float, heard: RequestHeard) -> list[Action]:
        request = heard.request
        if request.home_address in self._awaited:
            return self._discard(heard, "an earlier request is still being carried out")
        verdict = judge(heard, self.settings, self._wall_clock(), self._last_identification.get, self._made_binding)
        match verdict:
            case Discarded(reason=reason):
                return self._discard(heard, reason)
            case Denied():
                return self._deny(now_s, heard, verdict)
            case Duplicate(parties=parties):
                return self._answer_duplicate(now_s, heard, parties)
        self._last_identification[request.home_address] = request.identification
        if request.lifetime_s == 0:
            return self._deregister(now_s, heard, verdict.parties)
        return self._register(now_s, heard, verdict.parties)

    def _register(self, now_s: float, heard: RequestHeard, parties: Parties) -> list[Action]:
        request = heard.request
        lifetime_s = min(request.lifetime_s, self.settings.max_lifetime_s)  # H7
        binding = Binding(
            request.home_address,
            request.care_of_address,
            request.identification,
            lifetime_s,
            expiry(now_s, lifetime_s),
            bool(request.flags & RequestFlags.REVERSE_TUNNEL),
        )
        action = InstallBinding(request.home_address, self._tunnel_to(request.care_of_address))
        self._awaited[request.home_address] = _Awaited(heard, parties, action, binding)
        return [action]

    def _deregister(self, now_s: float, heard: RequestHeard, parties: Parties) -> list[Action]:
        """H6: all bindings if the care-of address is the home address, else the one with that care-of address."""
        request = heard.request
        binding = self.bindings.get(request.home_address)
        if binding is None or request.care_of_address not in (request.home_address, binding.care_of_address):
            return self._accept(heard, parties, ReplyCode.ACCEPTED, 0)
        action = RemoveBinding(request.home_address)
        self._awaited[request.home_address] = _Awaited(heard, parties, action, None)
        return [action]

    def _on_kernel_agreed(self, now_s: float, action: object) -> list[Action]:
        awaited = self._take_awaited(action)
        if awaited is None:
            return []
        heard, binding = awaited.heard, awaited.binding
        earlier = self.bindings.get(heard.request.home_address)
        actions: list[Action] = []
        if binding is None:
            reply = self._accept(heard, awaited.parties, ReplyCode.ACCEPTED, 0)
            if earlier is None:  # it expired meanwhile
                return reply
            self.bindings.remove(earlier.home_address)
            report = binding_report("binding_removed", earlier, reason="deregistered")
            return [*self._announce_return(now_s, heard), *reply, report, self._release(earlier)]
        self.bindings.put(binding)
        if earlier is None:
            actions.append(self._announcements.announce(now_s, AnnounceAddress(binding.home_address)))  # H12
        actions += self._accept(heard, awaited.parties, accepting_code(heard), binding.lifetime_s)
        if earlier is None:
            return [*actions, binding_report("binding_added", binding)]
        if earlier.care_of_address == binding.care_of_address:
            return [*actions, binding_report("binding_renewed", binding)]
        return [*actions, binding_report("binding_moved", binding), self._release(earlier)]

    def _on_kernel_declined(self, action: object, reason: str) -> list[Action]:
        """The reply never promises what the kernel does not do; the earlier binding, if any, still holds."""
        awaited = self._take_awaited(action)
        if awaited is None:
            return []
        code = ReplyCode.HOME_INSUFFICIENT_RESOURCES if awaited.binding else ReplyCode.HOME_UNSPECIFIED
        identification = awaited.heard.request.identification
        return self._answer_denied(awaited.heard, Denied(code, identification, awaited.parties, reason))

    def _take_awaited(self, action: object) -> _Awaited | None:
        if not isinstance(action, InstallBinding | RemoveBinding):
            return None
        awaited = self._awaited.get(action.home_address)
        return self._awaited.pop(action.home_address) if awaited is not None and awaited.action is action else None

    def _announce_return(self, now_s: float, heard: RequestHeard) -> list[Action]:
        """H12: proxy ARP has ended; tell the home link where the mobile node is, if it asked from that link."""
        home_address = heard.request.home_address
        self._announcements.withdraw(home_address)
        if heard.source_mac is None or heard.source != home_address:
            return []
        return [self._announcements.announce(now_s, AnnounceAddress(home_address, heard.source_mac))]

    def _answer_duplicate(self, now_s: float, heard: RequestHeard, parties: Parties) -> list[Action]:
        """H7: a duplicate is answered like the first one, and its lifetime is not counted anew."""
        binding = self.bindings.get(heard.request.home_address)
        assert binding is not None  # it made the request a duplicate
        self.counters["requests_duplicate"] += 1
        report = Report("request_duplicate", {"home_address": binding.home_address, "source": heard.source})
        return [report, reply(self.settings, heard, parties, accepting_code(heard), binding.remaining_s(now_s))]

    def _accept(self, heard: RequestHeard, parties: Parties, code: ReplyCode, lifetime_s: int) -> list[Action]:
        self.counters["requests_accepted"] += 1
        request = heard.request
        fields = {
            "home_address": request.home_address,
            "care_of_address": request.care_of_address,
            "code": int(code),
            "lifetime_s": lifetime_s,
        }
        return [reply(self.settings, heard, parties, code, lifetime_s), Report("request_accepted", fields)]

    def _deny(self, now_s: float, heard: RequestHeard, denied: Denied) -> list[Action]:
        forged = denied.code == ReplyCode.MOBILE_NODE_FAILED_AUTHENTICATION
        if forged and not self._authentication_denials.allows(heard.request.home_address, now_s):
            return self._discard(heard, denied.reason)
        return self._answer_denied(heard, denied)

    def _answer_denied(self, heard: RequestHeard, denied: Denied) -> list[Action]:
        self.counters[f"requests_denied_{int(denied.code)}"] += 1
        fields = {
            "home_address": heard.request.home_address,
            "source": heard.source,
            "code": int(denied.code),
            "reason": denied.reason,
        }
        answer = reply(self.settings, heard, denied.parties, denied.code, 0, denied.identification)
        return [answer, Report("request_denied", fields)]

    def _discard(self, heard: RequestHeard, reason: str) -> list[Action]:
        self.counters["requests_discarded"] += 1
        fields = {"home_address": heard.request.home_address, "source": heard.source, "reason": reason}
        return [Report("request_discarded", fields)]

    def _on_settings(self, settings: HomeSettings) -> list[Action]:
        """Bindings of mobile nodes that are served no longer end; the others stay."""
        self.settings = settings
        self._advertiser.interval_s = settings.advertisement.interval_s
        actions: list[Action] = []
        for binding in self.bindings.all():
            if binding.home_address not in settings.mobile_nodes:
                self.bindings.remove(binding.home_address)
                actions += self._removal(binding, "no longer configured")
        return actions

    def _removal(self, binding: Binding, reason: str) -> list[Action]:
        self._announcements.withdraw(binding.home_address)
        removal = RemoveBinding(binding.home_address)
        return [removal, self._release(binding), binding_report("binding_removed", binding, reason=reason)]

    def _release(self, binding: Binding) -> ReleaseTunnel:
        return ReleaseTunnel(binding.home_address, self._tunnel_to(binding.care_of_address))

    def _tunnel_to(self, care_of_address: IPv4Address) -> TunnelEndpoints:
        return TunnelEndpoints(self.settings.home_agent, care_of_address)

    def _made_binding(self, request: RegistrationRequest) -> bool:
        binding = self.bindings.get(request.home_address)
        return binding is not None and binding.is_made_by(request)
