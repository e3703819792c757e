from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.traffic import datagram
from testbed.traffic.arrivals import Arrivals
from testbed.traffic.datagram import Datagram


def arrivals(*sequences: int) -> Arrivals:
    account = Arrivals()
    for position, sequence in enumerate(sequences):
        account.add(sequence, position * 1000, position * 1000 + 10)
    return account


def test_what_is_skipped_is_missing_until_it_comes() -> None:
    assert arrivals(0, 1, 4, 5).missing == {2, 3}
    late = arrivals(0, 1, 4, 2, 5)
    assert late.missing == {3}
    assert (late.received, late.reordered, late.duplicates) == (5, 1, 0)


def test_what_comes_twice_counts_once() -> None:
    account = arrivals(0, 1, 1, 0, 2)
    assert (account.received, account.duplicates, account.missing) == (3, 2, set())


def test_a_stream_that_began_before_its_receiver_is_not_lossy() -> None:
    assert arrivals(100, 101).missing == set()
    assert arrivals(100, 98).missing == {99}


def test_gaps_and_delays_are_measured() -> None:
    account = Arrivals()
    for sequence, sent_ns, arrived_ns in ((0, 0, 10), (1, 100, 130), (2, 200, 500)):
        account.add(sequence, sent_ns, arrived_ns)
    facts = account.facts()
    assert facts["longest_gap_ns"] == 370
    assert (facts["shortest_delay_ns"], facts["mean_delay_ns"], facts["longest_delay_ns"]) == (10, 113, 300)
    assert Arrivals().facts()["mean_delay_ns"] is None


@given(st.lists(st.integers(0, 30), max_size=60))
def test_the_account_adds_up_in_any_order(sequences: list[int]) -> None:
    account = arrivals(*sequences)
    distinct = set(sequences)
    assert account.received == len(distinct)
    assert account.duplicates == len(sequences) - len(distinct)
    every = set(range(min(distinct), max(distinct) + 1)) if distinct else set()
    assert account.missing == every - distinct


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.integers(20, 2000))
def test_a_datagram_is_read_as_it_was_written(stream: int, sequence: int, sent_ns: int, size: int) -> None:
    written = Datagram(stream, sequence, sent_ns)
    assert len(written.encode(size)) == size
    assert datagram.decode(written.encode(size)) == written


@given(st.binary(max_size=40))
def test_other_payloads_are_no_datagrams(payload: bytes) -> None:
    assert payload.startswith(datagram.MAGIC) or datagram.decode(payload) is None
    assert datagram.decode(datagram.MAGIC) is None
