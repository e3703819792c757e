"""One end of a checked TCP connection, as a program inside a node: sends numbered records, compares what comes.

The connection is opened once and never again: that it lives through the moves of a node is what it is there to show.
It is a witness, not a benchmark: a record is only sent when the one before it has been acknowledged, and the kernel is
asked for linear retransmission timeouts, so that after an interruption it goes on soon instead of after as long again.

It says ``ready`` (server) and ``connected`` (both), tells its counts ten times a second, and ends with a ``summary``
after SIGTERM at the client, which closes its side and reads what is still on its way; the server follows.
"""

from __future__ import annotations

import contextlib
import fcntl
import select
import socket
import struct
import time

from testbed.traffic.records import RecordReader, record
from testbed.traffic.telling import LONGEST_WAIT_S, Address, Ending, tell

_TELL_EVERY_NS = 100_000_000
_PATIENCE_MS = 600_000  # TCP_USER_TIMEOUT: how long data may stay unacknowledged before the kernel gives up
_MOST_UNACKNOWLEDGED = 0
_SIOCOUTQ = 0x5411  # bytes sent and not acknowledged, and bytes not sent
_TCP_THIN_LINEAR_TIMEOUTS = 16
_TCP_RTO_MAX_MS = 44  # since Linux 6.15

CLIENT, SERVER = "client", "server"


def serve(local: Address, rate_hz: float, drain_s: float) -> bool:
    """Wait for one client and carry records; whether all went well.

    ``drain_s``: how long, at the end, to wait for what is still on its way.
    """
    ending = Ending()
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _prepare(listener)
        listener.bind(local)
        listener.listen(1)
        tell("ready", port=listener.getsockname()[1])
        while not select.select([listener], [], [], LONGEST_WAIT_S)[0]:
            if ending:
                return False
        connection, peer = listener.accept()
    return _TcpEnd(connection, peer, SERVER, CLIENT, rate_hz, drain_s).run(ending)


def connect(local: Address, remote: Address, rate_hz: float, drain_s: float) -> bool:
    """Connect once and carry records; whether all went well. See :func:`serve`."""
    ending = Ending()
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    _prepare(connection)
    connection.bind(local)
    try:
        connection.connect(remote)
    except OSError as error:
        tell("failed", reason=f"connecting: {error.strerror}")
        return False
    return _TcpEnd(connection, remote, CLIENT, SERVER, rate_hz, drain_s).run(ending)


def _prepare(endpoint: socket.socket) -> None:
    endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _PATIENCE_MS)
    endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    endpoint.setsockopt(socket.IPPROTO_TCP, _TCP_THIN_LINEAR_TIMEOUTS, 1)
    with contextlib.suppress(OSError):  # an older kernel
        endpoint.setsockopt(socket.IPPROTO_TCP, _TCP_RTO_MAX_MS, 1000)


class _TcpEnd:
    """An open connection: ``side`` sends, what comes must be ``other_side``'s."""

    def __init__(
        self, connection: socket.socket, peer: Address, side: str, other_side: str, rate_hz: float, drain_s: float
    ) -> None:
        self._socket = connection
        self._socket.setblocking(False)
        self._peer = peer
        self._side = side
        self._interval_ns = round(1e9 / rate_hz)
        self._drain_s = drain_s
        self._reader = RecordReader(other_side)
        self._sent = 0
        self._unsent = b""
        self._broken: str | None = None
        self._peer_closed = False
        self._last_arrival_ns = time.monotonic_ns()
        self._longest_stall_ns = 0

    def run(self, ending: Ending) -> bool:
        """Until SIGTERM or the other side's end of data; whether every byte was right and nothing broke."""
        tell("connected", peer=list(self._peer), local=list(self._socket.getsockname()))
        next_record_ns = next_tell_ns = time.monotonic_ns()
        while not (ending or self._broken or self._peer_closed):
            now_ns = time.monotonic_ns()
            if now_ns >= next_record_ns and self._acknowledged():
                self._unsent = record(self._side, self._sent)
                self._sent += 1
                next_record_ns = now_ns + self._interval_ns
            if now_ns >= next_tell_ns:
                tell("progress", **self._facts())
                next_tell_ns = now_ns + _TELL_EVERY_NS
            self._exchange(LONGEST_WAIT_S if now_ns >= next_record_ns else (next_record_ns - now_ns) / 1e9)
        self._close()
        tell("summary", **self._facts())
        return self._broken is None

    def _acknowledged(self) -> bool:
        if self._unsent:
            return False
        (waiting,) = struct.unpack("i", fcntl.ioctl(self._socket, _SIOCOUTQ, bytes(4)))
        return bool(waiting <= _MOST_UNACKNOWLEDGED)

    def _exchange(self, longest_s: float) -> None:
        writing = [self._socket] if self._unsent else []
        pause_s = max(0.0, min(LONGEST_WAIT_S, longest_s))
        reading = [] if self._peer_closed else [self._socket]
        readable, writable, _ = select.select(reading, writing, [], pause_s)
        try:
            if writable:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
            if readable:
                self._receive()
        except OSError as error:
            self._broken = error.strerror or str(error)

    def _receive(self) -> None:
        received = self._socket.recv(65536)
        now_ns = time.monotonic_ns()
        if not received:
            self._peer_closed = True
        elif self._reader.feed(received):
            self._longest_stall_ns = max(self._longest_stall_ns, now_ns - self._last_arrival_ns)
            self._last_arrival_ns = now_ns
        if self._reader.corrupt:
            self._broken = f"corrupt: {self._reader.corrupt}"

    def _close(self) -> None:
        """Send what is begun, say that it is all, and read to the other side's end."""
        deadline_s = time.monotonic() + self._drain_s
        shut = False
        while not self._broken and time.monotonic() < deadline_s and not (shut and self._peer_closed):
            if not self._unsent and not shut:
                with contextlib.suppress(OSError):  # the other side may have broken off just now
                    self._socket.shutdown(socket.SHUT_WR)
                shut = True
            self._exchange(LONGEST_WAIT_S)
        self._socket.close()

    def _facts(self) -> dict[str, object]:
        return {
            "sent_records": self._sent,
            "received_records": self._reader.records,
            "received_bytes": self._reader.bytes,
            "stalled_ns": time.monotonic_ns() - self._last_arrival_ns,
            "longest_stall_ns": self._longest_stall_ns,
            "closed_by_peer": self._peer_closed,
            "broken": self._broken,
        }
