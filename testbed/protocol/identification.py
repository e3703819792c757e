"""Replay protection by timestamps: the 64-bit Identification on both sides (RFC 5944 5.7.1).

An Identification is a time in NTP format: seconds since 1900 in the high 32 bits, a binary fraction in the low 32.
Differences are taken modulo 2^64, so that the end of the NTP era in February 2036 is no event. Clocks are passed in
as Unix time in seconds. Who keeps the last accepted value, and what a verdict is answered with, is for the agents.
Replay protection by nonces is in ``nonces``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from enum import Enum

_UNIX_EPOCH_IN_NTP_S = 2_208_988_800  # 1970-01-01 in seconds since 1900-01-01
_FRACTION = 1 << 32
_ERA = 1 << 64
_LOW_HALF = _FRACTION - 1
# A double holds the present Unix time to about 2^-22 s: the ten lowest bits of the fraction carry no time.
_BITS_WITHOUT_TIME = 0x3FF


def ntp_timestamp(unix_time_s: float) -> int:
    """Unix time in seconds as a 64-bit NTP timestamp, modulo its era of 136 years."""
    return (int(unix_time_s * _FRACTION) + _UNIX_EPOCH_IN_NTP_S * _FRACTION) % _ERA


def unix_time(ntp: int) -> float:
    """The Unix time in seconds that a 64-bit NTP timestamp stands for, in 1968 to 2104 (RFC 4330 section 3)."""
    seconds = ntp / _FRACTION
    era_s = 0 if ntp >= _ERA // 2 else _FRACTION
    return seconds + era_s - _UNIX_EPOCH_IN_NTP_S


def answers(reply_identification: int, request_identification: int) -> bool:
    """Whether a reply belongs to a request: the low 32 bits agree (RFC 5944 3.6.2.1, 3.7.3.1)."""
    return (reply_identification ^ request_identification) & _LOW_HALF == 0


class IdentificationVerdict(Enum):
    """What the home agent makes of an Identification."""

    OK = "ok"
    TOO_OLD_OR_NEW = "too old or new"  # further from the own clock than the tolerance
    REPLAYED = "replayed"  # not greater than what was accepted before
    WRONG_NONCE = "wrong nonce"  # not the one that the last reply gave (only where nonces are used)


class TimestampReplayProtection:
    """The home agent's side; one object serves all mobile nodes with the same tolerance (seconds)."""

    def __init__(self, tolerance_s: float) -> None:
        self.tolerance_s = tolerance_s

    def check(self, identification: int, clock_s: float, last_accepted: int | None) -> IdentificationVerdict:
        """Judge the Identification of a request whose authenticator is already known to be right.

        ``clock_s`` is the home agent's Unix time; ``last_accepted`` the greatest Identification accepted from this
        mobile node, if any.
        """
        if abs(_difference(identification, ntp_timestamp(clock_s))) > self.tolerance_s * _FRACTION:
            return IdentificationVerdict.TOO_OLD_OR_NEW
        if last_accepted is not None and _difference(identification, last_accepted) <= 0:
            return IdentificationVerdict.REPLAYED
        return IdentificationVerdict.OK


def rejection_identification(request_identification: int, clock_s: float) -> int:
    """What a home agent's reply with code 133 carries: its own seconds, and the low half of the request (rule H3)."""
    return ntp_timestamp(clock_s) & ~_LOW_HALF | request_identification & _LOW_HALF


class Identifier:
    """The mobile node's side: stamps that only grow, and that follow the home agent's clock after code 133."""

    def __init__(self, entropy: Callable[[], int] | None = None) -> None:
        """``entropy`` gives at least ten random bits; the default takes them from the operating system."""
        self._entropy = _operating_system_entropy if entropy is None else entropy
        self._offset = 0  # home agent's clock minus ours, in units of 2^-32 s
        self._clock = 0  # ours at the latest request, as a timestamp
        self._latest: int | None = None
        self._floor: int | None = None

    @property
    def latest(self) -> int | None:
        """The Identification given out last."""
        return self._latest

    def next(self, clock_s: float) -> int:
        """The Identification of a new request at Unix time ``clock_s``; greater than all since the last going back.

        Bits that the clock does not have are random, as RFC 5944 5.7.1 advises.
        """
        self._clock = ntp_timestamp(clock_s)
        stamp = (self._clock + self._offset) % _ERA & ~_BITS_WITHOUT_TIME
        stamp |= self._entropy() & _BITS_WITHOUT_TIME
        if self._floor is not None and _difference(stamp, self._floor) <= 0:
            stamp = (self._floor + 1) % _ERA
        self._floor = self._latest = stamp
        return stamp

    def resynchronise(self, reply_identification: int) -> None:
        """Follow the clock that a home agent told with code 133.

        Its high half is the home agent's time in seconds; the caller has made sure that the low half answers the
        latest request. Stamps may go back by this: those that were ahead of the home agent were never accepted.
        """
        if self._latest is None:
            return
        home_seconds = reply_identification & ~_LOW_HALF
        # Against our clock, not against the latest stamp: that is ahead of it where the clock had stepped back.
        self._offset = _difference(home_seconds, self._clock & ~_LOW_HALF)
        if _difference(home_seconds, self._latest & ~_LOW_HALF) < 0:
            self._floor = None


def _operating_system_entropy() -> int:
    return int.from_bytes(os.urandom(2), "big")


def _difference(later: int, earlier: int) -> int:
    """``later`` minus ``earlier`` on the circle of 2^64, in -2^63 .. 2^63 - 1."""
    return (later - earlier + _ERA // 2) % _ERA - _ERA // 2
