"""Agent discovery as the captures saw it: advertisements that are heard, solicitations that are sent (G5, G6)."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.checks.arp import interface_of
from testbed.checks.claim import PATIENCE_S, Claim, watch
from testbed.checks.scene import Scene, capture_command
from testbed.evidence.mobile_ip import SeenAdvertisement, advertisements, solicitations
from testbed.evidence.packets import Direction
from testbed.reports.result import CheckResult


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


def _source(advertisement: SeenAdvertisement) -> IPv4Address | None:
    header = advertisement.packet.outer
    return header.source if header is not None else None
