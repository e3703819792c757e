"""Handoff latency: from link up on the new network to the first packet of a stream that arrives there.

The mobile node moves to and fro between the visited networks. A stream at 1000 packets a second, more than any check
of a scenario needs, makes the answer good to a millisecond. Arrival is when the kernel saw the packet on the mobile
node's interface; links have no delay of their own. Moves come at a steady pace: a mobile node may not register more
than once a second on average (RFC 5944 section 3.6.3), so faster ones would measure that rule.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address

from testbed.bench.apart import in_world
from testbed.bench.rows import Row, Target, median, percentile
from testbed.bench.visited_lab import MeasuredAgent, built
from testbed.errors import DeadlinePassed
from testbed.network.mininet_net import LabNet
from testbed.network.netns import Namespace
from testbed.network.waiting import scaled
from testbed.scenarios.agent_configs import AgentOptions, Keys, agent_configs
from testbed.topologies import two_visited
from testbed.topologies.plan import TopologyPlan

MOVES = 20
_PACE_S = 1.5
_RATE_HZ = 1000
_PORT = 5001
_LONGEST_S = 10.0
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_TIMESPEC = struct.Struct("=qq")
_ETH_P_IP = 0x0800
_UDP_PORT_AT = 14 + 20 + 2  # Ethernet and IPv4 headers, source port

TARGET = Target(15)


def measure() -> list[Row]:
    """Median and 95th percentile in milliseconds."""
    latencies_ms = in_world(_measure_latencies)
    of = f"{MOVES} moves, stream at {_RATE_HZ}/s"
    return [
        Row("handoff: link up to first packet, median", median(latencies_ms), "ms", TARGET, of),
        Row("handoff: link up to first packet, p95", percentile(latencies_ms, 95), "ms", detail=of),
        Row("handoff: link up to first packet, longest", max(latencies_ms), "ms", detail=of),
    ]


def _measure_latencies() -> list[float]:
    plan = two_visited.PLAN
    configs = agent_configs(plan, Keys(plan), AgentOptions())
    with built(plan, offloads=False) as net, ExitStack() as stack:
        for node, (role, config) in configs.items():
            stack.enter_context(MeasuredAgent(net, node, role, config))
        mobile = net.get(plan.mobile_node).namespace
        arrivals = stack.enter_context(_packet_socket(mobile, plan.node(plan.mobile_node).interfaces[0].name))
        stack.enter_context(_bound(mobile))
        stack.enter_context(_stream(net.get(plan.correspondent).namespace, plan.node(plan.mobile_node).address))
        # The first move leaves home, which is another thing than a handoff: it is made, and not counted.
        return [_move(net, plan, number, arrivals) for number in range(MOVES + 1)][1:]


def _move(net: LabNet, plan: TopologyPlan, number: int, arrivals: socket.socket) -> float:
    """Milliseconds from link up to the first packet."""
    began_s = time.monotonic()
    new = plan.visited[number % len(plan.visited)].lan
    net.unplug(plan.mobile_node)
    up_ns = time.time_ns()
    net.plug(plan.mobile_node, new)
    deadline_s = time.monotonic() + scaled(_LONGEST_S)
    while (left_s := deadline_s - time.monotonic()) > 0:
        if select.select([arrivals], [], [], left_s)[0]:
            arrived_ns = _stream_packet_ns(arrivals)
            if arrived_ns is not None and arrived_ns > up_ns:
                time.sleep(max(0.0, began_s + scaled(_PACE_S) - time.monotonic()))
                _drain(arrivals)
                return (arrived_ns - up_ns) / 1e6
    raise DeadlinePassed(f"no packet of the stream arrived on {new} within {scaled(_LONGEST_S):g} s of link up")


def _stream_packet_ns(arrivals: socket.socket) -> int | None:
    """When the next frame arrived (Unix time), if it is one of the stream."""
    frame, ancillary, _, _ = arrivals.recvmsg(64, 64)
    if int.from_bytes(frame[_UDP_PORT_AT : _UDP_PORT_AT + 2]) != _PORT:
        return None
    [(_, _, stamp)] = ancillary
    seconds, nanoseconds = _TIMESPEC.unpack(stamp)
    return int(seconds * 1_000_000_000 + nanoseconds)


def _drain(arrivals: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            arrivals.recv(64, socket.MSG_DONTWAIT)


def _packet_socket(namespace: Namespace, interface: str) -> socket.socket:
    arrivals = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    arrivals.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    with namespace.entered():
        arrivals.bind((interface, _ETH_P_IP))
    return arrivals


def _bound(namespace: Namespace) -> socket.socket:
    """Somebody must hold the port, or every packet is answered with an ICMP error."""
    listener = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("", _PORT))
    return listener


@contextmanager
def _stream(sender: Namespace, destination: IPv4Address) -> Iterator[None]:
    """Send numbered datagrams until the block ends."""
    done = threading.Event()
    outlet = sender.socket(socket.AF_INET, socket.SOCK_DGRAM)

    def send() -> None:
        while not done.wait(1 / _RATE_HZ):
            outlet.sendto(bytes(32), (str(destination), _PORT))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
        outlet.close()
