"""``testbed show``: a scenario or a topology, as a drawing, a plan of addresses and a list of options."""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from testbed.cli import output, suggestions
from testbed.cli.tables import table
from testbed.errors import ScenarioError
from testbed.reports.drawing import draw
from testbed.reports.wording import Marks, marks_for
from testbed.scenarios import catalogue as scenarios
from testbed.scenarios.catalogue import Scenario
from testbed.scenarios.options import describe
from testbed.topologies import catalogue as topologies
from testbed.topologies.plan import Role, TopologyPlan

_ROLE_LABELS = {
    Role.MOBILE_NODE: ("mobile node",),
    Role.HOME_AGENT: ("home agent",),
    Role.FOREIGN_AGENT: ("foreign agent",),
    Role.EDGE_ROUTER: ("edge router",),
    Role.CORRESPONDENT: ("correspondent",),
}


def show(name: str, *, as_json: bool) -> int:
    """Print what is known of a scenario, its topology included, or of a topology alone.

    :raises ScenarioError: there is neither a scenario nor a topology of that name.
    """
    known = [*scenarios.names(), *topologies.names()]
    if name not in known:
        raise ScenarioError(f"unknown scenario or topology '{name}'", hint=suggestions.hint(name, known))
    scenario = scenarios.get(name) if name in scenarios.names() else None
    plan = topologies.get(scenario.topology if scenario else name)
    if as_json:
        shown = {"scenario": _scenario_json(scenario) if scenario else None, "topology": asdict(plan)}
        output.say_utf8(json.dumps(shown, indent=2, ensure_ascii=False, default=str) + "\n")
        return 0
    marks = marks_for(sys.stdout.encoding)
    for line in _told(scenario, plan, output.terminal_width(sys.stdout), marks):
        output.say(marks.text(line))
    return 0


def _told(scenario: Scenario | None, plan: TopologyPlan, width: int, marks: Marks) -> Iterator[str]:
    if scenario:
        yield from _scenario_lines(scenario, width)
    yield from (*textwrap.wrap(f"Topology {plan.name}: {plan.title}", width), "")
    yield from (*draw(*_graph(plan), width=width, marks=marks), "")
    yield from (*_network_lines(plan, width), "")
    yield from _address_lines(plan, width)
    if scenario:
        yield from ("", *_option_lines(scenario, width))


def _scenario_json(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "description": scenario.description,
        "topology": scenario.topology,
        "options": [asdict(option) for option in describe(scenario.options)],
    }


def _scenario_lines(scenario: Scenario, width: int) -> Iterator[str]:
    yield from textwrap.wrap(f"Scenario {scenario.name}: {scenario.title}", width)
    for paragraph in inspect.cleandoc(scenario.description).split("\n\n"):
        yield from ("", *textwrap.wrap(paragraph, width))
    yield ""


def _graph(plan: TopologyPlan) -> tuple[list[tuple[str, str]], dict[str, list[str]]]:
    """Who is linked with whom, and what is written for each: a role where the name alone does not tell."""
    links = [(cable.ends[0].node, cable.ends[1].node) for cable in plan.cables]
    links += [(node.name, lan.name) for lan in plan.lans for node, _ in plan.plugged_into(lan.name)]
    labels = {node.name: [node.name, *_ROLE_LABELS.get(node.role, ())] for node in plan.nodes}
    labels |= {lan.name: [f"[{lan.name}]", str(lan.prefix)] for lan in plan.lans}
    return links, labels


def _network_lines(plan: TopologyPlan, width: int) -> list[str]:
    home = plan.home
    rows = [(home.name, str(home.prefix), home.lan, f"home agent {home.home_agent} ({home.home_agent_address})")]
    for visited in plan.visited:
        told = (
            f"foreign agent {visited.foreign_agent}, care-of address {visited.care_of_address}, "
            f"ingress filter at {visited.edge_router}:{visited.inside_interface}"
        )
        rows.append((visited.name, str(visited.prefix), visited.lan, told))
    return ["Networks", *table(rows, width=width, indent="  ")]


def _address_lines(plan: TopologyPlan, width: int) -> list[str]:
    peers = {}
    for cable in plan.cables:
        one, other = cable.ends
        peers[one.node, one.interface] = f"{other.node}:{other.interface}"
        peers[other.node, other.interface] = f"{one.node}:{one.interface}"
    rows = [
        (node.name, interface.name, str(interface.address), interface.lan or peers[node.name, interface.name])
        for node in plan.nodes
        for interface in node.interfaces
    ]
    heading = ("node", "interface", "address", "linked with")
    return ["Addresses", *table([heading, *rows], width=width, indent="  ")]


def _option_lines(scenario: Scenario, width: int) -> list[str]:
    rows = [
        (f"{option.name}={option.default}", f"{option.help} ({option.expected})")
        for option in describe(scenario.options)
    ]
    return ["Options, with their defaults (--set KEY=VALUE)", *table(rows, width=width, indent="  ")]
