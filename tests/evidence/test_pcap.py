from __future__ import annotations

import struct
from pathlib import Path

import pytest

from testbed.errors import LabError
from testbed.evidence.pcap import PcapTail

FRAMES = [b"a" * 60, b"b" * 1500, b"c"]


def pcap(order: str, magic: int, fractions: list[int], frames: list[bytes] = FRAMES) -> bytes:
    content = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, 1)
    for fraction, frame in zip(fractions, frames, strict=True):
        content += struct.pack(order + "IIII", 1_700_000_000, fraction, len(frame), len(frame) + 4) + frame
    return content


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit_ns"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_both_byte_orders_and_both_precisions_are_read(tmp_path: Path, order: str, magic: int, unit_ns: int) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap(order, magic, [1, 2, 999_999]))
    tail = PcapTail(path)
    records = tail.read()
    assert tail.linktype == 1
    assert [record.frame for record in records] == FRAMES
    assert [record.wire_length for record in records] == [64, 1504, 5]
    assert [record.time_ns - 1_700_000_000 * 10**9 for record in records] == [unit_ns, 2 * unit_ns, 999_999 * unit_ns]


def test_a_file_that_grows_byte_by_byte_gives_every_record_once(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    tail = PcapTail(path)
    assert tail.read() == []
    content = pcap("<", 0xA1B23C4D, [1, 2, 3], [b"", b"ab", b"c" * 5])
    found = []
    for length in range(len(content)):
        with path.open("ab") as file:
            file.write(content[length : length + 1])
        found += tail.read()
    assert [record.frame for record in found] == [b"", b"ab", b"c" * 5]
    assert tail.read() == []


def test_what_is_no_pcap_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(b"\x0a\x0d\x0d\x0a" + bytes(40))
    with pytest.raises(LabError, match=r"x\.pcap is not a pcap file: it begins with 0a0d0d0a"):
        PcapTail(path).read()


def test_a_record_of_impossible_length_means_damage(tmp_path: Path) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(pcap("<", 0xA1B23C4D, [], []) + struct.pack("<IIII", 1, 2, 1 << 30, 1 << 30))
    with pytest.raises(LabError, match="damaged: a record of 1073741824 bytes"):
        PcapTail(path).read()
