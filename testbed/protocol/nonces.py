"""Replay protection by nonces: the 64-bit Identification on both sides (RFC 5944 5.7.2).

The high half of a request is what the home agent put into the high half of its last reply; the low half is the mobile
node's own, and comes back in the reply, by which ``identification.answers`` knows it. Every reply to an authenticated
request brings the nonce for the next one, refusals with code 133 included: the two agree again after one of these.
Timestamps, the other way and the default, are in ``identification``.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from testbed.protocol.identification import IdentificationVerdict

_HALF = 32
_LOW_HALF = (1 << _HALF) - 1


class NonceReplayProtection:
    """The home agent's side; one object serves all mobile nodes, whose nonces the caller keeps."""

    def __init__(self, entropy: Callable[[], int] | None = None) -> None:
        """``entropy`` gives at least 32 random bits; the default takes them from the operating system."""
        self._entropy = _operating_system_entropy if entropy is None else entropy

    def check(self, identification: int, offered: int | None) -> IdentificationVerdict:
        """Judge the Identification of a request whose authenticator is already known to be right.

        ``offered`` is the nonce for the next request that this mobile node got in the last reply, if any.
        """
        return IdentificationVerdict.OK if identification >> _HALF == offered else IdentificationVerdict.WRONG_NONCE

    def reply_identification(self, request_identification: int) -> int:
        """What any reply to an authenticated request carries: a new nonce, and the low half of the request.

        The caller keeps ``offered_nonce`` of it. A reply to a request that failed authentication must not replace
        what was offered, or anybody could make the next honest request fail.
        """
        nonce = self._entropy() & _LOW_HALF
        if nonce == request_identification >> _HALF:  # "SHOULD differ from its previous value"
            nonce = (nonce + 1) & _LOW_HALF
        return nonce << _HALF | request_identification & _LOW_HALF


def offered_nonce(reply_identification: int) -> int:
    """The nonce for the next request that a reply brings: its high half."""
    return reply_identification >> _HALF


class NonceIdentifier:
    """The mobile node's side, with the methods of ``identification.Identifier``."""

    def __init__(self, entropy: Callable[[], int] | None = None) -> None:
        """``entropy`` gives at least 32 random bits; the default takes them from the operating system."""
        self._entropy = _operating_system_entropy if entropy is None else entropy
        self._nonce: int | None = None
        self._latest: int | None = None

    @property
    def latest(self) -> int | None:
        """The Identification given out last; an unchanged retransmission uses it again (rule M10)."""
        return self._latest

    def next(self, clock_s: float) -> int:
        """The Identification of a new request; the clock has no part in it.

        Before the first reply the home agent's nonce is unknown and a random one stands for it: code 133 follows.
        """
        high = self._nonce if self._nonce is not None else self._entropy() & _LOW_HALF
        low = self._entropy() & _LOW_HALF
        if self._latest is not None and low == self._latest & _LOW_HALF:
            low = (low + 1) & _LOW_HALF
        self._latest = high << _HALF | low
        return self._latest

    def resynchronise(self, reply_identification: int) -> None:
        """Take the nonce for the next request out of a home agent's reply.

        To be called for every reply of the home agent that is authenticated and answers the latest request, whatever
        its code; not for a foreign agent's, which copies the Identification of the request.
        """
        self._nonce = offered_nonce(reply_identification)


def _operating_system_entropy() -> int:
    return int.from_bytes(os.urandom(4), "big")
