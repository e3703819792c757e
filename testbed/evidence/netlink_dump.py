"""Asks the kernel for everything of one kind: links, addresses, routes, rules, neighbours (rtnetlink(7) dumps).

Only reads, only IPv4, and hands out raw attributes; what they mean is told in ``kernel.py``. A whole node is read in
well under a millisecond, so that a check can look again and again until something holds. It shares no code with the
netlink of the agents, whose work it is used to judge.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

from testbed.errors import KernelRefused

RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE = 18, 22, 26, 30, 34

_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLM_F_REQUEST, _NLM_F_DUMP, _NLM_F_DUMP_INTERRUPTED = 0x001, 0x300, 0x010
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_NESTED_AND_BYTE_ORDER = 0xC000
_MOST_ATTEMPTS = 10

# What stands between the netlink header and the attributes of each kind of message.
_FIXED = {
    RTM_GETLINK: struct.Struct("=BxHiII"),  # ifinfomsg: family, type, index, flags, change
    RTM_GETADDR: struct.Struct("=BBBBi"),  # ifaddrmsg: family, prefix length, flags, scope, index
    RTM_GETROUTE: struct.Struct("=BBBBBBBBI"),  # rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type
    RTM_GETNEIGH: struct.Struct("=BxxxiHBB"),  # ndmsg: family, index, state, flags, type
    RTM_GETRULE: struct.Struct("=BBBBBBBBI"),  # fib_rule_hdr: family, dst_len, src_len, tos, table, -, -, action, flags
}

Attributes = dict[int, bytes]


class Entry(NamedTuple):
    """One answer of a dump."""

    fixed: tuple[int, ...]  # the fields of the fixed part, in order
    attributes: Attributes


class NetlinkDump:
    """A netlink socket in one network namespace, for the length of a ``with`` block."""

    def __init__(self, namespace: AbstractContextManager[None], node: str) -> None:
        self._node = node
        self._sequence = 0
        with namespace:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))

    def __enter__(self) -> NetlinkDump:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def dump(self, kind: int, *fixed: int) -> list[Entry]:
        """All entries of one kind. ``fixed`` are the request's fixed fields; those left out are zero.

        :raises KernelRefused: the kernel answered with an error, or its tables never held still.
        """
        layout = _FIXED[kind]
        zeros = len(layout.unpack(bytes(layout.size))) - len(fixed)
        body = layout.pack(*fixed, *([0] * zeros))
        for _ in range(_MOST_ATTEMPTS):
            entries = self._attempt(kind, body)
            if entries is not None:
                return entries
        raise KernelRefused(f"netlink dump {kind}: interrupted by changes {_MOST_ATTEMPTS} times", node=self._node)

    def _attempt(self, kind: int, body: bytes) -> list[Entry] | None:
        """The entries; None where a change in the midst of the dump may have spoilt it."""
        self._sequence += 1
        flags = _NLM_F_REQUEST | _NLM_F_DUMP
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body)
        layout, entries, spoilt = _FIXED[kind], list[Entry](), False
        while True:
            for message_kind, flags, message in _messages(self._socket.recv(1 << 18)):
                spoilt = spoilt or bool(flags & _NLM_F_DUMP_INTERRUPTED)
                if message_kind == _NLMSG_ERROR:
                    self._refused(kind, message)
                elif message_kind == _NLMSG_DONE:
                    return None if spoilt else entries
                else:
                    entries.append(Entry(layout.unpack_from(message), attributes(message[layout.size :])))

    def _refused(self, kind: int, message: bytes) -> None:
        (number,) = struct.unpack_from("=i", message)
        raise KernelRefused(f"netlink dump {kind}: {os.strerror(-number)}", node=self._node)


def attributes(content: bytes) -> Attributes:
    """Attributes by type; of several of one type the last."""
    found: Attributes = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(content):
        length, kind = _ATTRIBUTE.unpack_from(content, offset)
        if length < _ATTRIBUTE.size:
            break
        found[kind & ~_NESTED_AND_BYTE_ORDER] = content[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def _messages(datagram: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(datagram):
        length, kind, flags, _, _ = _HEADER.unpack_from(datagram, offset)
        yield kind, flags, datagram[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3
