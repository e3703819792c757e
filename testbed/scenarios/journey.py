"""What all steps of ``roam`` share: the traffic that goes on throughout, the facts of the moment, and the claims that
several steps make. The steps themselves are told in ``roaming.py``.
"""

from __future__ import annotations

import math
from functools import partial

from testbed.checks import arp, discovery, filtering, kernel_state, paths, registration, streams
from testbed.checks.claim import PATIENCE_S
from testbed.checks.prediction import Situation, Way, downlink, uplink
from testbed.checks.registration import Secret
from testbed.evidence.mobile_ip import FOREIGN_HOME, MOBILE_FOREIGN, MOBILE_HOME
from testbed.scenarios.agent_configs import (
    FOREIGN_HOME_SPI,
    LONGEST_LIFETIME_S,
    MOBILE_FOREIGN_SPI,
    MOBILE_HOME_SPI,
    AgentOptions,
    Keys,
    agent_configs,
)
from testbed.scenarios.lab import Lab
from testbed.scenarios.roam import RoamOptions
from testbed.topologies.plan import VisitedNetwork
from testbed.topologies.walk import walk
from testbed.traffic.program import Endpoint
from testbed.traffic.tcp_connection import TcpConnection
from testbed.traffic.udp_stream import Flow, UdpStream

STREAM_PORT = 5001
TCP_PORT = 5002


class Journey:
    """A mobile node under way in a lab, with a connection and a stream to its correspondent."""

    def __init__(self, lab: Lab, options: RoamOptions) -> None:
        self.lab = lab
        self.options = options
        self.keys = Keys(lab.plan)
        plan = lab.plan
        self.mobile = plan.node(plan.mobile_node)
        self.correspondent = plan.node(plan.correspondent)
        self.network_a, self.network_b = plan.visited
        self.reverse_tunnel = options.reverse_tunnel == "direct"
        self.ingress = "off"  # what is in force at visited network A
        self._previous_move_ns = lab.run.started_ns
        cn, mn = lab.namespace(self.correspondent.name), lab.namespace(self.mobile.name)
        folder = lab.folder / "traffic"
        at_cn = Endpoint(cn, self.correspondent.address, STREAM_PORT)
        at_mn = Endpoint(mn, self.mobile.address, STREAM_PORT)
        self.stream = UdpStream(at_cn, at_mn, folder, rate_hz=options.stream_rate, both_ways=True)
        assert self.stream.backward is not None, "a stream both ways has a way back"
        self.down, self.up = self.stream.forward, self.stream.backward
        client, server = Endpoint(cn, self.correspondent.address, 0), Endpoint(mn, self.mobile.address, TCP_PORT)
        # Slower with the stream, so that one option says how much a slow machine has to capture.
        self.tcp = TcpConnection(client, server, folder, rate_hz=options.stream_rate / 5)

    async def set_up(self) -> None:
        """Start the agents, then the traffic that goes on to the end."""
        lab, options = self.lab, self.options
        lab.listener.progress("starting agents")
        agent_options = AgentOptions(
            lifetime_s=options.lifetime,
            reverse_tunnel=self.reverse_tunnel,
            movement_detection=options.movement_detection,
            advertisement_interval_s=options.advertisement_interval,
            tunnel_driver=lab.tunnel_driver,
        )
        await lab.start_agents(agent_configs(lab.plan, self.keys, agent_options))
        lab.listener.progress("starting traffic")
        lab.at_the_end.callback(self.stream.stop)
        await self.stream.start()
        lab.at_the_end.callback(self.tcp.close)
        await self.tcp.open()

    # -- claims that several steps make

    async def agent_found(self, network: VisitedNetwork, since_ns: int) -> None:
        """The mobile node asks for agents, where that is its way to notice a move, and hears the one that is here."""
        if self.options.movement_detection == "link":
            await self.lab.expect(discovery.solicited(self.lab, since_ns=since_ns))
        await self.lab.expect(
            discovery.agent_heard(
                self.lab,
                network.agent_address,
                flag="F",
                care_of=network.care_of_address,
                since_ns=since_ns,
                patience_s=self.patience_s(),
            )
        )

    async def registered(self, network: VisitedNetwork, since_ns: int) -> None:
        """The registration as the options want it, on the wire and in the foreign agent's kernel."""
        await self.lab.expect(
            registration.registered_through(
                self.lab,
                network,
                self.secrets(network),
                lifetime_s=min(self.options.lifetime, LONGEST_LIFETIME_S),
                reverse_tunnel=self.reverse_tunnel,
                since_ns=since_ns,
                patience_s=self.patience_s(),
            )
        )
        await self.lab.expect(kernel_state.visitor_installed(self.lab, network, reverse_tunnel=self.reverse_tunnel))

    async def home_agent_stands_in(self, since_ns: int) -> None:
        """Binding, announcement and proxy ARP at the home agent, and a home host that is led to it."""
        lab, home = self.lab, self.lab.plan.home
        await lab.expect(kernel_state.binding_installed(lab))
        await lab.expect(kernel_state.arp_switched(lab, silent=True))
        await lab.expect(
            arp.announced(lab, home.home_agent, home.agent_interface, owner=home.home_agent, since_ns=since_ns)
        )
        await lab.expect(self.reachable_from_home_lan())
        await lab.expect(arp.learned_mac(lab, "home-host", owner=home.home_agent))

    async def announced_on_return(self, since_ns: int) -> None:
        """First the mobile node, then the home agent, lead the home network back to the mobile node."""
        lab, home = self.lab, self.lab.plan.home
        name = self.mobile.name
        await lab.expect(arp.announced(lab, name, arp.interface_of(lab), owner=name, since_ns=since_ns))
        requests = registration.sent_requests(lab, since_ns)
        # A request to the foreign agent may come first, where the mobile node has not yet noticed that it moved.
        deregistered_ns = next((one.packet.time_ns for one in requests if one.deregisters), None)
        await lab.expect(arp.announced_before(lab, deregistered_ns, since_ns=since_ns))
        await lab.expect(arp.announced(lab, home.home_agent, home.agent_interface, owner=name, since_ns=since_ns))
        await lab.expect(arp.learned_mac(lab, "home-host", owner=name))

    async def both_ways(self, situation: Situation, since_ns: int, explain: streams.Explain = None) -> None:
        """Both streams take the ways that the protocol promises in this situation."""
        rules = _rules(situation)
        await self.takes(self.down, self.promised_downlink(situation), rules, since_ns)
        to_correspondent = uplink(situation, self.correspondent.name, self._walk())
        await self.takes(self.up, to_correspondent, rules, since_ns, explain)

    async def takes(
        self, flow: Flow, way: Way, rules: tuple[str, ...], since_ns: int, explain: streams.Explain = None
    ) -> None:
        """A stream takes a way; shows the reader the way that it took."""
        result, latest = await paths.takes(self.lab, flow, way, rules=rules, since_ns=since_ns, explain=explain)
        self.lab.record(result)
        if latest is not None:
            self.lab.show_path(str(flow), latest.path)

    def reachable_from_home_lan(self) -> streams.Check:
        return streams.reachable(self.lab, "home-host", self.mobile.address, rules=("G2", "H10", "H12"))

    async def handoff(self, name: str, up_ns: int, since_what: str) -> None:
        """Measure what the latest move did to the stream towards the mobile node."""
        moved = streams.measured_handoff(self.lab, self.down, up_ns, self._previous_move_ns)
        self._previous_move_ns = up_ns
        if moved is None:
            self.lab.note(f"{name}: no packet of the stream has arrived, so there is nothing to measure")
            return
        self.lab.measure(name, moved.latency_ns / 1e6, "ms", f"{since_what} to the first packet of the stream")
        self.lab.measure(f"{name}: loss", moved.missing, "packets", f"of the stream at {self.options.stream_rate}/s")

    # -- facts of the moment

    def situation(
        self, network: VisitedNetwork | None = None, *, registered: bool = True, ingress: str | None = None
    ) -> Situation:
        """Where the mobile node is (None: at home) and what is in force there; ``ingress`` overrules the latter."""
        if network is None:
            return Situation(self.mobile.name, self.lab.plan.home)
        in_force = self.ingress if network is self.network_a else "off"
        return Situation(
            self.mobile.name,
            self.lab.plan.home,
            network,
            registered,
            self.reverse_tunnel,
            in_force if ingress is None else ingress,
        )

    def promised_downlink(self, situation: Situation) -> Way:
        return downlink(situation, self.correspondent.name, self._walk())

    def secrets(self, network: VisitedNetwork | None = None) -> list[Secret]:
        """What authenticates the mobile node's messages: with its home agent, and with a foreign agent between."""
        secrets = [Secret(MOBILE_HOME, MOBILE_HOME_SPI, bytes.fromhex(self.keys.mobile_home))]
        if network is not None:
            mobile_foreign = bytes.fromhex(self.keys.mobile_foreign[network.name])
            foreign_home = bytes.fromhex(self.keys.foreign_home[network.name])
            secrets.append(Secret(MOBILE_FOREIGN, MOBILE_FOREIGN_SPI, mobile_foreign))
            secrets.append(Secret(FOREIGN_HOME, FOREIGN_HOME_SPI, foreign_home))
        return secrets

    def patience_s(self) -> float:
        """How long a move may take to show: what it takes to notice it depends on the mode of movement detection."""
        if self.options.movement_detection == "link":
            return PATIENCE_S
        # The lifetime of the advertisement last heard, in whole seconds, and a solicitation.
        return PATIENCE_S + math.ceil(3 * self.options.advertisement_interval) + 1.0

    def filter_counters(self) -> str:
        return f"ingress filter in {filtering.describe(self.lab.ingress_filter(self.network_a.name))}"

    def _walk(self) -> partial[tuple[str, ...]]:
        return partial(walk, self.lab.plan, mobile_lan=self.lab.mobile_lan())


def _rules(situation: Situation) -> tuple[str, ...]:
    """The promises that the ways in a situation stand for."""
    if situation.visited is None:
        return ("G3",)
    return ("G8",) if situation.triangle and situation.ingress == "off" else ("G9",)
