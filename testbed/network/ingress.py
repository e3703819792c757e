"""The provider's ingress filter: does a packet from inside carry a source address that belongs there?

Responsible for the four modes on one edge router, for switching between them while packets flow, and for the counters
that prove what the filter did. Which router filters, and what the customer's prefixes are, the caller knows.

=========  ==========================================================================================================
``off``    everything passes, and is counted
``acl``    only sources inside the customer's prefixes pass (RFC 2827, BCP 38; RFC 3704 section 2.1)
``strict`` only sources that the router would route back out of the same interface pass (RFC 3704 section 2.2)
``loose``  only sources that the router has any route to pass (RFC 3704 section 2.4). A default route counts as one, as
           in the kernel's own rp_filter; behind a default route this mode therefore stops only what the router holds
           an unreachable route for. The variant of RFC 3704 that ignores default routes is not offered.
=========  ==========================================================================================================

Packets are judged when they come in by the inside interface, before routing, those for the router itself included.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network
from typing import Literal

from testbed.errors import KernelRefused, OptionError
from testbed.network.mininet_node import NetlinkNode

TABLE = "ingress_filter"
_ACCEPTED, _DROPPED = "accepted", "dropped"


class IngressMode(StrEnum):
    """What is asked of a source address; see the module."""

    OFF = "off"
    ACL = "acl"
    STRICT = "strict"
    LOOSE = "loose"


Flavour = Literal["nftables", "rp_filter"]
_RP_FILTER = {IngressMode.OFF: 0, IngressMode.STRICT: 1, IngressMode.LOOSE: 2}


@dataclass(frozen=True)
class IngressCounters:
    """What came in by the inside interface since the mode was set. The rp_filter flavour counts dropped packets only;
    what nobody counts is None."""

    accepted: int | None
    dropped: int
    accepted_bytes: int | None = None
    dropped_bytes: int | None = None


class IngressFilter:
    """The filter of one edge router. It is off, and not even there, until a mode is set.

    ``flavour`` ``nftables`` is a table named ``ingress_filter`` with a counter for each verdict; ``rp_filter`` is the
    sysctl of the inside interface, which has no ``acl``.
    """

    def __init__(
        self,
        node: NetlinkNode,
        inside_interface: str,
        inside_prefixes: Sequence[IPv4Network],
        flavour: Flavour = "nftables",
    ) -> None:
        node.index(inside_interface)  # an unknown interface is an error now, not a filter that never matches
        if not inside_prefixes:
            raise OptionError("an ingress filter needs at least one prefix that is inside", node=node.name)
        self.node = node
        self.inside_interface = inside_interface
        self.inside_prefixes = tuple(inside_prefixes)
        self.flavour = flavour
        self._mode = IngressMode.OFF
        self._installed = False
        self._dropped_before = self._rp_filter_drops() if flavour == "rp_filter" else 0

    @property
    def mode(self) -> IngressMode:
        """The mode in force."""
        return self._mode

    def set_mode(self, mode: IngressMode | str) -> None:
        """Switch, in one transaction: no packet sees half a filter. Counters start at 0, also for the same mode again.

        Raises ``OptionError`` for an unknown mode, ``CommandFailed`` or ``KernelRefused`` where the kernel will not.
        """
        wanted = _parsed(mode)
        if self.flavour == "nftables":
            self.node.namespace.run(["nft", "-f", "-"], stdin=self.ruleset(wanted))
            self._installed = True
        else:
            self._set_rp_filter(wanted)
        self._mode = wanted

    def ruleset(self, mode: IngressMode) -> str:
        """What ``nft -f`` is given for a mode: the old table out, the new one in."""
        verdicts = "\n".join(f"    {rule}" for rule in self._rules(mode))
        return f"""table inet {TABLE}
delete table inet {TABLE}
table inet {TABLE} {{
  counter {_ACCEPTED} {{ }}
  counter {_DROPPED} {{ }}
  chain from_inside {{
    type filter hook prerouting priority raw; policy accept;
    iifname != "{self.inside_interface}" return
{verdicts}
  }}
}}
"""

    def _rules(self, mode: IngressMode) -> list[str]:
        accept = f'counter name "{_ACCEPTED}" accept'
        drop = f'counter name "{_DROPPED}" drop'
        prefixes = ", ".join(str(prefix) for prefix in self.inside_prefixes)
        conditions = {
            IngressMode.ACL: f"ip saddr {{ {prefixes} }}",
            IngressMode.STRICT: "fib saddr . iif oif exists",
            IngressMode.LOOSE: "fib saddr oif exists",
        }
        return [accept] if mode is IngressMode.OFF else [f"{conditions[mode]} {accept}", drop]

    def counters(self) -> IngressCounters:
        """What has been counted since the mode was set; reading changes nothing."""
        if self.flavour == "rp_filter":
            return IngressCounters(accepted=None, dropped=self._rp_filter_drops() - self._dropped_before)
        if not self._installed:
            return IngressCounters(0, 0, 0, 0)
        listed = self.node.namespace.run(["nft", "-j", "list", "counters", "table", "inet", TABLE]).stdout
        found = {
            item["counter"]["name"]: item["counter"] for item in json.loads(listed)["nftables"] if "counter" in item
        }
        accepted, dropped = found[_ACCEPTED], found[_DROPPED]
        return IngressCounters(accepted["packets"], dropped["packets"], accepted["bytes"], dropped["bytes"])

    def remove(self) -> None:
        """Take the filter away, table and all."""
        self.set_mode(IngressMode.OFF)
        if self._installed:
            self.node.namespace.run(["nft", "delete", "table", "inet", TABLE])
            self._installed = False

    def _set_rp_filter(self, mode: IngressMode) -> None:
        if mode not in _RP_FILTER:
            raise OptionError(
                "the rp_filter flavour has no mode acl; expected off, strict or loose", node=self.node.name
            )
        namespace = self.node.namespace
        if namespace.read_sysctl("net/ipv4/conf/all/rp_filter") != "0":
            # The kernel takes the larger of the two values: another one here would overrule the mode.
            raise KernelRefused("net/ipv4/conf/all/rp_filter is not 0 and would overrule the mode", node=self.node.name)
        namespace.write_sysctl(f"net/ipv4/conf/{self.inside_interface}/rp_filter", _RP_FILTER[mode])
        self._dropped_before = self._rp_filter_drops()

    def _rp_filter_drops(self) -> int:
        """TcpExt:IPReversePathFilter of the router's namespace (only the inside interface has rp_filter set)."""
        with self.node.namespace.entered(), open("/proc/thread-self/net/netstat") as file:
            rows = [line.split() for line in file if line.startswith("TcpExt:")]
        return int(dict(zip(*rows, strict=True))["IPReversePathFilter"])


def _parsed(mode: IngressMode | str) -> IngressMode:
    try:
        return IngressMode(mode)
    except ValueError:
        raise OptionError(f"ingress filter mode {mode}: expected one of {', '.join(IngressMode)}") from None
