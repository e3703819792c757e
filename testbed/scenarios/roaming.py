"""The journey of ``roam``, step by step: what is done to the lab, and which claims must then hold."""

from __future__ import annotations

import time

from testbed.checks import arp, attacks, discovery, filtering, kernel_state, registration, streams
from testbed.checks.prediction import drops_home_source
from testbed.evidence.mobile_ip import SeenRegistration
from testbed.scenarios.agent_configs import MOBILE_HOME_SPI
from testbed.scenarios.journey import Journey
from testbed.scenarios.lab import Lab
from testbed.scenarios.roam import RoamOptions


class Roaming(Journey):
    """One mobile node's journey. The methods are the steps, to be called in the order of the story."""

    def __init__(self, lab: Lab, options: RoamOptions) -> None:
        super().__init__(lab, options)
        self._first_registration: SeenRegistration | None = None
        self._away_since_ns = 0

    async def at_home(self) -> None:
        lab, home = self.lab, self.lab.plan.home
        async with lab.step("At home") as step:
            await lab.expect(
                discovery.agent_heard(lab, home.home_agent_address, flag="H", care_of=None, since_ns=lab.run.started_ns)
            )
            await self.both_ways(self.situation(), step.started_ns)
            await lab.expect(kernel_state.no_mobility_state(lab))
            await lab.expect(kernel_state.arp_switched(lab, silent=False))
            await lab.expect(streams.tcp_advances(self.tcp))

    async def moved_without_registering(self) -> None:
        lab, network = self.lab, self.network_a
        async with lab.step(f"Moved to {network.name}, all agents silent"):
            for agent in lab.agents.values():
                agent.pause()
            lab.move(network.name)
            way = self.promised_downlink(self.situation(network, registered=False))
            await self.takes(self.down, way, ("G1",), time.time_ns())
            await lab.expect(kernel_state.no_mobility_state(lab))

    async def registered_at_a(self) -> None:
        lab, network = self.lab, self.network_a
        what = "with a reverse tunnel" if self.reverse_tunnel else "the triangle"
        async with lab.step(f"Registered at {network.name}: {what}") as step:
            self._away_since_ns = step.started_ns
            for agent in lab.agents.values():
                agent.resume()
            await self.agent_found(network, step.started_ns)
            await self.registered(network, step.started_ns)
            exchange = registration.accepted_at_home_agent(lab, network.care_of_address, step.started_ns)
            self._first_registration = exchange.request if exchange else None
            await self.home_agent_stands_in(step.started_ns)
            await self.both_ways(self.situation(network), time.time_ns())
            await lab.expect(streams.tcp_advances(self.tcp))
            await self.handoff(f"handoff to {network.name}", step.started_ns, "from the agents' waking")

    async def filtered_at_a(self) -> None:
        lab, network, mode = self.lab, self.network_a, self.options.ingress
        async with lab.step(f"Ingress filter '{mode}' on at {network.edge_router}"):
            lab.ingress_filter(network.name).set_mode(mode)
            self.ingress = mode
            await self.both_ways(self.situation(network), time.time_ns())
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
                await self.registered(network, step.started_ns)
            # What users want of it: packets arrive in both directions, whatever the filter does.
            wanted = self.situation(network, ingress="off")
            await self.both_ways(wanted, time.time_ns(), explain=self.filter_counters)
            await lab.expect(kernel_state.binding_installed(lab))
            await lab.expect(streams.tcp_advances(self.tcp, explain=self.filter_counters))

    async def visits_b(self) -> None:
        lab, network = self.lab, self.network_b
        async with lab.step(f"Moved on to {network.name}") as step:
            up_ns = lab.move(network.name)
            await self.agent_found(network, step.started_ns)
            await self.registered(network, step.started_ns)
            await self.both_ways(self.situation(network), time.time_ns())
            # Not before packets come through the new tunnel: until then the one tunnel may still be the old one.
            await lab.expect(kernel_state.binding_installed(lab))
            await lab.expect(self.reachable_from_home_lan())
            await lab.expect(streams.tcp_advances(self.tcp))
            await self.handoff(f"handoff to {network.name}", up_ns, "from link up")

    async def refuses_attackers(self) -> None:
        lab = self.lab
        async with lab.step("Forged and replayed registrations"):
            forged = attacks.forged_request(lab, self.correspondent.name, MOBILE_HOME_SPI)
            await lab.expect(attacks.refused(lab, forged))
            if self._first_registration is not None:
                replayed = attacks.replayed_request(self._first_registration, self.network_a.foreign_agent)
                await lab.expect(attacks.refused(lab, replayed))
            else:
                lab.note("nothing is replayed: no registration has been captured")
            still = self.promised_downlink(self.situation(self.network_b))
            await self.takes(self.down, still, ("G15",), time.time_ns())

    async def home_again(self) -> None:
        lab = self.lab
        async with lab.step("Home again") as step:
            away_until_ns = time.time_ns()
            up_ns = lab.move(lab.plan.home.name)
            await lab.expect(
                registration.deregistered(lab, self.secrets(), since_ns=step.started_ns, patience_s=self.patience_s())
            )
            await self.announced_on_return(step.started_ns)
            abroad = registration.sent_requests(lab, self._away_since_ns)
            abroad_since_ns = abroad[0].packet.time_ns if abroad else None
            await lab.expect(arp.silent_away(lab, since_ns=abroad_since_ns, until_ns=away_until_ns))
            await lab.expect(kernel_state.no_mobility_state(lab))
            await lab.expect(kernel_state.arp_switched(lab, silent=False))
            await self.both_ways(self.situation(), time.time_ns())
            await lab.expect(self.reachable_from_home_lan())
            await self.handoff("return home", up_ns, "from link up")
            await lab.expect(streams.tcp_advances(self.tcp))
            await lab.expect(streams.tcp_survived(lab, self.tcp))

    def _why_nothing_is_dropped(self, mode: str) -> str:
        if self.reverse_tunnel:
            return "the mobile node's packets leave inside the reverse tunnel, from an address that belongs here"
        return f"mode {mode} accepts any source to which there is a route, and the default route leads everywhere"
