"""What became of a numbered stream, taken from captures: loss, order, delay, gaps, and how long a handoff took.

A datagram was sent when the capture at its sender saw it go out, and has arrived when one at its receiver saw it come
in. Neither program is asked.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.evidence.packets import Direction, Packet, PacketLog
from testbed.traffic.datagram import Datagram
from testbed.traffic.udp_stream import Flow


@dataclass(frozen=True)
class Arrival:
    """One datagram at its receiver. Times are Unix nanoseconds."""

    sequence: int
    time_ns: int
    delay_ns: int | None  # since it left its sender; None where the sender's capture did not see it
    packet: Packet


@dataclass(frozen=True)
class Gap:
    """A time without arrivals, from one arrival to the next."""

    start_ns: int
    end_ns: int

    @property
    def length_ns(self) -> int:
        return self.end_ns - self.start_ns


@dataclass(frozen=True)
class StreamReport:
    """The account of all datagrams that were made in a stretch of time."""

    flow: Flow
    since_ns: int | None
    until_ns: int | None
    sent: int  # left their sender, or arrived all the same where its capture is missing
    never_left: tuple[int, ...]  # numbers that the sender passed over: it had no route, or no link
    lost: tuple[int, ...]  # numbers that left and never arrived
    duplicates: int
    reordered: int  # arrived after one with a higher number
    arrivals: tuple[Arrival, ...]  # the first of each number, in order of time

    @property
    def missing(self) -> int:
        """Datagrams that the receiver never got, for whichever reason."""
        return len(self.never_left) + len(self.lost)

    @property
    def longest_gap(self) -> Gap | None:
        """None with fewer than two arrivals."""
        times = [arrival.time_ns for arrival in self.arrivals]
        gaps = (Gap(before, after) for before, after in itertools.pairwise(times))
        return max(gaps, key=lambda gap: gap.length_ns, default=None)

    @property
    def median_delay_ns(self) -> float | None:
        delays = [arrival.delay_ns for arrival in self.arrivals if arrival.delay_ns is not None]
        return statistics.median(delays) if delays else None

    def first_after(self, time_ns: int) -> Arrival | None:
        """The first arrival at or after a moment."""
        return next((arrival for arrival in self.arrivals if arrival.time_ns >= time_ns), None)

    def last_before(self, time_ns: int) -> Arrival | None:
        return next((arrival for arrival in reversed(self.arrivals) if arrival.time_ns < time_ns), None)

    def __str__(self) -> str:
        gap = self.longest_gap
        longest = f", longest gap {gap.length_ns / 1e6:.1f} ms" if gap else ""
        never_left = f", {len(self.never_left)} never left" if self.never_left else ""
        return f"{self.flow}: {self.sent} sent, {len(self.lost)} lost{never_left}{longest}"


@dataclass(frozen=True)
class Handoff:
    """What a move of the receiver or the sender did to a stream. Times are Unix nanoseconds."""

    flow: Flow
    link_up_ns: int
    first: Arrival  # after the link came up
    last: Arrival | None  # before it
    missing: int  # datagrams that never arrived, of those made from the last arrival's to the first one's

    @property
    def latency_ns(self) -> int:
        """From the new link's coming up to the first datagram."""
        return self.first.time_ns - self.link_up_ns

    @property
    def interruption_ns(self) -> int | None:
        """From the last datagram before to the first one after; None where none came before."""
        return self.first.time_ns - self.last.time_ns if self.last else None


def stream_report(
    log: PacketLog, flow: Flow, *, since_ns: int | None = None, until_ns: int | None = None
) -> StreamReport:
    """Of the datagrams that were made in ``[since_ns, until_ns)`` (Unix time, as they bear it themselves).

    Leave those that may still be on their way out of it by the choice of ``until_ns``.
    """
    left = {seen.sequence: packet for seen, packet in _seen(log, flow, flow.sender, Direction.OUT, since_ns, until_ns)}
    arrivals: dict[int, Arrival] = {}
    duplicates = reordered = 0
    highest = -1
    for seen, packet in _seen(log, flow, flow.receiver, Direction.IN, since_ns, until_ns):
        if seen.sequence in arrivals:
            duplicates += 1
            continue
        reordered += seen.sequence < highest
        highest = max(highest, seen.sequence)
        sender_saw = left.get(seen.sequence)
        delay_ns = packet.time_ns - sender_saw.time_ns if sender_saw is not None else None
        arrivals[seen.sequence] = Arrival(seen.sequence, packet.time_ns, delay_ns, packet)
    known = left.keys() | arrivals.keys()
    every = range(min(known), max(known) + 1) if known else range(0)
    return StreamReport(
        flow,
        since_ns,
        until_ns,
        sent=len(known),
        never_left=tuple(number for number in every if number not in known),
        lost=tuple(number for number in sorted(left) if number not in arrivals),
        duplicates=duplicates,
        reordered=reordered,
        arrivals=tuple(arrivals.values()),
    )


def handoff(
    log: PacketLog, flow: Flow, link_up_ns: int, *, since_ns: int | None = None, until_ns: int | None = None
) -> Handoff | None:
    """How a stream got over a move whose new link came up at ``link_up_ns``; None while nothing has arrived since.

    ``since_ns`` bounds the search for the last datagram before the move, ``until_ns`` that for the first one after it.
    """
    report = stream_report(log, flow, since_ns=since_ns, until_ns=until_ns)
    first = report.first_after(link_up_ns)
    if first is None:
        return None
    last = report.last_before(link_up_ns)
    start = last.sequence if last else 0
    absent = (*report.lost, *report.never_left)
    return Handoff(flow, link_up_ns, first, last, sum(start < number < first.sequence for number in absent))


def _seen(
    log: PacketLog, flow: Flow, node: str, direction: Direction, since_ns: int | None, until_ns: int | None
) -> Iterator[tuple[Datagram, Packet]]:
    """The flow's datagrams at one of its ends, by the time at which they were made and in order of their sightings."""
    # No datagram is captured before it is made, so that the log can be entered at since_ns.
    at_node = log.select(
        node=node, direction=direction, since_ns=since_ns, source=flow.source, destination=flow.destination
    )
    for packet in at_node:
        seen = flow.datagram(packet)
        if seen is None or (since_ns is not None and seen.sent_ns < since_ns):
            continue
        if until_ns is None or seen.sent_ns < until_ns:
            yield seen, packet
