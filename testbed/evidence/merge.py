"""Writes all packets of a run to one pcapng file that opens in Wireshark: ``packets.pcapng``.

Interfaces are named ``node:interface``, times are nanoseconds, each frame says whether it came in or went out, and a
comment stands on the first frame of every step. Written by hand after draft-ietf-opsawg-pcapng, since scapy's writer
knows microseconds only. Reading captures is ``packets.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

from testbed.evidence.dissect import LINKTYPE_ETHERNET
from testbed.evidence.packets import CaptureFile, Direction, Packet, PacketLog

_SECTION_HEADER, _INTERFACE, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 6
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_OPTION_END, _OPTION_COMMENT = 0, 1
_SECTION_APPLICATION = 4
_INTERFACE_NAME, _INTERFACE_MAC, _INTERFACE_RESOLUTION = 2, 6, 9
_PACKET_FLAGS = 2
_NANOSECONDS = b"\x09"  # 10^-9 s
_SNAPSHOT_LENGTH = 262144

_PACKET_HEADER = struct.Struct("<IIIIIII")
_FLAGS = {Direction.IN: 1, Direction.OUT: 2}

Comment = tuple[int, str]  # Unix nanoseconds from when on it holds, and the text


def write_merged(log: PacketLog, path: Path, comments: Iterable[Comment] = ()) -> int:
    """Write what the log has read, in time order, and return the number of frames.

    Each comment is put on the first frame at or after its time, or on the very last one where there is none. Every
    packet's ``merged_number`` is set to its frame number in the file. A log without packets gives a file with
    interfaces only.
    """
    linktypes = {packet.place: packet.linktype for packet in log.packets}
    interface_ids = {file.name: index for index, file in enumerate(log.files)}
    remarks = _placed(comments, log.packets)
    direction_options = {way: _option(_PACKET_FLAGS, struct.pack("<I", flag)) for way, flag in _FLAGS.items()}
    with path.open("wb") as output:
        output.write(_section_header())
        for file in log.files:
            output.write(_interface(file, linktypes.get(file.name, LINKTYPE_ETHERNET)))
        blocks = []
        for number, packet in enumerate(log.packets, 1):
            packet.merged_number = number
            options = direction_options[packet.direction] if packet.direction else b""
            for text in remarks.get(number, ()):
                options = _option(_OPTION_COMMENT, text.encode()) + options
            blocks.append(_enhanced_packet(packet, interface_ids[packet.place], options))
        output.writelines(blocks)
    return len(log.packets)


def _placed(comments: Iterable[Comment], packets: Sequence[Packet]) -> dict[int, list[str]]:
    """The texts to put on each frame, by its number. Several on one frame are in reverse order of their times."""
    placed: dict[int, list[str]] = {}
    number = 1
    for since_ns, text in sorted(comments):
        while number < len(packets) and packets[number - 1].time_ns < since_ns:
            number += 1
        placed.setdefault(number, []).insert(0, text)
    return placed


def _section_header() -> bytes:
    body = struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1)
    return _block(_SECTION_HEADER, body + _ended(_option(_SECTION_APPLICATION, b"mobileip-testbed")))


def _interface(file: CaptureFile, linktype: int) -> bytes:
    options = _option(_INTERFACE_NAME, file.name.encode()) + _option(_INTERFACE_RESOLUTION, _NANOSECONDS)
    if file.mac is not None:
        options += _option(_INTERFACE_MAC, file.mac)
    return _block(_INTERFACE, struct.pack("<HHI", linktype, 0, _SNAPSHOT_LENGTH) + _ended(options))


def _enhanced_packet(packet: Packet, interface_id: int, options: bytes) -> bytes:
    """The block of one frame; put together in one step, for there are tens of thousands of them."""
    frame = packet.frame
    captured = len(frame)
    rest = b"\0" * (-captured % 4) + (_ended(options) if options else b"")
    length = 32 + captured + len(rest)
    time_ns = packet.time_ns
    header = _PACKET_HEADER.pack(
        _ENHANCED_PACKET, length, interface_id, time_ns >> 32, time_ns & 0xFFFFFFFF, captured, packet.wire_length
    )
    return b"".join((header, frame, rest, length.to_bytes(4, "little")))


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def _ended(options: bytes) -> bytes:
    return options + struct.pack("<HH", _OPTION_END, 0)


def _block(kind: int, body: bytes) -> bytes:
    length = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + length + body + length
