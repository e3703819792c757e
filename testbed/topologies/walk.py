"""The way between two nodes of a plan, by the fewest hops; only routers pass things on."""

from __future__ import annotations

from collections import deque

from testbed.errors import ScenarioError
from testbed.topologies.plan import TopologyPlan


def walk(plan: TopologyPlan, start: str, end: str, *, mobile_lan: str) -> tuple[str, ...]:
    """The nodes from ``start`` to ``end``, both included, while the mobile node is plugged into ``mobile_lan``.

    :raises ScenarioError: a node does not exist, or there is no way.
    """
    neighbours = _neighbours(plan, mobile_lan)
    for name in (start, end):
        plan.node(name)  # says which name is wrong
    ways: deque[tuple[str, ...]] = deque([(start,)])
    seen = {start}
    while ways:
        way = ways.popleft()
        if way[-1] == end:
            return way
        if way[-1] != start and not plan.node(way[-1]).forwards:
            continue
        for neighbour in neighbours[way[-1]]:
            if neighbour not in seen:
                seen.add(neighbour)
                ways.append((*way, neighbour))
    raise ScenarioError(f"topology {plan.name}: there is no way from {start} to {end}")


def _neighbours(plan: TopologyPlan, mobile_lan: str) -> dict[str, list[str]]:
    neighbours: dict[str, list[str]] = {node.name: [] for node in plan.nodes}
    members: dict[str, list[str]] = {lan.name: [] for lan in plan.lans}
    for node in plan.nodes:
        for interface in node.interfaces:
            if interface.lan is not None:
                lan = mobile_lan if node.name == plan.mobile_node else interface.lan
                members[lan].append(node.name)
    for on_lan in members.values():
        for node_name in on_lan:
            neighbours[node_name] += [other for other in on_lan if other != node_name]
    for cable in plan.cables:
        first, second = cable.ends
        neighbours[first.node].append(second.node)
        neighbours[second.node].append(first.node)
    return neighbours
