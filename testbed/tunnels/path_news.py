"""Path MTU news about outer packets: the kernel's own soft state, kept alive for a protocol it does not speak.

A kernel without ipip ignores ICMP "fragmentation needed" that quotes protocol 4, unless somebody has a raw socket of
that protocol open: then it notes the path MTU with the route (net/ipv4/raw.c, raw_err). The socket also keeps the
kernel from answering "protocol unreachable" on devices that no program of ours watches. No packet is ever read from it.
"""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct

_IP_RECVERR = 11
_SO_ATTACH_FILTER = 26
_RETURN_ZERO_BYTES = struct.pack("=HBBI", 0x06, 0, 0, 0)  # classic BPF: accept nothing of any packet
_ERROR_BYTES = 2048


class PathNews:
    """Becomes readable when an ICMP error about an outer packet has arrived in this network namespace."""

    def __init__(self) -> None:
        """Needs CAP_NET_RAW; raises PermissionError."""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_IPIP)
        self._socket.setblocking(False)
        program = ctypes.create_string_buffer(_RETURN_ZERO_BYTES)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", 1, ctypes.addressof(program)))
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._socket.fileno()

    def drain(self) -> None:
        """Take note of all news so far; the descriptor is quiet until there is more."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._socket.recvmsg(_ERROR_BYTES, _ERROR_BYTES, socket.MSG_ERRQUEUE)
        # An error may also be pending on the socket itself; asking clears it.
        self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def close(self) -> None:
        """Let the kernel forget about the protocol."""
        self._socket.close()
