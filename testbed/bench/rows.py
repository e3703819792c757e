"""What a benchmark gives back: rows of plain data, each perhaps with a target and whether it is met."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Target:
    """A limit that a value should not pass."""

    limit: float
    at_least: bool = False  # else at most

    def met_by(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True)
class Row:
    """One number. ``detail`` says how it came about: of how many measurements, with which driver."""

    name: str
    value: float
    unit: str
    target: Target | None = None
    detail: str = ""

    @property
    def met(self) -> bool | None:
        """None where there is no target."""
        return self.target.met_by(self.value) if self.target else None

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "target": str(self.target) if self.target else None, "met": self.met}


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that ``percent`` of all do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def number(value: float) -> str:
    """Three digits that count, and no more of the fraction than that."""
    if value == 0:
        return "0"
    places = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{places}f}"
