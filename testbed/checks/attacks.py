"""Registrations that must be refused: forged ones and replayed ones, sent inside the lab's own namespaces (G15)."""

from __future__ import annotations

import hmac
import socket
import struct
import time
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.checks.claim import Claim, watch
from testbed.checks.scene import Scene, home_address
from testbed.evidence.mobile_ip import MOBILE_HOME, SeenRegistration, registrations
from testbed.evidence.packets import Direction
from testbed.network.netns import Namespace
from testbed.reports.result import CheckResult

_REQUEST = struct.Struct("!BBH4s4s4sQ")
_AUTHENTICATION = struct.Struct("!BBI")
_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970, RFC 5905
_ANSWER_TIMEOUT_S = 0.5


@dataclass(frozen=True)
class Attack:
    """Bytes for the home agent's port 434, sent from a node, and the code that must refuse them."""

    name: str
    title: str
    node: str
    message: bytes
    code: int
    rules: tuple[str, ...]


def forged_request(scene: Scene, attacker: str, spi: int) -> Attack:
    """A fresh request that would move the binding to the attacker's own address, signed with a key that it made up."""
    plan = scene.plan
    address = plan.node(attacker).address
    seconds, fraction = divmod(time.time() + _NTP_EPOCH_S, 1)
    identification = int(seconds) << 32 | int(fraction * 2**32)
    fixed = _REQUEST.pack(
        1, 0x20, 300, home_address(scene).packed, plan.home.home_agent_address.packed, address.packed, identification
    )
    covered = fixed + _AUTHENTICATION.pack(MOBILE_HOME, 20, spi)
    message = covered + hmac.digest(b"not the right key", covered, "md5")
    title = f"a forged registration from {attacker} for its own address is refused"
    return Attack("forged-registration", title, attacker, message, 131, ("G15", "H2"))


def replayed_request(captured: SeenRegistration, node: str) -> Attack:
    """A request that was accepted once, sent again byte for byte by somebody on its way."""
    title = f"a registration captured at {captured.packet.place} and sent again from {node} is refused"
    return Attack("replayed-registration", title, node, captured.packet.payload, 133, ("G15", "H3"))


async def refused(scene: Scene, attack: Attack) -> CheckResult:
    """The home agent answers with the code that refuses it, or not at all, and its kernel's binding stays as it was.

    An attack that does not even get there shows nothing, and the claim fails.
    """
    home_agent = scene.plan.home.home_agent
    claim = Claim(
        attack.name,
        attack.title,
        f"code {attack.code} or silence, and the binding unchanged",
        node=home_agent,
        rules=attack.rules,
        look_closer="tshark -r packets.pcapng -Y mip",
    )
    before = _binding(scene)
    since_ns = time.time_ns()
    destination = (str(scene.plan.home.home_agent_address), 434)
    with _socket_of(scene.namespace(attack.node)) as sender:
        sender.sendto(attack.message, destination)
        port = sender.getsockname()[1]
        reply = await watch(lambda: _answer(scene, port, since_ns), "an answer to the attack", _ANSWER_TIMEOUT_S)
    after = _binding(scene)
    arrived = scene.packets.select(
        node=home_agent,
        direction=Direction.IN,
        since_ns=since_ns,
        where=lambda packet: packet.udp is not None and packet.payload == attack.message,
    )
    if not arrived:
        return claim.fails("the attack never reached the home agent")
    evidence = [arrived[0].describe()] + ([reply.describe()] if reply else [])
    if before != after:
        return claim.fails(f"the binding changed from {before} to {after}", evidence)
    if reply is None:
        return claim.holds("silence, binding unchanged", [*evidence, *before])
    return claim.judged(reply.code == attack.code, f"code {reply.code}, binding unchanged", [*evidence, *before])


def _socket_of(namespace: Namespace) -> socket.socket:
    return namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)


def _answer(scene: Scene, port: int, since_ns: int) -> SeenRegistration | None:
    scene.refresh()
    outgoing = scene.packets.select(
        node=scene.plan.home.home_agent, source=scene.plan.home.home_agent_address, port=port, since_ns=since_ns
    )
    return next((message for message in registrations(outgoing) if not message.is_request), None)


def _binding(scene: Scene) -> list[str]:
    address: IPv4Address = home_address(scene)
    snapshot = scene.snapshot(scene.plan.home.home_agent)
    entries = (*snapshot.routes_for(address), *snapshot.proxies_for(address))
    # By index too: a tunnel that is made anew may get the name of the one before.
    return [*map(str, entries), *(f"{link}, index {link.index}" for link in snapshot.tunnels())]
