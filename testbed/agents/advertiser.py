"""When an agent advertises itself: regularly, slightly at random, and at once to whoever asks (RFC 5944 section 2.3).

What the advertisement says is the agent's own business: it gives a function that makes one of a sequence number.
"""

from __future__ import annotations

from collections.abc import Callable

from testbed.agents.actions import Neighbour, SendAdvertisement
from testbed.agents.events import SolicitationHeard
from testbed.agents.limits import TokenBucket
from testbed.protocol.discovery import AgentAdvertisement, next_sequence

RANDOM_SHARE = 0.25
"""By how much of itself an interval is shortened at most, so that agents on a link do not fall into step (D3)."""

ANSWERS_PER_S = 50.0
ANSWER_BURST = 20
SHORTEST_INTERVAL_S = 0.05


class Advertiser:
    """The clock and the sequence number of one agent's advertisements."""

    def __init__(
        self, interval_s: float, describe: Callable[[int], AgentAdvertisement], random: Callable[[], float]
    ) -> None:
        self.interval_s = interval_s
        self._describe = describe
        self._random = random
        self._sequence: int | None = None
        self._next_s: float | None = None
        self._last_s = 0.0
        self._answers = TokenBucket(ANSWERS_PER_S, ANSWER_BURST)

    def start(self, now_s: float) -> SendAdvertisement:
        """Advertise for the first time."""
        return self._to_all(now_s)

    def deadline(self) -> float | None:
        return self._next_s

    def due(self, now_s: float) -> list[SendAdvertisement]:
        """The regular advertisement, if its time has come."""
        return [self._to_all(now_s)] if self._next_s is not None and now_s >= self._next_s else []

    def answer(self, now_s: float, heard: SolicitationHeard) -> list[SendAdvertisement]:
        """Answer a solicitation at once, to the asker alone (D2), wherever its address belongs to (D8).

        In a flood of solicitations the next multicast advertisement is brought forward instead: it answers them all.
        """
        if self._answers.take(now_s):
            return [SendAdvertisement(self._next_advertisement(), Neighbour(heard.source, heard.source_mac))]
        if self._next_s is not None:
            self._next_s = min(self._next_s, max(now_s, self._last_s + SHORTEST_INTERVAL_S))
        return []

    def _to_all(self, now_s: float) -> SendAdvertisement:
        self._last_s = now_s
        self._next_s = now_s + self.interval_s * (1.0 - RANDOM_SHARE * self._random())
        return SendAdvertisement(self._next_advertisement())

    def _next_advertisement(self) -> AgentAdvertisement:
        # 0 only ever means "just started" (D9)
        self._sequence = 0 if self._sequence is None else next_sequence(self._sequence)
        return self._describe(self._sequence)
