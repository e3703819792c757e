from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from testbed.traffic.records import RecordReader, record

STREAM = b"".join(record("client", number) for number in range(45))


def test_records_differ_by_side_and_number_and_some_need_several_segments() -> None:
    assert len({record(side, number) for side in ("client", "server") for number in range(100)}) == 200
    assert max(len(record("client", number)) for number in range(20)) > 1500


@given(st.lists(st.integers(1, 4000), max_size=30))
def test_however_the_bytes_are_cut_all_records_are_counted(sizes: list[int]) -> None:
    reader, position = RecordReader("client"), 0
    for size in [*sizes, len(STREAM)]:
        reader.feed(STREAM[position : position + size])
        position += size
    assert (reader.records, reader.bytes, reader.corrupt) == (45, len(STREAM), None)


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255), st.integers(1, 5000))
def test_one_wrong_byte_is_found_wherever_it_is(position: int, change: int, size: int) -> None:
    wrong = bytearray(STREAM)
    wrong[position] ^= change
    reader = RecordReader("client")
    for start in range(0, len(wrong), size):
        reader.feed(bytes(wrong[start : start + size]))
    assert reader.corrupt is not None
    assert f"{wrong[position]:#04x} came, {STREAM[position]:#04x} was sent" in reader.corrupt
    assert reader.bytes <= position
    assert reader.feed(STREAM) == 0


def test_what_is_missing_is_seen_as_wrong_content() -> None:
    reader = RecordReader("client")
    assert reader.feed(STREAM[: len(record("client", 0))] + STREAM[len(record("client", 0)) + 1 :]) == 1
    assert reader.corrupt is not None
    assert reader.corrupt.startswith("record 1, byte ")


def test_the_other_sides_records_are_wrong() -> None:
    reader = RecordReader("server")
    assert reader.feed(STREAM) == 0
    assert reader.corrupt is not None
