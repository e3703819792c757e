"""Which router dropped what: the counters of an ingress filter (G9, RFC 2827, RFC 3704)."""

from __future__ import annotations

from testbed.checks.claim import Claim, watch
from testbed.network.ingress import TABLE, IngressFilter
from testbed.reports.result import CheckResult

_ENOUGH = 5  # packets


async def counts(ingress: IngressFilter, *, drops: bool) -> CheckResult:
    """The filter's own counters say that it drops packets from inside, or that it accepts all of them."""
    router = ingress.node.name
    claim = Claim(
        "ingress-filter",
        f"{router}'s ingress filter {'drops' if drops else 'accepts'} what the mobile node sends",
        "its drop counter grows" if drops else "its accept counter grows, its drop counter stays 0",
        node=router,
        rules=("G9",),
        look_closer=f"ip netns exec {router} nft list table inet {TABLE}",
    )

    def right() -> str | None:
        counted = ingress.counters()
        as_promised = counted.dropped >= _ENOUGH if drops else (counted.accepted or 0) >= _ENOUGH
        return describe(ingress) if as_promised and (drops or counted.dropped == 0) else None

    found = await watch(right, claim.title)
    return claim.holds(found) if found else claim.fails(describe(ingress))


def describe(ingress: IngressFilter) -> str:
    """The filter in words: where it sits, its mode, and what it has counted since that mode was set."""
    counted = ingress.counters()
    place = f"{ingress.node.name}:{ingress.inside_interface}"
    return f"mode {ingress.mode} at {place}, {counted.accepted} packets accepted, {counted.dropped} dropped"
