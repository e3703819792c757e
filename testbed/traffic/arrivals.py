"""Counts what becomes of a numbered stream at its receiver: lost, late, twice, how long on the way. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Arrivals:
    """The account of one stream. Times are nanoseconds; ``sent_ns`` and ``arrived_ns`` are of one clock."""

    received: int = 0  # different datagrams
    duplicates: int = 0
    reordered: int = 0  # came after one with a higher number
    longest_gap_ns: int = 0  # between two arrivals
    shortest_delay_ns: int | None = None
    longest_delay_ns: int | None = None
    missing: set[int] = field(default_factory=set)
    _next: int = 0
    _first: int | None = None
    _last_arrival_ns: int | None = None
    _sum_of_delays_ns: int = 0

    def add(self, sequence: int, sent_ns: int, arrived_ns: int) -> None:
        if self._first is None:
            self._first = self._next = sequence
        if sequence >= self._next:
            self.missing.update(range(self._next, sequence))
            self._next = sequence + 1
        elif sequence in self.missing:
            self.missing.discard(sequence)
            self.reordered += 1
        elif sequence < self._first:
            self.missing.update(range(sequence + 1, self._first))
            self._first = sequence
            self.reordered += 1
        else:
            self.duplicates += 1
            return
        self._count(arrived_ns - sent_ns, arrived_ns)

    def _count(self, delay_ns: int, arrived_ns: int) -> None:
        self.received += 1
        self._sum_of_delays_ns += delay_ns
        self.shortest_delay_ns = delay_ns if self.shortest_delay_ns is None else min(self.shortest_delay_ns, delay_ns)
        self.longest_delay_ns = delay_ns if self.longest_delay_ns is None else max(self.longest_delay_ns, delay_ns)
        if self._last_arrival_ns is not None:
            self.longest_gap_ns = max(self.longest_gap_ns, arrived_ns - self._last_arrival_ns)
        self._last_arrival_ns = arrived_ns

    @property
    def mean_delay_ns(self) -> int | None:
        return self._sum_of_delays_ns // self.received if self.received else None

    def facts(self) -> dict[str, int | None]:
        """For a JSON line."""
        return {
            "received": self.received,
            "lost": len(self.missing),
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "longest_gap_ns": self.longest_gap_ns,
            "shortest_delay_ns": self.shortest_delay_ns,
            "mean_delay_ns": self.mean_delay_ns,
            "longest_delay_ns": self.longest_delay_ns,
        }
