"""Ethernet II frames and ARP for IPv4 (RFC 894, RFC 826); what lies in a frame is the concern of ``packets``."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import ClassVar, Self

from testbed.errors import DecodeError, EncodeError
from testbed.protocol.fields import UINT16_MAX

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806

_SMALLEST_ETHERTYPE = 0x0600  # below it is an IEEE 802.3 length
_MAC_LENGTH = 6
_ETHERNET = struct.Struct("!6s6sH")
_ARP = struct.Struct("!HHBBH6sI6sI")
_ARP_FORM = (1, ETHERTYPE_IPV4, _MAC_LENGTH, 4)  # Ethernet, IPv4 and the lengths of their addresses


class MacAddress(bytes):
    """Six bytes that print as ``02:00:00:00:00:0a``; EncodeError for any other number of bytes."""

    BROADCAST: ClassVar[MacAddress]
    ZERO: ClassVar[MacAddress]

    def __new__(cls, octets: bytes) -> Self:
        if len(octets) != _MAC_LENGTH:
            raise EncodeError(f"a MAC address has {len(octets)} bytes, expected {_MAC_LENGTH}")
        return super().__new__(cls, octets)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``02:00:00:00:00:0a``; EncodeError for anything else."""
        parts = text.split(":")
        try:
            if any(len(part) != 2 for part in parts):
                raise ValueError
            return cls(bytes.fromhex("".join(parts)))
        except ValueError:
            raise EncodeError(f"{text!r} is no MAC address, expected a form like 02:00:00:00:00:0a") from None

    @classmethod
    def of_multicast(cls, group: IPv4Address) -> Self:
        """Where a packet to an IPv4 multicast group goes on Ethernet (RFC 1112 6.4)."""
        if not group.is_multicast:
            raise EncodeError(f"{group} is no multicast address, expected one in 224.0.0.0/4")
        return cls(b"\x01\x00\x5e" + (int(group) & 0x7F_FFFF).to_bytes(3, "big"))

    def __str__(self) -> str:
        return self.hex(":")

    def __repr__(self) -> str:
        return f"MacAddress({str(self)!r})"


MacAddress.BROADCAST = MacAddress(b"\xff" * _MAC_LENGTH)
MacAddress.ZERO = MacAddress(bytes(_MAC_LENGTH))


@dataclass(frozen=True, slots=True)
class EthernetFrame:
    """An Ethernet II frame without its frame check sequence; padding of short frames stays in ``payload``."""

    destination: MacAddress
    source: MacAddress
    ethertype: int
    payload: bytes

    def __post_init__(self) -> None:
        if not _SMALLEST_ETHERTYPE <= self.ethertype <= UINT16_MAX:
            raise EncodeError(f"ethertype is {self.ethertype:#06x}, expected 0x0600..0xffff")

    def encode(self) -> bytes:
        return _ETHERNET.pack(self.destination, self.source, self.ethertype) + self.payload

    @classmethod
    def decode(cls, frame: bytes) -> EthernetFrame:
        """Read a whole frame; DecodeError when it is too short or has an 802.3 length for a type."""
        if len(frame) < _ETHERNET.size:
            raise DecodeError(f"an Ethernet frame has {len(frame)} bytes, expected at least {_ETHERNET.size}")
        destination, source, ethertype = _ETHERNET.unpack_from(frame)
        if ethertype < _SMALLEST_ETHERTYPE:
            raise DecodeError(f"ethertype is {ethertype:#06x}, expected at least {_SMALLEST_ETHERTYPE:#06x}")
        return cls(MacAddress(destination), MacAddress(source), ethertype, frame[_ETHERNET.size :])


class ArpOperation(IntEnum):
    """What an ARP message does (RFC 826)."""

    REQUEST = 1
    REPLY = 2


@dataclass(frozen=True, slots=True)
class ArpMessage:
    """An ARP request or reply for IPv4 on Ethernet (RFC 826)."""

    operation: ArpOperation
    sender_mac: MacAddress
    sender_address: IPv4Address
    target_mac: MacAddress
    target_address: IPv4Address

    @property
    def gratuitous(self) -> bool:
        """Whether it announces its sender: both addresses are the same (RFC 5944 4.6; rule H12)."""
        return self.sender_address == self.target_address

    def encode(self) -> bytes:
        return _ARP.pack(
            *_ARP_FORM,
            self.operation,
            self.sender_mac,
            int(self.sender_address),
            self.target_mac,
            int(self.target_address),
        )

    @classmethod
    def decode(cls, octets: bytes) -> ArpMessage:
        """Read the payload of a frame; DecodeError unless it is a request or reply for IPv4 on Ethernet."""
        if len(octets) < _ARP.size:
            raise DecodeError(f"an ARP message has {len(octets)} bytes, expected {_ARP.size}")
        *form, operation, sender_mac, sender, target_mac, target = _ARP.unpack_from(octets)
        if tuple(form) != _ARP_FORM:
            raise DecodeError(f"an ARP message is of form {tuple(form)}, expected {_ARP_FORM} (IPv4 on Ethernet)")
        if operation not in (ArpOperation.REQUEST, ArpOperation.REPLY):
            raise DecodeError(f"ARP operation is {operation}, expected 1 (request) or 2 (reply)")
        return cls(
            ArpOperation(operation),
            MacAddress(sender_mac),
            IPv4Address(sender),
            MacAddress(target_mac),
            IPv4Address(target),
        )
