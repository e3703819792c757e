"""Roam's own options: a home prefix that cannot be is refused before anything is built."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from testbed.errors import OptionError, ScenarioError
from testbed.scenarios import catalogue
from testbed.scenarios.options import parse_settings
from testbed.scenarios.roam import RoamOptions


def test_the_home_network_moves_to_another_prefix_with_its_hosts_in_place() -> None:
    plan = parse_settings(RoamOptions, ["home_prefix=10.7.0.0/16"]).plan()
    assert plan.node("mn").address == IPv4Address("10.7.0.10")
    assert plan.home.home_agent_address == IPv4Address("10.7.0.1")


@pytest.mark.parametrize(
    ("prefix", "complaint"),
    [
        ("192.0.2.0/28", "too small"),
        ("203.0.113.0/24", "overlaps 203.0.113.0/26"),
        ("198.51.100.96/27", "overlaps 198.51.100.0/25"),  # on no link, but inside for visited-a's filter
        ("224.0.0.0/24", "cannot be given to hosts"),
        ("126.0.0.0/7", "cannot be given to hosts: 127.0.0.0/8 is set apart"),
        ("0.0.0.0/8", "cannot be given to hosts"),
    ],
)
def test_a_home_prefix_that_cannot_be_is_refused(prefix: str, complaint: str) -> None:
    with pytest.raises(OptionError, match=complaint):
        parse_settings(RoamOptions, [f"home_prefix={prefix}"])


def test_an_unknown_scenario_is_refused_with_the_closest_name() -> None:
    with pytest.raises(ScenarioError, match=r"unknown scenario 'raom' \(did you mean 'roam'\?\)"):
        catalogue.get("raom")


def test_every_scenario_can_be_listed() -> None:
    for name in catalogue.names():
        scenario = catalogue.get(name)
        assert scenario.name == name
        assert scenario.title
        assert scenario.description
