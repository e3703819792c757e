"""Handoff latency: a mobile node is moved to and fro between two visited networks under a dense stream.

The latency is taken from captures: from the new link's coming up to the first packet of the stream that arrives over
it. Runs inside the private world.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from testbed.evidence.capture import Capture
from testbed.evidence.packets import Direction
from testbed.network.waiting import wait_for
from testbed.reports.result import RunResult, SilentListener
from testbed.scenarios.agent_configs import AgentOptions, Keys, agent_configs
from testbed.scenarios.lab import Lab
from testbed.scenarios.machine import choose_driver
from testbed.topologies.lab import build_lab
from testbed.topologies.two_visited import PLAN
from testbed.traffic.program import Endpoint
from testbed.traffic.stream_report import handoff
from testbed.traffic.udp_stream import UdpStream

RATE_HZ = 1000.0
PORT = 5001
# A mobile node registers once a second on average (RFC 5944, 3.6.3): moving faster would measure that limit.
PAUSE_S = 1.1


@dataclass(frozen=True)
class HandoffFigures:
    """One latency for each move, in milliseconds, and the packets lost in each."""

    latencies_ms: tuple[float, ...]
    lost: tuple[int, ...]

    @property
    def median_ms(self) -> float:
        return statistics.median(self.latencies_ms)

    @property
    def p95_ms(self) -> float:
        return statistics.quantiles(self.latencies_ms, n=20)[-1]


def measure(moves: int, folder: Path, tunnel: str = "auto") -> HandoffFigures:
    """Move ``moves`` times (two at least) and measure each."""
    with ExitStack() as undo:
        net = build_lab(PLAN)
        undo.callback(net.stop)
        capture = Capture(folder / "captures")
        undo.callback(capture.stop)
        run = RunResult("bench", "handoff", PLAN.name, {}, {}, time.time_ns())
        lab = Lab(PLAN, net, capture, run, folder, SilentListener(), tunnel_driver=choose_driver(tunnel))
        undo.callback(lab.stop_agents)
        return asyncio.run(_measure(lab, moves, undo))


async def _measure(lab: Lab, moves: int, undo: ExitStack) -> HandoffFigures:
    cn, mn = lab.plan.node(lab.plan.correspondent), lab.plan.node(lab.plan.mobile_node)
    lab.capture.start([(lab.namespace(node.name), node.interfaces[0].name) for node in (cn, mn)])
    await lab.start_agents(agent_configs(lab.plan, Keys(lab.plan), AgentOptions(tunnel_driver=lab.tunnel_driver)))
    source = Endpoint(lab.namespace(cn.name), cn.address, PORT)
    stream = UdpStream(source, Endpoint(lab.namespace(mn.name), mn.address, PORT), lab.folder, rate_hz=RATE_HZ)
    undo.callback(stream.stop)
    await stream.start()
    flow = stream.forward

    def arrived(since_ns: int) -> bool:
        lab.refresh()
        return bool(
            lab.packets.select(
                node=mn.name, direction=Direction.IN, since_ns=since_ns, source=cn.address, destination=mn.address
            )
        )

    link_ups: list[int] = []
    for move in range(moves):
        up_ns = lab.move(lab.plan.visited[move % 2].name)
        await asyncio.sleep(PAUSE_S)
        await wait_for(partial(arrived, up_ns), what="a packet after the move", timeout_s=10.0)
        link_ups.append(up_ns)
    lab.refresh()
    found = [handoff(lab.packets, flow, up_ns, since_ns=up_ns - int(PAUSE_S * 1e9)) for up_ns in link_ups]
    complete = [one for one in found if one is not None]
    return HandoffFigures(tuple(one.latency_ns / 1e6 for one in complete), tuple(one.missing for one in complete))
