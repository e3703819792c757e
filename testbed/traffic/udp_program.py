"""One end of a numbered UDP stream, as a program inside a node: sends at a steady rate, counts what comes.

It says ``ready`` once its socket is bound, starts to send with SIGUSR1 (so that both ends can be there first), tells
its counts twice a second and ends with a ``summary`` on SIGTERM. What it tells is for people: measurements are taken
from captures (``stream_report.py``).
"""

from __future__ import annotations

import contextlib
import errno
import select
import signal
import socket
import time
from collections import Counter

from testbed.traffic import datagram
from testbed.traffic.arrivals import Arrivals
from testbed.traffic.datagram import Datagram
from testbed.traffic.telling import LONGEST_WAIT_S, Address, Ending, tell

_TELL_EVERY_NS = 500_000_000
_GIVE_UP_CATCHING_UP_NS = 200_000_000
_MOST_AT_ONCE = 64


class UdpEnd:
    """Sends stream ``outgoing`` from ``local`` to ``remote`` at ``rate_hz`` (0: never); counts stream ``incoming``."""

    def __init__(
        self, local: Address, remote: Address, *, outgoing: int, incoming: int, rate_hz: float, size_bytes: int
    ) -> None:
        self._remote = remote
        self._outgoing = outgoing
        self._incoming = incoming
        self._interval_ns = round(1e9 / rate_hz) if rate_hz else None
        self._size_bytes = size_bytes
        self._sent = 0
        self._errors: Counter[str] = Counter()
        self._arrivals = Arrivals()
        # Not connected: an ICMP error must not come back as an error of the next datagram.
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(local)

    def run(self) -> None:
        """Until SIGTERM."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        ending = Ending()
        tell("ready")
        while self._interval_ns and not ending and not signal.sigtimedwait({signal.SIGUSR1}, LONGEST_WAIT_S):
            self._receive()
        next_send_ns = next_tell_ns = time.monotonic_ns()
        while not ending:
            now_ns = time.monotonic_ns()
            if self._interval_ns and now_ns >= next_send_ns:
                self._send()
                next_send_ns += self._interval_ns
                if now_ns - next_send_ns > _GIVE_UP_CATCHING_UP_NS:  # the machine stood still: no burst after it
                    next_send_ns = now_ns
            if now_ns >= next_tell_ns:
                tell("progress", **self._facts())
                next_tell_ns = now_ns + _TELL_EVERY_NS
            self._wait(next_send_ns if self._interval_ns else next_tell_ns)
        tell("summary", **self._facts())

    def _wait(self, until_ns: int) -> None:
        pause_s = max(0.0, min(LONGEST_WAIT_S, (until_ns - time.monotonic_ns()) / 1e9))
        if select.select([self._socket], [], [], pause_s)[0]:
            self._receive()

    def _send(self) -> None:
        """A datagram that cannot be sent keeps its number: it counts as lost, which it is for those who wait for it."""
        payload = Datagram(self._outgoing, self._sent & 0xFFFFFFFF, time.time_ns()).encode(self._size_bytes)
        self._sent += 1
        try:
            self._socket.sendto(payload, self._remote)
        except OSError as error:  # no route while moving, for one
            self._errors[errno.errorcode.get(error.errno or 0, str(error.errno))] += 1

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_AT_ONCE):
                payload = self._socket.recv(65535, socket.MSG_DONTWAIT)
                seen = datagram.decode(payload)
                if seen is not None and seen.stream == self._incoming:
                    self._arrivals.add(seen.sequence, seen.sent_ns, time.time_ns())

    def _facts(self) -> dict[str, object]:
        return {"sent": self._sent, "errors": dict(self._errors), **self._arrivals.facts()}
