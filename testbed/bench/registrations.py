"""How many registrations per second a home agent grants on one core, kernel state included.

Thousands of mobile nodes of one large home network register through one foreign agent, each for the first time: the
home agent authenticates each request, makes a route and a proxy ARP entry, announces itself, and only then replies.
The requests are signed here, beside the home agent, with no more than a window of them unanswered.
"""

from __future__ import annotations

import os
import secrets
import select
import socket
import time
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from testbed.bench.apart import in_world
from testbed.bench.rows import Row, Target
from testbed.bench.visited_lab import MeasuredAgent, built
from testbed.errors import LabError
from testbed.evidence.kernel import take_snapshot
from testbed.network.netns import Namespace
from testbed.protocol.authentication import SecurityAssociation, sign
from testbed.protocol.extensions import AuthenticationKind
from testbed.protocol.identification import Identifier
from testbed.protocol.registration import REGISTRATION_PORT, RegistrationReply, RegistrationRequest, RequestFlags
from testbed.scenarios.agent_configs import AgentOptions, Keys, agent_configs
from testbed.topologies import two_visited
from testbed.topologies.renumber import renumber_home

_HOME_PREFIX = IPv4Network("10.64.0.0/16")
_MOBILE_NODES = 6000
_FIRST_MOBILE_NODE = 1000
_WINDOW = 32
_SPI = 256
_STALLED_S = 5.0

TARGET = Target(3000, at_least=True)


def measure() -> list[Row]:
    """Registrations per second of the home agent's processor time, which is what one core can do, and by the clock."""
    elapsed_s, processor_s = in_world(_measure_times)
    of = f"{_MOBILE_NODES} first registrations"
    return [
        Row("registrations per second on one core", _MOBILE_NODES / processor_s, "1/s", TARGET, of),
        Row(
            "registrations per second by the clock",
            _MOBILE_NODES / elapsed_s,
            "1/s",
            detail=f"signed and checked beside it, {os.cpu_count()} cores for all",
        ),
    ]


def _measure_times() -> tuple[float, float]:
    plan = renumber_home(two_visited.PLAN, _HOME_PREFIX)
    visited = plan.visited[0]
    role, config = agent_configs(plan, Keys(plan), AgentOptions())[plan.home.home_agent]
    nodes = [plan.home.prefix[_FIRST_MOBILE_NODE + number] for number in range(_MOBILE_NODES)]
    keys = {node: secrets.token_bytes(16) for node in nodes}
    del config["foreign_agents"]
    config["mobile_nodes"] = [_mobile_node(node, key) for node, key in keys.items()]
    with built(plan, offloads=False) as net, MeasuredAgent(net, plan.home.home_agent, role, config) as agent:
        used_s, began_s = agent.processor_s, time.monotonic()
        with net.get(visited.foreign_agent).namespace.socket(socket.AF_INET, socket.SOCK_DGRAM) as relay:
            relay.bind((str(visited.care_of_address), REGISTRATION_PORT))
            relay.connect((str(plan.home.home_agent_address), REGISTRATION_PORT))
            _register_all(relay, keys, plan.home.home_agent_address, visited.care_of_address)
        elapsed_s, used_s = time.monotonic() - began_s, agent.processor_s - used_s
        _require_kernel_state(net.get(plan.home.home_agent).namespace, nodes)
    return elapsed_s, used_s


def _require_kernel_state(home_agent: Namespace, nodes: list[IPv4Address]) -> None:
    """A reply is worth nothing without a route and a proxy ARP entry behind it."""
    snapshot = take_snapshot(home_agent)
    routed = {route.destination.network_address for route in snapshot.routes if route.destination.prefixlen == 32}
    proxied = {proxy.address for proxy in snapshot.proxy_neighbours}
    lacking = [node for node in nodes if node not in routed or node not in proxied]
    if lacking:
        raise LabError(f"{len(lacking)} registered mobile nodes have no route or proxy ARP entry, {lacking[0]} first")


def _mobile_node(address: IPv4Address, key: bytes) -> dict[str, Any]:
    association = {"spi": _SPI, "algorithm": "hmac-md5", "key": key.hex(), "replay": "timestamps", "tolerance_s": 7}
    return {"home_address": str(address), "security_associations": [association]}


def _register_all(
    relay: socket.socket, keys: dict[IPv4Address, bytes], home_agent: IPv4Address, care_of_address: IPv4Address
) -> None:
    """Send a request for every mobile node, a window at a time; raises ``LabError`` for any that is not granted."""
    waiting = list(keys)
    unanswered: set[IPv4Address] = set()
    identifier = Identifier()
    while waiting or unanswered:
        while waiting and len(unanswered) < _WINDOW:
            node = waiting.pop()
            unanswered.add(node)
            request = RegistrationRequest(
                RequestFlags(0), 1800, node, home_agent, care_of_address, identifier.next(time.time())
            )
            association = SecurityAssociation(_SPI, keys[node])
            relay.send(sign(request, AuthenticationKind.MOBILE_HOME, association).encode())
        if not select.select([relay], [], [], _STALLED_S)[0]:
            raise LabError(f"{len(unanswered)} requests were not answered within {_STALLED_S:g} s")
        reply = RegistrationReply.decode(relay.recv(65535))
        if not reply.accepted:
            raise LabError(f"the home agent denied {reply.home_address} with code {reply.code}")
        unanswered.discard(reply.home_address)
