"""What an agent costs: from starting the process to its event ``ready``, and the memory it then holds."""

from __future__ import annotations

from testbed.bench.apart import in_world
from testbed.bench.rows import Row, Target, median
from testbed.bench.visited_lab import MeasuredAgent, built
from testbed.scenarios.agent_configs import AgentOptions, Keys, agent_configs
from testbed.topologies import two_visited

_TIMES = 7

START_TARGET = Target(0.2)
MEMORY_TARGET = Target(25)


def measure() -> list[Row]:
    """Two rows for each role: medians."""
    rows = []
    for role, (start_s, resident_mib) in in_world(_measure_roles).items():
        rows.append(Row(f"{role} agent: start to ready", start_s, "s", START_TARGET, f"median of {_TIMES}"))
        rows.append(Row(f"{role} agent: memory when ready", resident_mib, "MiB", MEMORY_TARGET, "VmRSS"))
    return rows


def _measure_roles() -> dict[str, tuple[float, float]]:
    plan = two_visited.PLAN
    configs = agent_configs(plan, Keys(plan), AgentOptions())
    found = {}
    with built(plan, offloads=False) as net:
        for node, (role, config) in configs.items():
            runs = []
            for _ in range(_TIMES):
                with MeasuredAgent(net, node, role, config) as agent:
                    runs.append((agent.start_s, agent.resident_mib))
            found[role] = (median([start_s for start_s, _ in runs]), median([memory for _, memory in runs]))
    return found
