"""Which way packets go: the traces of a flow held against the way that was promised (G1, G2, G3, G8, G9)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from testbed.checks.claim import PATIENCE_S, Claim, watch
from testbed.checks.prediction import Way
from testbed.checks.scene import Scene
from testbed.evidence.dissect import Ipv4Header
from testbed.evidence.trace import Trace, by_path, traces
from testbed.network.waiting import scaled
from testbed.reports.result import CheckResult
from testbed.traffic.udp_stream import Flow

UDP, IP_IN_IP = 17, 4
ENOUGH = 10  # packets in a row that must take the way
_MOMENT_S = 0.3
IN_FLIGHT_S = 0.05  # a packet younger than this may still be on its way; no link of a lab is that slow


async def takes(
    scene: Scene,
    flow: Flow,
    way: Way,
    *,
    rules: tuple[str, ...],
    since_ns: int | None = None,
    explain: Callable[[], str] | None = None,
    patience_s: float = PATIENCE_S,
) -> tuple[CheckResult, Trace | None]:
    """The latest packets of a flow take exactly the way that was promised, and no other one besides.

    Where the way ends early, so do they; where it runs through a tunnel, they bear the promised addresses outside. The
    trace is that of the last packet that was judged, None where there was none.

    :param since_ns: packets sent before this Unix time do not count; default: now.
    :param explain: asked, where the claim fails, for what else was seen, such as a filter's counter.
    """
    start_ns = time.time_ns() if since_ns is None else since_ns
    claim = _claim(flow, way, rules)
    found = await watch(lambda: _all_took(way, _recent(scene, flow, start_ns)), claim.title, patience_s)
    if found:
        return claim.holds(f"{len(found)} packets in a row: {found[-1].path}", found[-1].evidence()), found[-1]
    seen = _settled(scene, flow, start_ns)
    observed = _describe(seen, way) + (f"; {explain()}" if explain else "")
    latest = seen[-1] if seen else None
    return claim.fails(observed, latest.evidence() if latest else ()), latest


def outer_headers(trace: Trace) -> tuple[str, ...]:
    """What was around the packet wherever it was seen encapsulated: addresses, innermost header first."""
    chains = (sighting.packet.headers[:-1] for sighting in trace.sightings)
    return tuple(dict.fromkeys(" in ".join(map(_outer, reversed(chain))) for chain in chains if chain))


def _outer(header: Ipv4Header) -> str:
    protocol = "" if header.protocol == IP_IN_IP else f" protocol {header.protocol}"
    return f"{header.source} > {header.destination}{protocol}"


def _claim(flow: Flow, way: Way, rules: tuple[str, ...]) -> Claim:
    expected = str(way)
    if way.outer is not None:
        expected += f", in the tunnel {way.outer}"
    if way.lost_because is not None:
        expected += f", and no further: {way.lost_because}"
    return Claim(
        name="path",
        title=f"packets of {flow} {'arrive by' if way.arrives else 'die on'} the promised way",
        expected=expected,
        node=way.path.nodes[-1],
        rules=rules,
        look_closer=f"tshark -r packets.pcapng -Y 'ip.dst == {flow.destination} && udp'",
    )


def _recent(scene: Scene, flow: Flow, since_ns: int) -> list[Trace]:
    """The latest packets of the flow, ENOUGH at the most, that had the time to arrive."""
    # Two in three may be missing. Not less than a moment, since a sender on a busy machine sends in bursts.
    window_ns = max(3 * ENOUGH * flow.interval_ns, round(scaled(_MOMENT_S) * 1e9))
    horizon_ns = time.time_ns() - window_ns - _in_flight_ns()
    return _settled(scene, flow, max(since_ns, horizon_ns))[-ENOUGH:]


def _settled(scene: Scene, flow: Flow, since_ns: int) -> list[Trace]:
    """Traces of the flow's packets that had the time to arrive, in the order in which they were sent."""
    # Taken before the captures are read: what is sent while they are read is in some of them only.
    until_ns = time.time_ns() - _in_flight_ns()
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


def _in_flight_ns() -> int:
    return round(scaled(IN_FLIGHT_S) * 1e9)


def _all_took(way: Way, recent: Sequence[Trace]) -> Sequence[Trace] | None:
    return recent if len(recent) == ENOUGH and all(_took(way, trace) for trace in recent) else None


def _took(way: Way, trace: Trace) -> bool:
    promised = (str(way.outer),) if way.outer is not None else ()
    return trace.paths == (way.path,) and outer_headers(trace) == promised


def _describe(seen: Sequence[Trace], way: Way) -> str:
    if not seen:
        return "no packet of this flow was seen anywhere"
    said = ["; ".join(str(group) for group in by_path(seen)[:3])]
    last = seen[-1]
    if last.paths[0] != way.path:
        said.append(f"the last one {last.describe_end()}")
    said += [f"and a copy of the last one by {path}" for path in last.paths[1:]]
    around = outer_headers(last)
    if around:
        said.append(f"in the tunnel {', '.join(around)}")
    if len(seen) < ENOUGH:
        said.append(f"{len(seen)} packets are too few, {ENOUGH} in a row count")
    return "; ".join(said)
