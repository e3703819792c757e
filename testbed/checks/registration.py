"""Registrations as the captures saw them: who said what to whom, in order, authenticated (G7, G15)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address

from testbed.checks.arp import interface_of
from testbed.checks.claim import PATIENCE_S, Claim, watch
from testbed.checks.scene import Scene, home_address
from testbed.evidence.mobile_ip import (
    FOREIGN_HOME,
    MOBILE_FOREIGN,
    MOBILE_HOME,
    SeenRegistration,
    registrations,
)
from testbed.reports.result import CheckResult
from testbed.topologies.plan import VisitedNetwork


@dataclass(frozen=True)
class Secret:
    """A security association as a check needs it to judge authenticators: HMAC-MD5 with that key and SPI."""

    kind: int  # MOBILE_HOME, MOBILE_FOREIGN or FOREIGN_HOME
    spi: int
    key: bytes


@dataclass(frozen=True)
class Exchange:
    """A request and its reply as one interface saw them."""

    request: SeenRegistration
    reply: SeenRegistration


@dataclass(frozen=True)
class _Leg:
    """A stretch of a registration's way, as the interface at which its requests leave sees it, and what is due there.

    ``kinds`` are the authentications that both messages bear; a kind that is not among them must not be there.
    """

    node: str
    interface: str
    source: IPv4Address  # of requests
    destination: IPv4Address
    kinds: tuple[int, ...]
    ttl: int | None = None  # of requests, where there is a rule


async def registered_through(
    scene: Scene,
    network: VisitedNetwork,
    secrets: Iterable[Secret],
    *,
    lifetime_s: int,
    reverse_tunnel: bool,
    since_ns: int,
    patience_s: float = PATIENCE_S,
) -> CheckResult:
    """Four messages: request to the foreign agent, relayed to the home agent, and the reply back the same way.

    ``lifetime_s`` is what has to be asked for; what is granted may be less, but something.
    """
    plan = scene.plan
    claim = Claim(
        "registration",
        f"{plan.mobile_node} registers {network.care_of_address} through {network.foreign_agent}",
        f"request for {lifetime_s} s and reply on both legs, accepted, {'with' if reverse_tunnel else 'without'} the T "
        "bit, every authenticator right",
        node=plan.mobile_node,
        rules=("G7", "G15", "M6", "F4", "H7", "H8"),
        look_closer="tshark -r packets.pcapng -Y mip",
    )
    own_secrets = list(secrets)
    link, upstream = _legs(scene, network, reverse_tunnel)

    def right_kind(request: SeenRegistration) -> bool:
        asks_for_it = request.care_of_address == network.care_of_address and not request.deregisters
        return asks_for_it and ("T" in request.flags) is reverse_tunnel

    def complaints() -> tuple[list[str], list[str]]:
        wrong: list[str] = []
        evidence: list[str] = []
        first = _accepted_exchange(scene, link, since_ns, right_kind)
        relayed = first and _accepted_exchange(scene, upstream, since_ns, partial(_same_request, first.request))
        for leg, exchange in ((link, first), (upstream, relayed)):
            if exchange is None:
                wrong.append(f"no accepted exchange at {leg.node}:{leg.interface}")
                evidence += _described(_registrations_at(scene, leg.node, leg.interface, since_ns))
                continue
            evidence += [exchange.request.describe(), exchange.reply.describe()]
            wrong += _wrong_on(leg, exchange, own_secrets) + _wrong_lifetimes(exchange, lifetime_s)
        return wrong, evidence

    return await _until_right(scene, claim, complaints, patience_s)


async def deregistered(
    scene: Scene, secrets: Iterable[Secret], *, since_ns: int, patience_s: float = PATIENCE_S
) -> CheckResult:
    """Two messages, straight to the home agent: a request with lifetime 0 for all bindings, and its acceptance."""
    plan = scene.plan
    claim = Claim(
        "deregistration",
        f"{plan.mobile_node} deregisters with its home agent",
        "a request with lifetime 0 and the home address as care-of address, accepted, authenticators right",
        node=plan.mobile_node,
        rules=("G7", "M5", "H6", "H8"),
        look_closer="tshark -r packets.pcapng -Y mip",
    )
    own_secrets = list(secrets)
    address = home_address(scene)
    leg = _Leg(plan.mobile_node, interface_of(scene), address, plan.home.home_agent_address, (MOBILE_HOME,))

    def complaints() -> tuple[list[str], list[str]]:
        exchange = _accepted_exchange(
            scene, leg, since_ns, lambda one: one.care_of_address == address and one.deregisters
        )
        if exchange is None:
            return ["no accepted exchange"], _described(_registrations_at(scene, leg.node, leg.interface, since_ns))
        return _wrong_on(leg, exchange, own_secrets), [exchange.request.describe(), exchange.reply.describe()]

    return await _until_right(scene, claim, complaints, patience_s)


def sent_requests(scene: Scene, since_ns: int) -> list[SeenRegistration]:
    """The mobile node's own requests since then, in order."""
    scene.refresh()
    at_mobile = _registrations_at(scene, scene.plan.mobile_node, interface_of(scene), since_ns)
    return [message for message in at_mobile if message.is_request]


def accepted_at_home_agent(scene: Scene, care_of: IPv4Address, since_ns: int) -> Exchange | None:
    """The latest accepted registration of a care-of address as it crossed the home agent's upstream interface."""
    home = scene.plan.home
    home_router = scene.plan.node(home.home_agent)
    upstream = next(i.name for i in home_router.interfaces if i.name != home.agent_interface)
    leg = _Leg(home_router.name, upstream, care_of, home.home_agent_address, ())
    return _accepted_exchange(scene, leg, since_ns, lambda one: one.care_of_address == care_of)


async def _until_right(
    scene: Scene, claim: Claim, complaints: Callable[[], tuple[list[str], list[str]]], patience_s: float
) -> CheckResult:
    def settled() -> list[str] | None:
        scene.refresh()
        wrong, evidence = complaints()
        return None if wrong else evidence

    evidence = await watch(settled, claim.title, patience_s)
    if evidence is not None:
        return claim.holds(f"{len(evidence)} messages, all right", evidence)
    wrong, evidence = complaints()
    return claim.fails("; ".join(wrong) or "right, but too late", evidence)


def _legs(scene: Scene, network: VisitedNetwork, reverse_tunnel: bool) -> tuple[_Leg, _Leg]:
    """From the mobile node to the foreign agent, and from there to the home agent."""
    mobile = scene.plan.mobile_node
    ttl = 255 if reverse_tunnel else 1  # RFC 3024, section 5; without T a request need not leave the link
    link_kinds, upstream_kinds = (MOBILE_HOME, MOBILE_FOREIGN), (MOBILE_HOME, FOREIGN_HOME)
    agent, care_of = network.agent_address, network.care_of_address
    interfaces = scene.plan.node(network.foreign_agent).interfaces
    upstream = next(interface.name for interface in interfaces if interface.address.ip == care_of)
    return (
        _Leg(mobile, interface_of(scene), home_address(scene), agent, link_kinds, ttl),
        _Leg(network.foreign_agent, upstream, care_of, scene.plan.home.home_agent_address, upstream_kinds),
    )


def _accepted_exchange(
    scene: Scene, leg: _Leg, since_ns: int, wanted: Callable[[SeenRegistration], bool]
) -> Exchange | None:
    """The latest request that is wanted and that was accepted afterwards, by a message that went the other way."""
    messages = _registrations_at(scene, leg.node, leg.interface, since_ns)
    for at, request in reversed([*enumerate(messages)]):
        if not request.is_request or request.malformed or not wanted(request):
            continue
        for reply in messages[at + 1 :]:
            way_back = reply.packet.direction != request.packet.direction
            if reply.answers(request) and way_back and reply.accepted and not reply.malformed:
                return Exchange(request, reply)
    return None


def _registrations_at(scene: Scene, node: str, interface: str, since_ns: int) -> list[SeenRegistration]:
    packets = scene.packets.select(node=node, interface=interface, since_ns=since_ns, port=434, encapsulated=False)
    return [one for one in registrations(packets) if one.home_address == home_address(scene)]


def _same_request(request: SeenRegistration, other: SeenRegistration) -> bool:
    return other.identification == request.identification and other.care_of_address == request.care_of_address


def _wrong_on(leg: _Leg, exchange: Exchange, secrets: Iterable[Secret]) -> list[str]:
    """What is not as it has to be on that leg: addresses, TTL, authentications."""
    header = exchange.request.packet.outer
    assert header is not None, "a registration is a UDP datagram"
    wrong = []
    if (header.source, header.destination) != (leg.source, leg.destination):
        wrong.append(f"request from {header.source} to {header.destination}, not {leg.source} to {leg.destination}")
    if leg.ttl is not None and header.ttl != leg.ttl:
        wrong.append(f"request with TTL {header.ttl}, not {leg.ttl}")
    for secret in secrets:
        for name, message in (("request", exchange.request), ("reply", exchange.reply)):
            if secret.kind not in leg.kinds:
                wrong += [f"{name} bears {extension.name}" for extension in message.authentications(secret.kind)]
            elif not message.authenticated(secret.key, secret.spi, secret.kind):
                wrong.append(f"{name} without one right authenticator of type {secret.kind} with SPI {secret.spi}")
    return [f"{leg.node}: {complaint}" for complaint in wrong]


def _wrong_lifetimes(exchange: Exchange, asked_for_s: int) -> list[str]:
    asked_s, granted_s = exchange.request.lifetime_s, exchange.reply.lifetime_s
    wrong = [f"asks for {asked_s} s, not {asked_for_s}"] if asked_s != asked_for_s else []
    return wrong + ([f"{granted_s} s granted of {asked_s}"] if not 0 < granted_s <= asked_s else [])


def _described(messages: list[SeenRegistration]) -> list[str]:
    return [message.describe() for message in messages[-4:]]
