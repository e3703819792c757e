"""The grammar of netlink: a request to the kernel, its attributes, and what comes back, as bytes.

Knows lengths, padding and headers, and nothing of links or routes (see `links`, `routing`, `filters`) nor of sockets
(see `connection`). Integers are in host order, as netlink has them, except where a kernel struct says otherwise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

AF_INET = 2

# linux/netlink.h
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x001
NLM_F_ACK = 0x004
NLM_F_DUMP = 0x300
NLM_F_CAPPED = 0x100
NLM_F_ACK_TLVS = 0x200
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400
CREATE_NEW = NLM_F_CREATE | NLM_F_EXCL
CREATE_OR_REPLACE = NLM_F_CREATE | NLM_F_REPLACE

NLA_F_NESTED = 0x8000
NLA_TYPE_MASK = 0x3FFF

HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ATTRIBUTE_U8 = struct.Struct("=HHB3x")
_ATTRIBUTE_U16 = struct.Struct("=HHH2x")
_ATTRIBUTE_U32 = struct.Struct("=HHI")
_ATTRIBUTE_ADDRESS = struct.Struct("=HH4s")


class Message(NamedTuple):
    """One request: what the kernel reads, and what a person reads when the kernel refuses it.

    The words are put together only when they are needed, since most requests succeed and a registration makes several.
    """

    type: int
    flags: int
    body: bytes
    template: str
    values: tuple[object, ...] = ()

    @property
    def description(self) -> str:
        """What was asked, as it follows "the kernel refused to"."""
        return self.template.format(*self.values)

    def encode(self, sequence: int, flags: int = NLM_F_ACK) -> bytes:
        """The whole message, header included, as it goes through the socket."""
        length = HEADER.size + len(self.body)
        return HEADER.pack(length, self.type, self.flags | flags | NLM_F_REQUEST, sequence, 0) + self.body


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def attribute_u8(kind: int, value: int) -> bytes:
    """An attribute of one byte."""
    return _ATTRIBUTE_U8.pack(5, kind, value)


def attribute_u16(kind: int, value: int) -> bytes:
    """An attribute of two bytes."""
    return _ATTRIBUTE_U16.pack(6, kind, value)


def attribute_u32(kind: int, value: int) -> bytes:
    """An attribute of four bytes."""
    return _ATTRIBUTE_U32.pack(8, kind, value)


def attribute_address(kind: int, address: IPv4Address) -> bytes:
    """An IPv4 address, in network order."""
    return _ATTRIBUTE_ADDRESS.pack(8, kind, address.packed)


def attribute_text(kind: int, text: str) -> bytes:
    """A string with its closing zero."""
    return attribute(kind, text.encode() + b"\0")


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds attributes.

    NLA_F_NESTED is left out: the kernel does not ask for it in the messages of this package, and older ones reject it.
    """
    return attribute(kind, b"".join(attributes))


def attributes(payload: bytes | memoryview, offset: int = 0) -> dict[int, bytes]:
    """The attributes from ``offset`` on, by kind; of a kind that comes twice, the last.

    Stops at the first one whose length cannot be, as the kernel's own ``nla_ok`` does.
    """
    view = memoryview(payload)
    found: dict[int, bytes] = {}
    while offset + 4 <= len(view):
        length, kind = _ATTRIBUTE.unpack_from(view, offset)
        if length < 4 or offset + length > len(view):
            break
        found[kind & NLA_TYPE_MASK] = bytes(view[offset + 4 : offset + length])
        offset += (length + 3) & ~3
    return found


class Answer(NamedTuple):
    """One message from the kernel, without its header."""

    type: int
    flags: int
    sequence: int
    body: memoryview


def answers(datagram: bytes | memoryview) -> Iterator[Answer]:
    """The messages of one datagram from the kernel."""
    view = memoryview(datagram)
    offset = 0
    while offset + HEADER.size <= len(view):
        length, kind, flags, sequence, _port = HEADER.unpack_from(view, offset)
        if length < HEADER.size or offset + length > len(view):
            break
        yield Answer(kind, flags, sequence, view[offset + HEADER.size : offset + length])
        offset += (length + 3) & ~3


_ERROR = struct.Struct("=i")
_EXTENDED_TEXT = 1  # NLMSGERR_ATTR_MSG


def error_of(answer: Answer) -> tuple[int, str]:
    """The errno (0: done as asked) and the kernel's own words of an NLMSG_ERROR answer."""
    (negative,) = _ERROR.unpack_from(answer.body)
    if not answer.flags & NLM_F_ACK_TLVS:
        return -negative, ""
    offset = _ERROR.size + HEADER.size
    if not answer.flags & NLM_F_CAPPED:  # the request is quoted whole
        (quoted,) = struct.unpack_from("=I", answer.body, _ERROR.size)
        offset = _ERROR.size + ((quoted + 3) & ~3)
    text = attributes(answer.body, offset).get(_EXTENDED_TEXT, b"")
    return -negative, text.rstrip(b"\0").decode(errors="replace")
