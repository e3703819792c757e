"""A topology's plan with one of its prefixes exchanged: every host keeps its place in it."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Any

from testbed.errors import OptionError
from testbed.topologies.plan import TopologyPlan

# This network, loopback, link-local, and multicast with what lies above it (RFC 6890).
_NOT_FOR_HOSTS = tuple(map(IPv4Network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3")))


def renumber_home(plan: TopologyPlan, prefix: IPv4Network) -> TopologyPlan:
    """The same topology with another prefix for its home network; all else stays.

    :raises OptionError: the prefix is too small for the hosts, overlaps another network or is not usable for hosts.
    """
    old = plan.home.prefix
    if prefix == old:
        return plan
    highest = max(int(address.ip) - int(old.network_address) for address in _addresses_in(plan, old))
    if highest >= prefix.num_addresses - 1:
        raise OptionError(f"home prefix {prefix} is too small: the home network's hosts need {highest + 2} addresses")
    for unusable in _NOT_FOR_HOSTS:
        if prefix.overlaps(unusable):
            raise OptionError(f"home prefix {prefix} cannot be given to hosts: {unusable} is set apart")
    for network in sorted(_networks(plan)):
        if not network.subnet_of(old) and network.overlaps(prefix):
            raise OptionError(f"home prefix {prefix} overlaps {network}, which topology {plan.name} uses elsewhere")
    moved: TopologyPlan = _moved(plan, old, prefix)
    return moved


def _all_interfaces(plan: TopologyPlan) -> list[IPv4Interface]:
    return [interface.address for node in plan.nodes for interface in node.interfaces]


def _networks(plan: TopologyPlan) -> set[IPv4Network]:
    """Those of all links, and those that visited networks stand for: to their filters, all of these is inside."""
    return {interface.network for interface in _all_interfaces(plan)} | {network.prefix for network in plan.visited}


def _addresses_in(plan: TopologyPlan, prefix: IPv4Network) -> list[IPv4Interface]:
    return [address for address in _all_interfaces(plan) if address.ip in prefix]


def _moved(value: Any, old: IPv4Network, new: IPv4Network) -> Any:
    """A copy of plain data in which every address inside ``old`` is at the same place in ``new``."""
    if isinstance(value, IPv4Interface):
        return IPv4Interface((_moved(value.ip, old, new), new.prefixlen)) if value.ip in old else value
    if isinstance(value, IPv4Address):
        return new.network_address + (int(value) - int(old.network_address)) if value in old else value
    if isinstance(value, IPv4Network):
        return new if value == old else value
    if isinstance(value, tuple):
        return tuple(_moved(item, old, new) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        changes = {part.name: _moved(getattr(value, part.name), old, new) for part in fields(value) if part.init}
        return replace(value, **changes)
    return value
