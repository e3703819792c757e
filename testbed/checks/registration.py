"""Discovery and registration as the captures saw them: who said what, in order, authenticated (G5, G6, G7, G15)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.checks.arp import interface_of
from testbed.checks.claim import PATIENCE_S, Claim, watch
from testbed.checks.scene import Scene, capture_command, home_address
from testbed.evidence.mobile_ip import (
    FOREIGN_HOME,
    MOBILE_FOREIGN,
    MOBILE_HOME,
    SeenAdvertisement,
    SeenRegistration,
    advertisements,
    registrations,
    solicitations,
)
from testbed.evidence.packets import Direction
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


async def agent_heard(
    scene: Scene,
    agent: IPv4Address,
    *,
    flag: str,
    care_of: IPv4Address | None,
    since_ns: int,
    patience_s: float = PATIENCE_S,
) -> CheckResult:
    """The mobile node hears a well-formed advertisement of that agent; ``flag`` is H at home and F elsewhere."""
    mobile, interface = scene.plan.mobile_node, interface_of(scene)
    wanted = f"flag {flag}, TTL 1, right checksum" + (f", care-of address {care_of}" if care_of else "")
    claim = Claim(
        "agent-advertisement",
        f"{mobile} hears an agent advertisement of {agent}",
        wanted,
        node=mobile,
        rules=("G5", "D1", "D4"),
        look_closer=capture_command(mobile, interface, "icmp.type == 9"),
    )

    def heard() -> list[SeenAdvertisement]:
        scene.refresh()
        incoming = scene.packets.select(node=mobile, interface=interface, direction=Direction.IN, since_ns=since_ns)
        return [advertisement for advertisement in advertisements(incoming) if _source(advertisement) == agent]

    def right(advertisement: SeenAdvertisement) -> bool:
        header = advertisement.packet.outer
        sound = advertisement.agent and advertisement.checksum_right and not advertisement.malformed
        promised = flag in advertisement.flags and (care_of is None or care_of in advertisement.care_of_addresses)
        return sound and promised and header is not None and header.ttl == 1

    found = await watch(lambda: [one for one in heard() if right(one)], claim.title, patience_s)
    if found:
        return claim.holds(found[0].describe())
    return claim.fails("other advertisements only" if heard() else "none", [one.describe() for one in heard()[:3]])


async def solicited(scene: Scene, *, since_ns: int) -> CheckResult:
    """The mobile node asked for agents when its link came up; byte for byte a router solicitation (G6)."""
    mobile, interface = scene.plan.mobile_node, interface_of(scene)
    claim = Claim(
        "solicitation",
        f"{mobile} solicits agents when its link comes up",
        "an ICMP router solicitation of 8 bytes with TTL 1",
        node=mobile,
        rules=("G6", "D1", "D11"),
        look_closer=capture_command(mobile, interface, "icmp.type == 10"),
    )

    def right() -> list[str]:
        scene.refresh()
        sent = scene.packets.select(node=mobile, interface=interface, direction=Direction.OUT, since_ns=since_ns)
        return [
            one.packet.describe()
            for one in solicitations(sent)
            if one.checksum_right and not one.malformed and one.packet.outer is not None and one.packet.outer.ttl == 1
        ]

    found = await watch(right, claim.title)
    return claim.holds(f"{len(found)} solicitations", found[:1]) if found else claim.fails("none")


async def registered_through(
    scene: Scene,
    network: VisitedNetwork,
    secrets: Iterable[Secret],
    *,
    reverse_tunnel: bool,
    since_ns: int,
    patience_s: float = PATIENCE_S,
) -> CheckResult:
    """Four messages: request to the foreign agent, relayed to the home agent, and the reply back the same way."""
    plan = scene.plan
    claim = Claim(
        "registration",
        f"{plan.mobile_node} registers {network.care_of_address} through {network.foreign_agent}",
        f"request and reply on both legs, accepted, {'with' if reverse_tunnel else 'without'} the T bit, "
        "every authenticator right",
        node=plan.mobile_node,
        rules=("G7", "G15", "M6", "F4", "H8"),
        look_closer="tshark -r packets.pcapng -Y mip",
    )
    by_kind = {secret.kind: secret for secret in secrets}
    link = (plan.mobile_node, interface_of(scene))
    upstream = (network.foreign_agent, _upstream(scene, network))

    def complaints() -> tuple[list[str], list[str]]:
        wrong: list[str] = []
        evidence: list[str] = []
        for (node, interface), kinds in (
            (link, (MOBILE_HOME, MOBILE_FOREIGN)),
            (upstream, (MOBILE_HOME, FOREIGN_HOME)),
        ):
            exchange = _accepted_exchange(scene, node, interface, since_ns, network.care_of_address, reverse_tunnel)
            if exchange is None:
                wrong.append(f"no accepted exchange at {node}:{interface}")
                evidence += _described(_registrations_at(scene, node, interface, since_ns))
                continue
            evidence += [exchange.request.describe(), exchange.reply.describe()]
            wrong += _wrong_authenticators(exchange, [by_kind[kind] for kind in kinds if kind in by_kind])
            wrong += _wrong_ttl(exchange, reverse_tunnel and node == plan.mobile_node)
        return wrong, evidence

    return await _until_right(scene, claim, complaints, patience_s)


async def deregistered(scene: Scene, secrets: Iterable[Secret], *, since_ns: int) -> CheckResult:
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
    home_secrets = [secret for secret in secrets if secret.kind == MOBILE_HOME]
    node, interface = plan.mobile_node, interface_of(scene)

    def complaints() -> tuple[list[str], list[str]]:
        exchange = _accepted_exchange(scene, node, interface, since_ns, home_address(scene), None)
        if exchange is None:
            return ["no accepted exchange"], _described(_registrations_at(scene, node, interface, since_ns))
        evidence = [exchange.request.describe(), exchange.reply.describe()]
        wrong = [] if exchange.request.deregisters else [f"lifetime {exchange.request.lifetime_s}"]
        return wrong + _wrong_authenticators(exchange, home_secrets), evidence

    return await _until_right(scene, claim, complaints, PATIENCE_S)


def sent_requests(scene: Scene, since_ns: int) -> list[SeenRegistration]:
    """The mobile node's own requests since then, in order."""
    at_mobile = _registrations_at(scene, scene.plan.mobile_node, interface_of(scene), since_ns)
    return [message for message in at_mobile if message.is_request]


def accepted_at_home_agent(scene: Scene, care_of: IPv4Address, since_ns: int) -> Exchange | None:
    """The latest accepted registration of a care-of address as it crossed the home agent's upstream interface."""
    home_router = scene.plan.node(scene.plan.home.home_agent)
    upstream = next(i.name for i in home_router.interfaces if i.name != scene.plan.home.agent_interface)
    return _accepted_exchange(scene, home_router.name, upstream, since_ns, care_of, None)


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


def _accepted_exchange(
    scene: Scene, node: str, interface: str, since_ns: int, care_of: IPv4Address, reverse_tunnel: bool | None
) -> Exchange | None:
    """The latest request for that care-of address and its accepting reply; ``reverse_tunnel`` None: with T or not."""
    messages = _registrations_at(scene, node, interface, since_ns)
    for request in reversed(messages):
        if not request.is_request or request.care_of_address != care_of or request.malformed:
            continue
        if reverse_tunnel is not None and ("T" in request.flags) is not reverse_tunnel:
            continue
        for reply in messages:
            if reply.answers(request) and reply.accepted and not reply.malformed:
                return Exchange(request, reply)
    return None


def _registrations_at(scene: Scene, node: str, interface: str, since_ns: int) -> list[SeenRegistration]:
    packets = scene.packets.select(node=node, interface=interface, since_ns=since_ns, port=434)
    return [one for one in registrations(packets) if one.home_address == home_address(scene)]


def _wrong_authenticators(exchange: Exchange, secrets: Iterable[Secret]) -> list[str]:
    return [
        f"{name} without one right authenticator of type {secret.kind} with SPI {secret.spi}"
        for secret in secrets
        for name, message in (("request", exchange.request), ("reply", exchange.reply))
        if not message.authenticated(secret.key, secret.spi, secret.kind)
        and not (secret.kind == FOREIGN_HOME and message.lifetime_s == 0)  # F4: none on a deregistration
    ]


def _wrong_ttl(exchange: Exchange, reverse_tunnel_from_mobile: bool) -> list[str]:
    header = exchange.request.packet.outer
    if reverse_tunnel_from_mobile and (header is None or header.ttl != 255):
        return [f"request with T has TTL {header.ttl if header else '?'}, not 255"]  # RFC 3024, section 5
    return []


def _upstream(scene: Scene, network: VisitedNetwork) -> str:
    interfaces = scene.plan.node(network.foreign_agent).interfaces
    return next(interface.name for interface in interfaces if interface.address.ip == network.care_of_address)


def _source(advertisement: SeenAdvertisement) -> IPv4Address | None:
    header = advertisement.packet.outer
    return header.source if header is not None else None


def _described(messages: list[SeenRegistration]) -> list[str]:
    return [message.describe() for message in messages[-4:]]
