"""The topology ``two-visited`` for measuring in: no captures, and helpers to place the mobile node and start agents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import testbed
from testbed.errors import AgentDied
from testbed.network.mininet_net import LabNet
from testbed.topologies.lab import build_lab
from testbed.topologies.plan import TopologyPlan


@contextmanager
def built(plan: TopologyPlan, *, offloads: bool) -> Iterator[LabNet]:
    """A lab that is up until the block ends; in the private world only."""
    net = build_lab(plan, offloads=offloads)
    try:
        yield net
    finally:
        net.stop()


class MeasuredAgent:
    """One of our agents in a node, with its pid known and its events at hand. Start it by entering the block."""

    def __init__(self, net: LabNet, node: str, role: str, config: dict[str, Any]) -> None:
        self._namespace = net.get(node).namespace
        self._role = role
        self._config = config
        self._node = node

    def __enter__(self) -> MeasuredAgent:
        self._folder = TemporaryDirectory()
        file = Path(self._folder.name) / "agent.json"
        file.write_text(json.dumps(self._config))
        command = [sys.executable, "-m", "testbed.agents", self._role, "--config", str(file)]
        environment = dict(os.environ, PYTHONPATH=str(Path(testbed.__file__).parents[1]))
        events = self._folder.name + "/events"
        began_s = time.monotonic()
        with open(events, "wb") as sink:
            self._process = self._namespace.popen(command, stdin=subprocess.DEVNULL, stdout=sink, env=environment)
        self._wait_until_ready(Path(events))
        self.start_s = time.monotonic() - began_s
        return self

    def __exit__(self, *_exception: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()

    @property
    def resident_mib(self) -> float:
        """What it holds in memory now (VmRSS)."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise AgentDied(f"{self._role} agent has ended", node=self._node)

    @property
    def processor_s(self) -> float:
        """Processor time that it has used so far, in the kernel and outside."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _wait_until_ready(self, events: Path) -> None:
        """A look every half millisecond: what is waited for takes a hundred."""
        while b'"ready"' not in events.read_bytes():
            if self._process.poll() is not None:
                raise AgentDied(f"{self._role} agent ended with {self._process.returncode}", node=self._node)
            time.sleep(0.0005)
