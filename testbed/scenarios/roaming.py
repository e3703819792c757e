"""The journey of ``roam``, step by step: what is done to the lab, and which claims must then hold."""

from __future__ import annotations

import time
from functools import partial

from testbed.checks import arp, attacks, filtering, kernel_state, paths, registration, streams
from testbed.checks.claim import PATIENCE_S
from testbed.checks.prediction import Situation, Way, downlink, drops_home_source, uplink
from testbed.checks.registration import Secret
from testbed.evidence.mobile_ip import FOREIGN_HOME, MOBILE_FOREIGN, MOBILE_HOME, SeenRegistration
from testbed.scenarios.agent_configs import (
    FOREIGN_HOME_SPI,
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


class Roaming:
    """One mobile node's journey. The methods are the steps, to be called in the order of the story."""

    def __init__(self, lab: Lab, options: RoamOptions) -> None:
        self.lab = lab
        self.options = options
        self.keys = Keys(lab.plan)
        self.first_registration: SeenRegistration | None = None
        self.away_since_ns = 0
        self._previous_move_ns = lab.run.started_ns
        plan = lab.plan
        self.mobile = plan.node(plan.mobile_node)
        self.correspondent = plan.node(plan.correspondent)
        self.network_a, self.network_b = plan.visited
        self.reverse_tunnel = options.reverse_tunnel == "direct"
        self.ingress = "off"  # what is in force at visited network A
        cn, mn = lab.namespace(self.correspondent.name), lab.namespace(self.mobile.name)
        folder = lab.folder / "traffic"
        at_cn, at_mn = (
            Endpoint(cn, self.correspondent.address, STREAM_PORT),
            Endpoint(mn, self.mobile.address, STREAM_PORT),
        )
        self.stream = UdpStream(at_cn, at_mn, folder, rate_hz=options.stream_rate, both_ways=True)
        assert self.stream.backward is not None, "a stream both ways has a way back"
        self.down, self.up = self.stream.forward, self.stream.backward
        client, server = Endpoint(cn, self.correspondent.address, 0), Endpoint(mn, self.mobile.address, TCP_PORT)
        self.tcp = TcpConnection(client, server, folder)

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
        lab.at_the_end.append(self._stop_traffic)
        await self.stream.start()
        await self.tcp.open()

    async def at_home(self) -> None:
        plan = self.lab.plan
        async with self.lab.step("At home") as step:
            home_agent = plan.home.home_agent_address
            await self.lab.expect(
                registration.agent_heard(self.lab, home_agent, flag="H", care_of=None, since_ns=self.lab.run.started_ns)
            )
            await self._both_ways(self._situation(), step.started_ns)
            await self.lab.expect(kernel_state.no_mobility_state(self.lab))
            await self.lab.expect(kernel_state.arp_switched(self.lab, silent=False))
            await self.lab.expect(streams.tcp_advances(self.tcp))

    async def moved_without_registering(self) -> None:
        lab, network = self.lab, self.network_a
        async with lab.step(f"Moved to {network.name}, all agents silent"):
            for agent in lab.agents.values():
                agent.pause()
            lab.move(network.name)
            situation = self._situation(network, registered=False)
            await self._takes(self.down, downlink(situation, self.correspondent.name, self._walk()), ("G1",))
            await lab.expect(kernel_state.no_mobility_state(lab))

    async def registered_at_a(self) -> None:
        lab, network = self.lab, self.network_a
        what = "with a reverse tunnel" if self.reverse_tunnel else "the triangle"
        async with lab.step(f"Registered at {network.name}: {what}") as step:
            self.away_since_ns = step.started_ns
            for agent in lab.agents.values():
                agent.resume()
            await self._registered(network, step.started_ns)
            exchange = registration.accepted_at_home_agent(lab, network.care_of_address, step.started_ns)
            self.first_registration = exchange.request if exchange else None
            await self._home_agent_stands_in(step.started_ns)
            await self._both_ways(self._situation(network), time.time_ns())
            await lab.expect(streams.tcp_advances(self.tcp))
            await self._handoff(f"handoff to {network.name}", step.started_ns, "from the agents' waking")

    async def filtered_at_a(self) -> None:
        lab, network, mode = self.lab, self.network_a, self.options.ingress
        async with lab.step(f"Ingress filter '{mode}' on at {network.edge_router}"):
            lab.ingress_filter(network.name).set_mode(mode)
            self.ingress = mode
            situation = self._situation(network)
            await self._both_ways(situation, time.time_ns())
            drops = drops_home_source(mode) and not self.reverse_tunnel
            await lab.expect(filtering.counts(lab.ingress_filter(network.name), drops=drops))
            if not drops:
                lab.note(self._why_nothing_is_dropped(mode))

    async def both_directions_under_the_filter(self) -> None:
        """With a reverse tunnel unless the user said no; then this is where the run fails, as it should."""
        lab, network = self.lab, self.network_a
        broken = drops_home_source(self.ingress) and not self.reverse_tunnel
        asks = broken and self.options.reverse_tunnel == "auto"
        how = "registered again, with a reverse tunnel" if asks else "nothing changed at the mobile node"
        async with lab.step(f"Both directions under the filter: {how}") as step:
            if asks:
                self.reverse_tunnel = True
                lab.agents[self.mobile.name].reload(reverse_tunnel=True)
                await self._registered(network, step.started_ns)
            # What users want of it: packets arrive in both directions, whatever the filter does.
            wanted = self._situation(network, ingress="off")
            await self._both_ways(wanted, time.time_ns(), explain=self._filter_counters)
            await lab.expect(streams.tcp_advances(self.tcp, explain=self._filter_counters))

    async def visits_b(self) -> None:
        lab, network = self.lab, self.network_b
        async with lab.step(f"Moved on to {network.name}") as step:
            up_ns = lab.move(network.name)
            await self._registered(network, step.started_ns)
            await lab.expect(kernel_state.binding_installed(lab))
            await self._both_ways(self._situation(network), time.time_ns())
            await lab.expect(self._reachable_from_home_lan())
            await lab.expect(streams.tcp_advances(self.tcp))
            await self._handoff(f"handoff to {network.name}", up_ns, "from link up")

    async def refuses_attackers(self) -> None:
        lab = self.lab
        async with lab.step("Forged and replayed registrations"):
            forged = attacks.forged_request(lab, self.correspondent.name, MOBILE_HOME_SPI)
            await lab.expect(attacks.refused(lab, forged))
            if self.first_registration is not None:
                replayed = attacks.replayed_request(self.first_registration, self.network_a.foreign_agent)
                await lab.expect(attacks.refused(lab, replayed))

    async def home_again(self) -> None:
        lab, plan = self.lab, self.lab.plan
        async with lab.step("Home again") as step:
            away_until_ns = time.time_ns()
            up_ns = lab.move(plan.home.name)
            await lab.expect(registration.deregistered(lab, self._secrets(None), since_ns=step.started_ns))
            await self._announced_on_return(step.started_ns)
            await lab.expect(arp.silent_away(lab, since_ns=self.away_since_ns, until_ns=away_until_ns))
            await lab.expect(kernel_state.no_mobility_state(lab))
            await lab.expect(kernel_state.arp_switched(lab, silent=False))
            await self._both_ways(self._situation(), time.time_ns())
            await self._handoff("return home", up_ns, "from link up")
            await lab.expect(streams.tcp_survived(lab, self.tcp))

    # -- claims that several steps make

    async def _registered(self, network: VisitedNetwork, since_ns: int) -> None:
        lab = self.lab
        patience_s = PATIENCE_S + self._discovery_s()
        await lab.expect(
            registration.agent_heard(
                lab,
                network.agent_address,
                flag="F",
                care_of=network.care_of_address,
                since_ns=self.away_since_ns,
                patience_s=patience_s,
            )
        )
        await lab.expect(
            registration.registered_through(
                lab,
                network,
                self._secrets(network),
                reverse_tunnel=self.reverse_tunnel,
                since_ns=since_ns,
                patience_s=patience_s,
            )
        )
        await lab.expect(kernel_state.visitor_installed(lab, network, reverse_tunnel=self.reverse_tunnel))

    async def _home_agent_stands_in(self, since_ns: int) -> None:
        """Binding, announcement and proxy ARP at the home agent, and a home host that is led to it."""
        lab, home = self.lab, self.lab.plan.home
        if self.options.movement_detection == "link":
            await lab.expect(registration.solicited(lab, since_ns=since_ns))
        await lab.expect(kernel_state.binding_installed(lab))
        await lab.expect(kernel_state.arp_switched(lab, silent=True))
        await lab.expect(
            arp.announced(lab, home.home_agent, home.agent_interface, owner=home.home_agent, since_ns=since_ns)
        )
        await lab.expect(self._reachable_from_home_lan())
        await lab.expect(arp.learned_mac(lab, "home-host", owner=home.home_agent))

    async def _announced_on_return(self, since_ns: int) -> None:
        lab, home = self.lab, self.lab.plan.home
        interface = arp.interface_of(lab)
        name = self.mobile.name
        await lab.expect(arp.announced(lab, name, interface, owner=name, since_ns=since_ns))
        requests = registration.sent_requests(lab, since_ns)
        first = arp.first_announcement(lab, since_ns)
        await lab.expect(arp.announced_before(lab, first, requests[0].packet.time_ns if requests else None))
        await lab.expect(arp.announced(lab, home.home_agent, home.agent_interface, owner=name, since_ns=since_ns))
        await lab.expect(arp.learned_mac(lab, "home-host", owner=name))

    async def _both_ways(self, situation: Situation, since_ns: int, explain: streams.Explain = None) -> None:
        """Both streams take the ways that the protocol promises in this situation."""
        here, walk_here = situation, self._walk()
        triangle = not here.at_home and here.registered and not here.reverse_tunnel
        rules = ("G3",) if here.at_home else ("G8",) if triangle and here.ingress == "off" else ("G9",)
        to_mobile = downlink(here, self.correspondent.name, walk_here)
        from_mobile = uplink(here, self.correspondent.name, walk_here)
        await self._takes(self.down, to_mobile, rules, since_ns, explain)
        await self._takes(self.up, from_mobile, rules, since_ns, explain)

    async def _takes(
        self, flow: Flow, way: Way, rules: tuple[str, ...], since_ns: int | None = None, explain: streams.Explain = None
    ) -> None:
        start_ns = time.time_ns() if since_ns is None else since_ns
        await self.lab.expect(paths.takes(self.lab, flow, way, rules=rules, since_ns=start_ns, explain=explain))
        latest = paths.latest_path(self.lab, flow, start_ns)
        if latest is not None:
            self.lab.show_path(str(flow), latest.path)

    def _reachable_from_home_lan(self) -> streams.Check:
        return streams.reachable(self.lab, "home-host", self.mobile.address, rules=("G2", "H10", "H12"))

    async def _handoff(self, name: str, up_ns: int, since_what: str) -> None:
        moved = streams.measured_handoff(self.lab, self.down, up_ns, self._previous_move_ns)
        self._previous_move_ns = up_ns
        if moved is not None:
            self.lab.measure(name, moved.latency_ns / 1e6, "ms", f"{since_what} to the first packet of the stream")
            rate = f"of the stream at {self.options.stream_rate}/s"
            self.lab.measure(f"{name}: loss", moved.missing, "packets", rate)

    def _stop_traffic(self) -> None:
        self.stream.stop()
        self.tcp.close()

    # -- facts of the moment

    def _situation(
        self, network: VisitedNetwork | None = None, *, registered: bool = True, ingress: str | None = None
    ) -> Situation:
        home_agent = self.lab.plan.home.home_agent
        if network is None:
            return Situation(self.mobile.name, home_agent)
        in_force = self.ingress if network is self.network_a else "off"
        return Situation(
            self.mobile.name,
            home_agent,
            network.foreign_agent,
            network.edge_router,
            registered,
            self.reverse_tunnel,
            in_force if ingress is None else ingress,
        )

    def _walk(self) -> partial[tuple[str, ...]]:
        return partial(walk, self.lab.plan, mobile_lan=self.lab.mobile_lan())

    def _secrets(self, network: VisitedNetwork | None) -> list[Secret]:
        secrets = [Secret(MOBILE_HOME, MOBILE_HOME_SPI, bytes.fromhex(self.keys.mobile_home))]
        if network is not None:
            mobile_foreign = bytes.fromhex(self.keys.mobile_foreign[network.name])
            foreign_home = bytes.fromhex(self.keys.foreign_home[network.name])
            secrets.append(Secret(MOBILE_FOREIGN, MOBILE_FOREIGN_SPI, mobile_foreign))
            secrets.append(Secret(FOREIGN_HOME, FOREIGN_HOME_SPI, foreign_home))
        return secrets

    def _discovery_s(self) -> float:
        """The longest that it may take to notice a move and hear an agent, by the mode of movement detection."""
        if self.options.movement_detection == "link":
            return 0.0
        return 3 * self.options.advertisement_interval + 2.0  # the lifetime of an advertisement, and a solicitation

    def _filter_counters(self) -> str:
        return f"ingress filter in {filtering.describe(self.lab.ingress_filter(self.network_a.name))}"

    def _why_nothing_is_dropped(self, mode: str) -> str:
        if self.reverse_tunnel:
            return "the mobile node's packets leave inside the reverse tunnel, from an address that belongs here"
        return f"mode {mode} accepts any source to which there is a route, and the default route leads everywhere"
