"""What the protocol promises in each situation, held against ways written out by hand."""

from __future__ import annotations

from functools import partial

import pytest

from testbed.checks.prediction import Situation, downlink, drops_home_source, uplink
from testbed.topologies.two_visited import PLAN
from testbed.topologies.walk import walk

HOME = partial(walk, PLAN, mobile_lan="lan-home")
AWAY = partial(walk, PLAN, mobile_lan="lan-a")


def away(*, registered: bool = True, reverse_tunnel: bool = False, ingress: str = "off") -> Situation:
    return Situation("mn", PLAN.home, PLAN.visited_network("visited-a"), registered, reverse_tunnel, ingress)


def test_at_home_packets_go_directly() -> None:
    at_home = Situation("mn", PLAN.home)
    assert str(downlink(at_home, "cn", HOME)) == "cn → cn-router → core → home-router → mn"
    assert str(uplink(at_home, "cn", HOME)) == "mn → home-router → core → cn-router → cn"


def test_without_a_registration_packets_die_at_the_home_router() -> None:
    way = downlink(away(registered=False), "cn", AWAY)
    assert str(way) == "cn → cn-router → core → home-router"
    assert not way.arrives


def test_forward_tunnelling_alone_gives_the_triangle() -> None:
    assert str(downlink(away(), "cn", AWAY)) == "cn → cn-router → core → home-router ⇒ core ⇒ edge-a ⇒ fa-a → mn"
    assert str(uplink(away(), "cn", AWAY)) == "mn → fa-a → edge-a → core → cn-router → cn"


def test_packets_in_a_tunnel_bear_the_addresses_of_its_ends_and_others_bear_none() -> None:
    assert str(downlink(away(), "cn", AWAY).outer) == "192.0.2.1 > 198.51.100.66"
    assert uplink(away(), "cn", AWAY).outer is None
    assert str(uplink(away(reverse_tunnel=True), "cn", AWAY).outer) == "198.51.100.66 > 192.0.2.1"


@pytest.mark.parametrize("mode", ["acl", "strict"])
def test_a_filter_on_source_addresses_ends_the_uplink_at_the_edge_router(mode: str) -> None:
    way = uplink(away(ingress=mode), "cn", AWAY)
    assert str(way) == "mn → fa-a → edge-a"
    assert way.lost_because == "the ingress filter of edge-a drops its source"
    assert downlink(away(ingress=mode), "cn", AWAY).arrives


def test_a_reverse_tunnel_passes_every_filter() -> None:
    for mode in ("off", "acl", "strict", "loose"):
        way = uplink(away(reverse_tunnel=True, ingress=mode), "cn", AWAY)
        assert str(way) == "mn → fa-a ⇒ edge-a ⇒ core ⇒ home-router → core → cn-router → cn"
        assert way.path.tunnels == (("fa-a", "home-router"),)


def test_loose_filtering_lets_the_home_address_pass() -> None:
    assert not drops_home_source("loose")
    assert uplink(away(ingress="loose"), "cn", AWAY).arrives
