"""A lab while a scenario runs in it: its network, agents and captures, told in steps and judged by checks.

What a scenario may do to a lab is here: start agents, move the mobile node, switch a filter, take steps, hold claims.
Building the network is :mod:`testbed.topologies.build`, beginning and ending a run is ``runner.py``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

from testbed.errors import ScenarioError
from testbed.evidence.capture import Capture
from testbed.evidence.kernel import take_snapshot
from testbed.evidence.kernel_state import KernelSnapshot
from testbed.evidence.packets import PacketLog
from testbed.evidence.trace import Path as TracedPath
from testbed.network.ingress import IngressFilter
from testbed.network.mininet_net import LabNet
from testbed.network.netns import Namespace
from testbed.reports.result import CheckResult, Measure, PathResult, RunListener, RunResult, StepResult
from testbed.scenarios.agent_process import OUR_AGENT, AgentProcess, Config
from testbed.topologies.plan import TopologyPlan


class Lab:
    """One running lab.

    ``plan`` is the plan of addresses, ``net`` a real Mininet object, ``packets`` all packets captured so far (see
    :meth:`refresh`), ``run`` the result in the making, ``folder`` the run's folder. ``agent_programs``
    names, by role, programs that stand in for ours.
    """

    def __init__(
        self,
        plan: TopologyPlan,
        net: LabNet,
        capture: Capture,
        run: RunResult,
        folder: Path,
        listener: RunListener,
        *,
        tunnel_driver: str,
        agent_programs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.plan = plan
        self.net = net
        self.capture = capture
        self.packets = PacketLog(capture.files)
        self.run = run
        self.folder = folder
        self.listener = listener
        self.tunnel_driver = tunnel_driver
        self.agent_programs = agent_programs or {}
        self.agents: dict[str, AgentProcess] = {}
        self.at_the_end = ExitStack()  # what a scenario started, ended before the agents are
        self.mobile_network = plan.home.name
        self._filters: dict[str, IngressFilter] = {}
        self._step: StepResult | None = None

    # -- looking

    def namespace(self, node: str) -> Namespace:
        """The network namespace of a node.

        :raises ScenarioError: there is no such node.
        """
        if node not in self.net:
            raise ScenarioError(f"no node '{node}'", hint="there are: " + ", ".join(sorted(self.net)))
        found: Namespace = self.net.get(node).namespace
        return found

    def snapshot(self, node: str) -> KernelSnapshot:
        """What the kernel of a node holds now: addresses, routes, rules, neighbours, links."""
        return take_snapshot(self.namespace(node))

    def refresh(self) -> None:
        """Bring ``packets`` up to date with everything that crossed an interface before the call."""
        self.capture.require_alive()
        self.capture.settle()
        self.packets.refresh()

    def mobile_lan(self) -> str:
        """The LAN that the mobile node is plugged into."""
        return self.lan_of(self.mobile_network)

    def lan_of(self, network: str) -> str:
        """The access LAN of the home network or of a visited one.

        :raises ScenarioError: there is no such network.
        """
        return self.plan.home.lan if network == self.plan.home.name else self.plan.visited_network(network).lan

    # -- doing

    async def start_agents(self, configs: dict[str, tuple[str, Config]]) -> None:
        """Start an agent in each node named, given its role and configuration, and wait until all are ready."""
        folder = self.folder / "agents"
        folder.mkdir(exist_ok=True)
        for node, (role, config) in configs.items():
            program = self.agent_programs.get(role, OUR_AGENT)
            self.agents[node] = AgentProcess(node, role, self.namespace(node), config, folder, program)
        for agent in self.agents.values():
            agent.start()
        for agent in self.agents.values():
            await agent.ready()

    def stop_agents(self) -> None:
        """Tell all agents to leave, then wait for each."""
        for agent in self.agents.values():
            agent.ask_to_stop()
        for agent in self.agents.values():
            agent.stop()

    def move(self, network: str) -> int:
        """Move the mobile node's cable to another network; the node sees its carrier go down and up.

        :returns: Unix nanoseconds just before the new link came up.
        """
        node, old, new = self.plan.mobile_node, self.mobile_lan(), self.lan_of(network)
        self.net.unplug(node, old)
        up_ns = time.time_ns()
        self.net.plug(node, new)
        self.mobile_network = network
        return up_ns

    def ingress_filter(self, network: str) -> IngressFilter:
        """The filter at the edge router of a visited network."""
        if network not in self._filters:
            visited = self.plan.visited_network(network)
            edge = self.net.get(visited.edge_router)
            self._filters[network] = IngressFilter(edge, visited.inside_interface, [visited.prefix])
        return self._filters[network]

    # -- telling

    @asynccontextmanager
    async def step(self, title: str) -> AsyncIterator[StepResult]:
        """One step of the story; checks held inside belong to it."""
        step = StepResult(len(self.run.steps) + 1, title, time.time_ns())
        self.run.steps.append(step)
        self._step = step
        self.listener.step_started(step)
        try:
            yield step
        except (KeyboardInterrupt, asyncio.CancelledError):
            step.error = "interrupted"
            raise
        except Exception as error:
            step.error = str(error) or type(error).__name__
            raise
        finally:
            step.ended_ns = time.time_ns()
            self._step = None
            self.listener.step_ended(step)
        for agent in self.agents.values():
            agent.require_alive()

    async def expect(self, check: Awaitable[CheckResult]) -> CheckResult:
        """Hold a claim and record what came of it; a claim that fails does not stop the story."""
        self._current_step()
        result = await check
        self.record(result)
        return result

    def record(self, result: CheckResult) -> None:
        """Add what came of a claim to the step."""
        step = self._current_step()
        step.checks.append(result)
        self.listener.check_ended(step, result)

    def show_path(self, title: str, path: TracedPath) -> None:
        """Record a way that packets took, for the reader."""
        step = self._current_step()
        shown = PathResult(title, str(path), path.hops, bool(path.tunnels))
        step.paths.append(shown)
        self.listener.path_found(step, shown)

    def note(self, text: str) -> None:
        self._current_step().notes.append(text)

    def measure(self, name: str, value: float, unit: str, detail: str = "") -> None:
        self.run.measures.append(Measure(name, value, unit, detail))

    def _current_step(self) -> StepResult:
        if self._step is None:
            raise ScenarioError("a check was held outside of a step", hint="use: async with lab.step('…')")
        return self._step
