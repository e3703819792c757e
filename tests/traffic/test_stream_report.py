"""Streams on imagined links: scapy writes the captures, what became of each datagram is known."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

from scapy.layers.inet import IP, UDP

from testbed.traffic.datagram import Datagram
from testbed.traffic.stream_report import StreamReport, handoff, stream_report
from testbed.traffic.udp_stream import Flow
from tests.evidence.wire import START_NS, Wire

MS = 1_000_000
FLOW = Flow(2, "cn", "mn", IPv4Address("203.0.113.10"), 5000, IPv4Address("192.0.2.10"), 5000, 100.0)


class Stream:
    """A datagram every 10 ms; every link takes 10 µs."""

    def __init__(self, folder: Path) -> None:
        self.wire = Wire(folder)

    def send(
        self, sequence: int, *, lost: bool = False, leaves: bool = True, stream: int = 2, at_ns: int | None = None
    ) -> None:
        made_ns = START_NS + sequence * 10 * MS
        self.wire.now_ns = max(self.wire.now_ns, made_ns if at_ns is None else at_ns)
        if leaves:
            load = Datagram(stream, sequence, made_ns).encode(64)
            packet = IP(src="203.0.113.10", dst="192.0.2.10") / UDP(sport=5000, dport=5000) / load
            self.wire.link("cn:eth0", "core:cn", packet)
            outer = IP(src="192.0.2.1", dst="198.51.100.66") / packet
            self.wire.link("core:mn", "mn:eth0", outer if sequence % 2 else packet, lost=lost)

    def report(self, since: int | None = None, until: int | None = None) -> StreamReport:
        since_ns, until_ns = (None if number is None else START_NS + number * 10 * MS for number in (since, until))
        return stream_report(self.wire.log(), FLOW, since_ns=since_ns, until_ns=until_ns)


def test_what_left_and_did_not_arrive_is_lost_and_what_never_left_is_told_apart(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in range(20):
        stream.send(sequence, lost=sequence in (5, 6, 19), leaves=sequence not in (8, 9))
    report = stream.report()
    assert (report.sent, report.lost, report.never_left) == (18, (5, 6, 19), (8, 9))
    assert report.missing == 5
    assert len(report.arrivals) == 15
    assert (report.duplicates, report.reordered) == (0, 0)
    assert report.longest_gap is not None
    assert report.longest_gap.length_ns == 30 * MS
    assert report.median_delay_ns == 30_000
    assert str(report) == "cn to mn: 18 sent, 3 lost, 2 never left, longest gap 30.0 ms"


def test_only_datagrams_made_in_the_given_time_count(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in range(20):
        stream.send(sequence, lost=sequence in (2, 12, 18))
    report = stream.report(since=10, until=15)
    assert (report.sent, report.lost) == (5, (12,))
    assert [arrival.sequence for arrival in report.arrivals] == [10, 11, 13, 14]


def test_other_streams_and_other_traffic_between_the_same_nodes_are_left_out(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in range(5):
        stream.send(sequence)
        stream.send(sequence, stream=3)
    stream.wire.link(
        "cn:eth0", "mn:eth0", IP(src="203.0.113.10", dst="192.0.2.10") / UDP(sport=5000, dport=5000) / b"x"
    )
    report = stream.report()
    assert (report.sent, report.duplicates, len(report.arrivals)) == (5, 0, 5)


def test_a_datagram_made_before_the_time_and_seen_in_it_does_not_count(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    stream.send(1)
    stream.send(2, at_ns=START_NS + 45 * MS)
    stream.send(5)
    assert [arrival.sequence for arrival in stream.report(since=3, until=9).arrivals] == [5]


def test_without_the_senders_capture_what_arrived_was_sent_and_has_no_delay(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in range(4):
        stream.send(sequence)
    report = stream_report(stream.wire.log(without=("cn:eth0",)), FLOW)
    assert (report.sent, report.lost, report.never_left, report.median_delay_ns) == (4, (), (), None)


def test_copies_and_overtaking_are_counted(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in (0, 1, 3, 2, 2, 4):
        stream.send(sequence, at_ns=0)
    report = stream.report()
    assert (report.sent, report.duplicates, report.reordered, report.lost) == (5, 1, 1, ())
    assert [arrival.sequence for arrival in report.arrivals] == [0, 1, 3, 2, 4]


def test_a_stream_that_was_never_seen_gives_an_empty_report(tmp_path: Path) -> None:
    report = Stream(tmp_path).report()
    assert (report.sent, report.lost, report.arrivals, report.longest_gap, report.median_delay_ns) == (
        0,
        (),
        (),
        None,
        None,
    )
    assert report.first_after(0) is None
    assert report.last_before(START_NS * 2) is None


def test_a_handoff_is_measured_from_the_link_and_from_the_last_arrival(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in range(30):
        stream.send(sequence, lost=10 <= sequence < 15 or sequence in (3, 20))
    link_up_ns = START_NS + 123 * MS
    found = handoff(stream.wire.log(), FLOW, link_up_ns)
    assert found is not None
    assert (found.first.sequence, found.missing) == (15, 5)
    assert found.latency_ns == 27 * MS + 40_000
    assert found.interruption_ns == 60 * MS


def test_a_handoff_after_which_nothing_came_is_none(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in range(10):
        stream.send(sequence, lost=sequence > 4)
    assert handoff(stream.wire.log(), FLOW, START_NS + 50 * MS) is None
    log = stream.wire.log()
    assert handoff(log, FLOW, START_NS + 5 * MS, until_ns=START_NS) is None


def test_the_first_arrival_ever_has_no_interruption_before_it(tmp_path: Path) -> None:
    stream = Stream(tmp_path)
    for sequence in range(3):
        stream.send(sequence)
    found = handoff(stream.wire.log(), FLOW, START_NS)
    assert found is not None
    assert (found.first.sequence, found.last, found.interruption_ns) == (0, None, None)
