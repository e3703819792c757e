"""Roam: one mobile node visits two networks and comes home, and every promise on the way is checked."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from testbed.scenarios.catalogue import scenario
from testbed.scenarios.options import option
from testbed.topologies import catalogue as topologies
from testbed.topologies.plan import TopologyPlan
from testbed.topologies.renumber import renumber_home

if TYPE_CHECKING:
    from testbed.scenarios.lab import Lab

TOPOLOGY = "two-visited"
FILTERS = ("off", "acl", "strict", "loose")


@dataclass(frozen=True)
class RoamOptions:
    """What can be varied in ``roam``."""

    ingress: str = option(
        "acl", choices=FILTERS, help="ingress filter switched on at visited network A's edge router; off keeps it off"
    )
    reverse_tunnel: str = option(
        "auto",
        choices=("auto", "off", "direct"),
        help="auto: asked for once the filter drops the mobile node's packets; direct: asked for from the start",
    )
    movement_detection: str = option(
        "link", choices=("link", "lazy", "prefix", "eager"), help="how the mobile node notices that it has moved"
    )
    lifetime: int = option(30, minimum=5, maximum=65534, help="registration lifetime asked for, in seconds")
    advertisement_interval: float = option(
        1.0, minimum=0.05, maximum=10.0, help="mean time between agent advertisements, in seconds"
    )
    stream_rate: int = option(100, minimum=10, maximum=1000, help="packets a second each way in the UDP stream")
    home_prefix: IPv4Network = option(
        IPv4Network("192.0.2.0/24"), help="prefix of the home network; the hosts keep their place in it"
    )

    def __post_init__(self) -> None:
        self.plan()  # says what is wrong with the prefix before anything is built

    def plan(self) -> TopologyPlan:
        """The topology with these options in force."""
        return renumber_home(topologies.get(TOPOLOGY), self.home_prefix)


@scenario(
    "roam",
    title="A mobile node visits two networks and comes home, through an ingress filter",
    topology=TOPOLOGY,
    options=RoamOptions,
)
async def SCENARIO(lab: Lab, options: RoamOptions) -> None:  # noqa: N802 - the decorator turns it into a Scenario
    """A mobile node starts at home, visits two foreign networks and returns.

    While it moves, a correspondent keeps a TCP connection and a numbered UDP stream with it. On the way an ingress
    filter is switched on at the first visited network's edge router, which breaks the triangle, and a reverse tunnel
    mends it. Every step is judged from captured packets and kernel state.
    """
    from testbed.scenarios.roaming import Roaming

    journey = Roaming(lab, options)
    await journey.set_up()
    await journey.at_home()
    await journey.moved_without_registering()
    await journey.registered_at_a()
    if options.ingress != "off":
        await journey.filtered_at_a()
        await journey.both_directions_under_the_filter()
    await journey.visits_b()
    await journey.refuses_attackers()
    await journey.home_again()
