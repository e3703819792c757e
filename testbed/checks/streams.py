"""What users notice: a connection that lives on, hosts that are reached, how long a handoff took (G2)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from ipaddress import IPv4Address
from typing import Any

from testbed.checks.claim import PATIENCE_S, Claim
from testbed.checks.scene import Scene
from testbed.errors import DeadlinePassed, LabError
from testbed.evidence.packets import Packet
from testbed.network.waiting import wait_for
from testbed.reports.result import CheckResult
from testbed.traffic.ping import PingAnswer, ping_once
from testbed.traffic.stream_report import Handoff, handoff
from testbed.traffic.tcp_connection import TcpConnection
from testbed.traffic.udp_stream import Flow

Check = Coroutine[Any, Any, CheckResult]
Explain = Callable[[], str] | None

TCP = 6
RECORDS = 3  # that must come through each way
_TCP_PATIENCE_S = 2 * PATIENCE_S  # a sender that was cut off waits longer and longer between its tries (RFC 6298)
_SYN, _ACK = 0x02, 0x10


async def tcp_advances(connection: TcpConnection, *, explain: Explain = None) -> CheckResult:
    """The connection that was opened at home carries data in both directions, and it arrives byte for byte."""
    claim = Claim(
        "tcp",
        "the TCP connection carries data in both directions",
        f"{RECORDS} more records each way, their content right",
        rules=("G2",),
        look_closer="tshark -r packets.pcapng -Y tcp",
    )
    before = connection.progress()
    try:
        now = await connection.progressed(before, records=RECORDS, timeout_s=_TCP_PATIENCE_S)
    except DeadlinePassed:
        now = connection.progress()
        to_client, to_server = (
            now.client_records - before.client_records,
            now.server_records - before.server_records,
        )
        seen = f"{to_server} records came from {connection.client.node}, {to_client} from {connection.server.node}"
        return claim.fails(seen + (f"; {explain()}" if explain else ""))
    except LabError as broken:
        return claim.fails(str(broken))
    return claim.holds(f"{now.client_bytes + now.server_bytes} bytes so far, all of them right")


async def tcp_survived(scene: Scene, connection: TcpConnection) -> CheckResult:
    """One connection from beginning to end: closed in good order, complete, and never reset or opened anew."""
    claim = Claim(
        "tcp-survived",
        "the TCP connection opened at home lived to the end",
        "one SYN, no reset, and everything that was sent has arrived",
        node=connection.server.node,
        rules=("G2",),
        look_closer="tshark -r packets.pcapng -Y 'tcp.flags.syn == 1 || tcp.flags.reset == 1'",
    )
    summary = connection.close()
    scene.refresh()
    segments = scene.packets.select(node=connection.server.node, protocol=TCP)
    opened = [packet for packet in segments if _flags(packet) & (_SYN | _ACK) == _SYN]
    connections = {packet.tcp.source_port for packet in opened if packet.tcp is not None}
    resets = [packet for packet in segments if packet.tcp is not None and packet.tcp.reset]
    seen = (
        f"{len(connections)} connections opened, {len(resets)} resets, "
        f"{summary.client.received_bytes + summary.server.received_bytes} bytes arrived, "
        f"longest stall {max(summary.client.longest_stall_ms, summary.server.longest_stall_ms):.0f} ms"
    )
    broken = summary.client.broken or summary.server.broken
    right = summary.intact and len(connections) == 1 and not resets
    evidence = [packet.describe() for packet in (*opened[:2], *resets[:3])]
    return claim.judged(right, seen + (f"; {broken}" if broken else ""), evidence)


async def reachable(
    scene: Scene, node: str, destination: IPv4Address, *, rules: tuple[str, ...], patience_s: float = PATIENCE_S
) -> CheckResult:
    """A plain host gets an answer to an echo request; it is asked again until the time is up."""
    claim = Claim(
        "reachable",
        f"{node} reaches {destination}",
        "an echo reply from that address",
        node=node,
        rules=rules,
        look_closer=f"ip netns exec {node} ping -c 1 {destination}",
    )
    answers: list[PingAnswer] = []

    async def answered() -> bool:
        answers.append(await ping_once(scene.namespace(node), destination, timeout_s=1.0))
        return answers[-1].replied and answers[-1].source == destination

    try:
        await wait_for(answered, what=claim.title, timeout_s=patience_s)
    except DeadlinePassed:
        return claim.fails(f"{answers[-1]}, the last of {len(answers)} tries")
    return claim.holds(str(answers[-1]))


def measured_handoff(scene: Scene, flow: Flow, up_ns: int, since_ns: int) -> Handoff | None:
    """What a move did to a stream whose receiver moved; None where nothing has arrived since the link came up."""
    scene.refresh()
    return handoff(scene.packets, flow, up_ns, since_ns=since_ns)


def _flags(packet: Packet) -> int:
    return packet.tcp.flags if packet.tcp is not None else 0
