"""The agents' configuration files for a topology: one home agent, a foreign agent in each visited network, one mobile
node, and security associations made anew for every run.

The format is the agents' own (docs/agents.md); a program that stands in for an agent is given the same files.
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import Any

from testbed.scenarios.agent_process import Config
from testbed.topologies.plan import TopologyPlan, VisitedNetwork

MOBILE_HOME_SPI = 256
MOBILE_FOREIGN_SPI = 512
FOREIGN_HOME_SPI = 768

LONGEST_LIFETIME_S = 1800  # that agents advertise and grant

_KEY_BYTES = 16


@dataclass(frozen=True)
class AgentOptions:
    """What a scenario decides about its agents; times in seconds."""

    lifetime_s: int = 30
    reverse_tunnel: bool = False
    movement_detection: str = "link"
    advertisement_interval_s: float = 1.0
    tunnel_driver: str = "auto"


class Keys:
    """The run's keys, as hexadecimal text; 128 bits each, never used twice."""

    def __init__(self, plan: TopologyPlan) -> None:
        self.mobile_home = secrets.token_hex(_KEY_BYTES)
        self.mobile_foreign = {network.name: secrets.token_hex(_KEY_BYTES) for network in plan.visited}
        self.foreign_home = {network.name: secrets.token_hex(_KEY_BYTES) for network in plan.visited}


def agent_configs(plan: TopologyPlan, keys: Keys, options: AgentOptions) -> dict[str, tuple[str, Config]]:
    """Role and configuration of each agent, by the name of its node."""
    configs = {plan.home.home_agent: ("home", _home(plan, keys, options))}
    for network in plan.visited:
        configs[network.foreign_agent] = ("foreign", _foreign(plan, network, keys, options))
    configs[plan.mobile_node] = ("mobile", _mobile(plan, keys, options))
    return configs


def _association(spi: int, key: str) -> list[dict[str, Any]]:
    return [{"spi": spi, "algorithm": "hmac-md5", "key": key, "replay": "timestamps", "tolerance_s": 7}]


def _advertisement(options: AgentOptions) -> dict[str, Any]:
    interval_s = options.advertisement_interval_s
    # Three missed advertisements mean a lost agent (RFC 5944, 2.4.2); the field counts whole seconds, and the interval
    # must not be more than a third of it (2.3).
    return {
        "interval_s": interval_s,
        "lifetime_s": math.ceil(3 * interval_s),
        "registration_lifetime_s": LONGEST_LIFETIME_S,
    }


def _home(plan: TopologyPlan, keys: Keys, options: AgentOptions) -> Config:
    home = plan.home
    mobile_address = plan.node(plan.mobile_node).address
    return {
        "version": 1,
        "role": "home",
        "name": home.home_agent,
        "home_agent": str(home.home_agent_address),
        "home_network": str(home.prefix),
        "interface": home.agent_interface,
        "underlay": [interface.name for interface in plan.node(home.home_agent).interfaces],
        "max_lifetime_s": LONGEST_LIFETIME_S,
        "advertisement": _advertisement(options),
        "reverse_tunnel": True,
        "tunnel_driver": options.tunnel_driver,
        "mobile_nodes": [
            {
                "home_address": str(mobile_address),
                "security_associations": _association(MOBILE_HOME_SPI, keys.mobile_home),
            }
        ],
        "foreign_agents": [
            {
                "address": str(network.care_of_address),
                "security_associations": _association(FOREIGN_HOME_SPI, keys.foreign_home[network.name]),
            }
            for network in plan.visited
        ],
    }


def _foreign(plan: TopologyPlan, network: VisitedNetwork, keys: Keys, options: AgentOptions) -> Config:
    interfaces = plan.node(network.foreign_agent).interfaces
    return {
        "version": 1,
        "role": "foreign",
        "name": network.foreign_agent,
        "interface": network.agent_interface,
        "care_of_address": str(network.care_of_address),
        "underlay": [interface.name for interface in interfaces if interface.name != network.agent_interface],
        "max_lifetime_s": LONGEST_LIFETIME_S,
        "max_visitors": 100,
        "max_pending": 5,
        "pending_timeout_s": 7,
        "advertisement": _advertisement(options),
        "reverse_tunnel": True,
        "tunnel_driver": options.tunnel_driver,
        "mobile_nodes": [
            {
                "home_address": str(plan.node(plan.mobile_node).address),
                "security_associations": _association(MOBILE_FOREIGN_SPI, keys.mobile_foreign[network.name]),
            }
        ],
        "home_agents": [
            {
                "address": str(plan.home.home_agent_address),
                "security_associations": _association(FOREIGN_HOME_SPI, keys.foreign_home[network.name]),
            }
        ],
    }


def _mobile(plan: TopologyPlan, keys: Keys, options: AgentOptions) -> Config:
    mobile = plan.node(plan.mobile_node)
    return {
        "version": 1,
        "role": "mobile",
        "name": mobile.name,
        "interface": mobile.interfaces[0].name,
        "home_address": str(mobile.address),
        "home_network": str(plan.home.prefix),
        "home_agent": str(plan.home.home_agent_address),
        "home_gateway": str(plan.home.home_agent_address),
        "lifetime_s": options.lifetime_s,
        "reverse_tunnel": options.reverse_tunnel,
        "care_of": "foreign",
        "movement_detection": options.movement_detection,
        "security_associations": _association(MOBILE_HOME_SPI, keys.mobile_home),
        "foreign_agents": [
            {
                "address": str(network.agent_address),
                "security_associations": _association(MOBILE_FOREIGN_SPI, keys.mobile_foreign[network.name]),
            }
            for network in plan.visited
        ],
    }
