"""An agent's configuration file: JSON, version 1, one role a file (docs/agents.md; schema.json says the same).

What is written is checked here once, so that nothing behind it meets a value that cannot be.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Address
from pathlib import Path

from testbed.agents.config_reader import Section
from testbed.agents.settings import (
    MOVEMENT_DETECTION,
    TUNNEL_DRIVERS,
    AdvertisementSettings,
    Associations,
    ForeignSettings,
    HomeSettings,
    MobileNodeEntry,
    MobileSettings,
    Settings,
)
from testbed.errors import ConfigError
from testbed.protocol.authentication import Algorithm, SecurityAssociation

VERSION = 1
ROLES = ("home", "foreign", "mobile")
SHORTEST_INTERVAL_S = 0.05
LONGEST_LIFETIME_S = 0xFFFF
_LEAST_INTERVALS_PER_LIFETIME = 3  # D3


def read_config(file: Path, role: str) -> Settings:
    """The settings for an agent of ``role``.

    :raises ConfigError: the file cannot be read, is no JSON, is for another role, or a value in it does not hold.
    """
    try:
        content = json.loads(file.read_bytes())
    except OSError as failure:
        raise ConfigError(f"{file}: cannot be read: {failure.strerror}") from failure
    except ValueError as failure:
        raise ConfigError(f"{file}: is no JSON: {failure}") from failure
    section = Section(str(file), "", content)
    section.integer("version", VERSION, VERSION)
    section.choice("role", (role,))
    settings: Settings
    match role:
        case "home":
            settings = _home(section)
        case "foreign":
            settings = _foreign(section)
        case _:
            settings = _mobile(section)
    section.finish()
    return settings


def _home(section: Section) -> HomeSettings:
    network = section.network("home_network")
    home_agent = section.address("home_agent")
    if home_agent not in network:
        section.refuse("home_agent", str(home_agent), f"an address in the home network {network}")
    mobile_nodes: dict[IPv4Address, MobileNodeEntry] = {}
    for node in section.sections("mobile_nodes", required=True):
        home_address = node.address("home_address")
        if home_address not in network or home_address == home_agent:
            node.refuse("home_address", str(home_address), f"an address in {network} other than the home agent's")
        if home_address in mobile_nodes:
            node.refuse("home_address", str(home_address), "an address that is not in the list twice")
        allowed = node.flag("registration_allowed", True)
        mobile_nodes[home_address] = MobileNodeEntry(_associations(node), allowed)
        node.finish()
    return HomeSettings(
        name=section.text("name"),
        home_agent=home_agent,
        home_network=network,
        interface=section.interface("interface"),
        underlay=section.interfaces("underlay"),
        mobile_nodes=mobile_nodes,
        foreign_agents=_peers(section, "foreign_agents", "address"),
        max_lifetime_s=section.integer("max_lifetime_s", 1, LONGEST_LIFETIME_S, 1800),
        advertisement=_advertisement(section),
        reverse_tunnel=section.flag("reverse_tunnel", True),
        tunnel_driver=section.choice("tunnel_driver", TUNNEL_DRIVERS, "auto"),
    )


def _foreign(section: Section) -> ForeignSettings:
    return ForeignSettings(
        name=section.text("name"),
        interface=section.interface("interface"),
        care_of_address=section.address("care_of_address"),
        underlay=section.interfaces("underlay"),
        mobile_nodes=_peers(section, "mobile_nodes", "home_address"),
        home_agents=_peers(section, "home_agents", "address"),
        max_lifetime_s=section.integer("max_lifetime_s", 1, LONGEST_LIFETIME_S, 1800),
        max_visitors=section.integer("max_visitors", 1, 1_000_000, 256),
        max_pending=section.integer("max_pending", 1, 100_000, 5),
        pending_timeout_s=section.number("pending_timeout_s", 1, 60, 7),
        advertisement=_advertisement(section),
        reverse_tunnel=section.flag("reverse_tunnel", True),
        registration_required=section.flag("registration_required", False),
        tunnel_driver=section.choice("tunnel_driver", TUNNEL_DRIVERS, "auto"),
    )


def _mobile(section: Section) -> MobileSettings:
    network = section.network("home_network")
    addresses = {key: section.address(key) for key in ("home_address", "home_agent", "home_gateway")}
    for key, address in addresses.items():
        if address not in network:
            section.refuse(key, str(address), f"an address in the home network {network}")
    return MobileSettings(
        name=section.text("name"),
        interface=section.interface("interface"),
        home_address=addresses["home_address"],
        home_network=network,
        home_agent=addresses["home_agent"],
        home_gateway=addresses["home_gateway"],
        security_associations=_associations(section),
        foreign_agents=_peers(section, "foreign_agents", "address"),
        lifetime_s=section.integer("lifetime_s", 1, LONGEST_LIFETIME_S, 30),
        reverse_tunnel=section.flag("reverse_tunnel", False),
        care_of=section.choice("care_of", ("foreign",), "foreign"),
        movement_detection=section.choice("movement_detection", MOVEMENT_DETECTION, "link"),
    )


def _advertisement(section: Section) -> AdvertisementSettings:
    part = section.section("advertisement")
    interval_s = part.number("interval_s", SHORTEST_INTERVAL_S, 1800, 1.0)
    lifetime_s = part.integer("lifetime_s", 1, 9000, 3)
    if lifetime_s < _LEAST_INTERVALS_PER_LIFETIME * interval_s:
        part.refuse("lifetime_s", lifetime_s, f"at least three intervals of {interval_s:g} s")
    registration_lifetime_s = part.integer("registration_lifetime_s", 1, LONGEST_LIFETIME_S, 1800)
    part.finish()
    return AdvertisementSettings(interval_s, lifetime_s, registration_lifetime_s)


def _peers(section: Section, key: str, address_key: str) -> dict[IPv4Address, Associations]:
    peers: dict[IPv4Address, Associations] = {}
    for peer in section.sections(key):
        address = peer.address(address_key)
        if address in peers:
            peer.refuse(address_key, str(address), "an address that is not in the list twice")
        peers[address] = _associations(peer)
        peer.finish()
    return peers


def _associations(section: Section) -> Associations:
    associations: dict[int, SecurityAssociation] = {}
    for part in section.sections("security_associations", required=True):
        spi = part.integer("spi", 256, 0xFFFFFFFF)  # 0..255 are reserved, RFC 5944 section 3.5.1
        if spi in associations:
            part.refuse("spi", spi, "an SPI that is not in the list twice")
        key = part.octets("key")
        algorithm = Algorithm(part.choice("algorithm", [known.value for known in Algorithm], Algorithm.HMAC_MD5.value))
        part.choice("replay", ("timestamps",), "timestamps")
        tolerance_s = part.number("tolerance_s", 1, 3600, 7)
        part.finish()
        associations[spi] = SecurityAssociation(spi, key, algorithm, tolerance_s)
    return tuple(associations.values())
