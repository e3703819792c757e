"""How often something may happen: what keeps an agent from answering a flood with a flood.

Times are monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Hashable


class TokenBucket:
    """``rate_hz`` times a second on average, up to ``burst`` times at once."""

    def __init__(self, rate_hz: float, burst: int) -> None:
        self._rate_hz = rate_hz
        self._burst = float(burst)
        self._tokens = float(burst)
        self._filled_at_s: float | None = None

    def take(self, now_s: float) -> bool:
        """Use one token if there is one."""
        self._fill(now_s)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def ready_at(self, now_s: float) -> float:
        """When the next :meth:`take` will succeed; ``now_s`` if it would now."""
        self._fill(now_s)
        # a nanosecond more than computed, lest rounding leave the bucket a hair below one token at that very time
        return now_s if self._tokens >= 1.0 else now_s + (1.0 - self._tokens) / self._rate_hz + 1e-9

    def _fill(self, now_s: float) -> None:
        if self._filled_at_s is not None:
            self._tokens = min(self._burst, self._tokens + (now_s - self._filled_at_s) * self._rate_hz)
        self._filled_at_s = now_s


class OncePerInterval:
    """For every key at most once in ``interval_s``; remembers no more than ``capacity`` keys."""

    def __init__(self, interval_s: float = 1.0, capacity: int = 1024) -> None:
        self._interval_s = interval_s
        self._capacity = capacity
        self._last_s: dict[Hashable, float] = {}

    def allows(self, key: Hashable, now_s: float) -> bool:
        """Whether it may happen now; if so, it is counted as having happened."""
        last_s = self._last_s.get(key)
        if last_s is not None and now_s - last_s < self._interval_s:
            return False
        if len(self._last_s) >= self._capacity and key not in self._last_s:
            self._last_s = {k: at_s for k, at_s in self._last_s.items() if now_s - at_s < self._interval_s}
            if len(self._last_s) >= self._capacity:
                return False  # a flood with invented keys: nobody is answered until the second is over
        self._last_s[key] = now_s
        return True
