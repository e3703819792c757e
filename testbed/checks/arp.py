"""ARP on the home and the visited links: announcements, answering in another's stead, and silence (G13, H12, M11)."""

from __future__ import annotations

from ipaddress import IPv4Address

from testbed.checks.claim import Claim, watch
from testbed.checks.scene import Scene, capture_command, home_address, mac_of
from testbed.evidence.mobile_ip import announcements
from testbed.evidence.packets import Direction, Packet
from testbed.reports.result import CheckResult

_REPLY = 2


async def announced(scene: Scene, by_node: str, interface: str, *, owner: str, since_ns: int) -> CheckResult:
    """``by_node`` announces the home address with the link-layer address of ``owner`` by gratuitous ARP.

    ``owner`` is the node whose address it has to be: the home agent's own while the mobile node is away, the mobile
    node's on its return.
    """
    address = home_address(scene)
    owner_interface = scene.plan.home.agent_interface if owner == scene.plan.home.home_agent else interface_of(scene)
    mac = mac_of(scene, owner, owner_interface)
    claim = Claim(
        "gratuitous-arp",
        f"{by_node} announces {address} as {owner}'s by gratuitous ARP",
        f"a broadcast ARP with sender and target {address} and link-layer address {mac}",
        node=by_node,
        rules=("H12", "G13"),
        look_closer=capture_command(by_node, interface, "arp.isgratuitous"),
    )

    def seen(own: bool) -> list[Packet]:
        scene.refresh()
        return [
            packet
            for packet in _arp_from(scene, by_node, interface, since_ns)
            if _announces(packet, address) and (not own or _sender_mac(packet) == mac)
        ]

    found = await watch(lambda: seen(own=True), claim.title)
    if found:
        return claim.holds(f"{len(found)} announcements", [found[0].describe()])
    others = seen(own=False)
    return claim.fails(
        f"{len(others)} announcements, with other link-layer addresses" if others else "no announcement",
        [packet.describe() for packet in others],
    )


async def announced_before(scene: Scene, request_ns: int | None, *, since_ns: int) -> CheckResult:
    """The mobile node's own announcement on its return comes before its deregistration at ``request_ns`` (H12)."""
    mobile = scene.plan.mobile_node
    claim = Claim(
        "announces-first",
        f"{mobile} announces itself before it deregisters",
        "gratuitous ARP, then the Registration Request with lifetime 0",
        node=mobile,
        rules=("H12", "D16"),
    )
    scene.refresh()
    own = _arp_from(scene, mobile, interface_of(scene), since_ns)
    first = next((packet for packet in own if _announces(packet, home_address(scene))), None)
    if first is None or request_ns is None:
        return claim.fails("no announcement" if first is None else "no deregistration")
    lead_ms = (request_ns - first.time_ns) / 1e6
    return claim.judged(lead_ms >= 0, f"announcement {lead_ms:.1f} ms before the request", [first.describe()])


async def silent_away(scene: Scene, *, since_ns: int | None, until_ns: int) -> CheckResult:
    """The mobile node sent no ARP but answers to its foreign agents (M11).

    ``since_ns`` is when it knew that it was away: its first request to a foreign agent, None where it sent none.
    """
    mobile = scene.plan.mobile_node
    interface = interface_of(scene)
    claim = Claim(
        "arp-silence",
        f"{mobile} keeps silent by ARP while it is away",
        "no ARP from it between its first registration abroad and its return, but unicast answers to foreign agents",
        node=mobile,
        rules=("M11", "G13"),
        look_closer=capture_command(mobile, interface, "arp"),
    )
    if since_ns is None:
        return claim.fails("it never registered abroad")
    scene.refresh()
    agents = {mac_of(scene, network.foreign_agent, network.agent_interface) for network in scene.plan.visited}
    spoken = [
        packet
        for packet in _arp_from(scene, mobile, interface, since_ns)
        if packet.time_ns < until_ns and not _answers_one_of(packet, agents)
    ]
    watched_s = (until_ns - since_ns) / 1e9
    return claim.judged(
        not spoken, f"{len(spoken)} such frames in {watched_s:.2f} s", [packet.describe() for packet in spoken[:5]]
    )


async def learned_mac(scene: Scene, node: str, *, owner: str) -> CheckResult:
    """A plain host on the home LAN has the link-layer address of ``owner`` for the home address."""
    address = home_address(scene)
    interface = scene.plan.home.agent_interface if owner == scene.plan.home.home_agent else interface_of(scene)
    mac = mac_of(scene, owner, interface)
    claim = Claim(
        "arp-cache",
        f"{node}'s ARP cache leads to {owner} for {address}",
        f"{address} at {mac}",
        node=node,
        rules=("H12", "G13"),
        look_closer=f"ip -n {node} neigh show {address}",
    )

    def learned() -> str | None:
        entry = scene.snapshot(node).neighbour(address)
        return str(entry) if entry is not None and entry.mac.lower() == mac else None

    found = await watch(learned, claim.title)
    return claim.holds(found) if found else claim.fails(str(scene.snapshot(node).neighbour(address) or "no entry"))


def interface_of(scene: Scene) -> str:
    """The mobile node's interface."""
    return scene.plan.node(scene.plan.mobile_node).interfaces[0].name


def _arp_from(scene: Scene, node: str, interface: str, since_ns: int) -> list[Packet]:
    return scene.packets.select(
        node=node, interface=interface, direction=Direction.OUT, since_ns=since_ns, where=lambda packet: packet.arp
    )


def _answers_one_of(packet: Packet, macs: set[str]) -> bool:
    is_reply = packet.arp is not None and packet.arp.operation == _REPLY
    return is_reply and packet.layers.ether_destination.hex(":") in macs


def _announces(packet: Packet, address: IPv4Address) -> bool:
    return any(seen.broadcast and seen.address == address for seen in announcements([packet]))


def _sender_mac(packet: Packet) -> str:
    return packet.arp.sender_mac.hex(":") if packet.arp is not None else ""
