"""Captures without a kernel: packets cross imagined links, and scapy writes what each interface would have seen."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapWriter

from testbed.evidence.packets import CaptureFile, PacketLog

START_NS = 1_700_000_000_000_000_000
BROADCAST = "ff:ff:ff:ff:ff:ff"
HOP_NS = 10_000


def mac(place: str) -> str:
    """The address of ``node:interface``."""
    return "02:00:" + zlib.crc32(place.encode()).to_bytes(4, "big").hex(":")


class Wire:
    """Frames with their times, by ``node:interface``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now_ns = START_NS
        self.seen: dict[str, list[tuple[int, bytes]]] = {}

    def see(self, place: str, frame: bytes) -> None:
        self.now_ns += HOP_NS
        self.seen.setdefault(place, []).append((self.now_ns, frame))

    def link(
        self, sender: str, receiver: str, packet: Any, *, lost: bool = False, to: str | None = None, flooded: str = ""
    ) -> None:
        """``packet`` leaves ``sender`` and comes in at ``receiver``; ``flooded`` names one who overhears it."""
        frame = bytes(Ether(src=mac(sender), dst=to or mac(receiver)) / packet)
        self.see(sender, frame)
        for place in [flooded] if flooded else []:
            self.see(place, frame)
        if not lost:
            self.see(receiver, frame)

    def files(self, without: tuple[str, ...] = ()) -> list[CaptureFile]:
        """Write the captures and return them."""
        files = []
        for place, frames in self.seen.items():
            if place in without:
                continue
            node, interface = place.split(":")
            path = self.folder / f"{node}.{interface}.pcap"
            with PcapWriter(str(path), linktype=1, nano=True) as writer:
                writer.write_header(None)
                for time_ns, frame in frames:
                    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
                    writer.write_packet(frame, sec=seconds, usec=nanoseconds)
            files.append(CaptureFile(node, interface, path, bytes.fromhex(mac(place).replace(":", ""))))
        return files

    def log(self, without: tuple[str, ...] = ()) -> PacketLog:
        log = PacketLog(self.files(without))
        log.refresh()
        return log


def datagram(number: int, *, ttl: int = 64, ident: int = 0) -> Any:
    """A numbered UDP datagram from the correspondent to the mobile node's home address."""
    header = IP(src="203.0.113.10", dst="192.0.2.10", ttl=ttl, id=ident, flags="DF")
    return header / UDP(sport=5000, dport=5001) / f"number {number}".encode()


def tunnelled(packet: Any, *, ttl: int = 64) -> Any:
    return IP(src="192.0.2.1", dst="198.51.100.66", ttl=ttl) / packet


def triangle_downlink(wire: Wire, number: int, *, dies_at: str | None = None) -> None:
    """cn → core → ha ⇒ core ⇒ fa → mn; ``dies_at`` names the node that takes it and does not send it on."""
    hops = [
        ("cn:eth0", "core:cn", datagram(number, ttl=64)),
        ("core:ha", "ha:core", datagram(number, ttl=63)),
        ("ha:core", "core:ha", tunnelled(datagram(number, ttl=62), ttl=64)),
        ("core:fa", "fa:core", tunnelled(datagram(number, ttl=62), ttl=63)),
        ("fa:access", "mn:eth0", datagram(number, ttl=61)),
    ]
    for sender, receiver, packet in hops:
        if sender.split(":")[0] == dies_at:
            return
        wire.link(sender, receiver, packet)
