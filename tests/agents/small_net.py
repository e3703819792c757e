"""A home network, two visited networks and a correspondent, made of namespaces, for agents as processes.

::

    mn eth0 ─── lan-home ─── lan 192.0.2.1  ha   core 203.0.113.129 ─┐
                lan-a ────── access .1      fa-a core 203.0.113.130 ─┼─ lan-core ── eth0 203.0.113.140 cn
                lan-b ────── access .129    fa-b core 203.0.113.131 ─┘
                         198.51.100.0/26, .128/26

Only ip(8) and Namespace are used: nothing of the agents. Bridges are in the world's root namespace.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from testbed.network.netns import Namespace
from testbed.network.waiting import wait_until

REPOSITORY = Path(__file__).parents[2]
HOME_ADDRESS, HOME_AGENT = "192.0.2.10", "192.0.2.1"
CARE_OF = {"fa-a": "203.0.113.130", "fa-b": "203.0.113.131"}
ACCESS = {"fa-a": "198.51.100.1", "fa-b": "198.51.100.129"}
PATIENCE_S = 10.0
KEY = "0102030405060708090a0b0c0d0e0f10"
ASSOCIATION = [{"spi": 256, "algorithm": "hmac-md5", "key": KEY, "replay": "timestamps", "tolerance_s": 7}]
ADVERTISEMENT = {"interval_s": 0.3, "lifetime_s": 1, "registration_lifetime_s": 1800}

HOME: dict[str, Any] = {
    "version": 1,
    "role": "home",
    "name": "ha",
    "home_agent": HOME_AGENT,
    "home_network": "192.0.2.0/24",
    "interface": "lan",
    "underlay": ["core", "lan"],
    "advertisement": ADVERTISEMENT,
    "mobile_nodes": [{"home_address": HOME_ADDRESS, "security_associations": ASSOCIATION}],
}
MOBILE: dict[str, Any] = {
    "version": 1,
    "role": "mobile",
    "name": "mn",
    "interface": "eth0",
    "home_address": HOME_ADDRESS,
    "home_network": "192.0.2.0/24",
    "home_agent": HOME_AGENT,
    "home_gateway": HOME_AGENT,
    "lifetime_s": 30,
    "security_associations": ASSOCIATION,
}


def foreign(name: str) -> dict[str, Any]:
    """The configuration of a foreign agent."""
    return {
        "version": 1,
        "role": "foreign",
        "name": name,
        "interface": "access",
        "care_of_address": CARE_OF[name],
        "underlay": ["core"],
        "advertisement": ADVERTISEMENT,
    }


class RunningAgent:
    """An agent's process, its events and its log."""

    def __init__(self, node: Namespace, config: dict[str, Any], folder: Path) -> None:
        self._config = folder / f"{config['name']}.json"
        self._events = folder / f"{config['name']}.events"
        self._log = folder / f"{config['name']}.log"
        self._config.write_text(json.dumps(config))
        argv = [sys.executable, "-m", "testbed.agents", config["role"], "--config", str(self._config)]
        with self._events.open("wb") as events, self._log.open("wb") as log:
            self.process: subprocess.Popen[Any] = node.popen(argv, cwd=REPOSITORY, stdout=events, stderr=log)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The events of one kind so far."""
        lines = self._events.read_text().splitlines(keepends=True)
        told = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in told if event["event"] == name]

    def wait_for(self, name: str, times: int = 1) -> dict[str, Any]:
        """The latest event of a kind, when there have been so many."""

        def enough() -> list[dict[str, Any]]:
            assert self.process.poll() is None or name == "stopped", f"the agent has ended: {self.log()}"
            found = self.events(name)
            return found if len(found) >= times else []

        return wait_until(enough, what=f"event {name}", timeout_s=PATIENCE_S, on_timeout=self.told)[-1]

    def told(self) -> str:
        return self._events.read_text() + self.log()

    def log(self) -> str:
        return self._log.read_text()

    def reload(self, config: dict[str, Any]) -> None:
        self._config.write_text(json.dumps(config))
        self.process.send_signal(signal.SIGHUP)

    def stop(self) -> int:
        """End it as it wants to be ended, and return its status."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(PATIENCE_S)


class SmallNet:
    """The nodes by name, without agents; ``cable`` says where the mobile node is plugged in."""

    def __init__(self) -> None:
        self.nodes = {name: Namespace.create(name) for name in ("ha", "fa-a", "fa-b", "cn", "mn")}
        _sh("ip link set lo up")
        for bridge in ("lan-home", "lan-a", "lan-b", "lan-core"):
            _sh(f"ip link add {bridge} type bridge && ip link set {bridge} up")
        self._plug("ha", "lan", "lan-home", f"{HOME_AGENT}/24")
        self._plug("ha", "core", "lan-core", "203.0.113.129/26")
        self._plug("cn", "eth0", "lan-core", "203.0.113.140/26")
        for name, bridge in (("fa-a", "lan-a"), ("fa-b", "lan-b")):
            self._plug(name, "access", bridge, f"{ACCESS[name]}/26")
            self._plug(name, "core", "lan-core", f"{CARE_OF[name]}/26")
            self.sh(name, "ip route add 192.0.2.0/24 via 203.0.113.129")
        self._plug("mn", "eth0", "lan-home", f"{HOME_ADDRESS}/24")
        self.sh("mn", f"ip route add default via {HOME_AGENT}")
        self.sh("cn", "ip route add 192.0.2.0/24 via 203.0.113.129")
        for name in ("ha", "fa-a", "fa-b"):
            self.nodes[name].write_sysctls({"net/ipv4/ip_forward": 1, "net/ipv4/conf/all/send_redirects": 0})

    def _plug(self, node: str, interface: str, bridge: str, address: str) -> None:
        port = f"{node}-{interface}"
        _sh(
            f"ip link add {port} type veth peer name {interface} netns {self.nodes[node].path}"
            f" && ip link set {port} master {bridge} up"
        )
        self.sh(node, f"ip link set lo up; ip addr add {address} dev {interface}; ip link set {interface} up")
        self.nodes[node].write_sysctls(
            {f"net/ipv4/conf/{scope}/rp_filter": 0 for scope in ("all", "default", interface)}
        )

    def move(self, bridge: str) -> None:
        """Pull the mobile node's cable and plug it into another LAN, without a pause."""
        _sh(f"ip link set mn-eth0 down && ip link set mn-eth0 master {bridge} && ip link set mn-eth0 up")

    def sh(self, node: str, script: str) -> str:
        """Run a shell script inside a node and return what it printed; fails the test where it fails."""
        return self.nodes[node].run(["sh", "-ec", script]).stdout

    def pings(self, count: int = 1) -> bool:
        """Whether the correspondent reaches the home address, both ways."""
        with self.nodes["cn"].entered():
            done = subprocess.run(
                ["ping", "-c", str(count), "-i", "0.01", "-W", "1", HOME_ADDRESS], capture_output=True, check=False
            )
        return done.returncode == 0


def _sh(script: str) -> None:
    subprocess.run(["sh", "-ec", script], check=True, env={**os.environ, "LC_ALL": "C"})
