"""When a mobile node asks for agents: at once, then ever more rarely (RFC 5944 section 2.4, D11)."""

from __future__ import annotations

from collections.abc import Callable

from testbed.agents.limits import TokenBucket

FAST_SOLICITATIONS = 3
FAST_INTERVAL_S = 1.0
LONGEST_INTERVAL_S = 60.0
RANDOM_SHARE = 0.25
"""By how much of itself a slow interval is lengthened at most."""

SOLICITATIONS_PER_S = 1.0
SOLICITATION_BURST = 5
"""A link that flaps must not make a mobile node flood; a few genuine moves in a row are not delayed."""


class Solicitor:
    """Three solicitations a second apart, then intervals that double up to a minute; silent unless started."""

    def __init__(self, random: Callable[[], float]) -> None:
        self._random = random
        self._next_s: float | None = None
        self._sent = 0
        self._limit = TokenBucket(SOLICITATIONS_PER_S, SOLICITATION_BURST)

    def restart(self, now_s: float) -> None:
        """Begin the fast phase anew: on another link, there may be an agent again."""
        self._sent = 0
        self._next_s = now_s

    def resume(self, now_s: float) -> None:
        """Go on asking, as rarely as when it was stopped, unless it is asking already."""
        if self._next_s is None:
            self._next_s = now_s

    def stop(self) -> None:
        self._next_s = None

    def registered(self) -> None:
        """After a successful registration, asking begins with the fast phase again."""
        self._sent = 0
        self.stop()

    def deadline(self) -> float | None:
        return self._next_s

    def due(self, now_s: float) -> bool:
        """Whether to solicit now; if so, the next time is set."""
        if self._next_s is None or now_s < self._next_s:
            return False
        if not self._limit.take(now_s):
            self._next_s = self._limit.ready_at(now_s)
            return False
        self._sent += 1
        self._next_s = now_s + self._interval_s()
        return True

    def _interval_s(self) -> float:
        doublings = self._sent - FAST_SOLICITATIONS + 1
        if doublings <= 0:
            return FAST_INTERVAL_S
        interval_s: float = min(FAST_INTERVAL_S * 2 ** min(doublings, 10), LONGEST_INTERVAL_S)
        return interval_s * (1.0 + RANDOM_SHARE * self._random())
