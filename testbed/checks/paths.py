"""Which way packets go: the traces of a flow held against the way that was promised (G1, G2, G3, G8, G9)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from testbed.checks.claim import PATIENCE_S, Claim, watch
from testbed.checks.prediction import Way
from testbed.checks.scene import Scene
from testbed.evidence.trace import Trace, by_path, traces
from testbed.reports.result import CheckResult
from testbed.traffic.udp_stream import Flow

UDP = 17
ENOUGH = 10  # packets in a row that must take the way
IN_FLIGHT_NS = 50_000_000  # a packet younger than this may still be on its way; no link of a lab is that slow


async def takes(
    scene: Scene,
    flow: Flow,
    way: Way,
    *,
    rules: tuple[str, ...],
    since_ns: int | None = None,
    explain: Callable[[], str] | None = None,
    patience_s: float = PATIENCE_S,
) -> CheckResult:
    """The latest packets of a flow take exactly the way that was promised; where it ends early, so do they.

    :param since_ns: packets sent before this Unix time do not count; default: now.
    :param explain: asked, where the claim fails, for what else was seen, such as a filter's counter.
    """
    start_ns = time.time_ns() if since_ns is None else since_ns
    verb = "arrive by" if way.arrives else "die on"
    claim = Claim(
        name="path",
        title=f"packets of {flow} {verb} the promised way",
        expected=str(way) if way.arrives else f"{way}, and no further: {way.lost_because}",
        node=way.path.nodes[-1],
        rules=rules,
        look_closer=f"tshark -r packets.pcapng -Y 'ip.dst == {flow.destination} && udp'",
    )
    found = await watch(lambda: _all_took(way, _recent(scene, flow, start_ns)), claim.title, patience_s)
    if found:
        return claim.holds(f"{len(found)} packets in a row: {found[-1].path}", found[-1].evidence())
    seen = _settled(scene, flow, start_ns)
    observed = _describe(seen) + (f"; {explain()}" if explain else "")
    return claim.fails(observed, seen[-1].evidence() if seen else ())


def latest_path(scene: Scene, flow: Flow, since_ns: int) -> Trace | None:
    """The trace of the last packet of a flow that had time to arrive."""
    seen = _recent(scene, flow, since_ns)
    return seen[-1] if seen else None


def _recent(scene: Scene, flow: Flow, since_ns: int) -> list[Trace]:
    """The latest packets of the flow, ENOUGH at the most, that had the time to arrive."""
    horizon_ns = time.time_ns() - 2 * ENOUGH * flow.interval_ns - IN_FLIGHT_NS
    return _settled(scene, flow, max(since_ns, horizon_ns))[-ENOUGH:]


def _settled(scene: Scene, flow: Flow, since_ns: int) -> list[Trace]:
    """Traces of the flow's packets that had the time to arrive, in the order in which they were sent."""
    # Taken before the captures are read: what is sent while they are read is in some of them only.
    until_ns = time.time_ns() - IN_FLIGHT_NS
    scene.refresh()
    return traces(
        scene.packets,
        since_ns=since_ns,
        until_ns=until_ns,
        source=flow.source,
        destination=flow.destination,
        protocol=UDP,
        port=flow.destination_port,
    )


def _all_took(way: Way, recent: Sequence[Trace]) -> Sequence[Trace] | None:
    enough = len(recent) == ENOUGH
    return recent if enough and all(trace.path == way.path for trace in recent) else None


def _describe(seen: Sequence[Trace]) -> str:
    if not seen:
        return "no packet of this flow was seen anywhere"
    ways = "; ".join(str(group) for group in by_path(seen)[:3])
    return f"{ways}; the last one {seen[-1].describe_end()}"
