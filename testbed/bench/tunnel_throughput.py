"""TCP through a tunnel against the same TCP without it, over the same nodes: home host to a host in visited network A.

The receiver has an address of the visited network, so that packets find it either way; a host route into the tunnel at
the home agent's router is all that differs. Segmentation offloads are on, as they are outside of labs.
"""

from __future__ import annotations

import json
import subprocess
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from testbed.bench.apart import in_world
from testbed.bench.rows import Row, Target, median
from testbed.bench.visited_lab import built
from testbed.errors import LabError
from testbed.network import rtnetlink
from testbed.network.mininet_net import LabNet
from testbed.network.netns import Namespace
from testbed.network.waiting import wait_until
from testbed.topologies import two_visited
from testbed.tunnels.driver import TunnelDevice, TunnelDriver, open_driver
from testbed.tunnels.endpoints import TunnelEndpoints

_ROUNDS = 5
_SECONDS = 2
_PORT = "5201"

TARGET = Target(0.95, at_least=True)


def measure() -> list[Row]:
    """The median of the rounds' ratios (both halves of a round share the machine's mood), and the rates."""
    driver, plain, tunnelled = in_world(_measure_rates)
    of = f"median of {_ROUNDS} × {_SECONDS} s, driver {driver}"
    ratios = [through / without for through, without in zip(tunnelled, plain, strict=True)]
    return [
        Row("TCP tunnelled / untunnelled", median(ratios), "", TARGET, of),
        Row("TCP tunnelled", median(tunnelled), "Gbit/s", detail=f"untunnelled {median(plain):.2f}"),
    ]


def _measure_rates() -> tuple[str, list[float], list[float]]:
    plan = two_visited.PLAN
    visited = plan.visited[0]
    address = visited.agent_address + 9
    with built(plan, offloads=True) as net:
        _place_receiver(net, plan.mobile_node, visited.lan, address, visited.agent_address)
        home_agent, home_address = plan.home.home_agent, plan.home.home_agent_address
        near = TunnelEndpoints(home_address, visited.care_of_address)
        driver, device = _open(net.get(home_agent).namespace, ["core"], near)
        far_driver, _ = _open(
            net.get(visited.foreign_agent).namespace,
            [visited.edge_router],
            TunnelEndpoints(visited.care_of_address, home_address),
        )
        into_tunnel = IPv4Network(address)
        sender, receiver = net.get("home-host").namespace, net.get(plan.mobile_node).namespace
        plain, tunnelled = [], []
        with receiver.popen(
            ["iperf3", "-s", "-p", _PORT], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            _wait_for_server(sender, address)
            for _ in range(_ROUNDS):
                plain.append(_rate(sender, address))
                net.get(home_agent).request(rtnetlink.replace_route(into_tunnel, device=device.index))
                before = driver.counters(device).packets_out
                tunnelled.append(_rate(sender, address))
                if driver.counters(device).packets_out == before:
                    raise LabError("no packet went through the tunnel", node=home_agent)
                net.get(home_agent).request(rtnetlink.delete_route(into_tunnel, device=device.index))
            server.kill()
        name = driver.name
        driver.shutdown()
        far_driver.shutdown()
        return name, plain, tunnelled


def _place_receiver(net: LabNet, node: str, lan: str, address: IPv4Address, gateway: IPv4Address) -> None:
    net.move_cable(node, net.where(node) or "", lan)
    mobile = net.get(node)
    mobile.setIP(str(IPv4Interface(f"{address}/26")))
    mobile.setDefaultRoute(f"via {gateway}")


def _open(namespace: Namespace, underlay: list[str], endpoints: TunnelEndpoints) -> tuple[TunnelDriver, TunnelDevice]:
    with namespace.entered():
        driver = open_driver("auto", underlay=underlay)
        return driver, driver.open(endpoints)


def _wait_for_server(sender: Namespace, address: IPv4Address) -> None:
    def answers() -> bool:
        with sender.socket() as probe:
            return probe.connect_ex((str(address), int(_PORT))) == 0

    wait_until(answers, what=f"iperf3 to listen on {address}", timeout_s=5)


def _rate(sender: Namespace, address: IPv4Address) -> float:
    """Received, in Gbit/s."""
    command = ["iperf3", "-c", str(address), "-p", _PORT, "-t", str(_SECONDS), "-O", "0.5", "--json"]
    done = sender.run(command, timeout_s=_SECONDS + 10)
    received: float = json.loads(done.stdout)["end"]["sum_received"]["bits_per_second"]
    return received / 1e9
