"""Requests that a foreign agent relayed and that were not answered yet (RFC 5944 section 3.7.1, F2)."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.agents.deadlines import Deadlines
from testbed.agents.events import RequestHeard
from testbed.protocol.packets import MacAddress

Key = tuple[IPv4Address, int]
"""Home address and the low half of the identification: what a reply is matched by (F6)."""

LOW_HALF = 0xFFFFFFFF


def reply_key(home_address: IPv4Address, identification: int) -> Key:
    """What the request and its reply have in common."""
    return home_address, identification & LOW_HALF


@dataclass(frozen=True, slots=True)
class PendingRequest:
    """A relayed request as it was heard, and where its sender is on the link."""

    heard: RequestHeard
    mac: MacAddress

    @property
    def key(self) -> Key:
        return reply_key(self.heard.request.home_address, self.heard.request.identification)


class PendingRequests:
    """At most ``capacity`` of them, each for ``timeout_s`` seconds."""

    def __init__(self, capacity: int, timeout_s: float) -> None:
        self.capacity = capacity
        self.timeout_s = timeout_s
        self._requests: dict[Key, PendingRequest] = {}
        self._timeouts: Deadlines[Key] = Deadlines()

    def __len__(self) -> int:
        return len(self._requests)

    @property
    def full(self) -> bool:
        return len(self._requests) >= self.capacity

    def drop_earlier(self, heard: RequestHeard) -> None:
        """A mobile node that asks again has given up its earlier request: make room.

        Only for the same MAC address, so that nobody else can push a mobile node's request out.
        """
        for key, pending in list(self._requests.items()):
            if key[0] == heard.request.home_address and pending.mac == heard.source_mac:
                self._forget(key)

    def is_copied_by(self, heard: RequestHeard) -> bool:
        """Whether the same request is pending for somebody else on the link: the copy would catch its reply."""
        return reply_key(heard.request.home_address, heard.request.identification) in self._requests

    def add(self, now_s: float, pending: PendingRequest) -> None:
        self._requests[pending.key] = pending
        self._timeouts.set(pending.key, now_s + self.timeout_s)

    def take(self, key: Key) -> PendingRequest | None:
        """The request that a reply or an error belongs to; it is no longer pending then."""
        return self._forget(key)

    def deadline(self) -> float | None:
        return self._timeouts.next()

    def timed_out(self, now_s: float) -> list[PendingRequest]:
        """The requests that nobody answered in time; they are forgotten here."""
        return [self._requests.pop(key) for key in self._timeouts.due(now_s)]

    def _forget(self, key: Key) -> PendingRequest | None:
        self._timeouts.drop(key)
        return self._requests.pop(key, None)
